"""What stands in front of a body, and that it comes off again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.avro.framing import confluent_prefix, frame_prefix, unframe
from cdc.avro.own import RECORD_STATE, decode, encode_record_states
from cdc.errors import Undecodable
from tests.unit.avro.salesforce_shapes import event_schema


def test_the_fingerprint_is_the_one_the_specification_gives() -> None:
    assert frame_prefix('"int"').hex() == "c301" + "8f5c393f1ad57572"


def test_docs_do_not_change_the_fingerprint_and_fields_do() -> None:
    date = json.dumps(event_schema("Account", [("D", "DateOnly")]))
    moment = json.dumps(event_schema("Account", [("D", "DateTime")]))
    other = json.dumps(event_schema("Account", [("E", "DateTime")]))
    assert frame_prefix(date) == frame_prefix(moment) != frame_prefix(other)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"type": "record"}', '"Unheard"'])
def test_what_is_no_schema_has_no_prefix(text: str) -> None:
    with pytest.raises(Undecodable, match="no canonical form"):
        frame_prefix(text)


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_either_frame_comes_off(body: bytes, registry_id: int) -> None:
    assert unframe(frame_prefix('"int"') + body) == body
    assert unframe(confluent_prefix(registry_id) + body) == body


@pytest.mark.parametrize("value", [b"", b"\xc3", b"\xc3\x01abc", b"\x00\x00", b"raw body"])
def test_a_value_without_a_frame_is_refused(value: bytes) -> None:
    with pytest.raises(Undecodable, match="no frame"):
        unframe(value)


def test_full_states_are_framed_with_our_own_schema() -> None:
    state = {
        "entity": "Account", "record_id": "001Dp00000JJkkHIAT", "kind": "BASELINE", "source": "baseline",
        "scan_id": "b1", "after_ordinal": 4, "read_to": 2000, "anchor_at": 1000, "system_modstamp": 900,
        "user_id": None, "values": {"Name": "A", "Fax": None}, "unknown": ["Site"],
    }  # fmt: skip
    [value] = encode_record_states([state])
    assert decode(RECORD_STATE, value) == state
