"""A schema says what its fields are; a header is read without the body, and a bad one spoils no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.avro.headers import decode_headers
from cdc.avro.schema import EventSchema, Form
from cdc.avro.store import SchemaStore
from cdc.change.bitmap import WHOLE
from cdc.errors import Undecodable
from tests.unit.avro.real_payloads import ADDRESS_EDIT, GEOCODED, MERGED, WIDE_BITMAP, account_schema_json
from tests.unit.avro.salesforce_shapes import encode, event_schema, events, header_schema, schemas

ACCOUNT = EventSchema.parse("account", account_schema_json())


def parsed(schema: dict[str, Any]) -> EventSchema:
    return EventSchema.parse("x", json.dumps(schema))


def test_the_fields_of_a_real_schema_are_known() -> None:
    assert (ACCOUNT.name, ACCOUNT.entity, ACCOUNT.is_change_event) == ("AccountChangeEvent", "Account", True)
    assert ACCOUNT.bitmaps.paths(["0x800000", "6-0x01"]) == ("ShippingAddress.Street", "LastModifiedDate")
    assert ACCOUNT.bitmaps.paths(["6-0x0180"]) == ("ShippingAddress.Latitude", "ShippingAddress.Longitude")
    assert ACCOUNT.bitmaps.paths(["1-0x06"]) == ("Name.FirstName", "Name.LastName")
    forms = {leaf.path: leaf.form for leaf in ACCOUNT.leaves}
    assert forms["BillingAddress.Latitude"] is Form.DOUBLE
    assert forms["Some_Time__c"] is Form.TIME
    assert forms["PersonBirthdate"] is Form.DATE
    assert forms["LastModifiedDate"] is Form.DATETIME
    assert forms["NumberOfEmployees"] is Form.INTEGER
    assert forms["Another_One__c"] is Form.BOOLEAN


def test_a_name_that_is_a_text_or_a_record_has_the_leaves_of_both() -> None:
    name = [leaf for leaf in ACCOUNT.leaves if leaf.top == 1]
    assert [(leaf.path, leaf.child, leaf.branch) for leaf in name] == [
        ("Name", WHOLE, 1),
        ("Name.Salutation", 0, 2),
        ("Name.FirstName", 1, 2),
        ("Name.LastName", 2, 2),
    ]


def test_an_array_of_names_and_a_doc_never_seen_are_readable() -> None:
    schema = parsed(event_schema("User", [("EmailPreferences", "Names"), ("New__c", "NeverSeenBefore")]))
    assert [leaf.form for leaf in schema.leaves] == [Form.NAMES, Form.TEXT]


@pytest.mark.parametrize("namespace", [None, "", "com.sforce.eventbus"])
def test_the_namespace_of_the_enum_does_not_matter(namespace: str | None) -> None:
    schema = parsed(event_schema("Account", [("Name", "Text")], header_schema(enum_namespace=namespace)))
    assert schema.is_change_event


def test_a_platform_event_has_no_entity_and_its_creation_time() -> None:
    order = {
        "type": "record",
        "name": "Order__e",
        "fields": [
            {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
            {"name": "N", "type": "int"},
        ],
    }
    schema = parsed(order)
    assert (schema.name, schema.entity, schema.is_change_event) == ("Order__e", "", False)
    columns = decode_headers([encode(order, {"CreatedDate": 5, "N": 1})], schema)
    assert (columns.committed_at, columns.id_counts, columns.first_ids) == ([5], [1], [""])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('"string"', "not of a record"),
        ('{"type": "record", "name": "A", "fields": []}', "not of a record"),
        ('{"type": "record", "name": "A", "fields": [{"name": "b", "type": "B"}]}', "B is used and not defined"),
        ('{"type": "record", "name": "A", "fields": [{"name": "a", "type": ["null", "A"]}]}', "A contains itself"),
        ('{"type": "record", "name": "A", "fields": [{"name": "a", "type": 7}]}', "7 is no Avro type"),
        ('{"type": "record", "name": "A"}', "incomplete"),
        (json.dumps({"type": "record", "name": "A", "fields": [{"name": "ChangeEventHeader", "type": "int"}]}), "header"),
        ('{"type": "record", "name": "A", "fields": [{"name": "a", "type": ' + '{"type":"array","items":' * 40, "JSON"),
        ('{"type": "record", "name": "A", "fields": [{"name": "a", "type": '
         + '{"type":"array","items":' * 40 + '"int"' + "}" * 40 + "}]}", "deep"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_understood_is_refused_with_its_id(text: str, said: str) -> None:
    with pytest.raises(Undecodable, match=f"(?i){said}.*schema s1"):
        EventSchema.parse("s1", text)


def test_a_store_loads_an_id_once_and_asks_again_for_an_unknown_one() -> None:
    asked: list[str] = []
    known = {"a": account_schema_json(), "b": account_schema_json()}

    def load(schema_id: str) -> str | None:
        asked.append(schema_id)
        return known.get(schema_id)

    store = SchemaStore(load, schemas_cached_max=1)
    assert store.get("a") is store.get("a")
    store.get("b")
    store.get("a")
    for _ in range(2):
        with pytest.raises(Undecodable, match="schema c is not known"):
            store.get("c")
    assert asked == ["a", "b", "a", "c", "c"]


def test_headers_of_real_payloads_are_read_whatever_follows_them() -> None:
    columns = decode_headers([ADDRESS_EDIT, GEOCODED, WIDE_BITMAP, MERGED], ACCOUNT)
    assert columns.entities == ["Account"] * 4
    assert columns.kinds == ["UPDATE"] * 4
    assert columns.id_counts == [1, 1, 1, 20]
    assert columns.first_ids[0] == "001Dp00000JJkkHIAT"
    assert columns.ids[3][-1] == "0012F00000ic5ogQAA"
    assert columns.committed_at[:2] == [1771300995000, 1771300996000]
    assert not columns.reasons


@given(st.data())
def test_bad_payloads_are_named_and_the_others_read(data: st.DataObject) -> None:
    raw, docs = data.draw(schemas())
    schema = parsed(raw)
    good = data.draw(st.lists(events(raw, docs), min_size=1, max_size=4))
    bad = [b"", b"\xff" * 30, encode(raw, good[0])[:9], b"\x02\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"]
    mixed: list[tuple[bytes, dict[str, Any] | None]] = data.draw(
        st.permutations([(encode(raw, e), e) for e in good] + [(b, None) for b in bad])
    )
    columns = decode_headers([payload for payload, _ in mixed], schema)
    for i, (_, whole) in enumerate(mixed):
        assert (i in columns.reasons) == (whole is None)
        ids = whole["ChangeEventHeader"]["recordIds"] if whole else []
        assert columns.ids[i] == ids
        assert columns.id_counts[i] == len(ids)
        assert columns.first_ids[i] == (ids[0] if ids else "")
        assert columns.committed_at[i] == (whole["ChangeEventHeader"]["commitTimestamp"] if whole else 0)
