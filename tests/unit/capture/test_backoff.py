"""Pauses grow, are never shorter than promised and never longer than their limit."""

from __future__ import annotations

from cdc.capture.backoff import RECONNECT_EVERY_S, RECONNECT_FIRST_S, Backoff
from cdc.capture.options import DELIVERY_LIMIT_PAUSE_MAX_S


def test_reconnects_are_drawn_and_never_closer_than_a_second() -> None:
    first = [Backoff(first_s=RECONNECT_FIRST_S).pause_s() for _ in range(200)]
    assert min(first) >= RECONNECT_EVERY_S
    assert max(first) - min(first) > 0.1


def test_pauses_of_a_used_up_allocation_grow_to_a_quarter_of_an_hour_and_begin_again() -> None:
    pauses = Backoff(first_s=60.0, max_s=DELIVERY_LIMIT_PAUSE_MAX_S)
    drawn = [pauses.pause_s() for _ in range(12)]
    assert drawn[0] <= 60
    assert all(450 <= pause <= 900 for pause in drawn[5:])
    pauses.reset()
    assert pauses.pause_s() <= 60


def test_what_the_other_side_asks_for_is_the_least() -> None:
    assert Backoff().pause_s(at_least_s=30.0) >= 30.0
