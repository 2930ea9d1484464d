"""The hand-written encoder writes what fastavro writes, for every entity and any values."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.simulator.entities import Entity, standard_entities
from connectors.simulator.model import Op, Published, Transaction

ENTITIES = standard_entities("Sm00")
PARSED = {
    name: fastavro.parse_schema(json.loads(entity.layout.schema_json)) for name, entity in ENTITIES.items()
}

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=40),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "names": st.lists(st.text(max_size=8), max_size=3).map(tuple),
}


@st.composite
def events(draw: st.DrawFn) -> tuple[Entity, Published]:
    entity = ENTITIES[draw(st.sampled_from(sorted(ENTITIES)))]
    layout = entity.layout
    chosen = draw(st.sets(st.sampled_from(layout.paths), max_size=12))
    if "Name" in chosen and "Name" in entity.leaves:
        chosen = {path for path in chosen if not path.startswith("Name.")}  # one branch of the union
    paths = layout.ordered(chosen)
    values = tuple(draw(st.none() | VALUES[entity.leaves[path].avro]) for path in paths)
    kind = draw(st.sampled_from(["CREATE", "UPDATE", "DELETE", "GAP_UPDATE", "GAP_OVERFLOW"]))
    transaction = Transaction(
        draw(st.text(max_size=36)), draw(st.integers(0, 2**62)), "005", "com/salesforce/api/rest/66.0", "x", 0
    )
    record_ids = tuple(draw(st.lists(st.text(max_size=18), min_size=1, max_size=4)))
    event = Published(
        "id", entity.name, Op.UPDATE, kind, transaction, draw(st.integers(1, 9_999)),
        draw(st.integers(0, 2**45)), record_ids, paths, values, layout,
    )  # fmt: skip
    return entity, event


def expected(entity: Entity, event: Published) -> dict[str, Any]:
    """The event as fastavro wants it, made without the layout's own plan."""
    with_values = event.kind in ("CREATE", "UPDATE")
    values = dict(zip(event.paths, event.values, strict=True)) if with_values else {}
    body: dict[str, Any] = {}
    for field in entity.layout.fields:
        own = values.get(field.name)
        parts = {name: values.get(f"{field.name}.{name}") for name, _ in field.parts}
        if own is not None:
            body[field.name] = list(own) if field.avro == "names" else own
        elif any(value is not None for value in parts.values()):
            body[field.name] = (f"com.sforce.eventbus.{field.doc_type}", parts)
        else:
            body[field.name] = None
    nulled = [path for path, value in values.items() if value is None] if event.kind == "UPDATE" else []
    body["ChangeEventHeader"] = {
        "entityName": entity.name,
        "recordIds": list(event.record_ids),
        "changeType": event.kind,
        "changeOrigin": event.transaction.change_origin,
        "transactionKey": event.transaction.key,
        "sequenceNumber": event.sequence,
        "commitTimestamp": event.committed_at,
        "commitNumber": event.transaction.number,
        "commitUser": event.transaction.user_id,
        "nulledFields": list(entity.layout.bitmaps(nulled)),
        "diffFields": [],
        "changedFields": list(entity.layout.bitmaps(event.paths)) if event.kind == "UPDATE" else [],
    }
    return body


@settings(max_examples=300, deadline=None)
@given(events())
def test_the_bytes_are_those_fastavro_writes(made: tuple[Entity, Published]) -> None:
    entity, event = made
    out = BytesIO()
    fastavro.schemaless_writer(out, PARSED[entity.name], expected(entity, event))
    assert entity.layout.encode(event) == out.getvalue()


def test_hidden_values_are_null_though_they_are_named_as_changed() -> None:
    entity = ENTITIES["Account"]
    paths = entity.layout.ordered(["Credit_Limit__c", "Industry", "Phone"])
    values = {"Credit_Limit__c": 5.0, "Industry": "Banking", "Phone": None}
    event = Published(
        "id", "Account", Op.UPDATE, "UPDATE", Transaction("k", 1, "005", "", "", 0), 1, 0, ("001",),
        paths, tuple(values[path] for path in paths), entity.layout,
    )  # fmt: skip
    body = BytesIO(entity.layout.encode(event, hidden=frozenset({"Credit_Limit__c"})))
    decoded: Any = fastavro.schemaless_reader(body, PARSED["Account"], None)
    assert decoded["Credit_Limit__c"] is None
    assert decoded["Industry"] == "Banking"
    changed = decoded["ChangeEventHeader"]["changedFields"]
    assert changed == list(entity.layout.bitmaps(paths))
    assert decoded["ChangeEventHeader"]["nulledFields"] == list(entity.layout.bitmaps(["Phone"]))
