"""Records that meet a condition at a moment: `state --where`.

A condition is three-valued. Records of which it is unknown, because a field it speaks of is not known, are not
shown as meeting it, and not left out in silence: their number makes the answer incomplete, and `maybe` shows them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb

from cdc.answer.answers import Answer, dicts_of, text_of_cursor, to_cursor
from cdc.answer.condition import parse_condition
from cdc.answer.condition_sql import Compiled, compile_condition
from cdc.answer.definitions import sql
from cdc.answer.fields import fields_of
from cdc.answer.honesty import (
    EVERY_ID,
    STATE_COLUMNS,
    crossed,
    known_since_of,
    notes_of,
    read_off_where_all,
    reasons_of,
)
from cdc.answer.times import Moment, newest_org_time
from cdc.errors import BadArgument

EPOCH = datetime.fromtimestamp(0, UTC)


def condition_of(reader: Any, entity: str, where: str, when: Moment) -> Compiled:
    """A person's condition on the records of an entity; TODAY is the day asked about. Errors: BadArgument."""
    today = (when.at or newest_org_time(reader) or EPOCH).date()
    return compile_condition(parse_condition(where), fields_of(reader, entity), today)


def matching(
    reader: Any, entity: str, when: Moment, where: str, limit: int, cursor: str | None, maybe: bool
) -> Answer:
    """Records that meet a condition, as `state` gives them; with `maybe` a column `matches` that is None where
    it is unknown. Errors: BadArgument."""
    condition = condition_of(reader, entity, where, when)
    parameters = {
        "entity": entity,
        "maybe": maybe,
        "after": text_of_cursor(cursor),
        "limit": limit + 1,
        **when.parameters,
        **condition.parameters,
    }
    try:
        asked = read_off_where_all(reader, sql("matching"), {"entity": entity, **when.parameters})
        found = dicts_of(reader.execute(asked.replace("{condition}", condition.sql), parameters))
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        reason = str(error).split("\n", 1)[0]
        raise BadArgument(f"the condition cannot be asked: {reason}", where=where[:80]) from error
    undecided, first = found[0]["undecided"], found[0]["undecided_first"]
    rows = [row for row in found if row["record_id"] is not None]
    following = to_cursor(rows[limit - 1]["record_id"]) if len(rows) > limit else None
    rows = rows[:limit]
    reasons = reasons_of(rows)
    if undecided:
        some = "" if undecided <= len(first) else ", …"
        reasons.append(
            f"of {undecided} records it is not known whether they meet the condition: {', '.join(first)}{some}"
        )
    columns = (*STATE_COLUMNS, "matches") if maybe else STATE_COLUMNS
    return Answer(
        columns=columns,
        rows=[tuple(row[c] for c in columns) for row in rows],
        complete=not reasons,
        reasons=reasons,
        notes=notes_of(reader, entity, when),
        known_since=known_since_of(rows),
        stretches=crossed(reader, entity, when, EVERY_ID, known_since_of(rows)),
        next=following,
    )
