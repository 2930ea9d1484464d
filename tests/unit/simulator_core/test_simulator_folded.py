"""Who folds the published events, knowing only bytes and schemas, arrives at the truth."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from connectors.simulator.knobs import Knobs
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.truth import canonical_text
from connectors.simulator.workload import Workload
from tests.unit.simulator_core.org_reader import EVERYTHING, decode, header, quiet_org, read_all

Values = dict[str, Any]


def test_folded_events_are_the_truth() -> None:
    org = quiet_org(seed=11)
    workload = Workload(org, users=20, records=300, changes_per_day=500)
    workload.populate()
    records: dict[str, tuple[str, Values]] = {
        record.id: ("present", dict(record.values))
        for entity in org.entities.values()
        for record in entity.records
    }
    workload.play(2)
    events, _ = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))
    for event in events:
        fold(records, decode(org, event), schema_fields(org, event.schema_id))
    kinds = {change.kind for change in org.truth.changes()}
    assert kinds == {"CREATE", "UPDATE", "DELETE", "UNDELETE"}
    for name, entity in org.entities.items():
        for record_id, record in org.truth.state(name).items():
            status, values = records[record_id]
            assert status == record.status
            for path, text in record.fields.items():
                leaf = entity.leaves[path]
                assert canonical_text(leaf.described, leaf.avro, values.get(path)) == text, (record_id, path)


def test_a_split_read_delivers_what_one_read_delivers() -> None:
    org = quiet_org(Knobs.cruel(), seed=11)
    workload = Workload(org, users=20, records=300, changes_per_day=500)
    workload.populate()
    workload.play(1)
    org.clock.advance(5_000)
    start = org.bus.resolve(EVERYTHING, "earliest")
    whole = read_all(org, start, 100)[0]
    assert [read_all(org, start, at_once)[0] == whole for at_once in (1, 3, 17)] == [True] * 3


@pytest.mark.parametrize("entity", ["Account", "Shipment__c"])
def test_events_of_one_topic_are_those_of_all_topics_in_the_same_order(entity: str) -> None:
    org = quiet_org(Knobs.cruel(), seed=12)
    workload = Workload(org, users=20, records=300, changes_per_day=500)
    workload.populate()
    workload.play(1)
    org.clock.advance(5_000)
    topic = f"/data/{org.entities[entity].change_event}"
    alone = read_all(org, org.bus.resolve(topic, "earliest"))[0]
    everything = read_all(org, org.bus.resolve(EVERYTHING, "earliest"))[0]
    assert alone == [event for event in everything if event.entity == entity]
    assert alone


# A reader of its own, from protocol 2.2 and 2.3


def fold(records: dict[str, tuple[str, Values]], event: Values, fields: list[tuple[str, list[str]]]) -> None:
    head = header(event)
    for record_id in head["recordIds"]:
        _, values = records.get(record_id, ("present", {}))
        if head["changeType"] == "DELETE":
            records[record_id] = ("deleted", values)
        elif head["changeType"] == "UPDATE":
            for path in named(head["changedFields"], fields):
                values[path] = value_at(event, path)
            assert set(named(head["nulledFields"], fields)) == {
                path for path in named(head["changedFields"], fields) if value_at(event, path) is None
            }
        else:
            full = {path: value_at(event, path) for name, parts in fields for path in paths(name, parts)}
            records[record_id] = ("present", full)


def schema_fields(org: SimulatedOrg, schema_id: str) -> list[tuple[str, list[str]]]:
    """(field, its parts) by position, from the schema alone."""
    parsed: Any = fastavro.parse_schema(json.loads(org.schema(schema_id) or ""))
    records: dict[str, list[str]] = {}
    made: list[tuple[str, list[str]]] = []
    for field in parsed["fields"]:
        parts: list[str] = []
        for branch in field["type"] if isinstance(field["type"], list) else []:
            if isinstance(branch, dict) and branch["type"] == "record":
                records[branch["name"]] = [part["name"] for part in branch["fields"]]
                parts = records[branch["name"]]
            elif isinstance(branch, str) and branch in records:
                parts = records[branch]
        made.append((field["name"], parts))
    return made


def paths(name: str, parts: list[str]) -> list[str]:
    if name == "ChangeEventHeader":
        return []
    return [name, *(f"{name}.{part}" for part in parts)]


def named(bitmaps: list[str], fields: list[tuple[str, list[str]]]) -> list[str]:
    found: list[str] = []
    for entry in bitmaps:
        parent, _, digits = entry.rpartition("-")
        number = int(digits, 16)
        positions = [bit for bit in range(number.bit_length()) if number >> bit & 1]
        if parent:
            name, parts = fields[int(parent)]
            found.extend(f"{name}.{parts[position]}" for position in positions)
        else:
            found.extend(fields[position][0] for position in positions)
    return found


def value_at(event: Values, path: str) -> Any:
    name, _, part = path.partition(".")
    value = event[name]
    if part:
        return value.get(part) if isinstance(value, dict) else None
    return None if isinstance(value, dict) else value


def test_the_reader_itself_reads_a_captured_shape() -> None:
    schema = {"type": "record", "name": "x", "fields": [{"name": "a", "type": ["null", "long"]}]}
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"a": 3})
    assert out.getvalue() == b"\x02\x06"
    fields = [("ChangeEventHeader", []), ("Name", ["First", "Last"]), ("Phone", [])]
    assert named(["0x04", "1-0x02"], fields) == ["Phone", "Name.Last"]
