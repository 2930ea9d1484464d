"""What the org says of its own set-up by query: channels, automation, entities, itself. Small tables, made when asked for.

Some are in the Tooling API, some in the data API, some in both, as in the service. A column whose value is a mapping
is a reference: `EntityDefinition.QualifiedApiName`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from connectors.simulator.automation import (
    AssignmentRule,
    DuplicateRule,
    Rule,
    Trigger,
)
from connectors.simulator.channels import DEFAULT_CHANNEL, Channels
from connectors.simulator.entities import Entity
from connectors.simulator.errors import OrgError
from connectors.simulator.field_definitions import field_definitions
from connectors.simulator.ids import record_id as make_id
from connectors.simulator.invented import BUSINESS_RECORD_TYPE, PERSON_RECORD_TYPE
from connectors.simulator.model import Op
from connectors.simulator.queries import Rows
from connectors.simulator.rows import ASKED_VERSION, rest_value
from connectors.simulator.setup_facts import KINDS
from connectors.simulator.soql import Query, is_aggregate
from connectors.simulator.soql_conditions import Resolved, comparable
from connectors.simulator.soql_groups import grouped_rows

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

Row = Mapping[str, Any]
Table = Callable[["SimulatedOrg"], list[dict[str, Any]]]

POD = "Sm00"
WHOLE_ROWS = frozenset({"metadata", "fullname"})
"""Columns the Tooling API gives of one row at a time."""
FILTERED = frozenset({"FieldDefinition"})
"""Tables that are made for the entities a query names."""
STAMPS = frozenset({"CreatedDate", "LastModifiedDate", "SystemModstamp", "StartDate", "CompletedDate"})
"""Columns that hold epoch milliseconds."""


def tables(*, tooling: bool) -> Mapping[str, tuple[str, Table]]:
    """Lower-case name -> name and rows, of one of the two APIs."""
    return {name.lower(): (name, table) for name, table in (_TOOLING if tooling else _DATA).items()}


def table_rows(org: SimulatedOrg, query: Query, *, tooling: bool) -> Rows | None:
    """The rows of a query of such a table; None where the API has no table of that name. Raises INVALID_FIELD."""
    found = tables(tooling=tooling).get(query.entity.lower())
    if found is None:
        return None
    name, table = found
    rows: list[Row] = list(table(org))
    resolve = _resolving(name, rows)
    if name in FILTERED and query.where is None:
        raise OrgError(
            "MALFORMED_QUERY",
            f"{name} needs a filter on EntityDefinitionId or EntityDefinition.QualifiedApiName",
        )
    if query.where is not None:
        condition = query.where(resolve, org.clock.now_ms())
        rows = [row for row in rows if condition(row)]
    if query.counts:
        return Rows(len(rows), lambda start, count: [], counts=True)
    if query.aggregates:
        made = grouped_rows(query, rows, resolve, org.clock.now_ms())
        return Rows(len(made), lambda start, count: made[start : start + count])
    for field, descending, nulls_last in reversed(query.order_by):
        key = resolve(field)
        filled = [row for row in rows if key.get(row) is not None]
        empty = [row for row in rows if key.get(row) is None]
        filled.sort(key=lambda row, key=key: comparable(key, key.get(row)), reverse=descending)  # type: ignore[misc]
        rows = filled + empty if nulls_last else empty + filled
    rows = rows[query.offset : None if query.limit is None else query.offset + query.limit]
    if tooling and len(rows) > 1 and any(field.lower() in WHOLE_ROWS for field in query.fields):
        raise OrgError(
            "MALFORMED_QUERY",
            "When retrieving results with Metadata or FullName fields, the query qualifications must specify no more "
            f"than one row for retrieval. Result size: {len(rows)}",
        )
    at = f"/services/data/v{ASKED_VERSION.get()}/{'tooling/' if tooling else ''}sobjects/{name}"
    if any(one.startswith("FIELDS(") for one in query.fields):
        made = [_selected(list(row), row, _attributes(name, at, row)) for row in rows]
    else:
        names = [resolve(field).name for field in query.fields]
        made = [_selected(names, row, _attributes(name, at, row)) for row in rows]
    return Rows(len(made), lambda start, count: made[start : start + count])


def _attributes(name: str, at: str, row: Row) -> dict[str, str]:
    return {"type": name, "url": f"{at}/{row.get('Id') or row.get('DurableId')}"}


def _selected(names: list[str], row: Row, attributes: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"attributes": attributes}
    for name in names:
        first, _, rest = name.partition(".")
        if rest and isinstance(row[first], Mapping):
            made.setdefault(first, {"attributes": {"type": first}})[rest] = row[first][rest]
        else:
            made[first] = rest_value("datetime", row[first]) if first in STAMPS else row[first]
    return made


def _resolving(name: str, rows: list[Row]) -> Callable[[str], Resolved]:
    sample: Row = rows[0] if rows else {}
    flat: dict[str, Any] = {}
    for key, value in sample.items():
        flat[key] = value
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": one for inner, one in value.items()})
    columns = {column.lower(): column for column in flat}

    def resolve(field: str) -> Resolved:
        column = columns.get(field.lower(), field if not rows else None)
        if column is None or is_aggregate(field):
            raise OrgError("INVALID_FIELD", f"No such column '{field}' on entity '{name}'.")
        first, _, rest = column.partition(".")
        if column in STAMPS:
            described = "datetime"
        else:
            described = _described(flat.get(column)) if rows else _described_by_name(column)
        if rest:
            return Resolved(column, described, lambda row: (row.get(first) or {}).get(rest))
        return Resolved(column, described, lambda row: row.get(first))

    return resolve


def _described(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "int" if isinstance(value, int) else "string"


def _described_by_name(column: str) -> str:
    """The type of a column of a table without rows."""
    last = column.rpartition(".")[2]
    return "boolean" if last == "Active" or last.startswith("Is") else "string"


def setup_id(prefix: str, name: str) -> str:
    """The id of a piece of set-up: the same for the same name."""
    return make_id(prefix, POD, 1 + sum(ord(char) * (at + 1) for at, char in enumerate(name)))


# Channels


def _member_rows(org: SimulatedOrg) -> list[dict[str, Any]]:
    return _members(org.bus.channels, org.entities)


def _channel_rows(org: SimulatedOrg) -> list[dict[str, Any]]:
    return _channels(org.bus.channels)


def _enriched(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": setup_id("0v9", f"{member['Id']}{one['name']}"),
            "ChannelMemberId": member["Id"],
            "Field": one["name"],
        }
        for member in _member_rows(org)
        for one in member["EnrichedFields"] or ()
    ]


def _members(channels: Channels, entities: Mapping[str, Entity]) -> list[dict[str, Any]]:
    rows = []
    for count, (channel, member) in enumerate(channels.members(), start=1):
        entity = entities.get(member.entity)
        event = entity.change_event if entity is not None else member.entity
        rows.append(
            {
                "Id": make_id("0v8", POD, count),
                "DeveloperName": f"{channel.removesuffix('__chn')}_{event}",
                "EventChannel": channel,
                "SelectedEntity": event,
                "FilterExpression": member.filter_expression or None,
                "EnrichedFields": [
                    {"name": _column(entity, path)} for path in member.enriched if entity is not None
                ]
                or None,
            }
        )
    return rows


def _column(entity: Entity, path: str) -> str:
    leaf = entity.leaves.get(path)
    return leaf.rest_name if leaf is not None else path


def _channels(channels: Channels) -> list[dict[str, Any]]:
    names = dict.fromkeys(channel for channel, _ in channels.members())
    return [
        {
            "Id": make_id("0YL", POD, count),
            "DeveloperName": name.removesuffix("__chn"),
            "ChannelType": "event" if name in channels.event_channels else "data",
            "MasterLabel": "Change events" if name == DEFAULT_CHANNEL else name.removesuffix("__chn"),
        }
        for count, name in enumerate(names, start=1)
    ]


# Automation


def _rules(org: SimulatedOrg, kind: type[Any]) -> list[Any]:
    return [rule for rule in org.automation.rules.values() if isinstance(rule, kind)]


def rule_of(org: SimulatedOrg, kind: type[Any], prefix: str, record_id: str) -> Rule:
    """A rule by the id its table gives it. Raises NOT_FOUND."""
    table, column = {
        "03d": ("ValidationRule", "ValidationName"),
        "01q": ("ApexTrigger", "Name"),
        "300": ("FlowDefinition", "DeveloperName"),
    }[prefix]
    found: Rule = org.automation.rules[org.setup.find(table, record_id)[column]]
    if not isinstance(found, kind):
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
    return found  # type: ignore[no-any-return]


def _definition(org: SimulatedOrg, entity: str) -> dict[str, Any]:
    made = org.entities[entity]
    return {
        "DurableId": entity,
        "QualifiedApiName": entity,
        "DeveloperName": entity.removesuffix("__c"),
        "Label": made.label,
        "PluralLabel": made.plural,
        "KeyPrefix": made.key_prefix,
        "IsQueryable": True,
        "IsCustomSetting": False,
    }


def _entity_definitions(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [_definition(org, name) for name in org.entities]


def _validation_rules(org: SimulatedOrg) -> list[dict[str, Any]]:
    rows = org.setup.rows("ValidationRule")
    return [{**row, "EntityDefinition": _definition(org, row["EntityDefinitionId"])} for row in rows]


def _apex_triggers(org: SimulatedOrg) -> list[dict[str, Any]]:
    made = []
    for row in org.setup.rows("ApexTrigger"):
        rule = org.automation.rules[row["Name"]]
        on = rule.on if isinstance(rule, Trigger) else ()
        made.append(
            {
                **row,
                "UsageAfterInsert": Op.CREATE in on,
                "UsageAfterUpdate": Op.UPDATE in on,
                "UsageAfterDelete": Op.DELETE in on,
                "UsageAfterUndelete": Op.UNDELETE in on,
                "EntityDefinition": _definition(org, row["TableEnumOrId"]),
            }
        )
    return made


def _kind(name: str) -> Table:
    return lambda org: org.setup.rows(name)


def _flows(org: SimulatedOrg) -> list[Trigger]:
    return [rule for rule in _rules(org, Trigger) if rule.kind == "flow"]


def _flow_views(org: SimulatedOrg) -> list[dict[str, Any]]:
    definitions = {row["DeveloperName"]: row for row in org.setup.rows("FlowDefinition")}
    return [
        {
            "DurableId": definitions[rule.name]["Id"],
            "ApiName": rule.name,
            "Label": rule.name,
            "ProcessType": "AutoLaunchedFlow",
            "TriggerType": "RecordBeforeDelete" if rule.on == (Op.DELETE,) else "RecordAfterSave",
            "TriggerObjectOrEventId": rule.entity or None,
            "TriggerObjectOrEventLabel": org.entities[rule.entity].label if rule.entity else None,
            "IsActive": rule.active,
            "ActiveVersionId": definitions[rule.name]["ActiveVersionId"],
        }
        for rule in _flows(org)
    ]


def _duplicate_rules(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": setup_id("0Bm", rule.name),
            "DeveloperName": rule.name.replace(" ", "_"),
            "MasterLabel": rule.name,
            "SobjectType": rule.entity,
            "IsActive": rule.active,
        }
        for rule in _rules(org, DuplicateRule)
    ]


def _assignment_rules(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": setup_id("01Q", rule.name),
            "Name": rule.name,
            "SobjectType": rule.entity,
            "Active": rule.active,
        }
        for rule in _rules(org, AssignmentRule)
    ]


# The org itself


def _audit_trail(org: SimulatedOrg) -> list[dict[str, Any]]:
    names = {user["id"]: {"Name": user["name"], "Username": user["username"]} for user in org.users}
    return [
        {
            "Id": make_id("0Ym", POD, count),
            "Action": one.action,
            "Section": one.section,
            "Display": one.display,
            "CreatedDate": one.at,
            "CreatedById": one.user_id,
            "CreatedBy": names.get(one.user_id, {"Name": "", "Username": ""}),
            "CreatedByContext": None,
            "CreatedByIssuer": None,
            "DelegateUser": None,
            "ResponsibleNamespacePrefix": None,
        }
        for count, one in enumerate(org.setup_changes, start=1)
    ]


def _deploy_requests(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [one.row() for one in org.deployments.all()]


def _organization(org: SimulatedOrg) -> list[dict[str, Any]]:
    return [
        {
            "Id": org.org_id,
            "Name": "Simulated",
            "IsSandbox": org.knobs.is_sandbox,
            "InstanceName": "SIM1",
            "OrganizationType": "Enterprise Edition",
            "NamespacePrefix": None,
            "TrialExpirationDate": None,
            "LanguageLocaleKey": "en_US",
            "TimeZoneSidKey": "Europe/London",
        }
    ]


def _record_types(org: SimulatedOrg) -> list[dict[str, Any]]:
    known = (("Business", BUSINESS_RECORD_TYPE), ("Person", PERSON_RECORD_TYPE))
    return [
        {
            "Id": record_id,
            "Name": f"{name} Account",
            "DeveloperName": f"{name}Account",
            "SobjectType": "Account",
            "IsActive": True,
            "IsPersonType": name == "Person",
        }
        for name, record_id in known
    ]


_TOOLING: Mapping[str, Table] = {
    "PlatformEventChannelMember": _member_rows,
    "PlatformEventChannel": _channel_rows,
    "EnrichedField": _enriched,
    "ValidationRule": _validation_rules,
    "ApexTrigger": _apex_triggers,
    "ApexClass": _kind("ApexClass"),
    "Flow": _kind("Flow"),
    "FlowDefinition": _kind("FlowDefinition"),
    "EntityDefinition": _entity_definitions,
    "FieldDefinition": field_definitions,
    "DeployRequest": _deploy_requests,
}
_DATA: Mapping[str, Table] = {
    "FlowDefinitionView": _flow_views,
    "DuplicateRule": _duplicate_rules,
    "AssignmentRule": _assignment_rules,
    "EntityDefinition": _entity_definitions,
    "FieldDefinition": field_definitions,
    "Organization": _organization,
    "SetupAuditTrail": _audit_trail,
    **{name: _kind(name) for name in KINDS},
    "ApexTrigger": _apex_triggers,
    "RecordType": _record_types,
}
