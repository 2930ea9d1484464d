"""What the org says of itself: versions, entities, event schemas, limits."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import API_VERSION
from connectors.simulator.wire.answers import SESSION, VERSION_LEAST, WIRE, json_answer, version_of

VERSIONS = (*(f"{number}.0" for number in range(VERSION_LEAST, 66)), API_VERSION)
RESOURCES = (
    "sobjects", "query", "queryAll", "search", "parameterizedSearch", "recent", "limits", "composite", "jobs",
    "tooling",
)  # fmt: skip
_AT = "/services/data/v{version}"


def routes() -> list[web.RouteDef]:
    """Where descriptions live."""
    return [
        web.get("/services/data", versions),
        web.get("/services/data/", versions),
        web.get(_AT, resources),
        web.get(f"{_AT}/", resources),
        web.get(f"{_AT}/sobjects", entities),
        web.get(f"{_AT}/sobjects/", entities),
        web.get(f"{_AT}/sobjects/{{entity}}", basics),
        web.get(f"{_AT}/sobjects/{{entity}}/", basics),
        web.get(f"{_AT}/sobjects/{{entity}}/describe", describe),
        web.get(f"{_AT}/sobjects/{{entity}}/describe/", describe),
        web.get(f"{_AT}/sobjects/{{entity}}/eventSchema", schema_of_event),
        web.get(f"{_AT}/event/eventSchema/{{schema_id}}", schema_by_id),
        web.get(f"{_AT}/limits", limits),
        web.get(f"{_AT}/limits/", limits),
        web.get(f"{_AT}/limits/recordCount", record_count),
    ]


async def versions(request: web.Request) -> web.Response:
    """Every API version; needs no session."""
    return json_answer(
        [{"label": f"Release {one}", "url": f"/services/data/v{one}", "version": one} for one in VERSIONS]
    )


async def resources(request: web.Request) -> web.Response:
    """What one version has."""
    at = f"/services/data/v{version_of(request)}"
    wire = request.app[WIRE]
    identity = f"{wire.instance_url}/id/{wire.org.org_id}/{request[SESSION].user_id}"
    return json_answer({"identity": identity, **{name: f"{at}/{name}" for name in RESOURCES}})


async def entities(request: web.Request) -> web.Response:
    """The global description."""
    return json_answer(request.app[WIRE].org.describe_global())


async def basics(request: web.Request) -> web.Response:
    """An entity in short."""
    described = _described(request)
    described.pop("fields")
    described.pop("childRelationships")
    return json_answer({"objectDescribe": described, "recentItems": []})


async def describe(request: web.Request) -> web.Response:
    """An entity in full, as the caller may see it."""
    return json_answer(_described(request))


def _described(request: web.Request) -> dict[str, Any]:
    org = request.app[WIRE].org
    name = request.match_info["entity"]
    if name not in org.entities:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    return org.describe(name, as_user=request[SESSION].user_id)


async def schema_of_event(request: web.Request) -> web.Response:
    """The newest schema of `XChangeEvent` or `Y__e`."""
    org = request.app[WIRE].org
    name = request.match_info["entity"]
    if name not in org.platform_events:
        name = next((one.name for one in org.entities.values() if one.change_event == name), "")
    if not name:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    return _schema(request, org.current_schema(name))


async def schema_by_id(request: web.Request) -> web.Response:
    """A schema by its id; it never changes."""
    return _schema(request, request.match_info["schema_id"])


def _schema(request: web.Request, schema_id: str) -> web.Response:
    schema_json = request.app[WIRE].org.schema(schema_id)
    if schema_json is None:
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    wanted = request.query.get("payloadFormat", "EXPANDED")
    if wanted not in ("EXPANDED", "COMPACT"):
        raise OrgError("INVALID_PARAMETER", f"payloadFormat {wanted!r} is neither EXPANDED nor COMPACT")
    schema = json.loads(schema_json)
    if wanted == "EXPANDED":
        schema = _expanded(schema)
    return json_answer({**schema, "uuid": schema_id})


def _expanded(schema: dict[str, Any]) -> dict[str, Any]:
    """The event as CometD delivers it: schema id, payload, and the event's own position."""
    event = {
        "type": "record",
        "name": "Event",
        "fields": [{"name": "replayId", "type": "long"}, {"name": "EventUuid", "type": "string"}],
    }
    return {
        "name": schema["name"],
        "namespace": schema.get("namespace", ""),
        "type": "expanded-record",
        "fields": [
            {"name": "data", "type": {"type": "record", "name": "Data", "fields": [
                {"name": "schema", "type": "string"},
                {"name": "payload", "type": schema},
                {"name": "event", "type": event},
            ]}},
            {"name": "channel", "type": "string"},
        ],
    }  # fmt: skip


async def limits(request: web.Request) -> web.Response:
    """The allowances of the org."""
    return json_answer(request.app[WIRE].org.limits())


async def record_count(request: web.Request) -> web.Response:
    """How many records entities have, the Recycle Bin not counted."""
    org = request.app[WIRE].org
    asked = [name for name in request.query.get("sObjects", "").split(",") if name]
    counts = [
        {"name": name, "count": len(org.entity(name).records)}
        for name in asked or org.entities
        if name in org.entities
    ]
    return json_answer({"sObjects": counts})
