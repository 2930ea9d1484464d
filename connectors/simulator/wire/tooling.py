"""The Tooling API: which entities are on which channel, and managed subscriptions.

A channel exists as soon as it has a member, and is gone with its last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from connectors.simulator.automation import Trigger, ValidationRule
from connectors.simulator.channels import DEFAULT_CHANNEL, ENRICHED_FIELDS_MAX, Member
from connectors.simulator.entities import Entity
from connectors.simulator.errors import OrgError
from connectors.simulator.rows import ASKED_VERSION
from connectors.simulator.setup_tables import rule_of
from connectors.simulator.soql import parse_query
from connectors.simulator.soql_conditions import Resolved
from connectors.simulator.wire.answers import SESSION, json_answer, json_object
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.managed import ManagedSubscriptions

MEMBER = "PlatformEventChannelMember"
MANAGED = "ManagedEventSubscription"
CHANNEL_SUFFIX = "__chn"

_MEMBER_COLUMNS = "Id, DeveloperName, EventChannel, SelectedEntity, FilterExpression, EnrichedFields"


class Tooling:
    """Handlers over the org's channels and the managed subscriptions."""

    def __init__(self, wire: Wire, managed: ManagedSubscriptions) -> None:
        self._wire = wire
        self._managed = managed

    def routes(self) -> list[web.RouteDef]:
        """Where the Tooling API lives."""
        at = "/services/data/v{version}/tooling"
        member, managed = f"{at}/sobjects/{MEMBER}", f"{at}/sobjects/{MANAGED}"
        return [
            web.get(f"{at}/query", self.query),
            web.get(f"{at}/query/", self.query),
            web.post(member, self.add_member),
            web.get(f"{member}/{{id}}", self.member),
            web.patch(f"{member}/{{id}}", self.change_member),
            web.delete(f"{member}/{{id}}", self.remove_member),
            web.patch(f"{at}/sobjects/ValidationRule/{{id}}", self.switch_validation_rule),
            web.patch(f"{at}/sobjects/FlowDefinition/{{id}}", self.switch_flow),
            web.post(managed, self.add_managed),
            web.patch(f"{managed}/{{id}}", self.change_managed),
            web.delete(f"{managed}/{{id}}", self.remove_managed),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """Rows of PlatformEventChannel, PlatformEventChannelMember or ManagedEventSubscription."""
        soql = request.query.get("q", "")
        name = parse_query(soql).entity
        if name == MANAGED:
            records = self._managed_rows(soql)
            total = len(records)
        else:
            rows = self._wire.org.tooling_query(soql)
            records, total = rows.all(), rows.total
        return json_answer(
            {
                "size": len(records),
                "totalSize": total,
                "done": True,
                "queryLocator": None,
                "entityTypeName": name,
                "records": records,
            }
        )

    def _managed_rows(self, soql: str) -> list[dict[str, Any]]:
        query = parse_query(soql)
        rows = self._managed.rows()
        columns = {name.lower(): name for name in ("Id", "DeveloperName", "Metadata")}

        def resolve(field: str) -> Resolved:
            column = columns.get(field.lower())
            if column is None:
                raise OrgError("INVALID_FIELD", f"No such column '{field}' on entity '{MANAGED}'.")
            return Resolved(column, "string", lambda row: row[column])

        if query.where is not None:
            condition = query.where(resolve, self._wire.org.clock.now_ms())
            rows = [row for row in rows if condition(row)]
        names = [resolve(field).name for field in query.fields]
        end = None if query.limit is None else query.offset + query.limit
        at = f"/services/data/v{ASKED_VERSION.get()}/tooling/sobjects"
        return [
            {
                "attributes": {"type": MANAGED, "url": f"{at}/{MANAGED}/{row['Id']}"},
                **{name: row[name] for name in names},
            }
            for row in rows[query.offset : end]
        ]

    async def add_member(self, request: web.Request) -> web.Response:
        """Select an entity on a channel."""
        channel, member = self._member_of(await json_object(request))
        members = self._members(channel)
        if member.entity in members:
            raise OrgError("DUPLICATE_VALUE", f"{member.entity} is already selected on {channel}")
        self._set(channel, {**members, member.entity: member})
        row = next(row for row in self._rows() if self._is(row, channel, member.entity))
        return _done(row["Id"], status=201)

    async def member(self, request: web.Request) -> web.Response:
        """One member with its Metadata."""
        row = self._row(request)
        metadata = {
            "eventChannel": row["EventChannel"],
            "selectedEntity": row["SelectedEntity"],
            "enrichedFields": row["EnrichedFields"] or [],
            "filterExpression": row["FilterExpression"],
        }
        return json_answer({**row, "FullName": row["DeveloperName"], "Metadata": metadata})

    async def change_member(self, request: web.Request) -> web.Response:
        """Change filter and enrichment; the whole body is needed."""
        row = self._row(request)
        channel, member = self._member_of(await json_object(request))
        if not self._is(row, channel, member.entity):
            raise OrgError("INVALID_INPUT", "eventChannel and selectedEntity cannot be changed")
        self._set(channel, {**self._members(channel), member.entity: member})
        return web.Response(status=204)

    async def remove_member(self, request: web.Request) -> web.Response:
        """Take an entity off a channel."""
        row = self._row(request)
        channel = row["EventChannel"]
        members = {
            name: member
            for name, member in self._members(channel).items()
            if not self._is(row, channel, name)
        }
        self._set(channel, members)
        return web.Response(status=204)

    async def switch_validation_rule(self, request: web.Request) -> web.Response:
        """Activate or deactivate: `Metadata.active`."""
        metadata = _metadata(await json_object(request))
        if "active" not in metadata:
            raise OrgError("REQUIRED_FIELD_MISSING", "Metadata.active is missing", fields=("Metadata",))
        rule = rule_of(self._wire.org, ValidationRule, "03d", request.match_info["id"])
        with self._wire.org.setup.acting(request[SESSION].user_id):
            self._wire.org.automation.switch(rule.name, bool(metadata["active"]))
        return web.Response(status=204)

    async def switch_flow(self, request: web.Request) -> web.Response:
        """Activate a version or none: `Metadata.activeVersionNumber`, 0 for none."""
        metadata = _metadata(await json_object(request))
        number = metadata.get("activeVersionNumber")
        if not isinstance(number, int):
            message = "Metadata.activeVersionNumber is missing"
            raise OrgError("REQUIRED_FIELD_MISSING", message, fields=("Metadata",))
        rule = rule_of(self._wire.org, Trigger, "300", request.match_info["id"])
        with self._wire.org.setup.acting(request[SESSION].user_id):
            self._wire.org.setup.activate(rule.name, number)
        return web.Response(status=204)

    async def add_managed(self, request: web.Request) -> web.Response:
        """A new managed subscription."""
        return _done(self._managed.create(await json_object(request)), status=201)

    async def change_managed(self, request: web.Request) -> web.Response:
        """Start, stop, or place a managed subscription."""
        self._managed.update(request.match_info["id"], await json_object(request))
        return web.Response(status=204)

    async def remove_managed(self, request: web.Request) -> web.Response:
        """Delete a managed subscription; its stream ends."""
        self._managed.delete(request.match_info["id"])
        return web.Response(status=204)

    def _member_of(self, body: Mapping[str, Any]) -> tuple[str, Member]:
        metadata = _metadata(body)
        channel = str(metadata.get("eventChannel") or "")
        if channel != DEFAULT_CHANNEL and not channel.endswith(CHANNEL_SUFFIX):
            raise OrgError("INVALID_INPUT", f"{channel!r} is no event channel")
        selected = str(metadata.get("selectedEntity") or "")
        if selected in self._wire.org.platform_events:
            if channel == DEFAULT_CHANNEL or self._wire.org.platform_events[selected].monitoring:
                raise OrgError("INVALID_INPUT", f"{selected} cannot be put on {channel}")
            return channel, Member(selected)
        entity = self._entity_of(selected)
        fields = metadata.get("enrichedFields") or []
        names = [str(one.get("name", "")) for one in fields if isinstance(one, dict)]
        if len(names) > ENRICHED_FIELDS_MAX or (names and channel == DEFAULT_CHANNEL):
            raise OrgError(
                "INVALID_INPUT", f"At most {ENRICHED_FIELDS_MAX} enriched fields, on a custom channel"
            )
        paths = [self._path(entity, name) for name in names]
        return channel, Member(entity.name, tuple(paths), str(metadata.get("filterExpression") or ""))

    def _entity_of(self, event: str) -> Entity:
        for entity in self._wire.org.entities.values():
            if entity.change_event == event:
                return entity
        raise OrgError("INVALID_INPUT", f"{event!r} is no change event")

    def _path(self, entity: Entity, name: str) -> str:
        if name in entity.path_of:
            return entity.path_of[name]
        raise OrgError("INVALID_FIELD", f"No such column '{name}' on entity '{entity.name}'.")

    def _members(self, channel: str) -> dict[str, Member]:
        listed = self._wire.org.bus.channels.members()
        return {member.entity: member for name, member in listed if name == channel}

    def _set(self, channel: str, members: Mapping[str, Member]) -> None:
        events = [name for name in members if name in self._wire.org.platform_events]
        if events and len(events) < len(members):
            raise OrgError("INVALID_INPUT", "A channel has change events or platform events, not both")
        if events or channel in self._wire.org.bus.channels.event_channels:
            self._wire.org.set_event_channel(channel, events)
            return
        self._wire.org.set_channel(
            channel,
            list(members),
            enriched={name: member.enriched for name, member in members.items()},
            filters={name: member.filter_expression for name, member in members.items()},
        )

    def _rows(self) -> list[dict[str, Any]]:
        return self._wire.org.tooling_query(f"SELECT {_MEMBER_COLUMNS} FROM {MEMBER}").all()

    def _row(self, request: web.Request) -> dict[str, Any]:
        for row in self._rows():
            if row["Id"] == request.match_info["id"]:
                return row
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)

    def _is(self, row: Mapping[str, Any], channel: str, entity: str) -> bool:
        made = self._wire.org.entities.get(entity)
        event = made.change_event if made is not None else entity
        return bool(row["EventChannel"] == channel and row["SelectedEntity"] == event)


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("Metadata") or {}
    if not isinstance(metadata, dict):
        raise OrgError("JSON_PARSER_ERROR", "Metadata must be an object")
    return metadata


def _done(record_id: str, *, status: int) -> web.Response:
    return json_answer(
        {"id": record_id, "success": True, "errors": [], "warnings": [], "infos": []}, status=status
    )
