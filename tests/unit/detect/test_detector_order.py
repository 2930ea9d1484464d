"""The cut of the stream into batches, restarts and limits decide nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.detect.batch import DetectBatch
from cdc.detect.detector import Detector, Options
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, MINUTE, Row, SmallOrg, as_batch

Result = tuple[list[dict[str, object]], bytes]


@cache
def stream() -> DetectBatch:
    """Three days of a small org, with full reads in between, a runaway, deletes and a wildcard."""
    org = SmallOrg(5, users=3)
    ordinary = [row for row in org.weeks(0, 2) if BEGIN + 7 * DAY <= row["committed_at"] < BEGIN + 10 * DAY]
    at = BEGIN + 8 * DAY + 12 * HOUR
    wrong = org.bulk(
        "Opportunity", org.some("Opportunity", 1500), at, "005X", FLOW, lambda: {"StageName": "Closed Lost"}
    )
    deleted = org.bulk("Lead", org.some("Lead", 1000), at + HOUR, "005Y", FLOW, dict, kind="DELETE")
    named_all = org.bulk("Case", ["500*"], at + 2 * HOUR, "005Y", FLOW, dict)
    later = [{**row, "committed_at": row["committed_at"] - 5 * HOUR} for row in ordinary[-50:]]
    rows = sorted([*ordinary, *wrong, *deleted, *named_all], key=lambda row: int(row["committed_at"]))
    stock = list(org.baseline())
    return as_batch([*stock[:800], *rows[:1500], *stock[800:2500], *rows[1500:], *later, *rows[-20:]])


def run(size: Callable[[], int], options: Options | None = None, *, restarts: int = 0) -> Result:
    batch, start, taken = stream(), 0, 0
    detector = Detector("acme", options)
    found = []
    while start < batch.rows:
        stop = min(batch.rows, start + size())
        found += detector.take(batch.part(start, stop))
        start, taken = stop, taken + 1
        if restarts and taken % restarts == 0:
            detector = Detector.restore(detector.state(), options)
    return found, detector.state()


@cache
def whole(options: Options | None = None) -> Result:
    return run(lambda: stream().rows, options)


def test_the_stream_has_alerts_of_every_state() -> None:
    assert {(v["severity"], v["state"]) for v in whole()[0]} >= {
        ("page", "open"),
        ("page", "growing"),
        ("page", "closed"),
    }


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_alerts_and_state_are_equal_under_any_batch_size(size: int) -> None:
    assert run(lambda: size) == whole()


def test_alerts_and_state_are_equal_when_the_state_is_stored_and_restored_at_any_point() -> None:
    sizes = random.Random(1)
    assert run(lambda: sizes.randint(1, 700), restarts=1) == whole()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from((0, 5)))
def test_alerts_and_state_are_equal_under_random_splits(seed: int, restarts: int) -> None:
    sizes = random.Random(seed)
    assert run(lambda: sizes.choice((7, 60, 500, 4000)), restarts=restarts) == whole()


def test_a_full_table_of_open_episodes_drops_the_oldest_the_same_under_any_split() -> None:
    few = Options(open_max=3)
    sizes = random.Random(2)
    assert run(lambda: sizes.randint(1, 900), few, restarts=4) == whole(few)
    assert Detector.restore(whole(few)[1]).evicted > 0


def test_a_tick_closes_what_is_over_on_a_quiet_stream() -> None:
    org = SmallOrg(1)
    detector = Detector("acme")
    rows = org.bulk("Lead", org.some("Lead", 300), BEGIN, "005Y", FLOW, dict, kind="DELETE")
    (opened,) = detector.take(as_batch(rows))
    last = max(row["committed_at"] for row in rows)
    assert detector.tick(last + 119 * MINUTE) == []
    (closed,) = detector.tick(last + 120 * MINUTE)
    assert (closed["alert_id"], closed["state"], closed["version"]) == (opened["alert_id"], "closed", 2)
    assert (closed["records"], closed["at_change"]) == (300, 300)
    assert detector.tick(last + 4 * HOUR) == []


def test_a_stream_that_catches_up_hours_behind_is_timed_by_itself() -> None:
    org = SmallOrg(1)
    detector = Detector("acme")
    detector.take(as_batch(org.bulk("Account", org.some("Account", 1), BEGIN + 6 * HOUR, "005A", FLOW, dict)))
    behind: list[Row] = []
    for n in range(400):  # one record every ten minutes: never in bulk, however fast it arrives
        behind += org.bulk(
            "Case", org.some("Case", 1), BEGIN + n * 16 * MINUTE, "005B", FLOW, dict, kind="DELETE"
        )
    assert detector.take(as_batch(behind)) == []
