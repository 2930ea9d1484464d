"""Erasing a person: nothing of it is left in any file, what remains is whole, and the chain says what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdc.errors import NotFound
from cdc.journal.erase import Erasure, erase, look
from cdc.journal.journal import DuckJournal
from cdc.journal.manifests import manifest_path, read_manifest
from tests.unit.journal.batches import T0, Change, batch, full_state, record_id
from tests.unit.journal.held import ask, commit, opened
from tests.unit.journal.test_journal_seal import folder_of
from tests.unit.journal.test_journal_verify import KEY, looked_at

PERSON, OTHER = record_id(1), record_id(2)
SECRETS = ("Ottilie Quark", "ottilie@quark.example", 'said "never again"', "Grüße aus Köln")
RETENTION_MS = 14 * 86_400_000


def told(journal: DuckJournal) -> None:
    """A person and another record, in two segments and hot, in an alert's text and in what could not be read."""
    commit(
        journal,
        batch(
            [
                Change(1, 1, "CREATE", {"Name": SECRETS[0], "Email": SECRETS[1], "City": "Basel"}),
                Change(2, 2, "CREATE", {"Name": "Someone Else", "City": "Basel"}),
            ]
        ),
    )
    journal.seal()
    commit(journal, batch([Change(3, 1, said={"Note": SECRETS[2]}), Change(4, 2, said={"Note": "nothing"})]))
    journal.seal()
    commit(
        journal,
        batch(
            [
                Change(5, 1, said={"Note": SECRETS[3]}),
                Change(6, 2, said={"City": "Bern"}),
                full_state(7, 1, "scan", 6, {"Name": SECRETS[0]}),
            ]
        ),
    )
    alert = (
        "INSERT INTO store.alerts BY NAME SELECT 'a1' AS alert_id, 1 AS version, 'acme' AS org, 'page' AS severity,"
        " 'open' AS state, 'many' AS title, 0 AS at_change, 0 AS at_ordinal, 1 AS records, 1 AS changes, '{}' AS kinds,"
        " '[]' AS actors, '[]' AS targets, 1 AS transactions, '[]' AS evidence, '' AS usual, '' AS coverage, '' AS next,"
        " $samples AS samples"
    )
    samples = f'[{{"record_id": "{PERSON}", "before": "said \\"never again\\"", "after": "Grüße aus Köln"}}]'
    journal.errand(lambda c: c.execute(alert, {"samples": samples})).result()
    raw = (
        "INSERT INTO store.quarantine BY NAME SELECT 8 AS seq, 'acme' AS org, 'bad' AS reason,"
        " $payload AS payload, [] AS record_ids"
    )
    payload = b"\x00\x01" + SECRETS[1].encode() + b"\x02"
    journal.errand(lambda c: c.execute(raw, {"payload": payload})).result()
    need = f"INSERT INTO store.needs VALUES (5, 'Account', '{PERSON}', TIMESTAMP '2026-01-01', 'why')"
    journal.errand(lambda c: c.execute(need)).result()


def erased(journal: DuckJournal) -> Erasure:
    with journal.reader() as reader:
        asked = look(reader, "Account", [PERSON])
    return erase(journal, asked, "the data protection officer", "request 17")


def files_holding(folder: Path, text: str) -> list[str]:
    """Every file under a folder whose bytes hold a text; those of Parquet are looked into by their values too."""
    import duckdb

    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if text.encode() in path.read_bytes():
            found.append(path.name)
        elif path.suffix == ".parquet":
            rows = duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall()
            if text in repr(rows):
                found.append(path.name)
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    with opened(tmp_path, signing_key=KEY, log_retention_ms=RETENTION_MS) as journal:
        told(journal)
        yield journal


def test_no_byte_of_a_person_is_left_in_any_file(journal: DuckJournal, tmp_path: Path) -> None:
    journal.errand(lambda c: c.execute("SELECT 1")).result()
    before = [files_holding(tmp_path, secret) for secret in (*SECRETS[:2], PERSON)]
    assert all(before)
    erased(journal)
    for secret in (*SECRETS, PERSON, PERSON[:15]):
        assert files_holding(tmp_path, secret) == []
    journal.close()
    for secret in (*SECRETS, PERSON, PERSON[:15]):
        assert files_holding(tmp_path, secret) == []
    journal.open()


def test_what_others_have_stays(journal: DuckJournal) -> None:
    theirs = f"SELECT * FROM changes WHERE record_id = '{OTHER}' ORDER BY seq"
    values = f"SELECT seq, field, value FROM field_changes WHERE record_id = '{OTHER}' ORDER BY seq, field"
    before = ask(journal, theirs), ask(journal, values)
    erased(journal)
    assert (ask(journal, theirs), ask(journal, values)) == before
    assert ask(journal, "SELECT DISTINCT record_id FROM changes") == [(OTHER,)]
    assert ask(journal, "SELECT alert_id, samples::VARCHAR FROM alerts")[0][0] == "a1"
    assert "Basel" in [value for _, _, value in before[1]]


def test_verify_stays_green_and_a_saved_checkpoint_holds(journal: DuckJournal) -> None:
    from cdc.journal.verify import checkpoint_text

    [(name, sha256)] = ask(
        journal, "SELECT segment || '.json', sha256 FROM seals ORDER BY segment DESC LIMIT 1"
    )
    saved = checkpoint_text("acme", name, sha256)
    journal.errand(lambda c: c.execute("UPDATE store.checkpoint SET ordinal = 8")).result()
    erased(journal)
    facts = looked_at(journal, checkpoint=saved, key=KEY.public)
    assert f"the saved checkpoint is manifest {name}" in facts
    assert facts[-1] == "3 ordinals from 2 to 6, each once"


def test_the_manifest_maps_each_old_hash_to_the_new_one_and_is_signed(journal: DuckJournal) -> None:
    before = {n: read_manifest(manifest_path(journal.segments, n))[0] for n in (1, 2)}
    done = erased(journal)
    assert done.segments == 2
    for number, replaced in ((3, 1), (4, 2)):
        manifest, _ = read_manifest(manifest_path(journal.segments, number))
        assert (manifest.kind, manifest.replaces) == ("erasure", (replaced,))
        assert manifest.signature
        assert manifest.redaction is not None
        assert manifest.redaction["hashes"] == {
            old.sha256: new.sha256 for old, new in zip(before[replaced].files, manifest.files, strict=True)
        }
        assert manifest.redaction["changes_removed"] == 1


def test_the_tombstone_says_who_when_why_and_how_much_and_no_value(journal: DuckJournal) -> None:
    done = erased(journal)
    rows = ask(
        journal, 'SELECT entity, records, asked_by, reason, changes, "values", gone_from_log_at FROM erasures'
    )
    assert [row[:6] for row in rows] == [("Account", 1, "the data protection officer", "request 17", 4, 6)]
    assert rows[0][6] == done.gone_from_log_at
    assert done.gone_from_log_at is not None
    assert done.gone_from_log_at.timestamp() * 1000 > T0
    assert done.elsewhere >= 3
    assert PERSON not in repr(ask(journal, "SELECT * FROM store.erasures"))


def test_writing_and_asking_go_on_behind_it(journal: DuckJournal, tmp_path: Path) -> None:
    erased(journal)
    commit(journal, batch([Change(8, 2, said={"City": "Zug"})]))
    assert ask(journal, "SELECT max(seq), count(*) FROM changes") == [(8, 4)]
    journal.seal()
    assert ask(journal, "SELECT max(seq), count(*) FROM changes") == [(8, 4)]


def test_a_segment_of_nobody_else_goes_as_a_whole(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, batch([Change(1, 1, "CREATE", {"Name": SECRETS[0]})]))
        journal.seal()
        commit(journal, batch([Change(2, 2, "CREATE", {"Name": "b"})]))
        erased(journal)
        assert ask(journal, "SELECT seq FROM changes") == [(2,)]
        assert not [p for p in folder_of(tmp_path).iterdir() if p.name.isdigit()]
        looked_at(journal)


def test_a_record_nobody_heard_of_is_not_erased(journal: DuckJournal) -> None:
    with journal.reader() as reader, pytest.raises(NotFound):
        look(reader, "Account", [record_id(99)])


def test_the_token_is_of_these_records_as_they_are(journal: DuckJournal) -> None:
    with journal.reader() as reader:
        first = look(reader, "Account", [PERSON])
        assert look(reader, "Account", [PERSON]).token == first.token
        assert look(reader, "Account", [OTHER]).token != first.token
    commit(journal, batch([Change(8, 1, said={"City": "Zug"})]))
    with journal.reader() as reader:
        assert look(reader, "Account", [PERSON]).token != first.token
