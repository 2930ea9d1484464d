"""A merged event becomes one event per record, and nothing else in it changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.avro.schema import EventSchema
from cdc.avro.split import Named, named, split
from cdc.avro.wire import read_long, write_long
from cdc.errors import Undecodable
from tests.unit.avro.real_payloads import ADDRESS_EDIT, MERGED, account_schema_json
from tests.unit.avro.salesforce_shapes import decode, encode, event, event_schema, events, schemas

ACCOUNT = EventSchema.parse("account", account_schema_json())
FULL_IDS = st.lists(st.text(max_size=20), max_size=12)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Strings, and one of the ways Avro allows to write them: any blocks, with or without their size in bytes."""
    ids = draw(FULL_IDS)
    out, at = b"", 0
    while at < len(ids):
        size = draw(st.integers(1, len(ids) - at))
        items = b"".join(write_long(len(i.encode())) + i.encode() for i in ids[at : at + size])
        with_bytes = draw(st.booleans())
        out += (write_long(-size) + write_long(len(items)) if with_bytes else write_long(size)) + items
        at += size
    return ids, out + b"\x00"


@given(st.data(), arrays())
def test_each_part_is_the_same_event_with_one_id(data: st.DataObject, array: tuple[list[str], bytes]) -> None:
    raw, docs = data.draw(schemas())
    whole = data.draw(events(raw, docs))
    whole["ChangeEventHeader"]["recordIds"] = []
    plain = encode(raw, whole)
    entity = write_long(len("Account")) + b"Account"
    assert plain.startswith(entity + b"\x00")
    ids, blocks = array
    payload = entity + blocks + plain[len(entity) + 1 :]
    parts = split(payload, EventSchema.parse("x", json.dumps(raw)))
    if len(ids) < 2:
        assert parts == [(ids[0] if ids else "", payload)]
        assert parts[0][1] is payload
        return
    assert [record_id for record_id, _ in parts] == ids
    for record_id, part in parts:
        whole["ChangeEventHeader"]["recordIds"] = [record_id]
        assert part == encode(raw, whole)
        assert decode(raw, part) == whole


def test_twenty_ids_of_a_real_event_become_twenty_events_in_their_order() -> None:
    parts = split(MERGED, ACCOUNT)
    assert [record_id for record_id, _ in parts][:2] == ["0012F00000ic4TZQAY", "0012F00000ic4TaQAI"]
    assert len(parts) == 20
    assert len({len(part) for _, part in parts}) == 1
    assert len(parts[0][1]) == len(MERGED) - 19 * 19


def test_an_event_of_one_record_is_handed_back_untouched() -> None:
    [(record_id, body)] = split(ADDRESS_EDIT, ACCOUNT)
    assert record_id == "001Dp00000JJkkHIAT"
    assert body is ADDRESS_EDIT


def test_a_platform_event_is_not_split() -> None:
    schema = EventSchema.parse(
        "p",
        json.dumps(
            {"type": "record", "name": "Order__e", "fields": [{"name": "CreatedDate", "type": "long"}]}
        ),
    )
    assert split(b"\x02", schema) == [("", b"\x02")]


@pytest.mark.parametrize("length", [0, 3, 8, 9, 20])
def test_an_event_cut_short_is_refused(length: int) -> None:
    merged = encode(
        json.loads(account_schema_json()),
        event(json.loads(account_schema_json()), {}, recordIds=["a" * 18, "b" * 18]),
    )
    with pytest.raises(Undecodable, match="end inside"):
        split(merged[:length], ACCOUNT)


def test_a_count_that_cannot_be_is_refused() -> None:
    with pytest.raises(Undecodable, match="claims to have"):
        split(b"\x02A" + write_long(2**40), ACCOUNT)


def test_ids_that_are_no_text_are_refused() -> None:
    with pytest.raises(Undecodable, match="not text"):
        split(b"\x02A\x04\x02\xff\x02a\x00", ACCOUNT)


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3))
def test_an_integer_written_is_read_back_with_its_end(number: int, after: bytes) -> None:
    written = write_long(number)
    assert read_long(b"x" + written + after, 1) == (number, 1 + len(written))


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(Undecodable, match="longer than 10 bytes"):
        read_long(b"\xff" * 11, 0)


def test_an_event_tells_whom_it_concerns_without_its_schema() -> None:
    ids = ("001Dp00000JJkkHIAT", "001Dp00000JJkkIIAT")
    shape = event_schema("Invoice__c", [("Name", "Text")])
    body = encode(shape, event(shape, {"Name": "A"}, entityName="Invoice__c", recordIds=list(ids)))
    assert named(body) == Named("Invoice__c", ids, 1771300995000)
    assert named(body[:60]) == Named("Invoice__c", ids)  # cut short behind the ids
    assert named(body[:20]) == Named()


def test_a_wildcard_names_no_record_and_other_bytes_name_nobody() -> None:
    shape = event_schema("Account", [("Name", "Text")])
    body = encode(shape, event(shape, {}, recordIds=["001*"]))
    assert (named(body).entity, named(body).record_ids) == ("Account", ())
    assert named(b"") == named(b"\x07\xff\xff") == named(b"\x02?\x02\x02x") == Named()


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_survived(body: bytes) -> None:
    assert isinstance(named(body), Named)
