"""Seeded change events in the shape Salesforce sends: one record, 60 fields, 6 of them changed."""

from __future__ import annotations

import io
import json
import random
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro

from cdc.errors import NotFound
from cdc.ports.org import ChannelMember, EntityDescription, FieldDescription, Limits, Page, RowState
from cdc.ports.types import Millis, RecordId

ENTITY = "Account"
CHANNEL = "/data/ChangeEvents"
SCHEMA_ID = "bench-account-1"
FIELDS = 60
CHANGED = 6
RECORDS = 20_000  # distinct, so that a change in twenty or so is of a record seen before
BODIES = 2_000  # distinct tails of an event; the header is of each event's own
BEGIN_MS = 1_780_000_000_000

_TYPES = ("string", "string", "string", "double", "long", "boolean")


def field_types(fields: int = FIELDS) -> list[tuple[str, str]]:
    """Name and Avro type of each field."""
    return [(f"Field{n:02}__c", _TYPES[n % len(_TYPES)]) for n in range(fields)]


def _doc(avro_type: str) -> str:
    return {"string": "Text", "double": "Double", "long": "DateTime", "boolean": "Boolean"}[avro_type]


def _header_schema() -> dict[str, Any]:
    symbols = ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE"]
    symbols += ["GAP_UNDELETE", "GAP_OVERFLOW"]
    texts = {"type": "array", "items": "string"}
    kinds = {"type": "enum", "name": "ChangeType", "symbols": symbols}
    types: list[tuple[str, Any]] = [("entityName", "string"), ("recordIds", texts), ("changeType", kinds)]
    types += [("changeOrigin", "string"), ("transactionKey", "string"), ("sequenceNumber", "int")]
    types += [("commitTimestamp", "long"), ("commitNumber", "long"), ("commitUser", "string")]
    types += [("nulledFields", texts), ("diffFields", texts), ("changedFields", texts)]
    return {
        "type": "record",
        "name": "ChangeEventHeader",
        "fields": [{"name": n, "type": t} for n, t in types],
    }


def schema_json(fields: int = FIELDS) -> str:
    """The event schema as the org would give it."""
    columns: list[dict[str, Any]] = [
        {"name": "ChangeEventHeader", "type": _header_schema(), "doc": "Data:ComplexValueType"}
    ]
    columns += [
        {"name": name, "type": ["null", kind], "doc": f"Data:{_doc(kind)}:00N", "default": None}
        for name, kind in field_types(fields)
    ]
    record = {"type": "record", "name": "AccountChangeEvent", "namespace": "com.sforce.eventbus"}
    return json.dumps({**record, "fields": columns})


@dataclass(frozen=True, slots=True)
class Events:
    """Payloads in bus order, and the ids of each."""

    payloads: list[bytes]
    event_ids: list[str]
    replay_ids: list[bytes]


def make_events(
    count: int, seed: int = 1, *, fields: int = FIELDS, changed: int = CHANGED, distinct: int = RECORDS
) -> Events:
    """Header and tail are encoded apart and joined: a record's encoding is that of its fields in order."""
    draw = random.Random(seed)  # noqa: S311  seeded, for the same events each time
    header = fastavro.parse_schema(_header_schema())
    tails = [_tail(draw, fields, changed) for _ in range(BODIES)]
    records = [f"001{draw.randrange(62**6):012d}AA1"[:18] for _ in range(distinct)]
    users = [f"005000000{n:06d}AAA" for n in range(50)]
    payloads, replay_ids = [], []
    for n in range(count):
        bitmap, tail = tails[draw.randrange(BODIES)]
        head = {
            "entityName": ENTITY, "recordIds": [records[draw.randrange(distinct)]], "changeType": "UPDATE",
            "changeOrigin": "com/salesforce/api/rest/66.0;client=loader",
            "transactionKey": f"{n // 5:08x}-6942-447e-6033-9e8fe741230f", "sequenceNumber": n % 5 + 1,
            "commitTimestamp": BEGIN_MS + n * 20, "commitNumber": 12_279_648_331_300 + n,
            "commitUser": users[draw.randrange(50)], "nulledFields": [], "diffFields": [],
            "changedFields": [bitmap],
        }  # fmt: skip
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, header, head)
        payloads.append(buffer.getvalue() + tail)
        replay_ids.append((1_000_000 + n).to_bytes(8, "big") + b"\0\0")
    ids = random.Random(seed + 1)  # noqa: S311
    return Events(payloads, [str(uuid.UUID(int=ids.getrandbits(128))) for _ in range(count)], replay_ids)


def _tail(draw: random.Random, fields: int, changed: int) -> tuple[str, bytes]:
    """The bitmap of the changed fields, and the bytes of all fields behind the header."""
    chosen = set(draw.sample(range(fields), changed))
    values: dict[str, Any] = {"string": lambda: f"value {draw.randrange(100_000)}", "boolean": lambda: True}
    values |= {
        "double": lambda: draw.randrange(1_000_000) / 100,
        "long": lambda: BEGIN_MS + draw.randrange(10**9),
    }
    out = io.BytesIO()
    for n, (_, kind) in enumerate(field_types(fields)):
        given = values[kind]() if n in chosen else None
        fastavro.schemaless_writer(out, fastavro.parse_schema(["null", kind]), given)
    bits = sum(1 << (n + 1) for n in chosen)  # bit 0 is the header itself
    return f"0x{bits:X}", out.getvalue()


class BenchOrg:
    """What the recorder asks an org besides events: one member, its description, no limits, no rows."""

    def __init__(self) -> None:
        self._time = Millis(BEGIN_MS)

    async def members(self) -> tuple[ChannelMember, ...]:
        return (ChannelMember(CHANNEL, ENTITY),)

    async def describe(self, entity: str) -> EntityDescription:
        fields = tuple(FieldDescription(name, name, kind) for name, kind in field_types())
        return EntityDescription(entity, "001", fields, queryable=True, org_time=self._time)

    async def limits(self) -> Limits:
        return Limits(None, None, None, None, self._time)

    async def read(self, entity: str, ids: Sequence[RecordId], fields: Sequence[str]) -> Page:
        return Page((), None, 0, self._time)

    async def query(
        self, soql: str, *, deleted: bool = False, cursor: str | None = None, tooling: bool = False
    ) -> AsyncIterator[Page]:
        yield Page((), None, 0, self._time)

    def row_state(self, description: EntityDescription, row: Mapping[str, Any]) -> RowState:
        raise NotFound("the bench's org has no rows")
