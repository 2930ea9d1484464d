"""Sealing: rows leave the hot tables for files with a manifest, and nobody who asks can tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdc.errors import StopProcess
from cdc.journal import sealer, segments
from cdc.journal.manifests import manifest_path, numbers_in, read_manifest
from cdc.journal.merging import MERGED_AT_ONCE
from tests.unit.journal.batches import Change, batch, full_state
from tests.unit.journal.held import PATIENCE_S, ask, commit, everything, opened

CHANGES = "SELECT * FROM changes ORDER BY seq"
FIELDS = "SELECT * FROM field_changes ORDER BY seq, field"
HOT = "SELECT (SELECT count(*) FROM store.hot_changes), (SELECT count(*) FROM store.hot_fields)"


def changes(first: int, count: int) -> Any:
    return batch(
        [
            Change(n, record=n % 3, said={"Name": f"value {n}", "Phone": None})
            for n in range(first, first + count)
        ]
    )


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "journal.duckdb.segments"


def test_what_is_sealed_is_read_as_before_and_is_hot_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 20))
        before = ask(journal, CHANGES), ask(journal, FIELDS)
        [manifest] = journal.seal()
        assert (manifest.first_seq, manifest.last_seq) == (1, 20)
        assert (manifest.rows("changes"), manifest.rows("fields")) == (20, 40)
        assert ask(journal, HOT) == [(0, 0)]
        assert (ask(journal, CHANGES), ask(journal, FIELDS)) == before
        commit(journal, changes(21, 5))
        assert ask(journal, "SELECT count(*), max(seq) FROM changes") == [(25, 25)]
    with opened(tmp_path) as journal:
        assert ask(journal, "SELECT count(*) FROM field_changes") == [(50,)]


def test_nothing_hot_is_nothing_to_seal(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.seal() == []
        commit(journal, changes(1, 3))
        journal.seal()
        assert journal.seal() == []


def test_a_segment_is_sorted_by_entity_record_and_ordinal_for_any_reader_of_parquet(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 20))
        journal.seal()
    for table in ("changes", "fields"):
        path = folder_of(tmp_path) / "000001" / f"{table}.parquet"
        rows = duckdb.sql(f"SELECT entity, record_id, seq FROM read_parquet('{path}')").fetchall()
        assert rows == sorted(rows)
        assert len(rows) in (20, 40)


def test_small_segments_become_one_and_their_files_go(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for n in range(MERGED_AT_ONCE):
            commit(journal, changes(1 + n * 10, 10))
            last = journal.seal()[-1]
        assert last.kind == "merge"
        assert last.replaces == (1, 2, 3, 4)
        assert ask(journal, "SELECT segment, rows FROM seals WHERE is_live") == [("000005", 40)]
        assert ask(journal, "SELECT count(*), count(DISTINCT seq) FROM changes") == [(40, 40)]
        assert [p.name for p in folder_of(tmp_path).iterdir() if p.name.isdigit()] == ["000005"]
        assert numbers_in(str(folder_of(tmp_path))) == [1, 2, 3, 4, 5]


def test_files_that_a_question_still_reads_stay_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "READERS_WAIT_S", 0.01)
    with opened(tmp_path) as journal:
        with journal.reader() as cursor:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            for number in range(MERGED_AT_ONCE):
                commit(journal, changes(1 + number * 5, 5))
                journal.seal()
                if number == 0:  # begun when the first segment was there
                    cursor.execute("COMMIT; BEGIN TRANSACTION READ ONLY")
                    cursor.execute("SELECT count(*) FROM store.seals")
            assert (folder_of(tmp_path) / "000001").is_dir()  # merged away, and read all the same
            assert cursor.execute("SELECT count(*) FROM changes").fetchall() == [(5,)]
        journal.seal()
        assert not (folder_of(tmp_path) / "000001").exists()


def test_each_manifest_names_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for n in range(3):
            commit(journal, changes(1 + n * 10, 10))
            journal.seal()
    read = [read_manifest(manifest_path(str(folder_of(tmp_path)), n)) for n in (1, 2, 3)]
    assert [m.previous for m, _ in read] == [None, read[0][1], read[1][1]]


def test_more_than_the_setting_is_sealed_by_itself_and_the_writing_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path, seal_records=100) as journal:
        for n in range(20):
            commit(journal, changes(1 + n * 10, 10))
        deadline = time.monotonic() + PATIENCE_S
        while not ask(journal, "SELECT count(*) FROM seals WHERE is_live")[0][0]:
            assert time.monotonic() < deadline
            commit(journal, changes(int(journal.checkpoint.ordinal) + 1, 1))
        held = int(journal.checkpoint.ordinal)
        assert ask(journal, "SELECT count(*), count(DISTINCT seq), max(seq) FROM changes") == [
            (held, held, held)
        ]


def test_rows_that_come_while_files_are_written_stay_hot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        late: list[Future[Any]] = []
        wrote = segments.write_files

        def write_and_more(*given: Any, **more: Any) -> Any:
            files = wrote(*given, **more)
            late.append(journal.commit(changes(11, 5)))
            late[0].result(PATIENCE_S)
            return files

        monkeypatch.setattr(segments, "write_files", write_and_more)
        journal.seal()
        assert ask(journal, HOT) == [(5, 10)]
        assert ask(journal, "SELECT count(*), count(DISTINCT seq) FROM changes") == [(15, 15)]


def test_a_seal_that_was_cut_off_before_its_manifest_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        with journal.reader() as cursor:
            queries = {t: f"SELECT * FROM store.hot_{t}" for t in ("changes", "fields")}
            segments.write_files(cursor, journal.segments, 1, [queries], spans=False)
    with opened(tmp_path) as journal:
        assert not (folder_of(tmp_path) / "000001").exists()
        assert ask(journal, HOT) == [(10, 20)]


def test_a_seal_that_was_cut_off_behind_its_manifest_is_gone_on_with(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        with journal.reader() as cursor:
            segments.seal_range(cursor, journal.sealer.chain, 10)
        assert ask(journal, HOT) == [(10, 20)]
    with opened(tmp_path) as journal:
        assert ask(journal, HOT) == [(0, 0)]
        assert ask(journal, "SELECT count(*) FROM changes") == [(10,)]


def test_an_older_copy_of_the_journal_is_not_taken_for_the_one_that_was_sealed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
    older = (tmp_path / "journal.duckdb").read_bytes()
    with opened(tmp_path) as journal:
        commit(journal, changes(11, 10))
        journal.seal()
    (tmp_path / "journal.duckdb").write_bytes(older)
    with (
        pytest.raises(StopProcess, match="up to ordinal 20, and the journal holds up to 10"),
        opened(tmp_path),
    ):
        pass


KILLED = """
import sys, itertools
from pathlib import Path
from tests.unit.journal.held import opened, commit
from tests.unit.journal.test_journal_seal import changes
with opened(Path(sys.argv[1]), seal_records=200) as journal:
    print("open", flush=True)
    while True:
        commit(journal, changes(int(journal.checkpoint.ordinal) + 1, 25))
        print(int(journal.checkpoint.ordinal), flush=True)
        if journal.checkpoint.ordinal % 3 == 0:
            journal.seal()
"""
KILLS = int(os.environ.get("CDC_TEST_HISTORIES", "1")) * 6


def test_a_kill_at_any_moment_leaves_a_journal_that_holds_everything_once(tmp_path: Path) -> None:
    for kill in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        )
        assert process.stdout is not None
        told = 0
        for _ in range(3 + 4 * kill):
            line = process.stdout.readline()
            told = int(line) if line.strip().isdigit() else told
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
        process.stdout.close()
        with opened(tmp_path) as journal:
            held = int(journal.checkpoint.ordinal)
            assert held >= told
            assert ask(journal, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM changes") == [
                (held, held, 1, held)
            ]
            assert ask(journal, "SELECT count(*) FROM field_changes") == [(2 * held,)]


def test_a_manifest_is_plain_json_that_says_what_it_holds(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
    said = json.loads(manifest_path(str(folder_of(tmp_path)), 1).read_text())
    assert (said["org"], said["kind"], said["first_seq"], said["last_seq"]) == ("acme", "seal", 1, 10)
    assert [(f["table"], f["rows"]) for f in said["files"]] == [("changes", 10), ("fields", 20)]


def test_a_lost_journal_is_made_anew_from_segments_and_the_log(tmp_path: Path) -> None:
    log = [
        batch([Change(n, record=n % 3, said={"Name": f"value {n}"}) for n in range(1, 11)]),
        batch([Change(11, record=1, kind="GAP_UPDATE"), Change(12, record=2, said={"Name": "b"})]),
        batch([full_state(13, 1, "reread-1", 12, {"Name": "read again"})]),
        batch([Change(n, record=n % 3, said={"Name": f"value {n}"}) for n in range(14, 20)]),
    ]
    tables = ("changes", "fields", "coverage", "needs", "checkpoint")
    with opened(tmp_path) as journal:
        commit(journal, *log[:3])
        journal.seal()
        commit(journal, *log[3:])
        before = everything(journal, tables)
    (tmp_path / "journal.duckdb").unlink()
    with opened(tmp_path) as journal:
        assert int(journal.checkpoint.ordinal) == 13
        assert ask(journal, "SELECT count(*) FROM changes") == [(13,)]
        commit(journal, *log)
        assert everything(journal, tables) == before


def test_a_journal_is_not_begun_from_segments_that_were_changed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
    (tmp_path / "journal.duckdb").unlink()
    path = folder_of(tmp_path) / "000001" / "fields.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.raises(StopProcess, match=r"000001/fields\.parquet is not the one that was sealed"),
        opened(tmp_path),
    ):
        pass
