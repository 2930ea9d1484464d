"""One text for one value, whichever way it was read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.change.values import (
    DATETIME_MS_MAX,
    DATETIME_MS_MIN,
    DAY_MS,
    canonical_text,
    date_text,
    datetime_text,
    double_text,
    time_text,
)


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (12.0, "double", "12"),
        (12, "double", "12"),
        ("12.50", "currency", "12.5"),
        (-122.398524, "double", "-122.398524"),
        (0.00001, "percent", "0.00001"),
        (1e-7, "double", "1e-7"),
        (1.25e10, "currency", "1.25e+10"),
        (7, "int", "7"),
        ("7", "int", "7"),
        (7.0, "int", "7"),
        (True, "boolean", "true"),
        ("FALSE", "boolean", "false"),
        ("2026-11-23T10:02:00.000+0000", "datetime", "2026-11-23T10:02:00.000Z"),
        ("2026-11-23T12:02:00.5+02:00", "datetime", "2026-11-23T10:02:00.500Z"),
        ("2026-11-23T10:02:00Z", "datetime", "2026-11-23T10:02:00.000Z"),
        (1771300995000, "datetime", "2026-02-17T04:03:15.000Z"),
        ("2026-11-23", "date", "2026-11-23"),
        ("10:02:00.000Z", "time", "10:02:00.000Z"),
        ("10:02", "time", "10:02:00.000Z"),
        ("a;b", "multipicklist", "a;b"),
        (3.0, "anyType", "3"),
        (None, "double", None),
    ],
)
def test_a_value_of_a_query_has_one_text(value: object, type_: str, text: str | None) -> None:
    assert canonical_text(value, type_) == text


@pytest.mark.parametrize(
    ("value", "type_"),
    [("x", "double"), (True, "double"), (1.5, "int"), ("yes", "boolean"), ("soon", "datetime"), ({}, "address"),
     ("2026-13-01", "date"), (10**400, "double"), (1.5, "date"), ([], "string")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(value: object, type_: str) -> None:
    with pytest.raises(ValueError, match=f"is not a {type_}"):
        canonical_text(value, type_)


@given(st.floats())
def test_a_double_reads_back_as_the_same_number(value: float) -> None:
    text = double_text(value)
    assert float(text) == value or math.isnan(value)
    assert not text.endswith(".0")


@given(st.integers(DATETIME_MS_MIN, DATETIME_MS_MAX))
def test_moments_and_days_agree(ms: int) -> None:
    assert canonical_text(datetime_text(ms), "datetime") == datetime_text(ms)
    assert datetime_text(ms)[:10] == date_text(ms)
    assert datetime_text(ms)[11:] == time_text(ms % DAY_MS)


@pytest.mark.parametrize("ms", [DATETIME_MS_MIN - 1, DATETIME_MS_MAX + 1, 2**62])
def test_a_moment_without_a_date_stays_a_number(ms: int) -> None:
    assert datetime_text(ms) == date_text(ms) == time_text(ms) == str(ms)
