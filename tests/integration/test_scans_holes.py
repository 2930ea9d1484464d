"""Every hole of the table in one org: found, told, repaired, and what stays unknown stays said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from cdc.answer import questions
from cdc.errors import AnswerIncomplete
from connectors.simulator.clock import HOUR_MS, MINUTE_MS
from connectors.simulator.model import Change, Op
from tests.integration.scanning import World, recorded

ROADS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]
CHANGES, DELETES = 500, 50
RETENTION_MS = 73 * HOUR_MS


def missed(world: World, random: Random) -> list[str]:
    """500 changes of accounts, 50 of them deletes, in an order of their own; the ids that were updated."""
    ids = world.ids()
    random.shuffle(ids)
    gone, purged, changed = ids[: DELETES - 5], ids[DELETES - 5 : DELETES], ids[DELETES:]
    todo = [Change("Account", Op.DELETE, one) for one in gone]
    todo += [Change("Account", Op.HARD_DELETE, one) for one in purged]
    todo += [Change("Account", Op.CREATE, None, {"Name": f"created {n}"}) for n in range(20)]
    updates = [random.choice(changed) for _ in range(CHANGES - len(todo))]
    todo += [Change("Account", Op.UPDATE, one, {"Name": f"missed {n}"}) for n, one in enumerate(updates)]
    random.shuffle(todo)
    for change in todo:
        world.commit([change])
        world.org.clock.advance(random.randrange(5_000))
    return sorted(set(updates))


@pytest.mark.parametrize("road", ROADS)
async def test_an_expired_position_is_told_repaired_and_what_lay_between_stays_unknown(
    road: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kafka = request.getfixturevalue("kafka") if road == "kafka" else ""
    async with recorded(tmp_path, records=1_500, members=("Account", "Contact"), kafka=kafka) as world:
        await world.settled(entities=2)
        world.org.clock.advance(MINUTE_MS)  # surely behind the baselines, whatever the clocks say
        before_ms, known = world.org.clock.now_ms(), world.ids()
        await world.passing()
        await world.stop()
        world.org.clock.advance(HOUR_MS)
        inside_ms = world.org.clock.now_ms()
        updated = missed(world, Random(11))
        world.org.clock.advance(RETENTION_MS)
        await world.restart()
        await world.until("the repairs have ended", lambda: repairs_ended(world, 2))
        await world.settled()
        # state equals the org's
        assert world.differences("Account")[:5] == world.differences("Contact")[:5] == []
        # coverage names the stretch
        [lost] = world.stretches("channel = '/data/ChangeEvents' AND entity IS NULL AND status <> 'live'")
        assert lost["status"] == "repaired"
        assert lost["to_at"] is not None
        parts = world.stretches("entity IS NOT NULL AND stretch_id LIKE '%@%/%'")
        assert {(part["entity"], part["status"]) for part in parts} == {
            ("Account", "repaired"),
            ("Contact", "repaired"),
        }
        # state inside the stretch is incomplete, and nothing wrong is claimed
        claimed = [row for row in world.states(at_ms=inside_ms + MINUTE_MS).values() if row["complete"]]
        assert claimed[:2] == []
        with world.journal.reader() as reader, pytest.raises(AnswerIncomplete):
            questions.state(reader, "Account", at=at(inside_ms + MINUTE_MS)).strict()
        before = world.states(at_ms=before_ms)
        assert {before[one]["incomplete_reason"] for one in known} == {None}
        ended_ms = world.org.clock.now_ms()
        times = [
            *range(before_ms - MINUTE_MS, before_ms + 2 * HOUR_MS, 7 * MINUTE_MS),
            ended_ms - HOUR_MS,
            ended_ms,
        ]
        for at_ms in times:
            assert world.wrong_claims(at_ms)[:5] == [], at_ms
        # history says which in-between values cannot be known
        with world.journal.reader() as reader:
            answer = questions.history(reader, "Account", updated[0])
        last = answer.dicts()[-1]
        assert (last["kind"], last["source"]) == ("REREAD", "reread")
        assert not last["fields"]["Name"]["before"].known
        assert last["fields"]["Name"]["after"].known
        assert [s["status"] for s in answer.stretches] == ["repaired"]
        with world.journal.reader() as reader:
            [story] = questions.coverage(reader, "Account").notes
        assert "was read again at " in story
        assert "the values in between stay unknown" in story


def at(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def repairs_ended(world: World, count: int) -> bool:
    ended = "SELECT count(DISTINCT job_id) FROM store.jobs WHERE job_id LIKE 'repair-%' AND state = 'ended'"
    return bool(world.sql(ended)[0][0] >= count)


async def test_coverage_tells_the_story_in_sentences(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account", "Contact")) as world:
        await world.settled(entities=2)
        world.update(world.ids()[:3], Name="so that the schema is known")
        await world.settled()
        with world.journal.reader() as reader:
            answer = questions.coverage(reader, "Account")
        [story] = answer.notes
        assert story.startswith("Account: read in full first at 2026-08-31T")
        assert "; live on /data/ChangeEvents from 2026-08-31T" in story
        assert "; never held against the org; no hole is known;" in story
        assert "this user may not read Credit_Limit__c, so they are unknown" in story
        assert "no event carries " in story
        assert "LastActivityDate" in story.split("no event carries ")[1]
        assert answer.complete


def statuses(world: World, prefix: str) -> set[str]:
    return {stretch["status"] for stretch in world.stretches(f"stretch_id LIKE '{prefix}%'")}


async def test_gap_events_are_read_again_by_their_ids_and_an_overflow_by_its_entity(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=600, members=("Account", "Contact")) as world:
        await world.settled(entities=2)
        ids, kind = world.ids(), world.org.knobs
        world.org.knobs = replace(kind, gap_share=1.0)
        world.update(ids[:4], Name="in a gap")
        world.commit([Change("Account", Op.DELETE, one) for one in ids[4:6]])
        world.org.knobs = replace(kind, gap_share=0.0, overflow_changes_max=3)
        world.commit([Change("Account", Op.UPDATE, one, {"Name": "in an overflow"}) for one in ids[10:20]])
        hidden_ms = world.org.clock.now_ms()
        world.org.knobs = replace(kind, gap_share=0.0)
        await world.until(
            "the overflow is seen", lambda: world.sql("SELECT 1 FROM changes WHERE kind = 'GAP_OVERFLOW'")
        )
        await world.settled()
        assert world.differences()[:3] == []
        assert statuses(world, "gap-") == {"repaired"}
        reads = {
            job["job_id"]: len(job["record_ids"]) for job in world.requested if job["entity"] == "Account"
        }
        assert 0 in reads.values()  # the whole entity, for the overflow
        for at_ms in (hidden_ms - 1_000, hidden_ms, world.org.clock.now_ms()):
            assert world.wrong_claims(at_ms) == [], at_ms


async def test_events_of_an_unknown_schema_hide_their_records_until_the_schema_is_known(
    tmp_path: Path,
) -> None:
    async with recorded(tmp_path, members=("Account", "Contact"), started=False) as world:
        world.org.faults.set("schema_unknown")
        await world.start()
        await world.settled(entities=2)
        some = world.ids()[:3]
        world.update(some, Name="of a new schema")
        put_aside = "SELECT count(*) FROM quarantine WHERE decoded_at IS NULL"
        await world.until("they are put aside", lambda: world.sql(put_aside)[0][0] >= 3)
        named = "SELECT DISTINCT unnest(record_ids) AS r FROM quarantine ORDER BY r"
        assert [one for (one,) in world.sql(named)] == some
        world.org.faults.clear("schema_unknown")
        await world.until("they are read", lambda: world.sql(put_aside) == [(0,)])
        await world.settled()
        events = "SELECT DISTINCT record_id FROM changes WHERE source = 'pubsub' AND kind = 'UPDATE' ORDER BY record_id"
        assert [one for (one,) in world.sql(events)] == some
        assert world.differences()[:3] == []
        assert statuses(world, "unread-") == {"repaired"}


async def test_an_event_cut_short_behind_its_header_costs_its_records_a_re_read(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account", "Contact")) as world:
        await world.settled(entities=2)
        some = world.ids()[:2]
        world.org.faults.set("payload_cut", entity="Account", keep=150, times=2)
        world.update(some, Name="cut short")
        await world.until(
            "both are put aside", lambda: world.sql("SELECT count(*) FROM quarantine")[0][0] >= 2
        )
        cut_ms = world.org.clock.now_ms()
        await world.settled()
        assert world.differences()[:3] == []
        assert statuses(world, "unread-") == {"repaired"}
        assert {s["record_id"] for s in world.stretches("stretch_id LIKE 'unread-%'")} == set(some)
        assert world.wrong_claims(cut_ms) == []


async def test_a_formula_which_no_event_carries_is_named_and_stays_unknown(tmp_path: Path) -> None:
    """Its value would be stale after the next change of what it is made of: unknown, and neither null nor an old one."""
    async with recorded(tmp_path, members=("Account",), started=False) as world:
        world.org.change_schema("Account", add=["Score__c Number formula"])
        await world.start()
        await world.settled(entities=1)
        created = world.commit([Change("Account", Op.CREATE, None, {"Name": "new"})])
        world.update(world.ids()[:2], Industry="Energy")
        await world.settled()
        assert created
        states = world.states()
        assert len(states) == len(world.ids())
        assert {"Score__c" in row["fields"] for row in states.values()} == {False}
        assert {row["incomplete_reason"] for row in states.values()} == {None}
        assert None not in {row["known_since"] for row in states.values()}
        with world.journal.reader() as reader:
            [story] = questions.coverage(reader, "Account").notes
        assert "Score__c" in story.split("no event carries ")[1].split(", so they are not recorded")[0]
