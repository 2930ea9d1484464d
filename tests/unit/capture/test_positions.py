"""The position stored is always safe to resume from: nothing after it is lost, nothing before it is asked for twice."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.positions import Reached, Seen
from cdc.ports.log import ChannelPosition
from cdc.ports.types import Millis, ReplayId


def replay(number: int) -> ReplayId:
    return ReplayId(number.to_bytes(8, "big") + b"\0\0")


def start() -> Reached:
    return Reached(ChannelPosition("/data/ChangeEvents"))


def test_a_first_event_is_no_stored_position_until_something_follows_it() -> None:
    reached = start().passed_events([(replay(1), (("e1", "r1"),))], Millis(1000), Millis(5))
    assert reached.position.replay_id is None
    assert reached.position.beyond == (("e1", "r1"),)
    reached = reached.passed_events([(replay(2), (("e2", "r2"),))], Millis(1000), Millis(6))
    assert reached.position.replay_id == replay(1)
    assert reached.position.beyond == (("e2", "r2"),)


def test_a_group_of_one_replay_id_stays_beyond_until_it_is_followed() -> None:
    reached = start().passed_events(
        [(replay(1), (("e1", "r1"),)), (replay(2), (("e2", "r2"),)), (replay(2), (("e3", "r3"),))],
        Millis(1),
        Millis(1),
    )
    assert reached.position.replay_id == replay(1)
    assert reached.position.beyond == (("e2", "r2"), ("e3", "r3"))


def test_an_empty_response_passes_everything_before_it() -> None:
    reached = start().passed_events([(replay(1), (("e1", "r1"),))], Millis(1000), Millis(5))
    reached = reached.passed_empty(replay(9), Millis(2000), Millis(7))
    assert (reached.position.replay_id, reached.position.beyond) == (replay(9), ())
    assert (reached.position.passed_to, reached.position.stored_at) == (2000, 7)


def test_passed_to_never_goes_back_when_commit_times_do() -> None:
    reached = start().passed_events([(replay(1), ())], Millis(5000), Millis(5))
    assert reached.passed_events([(replay(2), ())], Millis(4000), Millis(6)).position.passed_to == 5000


@given(
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    crash=st.integers(0, 40),
)
def test_resuming_after_a_crash_at_any_event_gives_every_pair_exactly_once(
    groups: list[int], cuts: list[int], crash: int
) -> None:
    """Deliver in arbitrary cuts, stop anywhere, resume strictly after the stored position: nothing lost or doubled."""
    stream = [(replay(g), (f"e{g}.{i}", "r")) for g, size in enumerate(groups, 1) for i in range(size)]
    crash = min(crash, len(stream))
    edges = sorted({0, crash, *(c for c in cuts if c < crash)})
    reached, recorded = start(), []
    for a, b in itertools.pairwise(edges):
        recorded += [pair for _, pair in stream[a:b]]
        reached = reached.passed_events([(r, (p,)) for r, p in stream[a:b]], Millis(1), Millis(1))
    seen = Seen(1000)
    for pair in reached.position.beyond:
        seen.add(pair)
    stored = reached.position.replay_id
    again = [pair for r, pair in stream if (stored is None or r > stored) and seen.add(pair)]
    assert recorded + again == [pair for _, pair in stream]


def test_the_memory_of_repeats_is_bounded_and_can_be_taken_back() -> None:
    seen = Seen(2)
    assert [seen.add(("e", str(i))) for i in (1, 2, 1, 3)] == [True, True, False, True]
    assert seen.add(("e", "1"))  # the oldest was dropped
    seen.forget([("e", "1")])
    assert seen.add(("e", "1"))
