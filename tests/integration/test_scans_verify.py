"""`verify --against-org` finds what published nothing, repairs it, and says so in coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.answer.answers import Answer
from cdc.errors import CdcError, DifferenceFound
from cdc.roles.verification import Verification, strict
from cdc.roles.verified import Depth
from cdc.roles.verifying import _is_due, verify_once
from cdc.serve.questions import QUESTIONS
from connectors.salesforce.query import SalesforceOrg
from connectors.simulator.model import Change, Op
from tests.integration.scanning import World, recorded

MEMBERS = ("Account", "Contact")


async def verified(
    world: World, entities: Sequence[str] = ("Account",), depth: Depth = "fields", **more: Any
) -> Answer:
    def ask(name: str, **given: Any) -> dict[str, Any]:
        with world.journal.reader() as reader:
            return QUESTIONS[name].answer(reader, {k: v for k, v in given.items() if v is not None})

    org = SalesforceOrg(world.session)
    given = {"publish": world.log.publish, "clock": world.recorder.clock, "bulk": org.bulk} | more
    answer = await Verification(ask, org, depth=depth, **given).run(entities)
    await world.settled()
    return answer


def lose_some(world: World) -> dict[str, list[str]]:
    """Changes that publish nothing, each of its own kind, as ids by what was done."""
    ids = world.ids()
    done = {
        "hard deleted": ids[:3],
        "changed": ids[3:6],
        "deleted": ids[6:8],
        "changed and seen again": ids[8:9],
    }
    world.commit([Change("Account", Op.HARD_DELETE, one) for one in done["hard deleted"]])
    again = world.unselected("Account")
    world.update(done["changed"], Name="nobody was told")
    world.update(done["changed and seen again"], Name="nobody was told")
    world.commit([Change("Account", Op.DELETE, one) for one in done["deleted"]])
    created = world.commit([Change("Account", Op.CREATE, None, {"Name": "nobody was told"})])
    done["created"] = list(created.record_ids)
    again()
    world.update(done["changed and seen again"], Industry="Energy")
    return done


async def test_it_finds_what_published_nothing_repairs_it_and_says_when_it_may_have_been(
    tmp_path: Path,
) -> None:
    async with recorded(tmp_path, records=300, members=MEMBERS) as world:
        await world.settled(entities=2)
        before_ms = world.org.clock.now_ms()
        await world.passing()
        done = lose_some(world)
        lost_ms = world.org.clock.now_ms()
        await world.settled()
        found = await verified(world)
        by_record = {row[1] for row in found.rows}
        assert by_record == {one for some in done.values() for one in some}
        with pytest.raises(DifferenceFound, match="10 records differ"):
            strict(found)
        assert world.differences() == []
        assert {s["record_id"] for s in world.stretches("stretch_id LIKE 'verify-%'")} == by_record
        assert {s["status"] for s in world.stretches("stretch_id LIKE 'verify-%'")} == {"repaired"}
        inside = world.states(at_ms=lost_ms)
        assert not any(inside[one]["complete"] for one in by_record if one in inside)
        for at_ms in (before_ms, lost_ms, world.org.clock.now_ms()):
            assert world.wrong_claims(at_ms) == [], at_ms
        assert world.sql("SELECT count(*) FROM changes WHERE kind = 'ABSENT'") == [(3,)]
        # and nothing is found a second time
        again = await verified(world)
        strict(again)
        assert again.rows == []
        assert again.notes[0].endswith("no difference")
        assert len(world.sql("SELECT DISTINCT job_id FROM store.jobs WHERE job_id LIKE 'repair-%'")) == 1


async def test_stamps_alone_find_all_but_what_a_later_event_covers(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=300, members=MEMBERS) as world:
        await world.settled(entities=2)
        world.org.clock.advance(15 * 60_000)  # stamps lie up to ten minutes before their commit
        done = lose_some(world)
        await world.settled()
        found = {row[1] for row in (await verified(world, depth="ids")).rows}
        assert found == {
            one for what, some in done.items() for one in some if what != "changed and seen again"
        }
        rest = {row[1] for row in (await verified(world, depth="fields")).rows}
        assert rest == set(done["changed and seen again"])


async def test_a_report_repairs_nothing(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=300, members=MEMBERS) as world:
        await world.settled(entities=2)
        lose_some(world)
        await world.settled()
        counts = await verified(world, depth="counts", report_only=True)
        assert [(row[0], row[3]) for row in counts.rows] == [("Account", "counts differ: verify by ids")]
        first = await verified(world, report_only=True)
        second = await verified(world, report_only=True)
        assert first.rows == second.rows != []
        assert world.stretches("stretch_id LIKE 'verify-%'") == []


async def test_an_org_that_changes_while_it_is_read_shows_no_difference(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=300, members=MEMBERS) as world:
        await world.settled(entities=2)
        turn = iter(range(10_000))

        def say(_: str) -> None:
            """At every step of the verification something happens."""
            ids = world.ids()
            world.update(ids[next(turn) % 7 :: 7], Name=f"turn {next(turn)}")

        answer = await verified(world, MEMBERS, say=say)
        assert answer.rows == [], answer.rows[:3]
        assert world.differences() == []


async def test_a_verification_is_due_an_interval_after_the_last_one(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=300, members=("Account",)) as world:
        await world.settled(entities=1)
        world.commit([Change("Account", Op.HARD_DELETE, world.ids()[0])])
        now = world.recorder.clock.wall_ms()
        assert not _is_due(world.journal, now, 3_600)
        assert _is_due(world.journal, now + 3_600_000, 3_600)
        found = await verify_once(world.recorder, world.journal, "ids")
        await world.settled()
        assert [row[3] for row in found.rows] == ["deleted"]
        assert b"sf_cdc_verification_differences 1.0" in world.recorder.metrics.text()
        later = world.recorder.clock.wall_ms()
        assert not _is_due(world.journal, later + 3_500_000, 3_600)
        assert world.differences() == []


async def test_an_entity_that_cannot_be_verified_is_no_success(tmp_path: Path) -> None:
    async with recorded(tmp_path, records=300, members=("Account",)) as world:
        await world.settled(entities=1)
        world.org.faults.set("no_permission", entity="Account")
        answer = await verified(world)
        assert "not verified: " in answer.notes[0]
        with pytest.raises(CdcError, match="1 of 1 entities could not be verified"):
            strict(answer)
