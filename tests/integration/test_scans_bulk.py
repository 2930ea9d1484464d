"""Baselines by Bulk API 2.0: pages, resuming from the locator, and REST where Bulk is not allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import BadArgument
from cdc.ports.org import Page
from connectors.simulator.model import Change, Op
from tests.integration.living import running, simulated_org, until, write_settings
from tests.integration.scanning import World, recorded

ROWS = 100


@dataclass
class BulkBetween:
    """An `OrgBulk` that lets something happen between two pages."""

    bulk: Any
    happen: Callable[[int], None]
    started: int = 0
    read: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bulk, name)

    async def start_bulk_query(self, soql: str, **more: Any) -> str:
        self.started += 1
        cursor: str = await self.bulk.start_bulk_query(soql, **more)
        return cursor

    async def bulk_pages(self, cursor: str, **more: Any) -> AsyncIterator[Page]:
        async for page in self.bulk.bulk_pages(cursor, **more):
            self.read += len(page.rows)
            yield page
            self.happen(self.read)


def between(world: World, happen: Callable[[int], None]) -> BulkBetween:
    scanner = world.recorder.scheduler.scanner
    scanner.rows_per_write_max = ROWS
    bulk = BulkBetween(scanner.bulk, happen)
    scanner.bulk = bulk  # type: ignore[assignment]
    return bulk


def binned(world: World) -> list[str]:
    ids = world.ids()[:5]
    world.commit([Change("Account", Op.DELETE, one) for one in ids])
    return ids


async def test_a_bulk_baseline_of_an_org_that_changes_underneath_is_right(tmp_path: Path) -> None:
    async with recorded(
        tmp_path, records=2_500, members=("Account",), started=False, bulk_from_rows=ROWS
    ) as world:
        deleted, ids = binned(world), world.ids()
        moments: list[int] = []

        def happen(read: int) -> None:
            if not moments:
                world.update([*ids[:3], *ids[-3:]], Name="in the middle")
                world.commit([Change("Account", Op.DELETE, one) for one in (ids[5], ids[-5])])
                world.commit([Change("Account", Op.CREATE, None, {"Name": "created in the middle"})])
                moments.append(world.org.clock.now_ms())

        bulk = between(world, happen)
        await world.start()
        await world.settled(entities=1)
        assert bulk.started == 1
        assert bulk.read >= 500
        assert world.differences()[:3] == []
        assert {world.states()[one]["status"] for one in deleted} == {"deleted"}
        assert world.sql("SELECT count(*) FROM changes WHERE kind = 'ABSENT'") == [(0,)]
        assert world.wrong_claims(moments[0]) == []
        await world.stop()


async def test_a_baseline_that_was_stopped_goes_on_from_its_locator(tmp_path: Path) -> None:
    async with recorded(
        tmp_path, records=2_500, members=("Account",), started=False, bulk_from_rows=ROWS
    ) as world:
        first = between(world, lambda read: world._stop.set() if read >= 200 else None)
        await world.start()
        await world.until(
            "it stopped in the middle", lambda: world._running is not None and world._running.done()
        )
        kept = "SELECT count(*) FROM changes WHERE source = 'baseline'"
        await world.until("the journal has what was read", lambda: world.sql(kept) != [(0,)])
        await world.stop()
        assert 0 < first.read < 500
        await world.restart()
        second = between(world, lambda read: None)
        await world.settled(entities=1)
        assert (first.started, second.started) == (1, 0)
        total = len(world.org.entities["Account"].records)
        assert second.read < total
        assert world.sql("SELECT count(DISTINCT record_id), count(DISTINCT scan_id) FROM store.changes") == [
            (total, 1)
        ]
        assert world.differences()[:3] == []
        await world.stop()


async def test_where_bulk_is_not_allowed_the_baseline_goes_by_rest(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), started=False, bulk_from_rows=10) as world:
        bulk = between(world, lambda read: None)

        async def refused(soql: str, **more: Any) -> str:
            raise BadArgument("this user may not do that (API_DISABLED_FOR_ORG)")

        bulk.start_bulk_query = refused  # type: ignore[method-assign]
        await world.start()
        await world.settled(entities=1)
        assert (bulk.read, world.differences()[:3]) == (0, [])
        await world.stop()


@pytest.mark.slow
def test_a_bulk_baseline_outlives_kill_9(tmp_path: Path) -> None:
    """The process is killed while it reads, three times; no read begins again, nothing is lost, nobody is absent."""
    workload = "records = 12000\nknobs = 'cruel'\n"
    with simulated_org(tmp_path, workload) as org:
        settings = write_settings(tmp_path, org)
        text = (tmp_path / "cdc.toml").read_text()
        (tmp_path / "cdc.toml").write_text(text.replace("[log]", "bulk_from_records = 500\n[log]", 1))
        with running(settings, tmp_path) as part:
            read = "SELECT count(DISTINCT entity) FROM changes WHERE source = 'baseline'"
            for entities in (1, 3, 5):
                until("rows come", lambda n=entities: part.sql(read)[0][0] >= n)  # type: ignore[misc]
                part.kill()
                part.start()
            until("it goes on", lambda: part.sql("SELECT count(DISTINCT entity) FROM baselines")[0][0] >= 7)
            assert part.sql("SELECT count(*) FROM changes WHERE kind = 'ABSENT'") == [[0]]
            jobs = part.rows("jobs")
            assert {job["state"] for job in jobs} == {"ended"}
            assert {job["job_id"] for job in jobs} == {f"baseline-{job['entity']}" for job in jobs}
            true = len(list(org.lines("/simulator/truth/state?entity=Account")))
            assert part.sql("SELECT count(DISTINCT record_id) FROM changes WHERE entity = 'Account'") == [
                [true]
            ]
