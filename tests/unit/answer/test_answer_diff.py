"""What differs between two moments, and between the journal and the org."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest

from cdc.answer.against_org import against_rows
from cdc.answer.answers import UNKNOWN, Value
from cdc.answer.differences import diff
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument
from cdc.ports.org import RowState
from cdc.ports.types import RecordId
from tests.unit.answer import recorded
from tests.unit.answer.histories import history
from tests.unit.answer.model import FOREVER, Moment, Said, state
from tests.unit.answer.told import MINUTE, A, B, Told

HISTORIES = 25 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))


def at(minute: float) -> Any:
    return recorded.at(round(minute * MINUTE))


@pytest.fixture
def told() -> Told:
    told = Told()
    told.event("CREATE", 1, A, Name="Ann", Phone="1")
    told.event("UPDATE", 2, A, Name="Bob")
    told.event("UPDATE", 3, A, Phone=None)
    told.event("CREATE", 4, B, Name="Zoe")
    told.event("DELETE", 5, A)
    return told


def test_each_field_is_shown_before_and_after_with_the_change_that_set_it(told: Told) -> None:
    answer = diff(told.opened(), "Account", from_time=at(1), to_time=at(3))
    assert [(r["field"], r["before"], r["after"], r["user_id"], r["seq"]) for r in answer.dicts()] == [
        ("Name", Value("Ann"), Value("Bob"), "user2", 2),
        ("Phone", Value("1"), Value(None), "user3", 3),
    ]
    assert answer.complete
    assert answer.notes[0].startswith("2 differences in 1 of 1 records")


def test_a_record_made_or_deleted_between_is_a_row_of_its_own(told: Told) -> None:
    rows = diff(told.opened(), "Account", from_time=at(3), to_time=at(9)).dicts()
    assert [(r["record_id"], r["field"], r["difference"], r["before"], r["after"]) for r in rows] == [
        (A, None, "deleted", "present", "deleted"),
        (B, None, "created", None, "present"),
        (B, "Name", "changed", Value(None), Value("Zoe")),
    ]
    assert [r["user_id"] for r in rows] == ["user5", "user4", "user4"]


def test_what_was_set_and_set_back_is_no_difference() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    told.event("UPDATE", 2, Name="b")
    told.event("UPDATE", 3, Name="a")
    assert diff(told.opened(), "Account", from_time=at(1), to_time=at(4)).rows == []


def test_a_cut_parts_what_one_second_holds() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    good = told.event("UPDATE", 2, Name="good")
    bad = told.event("UPDATE", 2, Name="bad")
    connection = told.opened()
    [row] = diff(connection, "Account", from_before=bad, to_before=None).dicts()
    assert (row["before"], row["after"]) == (Value("good"), Value("bad"))
    [row] = diff(connection, "Account", from_before=good, to_before=bad).dicts()
    assert (row["before"], row["after"]) == (Value("a"), Value("good"))


def test_unknown_is_never_shown_as_null_and_makes_the_answer_incomplete() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a", Phone="1")
    told.event("GAP_UPDATE", 2)
    told.event("UPDATE", 3, Phone="2")
    connection = told.opened()
    lost = diff(connection, "Account", from_time=at(1), to_time=at(2))
    assert [(r["field"], r["difference"], r["before"], r["after"]) for r in lost.dicts()] == [
        ("Name", "became unknown", Value("a"), UNKNOWN),
        ("Phone", "became unknown", Value("1"), UNKNOWN),
    ]
    found = diff(connection, "Account", from_time=at(2), to_time=at(3))
    assert [(r["field"], r["difference"], r["before"]) for r in found.dicts()] == [
        ("Phone", "became known", UNKNOWN)
    ]
    assert "1 fields are unknown at both and cannot be compared" in found.reasons
    assert not lost.complete
    assert not found.complete


def test_differences_are_counted_by_who_and_what(told: Told) -> None:
    answer = diff(told.opened(), "Account", from_time=at(1), to_time=at(9), by=["user", "field"])
    counted = {(r["user_id"], r["field"]): (r["records"], r["fields"]) for r in answer.dicts()}
    assert counted == {
        ("user2", "Name"): (1, 1),
        ("user3", "Phone"): (1, 1),
        ("user4", "Name"): (1, 1),
        ("user4", None): (1, 0),
        ("user5", None): (1, 0),
    }


def test_a_condition_keeps_records_that_met_it_at_one_of_the_two_moments(told: Told) -> None:
    connection = told.opened()
    for where in ("Name = 'Ann'", "Name = 'Bob'"):
        rows = diff(connection, "Account", from_time=at(1), to_time=at(3), where=where).dicts()
        assert {r["record_id"] for r in rows} == {A}
    assert diff(connection, "Account", from_time=at(1), to_time=at(3), where="Name = 'x'").rows == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_hold_every_difference_once(told: Told, limit: int) -> None:
    connection = told.opened()
    whole = diff(connection, "Account", from_time=at(1), to_time=at(9)).rows
    seen: list[Any] = []
    cursor = None
    while True:
        answer = diff(connection, "Account", from_time=at(1), to_time=at(9), limit=limit, cursor=cursor)
        seen += answer.rows
        if (cursor := answer.next) is None:
            break
    assert seen == list(whole)


def test_what_cannot_be_asked_is_refused(told: Told) -> None:
    connection = told.opened()
    for wrong in (
        {},
        {"from_time": at(1), "by": ["mood"]},
        {"from_time": at(1), "from_before": 2},
        {"from_time": at(1), "cursor": "x"},
        {"from_time": at(1), "cursor": "WzEsMl0"},
        {"from_time": at(1), "ids": [A], "where": "Name = 'x'"},
    ):
        with pytest.raises(BadArgument):
            diff(connection, "Account", **wrong)  # type: ignore[arg-type]


def test_differences_are_those_of_the_model_in_random_histories() -> None:
    connection = recorded.opened()
    compared = 0
    for seed in range(HISTORIES):
        random = Random(seed)
        past = history(random, margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        seqs = sorted({i.seq for i in past.journal.items if not i.fold_rank})
        times = past.times()
        if not times or len(seqs) < 2:
            continue
        first, second = sorted(random.sample(times, 2))
        cuts = sorted(random.sample(seqs, 2))
        for a, b in ((Moment(at=first), Moment(at=second)), (Moment(cut=cuts[0]), Moment(cut=cuts[1]))):
            answer = diff(connection, "Account", **_asked(a, "from"), **_asked(b, "to"), limit=10_000)
            found = {
                (r["record_id"], r["field"]): (_bare(r["before"]), _bare(r["after"])) for r in answer.dicts()
            }
            one, two = (state(past.journal, m, READ_MARGIN_MS) for m in (a, b))
            assert found == _expected(one, two), (seed, a, b)
            compared += len(found)
    assert compared > HISTORIES


def _asked(moment: Moment, side: str) -> dict[str, Any]:
    if moment.cut != FOREVER:
        return {f"{side}_before": moment.cut}
    return {f"{side}_time": recorded.at(moment.at)}


def _bare(side: Any) -> Any:
    """A value, `...` where it is unknown; inferred values as their value."""
    if isinstance(side, Value):
        return side.value if side.known or side.inferred else ...
    return side


def _expected(one: dict[str, Said], two: dict[str, Said]) -> dict[tuple[str, str | None], tuple[Any, Any]]:
    out: dict[tuple[str, str | None], tuple[Any, Any]] = {}
    for record_id in one.keys() | two.keys():
        a, b = one.get(record_id), two.get(record_id)
        statuses = (a.status if a else None, b.status if b else None)
        if statuses[0] != statuses[1]:
            out[record_id, None] = statuses
        for field in {f for said in (a, b) if said for f in (*said.fields, *said.unknown)}:
            before, after = (said.fields.get(field, ...) if said else None for said in (a, b))
            if before != after:
                out[record_id, field] = (before, after)
    return out


# -- against the org


def test_the_org_is_compared_field_by_field_and_record_by_record() -> None:
    states = [
        {"record_id": A, "status": "present", "fields": {"Name": "a", "Phone": None}, "inferred_since": None},
        {"record_id": B, "status": "present", "fields": {"Name": "b"}, "inferred_since": None},
    ]
    new = "001000000000003AAA"
    rows = {
        A: RowState(RecordId(A), {"Name": "x", "Phone": None, "City": "Oslo"}),
        new: RowState(RecordId(new), {"Name": "n", "Phone": None}),
    }
    assert list(against_rows(states, rows, [A, B, new, "001000000000004AAA"])) == [
        (A, "City", "became known", UNKNOWN, Value("Oslo")),
        (A, "Name", "changed", Value("a"), Value("x")),
        (B, None, "deleted", "present", "gone"),
        (new, None, "created", None, "present"),
        (new, "Name", "became known", Value(None), Value("n")),
    ]


def test_a_field_hidden_from_the_reader_is_unknown_and_not_null() -> None:
    states = [{"record_id": A, "status": "present", "fields": {"Secret": "s"}, "inferred_since": None}]
    rows = {A: RowState(RecordId(A), {}, unknown=("Secret",))}
    assert list(against_rows(states, rows, [A])) == [(A, "Secret", "became unknown", Value("s"), UNKNOWN)]
