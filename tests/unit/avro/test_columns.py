"""A batch as columns is what its events say, one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.avro.columns import decode_batch
from cdc.avro.events import EventColumns
from cdc.avro.framing import confluent_prefix, frame_prefix
from cdc.avro.own import RECORD_STATE_SCHEMA_ID, encode_record_states
from cdc.avro.own import encode as encode_own
from cdc.avro.part import Part
from cdc.avro.schema import EventSchema
from cdc.avro.store import SchemaStore
from cdc.change.bitmap import Bitmaps
from cdc.change.values import boolean_text, date_text, datetime_text, double_text, time_text
from cdc.ports.columns import CHANGE_SCHEMA, FIELD_SCHEMA, ColumnBatch
from cdc.ports.log import Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal
from tests.unit.avro.real_payloads import ADDRESS_EDIT, GEOCODED, account_schema_json
from tests.unit.avro.salesforce_shapes import (
    DOUBLE_DOCS,
    SYMBOLS,
    encode,
    event,
    event_schema,
    header,
    schemas,
    values_of,
)

ACCOUNT = event_schema(
    "Account",
    [("Name", "Switchable_PersonName"), ("BillingAddress", "Address"), ("ShippingAddress", "Address"),
     ("Industry", "DynamicEnum"), ("AnnualRevenue", "Currency"), ("LastModifiedDate", "DateTime"),
     ("Prefs", "Names"), ("Place__c", "Location"), ("Description", "StringPlusClob"), ("Open__c", "TimeOnly")],
)  # fmt: skip
BITMAPS = EventSchema.parse("a", json.dumps(ACCOUNT)).bitmaps
ID = "001Dp00000JJkkHIAT"

Row = tuple[str, str | None, bool]


def record(
    schema: Mapping[str, Any], body: bytes, ordinal: int = 1, schema_id: str = "a", **given: Any
) -> LogRecord:
    values = {
        "topic": schema["name"],
        "key": ID,
        "value": frame_prefix(json.dumps(schema)) + body,
        "ordinal": ordinal,
        "committed_at": 0,
        "channel": "/data/ChangeEvents",
        "event_id": f"event-{ordinal}",
        "replay_id": f"{ordinal:020x}",
        "schema_id": schema_id,
        "part": "",
        "appended_at": 77,
        **given,
    }
    return LogRecord(**values)


def columns_of(records: list[LogRecord], known: Mapping[str, Mapping[str, Any]] | None = None) -> ColumnBatch:
    texts = {key: json.dumps(value) for key, value in (known or {"a": ACCOUNT}).items()}
    return decode_batch(LogBatch(records, Checkpoint({}, Ordinal(9))), SchemaStore(texts.get))


def fields_of(batch: ColumnBatch) -> list[list[Row]]:
    """Per change its (field, value, known)."""
    found: list[list[Row]] = [[] for _ in range(batch.changes.num_rows)]
    for row in batch.fields.to_pylist():
        found[row["row"]].append((row["field"], row["value"], row["known"]))
    return found


def update(
    values: dict[str, Any], changed: list[str], nulled: list[str] | None = None, **given: Any
) -> list[Row]:
    """What an UPDATE of Account says."""
    body = encode(
        ACCOUNT,
        event(
            ACCOUNT,
            values,
            changedFields=BITMAPS.encode(changed),
            nulledFields=BITMAPS.encode(nulled or []),
            **given,
        ),
    )
    batch = columns_of([record(ACCOUNT, body)])
    assert not batch.bad
    return fields_of(batch)[0]


def address(**parts: Any) -> dict[str, Any]:
    names = [part["name"] for part in ACCOUNT["fields"][2]["type"][1]["fields"]]
    return {name: parts.get(name) for name in names}


def test_two_real_events_have_the_fields_and_values_salesforce_showed() -> None:
    schema = json.loads(account_schema_json())
    batch = columns_of([record(schema, ADDRESS_EDIT, 1), record(schema, GEOCODED, 2)], {"a": schema})
    assert fields_of(batch) == [
        [
            ("ShippingAddress.Street", "101 California St", True),
            ("LastModifiedDate", "2026-02-17T04:03:15.000Z", True),
        ],
        [("ShippingAddress.Latitude", "37.793113", True), ("ShippingAddress.Longitude", "-122.398524", True)],
    ]
    edit, geocoded = batch.changes.to_pylist()
    assert edit == {
        "ordinal": 1, "entity": "Account", "record_id": ID, "kind": "UPDATE", "committed_at": 1771300995000,
        "transaction_key": "00003adb-6942-447e-6033-9e8fe741230f", "sequence_number": 1,
        "commit_number": 12279648331300, "user_id": "005Dp000000PpjsIAC", "origin": "com/salesforce/api/soap/66.0",
        "client": "SfdcInternalAPI/", "event_id": "event-1", "replay_id": (1).to_bytes(10, "big"), "schema_id": "a",
        "channel": "/data/ChangeEvents", "source": "pubsub",
        "changed_fields": ["ShippingAddress.Street", "LastModifiedDate"], "nulled_fields": [], "diff_fields": [],
        "received_at": 77, "part": None, "scan_id": None, "after_ordinal": None, "anchor_at": None, "read_to": None,
    }  # fmt: skip
    assert (geocoded["origin"], geocoded["client"]) == ("", "")
    assert geocoded["changed_fields"] == ["ShippingAddress.Latitude", "ShippingAddress.Longitude"]


def test_a_nulled_field_is_null_and_one_without_a_value_is_unknown() -> None:
    assert update({"AnnualRevenue": 5.5}, ["Industry", "AnnualRevenue", "Open__c"], ["Industry"]) == [
        ("Industry", None, True),
        ("AnnualRevenue", "5.5", True),
        ("Open__c", None, False),
    ]


def test_a_field_only_in_the_nulled_ones_is_changed_too() -> None:
    body = encode(ACCOUNT, event(ACCOUNT, {}, nulledFields=BITMAPS.encode(["Industry"])))
    batch = columns_of([record(ACCOUNT, body)])
    assert fields_of(batch) == [[("Industry", None, True)]]
    [change] = batch.changes.to_pylist()
    assert change["changed_fields"] == change["nulled_fields"] == ["Industry"]


def test_a_value_that_was_not_changed_is_no_change() -> None:
    assert update({"AnnualRevenue": 5.0, "Industry": "Steel"}, ["Industry"]) == [("Industry", "Steel", True)]


def test_parts_named_one_by_one_are_only_those() -> None:
    values = {"BillingAddress": address(City="Bern", Country="CH")}
    assert update(values, ["BillingAddress.City", "BillingAddress.State"]) == [
        ("BillingAddress.City", "Bern", True),
        ("BillingAddress.State", None, False),
    ]


def test_a_compound_field_named_as_a_whole_stands_for_all_its_parts() -> None:
    rows = update({"BillingAddress": address(City="Bern")}, ["BillingAddress"])
    assert rows[:3] == [
        ("BillingAddress.Street", None, True),
        ("BillingAddress.City", "Bern", True),
        ("BillingAddress.State", None, True),
    ]
    assert len(rows) == 10
    assert all(not known for _, _, known in update({}, ["BillingAddress"]))
    assert all(known for _, _, known in update({}, ["BillingAddress"], ["BillingAddress"]))


def test_an_account_named_as_a_whole_is_a_business_or_a_person() -> None:
    person = {"Salutation": None, "FirstName": "A", "LastName": "B"}
    assert update({"Name": "Acme"}, ["Name"]) == [("Name", "Acme", True)]
    assert update({"Name": person}, ["Name.FirstName", "Name.Salutation"], ["Name.Salutation"]) == [
        ("Name.Salutation", None, True),
        ("Name.FirstName", "A", True),
    ]
    assert update({"Name": person}, ["Name"]) == [
        ("Name.Salutation", None, True),
        ("Name.FirstName", "A", True),
        ("Name.LastName", "B", True),
    ]
    assert update({}, ["Name"]) == [("Name", None, False)]


def test_a_create_says_every_value_and_nothing_of_the_others() -> None:
    values = {
        "Name": "Acme",
        "Prefs": ["A", "B"],
        "Place__c": {"Latitude": 1.5, "Longitude": None},
        "Open__c": 36120000,
    }
    for kind in ("CREATE", "UNDELETE"):
        batch = columns_of([record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, values, changeType=kind)))])
        assert fields_of(batch) == [
            [("Name", "Acme", True), ("Prefs", "A;B", True), ("Place__c.Latitude", "1.5", True),
             ("Open__c", "10:02:00.000Z", True)]
        ]  # fmt: skip
        assert batch.changes["changed_fields"].to_pylist() == [[]]


@pytest.mark.parametrize("kind", ["DELETE", *(k for k in SYMBOLS if k.startswith("GAP_"))])
def test_deletes_and_gaps_say_nothing_of_fields(kind: str) -> None:
    body = encode(ACCOUNT, event(ACCOUNT, {"Industry": "enriched"}, changeType=kind, recordIds=["001*"]))
    batch = columns_of([record(ACCOUNT, body)])
    assert batch.changes["kind"].to_pylist() == [kind]
    assert batch.changes["record_id"].to_pylist() == ["001*"]
    assert fields_of(batch) == [[]]


def test_a_diff_is_handed_on_and_named() -> None:
    bits = BITMAPS.encode(["Description"])
    body = encode(
        ACCOUNT, event(ACCOUNT, {"Description": "--- \n+++ x"}, changedFields=bits, diffFields=bits)
    )
    batch = columns_of([record(ACCOUNT, body)])
    assert fields_of(batch) == [[("Description", "--- \n+++ x", True)]]
    assert batch.changes["diff_fields"].to_pylist() == [["Description"]]


STATE = {
    "entity": "Account", "record_id": ID, "kind": "BASELINE", "source": "baseline", "scan_id": "b1",
    "after_ordinal": 4, "read_to": 2000, "anchor_at": 1000, "system_modstamp": 900, "user_id": "005",
    "values": {"Name": "A", "Fax": None}, "unknown": ["Site"],
}  # fmt: skip


def state_record(state: dict[str, Any], ordinal: int) -> LogRecord:
    [value] = encode_record_states([state])
    return LogRecord(
        "AccountChangeEvent", ID, value, ordinal, schema_id=RECORD_STATE_SCHEMA_ID, appended_at=5
    )


def test_full_states_stand_among_the_events_in_their_order() -> None:
    body = encode(ACCOUNT, event(ACCOUNT, {"Industry": "Steel"}, changedFields=BITMAPS.encode(["Industry"])))
    batch = columns_of(
        [
            state_record(STATE, 1),
            record(ACCOUNT, body, 2),
            state_record(
                {**STATE, "values": {}, "unknown": [], "system_modstamp": None, "kind": "DELETE"}, 3
            ),
            record(ACCOUNT, body, 4),
        ]
    )
    assert batch.changes["ordinal"].to_pylist() == [1, 2, 3, 4]
    assert batch.changes["kind"].to_pylist() == ["BASELINE", "UPDATE", "DELETE", "UPDATE"]
    assert batch.changes["committed_at"].to_pylist() == [900, 1771300995000, 1000, 1771300995000]
    assert fields_of(batch) == [
        [("Name", "A", True), ("Fax", None, True), ("Site", None, False)],
        [("Industry", "Steel", True)],
        [],
        [("Industry", "Steel", True)],
    ]
    state = batch.changes.to_pylist()[0]
    assert (state["scan_id"], state["after_ordinal"], state["anchor_at"], state["read_to"]) == (
        "b1",
        4,
        1000,
        2000,
    )
    assert (state["source"], state["event_id"], state["replay_id"], state["user_id"]) == (
        "baseline",
        None,
        None,
        "005",
    )


ORDER = {
    "type": "record",
    "name": "Order__e",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
        {"name": "CreatedById", "type": "string"},
        {"name": "Number__c", "type": ["null", "double"], "default": None},
    ],
}


def test_platform_events_are_rows_of_their_own() -> None:
    body = encode(ORDER, {"CreatedDate": 1000, "CreatedById": "005x", "Number__c": 2.5})
    batch = columns_of([record(ORDER, body, 3)], {"a": ORDER})
    [row] = batch.platform_events.to_pylist()
    assert (row["ordinal"], row["name"], row["created_at"], row["created_by"]) == (
        3,
        "Order__e",
        1000,
        "005x",
    )
    assert json.loads(row["payload"]) == {"CreatedDate": 1000, "CreatedById": "005x", "Number__c": 2.5}
    assert batch.changes.num_rows == 0


def test_control_records_are_handed_on_and_a_registry_frame_is_read() -> None:
    body = encode(ACCOUNT, event(ACCOUNT, {}, changeType="DELETE"))
    control = LogRecord("positions", "acme", b"any", 1)
    batch = columns_of([control, record(ACCOUNT, body, 1, value=confluent_prefix(7) + body)])
    assert list(batch.control) == [control]
    assert batch.changes["kind"].to_pylist() == ["DELETE"]
    assert batch.checkpoint.ordinal == 9


def test_an_empty_batch_has_empty_tables_of_the_same_shape() -> None:
    batch = columns_of([])
    assert batch.changes.schema.equals(CHANGE_SCHEMA)
    assert batch.fields.schema.equals(FIELD_SCHEMA)


GOOD = encode(ACCOUNT, event(ACCOUNT, {"Industry": "Steel"}, changedFields=BITMAPS.encode(["Industry"])))
NOT_TEXT = encode(
    ACCOUNT, event(ACCOUNT, {"Industry": "Steel"}, changedFields=BITMAPS.encode(["Industry"]))
).replace(b"Steel", b"St\xff\xfel")
BAD: list[tuple[LogRecord, str]] = [
    (record(ACCOUNT, GOOD[:-3]), "cut short"),
    (record(ACCOUNT, GOOD[:30]), "cut short"),
    (record(ACCOUNT, b""), "cut short"),
    (record(ACCOUNT, GOOD + b"\x00"), "bytes after its end"),
    (record(ACCOUNT, NOT_TEXT), "(?i)utf"),
    (record(ACCOUNT, b"\xff" * 40), ""),
    (record(ACCOUNT, GOOD, value=GOOD), "no frame"),
    (record(ACCOUNT, GOOD, schema_id="b"), "schema b is not known"),
    (record(ACCOUNT, GOOD, schema_id=""), r"schema \(none named\) is not known"),
    (
        record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, {}, changedFields=["0x800000"]))),
        "bit 23, but the record has 11",
    ),
    (record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, {}, changedFields=["4-0x01"]))), "Industry has none"),
    (record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, {}, recordIds=[]))), "names 0 records"),
    (record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, {}, recordIds=[ID, ID]))), "names 2 records"),
    (record(ACCOUNT, encode(ACCOUNT, event(ACCOUNT, {}, changeType="SNAPSHOT"))), "SNAPSHOT is not known"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_record_that_cannot_be_read_costs_only_itself(bad: LogRecord, reason: str) -> None:
    batch = columns_of([record(ACCOUNT, GOOD, 1), bad._replace(ordinal=2), record(ACCOUNT, GOOD, 3)])
    [found] = batch.bad
    assert found.record.ordinal == 2
    assert (found.entity, found.record_ids) == ("Account", (ID,))
    assert batch.changes["ordinal"].to_pylist() == [1, 3]
    assert fields_of(batch) == [[("Industry", "Steel", True)]] * 2
    assert re.search(reason, found.reason)


def test_all_kinds_of_bad_records_at_once_leave_the_good_ones() -> None:
    records = [r._replace(ordinal=i) for i, (r, _) in enumerate(BAD)]
    records.insert(7, record(ACCOUNT, GOOD, 100))
    batch = columns_of(records)
    assert batch.changes["ordinal"].to_pylist() == [100]
    assert [bad.record.ordinal for bad in batch.bad] == list(range(len(BAD)))


def test_a_body_that_the_decoder_itself_stumbles_over_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever nobody foresaw: the process would meet it again after every restart."""
    changed = BITMAPS.encode(["Industry"])
    bodies = [encode(ACCOUNT, event(ACCOUNT, {"Industry": str(n)}, changedFields=changed)) for n in range(9)]
    decode = EventColumns.decode

    def stumbling(self: EventColumns, some: Sequence[bytes]) -> Part:
        if bodies[4] in some:
            raise OverflowError("a number nobody expected")
        return decode(self, some)

    monkeypatch.setattr(EventColumns, "decode", stumbling)
    batch = columns_of([record(ACCOUNT, body, n + 1) for n, body in enumerate(bodies)])
    assert batch.changes["ordinal"].to_pylist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert [(bad.record.ordinal, bad.entity, bad.record_ids) for bad in batch.bad] == [(5, "Account", (ID,))]
    assert batch.bad[0].reason == "it cannot be decoded: OverflowError: a number nobody expected"
    assert [fields[0][1] for fields in fields_of(batch)] == ["0", "1", "2", "3", "5", "6", "7", "8"]


def test_what_capture_put_aside_keeps_its_reason() -> None:
    value = encode_own(
        "quarantine",
        {"channel": "c", "event_id": "e", "replay_id": b"", "schema_id": "s", "received_at": 1, "reason": "why",
         "payload": b"x", "entity": "Account", "record_ids": [ID]},
    )  # fmt: skip
    batch = columns_of([LogRecord("quarantine", "e", value, 1), LogRecord("quarantine", "e", b"junk", 2)])
    assert (batch.bad[0].reason, batch.bad[0].entity, batch.bad[0].record_ids) == ("why", "Account", (ID,))
    assert "not a framed quarantine record" in batch.bad[1].reason


def test_full_states_that_cannot_be_read_cost_only_themselves() -> None:
    cut = state_record(STATE, 2)
    records = [
        state_record(STATE, 1),
        cut._replace(value=cut.value[:-2]),
        state_record({**STATE, "kind": "GUESS"}, 3),
        state_record(STATE, 4),
    ]
    batch = columns_of(records)
    assert batch.changes["ordinal"].to_pylist() == [1, 4]
    assert len(fields_of(batch)[1]) == 3
    assert ["cut short" in batch.bad[0].reason, batch.bad[1].reason] == [
        True,
        "GUESS is no kind of full state",
    ]
    assert batch.bad[0].entity == "Account"


def test_replay_ids_that_are_no_hex_are_left_out() -> None:
    odd = [
        record(ACCOUNT, GOOD, 1, replay_id="zz"),
        record(ACCOUNT, GOOD, 2, replay_id=""),
        record(ACCOUNT, GOOD, 3),
    ]
    assert columns_of(odd).changes["replay_id"].to_pylist() == [None, None, (3).to_bytes(10, "big")]


# ---- the same from the events one by one


def expected_fields(schema: dict[str, Any], docs: list[str], whole: dict[str, Any]) -> list[Row]:
    """What an event says of its fields, by the rules and without a column."""
    head = whole["ChangeEventHeader"]
    names = [field["name"] for field in schema["fields"]]
    of = dict(zip(names[1:], docs, strict=True))
    bitmaps = EventSchema.parse("e", json.dumps(schema)).bitmaps
    if head["changeType"] in ("CREATE", "UNDELETE"):
        rows = [row for name in names[1:] for row in leaves_of(name, of[name], whole[name])]
        return [row for row in rows if row[1] is not None]
    if head["changeType"] != "UPDATE":
        return []
    changed, nulled = set(bitmaps.paths(head["changedFields"])), set(bitmaps.paths(head["nulledFields"]))
    found: list[Row] = []
    for name in names[1:]:
        rows = leaves_of(name, of[name], whole[name])
        some = any(value is not None for _, value, _ in rows)
        for path, value, _ in rows:
            by_parent = name in changed | nulled and path != name
            if path not in changed | nulled and not by_parent:
                continue
            if path in nulled or name in nulled:
                found.append((path, None, True))
            elif path in changed:
                found.append((path, value, value is not None))
            else:
                found.append((path, value, some))
    return found


def leaves_of(name: str, doc: str, value: Any) -> list[Row]:
    if doc in ("Address", "Location", "PersonName") or (
        doc == "Switchable_PersonName" and isinstance(value, dict)
    ):
        parts = {"Location": ["Latitude", "Longitude"], "Address": list(address())}
        own = parts.get(doc, ["Salutation", "FirstName", "LastName"])
        return [
            (f"{name}.{p}", text_of("Double" if p.endswith("tude") else "Text", (value or {}).get(p)), True)
            for p in own
        ]
    return [(name, text_of(doc, value), True)]


def text_of(doc: str, value: Any) -> str | None:
    if value is None:
        return None
    rules = {"DateTime": datetime_text, "DateOnly": date_text, "Birthday": date_text, "TimeOnly": time_text,
             "Boolean": boolean_text, "Integer": str, "Names": ";".join}  # fmt: skip
    rule: Any = double_text if doc in DOUBLE_DOCS else rules.get(doc, str)
    return str(rule(value))


@st.composite
def well_formed_events(draw: st.DrawFn, schema: dict[str, Any], docs: list[str]) -> dict[str, Any]:
    names = [field["name"] for field in schema["fields"][1:]]
    body = {name: draw(values_of(doc)) for name, doc in zip(names, docs, strict=True)}
    bitmaps: Bitmaps = EventSchema.parse("e", json.dumps(schema)).bitmaps
    paths = [
        *names,
        *(f"{bitmaps.tree.names[top]}.{part}" for top, ps in bitmaps.tree.nested.items() for part in ps),
    ]
    switchable = {name for name, doc in zip(names, docs, strict=True) if doc == "Switchable_PersonName"}
    # of a text-or-record field Salesforce names the field or its parts, by what the value is
    usable = [
        p for p in paths
        if p.partition(".")[0] not in switchable or ("." in p) == isinstance(body[p.partition(".")[0]], dict)
    ]  # fmt: skip
    changed = draw(st.lists(st.sampled_from(usable), unique=True, max_size=8)) if usable else []
    nulled = draw(st.lists(st.sampled_from(changed), unique=True, max_size=3)) if changed else []
    kind = draw(st.sampled_from(["UPDATE", "UPDATE", "UPDATE", *SYMBOLS]))
    head = header(
        changeType=kind,
        recordIds=[draw(st.text(min_size=1, max_size=18))],
        changedFields=bitmaps.encode(changed) if kind == "UPDATE" else [],
        nulledFields=bitmaps.encode(nulled) if kind == "UPDATE" else [],
        commitTimestamp=draw(st.integers(0, 2**60)),
    )
    return {"ChangeEventHeader": head, **body}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_columns_say_what_the_events_say_one_by_one(data: st.DataObject) -> None:
    known = {}
    sent: list[tuple[LogRecord, list[Row], dict[str, Any]]] = []
    for schema_id in data.draw(st.sampled_from([["a"], ["a", "b"]])):
        raw, docs = data.draw(schemas())
        known[schema_id] = raw
        for whole in data.draw(st.lists(well_formed_events(raw, docs), max_size=6)):
            sent.append(
                (record(raw, encode(raw, whole), 0, schema_id), expected_fields(raw, docs, whole), whole)
            )
    sent = data.draw(st.permutations(sent))
    batch = columns_of([r._replace(ordinal=i + 1) for i, (r, _, _) in enumerate(sent)], known)
    assert not batch.bad
    assert fields_of(batch) == [rows for _, rows, _ in sent]
    for row, (_, said, whole) in zip(batch.changes.to_pylist(), sent, strict=True):
        head = whole["ChangeEventHeader"]
        assert row["record_id"] == head["recordIds"][0]
        assert (row["kind"], row["committed_at"]) == (head["changeType"], head["commitTimestamp"])
        assert row["changed_fields"] == ([f for f, _, _ in said] if row["kind"] == "UPDATE" else [])
        if row["kind"] == "UPDATE":
            bitmaps = EventSchema.parse("e", json.dumps(known[row["schema_id"]])).bitmaps
            nulled = set(bitmaps.paths(head["nulledFields"]))
            assert row["nulled_fields"] == [
                f for f, _, _ in said if f in nulled or f.partition(".")[0] in nulled
            ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bytes_at_random_are_bad_or_events_and_never_worse(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(GOOD) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=6))
    body = GOOD[:place] + noise + GOOD[place + len(noise) :]
    batch = columns_of([record(ACCOUNT, GOOD, 1), record(ACCOUNT, body, 2), record(ACCOUNT, GOOD, 3)])
    assert batch.changes.num_rows + len(batch.bad) == 3
    assert batch.changes["ordinal"].to_pylist()[:: batch.changes.num_rows - 1] == [1, 3]
    batch.changes.validate(full=True)
    batch.fields.validate(full=True)
