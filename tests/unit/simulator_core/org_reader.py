"""How these tests read an org: a stopped clock, and events decoded by fastavro as an independent reader."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro

from connectors.simulator.clock import SimClock
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Cursor, Delivered, Op
from connectors.simulator.org import SimulatedOrg

EVERYTHING = "/data/ChangeEvents"
REST = "com/salesforce/api/rest/66.0"


def quiet_org(knobs: Knobs | None = None, seed: int = 3) -> SimulatedOrg:
    """An org whose clock stands still."""
    return SimulatedOrg(seed, knobs or Knobs.kind(), SimClock(speed=0))


def decode(org: SimulatedOrg, event: Delivered) -> dict[str, Any]:
    """The event's body, by its own schema; fails if bytes are left over."""
    schema = fastavro.parse_schema(json.loads(org.schema(event.schema_id) or ""))
    body = BytesIO(event.payload)
    decoded = fastavro.schemaless_reader(body, schema, None)
    assert body.read() == b""
    assert isinstance(decoded, dict)
    return decoded


def read_all(org: SimulatedOrg, cursor: Cursor, at_once: int = 100) -> tuple[list[Delivered], Cursor]:
    """Everything that can be read after a cursor."""
    events: list[Delivered] = []
    while org.bus.pending(cursor):
        some, cursor = org.bus.read(cursor, at_once)
        events.extend(some)
    return events, cursor


def published(org: SimulatedOrg, topic: str = EVERYTHING) -> list[dict[str, Any]]:
    """Every event of a topic, decoded."""
    org.clock.advance(10_000)
    events, _ = read_all(org, org.bus.resolve(topic, "earliest"))
    return [decode(org, event) for event in events]


def create(org: SimulatedOrg, entity: str = "Account", count: int = 1, **values: Any) -> list[str]:
    """New records with these values, in one transaction."""
    defaults: dict[str, Any] = {"Name": "North Freight"} if entity == "Account" else {}
    changes = [Change(entity, Op.CREATE, None, {**defaults, **values}) for _ in range(count)]
    return list(org.commit(changes, user_id=org.administrator_id).record_ids)


def update(org: SimulatedOrg, entity: str, record_ids: list[str], /, **values: Any) -> None:
    """The same values for some records, in one transaction. `__` in a keyword stands for the dot of a path."""
    paths = {name.replace("Address__", "Address."): value for name, value in values.items()}
    org.commit(
        [Change(entity, Op.UPDATE, record_id, paths) for record_id in record_ids],
        user_id=org.administrator_id,
        origin=REST,
        client="tests",
    )


def header(event: dict[str, Any]) -> dict[str, Any]:
    made = event["ChangeEventHeader"]
    assert isinstance(made, dict)
    return made
