"""What the stream says of a restore: its own events, what slipped in, what it set off, and who used its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cdc.journal.control import Told
from cdc.journal.recovery import write_recovery
from cdc.ports.log import LogRecord
from cdc.recover.ledger import record
from cdc.recover.restores import Restore
from cdc.recover.statements import sql
from cdc.recover.work import Batch, Field, Item
from cdc.recover.written import Result, intents, outcomes
from schemas import own
from tests.unit.recover.story import A1, A2, A3, BAD_USER, T0, Story

RESTORER = "005000000000777AAA"
NAME = "sf-cdc-restore/r-1"


def ms(seconds: int) -> int:
    return round((T0 + timedelta(seconds=seconds) - T0.__class__(1970, 1, 1)).total_seconds() * 1000)


def tell(story: Story, records: Sequence[LogRecord]) -> None:
    told = [Told(own.decode("decision", r.value), 0, 0) for r in records]
    write_recovery(story.connection, "acme", told)


def restored(story: Story, ids: Sequence[str], *, field: str = "Rating", value: str = "Hot") -> None:
    """A restore that was to write one value into some records, from now on, and said that it did."""
    start = ms(story.seq)
    restore = Restore(
        "r-1",
        "i-1",
        state="applied",
        user_id=RESTORER,
        started_at=start,
        ended_at=start + 60_000,
        as_of_seq=story.seq,
    )
    items = [Item(i, {field: Field(value, "Bad")}) for i in ids]
    batch = Batch("000000-update", "Account", "UPDATE", items, False)
    tell(story, [record("restore", "r-1", restore.detail(), at=start)])
    tell(story, intents("r-1", RESTORER, batch, start))
    tell(story, outcomes("r-1", batch, "1.1", [Result(i, "restored") for i in ids], start))


def wrecked() -> Story:
    story = Story()
    for record_id in (A1, A2, A3):
        story.create(record_id, {"Rating": "Hot", "Site": "one"})
        story.update(record_id, {"Rating": "Bad"}, user=BAD_USER)
    return story


def asked(story: Story, name: str) -> list[dict[str, Any]]:
    found = story.connection.execute(sql(name), {"restore_id": "r-1"})
    names = [c[0] for c in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def own_seqs(story: Story) -> list[int]:
    rows = story.connection.execute("SELECT seq FROM answer.own_of('r-1') ORDER BY seq").fetchall()
    return [row[0] for row in rows]


def test_a_restores_own_events_are_known_whatever_name_they_carry() -> None:
    for client in (NAME, "", "somebody else"):
        story = wrecked()
        restored(story, [A1, A2])
        seqs = [story.update(i, {"Rating": "Hot"}, user=RESTORER, client=client) for i in (A1, A2)]
        assert own_seqs(story) == seqs


def test_another_value_another_record_or_another_user_is_not_its_own() -> None:
    story = wrecked()
    restored(story, [A1])
    story.update(A1, {"Rating": "Warm"}, user=RESTORER, client=NAME)
    story.update(A2, {"Rating": "Hot"}, user=RESTORER, client=NAME)
    story.update(A1, {"Rating": "Hot"}, user=BAD_USER, client=NAME)
    assert own_seqs(story) == []
    assert [s["record_id"] for s in asked(story, "strangers")] == [A1, A2, A1]


def test_an_edit_that_slipped_in_before_our_write_is_told_with_both_values() -> None:
    story = wrecked()
    restored(story, [A1, A2])
    story.update(A1, {"Rating": "Cold"})
    for record_id in (A1, A2):
        story.update(record_id, {"Rating": "Hot"}, user=RESTORER)
    [slipped] = asked(story, "slipped_in")
    assert (slipped["record_id"], slipped["theirs"], slipped["ours"]) == (A1, "Cold", "Hot")


def test_what_the_same_transaction_did_besides_is_a_side_effect() -> None:
    story = wrecked()
    restored(story, [A1])
    story.update(A1, {"Rating": "Hot", "Site": "set by a trigger"}, user=RESTORER, transaction="t-restore")
    story.update(A3, {"Site": "set by a trigger"}, user=RESTORER, transaction="t-restore")
    effects = asked(story, "side_effects")
    assert [(e["entity"], e["kind"], e["field"], e["records"]) for e in effects] == [
        ("Account", "UPDATE", "Site", 2)
    ]
    assert asked(story, "strangers") == []


def test_the_last_word_on_a_record_is_its_outcome_with_what_was_written() -> None:
    story = wrecked()
    restored(story, [A1])
    rows = story.connection.execute("SELECT record_id, result, fields FROM restore_records").fetchall()
    assert rows == [(A1, "restored", {"Rating": "Hot"})]


def test_what_is_told_twice_is_kept_once() -> None:
    story = wrecked()
    restored(story, [A1])
    before = story.connection.execute("SELECT count(*) FROM store.restore_records").fetchone()
    restored(story, [A1])
    assert story.connection.execute("SELECT count(*) FROM store.restore_records").fetchone() == before


def test_a_detail_nobody_can_read_is_kept_as_it_came_and_stops_nothing() -> None:
    story = wrecked()
    value = own.encode("decision", {"kind": "restore", "at": 1, "by": "", "detail": "{not json"})
    rest = write_recovery(story.connection, "acme", [Told(own.decode("decision", value), 0, 0)])
    assert [told.values["kind"] for told in rest] == ["restore"]
