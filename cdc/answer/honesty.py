"""What goes with the rows of every answer: why they are not complete, since when they are known, what they cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cdc.answer.answers import dicts_of, instant
from cdc.answer.definitions import sql
from cdc.answer.plain import Record, plain_record, states_at
from cdc.answer.times import Moment, newest_org_time
from cdc.errors import BadArgument, NotFound

ROWS_MAX = 10_000
"""Rows of one page: what is built in memory for one answer."""

REASONS_MAX = 5
STRETCHES_MAX = 20

IDS_ONE_BY_ONE_MAX = 10
"""So many records asked for by id are each looked up alone; more are picked out of one pass between them."""

EVERY_ID = ("", "~")
"""Bounds around any record id: letters and digits."""

STATE_COLUMNS = (
    "record_id",
    "status",
    "fields",
    "unknown_fields",
    "last_change_seq",
    "known_since",
    "inferred_since",
    "complete",
    "incomplete_reason",
)
"""What a state tells of a record."""


def states_between(reader: Any, entity: str, when: Moment, bounds: tuple[str, str]) -> list[dict[str, Any]]:
    """The states of the records from one id to another, in the order of their ids."""
    if bounds[0] == bounds[1]:
        plain = plain_record(reader, entity, bounds[0])
        return state_of(reader, entity, when, bounds[0], plain)
    parameters = {"entity": entity, "lo": bounds[0], "hi": bounds[1], **when.parameters}
    return dicts_of(reader.execute(read_off_where_all(reader, sql("state_rows"), parameters), parameters))


def read_off_where_all(reader: Any, text: str, given: Mapping[str, Any]) -> str:
    """A statement over `answer.states` or `answer.folded`, without the rule itself where nothing is left to it."""
    if not is_read_off(reader, given):
        return text
    return text.replace("answer.states(", "answer.states_read_off(").replace(
        "answer.folded(", "answer.read_off("
    )


def is_read_off(reader: Any, given: Mapping[str, Any]) -> bool:
    """Nothing is left to the rule itself of the records from `lo` to `hi` at `t` and `c` (folded.sql)."""
    asked = {name: given.get(name) for name in ("entity", "lo", "hi", "t", "c")}
    return bool(reader.execute(sql("left_over"), asked).fetchone()[0] is None)


def state_of(
    reader: Any, entity: str, when: Moment, record_id: str, plain: Record | None
) -> list[dict[str, Any]]:
    """The state of one record, by itself where it is plain, else by the rule; empty where it did not exist."""
    found = states_at(plain, when) if plain is not None else None
    if found is not None:
        return found
    parameters = {"entity": entity, "lo": record_id, "hi": record_id, **when.parameters}
    return dicts_of(reader.execute(sql("state_row"), parameters))


def states_of(reader: Any, entity: str, when: Moment, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The states of some records, in the order of their ids; none of a record that did not exist."""
    wanted = sorted(set(ids))
    if len(wanted) <= IDS_ONE_BY_ONE_MAX:
        return [row for i in wanted for row in states_between(reader, entity, when, (i, i))]
    chosen = set(wanted)
    between = states_between(reader, entity, when, (wanted[0], wanted[-1]))
    return [row for row in between if row["record_id"] in chosen]


def not_there(reader: Any, entity: str, ids: Sequence[str], when: Moment) -> list[str]:
    """Sentences for records that did not exist yet. Errors: NotFound for one that was never seen."""
    notes = []
    for record_id in ids:
        first = reader.execute(sql("first_change"), {"entity": entity, "id": record_id}).fetchone()
        if first[0] is None:
            raise NotFound(
                "this record was never seen", where=f"{entity} {record_id}", do="check the id and the entity"
            )
        notes.append(f"{record_id} did not exist {when.words()}: it was created at {instant(first[0])}")
    return notes


def reasons_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why records are not complete: the reason of one, or counts of the most frequent ones."""
    reasons = [row["incomplete_reason"] for row in rows if not row["complete"]]
    if len(rows) == 1 or not reasons:
        return reasons
    counts: dict[str, int] = {}
    for reason in reasons:
        for part in reason.split("; "):
            counts[part] = counts.get(part, 0) + 1
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:REASONS_MAX]
    return [
        f"{len(reasons)} of {len(rows)} records are not complete",
        *(f"{part} ({count} of them)" for part, count in most),
    ]


def known_since_of(rows: Sequence[Mapping[str, Any]]) -> datetime | None:
    """The time from which all of them are known; None if of one it is not."""
    times = [row["known_since"] for row in rows]
    return max(times) if times and None not in times else None


def notes_of(reader: Any, entity: str, when: Moment) -> list[str]:
    """What the moment is, and where it cuts."""
    notes = []
    newest = newest_org_time(reader)
    if when == Moment() and newest is not None:
        notes.append(f"now: everything recorded, up to {instant(newest)} of the org's time")
    if when == Moment():
        return notes
    sides = reader.execute(sql("boundary"), {"entity": entity, **when.parameters}).fetchone()
    if sides is not None and sides[0]:
        notes.append(f"{when.words()} cuts transaction {sides[2]} in two")
    elif sides is not None and sides[1]:
        notes.append(f"{when.words()} parts changes of the same second")
    return notes


def crossed(
    reader: Any, entity: str, when: Moment, bounds: tuple[str, str], since: datetime | None
) -> list[Mapping[str, Any]]:
    """Stretches that were lost, repaired or unknown inside the time asked about."""
    if not reader.execute(sql("any_stretch")).fetchone()[0]:
        return []
    parameters: dict[str, Any] = {"entity": entity, "since": since, "limit": STRETCHES_MAX}
    parameters |= {"lo": bounds[0], "hi": bounds[1], **when.parameters}
    return list(dicts_of(reader.execute(sql("crossed"), parameters)))


def check_limit(limit: int) -> None:
    """Errors: BadArgument."""
    if not 1 <= limit <= ROWS_MAX:
        raise BadArgument(f"a page has 1 to {ROWS_MAX} rows, not {limit}", do="page with the cursor")
