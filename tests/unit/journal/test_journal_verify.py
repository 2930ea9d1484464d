"""`verify` names the first place that differs from what was sealed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc.errors import DifferenceFound
from cdc.journal.journal import DuckJournal
from cdc.journal.manifests import (
    Manifest,
    SigningKey,
    manifest_path,
    numbers_in,
    read_manifest,
    write_manifest,
)
from cdc.journal.verify import checkpoint_text, verify
from tests.unit.journal.batches import ORG
from tests.unit.journal.held import ask, commit, opened
from tests.unit.journal.test_journal_seal import changes, folder_of

KEY = SigningKey(Ed25519PrivateKey.generate())


def looked_at(journal: DuckJournal, checkpoint: str | None = None, key: str | None = None) -> list[str]:
    with journal.reader() as reader:
        held = int(journal.checkpoint.ordinal)
        return verify(
            reader, journal.segments, journal.org, public_key=key, checkpoint=checkpoint, held=held
        ).facts


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[DuckJournal]:
    """Three signed segments and something hot."""
    with opened(tmp_path, signing_key=KEY) as journal:
        for n in range(3):
            commit(journal, changes(1 + n * 10, 10))
            journal.seal()
        commit(journal, changes(31, 5))
        yield journal


def differs(journal: DuckJournal, match: str, **more: str) -> None:
    with pytest.raises(DifferenceFound, match=match) as found:
        looked_at(journal, **more)
    assert found.value.exit_code == 4


def test_what_is_as_it_was_sealed_is_said_with_counts(signed: DuckJournal) -> None:
    facts = looked_at(signed, key=KEY.public)
    assert facts[0] == "3 manifests, each naming the one before"
    assert facts[1].startswith("signed by the trusted key")
    assert facts[2].startswith("6 files of 3 segments, 90 rows")
    assert facts[3] == "35 ordinals from 1 to 35, each once"


def test_a_journal_without_seals_is_verified_by_its_ordinals(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 4))
        assert looked_at(journal) == ["nothing is sealed yet", "4 ordinals from 1 to 4, each once"]


def test_one_flipped_byte_is_named(signed: DuckJournal, tmp_path: Path) -> None:
    for name in ("000002/fields.parquet", "000003/changes.parquet"):
        path = folder_of(tmp_path) / name
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        differs(signed, f"file {name} is not the one that was sealed")
        path.write_bytes(content)
    looked_at(signed)


def test_a_missing_file_is_named(signed: DuckJournal, tmp_path: Path) -> None:
    (folder_of(tmp_path) / "000001" / "changes.parquet").unlink()
    differs(signed, "file 000001/changes.parquet is missing")


def test_a_dropped_manifest_is_named_wherever_it_stood(signed: DuckJournal, tmp_path: Path) -> None:
    folder = str(folder_of(tmp_path))
    for number, match in (
        (1, "000001.json is missing"),
        (2, "000002.json is missing"),
        (3, "000003.json is missing"),
    ):
        path = manifest_path(folder, number)
        kept = path.read_bytes()
        path.unlink()
        differs(signed, match)
        path.write_bytes(kept)


def test_a_changed_manifest_is_named(signed: DuckJournal, tmp_path: Path) -> None:
    path = manifest_path(str(folder_of(tmp_path)), 1)
    said = json.loads(path.read_text())
    said["files"][0]["rows"] += 1
    path.write_text(json.dumps(said))
    differs(signed, "manifest 000002.json does not name 000001.json as it is now")


def rewritten(folder: str, key: SigningKey | None, change: str) -> str:
    """The whole chain written anew without one field row of the first segment, every hash right; the newest hash."""
    import duckdb

    previous: str | None = None
    for number in numbers_in(folder):
        manifest, _ = read_manifest(manifest_path(folder, number))
        if number == 1:
            path = Path(folder, "000001", "fields.parquet")
            kept = f"SELECT * FROM read_parquet('{path}') WHERE {change}"
            duckdb.sql(f"COPY ({kept}) TO '{path}.new' (FORMAT parquet)")
            shutil.move(f"{path}.new", path)
            rows = duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0]
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            fields = replace(manifest.files[1], rows=rows, bytes=len(content), sha256=digest)
            manifest = replace(manifest, files=(manifest.files[0], fields))
        manifest = replace(manifest, previous=previous, signature=None, public_key=None)
        previous = write_manifest(folder, key.signed(manifest) if key else manifest)
    assert previous is not None
    return previous


def forget_what_the_journal_noted(journal: DuckJournal) -> None:
    """Whoever rewrites the chain may rewrite the journal's rows too."""
    folder = journal.segments
    for number in numbers_in(folder):
        sha256 = read_manifest(manifest_path(folder, number))[1]
        statement = f"UPDATE store.seals SET sha256 = '{sha256}' WHERE number = {number}"
        journal.errand(lambda c, text=statement: c.execute(text)).result()


def test_a_rewritten_chain_is_not_the_one_the_journal_noted(signed: DuckJournal) -> None:
    rewritten(signed.segments, KEY, "seq <> 1")
    differs(signed, "manifest 000001.json is not the one the journal noted")


def test_an_unsigned_rewrite_of_everything_is_caught_by_the_signature(signed: DuckJournal) -> None:
    rewritten(signed.segments, None, "seq <> 1")
    forget_what_the_journal_noted(signed)
    looked_at(signed)  # nothing else can tell
    differs(signed, "manifest 000003.json, the newest, is not signed", key=KEY.public)


def test_a_rewrite_signed_by_another_key_is_caught_by_the_trusted_one(signed: DuckJournal) -> None:
    rewritten(signed.segments, SigningKey(Ed25519PrivateKey.generate()), "seq <> 1")
    forget_what_the_journal_noted(signed)
    differs(signed, "the signature of manifest 000001.json is not of the key that is trusted", key=KEY.public)


def test_a_rewrite_of_everything_is_caught_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for n in range(2):
            commit(journal, changes(1 + n * 10, 10))
            journal.seal()
        [(name, sha256)] = ask(
            journal, "SELECT segment || '.json', sha256 FROM seals ORDER BY segment DESC LIMIT 1"
        )
        saved = checkpoint_text(ORG, name, sha256)
        commit(journal, changes(21, 10))
        journal.seal()
        assert "the saved checkpoint is manifest 000002.json" in looked_at(journal, checkpoint=saved)
        rewritten(journal.segments, None, "seq <> 1")
        forget_what_the_journal_noted(journal)
        looked_at(journal)
        differs(journal, "manifest 000002.json is not the one of the saved checkpoint", checkpoint=saved)


def test_a_key_set_later_signs_the_chain_with_the_next_seal(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
    with opened(tmp_path, signing_key=KEY) as journal:
        differs(journal, "the newest, is not signed", key=KEY.public)
        [manifest] = journal.seal()
        assert (manifest.kind, manifest.files) == ("signature", ())
        looked_at(journal, key=KEY.public)


def test_a_hot_row_that_is_gone_or_doubled_is_named_by_its_ordinal(signed: DuckJournal) -> None:
    row = "SELECT * FROM store.hot_changes WHERE seq = 33"
    signed.errand(lambda c: c.execute(f"INSERT INTO store.hot_changes {row}")).result()
    differs(signed, "ordinal 33 is held twice")
    signed.errand(lambda c: c.execute("DELETE FROM store.hot_changes WHERE seq IN (32, 33)")).result()
    differs(signed, "ordinals 32 to 33 are not held")


def test_a_merge_that_holds_fewer_rows_than_it_replaced_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for n in range(4):
            commit(journal, changes(1 + n * 10, 10))
            journal.seal()
        looked_at(journal)
        path = manifest_path(journal.segments, 5)
        merged, _ = read_manifest(path)
        fewer = without_a_row(journal.segments, merged)
        sha256 = write_manifest(journal.segments, fewer)
        text = f"UPDATE store.seals SET sha256 = '{sha256}' WHERE number = 5"
        journal.errand(lambda c: c.execute(text)).result()
        differs(journal, "manifest 000005.json holds 79 fields, those it replaces 80")


def without_a_row(folder: str, manifest: Manifest) -> Manifest:
    import duckdb

    path = Path(folder, manifest.files[1].name)
    duckdb.sql(f"COPY (SELECT * FROM read_parquet('{path}') OFFSET 1) TO '{path}.new' (FORMAT parquet)")
    shutil.move(f"{path}.new", path)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    fields = replace(manifest.files[1], rows=manifest.files[1].rows - 1, bytes=len(content), sha256=digest)
    return replace(manifest, files=(manifest.files[0], fields))
