"""Reading by Bulk API 2.0: query jobs, their pages of CSV, and cursors that outlive the process.

A cursor is the address of the next page, `/services/data/v66.0/jobs/query/750…/results?locator=…`; without a
locator it is the first. The API version is part of it, since the org gives results only to the version that
made the job (409 otherwise). Locators stay good as long as the job exists (Bulk API 2.0 guide, "Get Results
for a Query Job"), so a page can be asked for again.

Order of reading one result: wait for the job, then either page after page by `Sforce-Locator`, or, with
`parallel`, several of the addresses of `resultPages` at once, handed on in order. A cursor from the middle of a
result is found again among those addresses, or read page after page.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cdc.errors import BadArgument, CursorExpired, NotFound, OrgUnavailable
from cdc.ports.org import BULK_PAGE_ROWS, BulkProgress, BulkState, Page
from connectors.salesforce.csvrows import csv_rows
from connectors.salesforce.rest import Answer, Raw, Rest, error_of

POLL_FIRST_S = 0.25  # a job of a small entity takes about a second
POLL_MAX_S = 15.0
POLL_GROWTH = 1.6
PARALLEL_MAX = 5  # addresses that one answer of resultPages has

NO_SUCH_RESOURCE = frozenset({400, 404, 405, 501})
"""How an org that does not know resultPages says so; the job itself has been seen to be complete."""

NO_MORE = "null"
"""What Sforce-Locator says at the end."""

_RESULTS = re.compile(
    r"(?P<job>/services/data/v\d+\.\d/jobs/query/(?P<id>[A-Za-z0-9]{15,18}))/results(\?[A-Za-z0-9_.=&%+-]*)?"
)
_PAGES = re.compile(
    r"/services/data/v\d+\.\d/jobs/query/[A-Za-z0-9]{15,18}/resultPages(\?[A-Za-z0-9_.=&%+-]*)?"
)
_PERMANENT = ("MALFORMED_QUERY", "INVALID_FIELD", "INVALID_TYPE", "FUNCTIONALITY", "INVALIDENTITY")


class SalesforceBulk:
    """An `OrgBulk`. Errors: those of the port."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def start_bulk_query(self, soql: str, *, deleted: bool = False) -> str:
        """Make a job; the cursor is before its first row. Errors: BadArgument for a query the org cannot run so."""
        body = {"operation": "queryAll" if deleted else "query", "query": soql}
        answer = await self._rest.call(
            "POST", f"{self._rest.base}/jobs/query", json_body=body, where="bulk query"
        )
        return f"{self._rest.base}/jobs/query/{job_progress(answer, 'bulk query').job_id}/results"

    async def bulk_pages(
        self, cursor: str, *, rows_max: int = BULK_PAGE_ROWS, parallel: int = 1
    ) -> AsyncIterator[Page]:
        """Wait for the job, then its pages behind the cursor, in order."""
        job, where = _job_of(cursor)
        total = await self._wait(job, where)
        addresses: list[str] = []
        if parallel > 1 and total > rows_max:
            addresses = await self._addresses_behind(cursor, job, where)
        pages = (
            self._side_by_side(addresses, total, min(parallel, PARALLEL_MAX), where)
            if len(addresses) > 1
            else self._one_by_one(cursor, total, rows_max, where)
        )
        async for page in pages:
            yield page

    async def bulk_progress(self, cursor: str) -> BulkProgress:
        """Where the job is. Errors: CursorExpired for one that is gone."""
        job, where = _job_of(cursor)
        return await self._progress(job, where)

    async def end_bulk_query(self, cursor: str) -> None:
        """Abort the job if it runs, and delete it with its result."""
        job, where = _job_of(cursor)
        try:
            progress = await self._progress(job, where)
            if not progress.state.ended:
                await self._rest.call("PATCH", job, json_body={"state": "Aborted"}, where=where)
            await self._rest.call("DELETE", job, where=where)
        except (CursorExpired, NotFound):
            return

    async def _progress(self, job: str, where: str) -> BulkProgress:
        try:
            return job_progress(await self._rest.call("GET", job, where=where), where)
        except NotFound as error:
            raise _gone(error.what, where) from None

    async def _wait(self, job: str, where: str) -> int:
        """Until the job is complete; how many rows it has. Errors: CursorExpired, BadArgument for a query that
        can never run."""
        pause_s = POLL_FIRST_S
        while True:
            progress = await self._progress(job, where)
            if progress.state is BulkState.COMPLETE:
                return progress.rows
            if progress.state.ended:
                if any(word in progress.error.upper() for word in _PERMANENT):
                    raise BadArgument(
                        f"the bulk job cannot run the query ({progress.error})",
                        where=where,
                        do="correct what it names, or read the entity by REST",
                    )
                raise _gone(
                    f"the job is {progress.state.value} ({progress.error or 'no reason given'})", where
                )
            await self._rest.clock.sleep(pause_s)
            pause_s = min(POLL_MAX_S, pause_s * POLL_GROWTH)

    async def _one_by_one(self, cursor: str, total: int, rows_max: int, where: str) -> AsyncIterator[Page]:
        at: str | None = cursor
        job, _ = _job_of(cursor)
        while at is not None:
            raw = await self._results(_with_most(at, rows_max), where)
            locator = raw.headers.get("Sforce-Locator", NO_MORE).strip()
            more = None if locator.lower() in ("", NO_MORE) else quote(locator, safe="")
            behind = None if more is None else f"{job}/results?locator={more}"
            if behind is not None and behind == at:
                raise OrgUnavailable("the org names a page as its own next one", where=where)
            at = behind
            yield _page(raw, at, total, where)

    async def _side_by_side(
        self, addresses: Sequence[str], total: int, parallel: int, where: str
    ) -> AsyncIterator[Page]:
        """Pages fetched ahead, given in order. At most `parallel` of them wait in memory."""
        coming: deque[asyncio.Task[Raw]] = deque()
        left = iter(addresses)
        try:
            for at in range(len(addresses)):
                while len(coming) < parallel and (address := next(left, None)) is not None:
                    coming.append(asyncio.create_task(self._results(address, where), name="bulk-page"))
                raw = await coming.popleft()
                behind = addresses[at + 1] if at + 1 < len(addresses) else None
                yield _page(raw, behind, total, where)
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _addresses_behind(self, cursor: str, job: str, where: str) -> list[str]:
        """Every page's address from the cursor on; none where the cursor is not one of them, or the org (before
        version 58) does not know them."""
        addresses: list[str] = []
        more: str | None = f"{job}/resultPages"
        while more is not None:
            answer = await self._rest.attempt("GET", more, where=where)
            if answer.status in NO_SUCH_RESOURCE:
                return []
            if answer.status >= 300:
                raise _result_error(answer, where)
            more = _take_addresses(answer, addresses, where)
        if cursor == f"{job}/results":
            return addresses
        return addresses[addresses.index(cursor) :] if cursor in addresses else []

    async def _results(self, address: str, where: str) -> Raw:
        raw = await self._rest.exchange("GET", address, headers={"Accept": "text/csv"}, where=where)
        if raw.status >= 300:
            raise _result_error(raw.json(where), where)
        if raw.content_type not in ("text/csv", "application/csv"):
            raise OrgUnavailable(
                f"the org's answer is not CSV but {raw.content_type}", where=where, do="look for a proxy"
            )
        return raw


def job_progress(answer: Answer, where: str) -> BulkProgress:
    """What the org says of a job, of either kind. Errors: OrgUnavailable when it says something else."""
    try:
        body: Mapping[str, Any] = answer.body
        return BulkProgress(
            job_id=str(body["id"]),
            state=BulkState(body["state"]),
            rows=int(body.get("numberRecordsProcessed") or 0),
            failed_rows=int(body.get("numberRecordsFailed") or 0),
            error=str(body.get("errorMessage") or ""),
            org_time=answer.org_time,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OrgUnavailable("the org's answer describes no job", where=where) from None


def _job_of(cursor: str) -> tuple[str, str]:
    """The job's path, and how errors name it."""
    match = _RESULTS.fullmatch(cursor)
    if match is None:
        raise BadArgument(
            "this is no cursor of a bulk query", where=cursor[:60], do="begin the query without one"
        )
    return match["job"], f"bulk query {match['id']}"


def _with_most(address: str, rows_max: int) -> str:
    if "maxRecords=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}maxRecords={rows_max}"


def _page(raw: Raw, cursor: str | None, total: int, where: str) -> Page:
    """The rows of an answer. Errors: OrgUnavailable for one that is cut short: it has fewer than it says."""
    rows = csv_rows(raw.content, where)
    said = raw.headers.get("Sforce-NumberOfRecords", "")
    if said.isdigit() and int(said) != len(rows):
        raise OrgUnavailable(
            f"the page has {len(rows)} rows where the org says {said}",
            where=where,
            do="it is read again from the same place",
        )
    return Page(rows=rows, cursor=cursor, total=total, org_time=raw.org_time)


def _take_addresses(answer: Answer, addresses: list[str], where: str) -> str | None:
    """Take the addresses of one answer of resultPages; returns where there are more."""
    try:
        found = [str(page["resultUrl"]) for page in answer.body["resultPages"]]
        done = bool(answer.body["done"])
        # the guide's table says nextRecordUrl, its text nextRecordsUrl
        more = None if done else str(answer.body.get("nextRecordsUrl") or answer.body["nextRecordUrl"])
    except (KeyError, TypeError):
        raise OrgUnavailable("the org's answer lists no pages", where=where) from None
    if not all(_RESULTS.fullmatch(one) for one in found) or (more and not _PAGES.fullmatch(more)):
        raise OrgUnavailable("the org's answer lists pages that are elsewhere", where=where)
    addresses += found
    return more


def _result_error(answer: Answer, where: str) -> Exception:
    if answer.status == 409:
        return _gone("the job was made with another API version", where)
    error = error_of(answer, where)
    return _gone(error.what, where) if isinstance(error, NotFound) else error


def _gone(what: str, where: str) -> CursorExpired:
    return CursorExpired(what, where=where, do="begin the query again with a new job")
