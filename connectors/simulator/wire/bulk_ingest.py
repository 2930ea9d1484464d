"""Ingest jobs of Bulk API 2.0: upload, run, and what became of each row.

Rows are saved 200 a transaction, as the service hands them to triggers; batches of 10,000 are what is counted. A
job that fails or is aborted on the way keeps what it has saved and lists the rest as unprocessed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web

from connectors.simulator.bulk_csv import DELIMITERS, LINE_ENDINGS, csv_table, csv_text
from connectors.simulator.errors import OrgError
from connectors.simulator.incoming import Intake
from connectors.simulator.saving import Caller, Saved
from connectors.simulator.wire.answers import SESSION, client_of, json_answer, json_object, version_of
from connectors.simulator.wire.bulk_rows import OPERATIONS, RowReader, row_error
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.jobs import ROWS_A_BATCH, Job, Jobs, known

CHUNK_ROWS = 200
UPLOAD_BYTES_MAX = 150 * 1024 * 1024

_RESULTS = {"successfulresults": "written", "failedresults": "refused", "unprocessedrecords": "left"}


@dataclass(slots=True)
class IngestJob(Job):
    """`header` and `table` are the upload; `written` and `refused` have the columns of a result before the row's."""

    external_id: str = ""
    assignment_rule: str = ""
    content: bytes | None = None
    header: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)
    written: list[list[str]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        made = Job.described(self)
        if self.external_id:
            made["externalIdFieldName"] = self.external_id
        if self.assignment_rule:
            made["assignmentRuleId"] = self.assignment_rule
        made["contentUrl"] = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
        return made


class BulkIngest:
    """Handlers of /jobs/ingest."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.jobs: Jobs[IngestJob] = Jobs(wire)
        self._random = Random(f"bulk-{wire.org.seed}")  # noqa: S311 - a seed is the point

    def routes(self) -> list[web.RouteDef]:
        """Where ingest jobs live."""
        at = "/services/data/v{version}/jobs/ingest"
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
            web.put(f"{one}/batches", self.upload),
            web.put(f"{one}/batches/", self.upload),
            web.get(f"{one}/{{results}}", self.results),
            web.get(f"{one}/{{results}}/", self.results),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """A new job, open for its upload."""
        body = await json_object(request)
        operation, name = str(body.get("operation", "")), str(body.get("object", ""))
        if operation not in OPERATIONS:
            raise OrgError("INVALIDJOB", f"{operation!r} is no operation of an ingest job")
        if str(body.get("contentType") or "CSV") != "CSV":
            raise OrgError("INVALIDJOB", "Only CSV is supported as contentType")
        org = self._wire.org
        if operation == "hardDelete" and not org.knobs.hard_delete_allowed:
            raise OrgError(
                "FEATURENOTENABLED", "hardDelete operation requires special user profile permission"
            )
        name = org.entity(name).name
        external_id = str(body.get("externalIdFieldName") or "")
        if operation == "upsert":
            org.with_external_id(name, external_id, "")
        job = IngestJob(
            id=self.jobs.new_id(),
            object=name,
            operation=operation,
            user_id=request[SESSION].user_id,
            version=version_of(request),
            created_at=org.clock.now_ms(),
            client=client_of(request),
            delimiter=known(body, "columnDelimiter", "COMMA", DELIMITERS),
            line_ending=known(body, "lineEnding", "LF", LINE_ENDINGS),
            state="Open",
            external_id=external_id if operation == "upsert" else "",
            assignment_rule=str(body.get("assignmentRuleId") or ""),
        )
        return json_answer(self.jobs.add(job).described())

    async def upload(self, request: web.Request) -> web.Response:
        """The data, once."""
        job = self.jobs.get(request)
        if job.state != "Open" or job.content is not None:
            raise OrgError("INVALIDJOBSTATE", f"Uploading data is not possible: the job is {job.state}")
        content = await request.read()
        if len(content) * 4 // 3 > UPLOAD_BYTES_MAX:
            raise OrgError("INVALIDCONTENT", "The upload is larger than 150 MB in base64")
        job.content = content
        return web.Response(status=201)

    async def change(self, request: web.Request) -> web.Response:
        """Let it run, or abort it."""
        job = self.jobs.find(request)
        wanted = (await json_object(request)).get("state")
        if wanted == "UploadComplete" and job.state == "Open":
            if job.content is None:
                raise OrgError("INVALIDJOBSTATE", "There is no data to process: upload it first")
            self.jobs.move(job, "UploadComplete")
            self.jobs.start(job, self._run(job))
        elif wanted == "Aborted" and not job.ended:
            self.jobs.move(job, "Aborted")
        else:
            raise OrgError("INVALIDJOBSTATE", f"A job that is {job.state} cannot become {wanted}")
        return json_answer(job.described())

    async def all(self, request: web.Request) -> web.Response:
        """Every ingest job."""
        return json_answer(self.jobs.listed(request))

    async def read(self, request: web.Request) -> web.Response:
        """One job and how far it is."""
        job = self.jobs.find(request)
        figures = job.figures()
        more = {
            "jobType": "V2Ingest",
            "numberRecordsFailed": job.failed,
            "apiActiveProcessingTime": figures["totalProcessingTime"],
            "apexProcessingTime": 0,
        }
        return json_answer({**job.described(), **figures, **more})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the job and what it says of its rows."""
        self.jobs.remove(self.jobs.find(request))
        return web.Response(status=204)

    async def results(self, request: web.Request) -> web.Response:
        """successfulResults, failedResults or unprocessedrecords, as CSV, in no order that means anything."""
        job = self.jobs.get(request)
        kind = _RESULTS.get(request.match_info["results"].lower())
        if kind is None:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        if not job.ended:
            raise OrgError("INVALIDJOBSTATE", f"The job has no results yet: its state is {job.state}")
        match kind:
            case "written":
                head, rows = ["sf__Id", "sf__Created", *job.header], list(job.written)
            case "refused":
                head, rows = ["sf__Id", "sf__Error", *job.header], list(job.refused)
            case _:
                head, rows = job.header, job.table[job.processed :]
        if kind != "left":
            self._random.shuffle(rows)
        text = csv_text([head, *rows], job.delimiter, job.line_ending)
        fault = self._wire.org.faults.take("csv_truncated")
        if fault is not None:
            text = text[: int(len(text) * float(fault.parameters.get("keep", 0.5)))]
        return web.Response(text=text, content_type="text/csv", charset="utf-8")

    async def _run(self, job: IngestJob) -> None:
        await self.jobs.pause()
        if job.ended:
            return
        self.jobs.move(job, "InProgress")
        fault = self._wire.org.faults.take("job_failed", operation=job.operation)
        try:
            job.header, job.table = csv_table(job.content or b"", job.delimiter, job.line_ending)
            intake = self._wire.org.intake(job.object)
            self._check_header(job, intake)
            self._wire.org.usage.count_batches(1 + (len(job.table) - 1) // ROWS_A_BATCH)
        except OrgError as error:
            self.jobs.move(job, "Failed", f"{error.code} : {error.message}")
            return
        while job.processed < len(job.table) and not job.ended:
            if fault is not None and job.processed >= int(fault.parameters.get("after", 0)):
                said = str(fault.parameters.get("error", "InternalServerError : retries exhausted"))
                self.jobs.move(job, "Failed", said)
                return
            self._chunk(job, intake, job.table[job.processed : job.processed + CHUNK_ROWS])
            await asyncio.sleep(0)
            if job.processed % ROWS_A_BATCH == 0:
                await self.jobs.pause()
        if not job.ended:
            self.jobs.move(job, "JobComplete")

    def _check_header(self, job: IngestJob, intake: Intake) -> None:
        """Raises what a job fails of: columns that are nothing of the entity, or no column to find records by."""
        names = [name.lower() for name in job.header]
        for name in job.header:
            if not intake.knows(name):
                raise OrgError("InvalidBatch", f"Field name not found : {name}")
        needed = {"insert": "", "upsert": job.external_id.lower()}.get(job.operation, "id")
        if needed and needed not in names:
            raise OrgError("InvalidBatch", f"Field name not found : {job.external_id or 'Id'}")
        if job.operation in ("delete", "hardDelete") and names != ["id"]:
            raise OrgError("InvalidBatch", "A delete takes the column Id only")

    def _chunk(self, job: IngestJob, intake: Intake, rows: list[list[str]]) -> None:
        reader = RowReader(self._wire.org, job.operation, intake, job.external_id)
        asked = [reader.from_csv(dict(zip(job.header, row, strict=True))) for row in rows]
        caller = Caller(
            user_id=job.user_id,
            origin=f"com/salesforce/api/bulkapi/{job.version}",
            client=job.client,
            assigns=bool(job.assignment_rule),
        )
        for row, saved in zip(rows, self._wire.org.saver.save(asked, caller), strict=True):
            self._note(job, row, saved)
        job.processed += len(rows)
        job.changed_at = self._wire.org.clock.now_ms()

    def _note(self, job: IngestJob, row: list[str], saved: Saved) -> None:
        if saved.error is None:
            job.written.append([saved.record_id or "", "true" if saved.created else "false", *row])
            return
        said = row_error(saved.error)
        known = next((text for name, text in zip(job.header, row, strict=True) if name.lower() == "id"), "")
        job.refused.append([saved.record_id or known, said, *row])
        job.failed += 1
