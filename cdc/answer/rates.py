"""How many changes, when: in buckets of org time, by entity, kind or user."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cdc.answer.answers import Answer, rows_of
from cdc.answer.definitions import sql
from cdc.answer.times import newest_org_time, parse_time
from cdc.errors import BadArgument

BUCKETS_MAX = 180
MINUTES_MAX = 7 * 24 * 60
NAMES_MAX = 8  # the largest; what is left is counted as `others`
WAYS = ("entity", "kind", "user")


def rates(
    reader: Any, minutes: int = 15, by: str = "entity", entity: str = "", until: str | None = None
) -> Answer:
    """Rows of (name, at_ms, changes), and with each row the bucket's length and the span asked about.

    `until` is a time; without it the newest org time the journal knows. Errors: BadArgument.
    """
    if by not in WAYS:
        raise BadArgument(f"{by!r:.40} is no way to count", do=f"use {', '.join(WAYS)}")
    if not 1 <= minutes <= MINUTES_MAX:
        raise BadArgument(f"{minutes} minutes are out of range", do=f"use 1 to {MINUTES_MAX}")
    newest = newest_org_time(reader)
    end = (parse_time(until, newest) if until else None) or newest
    if end is None:
        return Answer(columns=("name", "at_ms", "changes", "bucket_ms", "from_ms", "until_ms"), rows=[])
    bucket_ms = max(1000, -(-minutes * 60_000 // BUCKETS_MAX // 1000) * 1000)
    given = {
        "from_at": end - timedelta(minutes=minutes),
        "until": end,
        "bucket_ms": bucket_ms,
        "by": by,
        "entity": entity,
        "names_max": NAMES_MAX,
    }
    columns, rows = rows_of(reader.execute(sql("rates"), given))
    return Answer(columns=columns, rows=rows)
