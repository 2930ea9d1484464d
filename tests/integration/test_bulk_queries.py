"""Reading by bulk jobs: our connector and the simulated org, which share no code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.errors import AuthRefused, BadArgument, CursorExpired, OrgUnavailable
from cdc.ports.org import BulkState, EntityDescription, OrgBulk
from connectors.simulator.clock import DAY_MS
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Op
from tests.integration.sides import Sides, all_pages, sides


def is_the_port(sides: Sides) -> OrgBulk:
    return sides.org.bulk


async def described(both: Sides, entity: str) -> tuple[EntityDescription, str]:
    """The description, and the query of every field."""
    description = await both.org.describe(entity)
    names = ", ".join(field.name for field in description.fields if not field.is_compound)
    return description, f"SELECT {names} FROM {entity}"


@pytest.mark.parametrize("entity", ["Account", "Contact", "Opportunity", "Case", "Shipment__c", "User"])
async def test_a_bulk_job_gives_the_same_states_as_a_query(entity: str) -> None:
    async with sides() as both:
        description, soql = await described(both, entity)
        by_query = both.states(description, await all_pages(both.org.query(soql)))
        cursor = await both.org.bulk.start_bulk_query(soql)
        by_job = both.states(description, await all_pages(both.org.bulk.bulk_pages(cursor)))
        assert by_job == by_query
        assert len(by_job) == len(both.ids(entity)) > 0


@pytest.mark.parametrize("parallel", [1, 4])
async def test_pages_come_in_order_and_each_names_the_next(parallel: int) -> None:
    async with sides(900, bulk_page_rows=20) as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Contact")
        pages = await all_pages(both.org.bulk.bulk_pages(cursor, rows_max=20, parallel=parallel))
        ids = [row["Id"] for page in pages for row in page.rows]
        assert ids == both.ids("Contact")
        assert len(pages) > 8
        assert {page.total for page in pages} == {len(ids)}
        assert pages[-1].cursor is None
        assert all(page.cursor for page in pages[:-1])


@pytest.mark.parametrize("parallel", [1, 3])
async def test_a_read_goes_on_behind_the_page_whose_cursor_was_kept(parallel: int) -> None:
    """Another process has nothing but the cursor."""
    async with sides(900, bulk_page_rows=50) as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Contact")
        stream = both.org.bulk.bulk_pages(cursor, rows_max=50, parallel=parallel)
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        rest = await all_pages(both.org.bulk.bulk_pages(first.cursor or "", rows_max=50, parallel=parallel))
        assert [row["Id"] for page in (first, *rest) for row in page.rows] == both.ids("Contact")


async def test_the_recycle_bin_and_the_archive_are_read_when_asked_for() -> None:
    async with sides() as both:
        gone, old, purged = both.ids("Lead")[:3]
        both.commit("Lead", Op.DELETE, [gone])
        both.commit("Lead", Op.HARD_DELETE, [purged])
        await both.control("archive", {"entity": "Lead", "record_ids": [old]})
        description, soql = await described(both, "Lead")
        found = {}
        for deleted in (False, True):
            cursor = await both.org.bulk.start_bulk_query(soql, deleted=deleted)
            pages = await all_pages(both.org.bulk.bulk_pages(cursor))
            found[deleted] = both.states(description, pages)
        assert set(found[True]) - set(found[False]) == {gone, old}
        assert found[True][gone].is_deleted
        assert not found[True][old].is_deleted
        assert purged not in found[True]


async def test_a_job_reads_on_while_the_org_changes_and_then_stays_as_it_is() -> None:
    async with sides(8_000, replace(Knobs.kind(), pages_are_snapshots=False, bulk_job_ms=1)) as both:
        ids = both.ids("Opportunity")
        cursor = await both.org.bulk.start_bulk_query("SELECT Id, NextStep FROM Opportunity")
        both.commit("Opportunity", Op.UPDATE, ids[-50:], NextStep="changed underneath")
        pages = await all_pages(both.org.bulk.bulk_pages(cursor, rows_max=500))
        steps = {row["Id"]: row["NextStep"] for page in pages for row in page.rows}
        assert all(steps[record_id] == "changed underneath" for record_id in ids[-50:])
        both.commit("Opportunity", Op.UPDATE, ids[:50], NextStep="too late")
        again = await all_pages(both.org.bulk.bulk_pages(cursor, rows_max=500))
        assert [page.rows for page in again] == [page.rows for page in pages]


async def test_every_page_carries_an_org_time_from_after_the_job_had_ended() -> None:
    async with sides() as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Case")
        [page] = await all_pages(both.org.bulk.bulk_pages(cursor))
        ended = await both.org.bulk.bulk_progress(cursor)
        assert ended.state is BulkState.COMPLETE
        assert ended.rows == len(page.rows)
        assert page.org_time >= both.simulator.org.started_at // 1000 * 1000


@pytest.mark.parametrize(
    "soql", ["SELECT Nothing__c FROM Account", "SELECT BillingAddress FROM Account", "SELECT Id FROM"]
)
async def test_a_query_that_no_job_can_run_is_refused_at_once(soql: str) -> None:
    async with sides() as both:
        with pytest.raises(BadArgument):
            await both.org.bulk.start_bulk_query(soql)


async def test_a_failed_aborted_or_forgotten_job_means_to_begin_again() -> None:
    async with sides() as both:
        bulk = both.org.bulk
        both.truth.faults.set("job_failed", times=1)
        failed = await bulk.start_bulk_query("SELECT Id FROM Case")
        with pytest.raises(CursorExpired, match="retries exhausted"):
            await all_pages(bulk.bulk_pages(failed))
        deleted = await bulk.start_bulk_query("SELECT Id FROM Case")
        await bulk.end_bulk_query(deleted)
        await bulk.end_bulk_query(deleted)  # twice is no error
        with pytest.raises(CursorExpired):
            await all_pages(bulk.bulk_pages(deleted))
        old = await bulk.start_bulk_query("SELECT Id FROM Case")
        await all_pages(bulk.bulk_pages(old))
        both.truth.clock.advance(8 * DAY_MS)
        with pytest.raises(CursorExpired):
            await all_pages(bulk.bulk_pages(old))


async def test_a_locator_that_is_gone_and_another_api_version_mean_to_begin_again() -> None:
    async with sides(900) as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Contact")
        stream = both.org.bulk.bulk_pages(cursor, rows_max=50)
        page = await anext(stream)
        both.truth.faults.set("locator_expired", times=1)
        with pytest.raises(CursorExpired):
            await anext(stream)
        other = (page.cursor or "").replace("v66.0", "v65.0")
        with pytest.raises(CursorExpired, match="API version"):
            await all_pages(both.org.bulk.bulk_pages(other))


async def test_a_page_that_is_cut_short_is_never_taken_for_whole() -> None:
    async with sides(900) as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id, Email FROM Contact")
        for keep in (0.0, 0.3, 0.999):
            both.truth.faults.set("csv_truncated", keep=keep, times=1)
            with pytest.raises(OrgUnavailable):
                await all_pages(both.org.bulk.bulk_pages(cursor))
        assert sum(len(p.rows) for p in await all_pages(both.org.bulk.bulk_pages(cursor))) == len(
            both.ids("Contact")
        )


async def test_a_session_that_ends_in_the_middle_of_a_job_is_renewed() -> None:
    async with sides(900) as both:
        cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Contact")
        ids = []
        async for page in both.org.bulk.bulk_pages(cursor, rows_max=50):
            ids += [row["Id"] for row in page.rows]
            both.truth.faults.set("token_revoked", times=1)
        assert ids == both.ids("Contact")


async def test_the_orgs_allowance_of_jobs_is_an_error_that_passes() -> None:
    async with sides(knobs=replace(Knobs.kind(), bulk_query_jobs_max=1)) as both:
        await both.org.bulk.start_bulk_query("SELECT Id FROM Case")
        with pytest.raises(OrgUnavailable, match="24 hours"):
            await both.org.bulk.start_bulk_query("SELECT Id FROM Case")
        with pytest.raises((BadArgument, AuthRefused)):
            await all_pages(both.org.bulk.bulk_pages("https://example.com/steal"))
