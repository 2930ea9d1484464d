"""What a comparison with the org asks of the journal, and which scans there are."""

from __future__ import annotations

from typing import Any

from cdc.answer.answers import Answer, rows_of, text_of_cursor, to_cursor
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named
from cdc.errors import BadArgument

RECORDS_MAX = 10_000
"""Records of one page."""

JOBS_DEFAULT = 50
JOBS_MAX = 1_000


def standing(reader: Any, entity: str | None = None) -> Answer:
    """How an entity stands, or every one that has a baseline: a row each. Errors: NotFound."""
    if entity is not None:
        names = [entity_named(reader, entity)]
    else:
        found = reader.execute(
            "SELECT DISTINCT entity FROM store.jobs WHERE kind = 'baseline' AND state = 'ended' ORDER BY entity"
        ).fetchall()
        names = [name for (name,) in found]
    columns: list[str] = []
    rows = []
    for name in names:
        columns, one = rows_of(reader.execute(sql("standing"), {"entity": name}))
        rows += one
    return Answer(columns=columns, rows=rows)


def known(reader: Any, entity: str, cursor: str | None = None) -> Answer:
    """Every record ever known, in the order of ids: whether it is there, and up to when it is known."""
    name = entity_named(reader, entity)
    given = {"entity": name, "after": text_of_cursor(cursor), "limit": RECORDS_MAX}
    columns, rows = rows_of(reader.execute(sql("known_records"), given))
    following = to_cursor(rows[-1][0]) if len(rows) == RECORDS_MAX else None
    return Answer(columns=columns, rows=rows, next=following)


def moved(reader: Any, entity: str, ordinal: int) -> Answer:
    """Records that events or rows behind an ordinal were about."""
    given = {"entity": entity_named(reader, entity), "ordinal": ordinal}
    columns, rows = rows_of(reader.execute(sql("moved_records"), given))
    return Answer(columns=columns, rows=rows)


def jobs(
    reader: Any, entity: str | None = None, is_open: int | None = None, limit: int = JOBS_DEFAULT
) -> Answer:
    """Scans and re-reads, the newest first; `is_open` 1: those that have not ended, 0: those that have."""
    if not 1 <= limit <= JOBS_MAX:
        raise BadArgument(f"a page has 1 to {JOBS_MAX} jobs, not {limit}")
    name = entity_named(reader, entity) if entity else None
    columns, rows = rows_of(reader.execute(sql("jobs"), {"entity": name, "open": is_open, "limit": limit}))
    return Answer(columns=columns, rows=rows)
