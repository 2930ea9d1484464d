"""Baselines of an org that changes underneath, with everything on that makes it unkind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.ports.types import Millis
from connectors.simulator.clock import HOUR_MS
from connectors.simulator.model import Change, Op
from tests.integration.scanning import Between, World, recorded


async def test_after_its_baselines_the_journal_equals_the_org(tmp_path: Path) -> None:
    async with recorded(tmp_path) as world:
        await world.settled(entities=len(world.org.entities))
        for entity in world.org.entities:
            assert world.differences(entity)[:5] == [], entity


def between_pages(world: World, happen: Callable[[], None]) -> None:
    """Once, when the first page of the accounts has been read and the second has not."""
    done: Iterator[int] = iter((1,))

    def at(soql: str, page: int) -> None:
        if " FROM Account " in soql and page == 1 and next(done, None):
            happen()

    org = world.recorder.scheduler.scanner.org
    world.recorder.scheduler.scanner.org = Between(org, at)  # type: ignore[arg-type]


@pytest.mark.parametrize("road", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_what_happens_in_the_middle_of_a_running_baseline_is_right_afterwards(
    road: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Changed, deleted and created records, of the page that was read and of the one that was not."""
    kafka = request.getfixturevalue("kafka") if road == "kafka" else ""
    async with recorded(tmp_path, records=10_100, members=("Account",), started=False, kafka=kafka) as world:
        ids = world.ids()
        assert len(ids) > 2_000
        read, unread = ids[10:20], ids[-20:-10]
        seen: list[int] = []

        def happen() -> None:
            for some in (read, unread):
                world.update(some[:3], Industry="Energy", Name="in the middle")
                world.commit([Change("Account", Op.DELETE, one) for one in some[3:5]])
                world.update(some[5:6], Name="once")
                world.update(some[5:6], Name="twice")
                world.commit([Change("Account", Op.DELETE, some[6])])
                world.commit([Change("Account", Op.UNDELETE, some[6])])
            world.commit([Change("Account", Op.CREATE, None, {"Name": "created in the middle"})])
            seen.append(world.org.clock.now_ms())

        between_pages(world, happen)
        await world.start()
        await world.settled(entities=1)
        assert len(seen) == 1
        assert world.differences()[:5] == []
        assert world.sql("SELECT count(*) FROM changes WHERE kind = 'ABSENT'") == [(0,)]
        changed = {row["record_id"]: row["fields"] for row in world.states().values()}
        assert {changed[one]["Name"] for one in (*read[:3], *unread[:3])} == {"in the middle"}
        for at_ms in (seen[0] - 1_000, seen[0], seen[0] + 10_000):
            assert world.wrong_claims(at_ms)[:5] == [], at_ms
        await world.stop()


@pytest.mark.parametrize("wall_is_off_ms", [-HOUR_MS, HOUR_MS])
async def test_changes_made_before_and_committed_during_it_change_nothing(
    tmp_path: Path, wall_is_off_ms: int
) -> None:
    """Their rows say an hour ago, and this machine's clock is an hour off: no clock decides anything."""
    async with recorded(tmp_path, records=10_100, members=("Account",), started=False) as world:
        ids = world.ids()
        some = [*ids[10:13], *ids[-13:-10]]
        seen: list[int] = []

        def happen() -> None:
            changes = [Change("Account", Op.UPDATE, one, {"Name": "long open"}) for one in some]
            world.commit(changes, changed_before_ms=HOUR_MS)
            seen.append(world.org.clock.now_ms())

        now = world.recorder.clock.wall_ms
        world.recorder.clock = replace(world.recorder.clock, wall_ms=lambda: Millis(now() + wall_is_off_ms))
        between_pages(world, happen)
        await world.start()
        await world.settled(entities=1)
        assert world.differences()[:5] == []
        assert {world.states()[one]["fields"]["Name"] for one in some} == {"long open"}
        for at_ms in (seen[0] - 1_000, seen[0] + 10_000):
            assert world.wrong_claims(at_ms)[:5] == [], at_ms
        await world.stop()


async def test_a_baseline_comes_through_a_session_revoked_an_org_away_and_a_locator_gone(
    tmp_path: Path,
) -> None:
    async with recorded(tmp_path, records=10_100, members=("Account",), started=False) as world:
        faults = world.org.faults

        def happen() -> None:
            faults.set("token_revoked", times=1)
            faults.set("query_error", times=1, code="QUERY_TIMEOUT")
            faults.set("locator_expired", times=1)

        between_pages(world, happen)
        await world.start()
        await world.settled(entities=1)
        assert world.differences()[:3] == []
        states = world.sql(
            "SELECT job_id, arg_max(state, version) FROM store.jobs GROUP BY job_id ORDER BY job_id"
        )
        assert states == [("baseline-Account", "failed"), ("baseline-Account.2", "ended")]
        assert world.sql("SELECT count(*) FROM changes WHERE kind = 'ABSENT'") == [(0,)]
        await world.stop()
