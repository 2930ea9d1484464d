"""Every fault of REST, Bulk, SOAP and OAuth, and what our connector makes of it: one clear error, nothing invented."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import AuthRefused, CdcError, OrgUnavailable
from cdc.ports.orgwriter import RecordWrite, WriteKind
from connectors.simulator.model import Op
from tests.integration.sides import Sides, all_pages, sides


async def read(both: Sides) -> list[Any]:
    cursor = await both.org.bulk.start_bulk_query("SELECT Id FROM Contact")
    pages = await all_pages(both.org.bulk.bulk_pages(cursor, rows_max=20))
    return [row["Id"] for page in pages for row in page.rows]


@pytest.mark.parametrize(
    ("fault", "parameters", "error"),
    [
        ("rate_limit", {}, OrgUnavailable),
        ("rate_limit", {"concurrent": 1, "retry_after": 7}, OrgUnavailable),
        ("html", {}, OrgUnavailable),
        ("html", {"status": 503}, OrgUnavailable),
        ("html", {"path": "/results"}, OrgUnavailable),
        ("unavailable", {"retry_after": 3}, OrgUnavailable),
        ("request_lost", {}, OrgUnavailable),
        ("answer_lost", {"path": "/results"}, OrgUnavailable),
        ("answer_cut", {"path": "/results"}, OrgUnavailable),
        ("answer_cut", {"path": "/jobs/query", "keep": 0.2}, OrgUnavailable),
        ("black_hole", {"ms": 60_000}, OrgUnavailable),
        ("csv_truncated", {}, OrgUnavailable),
        ("job_failed", {}, CdcError),
        ("job_gone", {}, CdcError),
        ("locator_expired", {}, CdcError),
    ],
)
async def test_a_fault_while_reading_is_an_error_that_passes(
    fault: str, parameters: dict[str, Any], error: type[CdcError]
) -> None:
    async with sides(request_timeout_s=1.0) as both:
        await both.org.limits()  # logged in
        # a GET whose connection breaks is sent once more by the HTTP library itself
        times = 2 if fault == "answer_lost" else 1
        await both.control("faults", {"name": fault, "times": times, **parameters})
        with pytest.raises(error) as raised:
            await read(both)
        assert raised.value.what
        assert raised.value.do
        assert await read(both) == both.ids("Contact")


async def test_a_pause_that_the_org_asks_for_is_handed_on() -> None:
    async with sides() as both:
        await both.control("faults", {"name": "rate_limit", "times": 1, "retry_after": 7})
        with pytest.raises(OrgUnavailable) as raised:
            await both.org.limits()
        assert raised.value.retry_after_s == 7


async def test_a_session_that_ends_in_the_middle_is_renewed_without_a_second_write() -> None:
    async with sides() as both:
        ids = both.ids("Case")[:3]
        await both.control("faults", {"name": "session_expired", "path": "/composite/sobjects"})
        await both.control("faults", {"name": "session_expired", "path": "/Soap", "times": 1})
        with pytest.raises(CdcError, match="session"):  # refused again and again: said, not tried for ever
            await both.writer.write(WriteKind.UPDATE, [RecordWrite("Case", ids[0], {"Subject": "x"})])
        both.truth.faults.clear("session_expired")
        await both.org.limits()
        await both.control("faults", {"name": "session_expired", "times": 1, "after": 1})
        for record_id in ids:
            await both.writer.write(WriteKind.UPDATE, [RecordWrite("Case", record_id, {"Subject": "y"})])
        assert [change.record_id for change in both.changes()] == ids


async def test_a_write_whose_answer_is_lost_was_written_and_the_error_does_not_deny_it() -> None:
    """What a restore has to live with: it reads again before it writes again."""
    async with sides() as both:
        [record_id] = both.ids("Case")[:1]
        await both.control("faults", {"name": "answer_lost", "path": "/composite", "times": 1})
        with pytest.raises(OrgUnavailable):
            await both.writer.write(WriteKind.UPDATE, [RecordWrite("Case", record_id, {"Subject": "x"})])
        assert both.value("Case", record_id, "Subject") == "x"
        await both.control("faults", {"name": "request_lost", "path": "/composite", "times": 1})
        with pytest.raises(OrgUnavailable):
            await both.writer.write(WriteKind.UPDATE, [RecordWrite("Case", record_id, {"Subject": "y"})])
        assert both.value("Case", record_id, "Subject") == "x"


@pytest.mark.parametrize("fault", ["html", "answer_cut", "answer_lost", "rate_limit"])
async def test_an_undelete_that_goes_wrong_on_the_way_is_an_error_that_passes(fault: str) -> None:
    async with sides() as both:
        [record_id] = both.ids("Lead")[:1]
        both.commit("Lead", Op.DELETE, [record_id])
        await both.org.limits()
        await both.control("faults", {"name": fault, "path": "/Soap", "times": 1})
        with pytest.raises(OrgUnavailable):
            await both.writer.undelete([record_id])


async def test_a_login_that_is_refused_says_so() -> None:
    async with sides() as both:
        await both.control("faults", {"name": "login_refused", "error": "inactive_user", "times": 1})
        with pytest.raises(AuthRefused, match="inactive_user"):
            await both.org.limits()


async def test_a_slow_org_is_waited_for() -> None:
    async with sides() as both:
        await both.control("faults", {"name": "slow", "ms": 50})
        assert await read(both) == both.ids("Contact")


async def test_writes_are_refused_row_by_row_under_faults_of_rows() -> None:
    async with sides(1_200) as both:
        ids = both.ids("Case")[:100]
        await both.control("faults", {"name": "row_locked", "entity": "Case", "share": 0.3})
        await both.control("faults", {"name": "row_error", "record_id": ids[0], "code": "LIMIT_USAGE_FOR_NS"})
        writes = [RecordWrite("Case", record_id, {"Subject": "x"}) for record_id in ids]
        results = (await both.writer.write(WriteKind.UPDATE, writes)).results
        refused = [result.errors[0].code for result in results if not result.success]
        assert 10 < refused.count("UNABLE_TO_LOCK_ROW") < 60
        assert len(both.changes()) == 100 - len(refused)
