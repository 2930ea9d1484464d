"""Bulk API 1.0, which clients in wide use still speak: jobs of batches, in CSV or JSON, control in XML or JSON.

A batch is worked on as soon as it is there, 200 rows a transaction. Control answers are JSON where the request says
it is JSON, else XML; data is in the job's own format. Dates in JSON are epoch milliseconds, as this version has them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from aiohttp import web

from connectors.simulator.bulk_csv import bulk_query, csv_table, csv_text, flat_rows, refuse_compounds
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id
from connectors.simulator.rows import date_time_text
from connectors.simulator.saving import Caller, Saved
from connectors.simulator.soql_conditions import date_ms, datetime_ms
from connectors.simulator.wire.answers import client_of
from connectors.simulator.wire.bulk_rows import OPERATIONS, RowReader, row_error
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session
from connectors.simulator.wire.soap_xml import local_name, value_xml

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
QUERIES = ("query", "queryAll")
CHUNK_ROWS = 200
BATCH_ROWS_MAX = 10_000
JOBS_MAX = 200


@dataclass(slots=True)
class Batch:
    """One batch: what was sent, and what became of it."""

    id: str
    content: bytes
    state: str = "Queued"
    message: str = ""
    processed: int = 0
    failed: int = 0
    result: str = ""  # of a query, in the job's format
    result_id: str = ""
    saved: list[Saved] = field(default_factory=list)


@dataclass(slots=True)
class Job:
    """One job of several batches."""

    id: str
    entity: str
    operation: str
    content_type: str
    session: Session
    version: str
    client: str
    created_at: int
    external_id: str = ""
    assigns: bool = False
    state: str = "Open"
    batches: dict[str, Batch] = field(default_factory=dict)
    works: set[asyncio.Task[None]] = field(default_factory=set)


class BulkOne:
    """Handlers of /services/async."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._org = wire.org
        self._jobs: dict[str, Job] = {}
        self._count = 0

    def routes(self) -> list[web.RouteDef]:
        """Where jobs of this version live."""
        at = "/services/async/{version}/job"
        batch = f"{at}/{{job}}/batch"
        return [
            web.post(at, self._refusing(self.create)),
            web.get(f"{at}/{{job}}", self._refusing(self.read)),
            web.post(f"{at}/{{job}}", self._refusing(self.change)),
            web.post(batch, self._refusing(self.add)),
            web.get(batch, self._refusing(self.all)),
            web.get(f"{batch}/{{batch}}", self._refusing(self.read_batch)),
            web.get(f"{batch}/{{batch}}/request", self._refusing(self.sent)),
            web.get(f"{batch}/{{batch}}/result", self._refusing(self.results)),
            web.get(f"{batch}/{{batch}}/result/{{result}}", self._refusing(self.rows)),
        ]

    async def close(self) -> None:
        """End the work that is under way."""
        works = [work for job in self._jobs.values() for work in job.works]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    def _refusing(self, handler: Any) -> Any:
        """Sessions, counting, and refusals in this version's words."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                self._wire.count_call(request.path)
                answer: web.StreamResponse = await handler(request, self._session(request))
            except OrgError as error:
                body = {"exceptionCode": _code(error), "exceptionMessage": error.message}
                return _control(request, "error", body, status=400)
            return answer

        return handle

    def _session(self, request: web.Request) -> Session:
        token = (
            request.headers.get("X-SFDC-Session")
            or request.headers.get("Authorization", "").rpartition(" ")[2]
        )
        session = self._wire.session(token, request.path)
        if session is None:
            raise OrgError("INVALID_SESSION_ID", "Invalid session id")
        return session

    async def create(self, request: web.Request, session: Session) -> web.Response:
        """A new job."""
        body = _body(await request.read())
        operation, entity = str(body.get("operation", "")), str(body.get("object", ""))
        content_type = str(body.get("contentType") or "XML")
        if operation not in (*OPERATIONS, *QUERIES):
            raise OrgError("InvalidJob", f"Unable to find operation {operation}")
        if content_type not in ("CSV", "JSON"):
            raise OrgError("InvalidJob", f"The simulated org takes CSV and JSON, not {content_type}")
        if operation == "hardDelete" and not self._org.knobs.hard_delete_allowed:
            raise OrgError(
                "FeatureNotEnabled", "hardDelete operation requires special user profile permission"
            )
        entity = self._org.entity(entity).name
        job = Job(
            id=self._new_id("750"),
            entity=entity,
            operation=operation,
            content_type=content_type,
            session=session,
            version=request.match_info["version"],
            client=client_of(request),
            created_at=self._org.clock.now_ms(),
            external_id=str(body.get("externalIdFieldName") or ""),
            assigns=bool(body.get("assignmentRuleId")),
        )
        if operation == "upsert":
            self._org.with_external_id(entity, job.external_id, "")
        self._jobs[job.id] = job
        while len(self._jobs) > JOBS_MAX:
            del self._jobs[next(iter(self._jobs))]
        return _control(request, "jobInfo", self._job_info(job), status=201)

    async def read(self, request: web.Request, session: Session) -> web.Response:
        """One job."""
        return _control(request, "jobInfo", self._job_info(self._job(request)))

    async def change(self, request: web.Request, session: Session) -> web.Response:
        """Close or abort."""
        job = self._job(request)
        state = str(_body(await request.read()).get("state", ""))
        if state not in ("Closed", "Aborted") or job.state != "Open":
            raise OrgError("InvalidJobState", f"A job that is {job.state} cannot become {state}")
        job.state = state
        return _control(request, "jobInfo", self._job_info(job))

    async def add(self, request: web.Request, session: Session) -> web.Response:
        """A batch, worked on at once."""
        job = self._job(request)
        if job.state != "Open":
            raise OrgError("InvalidJobState", f"The job is {job.state}")
        batch = Batch(self._new_id("751"), await request.read())
        self._org.usage.count_batches(1)
        job.batches[batch.id] = batch
        work = asyncio.create_task(self._run(job, batch), name=f"bulk-{batch.id}")
        job.works.add(work)
        work.add_done_callback(job.works.discard)
        return _control(request, "batchInfo", self._batch_info(job, batch), status=201)

    async def all(self, request: web.Request, session: Session) -> web.Response:
        """Every batch of a job."""
        job = self._job(request)
        infos = [self._batch_info(job, batch) for batch in job.batches.values()]
        return _control(request, "batchInfoList", {"batchInfo": infos})

    async def read_batch(self, request: web.Request, session: Session) -> web.Response:
        """One batch."""
        job, batch = self._batch(request)
        return _control(request, "batchInfo", self._batch_info(job, batch))

    async def sent(self, request: web.Request, session: Session) -> web.Response:
        """What the batch was sent as."""
        job, batch = self._batch(request)
        return _data(job, batch.content.decode())

    async def results(self, request: web.Request, session: Session) -> web.Response:
        """What became of each row, in order; of a query, where its rows are."""
        job, batch = self._batch(request)
        if batch.state not in ("Completed", "Failed"):
            raise OrgError("InvalidBatch", f"Batch not completed: it is {batch.state}")
        if job.operation in QUERIES:
            if job.content_type == "JSON":
                return _data(job, json.dumps([batch.result_id]))
            text = f'<result-list xmlns="{NAMESPACE}"><result>{batch.result_id}</result></result-list>'
            return _answer(text, "application/xml")
        if job.content_type == "JSON":
            return _data(job, json.dumps([_result(one) for one in batch.saved]))
        lines = [["Id", "Success", "Created", "Error"], *(_result_row(one) for one in batch.saved)]
        return _data(job, csv_text(lines, "COMMA", "LF"))

    async def rows(self, request: web.Request, session: Session) -> web.Response:
        """The rows of a query."""
        job, batch = self._batch(request)
        if request.match_info["result"] != batch.result_id:
            raise OrgError("InvalidBatch", "Unable to find the result")
        return _data(job, batch.result)

    async def _run(self, job: Job, batch: Batch) -> None:
        await asyncio.sleep(self._org.knobs.bulk_job_ms / 1000)
        batch.state = "InProgress"
        try:
            if self._org.faults.take("job_failed", operation=job.operation) is not None:
                raise OrgError("InternalServerError", "retries exhausted")
            if job.operation in QUERIES:
                self._query(job, batch)
            else:
                await self._save(job, batch)
        except OrgError as error:
            batch.state, batch.message = "Failed", f"{error.code} : {error.message}"
            return
        batch.state = "Completed"

    def _query(self, job: Job, batch: Batch) -> None:
        soql = batch.content.decode()
        query = bulk_query(soql)
        shape = self._org.shape(query.entity, as_user=job.session.user_id)
        refuse_compounds(query, shape)
        rows = self._org.query(soql, include_deleted=job.operation == "queryAll", as_user=job.session.user_id)
        found = rows.all()
        batch.processed, batch.result_id = len(found), self._new_id("752")
        if job.content_type == "CSV":
            batch.result = csv_text([rows.columns, *flat_rows(found, rows.columns)], "COMMA", "LF")
            return
        stamps = {one: shape.resolve(one).described for one in rows.columns if "." not in one}
        batch.result = json.dumps([_with_stamps(row, stamps) for row in found])

    async def _save(self, job: Job, batch: Batch) -> None:
        rows = _rows(job, batch.content)
        if len(rows) > BATCH_ROWS_MAX:
            raise OrgError("ClientInputError", f"A batch has at most {BATCH_ROWS_MAX} records")
        intake = self._org.intake(job.entity)
        caller = Caller(
            user_id=job.session.user_id,
            origin=f"com/salesforce/api/bulkapi/{job.version}",
            client=job.client,
            assigns=job.assigns,
        )
        for at in range(0, len(rows), CHUNK_ROWS):
            reader = RowReader(self._org, job.operation, intake, job.external_id)
            read = reader.from_csv if job.content_type == "CSV" else reader.from_json
            saved = self._org.saver.save([read(row) for row in rows[at : at + CHUNK_ROWS]], caller)
            batch.saved += saved
            batch.processed += len(saved)
            batch.failed += sum(1 for one in saved if one.error is not None)
            await asyncio.sleep(0)

    def _job(self, request: web.Request) -> Job:
        job = self._jobs.get(request.match_info["job"])
        if job is None:
            raise OrgError("InvalidJob", "Unable to find object in map")
        return job

    def _batch(self, request: web.Request) -> tuple[Job, Batch]:
        job = self._job(request)
        batch = job.batches.get(request.match_info["batch"])
        if batch is None:
            raise OrgError("InvalidBatch", "Unable to find object in map")
        return job, batch

    def _new_id(self, prefix: str) -> str:
        self._count += 1
        return record_id(prefix, "Sm01", self._count)

    def _job_info(self, job: Job) -> dict[str, Any]:
        batches = list(job.batches.values())
        states = [batch.state for batch in batches]
        made: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.entity,
            "createdById": job.session.user_id,
            "createdDate": date_time_text(job.created_at),
            "systemModstamp": date_time_text(self._org.clock.now_ms()),
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": job.content_type,
            "numberBatchesQueued": states.count("Queued"),
            "numberBatchesInProgress": states.count("InProgress"),
            "numberBatchesCompleted": states.count("Completed"),
            "numberBatchesFailed": states.count("Failed"),
            "numberBatchesTotal": len(states),
            "numberRecordsProcessed": sum(batch.processed for batch in batches),
            "numberRetries": 0,
            "apiVersion": float(job.version),
            "numberRecordsFailed": sum(batch.failed for batch in batches),
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }
        if job.external_id:
            made["externalIdFieldName"] = job.external_id
        return made

    def _batch_info(self, job: Job, batch: Batch) -> dict[str, Any]:
        now = date_time_text(self._org.clock.now_ms())
        made: dict[str, Any] = {
            "id": batch.id,
            "jobId": job.id,
            "state": batch.state,
            "createdDate": now,
            "systemModstamp": now,
            "numberRecordsProcessed": batch.processed,
            "numberRecordsFailed": batch.failed,
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }
        if batch.message:
            made["stateMessage"] = batch.message
        return made


def _body(content: bytes) -> dict[str, Any]:
    """A control request, JSON or XML."""
    try:
        if content.lstrip().startswith(b"<"):
            if b"<!" in content:
                raise ValueError("a document type")
            root = ElementTree.fromstring(content)  # noqa: S314 - no document type, see above
            return {local_name(one): (one.text or "").strip() for one in root}
        body = json.loads(content)
    except (ValueError, ElementTree.ParseError):
        body = None
    if not isinstance(body, dict):
        raise OrgError("InvalidJob", "The request is neither JSON nor XML of a job")
    return body


def _rows(job: Job, content: bytes) -> list[Any]:
    if job.content_type == "CSV":
        ending = "CRLF" if b"\r\n" in content.partition(b"\n")[0] + b"\n" else "LF"
        header, table = csv_table(content, "COMMA", ending)
        return [dict(zip(header, row, strict=True)) for row in table]
    try:
        rows = json.loads(content)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OrgError("InvalidBatch", "The batch is not a list of JSON objects")
    return rows


def _with_stamps(row: Mapping[str, Any], described: Mapping[str, str]) -> dict[str, Any]:
    made = dict(row)
    for name, kind in described.items():
        value = made.get(name)
        if isinstance(value, str) and kind in ("datetime", "date"):
            made[name] = datetime_ms(value) if kind == "datetime" else date_ms(value)
    return made


def _result(saved: Saved) -> dict[str, Any]:
    errors = []
    if saved.error is not None:
        error = saved.error
        detail = {"message": error.message, "fields": list(error.fields), "statusCode": error.code}
        errors.append({**detail, "extendedErrorDetails": None})
    good = saved.error is None
    return {
        "success": good,
        "created": saved.created,
        "id": saved.record_id if good else None,
        "errors": errors,
    }


def _result_row(saved: Saved) -> list[str]:
    if saved.error is not None:
        return ["", "false", "false", row_error(saved.error)]
    return [saved.record_id or "", "true", str(saved.created).lower(), ""]


def _code(error: OrgError) -> str:
    return {
        "INVALID_SESSION_ID": "InvalidSessionId",
        "INVALID_TYPE": "InvalidJob",
        "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
        "LIMIT_EXCEEDED": "ExceededQuota",
    }.get(error.code, error.code)


def _control(request: web.Request, name: str, body: Mapping[str, Any], *, status: int = 200) -> web.Response:
    if request.headers.get("Content-Type", "").startswith("application/json"):
        return _answer(json.dumps(body), "application/json", status=status)
    inside = "".join(value_xml(key, one) for key, one in body.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{NAMESPACE}">{inside}</{name}>'
    return _answer(text, "application/xml", status=status)


def _data(job: Job, text: str) -> web.Response:
    kind = "application/json" if job.content_type == "JSON" else "text/csv"
    return _answer(text, kind)


def _answer(text: str, kind: str, *, status: int = 200) -> web.Response:
    """Without a charset: a client in wide use compares the whole header."""
    return web.Response(body=text.encode(), status=status, content_type=kind)
