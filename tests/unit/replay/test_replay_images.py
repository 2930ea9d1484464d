"""The images around each replayed event are what the journal says exactly before and behind it."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import duckdb
import pytest

from cdc.change.order import READ_MARGIN_MS
from cdc.replay.images import UNKNOWN, Image, Images, after_event
from cdc.replay.stream import EVENT, READ, Place, Span, Step, plan_of, steps
from cdc.serve.questions import QUESTIONS
from tests.unit.answer import recorded
from tests.unit.answer.histories import history
from tests.unit.answer.model import Moment, Said, state
from tests.unit.answer.told import MINUTE, A, B, Told

HISTORIES = 25 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))


def asking(connection: duckdb.DuckDBPyConnection) -> Any:
    """The journal's questions, as a verb asks them."""

    def ask(name: str, **parameters: Any) -> dict[str, Any]:
        given = {k: v for k, v in parameters.items() if v is not None}
        return QUESTIONS[name].answer(connection, given)

    return ask


def replayed(connection: duckdb.DuckDBPyConnection, *, snapshot: bool = False, **moments: str) -> list[Step]:
    ask = asking(connection)
    span = Span(moments=moments)
    return list(steps(ask, span, plan_of(ask, span), snapshot=snapshot))


def iso(minute: float) -> str:
    return recorded.at(round(minute * MINUTE)).isoformat()


def test_each_event_has_the_whole_record_before_and_after() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a", Phone="1")
    told.event("UPDATE", 2, A, Phone=None)
    told.event("DELETE", 3, A)
    told.event("UNDELETE", 4, A, Name="a", Phone=None)
    images = [(s.before, s.after) for s in replayed(told.opened())]
    one, two = Image("present", {"Name": "a", "Phone": "1"}), Image("present", {"Name": "a", "Phone": None})
    gone = Image("deleted", two.fields)
    assert images == [(None, one), (one, two), (two, gone), (gone, two)]


def test_what_is_not_known_has_no_key_and_is_not_null() -> None:
    told = Told()
    told.event("UPDATE", 1, A, Phone="1")
    told.event("UPDATE", 2, A, Phone=..., Name=None)
    told.event("GAP_UPDATE", 3, A)
    afters = [s.after for s in replayed(told.opened())]
    assert afters == [Image("present", {"Phone": "1"}), Image("present", {"Name": None}), Image("present")]


def test_a_part_of_the_past_begins_with_what_was_known_before_it() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a", Phone="1")
    told.event("CREATE", 1, B, Name="b")
    told.event("UPDATE", 5, A, Phone="2")
    told.event("UPDATE", 9, A, Phone="3")
    connection = told.opened()
    [step] = replayed(connection, **{"from": iso(4), "to": iso(6)})
    assert step.before == Image("present", {"Name": "a", "Phone": "1"})
    assert step.after == Image("present", {"Name": "a", "Phone": "2"})
    whole = replayed(connection, snapshot=True, **{"from": iso(4), "to": iso(6)})
    assert [(s.event["kind"], s.event["record_id"]) for s in whole] == [
        ("READ", A),
        ("READ", B),
        ("UPDATE", A),
    ]


def test_full_states_come_behind_the_event_before_which_they_were_read() -> None:
    told = Told()
    told.event("UPDATE", 1, A, Phone="1")
    told.full_state(2, 3, A, after=1, Name="a", Phone="1")
    told.event("UPDATE", 9, A, Phone="2")
    got = [(s.event["kind"], s.after.fields if s.after else None) for s in replayed(told.opened())]
    assert got == [
        ("UPDATE", {"Phone": "1"}),
        ("READ", {"Name": "a", "Phone": "1"}),
        ("UPDATE", {"Name": "a", "Phone": "2"}),
    ]


def test_an_overflow_leaves_nothing_known_and_names_no_record() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("GAP_OVERFLOW", 2, "000000000000000AAA")
    told.event("UPDATE", 3, A, Phone="1")
    _, overflow, last = replayed(told.opened())
    assert (overflow.before, overflow.after) == (None, None)
    assert (last.before, last.after) == (UNKNOWN, Image("present", {"Phone": "1"}))


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_replay_goes_on_behind_any_place(stop: int) -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a", Phone="1")
    told.event("CREATE", 1, B, Name="b")
    told.full_state(2, 3, A, after=2, Name="a", Phone="1")
    told.full_state(2, 3, B, after=2, Name="b", Phone="7")
    told.event("UPDATE", 9, A, Phone="2")
    told.event("UPDATE", 10, B, Phone="8")
    told.event("DELETE", 11, A)
    connection = told.opened()
    ask, span = asking(connection), Span(moments={"from": iso(0.5)})
    plan = plan_of(ask, span)
    whole = list(steps(ask, span, plan, snapshot=True))
    part = (
        list(steps(ask, span, plan, snapshot=True, after=whole[stop - 1].place)) if stop <= len(whole) else []
    )
    assert part == whole[stop:]


def test_images_are_those_of_the_model_in_random_histories() -> None:
    connection = recorded.opened()
    compared = 0
    for seed in range(HISTORIES):
        past = history(Random(seed), margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        for step in replayed(connection):
            if step.after is None or step.place.rank not in (EVENT, READ):
                continue
            cut = step.place.ordinal + 1
            said = state(past.journal, Moment(cut=cut), READ_MARGIN_MS)[step.event["record_id"]]
            if said.inferred_since is not None:
                said = Said()
            behind = {i.fold_seq for i in past.journal.items if i.fold_rank}
            behind |= {h.from_ordinal for h in past.journal.stretches}
            if step.place.rank == EVENT and step.place.ordinal in behind:
                continue  # a cut behind this event is also behind what follows it at the same place
            assert (step.after.status, dict(step.after.fields)) == (said.status, said.fields), (seed, step)
            compared += 1
    assert compared > 3 * HISTORIES


def test_the_last_image_of_every_record_is_the_state_at_the_end() -> None:
    connection = recorded.opened()
    for seed in range(HISTORIES):
        past = history(Random(seed), margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        last = {s.event["record_id"]: s.after for s in replayed(connection) if s.after}
        end = state(past.journal, Moment(), READ_MARGIN_MS)
        holes = [s for s in past.journal.stretches if not s.is_open]
        many = [i for i in past.journal.items if i.is_many]
        for record_id, image in last.items():
            if holes or many:
                continue  # what hides changes is behind the last event of a record, and no event of it
            assert (image.status, dict(image.fields)) == (end[record_id].status, end[record_id].fields), (
                seed,
                record_id,
            )


def test_images_beyond_the_limit_are_forgotten() -> None:
    images = Images(images_max=2)
    for n in range(5):
        images.put(("Account", str(n)), Image("present"))
    images.shrink()
    assert [("Account", str(n)) in images for n in range(5)] == [False, False, False, True, True]


def test_an_event_of_a_record_never_seen_gives_what_it_says() -> None:
    event = {"kind": "UPDATE", "said": {"Name": "a"}, "unknown_fields": ["Phone"]}
    assert after_event(None, event) == Image("present", {"Name": "a"})
    assert Place(1, EVENT) < Place(1, READ, "Account", A) < Place(2, EVENT)
