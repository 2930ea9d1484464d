"""How many changes when: buckets of org time, counted by entity, kind or user."""

from __future__ import annotations

import pytest

from cdc.answer.answers import Answer
from cdc.answer.rates import NAMES_MAX, rates
from cdc.errors import BadArgument
from tests.unit.answer.told import A, B, Told


def counts(answer: Answer) -> dict[tuple[str, float], int]:
    """(name, minute of the bucket) -> changes."""
    return {(row[0], row[1] / 60_000): row[2] for row in answer.rows if row[0] is not None}


def test_changes_are_counted_in_their_bucket_and_full_states_are_not() -> None:
    told = Told(passed_to=20)
    told.full_state(5, 5, A, after=0, Name="a")
    told.event("UPDATE", 10, A, Name="b")
    told.event("UPDATE", 10, B, Name="b")
    told.event("DELETE", 12, B)
    found = counts(rates(told.opened(), minutes=15, by="kind"))
    assert sum(found.values()) == 3
    assert {name for name, _ in found} == {"UPDATE", "DELETE"}


def test_an_hour_in_which_nothing_changed_still_says_its_span() -> None:
    told = Told(passed_to=500)
    told.event("UPDATE", 1, A, Name="b")
    [row] = rates(told.opened(), minutes=60).rows
    assert row[0] is None
    assert row[5] - row[4] == 60 * 60_000


def test_a_span_may_end_earlier() -> None:
    told = Told(passed_to=100)
    told.event("UPDATE", 10, A, Name="b")
    told.event("UPDATE", 90, A, Name="c")
    assert sum(counts(rates(told.opened(), minutes=60, until="1970-01-01T00:30:00Z")).values()) == 1


def test_what_cannot_be_counted_by_is_refused() -> None:
    with pytest.raises(BadArgument, match="entity, kind, user"):
        rates(Told().opened(), by="colour")
    assert NAMES_MAX < 10
