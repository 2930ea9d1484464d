"""Long texts that came as diffs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.journal.journal import DuckJournal
from tests.unit.journal.batches import T0, Change, batch, full_state, record_id
from tests.unit.journal.held import ask, commit, opened

FIRST, SECOND, THIRD = "one\ntwo\nthree", "one\n2\nthree", "one\n2\n3"


def diff(new: str, line: int, removed: str, added: str) -> str:
    digest = hashlib.sha256(new.encode()).hexdigest()
    return f"--- \n+++ {digest}\n@@ -{line},1 +{line},1 @@\n-{removed}\n+{added}"


TO_SECOND, TO_THIRD = diff(SECOND, 2, "two", "2"), diff(THIRD, 3, "three", "3")


@pytest.fixture
def requested() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def journal(tmp_path: Path, requested: list[dict[str, Any]]) -> Iterator[DuckJournal]:
    with opened(tmp_path, on_requests=requested.extend) as journal:
        yield journal


def texts(journal: DuckJournal) -> list[tuple[Any, ...]]:
    return ask(journal, "SELECT seq, value, known FROM field_changes WHERE field = 'Notes' ORDER BY seq")


def changed(ordinal: int, text: str) -> Change:
    return Change(ordinal, 1, said={"Industry": "Energy", "Notes": text}, diff_fields=["Notes"])


def test_a_diff_is_stored_as_the_whole_text_also_on_one_before_it_in_the_batch(journal: DuckJournal) -> None:
    commit(
        journal,
        batch([Change(1, 1, "CREATE", {"Notes": FIRST}), changed(2, TO_SECOND), changed(3, TO_THIRD)]),
    )
    assert texts(journal) == [(1, FIRST, True), (2, SECOND, True), (3, THIRD, True)]


def test_the_value_before_may_be_in_an_earlier_batch_or_in_a_full_state(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, 2), full_state(2, 1, "scan", 1, {"Notes": FIRST})]))
    commit(journal, batch([changed(3, TO_SECOND)]))
    assert texts(journal)[-1] == (3, SECOND, True)


def test_a_full_state_that_is_newer_than_the_diff_does_not_hide_the_text_the_diff_is_of(
    journal: DuckJournal,
) -> None:
    commit(journal, batch([Change(1, 1, "CREATE", {"Notes": FIRST})]))
    commit(journal, batch([full_state(2, 1, "scan", 1, {"Notes": SECOND}), changed(3, TO_SECOND)]))
    assert texts(journal)[-1] == (3, SECOND, True)


def test_a_text_that_does_not_check_is_unknown_and_read_again(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    commit(journal, batch([Change(1, 1, "CREATE", {"Notes": "something else"}), changed(2, TO_SECOND)]))
    assert texts(journal)[-1] == (2, None, False)
    assert ask(journal, "SELECT value FROM field_changes WHERE field = 'Industry'") == [("Energy",)]
    assert [(j["job_id"], j["record_ids"], j["anchor_at"]) for j in requested] == [
        ("reread-Account-2", [record_id(1)], T0)
    ]
