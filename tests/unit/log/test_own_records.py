"""Our own records as bytes: what is encoded comes back, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.own import HEADER_BYTES, MARKER, decode, encode, header

CHANNEL = st.fixed_dictionaries(
    {
        "channel": st.text(max_size=20),
        "replay_id": st.none() | st.binary(max_size=12),
        "beyond": st.lists(
            st.fixed_dictionaries({"event_id": st.text(max_size=8), "record_id": st.text(max_size=8)}),
            max_size=3,
        ),
        "passed_to": st.integers(-(2**63), 2**63 - 1),
        "stored_at": st.integers(0, 2**63 - 1),
        "live_from": st.integers(0, 2**63 - 1),
        "heard_at": st.integers(0, 2**63 - 1),
        "standing": st.text(max_size=8),
        "trouble": st.text(max_size=20),
        "entities": st.lists(st.text(max_size=8), max_size=3),
    }
)
POSITIONS = st.fixed_dictionaries(
    {
        "org": st.text(max_size=10),
        "next_ordinal": st.integers(1, 2**63 - 1),
        "channels": st.lists(CHANNEL, max_size=3),
    }
)


@given(POSITIONS)
def test_what_is_encoded_comes_back(record: dict[str, object]) -> None:
    assert decode("positions", encode("positions", record)) == record


@given(POSITIONS, st.data())
def test_bytes_cut_short_or_grown_are_refused(record: dict[str, object], data: st.DataObject) -> None:
    value = encode("positions", record)
    cut = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(ValueError):
        decode("positions", value[:cut])
    with pytest.raises(ValueError, match="after its end"):
        decode("positions", value + b"\x00")


def test_the_fingerprint_tells_our_schemas_apart() -> None:
    value = encode("decision", {"kind": "tick", "at": 1})
    assert value[:2] == MARKER
    assert value[:HEADER_BYTES] == header("decision") != header("job")
    with pytest.raises(ValueError, match="not a framed job record"):
        decode("job", value)


def test_a_field_left_out_takes_its_default_and_a_missing_one_is_named() -> None:
    assert decode("decision", encode("decision", {"kind": "tick", "at": 1}))["detail"] == "{}"
    with pytest.raises(ValueError, match="job_id"):
        encode("job", {"kind": "baseline"})
