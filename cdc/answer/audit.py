"""Who did what through the API: the calls that were told to the log."""

from __future__ import annotations

import json
from typing import Any

from cdc.answer.answers import Answer, number_of_cursor, rows_of, to_cursor
from cdc.answer.definitions import sql
from cdc.errors import BadArgument

CALLS_DEFAULT = 100
CALLS_MAX = 1_000


def audit(reader: Any, limit: int = CALLS_DEFAULT, cursor: str | None = None) -> Answer:
    """A row per call, the newest first; `status` is empty for one that was never answered. Errors: BadArgument."""
    if not 1 <= limit <= CALLS_MAX:
        raise BadArgument(f"a page has 1 to {CALLS_MAX} calls, not {limit}", do="page with the cursor")
    skip = number_of_cursor(cursor, 2**31) or 0
    columns, found = rows_of(reader.execute(sql("audit"), {"limit": limit + 1, "skip": skip}))
    at = columns.index("given")
    rows = [(*row[:at], json.loads(row[at] or "{}"), *row[at + 1 :]) for row in found[:limit]]
    return Answer(columns=columns, rows=rows, next=to_cursor(skip + limit) if len(found) > limit else None)
