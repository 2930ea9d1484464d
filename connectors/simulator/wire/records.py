"""sObject rows: read one, create, change, delete; what was deleted or updated in a stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from connectors.simulator.clock import DAY_MS
from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.model import Change, Op
from connectors.simulator.rows import date_time_text
from connectors.simulator.wire.answers import (
    SESSION,
    WIRE,
    client_of,
    json_answer,
    json_object,
    origin_of,
)

REPLICATION_DAYS_MAX = 30
_AT = "/services/data/v{version}/sobjects/{entity}"


def routes() -> list[web.RouteDef]:
    """Where single records live."""
    return [
        web.post(_AT, create),
        web.post(f"{_AT}/", create),
        web.get(f"{_AT}/deleted", deleted),
        web.get(f"{_AT}/deleted/", deleted),
        web.get(f"{_AT}/updated", updated),
        web.get(f"{_AT}/updated/", updated),
        web.get(f"{_AT}/{{record_id}}", read),
        web.patch(f"{_AT}/{{record_id}}", update),
        web.delete(f"{_AT}/{{record_id}}", delete),
    ]


async def read(request: web.Request) -> web.Response:
    """One record, all fields or those of `fields`."""
    names = [name.strip() for name in request.query.get("fields", "").split(",") if name.strip()]
    row = request.app[WIRE].org.row(
        request.match_info["entity"],
        request.match_info["record_id"],
        names,
        as_user=request[SESSION].user_id,
    )
    return json_answer(row)


async def create(request: web.Request) -> web.Response:
    """Insert one record."""
    entity = request.match_info["entity"]
    body = await json_object(request)
    record_ids = write(request, [creation(request, entity, body)])
    return json_answer({"id": record_ids[0], "success": True, "errors": []}, status=201)


async def update(request: web.Request) -> web.Response:
    """Change fields of one record."""
    body = await json_object(request)
    write(request, [updating(request, request.match_info["entity"], request.match_info["record_id"], body)])
    return web.Response(status=204)


async def delete(request: web.Request) -> web.Response:
    """Put one record into the Recycle Bin."""
    write(request, [deletion(request, request.match_info["entity"], request.match_info["record_id"])])
    return web.Response(status=204)


def creation(request: web.Request, entity: str, body: Mapping[str, Any]) -> Change:
    """A create as the org takes it. Raises OrgError for fields it does not take, or lacks."""
    org = request.app[WIRE].org
    values = org.from_rest(entity, body, creating=True)
    missing = _missing(org.entity(entity), values)
    if missing:
        raise OrgError(
            "REQUIRED_FIELD_MISSING",
            f"Required fields are missing: [{', '.join(missing)}]",
            fields=tuple(missing),
        )
    return Change(entity, Op.CREATE, values=values)


def updating(request: web.Request, entity: str, record_id: str, body: Mapping[str, Any]) -> Change:
    """An update as the org takes it. Raises OrgError."""
    org = request.app[WIRE].org
    known = existing(org.entity(entity), record_id)
    return Change(entity, Op.UPDATE, known.id, org.from_rest(entity, body, creating=False))


def deletion(request: web.Request, entity: str, record_id: str) -> Change:
    """A delete as the org takes it. Raises OrgError."""
    return Change(entity, Op.DELETE, existing(request.app[WIRE].org.entity(entity), record_id).id)


def write(request: web.Request, changes: Sequence[Change]) -> tuple[str, ...]:
    """Commit in one transaction as the caller; returns the record ids in order. Raises OrgError."""
    committed = request.app[WIRE].org.commit(
        changes,
        user_id=request[SESSION].user_id,
        origin=origin_of(request),
        client=client_of(request),
    )
    return committed.record_ids


def existing(entity: Entity, record_id: str) -> Record:
    """A record that can be written to, by its id of 15 or 18 characters. Raises OrgError."""
    if len(record_id) not in (15, 18) or not record_id.isalnum():
        raise OrgError("MALFORMED_ID", f"malformed id {record_id}", fields=("Id",))
    record = entity.records.get(with_suffix(record_id[:15]))
    if record is None:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    if record.deleted:
        raise OrgError("ENTITY_IS_DELETED", "entity is deleted", status=404)
    return record


def _missing(entity: Entity, values: Mapping[str, Any]) -> list[str]:
    missing = []
    for field in entity.fields:
        if field.required and field.createable:
            paths = (field.name, f"{field.name}.LastName")
            if all(values.get(path) is None for path in paths):
                missing.append("LastName" if field.doc_type == "PersonName" else field.name)
    return missing


async def deleted(request: web.Request) -> web.Response:
    """Ids deleted between `start` and `end`, with the time of each."""
    rows, end = _changed(request, lambda record: record.deleted)
    found = [{"id": record.id, "deletedDate": date_time_text(record.system_modstamp)} for record in rows]
    earliest = date_time_text(end - REPLICATION_DAYS_MAX * DAY_MS)
    return json_answer(
        {
            "deletedRecords": found,
            "earliestDateAvailable": earliest,
            "latestDateCovered": date_time_text(end),
        }
    )


async def updated(request: web.Request) -> web.Response:
    """Ids created or changed between `start` and `end`."""
    rows, end = _changed(request, lambda record: not record.deleted)
    return json_answer({"ids": [record.id for record in rows], "latestDateCovered": date_time_text(end)})


def _changed(request: web.Request, wanted: Callable[[Record], bool]) -> tuple[list[Record], int]:
    org = request.app[WIRE].org
    entity = org.entity(request.match_info["entity"])
    start, end = _instant(request, "start"), _instant(request, "end")
    if end <= start:
        raise OrgError("INVALID_REPLICATION_DATE", "startDate must precede endDate")
    if org.clock.now_ms() - start > REPLICATION_DAYS_MAX * DAY_MS:
        raise OrgError(
            "INVALID_REPLICATION_DATE", f"startDate cannot be more than {REPLICATION_DAYS_MAX} days ago"
        )
    end = min(end, org.clock.now_ms())
    rows = [record for record in entity.records if start <= record.system_modstamp < end and wanted(record)]
    rows.sort(key=lambda record: (record.system_modstamp, record.id))
    return rows, end


def _instant(request: web.Request, name: str) -> int:
    # a plus sign that was not escaped arrives as a space
    text = request.query.get(name, "").replace(" ", "+")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise OrgError("INVALID_REPLICATION_DATE", f"{name} is not a date-time: {text!r}") from None
    if at.tzinfo is None:
        raise OrgError("INVALID_REPLICATION_DATE", f"{name} needs an offset: {text!r}")
    # whole minutes, as the service cuts them
    return int((at - timedelta(seconds=at.second, microseconds=at.microsecond)).timestamp() * 1000)
