"""`cdc verify`: is what is kept what was sealed, and is all of it there? No network, no key but a public one.

In this order, and the first difference ends it: the chain of manifests (and the checkpoint kept elsewhere, the
signature, what the journal itself noted of each), the bytes of every file, the rows in them, what merges and
erasures account for, and the ordinals: each one from the first to the last held, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from cdc.errors import BadArgument, DifferenceFound
from cdc.journal.manifests import (
    FOLDER,
    Manifest,
    is_signed_by,
    live_numbers,
    manifest_name,
    manifest_path,
    numbers_in,
    read_manifest,
    sha256_of,
)
from cdc.journal.segments import quoted
from cdc.journal.statements import statement

CHECKPOINT_FORMAT: Final = "sf-cdc-checkpoint/1"
_AGAIN: Final = "put back the copy that was sealed, from a snapshot or a backup"


@dataclass(slots=True)
class Verified:
    """What was looked at: sentences with counts."""

    facts: list[str] = field(default_factory=list)


def verify(
    reader: Any,
    folder: str,
    org: str,
    *,
    public_key: str | None = None,
    checkpoint: str | None = None,
    held: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Verified:
    """Look at everything; sentences of what was found in order.

    `public_key` in hex is one the caller trusts; `checkpoint` is the text of a saved checkpoint. Errors:
    DifferenceFound at the first place that differs, BadArgument for a checkpoint that is none.
    """
    result = Verified()

    def found(sentence: str) -> None:
        result.facts.append(sentence)
        progress(sentence)

    chain = _chain(folder, org)
    found(f"{len(chain)} manifests, each naming the one before" if chain else "nothing is sealed yet")
    _checkpoint(chain, checkpoint, found)
    _signatures(chain, public_key, found)
    _noted(reader, chain)
    manifests = [m for m, _ in chain]
    live = [m for m in manifests if m.number in set(live_numbers(manifests))]
    _files(folder, live, found)
    _accounts(manifests)
    _ordinals(reader, held, found)
    return result


def checkpoint_text(org: str, manifest: str, sha256: str) -> str:
    """The newest manifest as a few lines to keep elsewhere."""
    said = {"format": CHECKPOINT_FORMAT, "org": org, "manifest": manifest, "sha256": sha256}
    return json.dumps(said, indent=1) + "\n"


def _chain(folder: str, org: str) -> list[tuple[Manifest, str]]:
    chain: list[tuple[Manifest, str]] = []
    before: str | None = None
    for expected, number in enumerate(numbers_in(folder), 1):
        if number != expected:
            raise _differs(
                f"manifest {manifest_name(expected)} is missing, {manifest_name(number)} is there", folder
            )
        path = manifest_path(folder, number)
        try:
            manifest, sha256 = read_manifest(path)
        except (OSError, ValueError) as error:
            raise _differs(f"manifest {path.name} cannot be read: {error}", str(path)) from error
        if manifest.number != number or manifest.org != org:
            raise _differs(
                f"manifest {path.name} says it is number {manifest.number} of org {manifest.org}", str(path)
            )
        if manifest.previous != before:
            raise _differs(
                f"manifest {path.name} does not name {manifest_name(number - 1)} as it is now"
                if before
                else f"manifest {path.name} is the first, and names one before it",
                str(path),
            )
        chain.append((manifest, sha256))
        before = sha256
    return chain


def _checkpoint(
    chain: Sequence[tuple[Manifest, str]], text: str | None, found: Callable[[str], None]
) -> None:
    if text is None:
        return
    try:
        said = json.loads(text)
        if said["format"] != CHECKPOINT_FORMAT:
            raise ValueError
        name, expected = str(said["manifest"]), str(said["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadArgument(
            "this is not a checkpoint", do="save one with `cdc seal --checkpoint FILE`"
        ) from error
    for manifest, sha256 in chain:
        if manifest.name == name:
            if sha256 != expected:
                raise _differs(
                    f"manifest {name} is not the one of the saved checkpoint: the chain was rewritten", name
                )
            found(f"the saved checkpoint is manifest {name}")
            return
    raise _differs(f"manifest {name} of the saved checkpoint is not there", name)


def _signatures(
    chain: Sequence[tuple[Manifest, str]], public_key: str | None, found: Callable[[str], None]
) -> None:
    signed = False
    for manifest, _ in chain:
        if manifest.signature or manifest.public_key:
            signed = True
            trusted = public_key or manifest.public_key or ""
            if not is_signed_by(manifest, trusted):
                whose = "the key that is trusted" if public_key else "the key it names"
                raise _differs(f"the signature of manifest {manifest.name} is not of {whose}", manifest.name)
        elif signed:
            raise _differs(f"manifest {manifest.name} is not signed, and ones before it are", manifest.name)
    if public_key and chain and not chain[-1][0].signature:
        raise _differs(
            f"manifest {chain[-1][0].name}, the newest, is not signed",
            chain[-1][0].name,
            do="if no seal was made since the key was set, `cdc seal` signs the chain; else it was rewritten",
        )
    if signed:
        found(f"signed by {'the trusted' if public_key else 'its own'} key {chain[-1][0].public_key}")


def _noted(reader: Any, chain: Sequence[tuple[Manifest, str]]) -> None:
    """The journal's own rows of the chain."""
    noted = dict(reader.execute("SELECT number, sha256 FROM store.seals").fetchall())
    for manifest, sha256 in chain:
        if noted.pop(manifest.number, sha256) != sha256:
            raise _differs(f"manifest {manifest.name} is not the one the journal noted", manifest.name)
    if noted:
        raise _differs(f"manifest {manifest_name(min(noted))} is missing; the journal noted it", FOLDER)


def _files(folder: str, live: Sequence[Manifest], found: Callable[[str], None]) -> None:
    count = size = rows = 0
    for manifest in live:
        for file in manifest.files:
            path = Path(folder, file.name)
            if not path.is_file():
                raise _differs(f"file {file.name} is missing", str(path))
            if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
                raise _differs(
                    f"file {file.name} is not the one that was sealed: its bytes differ", str(path)
                )
            _rows(path, manifest, file.rows, file.table)
            count, size, rows = count + 1, size + file.bytes, rows + file.rows
    if count:
        found(f"{count} files of {len(live)} segments, {rows} rows, {size} bytes: as they were sealed")


def _rows(path: Path, manifest: Manifest, rows: int, table: str) -> None:
    """Rows and ordinals of a file, by its own account of itself."""
    with duckdb.connect() as database:
        counted = database.execute(
            f"SELECT count(*), min(seq), max(seq) FROM read_parquet({quoted(str(path))})"
        ).fetchone()
    assert counted is not None
    if counted[0] != rows:
        raise _differs(
            f"{path.parent.name}/{path.name} holds {counted[0]} rows, its manifest says {rows}", str(path)
        )
    if table == "changes" and rows and (counted[1], counted[2]) != (manifest.first_seq, manifest.last_seq):
        raise _differs(
            f"{path.parent.name}/{path.name} holds ordinals {counted[1]} to {counted[2]}, its manifest says"
            f" {manifest.first_seq} to {manifest.last_seq}",
            str(path),
        )


def _accounts(manifests: Sequence[Manifest]) -> None:
    """What replaces others holds their rows; an erasure or a retention says how many fewer."""
    by_number = {m.number: m for m in manifests}
    replaced: set[int] = set()
    for manifest in manifests:
        for number in manifest.replaces:
            if number not in by_number or number >= manifest.number or number in replaced:
                raise _differs(
                    f"manifest {manifest.name} replaces {manifest_name(number)}, which is not live",
                    manifest.name,
                )
            replaced.add(number)
        if not manifest.replaces:
            continue
        for table in ("changes", "fields"):
            before = sum(by_number[n].rows(table) for n in manifest.replaces)
            fewer = int((manifest.redaction or {}).get(f"{table}_removed", 0))
            if manifest.rows(table) + fewer != before:
                raise _differs(
                    f"manifest {manifest.name} holds {manifest.rows(table)} {table}, those it replaces {before}",
                    manifest.name,
                )


def _ordinals(reader: Any, held: int, found: Callable[[str], None]) -> None:
    """Each ordinal up to the one held stands in exactly one place, or is named as lost or erased."""
    twice, count, least, greatest = reader.execute(statement("verify_ordinals")).fetchone()
    if twice is not None:
        raise _differs(f"ordinal {twice} is held twice", "journal")
    hole = reader.execute(statement("verify_hole"), {"held": held}).fetchone()
    if hole is not None:
        which = f"ordinal {hole[0]} is" if hole[0] == hole[1] else f"ordinals {hole[0]} to {hole[1]} are"
        raise _differs(f"{which} not held, and nothing says why", "journal")
    if count:
        found(f"{count} ordinals from {least} to {greatest}, each once")


def _differs(what: str, where: str, do: str = _AGAIN) -> DifferenceFound:
    return DifferenceFound(what, where=where, do=do)
