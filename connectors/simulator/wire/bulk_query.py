"""Query jobs of Bulk API 2.0: CSV results in pages, by locator or several addresses at once.

A job reads its rows in steps, while the org goes on (unless its pages are snapshots). What it has read stays as
it is: a locator gives the same rows again for as long as the job exists.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass, field

from aiohttp import web

from connectors.simulator.bulk_csv import (
    DELIMITERS,
    LINE_ENDINGS,
    bulk_query,
    csv_text,
    flat_rows,
    refuse_compounds,
)
from connectors.simulator.errors import OrgError
from connectors.simulator.queries import Rows
from connectors.simulator.wire.answers import SESSION, client_of, json_answer, json_object, version_of
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.jobs import ROWS_A_BATCH, Job, Jobs, known

STEP_ROWS = 2_000  # between two turns of the event loop
ADDRESSES_MAX = 5


@dataclass(slots=True)
class QueryJob(Job):
    """`rows` are the lines of the result as texts, `columns` its header."""

    soql: str = ""
    columns: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)


class BulkQueries:
    """Handlers of /jobs/query."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.jobs: Jobs[QueryJob] = Jobs(wire)

    def routes(self) -> list[web.RouteDef]:
        """Where query jobs live."""
        at = "/services/data/v{version}/jobs/query"
        one = f"{at}/{{job}}"
        return [
            web.post(at, self.create),
            web.post(f"{at}/", self.create),
            web.get(at, self.all),
            web.get(f"{at}/", self.all),
            web.get(one, self.read),
            web.get(f"{one}/", self.read),
            web.patch(one, self.change),
            web.patch(f"{one}/", self.change),
            web.delete(one, self.delete),
            web.delete(f"{one}/", self.delete),
            web.get(f"{one}/results", self.results),
            web.get(f"{one}/results/", self.results),
            web.get(f"{one}/resultPages", self.pages),
            web.get(f"{one}/resultPages/", self.pages),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """A new job; it begins by itself. Raises what is wrong with the query."""
        body = await json_object(request)
        operation, soql = str(body.get("operation", "")), str(body.get("query", ""))
        if operation not in ("query", "queryAll"):
            raise OrgError("INVALIDJOB", f"{operation!r} is no operation of a query job")
        org = self._wire.org
        query = bulk_query(soql)
        shape = org.shape(query.entity, as_user=request[SESSION].user_id)
        refuse_compounds(query, shape)
        rows = org.query(soql, include_deleted=operation == "queryAll", as_user=request[SESSION].user_id)
        org.usage.count_query_job()
        job = QueryJob(
            id=self.jobs.new_id(),
            object=shape.entity.name,
            operation=operation,
            user_id=request[SESSION].user_id,
            version=version_of(request),
            created_at=org.clock.now_ms(),
            client=client_of(request),
            delimiter=known(body, "columnDelimiter", "COMMA", DELIMITERS),
            line_ending=known(body, "lineEnding", "LF", LINE_ENDINGS),
            soql=soql,
            columns=rows.columns,
        )
        self.jobs.start(self.jobs.add(job), self._run(job, rows))
        return json_answer(job.described())

    async def all(self, request: web.Request) -> web.Response:
        """Every query job."""
        return json_answer(self.jobs.listed(request))

    async def read(self, request: web.Request) -> web.Response:
        """One job and how far it is."""
        job = self.jobs.find(request)
        more = {"jobType": "V2Query", "isPkChunkingSupported": True}
        return json_answer({**job.described(), **job.figures(), **more})

    async def change(self, request: web.Request) -> web.Response:
        """Abort."""
        job = self.jobs.find(request)
        if (await json_object(request)).get("state") != "Aborted":
            raise OrgError("INVALIDJOBSTATE", "A query job can only be aborted")
        if not job.ended:
            self.jobs.move(job, "Aborted")
        return json_answer({**job.described(), **job.figures()})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the job and its result."""
        self.jobs.remove(self.jobs.find(request))
        return web.Response(status=204)

    async def results(self, request: web.Request) -> web.Response:
        """A page of CSV, at most `maxRecords` rows, from `locator` on."""
        job = self._complete(request)
        asked = request.query.get("maxRecords", "")
        count = int(asked) if asked.isdigit() and int(asked) else self._wire.options.bulk_page_rows
        locator = request.query.get("locator", "")
        start = _offset(locator, len(job.rows)) if locator else 0
        if self._wire.org.faults.take("locator_expired") is not None:
            raise OrgError("INVALIDLOCATOR", "The locator is invalid or has expired.")
        rows = job.rows[start : start + count]
        end = start + len(rows)
        text = csv_text([job.columns, *rows], job.delimiter, job.line_ending)
        response = web.Response(text=self._cut(text), content_type="text/csv", charset="utf-8")
        response.headers["Sforce-NumberOfRecords"] = str(len(rows))
        response.headers["Sforce-Locator"] = _locator(end) if end < len(job.rows) else "null"
        return response

    async def pages(self, request: web.Request) -> web.Response:
        """Up to five addresses that may be asked for at the same time, and where there are more."""
        job = self._complete(request)
        at = f"/services/data/v{version_of(request)}/jobs/query/{job.id}"
        size = self._wire.options.bulk_page_rows
        first = _offset(request.query["locator"], len(job.rows)) if "locator" in request.query else 0
        starts = list(range(first, max(1, len(job.rows)), size))
        answer = {
            "resultPages": [
                {"resultUrl": f"{at}/results?locator={_locator(start)}&maxRecords={size}"}
                for start in starts[:ADDRESSES_MAX]
            ],
            "done": len(starts) <= ADDRESSES_MAX,
        }
        if len(starts) > ADDRESSES_MAX:
            answer["nextRecordsUrl"] = f"{at}/resultPages?locator={_locator(starts[ADDRESSES_MAX])}"
        return json_answer(answer)

    def _complete(self, request: web.Request) -> QueryJob:
        job = self.jobs.get(request)
        if job.state != "JobComplete":
            raise OrgError("INVALIDJOBSTATE", f"The job has no results: its state is {job.state}")
        return job

    def _cut(self, text: str) -> str:
        fault = self._wire.org.faults.take("csv_truncated")
        return text if fault is None else text[: int(len(text) * float(fault.parameters.get("keep", 0.5)))]

    async def _run(self, job: QueryJob, rows: Rows) -> None:
        await self.jobs.pause()
        fault = self._wire.org.faults.take("job_failed", operation=job.operation)
        for start in range(0, rows.total, STEP_ROWS):
            if job.ended:
                return
            if fault is not None and start >= int(fault.parameters.get("after", 0)):
                break
            self.jobs.move(job, "InProgress")
            job.rows += flat_rows(rows.page(start, STEP_ROWS), job.columns)
            job.processed = len(job.rows)
            await asyncio.sleep(0)
            if (start + STEP_ROWS) % ROWS_A_BATCH == 0:
                await self.jobs.pause()
        if job.ended:
            return
        if fault is not None:
            job.rows.clear()
            self.jobs.move(
                job, "Failed", str(fault.parameters.get("error", "InternalServerError : retries exhausted"))
            )
            return
        job.processed = len(job.rows)
        self.jobs.move(job, "JobComplete")


def _locator(offset: int) -> str:
    return base64.urlsafe_b64encode(f"r{offset}".encode()).decode().rstrip("=")


def _offset(locator: str, rows: int) -> int:
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
        offset = int(text.removeprefix("r"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        offset = -1
    if not 0 <= offset <= rows:
        raise OrgError("INVALIDLOCATOR", "The locator is invalid or has expired.")
    return offset
