"""An empty journal begun from the segments of a lost one: `cdc journal --rebuild`.

Everything up to the last sealed ordinal is taken over as it is, and the log is read from its beginning: changes that
are sealed are not written twice, control records are taken as they come. What the changes themselves say
of holes is found again from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdc.errors import StopProcess
from cdc.journal.manifests import Manifest, live_numbers, manifest_path, numbers_in, read_manifest, sha256_of
from cdc.journal.segment_views import live_segments, make_views
from cdc.journal.segments import record
from cdc.journal.statements import statement


def begin_from_segments(connection: Any, folder: str) -> bool:
    """Take over every manifest of a folder, in one transaction; false where there is none.

    Errors: StopProcess where the chain or a file is not what it was.
    """
    chain = _chain(folder)
    if not chain:
        return False
    manifests = [m for m, _ in chain]
    live = set(live_numbers(manifests))
    connection.execute("BEGIN")
    try:
        for manifest, sha256 in chain:
            record(connection, folder, manifest, sha256, has_files=manifest.number in live)
            _erasure(connection, manifest)
        make_views(connection, folder, live_segments(connection))
        for name in ("restore_checkpoint", "restore_channels"):
            connection.execute(statement(name))
        _holes(connection, manifests[0].org)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return True


def _chain(folder: str) -> list[tuple[Manifest, str]]:
    chain: list[tuple[Manifest, str]] = []
    for number in numbers_in(folder):
        path = manifest_path(folder, number)
        try:
            manifest, sha256 = read_manifest(path)
        except (OSError, ValueError) as error:
            raise _broken(f"manifest {path.name} cannot be read: {error}", str(path)) from error
        if manifest.previous != (chain[-1][1] if chain else None):
            raise _broken(f"manifest {path.name} does not name the one before it", str(path))
        chain.append((manifest, sha256))
    live = set(live_numbers([m for m, _ in chain]))
    for manifest, _ in chain:
        for file in manifest.files if manifest.number in live else ():
            path = Path(folder, file.name)
            if not path.is_file() or sha256_of(path) != file.sha256:
                raise _broken(f"file {file.name} is not the one that was sealed", str(path))
    return chain


def _erasure(connection: Any, manifest: Manifest) -> None:
    """Ordinals that were erased are not lost."""
    for first, last in (manifest.redaction or {}).get("ordinals", ()):
        told = [manifest.redaction["erasure_id"] if manifest.redaction else "", first, last]
        connection.execute("INSERT INTO store.erased_ordinals VALUES (?, ?, ?)", told)


def _holes(connection: Any, org: str) -> None:
    """What changes without values hide, and the full states that ended it, as when they were first written."""
    connection.execute("CREATE TEMP VIEW batch_changes AS FROM store.changes")
    try:
        connection.execute("CREATE TEMP TABLE batch_gaps AS " + statement("gaps"))
        connection.execute(statement("open_gaps"), {"org": org})
        connection.execute(statement("need_gaps"))
        connection.execute(statement("repair_by_rows"))
        connection.execute("DROP TABLE temp.batch_gaps")
    finally:
        connection.execute("DROP VIEW temp.batch_changes")


def _broken(what: str, where: str) -> StopProcess:
    return StopProcess(
        what, where=where, do="put back the copy that was sealed; `cdc verify` says what else differs"
    )
