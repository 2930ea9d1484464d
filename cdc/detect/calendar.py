"""Which days are not like others: the ends of months, and what people have announced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MONTH_END_DAYS = 2
"""The last days of a month, and the first of the next."""


def is_month_end(at: int) -> bool:
    """Whether books are being closed at this time (epoch ms, UTC)."""
    day = datetime.fromtimestamp(at / 1000, UTC).date()
    return day.day == 1 or (day + timedelta(days=MONTH_END_DAYS)).month != day.month
