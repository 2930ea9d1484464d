"""JSON of the Streaming API to the bytes of the Pub/Sub API: what each kind of value and header becomes."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from cdc.avro.schema import EventSchema
from cdc.errors import Undecodable
from connectors.salesforce.cometd_events import EventEncoder

HEADER_FIELDS: list[dict[str, Any]] = [
    {"name": "entityName", "type": "string"},
    {"name": "recordIds", "type": {"type": "array", "items": "string"}},
    {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": ["CREATE", "UPDATE", "DELETE"]}},
    {"name": "changeOrigin", "type": "string"},
    {"name": "transactionKey", "type": "string"},
    {"name": "sequenceNumber", "type": "int"},
    {"name": "commitTimestamp", "type": "long"},
    {"name": "commitNumber", "type": "long"},
    {"name": "commitUser", "type": "string"},
    *({"name": n, "type": {"type": "array", "items": "string"}} for n in ("nulledFields", "diffFields", "changedFields")),
]  # fmt: skip


def record(name: str, **parts: str) -> dict[str, Any]:
    fields = [{"name": part, "type": ["null", avro], "default": None} for part, avro in parts.items()]
    return {"type": "record", "name": name, "fields": fields}


def nullable(name: str, doc: str, *branches: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", *branches], "doc": f"Data:{doc}", "default": None}


ADDRESS = record("Address", Street="string", City="string", Latitude="double")
PERSON = record("Switchable_PersonName", FirstName="string", LastName="string")
SCHEMA = {
    "type": "record",
    "name": "AccountChangeEvent",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "ChangeEventHeader", "doc": "Data:ComplexValueType",
         "type": {"type": "record", "name": "ChangeEventHeader", "fields": HEADER_FIELDS}},
        nullable("Name", "Switchable_PersonName", "string", PERSON),  # bit 1
        nullable("BillingAddress", "Address", ADDRESS),  # 2
        nullable("Phone", "Phone", "string"),  # 3
        nullable("Employees", "Integer", "int"),  # 4
        nullable("Revenue", "Currency", "double"),  # 5
        nullable("IsActive", "Boolean", "boolean"),  # 6
        nullable("Seen", "DateTime", "long"),  # 7
        nullable("Founded", "DateOnly", "long"),  # 8
        nullable("Opens", "TimeOnly", "long"),  # 9
        nullable("Description", "StringPlusClob", "string"),  # 10
        nullable("Flags", "MultiEnum", {"type": "array", "items": "string"}),  # 11
        nullable("ShippingAddress", "Address", "Address"),  # 12
    ],
}  # fmt: skip
READER = fastavro.parse_schema(json.loads(json.dumps(SCHEMA)))


def encoded(
    payload: dict[str, Any], changed: list[str] | None = None, kind: str = "UPDATE"
) -> dict[str, Any]:
    """The event as Avro reads it back."""
    header: dict[str, Any] = {
        "entityName": "Account", "recordIds": ["001A"], "changeType": kind, "changeOrigin": "o",
        "transactionKey": "t", "sequenceNumber": 1, "commitTimestamp": 1_700_000_000_000,
        "commitNumber": 9_007_199_254_741_999, "commitUser": "005A",
    }  # fmt: skip
    if changed is not None:
        header["changedFields"] = changed
    encoder = EventEncoder(EventSchema.parse("s1", json.dumps(SCHEMA)))
    body = encoder.encode({"ChangeEventHeader": header, **payload})
    read = fastavro.schemaless_reader(BytesIO(body), READER, None)
    assert isinstance(read, dict)
    return read


def bitmaps(read: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    header = read["ChangeEventHeader"]
    return header["changedFields"], header["nulledFields"], header["diffFields"]


def test_a_field_with_a_value_is_changed_a_null_is_nulled_and_one_without_either_is_hidden() -> None:
    read = encoded({"Phone": "1", "Revenue": None}, ["Phone", "Revenue", "Employees"])
    assert bitmaps(read) == (["0x38"], ["0x20"], [])
    assert (read["Phone"], read["Revenue"], read["Employees"]) == ("1", None, None)


def test_a_part_of_an_address_is_named_in_the_addresss_own_bitmap() -> None:
    read = encoded(
        {"BillingAddress": {"City": "Leeds", "Street": None}},
        ["BillingAddress.City", "BillingAddress.Street", "ShippingAddress.Latitude"],
    )
    assert bitmaps(read) == (["2-0x03", "12-0x04"], ["2-0x01"], [])
    assert read["BillingAddress"] == {"Street": None, "City": "Leeds", "Latitude": None}


def test_an_address_that_is_null_as_a_whole_nulls_the_parts_that_changed() -> None:
    read = encoded({"BillingAddress": None}, ["BillingAddress.City", "BillingAddress.Street"])
    assert bitmaps(read) == (["2-0x03"], ["2-0x03"], [])
    assert encoded({"BillingAddress": None}, ["BillingAddress"])["ChangeEventHeader"]["changedFields"] == [
        "2-0x07"
    ]


def test_a_business_accounts_name_is_a_text_and_a_persons_is_a_record() -> None:
    business = encoded({"Name": "Nova"}, ["Name"])
    assert (business["Name"], bitmaps(business)[0]) == ("Nova", ["0x02"])
    person = encoded({"Name": {"LastName": "Roe"}}, ["Name.LastName"])
    assert (person["Name"], bitmaps(person)[0]) == ({"FirstName": None, "LastName": "Roe"}, ["1-0x02"])


def test_a_diff_is_its_text_and_a_bit_of_diff_fields() -> None:
    read = encoded({"Description": {"diff": "--- \n+++ abc"}}, ["Description"])
    assert read["Description"] == "--- \n+++ abc"
    assert bitmaps(read) == (["0x0400"], [], ["0x0400"])


@pytest.mark.parametrize(
    ("field", "told", "held"),
    [
        ("Seen", "2026-11-23T10:02:00.123Z", 1_795_428_120_123),
        ("Seen", "2026-11-23T11:02:00.123+0100", 1_795_428_120_123),
        ("Seen", 1_795_428_120_123, 1_795_428_120_123),
        ("Seen", "1969-12-31T23:59:59.999Z", -1),
        ("Founded", "2026-11-23", 1_795_392_000_000),
        ("Founded", "2026-11-23T00:00:00.000Z", 1_795_392_000_000),
        ("Opens", "10:02:00.500Z", 36_120_500),
        ("Employees", 12.0, 12),
        ("Revenue", 12, 12.0),
        ("IsActive", False, False),
        ("Phone", 441234, "441234"),
        ("Flags", ["A", "B"], ["A", "B"]),
        ("Flags", "A;B", ["A", "B"]),
    ],
)
def test_a_value_becomes_what_avro_holds(field: str, told: Any, held: Any) -> None:
    assert encoded({field: told}, [field])[field] == held


def test_a_number_above_two_to_the_53rd_keeps_its_last_digit() -> None:
    assert encoded({}, [])["ChangeEventHeader"]["commitNumber"] == 9_007_199_254_741_999


def test_a_create_names_no_fields_and_a_version_that_names_none_is_taken_by_its_body() -> None:
    assert bitmaps(encoded({"Phone": "1"}, [], "CREATE")) == ([], [], [])
    assert bitmaps(encoded({"Phone": None, "Revenue": 1}, None)) == (["0x28"], ["0x08"], [])


def test_an_enrichment_is_a_value_and_no_change() -> None:
    read = encoded({"Phone": "1", "Revenue": 5, "Employees": None}, ["Phone"])
    assert bitmaps(read) == (["0x08"], [], [])
    assert read["Revenue"] == 5


@pytest.mark.parametrize(
    ("payload", "changed", "said"),
    [
        ({"Nobody": 1}, [], "no field Nobody"),
        ({"BillingAddress": {"Planet": "Mars"}}, [], "no part Planet"),
        ({"BillingAddress": "Leeds"}, [], "BillingAddress is compound"),
        ({"Phone": {"a": 1}}, [], "in place of a text"),
        ({"Seen": "yesterday"}, [], "yesterday"),
        ({"IsActive": "yes"}, [], "in place of true or false"),
        ({"Employees": 1.5}, [], "in place of a whole number"),
        ({}, ["Nobody"], "no field Nobody"),
    ],
)
def test_what_does_not_fit_the_schema_is_undecodable_and_says_why(
    payload: dict[str, Any], changed: list[str], said: str
) -> None:
    with pytest.raises(Undecodable, match=said):
        encoded(payload, changed)


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"ChangeEventHeader": None}])
def test_what_is_no_event_at_all_is_undecodable(payload: Any) -> None:
    with pytest.raises(Undecodable):
        EventEncoder(EventSchema.parse("s1", json.dumps(SCHEMA))).encode(payload)
