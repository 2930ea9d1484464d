"""The questions: each a function of a reader (a DuckDB cursor) that gives an `Answer`.

`state`, `record` and `history` are here; `status` and `alerts` are in `overview.py`, `coverage` in `covered.py`, a person's
own SQL in `query.py`. Callers find all of them under this name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cdc.answer.answers import (
    UNKNOWN,
    Answer,
    Row,
    Value,
    dicts_of,
    number_of_cursor,
    text_of_cursor,
    to_cursor,
)
from cdc.answer.covered import coverage
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named, record_id_of
from cdc.answer.honesty import (
    EVERY_ID,
    STATE_COLUMNS,
    check_limit,
    crossed,
    known_since_of,
    not_there,
    notes_of,
    reasons_of,
    state_of,
    states_between,
    states_of,
)
from cdc.answer.matching import matching
from cdc.answer.overview import alerts, status
from cdc.answer.plain import history_rows, plain_record, record_rows
from cdc.answer.query import QueryLimits, query
from cdc.answer.times import Moment, moment
from cdc.errors import BadArgument

__all__ = [
    "UNKNOWN",
    "Answer",
    "QueryLimits",
    "Value",
    "alerts",
    "coverage",
    "history",
    "query",
    "record",
    "state",
    "states",
    "status",
]

ROWS_DEFAULT = 100

RECORD_COLUMNS = ("field", "value", "known", "set_at", "set_by", "set_client", "seq", "inferred")
"""What `record` tells of a field: the value, and the change that set it."""

PLACE_MAX = 2**126
"""Greater than any place in a history (fold_key.sql), and a number SQL can still compare with."""


def state(
    reader: Any,
    entity: str,
    ids: Sequence[str] = (),
    at: str | datetime | None = None,
    before: str | int | None = None,
    limit: int = ROWS_DEFAULT,
    cursor: str | None = None,
    where: str | None = None,
    maybe: bool = False,
) -> Answer:
    """Records of an entity at a time or before a change, in the order of their ids.

    `fields` maps a field to its value; a missing field is not known (`unknown_fields` lists those that
    something named), None is null. `where` keeps those that meet a condition (condition.py), with `maybe`
    also those of which it is unknown. Errors: BadArgument, NotFound (entity, or one of the ids).
    """
    name, when = entity_named(reader, entity), moment(reader, at, before)
    check_limit(limit)
    if where is not None:
        if ids:
            raise BadArgument("ids and a condition were both given", do="put Id IN ('…') into the condition")
        return matching(reader, name, when, where, limit, cursor, maybe)
    following = None
    if ids:
        wanted = sorted({record_id_of(i) for i in ids})
        found = states_of(reader, name, when, wanted)
    else:
        wanted = _page_of_ids(reader, name, text_of_cursor(cursor), limit + 1)
        following = to_cursor(wanted[limit - 1]) if len(wanted) > limit else None
        wanted = wanted[:limit]
        found = states_between(reader, name, when, (wanted[0], wanted[-1])) if wanted else []
    chosen = set(wanted)
    rows = [row for row in found if row["record_id"] in chosen]
    missing = chosen - {row["record_id"] for row in rows}
    notes = not_there(reader, name, sorted(missing), when) if ids else []
    reasons = reasons_of(rows)
    span = (wanted[0], wanted[-1]) if wanted else EVERY_ID
    return Answer(
        columns=STATE_COLUMNS,
        rows=[tuple(row[c] for c in STATE_COLUMNS) for row in rows],
        complete=not reasons,
        reasons=reasons,
        notes=[*notes_of(reader, name, when), *notes],
        known_since=known_since_of(rows),
        stretches=crossed(reader, name, when, span, known_since_of(rows)),
        next=following,
    )


def states(
    reader: Any,
    entity: str,
    ids: Sequence[str],
    at: str | datetime | None = None,
    before: str | int | None = None,
) -> Answer:
    """Many records by their ids of 18 characters, as `state` gives them; one that did not exist, or was never seen,
    has no row.

    Errors: BadArgument, NotFound (the entity).
    """
    name, when = entity_named(reader, entity), moment(reader, at, before)
    check_limit(max(1, len(ids)))
    rows = states_of(reader, name, when, ids)
    reasons = reasons_of(rows)
    return Answer(
        columns=STATE_COLUMNS,
        rows=[tuple(row[c] for c in STATE_COLUMNS) for row in rows],
        complete=not reasons,
        reasons=reasons,
        known_since=known_since_of(rows),
    )


def record(
    reader: Any,
    entity: str,
    record_id: str,
    at: str | datetime | None = None,
    before: str | int | None = None,
) -> Answer:
    """One record at a time or before a change, a row a field, with the change that set it.

    Of a field that is not known `known` is false and `value` None. Errors: BadArgument, NotFound.
    """
    name, full_id = entity_named(reader, entity), record_id_of(record_id)
    when = moment(reader, at, before)
    plain = plain_record(reader, name, full_id)
    whole = state_of(reader, name, when, full_id, plain)
    if not whole:
        notes = not_there(reader, name, [full_id], when)
        return Answer(columns=("field", "value", "known"), rows=(), notes=notes)
    counted = plain.at(when) if plain is not None else None
    if counted is not None:
        rows: Sequence[Row] = record_rows(counted)
    else:
        parameters = {"entity": name, "id": full_id, **when.parameters}
        rows = reader.execute(sql("record_rows"), parameters).fetchall()
    reasons = reasons_of(whole)
    return Answer(
        columns=RECORD_COLUMNS,
        rows=rows,
        complete=not reasons,
        reasons=reasons,
        notes=[f"{full_id} was {whole[0]['status']} {when.words()}", *notes_of(reader, name, when)],
        known_since=known_since_of(whole),
        stretches=crossed(reader, name, when, (full_id, full_id), known_since_of(whole)),
    )


def history(
    reader: Any,
    entity: str,
    record_id: str,
    at: str | datetime | None = None,
    before: str | int | None = None,
    limit: int = ROWS_DEFAULT,
    cursor: str | None = None,
) -> Answer:
    """Every change of a record up to a moment, oldest first, each field with its `Value` before and after.

    Overflows and wildcard ids of the entity are among them, since they concern the record. `counts` is false
    for a full state that says nothing (not settled, or read inside a hole). Errors: BadArgument, NotFound.
    """
    name, full_id = entity_named(reader, entity), record_id_of(record_id)
    when = moment(reader, at, before)
    check_limit(limit)
    place = number_of_cursor(cursor, PLACE_MAX)
    plain = plain_record(reader, name, full_id)
    if plain is not None:
        behind = -1 if place is None else place
        found = [row for row in history_rows(plain, when) if row["place"] > behind]
    else:
        found = _by_the_rule(reader, name, full_id, when, place, limit + 1)
    if not any(row["record_id"] == full_id for row in found) and place is None:
        return Answer(columns=(), rows=(), notes=not_there(reader, name, [full_id], when))
    following = to_cursor(found[limit - 1]["place"]) if len(found) > limit else None
    rows = [{**row, "fields": _before_and_after(row["fields"])} for row in found[:limit]]
    columns = [c for c in rows[0] if c != "place"] if rows else []
    whole = state_of(reader, name, when, full_id, plain)
    reasons = reasons_of(whole)
    return Answer(
        columns=columns,
        rows=[tuple(row[c] for c in columns) for row in rows],
        complete=not reasons,
        reasons=reasons,
        notes=notes_of(reader, name, when),
        known_since=known_since_of(whole),
        stretches=crossed(reader, name, when, (full_id, full_id), None),
        next=following,
    )


def _by_the_rule(
    reader: Any, entity: str, record_id: str, when: Moment, place: int | None, limit: int
) -> list[dict[str, Any]]:
    parameters = {
        "entity": entity,
        "id": record_id,
        "after": "-1" if place is None else str(place),  # text: wider than what a parameter carries
        "limit": limit,
        **when.parameters,
    }
    return dicts_of(reader.execute(sql("history_rows"), parameters))


def _before_and_after(fields: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Value]]:
    return {
        f["field"]: {
            "before": Value(f["before"]) if f["before_known"] else UNKNOWN,
            "after": Value(f["after"]) if f["after_known"] else UNKNOWN,
        }
        for f in fields
    }


def _page_of_ids(reader: Any, entity: str, after: str, limit: int) -> list[str]:
    parameters = {"entity": entity, "after": after, "limit": limit}
    return [row[0] for row in reader.execute(sql("state_ids"), parameters).fetchall()]
