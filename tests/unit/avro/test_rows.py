"""The fast decoder reads what a second, independent one reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.avro.headers import decode_headers
from cdc.avro.rows import decode_rows
from cdc.avro.schema import TAIL_FIELD, EventSchema
from cdc.avro.split import split
from tests.unit.avro.real_payloads import ADDRESS_EDIT, GEOCODED, account_schema
from tests.unit.avro.salesforce_shapes import decode, encode, events, schemas

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
ACCOUNT_FIELDS_OF_THE_ADDRESS_EVENTS = 86


def rows_of(schema: dict[str, Any], bodies: list[bytes]) -> list[dict[str, Any]]:
    rows = decode_rows(bodies, EventSchema.parse("x", json.dumps(schema)).body_json, whole=True)
    assert not rows.reasons
    found: list[dict[str, Any]] = rows.batch.drop_columns([TAIL_FIELD]).to_pylist()
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_generated_events_are_read_the_same_by_both(data: st.DataObject) -> None:
    raw, docs = data.draw(schemas())
    wholes = data.draw(st.lists(events(raw, docs), max_size=5))
    bodies = [encode(raw, whole) for whole in wholes]
    assert rows_of(raw, bodies) == [decode(raw, body) for body in bodies] == wholes


def test_real_events_are_read_the_same_by_both() -> None:
    schema = account_schema()
    assert rows_of(schema, [ADDRESS_EDIT, GEOCODED]) == [
        decode(schema, ADDRESS_EDIT),
        decode(schema, GEOCODED),
    ]


def samples(name: str) -> list[bytes]:
    found = json.loads((SAMPLES / name).read_text())
    return [
        base64.b64decode(e["event"]["payload"])
        for e in (found["events"] if isinstance(found, dict) else found)
    ]


needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the published samples are not beside the checkout"
)


@needs_samples
def test_the_published_schema_and_the_table_of_fields_here_agree() -> None:
    published = json.loads((SAMPLES / "AccountChangeEvent.avsc").read_text())
    published["fields"] = published["fields"][:ACCOUNT_FIELDS_OF_THE_ADDRESS_EVENTS]
    bodies = samples("AccountAddressUpdateEvent.json")
    assert bodies == [ADDRESS_EDIT, GEOCODED]
    assert (
        rows_of(published, bodies)
        == [decode(published, body) for body in bodies]
        == rows_of(account_schema(), bodies)
    )


@needs_samples
@pytest.mark.parametrize(
    ("name", "kinds", "ids"),
    [
        ("AccountAddressUpdateEvent.json", ["UPDATE"] * 2, [1, 1]),
        ("AccountUpdateEvents.json", ["UPDATE"], [1]),
        ("AccountCreationEvents.json", ["CREATE"] * 3, [1, 1, 1]),
        ("EventContentPayload.json", ["UPDATE"] * 2, [20, 20]),
    ],
)
def test_every_published_payload_has_a_header_that_is_read(
    name: str, kinds: list[str], ids: list[int]
) -> None:
    schema = EventSchema.parse("x", (SAMPLES / "AccountChangeEvent.avsc").read_text())
    columns = decode_headers(samples(name), schema)
    assert (columns.kinds, columns.id_counts) == (kinds, ids)
    assert not columns.reasons
    parts = [len(split(body, schema)) for body in samples(name)]
    assert parts == ids


@needs_samples
@pytest.mark.parametrize(
    "name", ["AccountChangeEvent", "ContactChangeEvent", "Some_Custom_Object__ChangeEvent"]
)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_events_of_the_published_schemas_are_read_the_same_by_both(name: str, data: st.DataObject) -> None:
    raw = json.loads((SAMPLES / f"{name}.avsc").read_text())
    docs = [field["doc"].split(":")[1] for field in raw["fields"][1:]]
    whole = data.draw(events(raw, docs, few=True))
    body = encode(raw, whole)
    assert rows_of(raw, [body]) == [decode(raw, body)] == [whole]
