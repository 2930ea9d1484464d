"""Changes in the order they were recorded: what a replay is made of.

Events come by ordinal, a page at a time. Full states lie behind the ordinal before which they were read, their
place; there, and behind a stretch that hides changes, what is known of records moves without an event, and
`replay_plan` says where that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cdc.answer.answers import Answer, dicts_of, instant, number_of_cursor, rows_of, text_of_cursor, to_cursor
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named, known_entities
from cdc.answer.honesty import EVERY_ID, check_limit, crossed
from cdc.answer.times import Moment, moment

LIMIT_DEFAULT = 1_000
ORDINAL_MAX = 2**62


def changes(
    reader: Any,
    entities: Sequence[str] = (),
    from_time: str | datetime | None = None,
    to_time: str | datetime | None = None,
    from_before: str | int | None = None,
    to_before: str | int | None = None,
    limit: int = LIMIT_DEFAULT,
    cursor: str | None = None,
) -> Answer:
    """Events from a moment (without one, from the first) to another (now), a page in the order of their ordinals.

    `said` maps a field to the value the event gave it (None: null); `unknown_fields` it changed without saying to
    what. Errors: BadArgument, NotFound.
    """
    check_limit(limit)
    names, first, last = _asked(reader, entities, from_time, to_time, from_before, to_before)
    after = number_of_cursor(cursor, ORDINAL_MAX)
    parameters = {
        **_parameters(names, first, last),
        "after": -1 if after is None else after,
        "limit": limit + 1,
    }
    columns, rows = rows_of(reader.execute(sql("changes_page"), parameters))
    following = to_cursor(rows[limit - 1][0]) if len(rows) > limit else None
    return Answer(columns=columns, rows=rows[:limit], next=following)


def replay_plan(
    reader: Any,
    entities: Sequence[str] = (),
    from_time: str | datetime | None = None,
    to_time: str | datetime | None = None,
    from_before: str | int | None = None,
    to_before: str | int | None = None,
) -> Answer:
    """Where a replay begins and ends, and where between full states and holes lie.

    Rows: `window` (an entity's first ordinal as `place`, the one behind its last as `until`), `read` (full states at
    `place`), `hole` (of one record, or of all). Not complete where a stretch in it is lost or unknown.
    Errors: BadArgument, NotFound.
    """
    names, first, last = _asked(reader, entities, from_time, to_time, from_before, to_before)
    windows = dicts_of(reader.execute(sql("replay_window"), _parameters(names, first, last)))
    rows: list[tuple[Any, ...]] = []
    reasons: dict[str, None] = {}
    stretches: list[Mapping[str, Any]] = []
    for window in windows:
        entity, span = window["entity"], {"first": window["first_seq"], "end": window["end_seq"]}
        rows.append(("window", entity, span["first"], span["end"], None, None))
        asked = {"entity": entity, **span}
        for place, records in reader.execute(
            sql("replay_reads"), asked | {"to_t": last.parameters["t"]}
        ).fetchall():
            rows.append(("read", entity, place, None, None, records))
        for place, record_id in reader.execute(sql("replay_holes"), asked).fetchall():
            rows.append(("hole", entity, place, None, record_id, None))
        for stretch in crossed(reader, entity, last, EVERY_ID, first.at if first else None):
            stretches.append({"entity": entity, **stretch})
            if stretch["status"] in ("lost", "unknown"):
                reasons[
                    f"{entity}: {stretch['status']} from {instant(stretch['from_at'])}, {stretch['reason']}"
                ] = None
    return Answer(
        columns=("what", "entity", "place", "until", "record_id", "records"),
        rows=rows,
        complete=not reasons,
        reasons=list(reasons),
        notes=[reader.execute(sql("any_org")).fetchone()[0] or ""],
        stretches=stretches,
    )


def read_rows(
    reader: Any, entity: str, place: int, limit: int = LIMIT_DEFAULT, cursor: str | None = None
) -> Answer:
    """The full states of an entity at one place, by record id. Errors: BadArgument, NotFound."""
    check_limit(limit)
    parameters = {"entity": entity_named(reader, entity), "place": place, "after": text_of_cursor(cursor)}
    columns, rows = rows_of(reader.execute(sql("read_rows"), {**parameters, "limit": limit + 1}))
    following = to_cursor(rows[limit - 1][columns.index("record_id")]) if len(rows) > limit else None
    return Answer(columns=columns, rows=rows[:limit], next=following)


def _asked(
    reader: Any, entities: Sequence[str], from_time: Any, to_time: Any, from_before: Any, to_before: Any
) -> tuple[list[str], Moment | None, Moment]:
    names = sorted({entity_named(reader, e) for e in entities}) or known_entities(reader)
    has_first = from_time is not None or from_before is not None
    first = moment(reader, from_time, from_before) if has_first else None
    return names, first, moment(reader, to_time, to_before)


def _parameters(entities: Sequence[str], first: Moment | None, last: Moment) -> dict[str, Any]:
    return {
        "entities": list(entities),
        "from_t": first.at if first and first.at else "-infinity",
        "from_c": first.cut if first and first.cut else 0,
        "to_t": last.parameters["t"],
        "to_c": last.parameters["c"],
    }
