"""Questions about the journal itself: how far it is, which alerts were raised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cdc.answer.answers import Answer, Row, number_of_cursor, rows_of, to_cursor
from cdc.answer.befores import ALERTS_MAX as BEFORES_MAX
from cdc.answer.befores import with_befores
from cdc.answer.covered import missing_rows, missing_sentence
from cdc.answer.definitions import sql
from cdc.answer.people import with_names
from cdc.answer.setup_cause import setup_before
from cdc.change.setup_kinds import KIND_OF
from cdc.errors import BadArgument

ALERTS_DEFAULT = 20
ALERTS_MAX = 1_000
SEALS_DEFAULT = 100

_ALERT_JSON = frozenset({"kinds", "actors", "targets", "samples", "evidence", "setup_before"})


WELL = frozenset({"live", "quiet", "polled", "off"})
"""States of a channel that need nobody."""


def status(reader: Any, now: datetime | None = None) -> Answer:
    """A row for the journal, each channel, entity, unfinished job, and what is kept raw; what is wrong is a reason.

    `now` is the wall clock, in UTC without a zone: it alone tells a quiet channel from a dead one.
    """
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    columns, rows = rows_of(reader.execute(sql("status"), {"now": moment, "setup": list(KIND_OF)}))
    reasons = [missing_sentence(*row) for row in missing_rows(reader)]
    reasons += [
        f"{name} is {state}" + (f": {detail}" if detail else "")
        for part, name, state, _, detail in rows
        if part == "channel" and state not in WELL
    ]
    return Answer(columns=columns, rows=rows, complete=not reasons, reasons=reasons)


def seals(reader: Any, limit: int = SEALS_DEFAULT) -> Answer:
    """The chain of sealed segments, the newest first."""
    columns, rows = rows_of(reader.execute(sql("seals"), {"limit": limit}))
    return Answer(columns=columns, rows=rows)


def alerts(
    reader: Any,
    limit: int = ALERTS_DEFAULT,
    cursor: str | None = None,
    alert_id: str = "",
    decorated: bool = True,
) -> Answer:
    """The latest version of each alert, or of one, the newest first. Errors: BadArgument.

    Where they are few, they are told whole (`alert`); `decorated` false leaves that out, for a list that is looked
    at often.
    """
    if not 1 <= limit <= ALERTS_MAX:
        raise BadArgument(f"a page has 1 to {ALERTS_MAX} alerts, not {limit}", do="page with the cursor")
    skip = number_of_cursor(cursor, 2**31) or 0
    columns, found = rows_of(
        reader.execute(sql("alerts"), {"limit": limit + 1, "skip": skip, "alert_id": alert_id})
    )
    following = to_cursor(skip + limit) if len(found) > limit else None
    told = [_read(columns, row) for row in found[:limit]]
    if decorated and len(told) <= BEFORES_MAX:
        told = [_whole(reader, one) for one in told]
    rows = [tuple(one[c] for c in columns) for one in told]
    return Answer(columns=columns, rows=rows, next=following)


def alert(reader: Any, alert_id: str) -> dict[str, Any] | None:
    """One alert with all that the journal adds to it: names, values from before, causes; None where there is none."""
    columns, rows = rows_of(reader.execute(sql("alert"), {"alert_id": alert_id}))
    if not rows:
        return None
    return _whole(reader, _read(columns, rows[0]))


def _whole(reader: Any, told: dict[str, Any]) -> dict[str, Any]:
    return _with_causes(reader, with_befores(reader, with_names(reader, told)))


def _read(columns: Sequence[str], row: Row) -> dict[str, Any]:
    return {
        c: json.loads(v) if c in _ALERT_JSON and v is not None else v
        for c, v in zip(columns, row, strict=True)
    }


def _with_causes(reader: Any, alert: dict[str, Any]) -> dict[str, Any]:
    """The alert with the changes of the set-up that came before it, as far as they are known by now."""
    if alert["setup_before"] is None and alert["first_change_at"] is not None:
        return {**alert, "setup_before": setup_before(reader, alert)}
    return alert
