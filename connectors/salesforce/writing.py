"""Writing: sObject Collections, jobs of Bulk API 2.0 ingest, and undelete, which only SOAP has.

Headers are the documented ones: `Sforce-Call-Options` (client name), `Sforce-Auto-Assign` (absent means TRUE, so
FALSE is sent unless rules are wanted), `Sforce-Duplicate-Rule-Header`. A job applies assignment rules only if
it names one, and knows no duplicate-rule header: there alerts stop a record.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from cdc.change.ids import is_record_id, to_18
from cdc.errors import BadArgument, CdcError, CursorExpired, NotFound, OrgUnavailable
from cdc.ports.org import BulkProgress, BulkState
from cdc.ports.orgwriter import (
    WRITE_RECORDS_MAX,
    RecordWrite,
    WriteError,
    WriteKind,
    WriteOptions,
    WriteResult,
    Written,
)
from cdc.ports.types import RecordId
from connectors.salesforce.bulk import POLL_MAX_S, job_progress
from connectors.salesforce.csvrows import NULL, csv_content, csv_rows
from connectors.salesforce.rest import Rest, error_of
from connectors.salesforce.soap import undelete

UPLOAD_BYTES_MAX = 100 * 1024 * 1024  # 150 MB after base64, which the org makes of it
DEFAULTS = WriteOptions()

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_JOB_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_ROW_ERROR = re.compile(
    r"(?P<code>[A-Z][A-Z0-9_]+):(?P<message>.*?)(?::(?P<fields>[\w ,.]*))?\s*-*\s*", re.DOTALL
)


WRITE_POLL_FIRST_S, WRITE_POLL_GROWTH = 0.5, 2.5
"""A look is an API call, and a job of writes takes seconds to minutes: seldom, so that a plan can say what it costs."""


class SalesforceWriter:
    """An `OrgWriter` over the calls of an org: `SalesforceWriter(org.rest)`. Errors: those of the port."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def write(
        self, kind: WriteKind, records: Sequence[RecordWrite], options: WriteOptions = DEFAULTS
    ) -> Written:
        """Up to 200 records by one call of the collection resource, each with its result."""
        _check(kind, records)
        where = f"{kind.value} of {len(records)} {records[0].entity}"
        path = f"{self._rest.base}/composite/sobjects"
        headers = self._headers(options)
        if kind is WriteKind.DELETE:
            ids = ",".join(str(record.record_id) for record in records)
            all_or_none = str(options.all_or_none).lower()
            path = f"{path}?ids={ids}&allOrNone={all_or_none}"
            answer = await self._rest.call("DELETE", path, headers=headers, where=where)
        else:
            if kind is WriteKind.UPSERT:
                path = f"{path}/{_name(records[0].entity)}/{_name(options.external_id_field)}"
            body = {"allOrNone": options.all_or_none, "records": [_json(kind, one) for one in records]}
            method = "POST" if kind is WriteKind.INSERT else "PATCH"
            answer = await self._rest.call(method, path, json_body=body, headers=headers, where=where)
        if not isinstance(answer.body, list) or len(answer.body) != len(records):
            raise OrgUnavailable("the org's answer has not a result for each record", where=where)
        results = tuple(_result(kind, one, where) for one in answer.body)
        return Written(results, answer.org_time)

    async def undelete(self, ids: Sequence[RecordId], options: WriteOptions = DEFAULTS) -> Written:
        """Up to 200 records out of the Recycle Bin, by SOAP, with what was deleted along with them."""
        _check_ids(ids)
        client = options.client or self._rest.client_name
        return await undelete(self._rest, ids, client=client, all_or_none=options.all_or_none)

    async def open_bulk_write(
        self,
        kind: WriteKind,
        entity: str,
        records: Iterable[RecordWrite],
        options: WriteOptions = DEFAULTS,
    ) -> str:
        """Make a job and upload its records; it does not begin before `run_bulk_write`."""
        where = f"bulk {kind.value} of {entity}"
        content = _upload(kind, entity, records, where)
        body: dict[str, Any] = {
            "object": _name(entity),
            "operation": kind.value,
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        if kind is WriteKind.UPSERT:
            body["externalIdFieldName"] = _name(options.external_id_field)
        headers = {"Sforce-Call-Options": f"client={options.client or self._rest.client_name}"}
        path = f"{self._rest.base}/jobs/ingest"
        answer = await self._rest.call("POST", path, json_body=body, headers=headers, where=where)
        job_id = job_progress(answer, where).job_id
        try:
            await self._upload(job_id, content, {**headers, "Content-Type": "text/csv"}, where)
        except CdcError:
            await self.abort_bulk_write(job_id)
            raise
        return job_id

    async def run_bulk_write(self, job_id: str) -> None:
        """Let the org begin; a job that runs already, or has run, is left alone."""
        progress = await self.bulk_write_progress(job_id)
        if progress.state is BulkState.OPEN:
            body = {"state": BulkState.UPLOADED.value}
            await self._rest.call("PATCH", self._job(job_id), json_body=body, where=f"bulk write {job_id}")

    async def bulk_write_progress(self, job_id: str) -> BulkProgress:
        """Where the job is."""
        where = f"bulk write {job_id}"
        try:
            return job_progress(await self._rest.call("GET", self._job(job_id), where=where), where)
        except NotFound as error:
            raise CursorExpired(error.what, where=where, do="read the records again before writing") from None

    async def bulk_results(self, job_id: str) -> AsyncIterator[WriteResult]:
        """Wait for the job's end, then every record's result."""
        where = f"bulk write {job_id}"
        progress = await self._ended(job_id)
        written = await self._rows(job_id, "successfulResults", where)
        failed = await self._rows(job_id, "failedResults", where)
        if progress.state is BulkState.COMPLETE and (
            len(failed) != progress.failed_rows or len(written) != progress.rows - progress.failed_rows
        ):
            raise OrgUnavailable(
                f"the results have {len(written)} and {len(failed)} rows where the org says "
                f"{progress.rows - progress.failed_rows} and {progress.failed_rows}",
                where=where,
                do="they are read again",
            )
        for row in written:
            yield _written_row(row)
        for row in failed:
            yield _failed_row(row)
        if progress.state is not BulkState.COMPLETE:
            reason = WriteError(
                "BULK_JOB_" + progress.state.name, progress.error or "the job did not come to it"
            )
            for row in await self._rows(job_id, "unprocessedrecords", where):
                yield WriteResult(None, False, errors=(reason,), processed=False, fields=_columns(row))

    async def abort_bulk_write(self, job_id: str) -> None:
        """End a job that has not ended; one that is gone or has ended is no error."""
        where = f"bulk write {job_id}"
        try:
            if (await self.bulk_write_progress(job_id)).state.ended:
                return
            body = {"state": BulkState.ABORTED.value}
            await self._rest.call("PATCH", self._job(job_id), json_body=body, where=where)
            await self._rest.call("DELETE", self._job(job_id), where=where)
        except (CursorExpired, NotFound):
            return

    def _headers(self, options: WriteOptions) -> dict[str, str]:
        return {
            "Sforce-Call-Options": f"client={options.client or self._rest.client_name}",
            "Sforce-Auto-Assign": "TRUE" if options.assignment_rules else "FALSE",
            "Sforce-Duplicate-Rule-Header": f"allowSave={str(options.allow_duplicates).lower()}",
        }

    def _job(self, job_id: str) -> str:
        if not _JOB_ID.fullmatch(job_id):
            raise BadArgument(f"{job_id!r} is no job id", do="give the id of open_bulk_write")
        return f"{self._rest.base}/jobs/ingest/{job_id}"

    async def _upload(self, job_id: str, content: bytes, headers: Mapping[str, str], where: str) -> None:
        path = f"{self._job(job_id)}/batches"
        raw = await self._rest.exchange("PUT", path, content=content, headers=headers, where=where)
        if raw.status >= 300:
            raise error_of(raw.json(where), where)

    async def _ended(self, job_id: str) -> BulkProgress:
        pause_s = WRITE_POLL_FIRST_S
        while not (progress := await self.bulk_write_progress(job_id)).state.ended:
            if progress.state is BulkState.OPEN:
                raise BadArgument("the job was not begun", where=f"bulk write {job_id}", do="run it first")
            await self._rest.clock.sleep(pause_s)
            pause_s = min(POLL_MAX_S, pause_s * WRITE_POLL_GROWTH)
        return progress

    async def _rows(self, job_id: str, kind: str, where: str) -> list[dict[str, str | None]]:
        path = f"{self._job(job_id)}/{kind}/"
        raw = await self._rest.exchange("GET", path, headers={"Accept": "text/csv"}, where=where)
        if raw.status >= 300:
            raise error_of(raw.json(where), where)
        if raw.content and raw.content_type not in ("text/csv", "application/csv"):
            raise OrgUnavailable(
                f"the org's answer is not CSV but {raw.content_type}", where=where, do="look for a proxy"
            )
        return csv_rows(raw.content, where)


def _check(kind: WriteKind, records: Sequence[RecordWrite]) -> None:
    if not 1 <= len(records) <= WRITE_RECORDS_MAX:
        raise BadArgument(
            f"{len(records)} records in one write", do=f"write 1 to {WRITE_RECORDS_MAX}, or use a bulk job"
        )
    if kind is WriteKind.HARD_DELETE:
        raise BadArgument("hard deletes are made by bulk jobs only", do="use open_bulk_write")
    if kind in (WriteKind.UPDATE, WriteKind.DELETE):
        _check_ids([record.record_id or RecordId("") for record in records])
    for record in records:
        _name(record.entity)


def _check_ids(ids: Sequence[RecordId]) -> None:
    if not 1 <= len(ids) <= WRITE_RECORDS_MAX:
        raise BadArgument(f"{len(ids)} ids in one call", do=f"give 1 to {WRITE_RECORDS_MAX}")
    wrong = next((record_id for record_id in ids if not is_record_id(record_id)), None)
    if wrong is not None:
        raise BadArgument(f"{wrong!r} is no record id", do="give 15 or 18 characters")


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadArgument(f"{name!r} is no name of an entity or field", do="check its spelling")
    return name


def _json(kind: WriteKind, record: RecordWrite) -> dict[str, Any]:
    body: dict[str, Any] = {"attributes": {"type": record.entity}}
    if kind is WriteKind.UPDATE:
        body["id"] = record.record_id
    return {**body, **record.fields}


def _result(kind: WriteKind, body: Any, where: str) -> WriteResult:
    try:
        record_id = body.get("id")
        created = body.get("created")
        success = bool(body["success"])
        return WriteResult(
            record_id=RecordId(to_18(str(record_id))) if record_id else None,
            success=success,
            created=success and (kind is WriteKind.INSERT if created is None else bool(created)),
            errors=tuple(
                WriteError(
                    code=str(error.get("statusCode") or error.get("errorCode") or ""),
                    message=str(error.get("message") or ""),
                    fields=tuple(error.get("fields") or ()),
                )
                for error in body.get("errors") or ()
            ),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise OrgUnavailable("the org's answer is no result of a write", where=where) from None


def _upload(kind: WriteKind, entity: str, records: Iterable[RecordWrite], where: str) -> bytes:
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {} if kind in (WriteKind.INSERT, WriteKind.UPSERT) else {"Id": None}
    for record in records:
        if record.entity != entity:
            raise BadArgument(f"a record of {record.entity}", where=where, do="one job writes one entity")
        row = {} if kind in (WriteKind.DELETE, WriteKind.HARD_DELETE) else _flat(record.fields)
        if "Id" in columns:
            _check_ids([record.record_id or RecordId("")])
            row["Id"] = record.record_id
        columns.update(dict.fromkeys(row))
        rows.append(row)
    if not rows:
        raise BadArgument("no records to write", where=where, do="leave the job out")
    content = csv_content(tuple(columns), rows, null="" if kind is WriteKind.INSERT else NULL)
    if len(content) > UPLOAD_BYTES_MAX:
        raise BadArgument(
            f"{len(content)} bytes are too many for one job",
            where=where,
            do=f"split the records so that each job has at most {UPLOAD_BYTES_MAX}",
        )
    return content


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Related records by external id are columns of their own: `Account.Erp_Number__c`."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": one for key, one in value.items() if key != "attributes"})
        else:
            flat[name] = value
    return flat


def _written_row(row: Mapping[str, str | None]) -> WriteResult:
    record_id = row.get("sf__Id") or row.get("Id")
    return WriteResult(
        RecordId(to_18(record_id)) if record_id else None,
        success=True,
        created=row.get("sf__Created") == "true",
        fields=_columns(row),
    )


def _failed_row(row: Mapping[str, str | None]) -> WriteResult:
    record_id = row.get("sf__Id") or row.get("Id")
    return WriteResult(
        RecordId(to_18(record_id)) if record_id and is_record_id(record_id) else None,
        success=False,
        errors=(_row_error(row.get("sf__Error") or ""),),
        fields=_columns(row),
    )


def _row_error(text: str) -> WriteError:
    """`CODE:message:fields --`, as the org puts an error into one column."""
    match = _ROW_ERROR.fullmatch(text)
    if match is None:
        return WriteError("UNKNOWN_EXCEPTION", text)
    names = tuple(name.strip() for name in (match["fields"] or "").split(",") if name.strip())
    return WriteError(match["code"], match["message"].strip(), names)


def _columns(row: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text or "" for name, text in row.items() if not name.startswith("sf__")}
