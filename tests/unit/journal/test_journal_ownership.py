"""On storage whose locks cannot be trusted a second writer is noticed before the first one commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import JournalLocked
from cdc.journal.ownership import Ownership
from tests.unit.journal.batches import Change, batch
from tests.unit.journal.held import PATIENCE_S, ask, commit, opened


def test_who_was_opened_over_commits_no_more_and_says_who_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, batch([Change(1)]))
        Ownership.claim(journal.path)  # another machine, past a lock that does not hold there
        with pytest.raises(JournalLocked, match="was opened by") as raised:
            journal.commit(batch([Change(2)])).result(PATIENCE_S)
        assert "process" in raised.value.sentence()
        assert ask(journal, "SELECT count(*) FROM changes") == [(1,)]


def test_opening_again_takes_the_place_and_closing_leaves_no_mark(tmp_path: Path) -> None:
    for ordinal in (1, 2):
        with opened(tmp_path) as journal:
            commit(journal, batch([Change(ordinal)]))
    assert [file.name for file in tmp_path.iterdir() if "owner" in file.name] == []


def test_a_mark_that_somebody_tidied_away_is_written_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        (tmp_path / "journal.duckdb.owner").unlink()
        commit(journal, batch([Change(1)]))
        assert (tmp_path / "journal.duckdb.owner").exists()


def test_a_mark_that_cannot_be_read_is_somebody_elses(tmp_path: Path) -> None:
    mine = Ownership.claim(str(tmp_path / "journal.duckdb"))
    mine.path.write_text("{")
    with pytest.raises(JournalLocked):
        mine.check()
    mine.release()
    assert mine.path.exists()
