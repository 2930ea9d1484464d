"""A copy made while the journal is written: consistent, and open to any DuckDB."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from cdc.answer.definitions import definitions
from cdc.errors import BadArgument
from cdc.journal.journal import DuckJournal
from cdc.journal.snapshot import snapshot
from tests.unit.journal.batches import ORG
from tests.unit.journal.held import ask, commit, opened
from tests.unit.journal.test_journal_seal import changes
from tests.unit.journal.test_journal_verify import looked_at


def test_a_snapshot_is_a_journal_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path, definitions=definitions()) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
        commit(journal, changes(11, 5))
        done = snapshot(journal, str(tmp_path / "copy"), definitions())
        assert (done.ordinal, done.segments) == (15, 1)
        commit(journal, changes(16, 5))
        journal.seal()
    copy = DuckJournal(
        str(tmp_path / "copy" / "journal.duckdb"), ORG, segments=str(tmp_path / "copy" / "segments")
    )
    copy.open()
    try:
        assert int(copy.checkpoint.ordinal) == 15
        assert ask(copy, "SELECT count(*), max(seq) FROM changes") == [(15, 15)]
        looked_at(copy)
    finally:
        copy.close()


def test_any_duckdb_asks_the_views_and_macros_of_a_snapshot(tmp_path: Path) -> None:
    with opened(tmp_path, definitions=definitions()) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
        snapshot(journal, str(tmp_path / "copy"), definitions())
    with duckdb.connect(str(tmp_path / "copy" / "journal.duckdb"), read_only=True) as other:
        assert other.execute("SELECT count(*) FROM field_changes").fetchall() == [(20,)]
        states = other.execute(
            "SELECT record_id, fields['Name'] FROM state_at('Account', 'infinity')"
        ).fetchall()
        assert len(states) == 3


def test_a_snapshot_under_writing_holds_whole_transactions(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, changes(1, 10))
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                commit(journal, changes(int(journal.checkpoint.ordinal) + 1, 10))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = snapshot(journal, str(tmp_path / "copy"))
        finally:
            stop.set()
            writer.join()
    with duckdb.connect(str(tmp_path / "copy" / "journal.duckdb"), read_only=True) as other:
        rows = other.execute("SELECT count(*), max(seq) FROM store.changes").fetchall()
        assert rows == [(done.ordinal, done.ordinal)]
        assert other.execute("SELECT count(*) FROM store.fields").fetchall() == [(2 * done.ordinal,)]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine").touch()
    with opened(tmp_path) as journal, pytest.raises(BadArgument, match="empty"):
        snapshot(journal, str(tmp_path / "copy"))
