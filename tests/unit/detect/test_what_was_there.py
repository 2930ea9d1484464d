"""What is remembered of values, how it looks, what the budget allows, and what people have said is all right."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.detect.announced import window_of
from cdc.detect.budget import Budget
from cdc.detect.detector import Detector
from cdc.detect.facts import WEEK_MS
from cdc.detect.hashing import hash_texts, lengths_of, mixed
from cdc.detect.recall import FORGET_MINUTES, Recall
from cdc.detect.shapes import difference, shapes_of
from cdc.detect.templates import Window
from cdc.errors import BadArgument
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, WEEK, SmallOrg, as_batch

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=60)


def told(
    rows: list[tuple[int, int]], cuts: list[int], *, sampled: bool
) -> tuple[list[int], list[int], object]:
    table = Recall(2, sampled=sampled)  # four places for six keys: they push each other out
    keys = mixed(np.array([k + 1 for k, _ in rows], np.uint64))
    values = np.array([v for _, v in rows], np.uint32)
    zeros, priority = np.zeros(len(rows), np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    before: list[int] = []
    flips: list[int] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    for start, stop in itertools.pairwise(edges):
        part = table.take(keys[start:stop], values[start:stop], zeros[start:stop], priority[start:stop])
        before += part.before.tolist()
        flips += part.flips.tolist()
    return before, flips, table.state()


@settings(deadline=None)
@given(ROWS, st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_what_a_row_is_told_does_not_depend_on_the_cut(
    rows: list[tuple[int, int]], cuts: list[int], sampled: bool
) -> None:
    assert told(rows, cuts, sampled=sampled) == told(rows, [], sampled=sampled)


def test_a_value_that_comes_back_is_counted_and_one_that_is_repeated_is_not() -> None:
    before, flips, _ = told([(0, v) for v in (1, 2, 2, 1, 2, 3, 2)], [], sampled=False)
    assert before == [0, 1, 2, 2, 1, 2, 3]
    assert flips == [0, 0, 0, 1, 2, 0, 3]


def test_a_value_that_comes_back_after_a_day_was_corrected_and_does_not_go_to_and_fro() -> None:
    table, key = Recall(4), np.array([1 << 60], np.uint64)
    flips = []
    for minute, value in ((0, 1), (5, 2), (5 + FORGET_MINUTES + 1, 1), (5 + FORGET_MINUTES + 9, 2)):
        row = [np.array([n], np.uint32) for n in (value, minute, 0)]
        flips.append(int(table.take(key, *row).flips[0]))
    assert flips == [0, 0, 0, 1]


def shapes(*texts: str) -> dict[int, int]:
    column = pa.array(texts, pa.string())
    found, counts = np.unique(shapes_of(hash_texts(column, 48)[1], lengths_of(column)), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def test_values_of_another_column_lost_cents_and_cut_texts_look_different() -> None:
    r = random.Random(1)
    amounts = [f"{r.randint(10, 99999)}.{r.randint(10, 99)}" for _ in range(200)]
    texts = [
        f"about the order {r.randint(0, 9)} and what was agreed upon with the customer" for _ in range(200)
    ]
    assert difference(shapes(*amounts), shapes(*(a.split(".")[0] for a in amounts))) > 2
    assert difference(shapes(*texts), shapes(*(t[:20] for t in texts))) > 2
    assert difference(shapes(*amounts), shapes(*texts)) > 2
    assert difference(shapes(*amounts[:100]), shapes(*amounts[100:])) < 0.3


def test_the_bound_rises_where_weeks_exceed_the_budget_and_never_beyond_its_limit() -> None:
    budget = Budget(1, 1.25)
    for week in range(1, 6):
        for n in range(6):
            budget.note(week * WEEK_MS, 0.1 * n)
    assert 0 < budget.rise(6 * WEEK_MS, 0) < 0.5
    quiet = Budget(1, 1.25)
    quiet.note(WEEK_MS, 3.0)
    assert quiet.rise(6 * WEEK_MS, 0) == 0
    loud = Budget(1, 1.25)
    for _ in range(60):
        loud.note(5 * WEEK_MS, 4.0)
    assert loud.rise(6 * WEEK_MS, 0) == 1.25


def learned() -> tuple[Detector, SmallOrg]:
    org, detector = SmallOrg(3, users=8), Detector("acme")
    detector.take(as_batch(list(org.baseline())))
    detector.take(as_batch(org.weeks(0, 2)))
    return detector, org


def test_records_that_this_system_restores_make_no_alert_and_others_of_that_user_do() -> None:
    detector, org = learned()
    ids, at = org.some("Contact", 900), BEGIN + 2 * WEEK + DAY + HOUR
    detector.restoring("005R", "Contact", "UPDATE", ids[:600], at)
    own = org.bulk("Contact", ids[:600], at, "005R", FLOW, lambda: {"Phone": None})
    assert detector.take(as_batch(own)) == []
    other = org.bulk("Account", org.some("Account", 600), at + DAY, "005R", FLOW, lambda: {"Phone": None})
    assert any(v["severity"] == "page" for v in detector.take(as_batch(other)))


def test_an_announced_window_silences_volume_and_not_what_is_written() -> None:
    detector, org = learned()
    at = BEGIN + 2 * WEEK + DAY + HOUR
    detector.announce(Window(at - HOUR, at + 5 * HOUR))
    varied = org.bulk(
        "Lead",
        org.some("Lead", 900),
        at,
        "005M",
        FLOW,
        lambda: {"Phone": f"+49 {org.random.randint(10**6, 10**9)}"},
    )
    assert detector.take(as_batch(varied)) == []
    nulls = org.bulk("Contact", org.some("Contact", 900), at + HOUR, "005M", FLOW, lambda: {"Phone": None})
    assert any(v["severity"] == "page" for v in detector.take(as_batch(nulls)))


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"from": "noon", "to": "2026-01-01"},
        {"from": 2, "to": 1},
        {"from": 1, "to": 2, "entities": "A"},
        "x",
    ],
)
def test_a_window_that_cannot_be_used_is_refused(entry: object) -> None:
    with pytest.raises(BadArgument):
        window_of(entry, "calendar.toml, window 1")
