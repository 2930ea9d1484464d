"""sObject Collections: many records in one call, each with its own result (protocol section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.model import Change
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.queries import Rows
from connectors.simulator.saving import Asked
from connectors.simulator.wire.answers import SESSION, WIRE, json_answer, json_object
from connectors.simulator.wire.writing import asked as one_asked
from connectors.simulator.wire.writing import (
    creation,
    deletion,
    entity_of_id,
    result_body,
    save,
    updating,
    upserting,
)

RECORDS_MAX = 200
READ_IDS_MAX = 2_000
CHUNKS_MAX = 10
_AT = "/services/data/v{version}/composite/sobjects"


def routes() -> list[web.RouteDef]:
    """Where collections live."""
    return [
        web.post(_AT, create),
        web.post(f"{_AT}/", create),
        web.patch(_AT, update),
        web.patch(f"{_AT}/", update),
        web.delete(_AT, delete),
        web.delete(f"{_AT}/", delete),
        web.patch(f"{_AT}/{{entity}}/{{field}}", upsert),
        web.post(f"{_AT}/{{entity}}", read_posted),
        web.get(f"{_AT}/{{entity}}", read_asked),
    ]


async def create(request: web.Request) -> web.Response:
    """Insert up to 200 records."""
    body = await json_object(request)
    org = request.app[WIRE].org
    asked = [one_asked(creation, org, org.name_of(_type(record)), record) for record in _records(body)]
    return _written(request, asked, body)


async def update(request: web.Request) -> web.Response:
    """Change up to 200 records."""
    body = await json_object(request)
    org = request.app[WIRE].org
    asked = [
        one_asked(updating, org, org.name_of(_type(record)), _named(record, "id"), record)
        for record in _records(body)
    ]
    return _written(request, asked, body)


async def upsert(request: web.Request) -> web.Response:
    """Create or change up to 200 records of one entity, by an external id field."""
    body = await json_object(request)
    org = request.app[WIRE].org
    entity, field = request.match_info["entity"], request.match_info["field"]
    records = _records(body)
    if any(org.name_of(_type(record)) != entity for record in records):
        raise OrgError("INVALID_INPUT", "All records of an upsert have the type of the request")
    asked = [one_asked(upserting, org, entity, field, _named(record, field), record) for record in records]
    saved = save(request, asked, all_or_none=bool(body.get("allOrNone")))
    return json_answer(
        [{**result_body(one), **({} if one.error else {"created": one.created})} for one in saved]
    )


async def delete(request: web.Request) -> web.Response:
    """Delete up to 200 records by id, of any entity."""
    record_ids = [one for one in request.query.get("ids", "").split(",") if one]
    if len(record_ids) > RECORDS_MAX:
        raise OrgError("EXCEEDED_ID_LIMIT", f"record limit reached: cannot submit more than {RECORDS_MAX}")
    org = request.app[WIRE].org
    asked = [one_asked(_deletion, org, record_id) for record_id in record_ids]
    return _written(request, asked, {"allOrNone": request.query.get("allOrNone", "").lower() == "true"})


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
    if not all(types):
        raise OrgError("INVALID_INPUT", "Each record needs attributes.type")
    chunks = 1 + sum(1 for left, right in pairwise(types) if left != right)
    if chunks > CHUNKS_MAX:
        raise OrgError("INVALID_INPUT", f"records of different types in more than {CHUNKS_MAX} chunks")
    return records


def _type(record: Mapping[str, Any]) -> str:
    attributes = record.get("attributes")
    return str(attributes.get("type", "")) if isinstance(attributes, dict) else ""


def _named(record: Mapping[str, Any], wanted: str) -> str:
    """A field of a record whatever its case; "" where it is missing."""
    return str(next((value for name, value in record.items() if name.lower() == wanted.lower()), "") or "")


def _deletion(org: SimulatedOrg, record_id: str) -> Change:
    return deletion(org, entity_of_id(org, record_id), record_id)


def _written(request: web.Request, asked: list[Asked], body: Mapping[str, Any]) -> web.Response:
    """HTTP 200 even with failures, results in the request's order."""
    saved = save(request, asked, all_or_none=bool(body.get("allOrNone")))
    return json_answer([result_body(one) for one in saved])
