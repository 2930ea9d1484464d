"""What every way of writing over HTTP has in common: who asks, with which headers, and what a body means.

A change that cannot be understood is an error in its place, so that the others go on (`saving.Asked`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.saving import Asked, Caller, Saved
from connectors.simulator.wire.answers import SESSION, WIRE, client_of, origin_of


def caller_of(request: web.Request) -> Caller:
    """The caller, with what `Sforce-Auto-Assign` and `Sforce-Duplicate-Rule-Header` say."""
    duplicates = request.headers.get("Sforce-Duplicate-Rule-Header", "").replace(" ", "").lower()
    return Caller(
        user_id=request[SESSION].user_id,
        origin=origin_of(request),
        client=client_of(request),
        assigns=request.headers.get("Sforce-Auto-Assign", "TRUE").strip().upper() != "FALSE",
        allows_duplicates="allowsave=true" in duplicates,
    )


def save(request: web.Request, asked: Sequence[Asked], *, all_or_none: bool = False) -> list[Saved]:
    """One transaction as the caller."""
    wire = request.app[WIRE]
    return wire.org.saver.save(asked, caller_of(request), all_or_none=all_or_none)


def save_one(request: web.Request, change: Change) -> Saved:
    """A record alone. Raises what it is refused for."""
    [saved] = save(request, [change])
    if saved.error is not None:
        raise saved.error
    return saved


def creation(org: SimulatedOrg, entity: str, body: Mapping[str, Any]) -> Change:
    """A create. Raises OrgError for fields the org does not take."""
    return Change(entity, Op.CREATE, values=org.intake(entity).from_rest(body, creating=True))


def updating(org: SimulatedOrg, entity: str, record_id: str, body: Mapping[str, Any]) -> Change:
    """An update of a record that is there. Raises OrgError."""
    if not record_id:
        raise OrgError("MISSING_ARGUMENT", "Id not specified in an update call", fields=("Id",))
    known = existing(org.entity(entity), record_id)
    return Change(entity, Op.UPDATE, known.id, org.intake(entity).from_rest(body, creating=False))


def upserting(org: SimulatedOrg, entity: str, field: str, value: str, body: Mapping[str, Any]) -> Change:
    """A create or an update, by external id. Raises OrgError."""
    found = org.with_external_id(entity, field, value) if value else []
    named = {key: one for key, one in body.items() if key.lower() != field.lower()}
    if found:
        return Change(entity, Op.UPDATE, found[0], org.intake(entity).from_rest(named, creating=False))
    if field.lower() == "id":
        if value:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        return creation(org, entity, named)
    return creation(org, entity, {**named, field: value})


def deletion(org: SimulatedOrg, entity: str, record_id: str) -> Change:
    """A delete of a record that is there. Raises OrgError."""
    return Change(entity, Op.DELETE, existing(org.entity(entity), record_id).id)


def entity_of_id(org: SimulatedOrg, record_id: str) -> str:
    """The entity by the key prefix. Raises MALFORMED_ID, INVALID_CROSS_REFERENCE_KEY."""
    if len(record_id) not in (15, 18) or not record_id.isalnum():
        raise OrgError("MALFORMED_ID", f"malformed id {record_id}", fields=("Id",))
    for name, entity in org.entities.items():
        if entity.key_prefix == record_id[:3]:
            return name
    raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")


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


def asked(make: Callable[..., Change], *arguments: Any) -> Asked:
    """A change of a call with many, or why it is none: there, a record that is not found has a code of its own."""
    try:
        return make(*arguments)
    except OrgError as error:
        if error.code == "NOT_FOUND":
            return OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        return error


def result_body(saved: Saved) -> dict[str, Any]:
    """One result of a collection."""
    if saved.error is not None:
        error = saved.error
        detail = {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
        return {"success": False, "errors": [{**error.more, **detail}]}
    return {"id": saved.record_id, "success": True, "errors": []}
