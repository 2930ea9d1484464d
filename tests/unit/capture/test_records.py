"""Deliveries become numbered, framed, split records; repeats and unreadable events have their own way."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro

import schemas.own as own
from cdc.avro.framing import unframe
from cdc.avro.schema import EventSchema
from cdc.capture.positions import Seen
from cdc.capture.records import Built, KnownSchema, RecordBuilder
from cdc.ports.source import Delivery, SourceEvent
from cdc.ports.types import Millis, ReplayId, SchemaId

TEXT = {"type": "array", "items": "string"}
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "CaseChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": [
            {
                "name": "ChangeEventHeader",
                "type": {
                    "type": "record",
                    "name": "ChangeEventHeader",
                    "fields": [
                        {"name": "entityName", "type": "string"},
                        {"name": "recordIds", "type": TEXT},
                        {
                            "name": "changeType",
                            "type": {"type": "enum", "name": "ChangeType", "symbols": ["CREATE", "UPDATE"]},
                        },
                        {"name": "changeOrigin", "type": "string"},
                        {"name": "transactionKey", "type": "string"},
                        {"name": "sequenceNumber", "type": "int"},
                        {"name": "commitTimestamp", "type": "long"},
                        {"name": "commitNumber", "type": "long"},
                        {"name": "commitUser", "type": "string"},
                        {"name": "nulledFields", "type": TEXT},
                        {"name": "diffFields", "type": TEXT},
                        {"name": "changedFields", "type": TEXT},
                    ],
                },
                "doc": "Data:ComplexValueType",
            },
            {"name": "Subject", "type": ["null", "string"], "doc": "Data:Text", "default": None},
        ],
    }
)
PARSED = fastavro.parse_schema(json.loads(SCHEMA))
KNOWN = {"s1": KnownSchema.of(EventSchema.parse("s1", SCHEMA)), "s2": "the bus does not know this schema"}


def body(*record_ids: str, committed_at: int = 1000, subject: str = "x") -> bytes:
    header: dict[str, Any] = {
        "entityName": "Case",
        "recordIds": list(record_ids),
        "changeType": "UPDATE",
        "changeOrigin": "",
        "transactionKey": "t",
        "sequenceNumber": 1,
        "commitTimestamp": committed_at,
        "commitNumber": 1,
        "commitUser": "005000000000001AAA",
        "nulledFields": [],
        "diffFields": [],
        "changedFields": ["0x02"],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, {"ChangeEventHeader": header, "Subject": subject})
    return out.getvalue()


def event(number: int, payload: bytes, schema_id: str = "s1", event_id: str = "") -> SourceEvent:
    replay_id = ReplayId(number.to_bytes(8, "big") + b"\0\0")
    return SourceEvent(event_id or f"e{number}", replay_id, SchemaId(schema_id), payload)


def build(builder: RecordBuilder, *events: SourceEvent) -> Built:
    delivery = Delivery("/data/ChangeEvents", events, events[-1].replay_id, Millis(9000))
    return builder.build([delivery], KNOWN)


def new_builder() -> RecordBuilder:
    return RecordBuilder(Seen(1000))


def test_an_event_of_one_record_keeps_its_own_bytes() -> None:
    payload = body("500000000000001AAA")
    (record,) = build(new_builder(), event(1, payload)).records
    assert unframe(record.value) == payload
    assert (record.topic, record.key, record.ordinal, record.committed_at, record.part) == (
        "CaseChangeEvent",
        "500000000000001AAA",
        1,
        1000,
        "",
    )
    assert record.replay_id == "00000000000000010000"


def test_a_merged_event_becomes_a_record_per_id_in_their_order() -> None:
    ids = [f"5000000000000{i:02}AAA" for i in range(20)]
    built = build(new_builder(), event(1, body(*ids)))
    assert [r.key for r in built.records] == ids
    assert [r.part for r in built.records] == [f"{i}/20" for i in range(1, 21)]
    assert [r.ordinal for r in built.records] == list(range(1, 21))


def test_a_repeat_under_another_replay_id_is_dropped_and_takes_no_number() -> None:
    builder = new_builder()
    payload = body("500000000000001AAA")
    built = build(builder, event(1, payload), event(2, payload, event_id="e1"), event(3, payload))
    assert [(r.event_id, r.ordinal) for r in built.records] == [("e1", 1), ("e3", 2)]
    assert built.duplicates == {"/data/ChangeEvents": 1}


def test_unreadable_events_go_to_quarantine_in_their_place_and_the_rest_goes_on() -> None:
    good = body("500000000000001AAA")
    built = build(new_builder(), event(1, good), event(2, good[:5]), event(3, good, "s2"), event(4, good))
    assert [(r.topic, r.ordinal) for r in built.records] == [
        ("CaseChangeEvent", 1),
        ("quarantine", 2),
        ("quarantine", 3),
        ("CaseChangeEvent", 4),
    ]
    kept = own.decode("quarantine", built.records[2].value)
    assert (kept["payload"], kept["reason"]) == (good, "the bus does not know this schema")


def test_an_event_that_names_no_record_is_kept() -> None:
    built = build(new_builder(), event(1, body()))
    assert [r.topic for r in built.records] == ["quarantine"]


def test_a_batch_taken_back_is_built_again_with_the_same_numbers() -> None:
    builder = new_builder()
    first = builder.next_ordinal
    events = [event(1, body("500000000000001AAA")), event(2, body("500000000000002AAA"))]
    built = build(builder, *events)
    builder.undo(built, first)
    assert build(builder, *events).records == built.records


def test_the_tail_says_which_replay_group_is_still_open() -> None:
    payload = body("500000000000001AAA", committed_at=7000)
    built = build(new_builder(), event(1, payload), event(2, payload), event(2, payload, event_id="e2b"))
    (tail,) = built.tails
    assert [replay[7] for replay, _ in tail.groups] == [1, 2, 2]
    assert tail.groups[1:] == [
        (event(2, b"").replay_id, (("e2", "500000000000001AAA"),)),
        (event(2, b"").replay_id, (("e2b", "500000000000001AAA"),)),
    ]
    assert tail.committed_max == 7000
