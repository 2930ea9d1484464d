"""Positions survive their bytes, and an append out of order is told so before anything is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import LogRefused
from cdc.log import headers, positions_codec, topics
from cdc.log.numbering import placed, unplaced
from cdc.ports.log import ChannelPosition, LogRecord, Positions
from cdc.ports.types import Millis, Ordinal, ReplayId

MOMENTS = st.integers(0, 2**53).map(Millis)
CHANNELS = st.builds(
    ChannelPosition,
    channel=st.text(min_size=1, max_size=20),
    replay_id=st.none() | st.binary(max_size=10).map(ReplayId),
    beyond=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
    passed_to=MOMENTS,
    stored_at=MOMENTS,
    live_from=MOMENTS,
)
POSITIONS = st.builds(
    Positions,
    org=st.text(max_size=8),
    next_ordinal=st.integers(1, 2**60).map(Ordinal),
    channels=st.lists(CHANNELS, max_size=4).map(lambda found: {one.channel: one for one in found}),
)


def change(ordinal: int) -> LogRecord:
    return LogRecord("AccountChangeEvent", "k", b"", ordinal)


@given(POSITIONS)
def test_positions_survive_their_bytes(positions: Positions) -> None:
    assert positions_codec.decode(positions_codec.encode(positions)) == positions


@given(POSITIONS)
def test_equal_positions_are_equal_bytes(positions: Positions) -> None:
    turned = Positions(
        positions.org, positions.next_ordinal, dict(reversed(list(positions.channels.items())))
    )
    assert positions_codec.encode(turned) == positions_codec.encode(positions)


@given(st.dictionaries(st.sampled_from(["jobs", "schemas", "positions"]), st.integers(1, 10**9)))
def test_the_numbers_of_the_control_topics_survive_their_header(numbers: dict[str, int]) -> None:
    assert headers.last_numbers(headers.of_last_numbers(numbers)) == numbers


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 1000))
def test_a_control_record_gets_the_number_of_the_change_before_it(kinds: list[bool], start: int) -> None:
    records, places, following = [], [], start
    for is_change in kinds:
        if is_change:
            records.append(change(following))
            following += 1
        else:
            records.append(LogRecord("jobs", "j", b""))
        places.append(following - 1)
    result = placed(records, start, Positions("o", Ordinal(following)))
    assert [record.ordinal for record in result] == places


@pytest.mark.parametrize(
    ("records", "next_ordinal", "sentence"),
    [
        ([change(6)], 7, "change 6 .* where 5 comes next"),
        ([change(5), change(5)], 7, "change 5 .* where 6 comes next"),
        ([change(5)], 7, "7 comes next, the records that 6 does"),
        ([change(5), LogRecord("jobs", "j", b"", 4)], 6, "behind 4 stands behind 5"),
        ([LogRecord("positions", "o", b"")], 5, "writes positions itself"),
    ],
)
def test_what_is_out_of_order_is_named(records: list[LogRecord], next_ordinal: int, sentence: str) -> None:
    with pytest.raises(LogRefused, match=sentence):
        placed(records, 5, Positions("o", Ordinal(next_ordinal)))


def test_published_records_have_no_place() -> None:
    assert unplaced([LogRecord("jobs", "j", b"", 7)]) == [LogRecord("jobs", "j", b"", 0)]


def test_a_prefix_within_a_prefix_is_another_one() -> None:
    names = ["salesforce.acme.jobs", "salesforce.acme.test.jobs", "salesforce.acme2.jobs", "jobs"]
    assert topics.own(names, "salesforce.acme") == {"jobs": "salesforce.acme.jobs"}
