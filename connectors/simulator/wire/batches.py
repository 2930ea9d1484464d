"""sObject Collections: many records in one call, each with its own result (protocol section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.model import Change
from connectors.simulator.queries import Rows
from connectors.simulator.wire.answers import SESSION, WIRE, json_answer, json_object
from connectors.simulator.wire.records import creation, deletion, updating, write

RECORDS_MAX = 200
READ_IDS_MAX = 2_000
CHUNKS_MAX = 10
_AT = "/services/data/v{version}/composite/sobjects"

Make = Callable[[], Change]


def routes() -> list[web.RouteDef]:
    """Where collections live."""
    return [
        web.post(_AT, create),
        web.patch(_AT, update),
        web.delete(_AT, delete),
        web.post(f"{_AT}/{{entity}}", read_posted),
        web.get(f"{_AT}/{{entity}}", read_asked),
    ]


async def create(request: web.Request) -> web.Response:
    """Insert up to 200 records."""
    body = await json_object(request)
    records = _records(body)
    makes = [_making(creation, request, record) for record in records]
    return _written(request, makes, all_or_none=bool(body.get("allOrNone")))


async def update(request: web.Request) -> web.Response:
    """Change up to 200 records."""
    body = await json_object(request)
    makes = []
    for record in _records(body):
        record_id = str(next((value for name, value in record.items() if name.lower() == "id"), ""))
        makes.append(_making(updating, request, record, record_id))
    return _written(request, makes, all_or_none=bool(body.get("allOrNone")))


async def delete(request: web.Request) -> web.Response:
    """Delete up to 200 records by id, of any entity."""
    record_ids = [one for one in request.query.get("ids", "").split(",") if one]
    if len(record_ids) > RECORDS_MAX:
        raise OrgError("EXCEEDED_ID_LIMIT", f"record limit reached: cannot submit more than {RECORDS_MAX}")
    makes = [_deleting(request, record_id) for record_id in record_ids]
    return _written(request, makes, all_or_none=request.query.get("allOrNone", "").lower() == "true")


async def read_posted(request: web.Request) -> web.Response:
    """Read up to 2,000 records by id; null stands for one that is not there."""
    body = await json_object(request)
    return _read(request, body.get("ids"), body.get("fields"))


async def read_asked(request: web.Request) -> web.Response:
    """As `read_posted`, from the query string."""
    query = request.query
    return _read(request, query.get("ids", "").split(","), query.get("fields", "").split(","))


def _read(request: web.Request, record_ids: Any, fields: Any) -> web.Response:
    if not isinstance(record_ids, list) or not isinstance(fields, list) or not record_ids or not fields:
        raise OrgError("JSON_PARSER_ERROR", "ids and fields are required lists")
    if len(record_ids) > READ_IDS_MAX:
        raise OrgError("EXCEEDED_ID_LIMIT", f"record limit reached: cannot submit more than {READ_IDS_MAX}")
    shape = request.app[WIRE].org.shape(request.match_info["entity"], as_user=request[SESSION].user_id)
    names = [str(name).strip() for name in fields]
    if "id" not in {name.lower() for name in names}:
        names.insert(0, "Id")
    rows = []
    for record_id in record_ids:
        record = shape.entity.records.get(with_suffix(str(record_id)[:15]))
        gone = record is None or record.deleted
        rows.append(None if gone or record is None else Rows.made(shape, names, [record])[0])
    return json_answer(rows)


def _records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise OrgError("JSON_PARSER_ERROR", "records must be a list of objects")
    if len(records) > RECORDS_MAX:
        raise OrgError("EXCEEDED_ID_LIMIT", f"record limit reached: cannot submit more than {RECORDS_MAX}")
    types = [_type(record) for record in records]
    chunks = 1 + sum(1 for left, right in pairwise(types) if left != right)
    if chunks > CHUNKS_MAX:
        raise OrgError("INVALID_INPUT", f"records of different types in more than {CHUNKS_MAX} chunks")
    return records


def _type(record: Mapping[str, Any]) -> str:
    attributes = record.get("attributes")
    return str(attributes.get("type", "")) if isinstance(attributes, dict) else ""


def _making(make: Callable[..., Change], request: web.Request, record: dict[str, Any], *more: str) -> Make:
    entity = _type(record)
    if not entity:
        raise OrgError("INVALID_INPUT", "Each record needs attributes.type")
    return lambda: make(request, entity, *more, record)


def _deleting(request: web.Request, record_id: str) -> Make:
    def make() -> Change:
        for name, entity in request.app[WIRE].org.entities.items():
            if entity.key_prefix == record_id[:3]:
                return deletion(request, name, record_id)
        raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")

    return make


def _written(request: web.Request, makes: Sequence[Make], *, all_or_none: bool) -> web.Response:
    """Commit what can be, in one transaction; HTTP 200 even with failures, results in the request's order."""
    results: list[dict[str, Any]] = []
    changes: list[Change] = []
    places: list[int] = []
    seen: set[str] = set()
    for place, make in enumerate(makes):
        try:
            change = make()
            if change.record_id is not None and change.record_id in seen:
                raise OrgError("DUPLICATE_VALUE", "Duplicate id specified: " + change.record_id)
        except OrgError as error:
            results.append(_failed(error))
            continue
        seen.add(change.record_id or "")
        changes.append(change)
        places.append(place)
        results.append({})
    if all_or_none and len(changes) < len(makes):
        rolled_back = OrgError(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        )
        return json_answer([result or _failed(rolled_back) for result in results])
    if changes:
        record_ids = write(request, changes)
        for place, record_id in zip(places, record_ids, strict=False):
            results[place] = {"id": record_id, "success": True, "errors": []}
    return json_answer(results)


def _failed(error: OrgError) -> dict[str, Any]:
    detail = {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
    return {"success": False, "errors": [detail]}
