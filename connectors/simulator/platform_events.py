"""Platform events: their schema, and their bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro

from connectors.simulator.fields import Field, parse_fields
from connectors.simulator.ids import schema_id
from connectors.simulator.layout import NAMESPACE
from connectors.simulator.model import Op, Published, Transaction

ORDER = """
Order_Number__c Text
Account__c EntityId ->Account:Account__r
Amount__c Currency
Lines__c Double
Status__c Text
Placed_At__c DateTime
Express__c Boolean
"""


ALARM = """
Machine__c Text
Celsius__c Double
Seen_At__c DateTime
"""
LOGIN = """
EventIdentifier Text
UserId EntityId ->User:User
Username Text
EventDate DateTime
LoginType Text
SourceIp Text
Status Text
Application Text
Browser Text
EvaluationTime Double
PolicyOutcome Text
"""
PERMISSION_SET = """
EventIdentifier Text
UserId EntityId ->User:User
Username Text
EventDate DateTime
EventSource Text
Operation Text
ParentNameList Text
PermissionList Text
PermissionType Text
ImpactedUserIds Text
UserCount Double
HasExternalUsers Boolean
PolicyOutcome Text
"""
API = """
EventIdentifier Text
UserId EntityId ->User:User
Username Text
EventDate DateTime
Application Text
Client Text
Operation Text
Query Text
QueriedEntities Text
RowsProcessed Double
ElapsedTime Integer
"""


class _Schema:
    """The schema of a platform event: two fields of the system that are never null, then its own."""

    def __init__(self, name: str, fields: tuple[Field, ...]) -> None:
        schema = {
            "type": "record",
            "name": name,
            "namespace": NAMESPACE,
            "fields": [
                {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
                {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
                *({"name": f.name, "type": ["null", f.avro], "doc": f.doc, "default": None} for f in fields),
            ],
        }
        self.schema_json = json.dumps(schema, separators=(",", ":"))
        self.schema_id = schema_id(self.schema_json)
        self.parsed = fastavro.parse_schema(schema)


class PlatformEvent:
    """One kind of platform event the org knows. Only the org itself publishes `monitoring` ones."""

    def __init__(self, name: str, definition: str) -> None:
        self.name = name
        self.monitoring = not name.endswith("__e")
        self.fields = parse_fields(definition, id_prefix="00NSm00E")
        self.schema = _Schema(name, self.fields)

    def published(self, transaction: Transaction, values: Mapping[str, Any], event_id: str) -> Published:
        """The event, encoded. Raises ValueError for a field it does not have."""
        unknown = set(values) - {field.name for field in self.fields}
        if unknown:
            raise ValueError(f"{self.name} has no field {', '.join(sorted(unknown))}")
        body = {
            "CreatedDate": transaction.at,
            "CreatedById": transaction.user_id,
            **{field.name: values.get(field.name) for field in self.fields},
        }
        return Published(
            event_id, self.name, Op.CREATE, "CREATE", transaction, 1, transaction.at,
            (), tuple(values), tuple(values.values()), None, raw=(self.schema.schema_id, _encoded(self.schema, body)),
        )  # fmt: skip


def _encoded(schema: _Schema, body: Mapping[str, Any]) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, body)
    return out.getvalue()


def standard_platform_events() -> dict[str, PlatformEvent]:
    """The platform events every simulated org has, and its real-time monitoring events."""
    definitions = {
        "Order__e": ORDER,
        "Alarm__e": ALARM,
        "LoginEventStream": LOGIN,
        "PermissionSetEvent": PERMISSION_SET,
        "ApiEventStream": API,
    }
    return {name: PlatformEvent(name, definition) for name, definition in definitions.items()}
