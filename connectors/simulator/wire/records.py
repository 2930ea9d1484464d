"""sObject rows: read, create, change, upsert, delete; what was deleted or updated in a stretch of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from aiohttp import web

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.rows import date_time_text
from connectors.simulator.wire.answers import SESSION, WIRE, json_answer, json_object
from connectors.simulator.wire.writing import (
    creation,
    deletion,
    existing,
    result_body,
    save_one,
    updating,
    upserting,
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
        web.get(f"{_AT}/{{field}}/{{value}}", read_by_external_id),
        web.patch(f"{_AT}/{{field}}/{{value}}", upsert),
        web.post(f"{_AT}/{{field}}/{{value}}", upsert_posted),
        web.delete(f"{_AT}/{{field}}/{{value}}", delete_by_external_id),
        web.get(f"{_AT}/{{record_id}}", read),
        web.post(f"{_AT}/{{record_id}}", update_posted),
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
    body = await json_object(request)
    saved = save_one(request, creation(request.app[WIRE].org, request.match_info["entity"], body))
    return json_answer({"id": saved.record_id, "success": True, "errors": []}, status=201)


async def update(request: web.Request) -> web.Response:
    """Change fields of one record, unless it has been changed since a time named in a header."""
    body = await json_object(request)
    org = request.app[WIRE].org
    entity, record_id = request.match_info["entity"], request.match_info["record_id"]
    since = request.headers.get("If-Unmodified-Since")
    if since is not None and _moved_since(org, entity, record_id, since):
        raise OrgError(
            "PRECONDITION_FAILED", "The record has been modified since the time specified.", status=412
        )
    save_one(request, updating(org, entity, record_id, body))
    return web.Response(status=204)


async def delete(request: web.Request) -> web.Response:
    """Put one record into the Recycle Bin."""
    org = request.app[WIRE].org
    save_one(request, deletion(org, request.match_info["entity"], request.match_info["record_id"]))
    return web.Response(status=204)


async def read_by_external_id(request: web.Request) -> web.Response:
    """One record by an external id."""
    org = request.app[WIRE].org
    entity = request.match_info["entity"]
    found = org.with_external_id(entity, request.match_info["field"], request.match_info["value"])
    if not found:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    return json_answer(org.row(entity, found[0], as_user=request[SESSION].user_id))


async def upsert(request: web.Request) -> web.Response:
    """Create or change one record, by an external id: 201 or 200."""
    body = await json_object(request)
    info = request.match_info
    change = upserting(request.app[WIRE].org, info["entity"], info["field"], info["value"], body)
    saved = save_one(request, change)
    answer = {**result_body(saved), "created": saved.created}
    return json_answer(answer, status=201 if saved.created else 200)


async def delete_by_external_id(request: web.Request) -> web.Response:
    """Put one record into the Recycle Bin, by an external id."""
    org = request.app[WIRE].org
    entity = request.match_info["entity"]
    found = org.with_external_id(entity, request.match_info["field"], request.match_info["value"])
    if not found:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    save_one(request, deletion(org, entity, found[0]))
    return web.Response(status=204)


async def update_posted(request: web.Request) -> web.Response:
    """PATCH for clients that cannot: POST with `_HttpMethod=PATCH`."""
    _check_override(request)
    return await update(request)


async def upsert_posted(request: web.Request) -> web.Response:
    """As `update_posted`, by external id."""
    _check_override(request)
    return await upsert(request)


def _check_override(request: web.Request) -> None:
    if request.query.get("_HttpMethod", "").upper() != "PATCH":
        raise OrgError(
            "METHOD_NOT_ALLOWED",
            "HTTP Method 'POST' not allowed. Allowed are DELETE,GET,HEAD,PATCH",
            status=405,
        )


def _moved_since(org: SimulatedOrg, entity: str, record_id: str, since: str) -> bool:
    """Whether LastModifiedDate is later; a header that is no date counts for nothing."""
    try:
        at_ms = parsedate_to_datetime(since).timestamp() * 1000
    except ValueError:
        return False
    return bool(
        existing(org.entity(entity), record_id).values.get("LastModifiedDate", 0) // 1000 * 1000 > at_ms
    )


async def deleted(request: web.Request) -> web.Response:
    """Ids deleted between `start` and `end`, with the time of each; those gone from the Recycle Bin too."""
    org = request.app[WIRE].org
    entity = org.entity(request.match_info["entity"])
    start, end = _stretch(request)
    found = sorted((at, one) for one, at in entity.records.deletions() if start <= at < end)
    oldest = org.clock.now_ms() - REPLICATION_DAYS_MAX * DAY_MS
    return json_answer(
        {
            "deletedRecords": [{"id": one, "deletedDate": date_time_text(at)} for at, one in found],
            "earliestDateAvailable": date_time_text(oldest - oldest % 60_000),
            "latestDateCovered": date_time_text(end),
        }
    )


async def updated(request: web.Request) -> web.Response:
    """Ids created or changed between `start` and `end`."""
    entity = request.app[WIRE].org.entity(request.match_info["entity"])
    start, end = _stretch(request)
    rows = [one for one in entity.records if start <= one.system_modstamp < end and not one.deleted]
    rows.sort(key=lambda record: (record.system_modstamp, record.id))
    return json_answer({"ids": [record.id for record in rows], "latestDateCovered": date_time_text(end)})


def _stretch(request: web.Request) -> tuple[int, int]:
    """What `start` and `end` ask for, the end no later than now, less what may still be committed."""
    now = request.app[WIRE].org.clock.now_ms()
    start, end = _instant(request, "start"), _instant(request, "end")
    if end <= start:
        raise OrgError("INVALID_REPLICATION_DATE", "startDate must precede endDate")
    if now - start > REPLICATION_DAYS_MAX * DAY_MS:
        raise OrgError(
            "INVALID_REPLICATION_DATE", f"startDate cannot be more than {REPLICATION_DAYS_MAX} days ago"
        )
    return start, min(end, now)


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
