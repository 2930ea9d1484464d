"""What differs between two moments: `diff ENTITY --from T --to T`, field by field or counted by who and what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cdc.answer.answers import UNKNOWN, Answer, Value, dicts_of, instant, place_of_cursor, to_cursor
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named, record_id_of
from cdc.answer.honesty import EVERY_ID, check_limit, crossed, is_read_off, notes_of, read_off_where_all
from cdc.answer.matching import condition_of
from cdc.answer.times import Moment, moment
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument

ROWS_DEFAULT = 100
MATCHED_MAX = 200_000
"""Records a condition may pick: their ids are handed back to the database as one list."""

GROUPS: Mapping[str, str] = {
    "user": "user_id",
    "client": "client",
    "field": "field",
    "transaction": "transaction_key",
    "difference": "difference",
}
"""What `by` may name, and the column it stands for."""

_ROW = (
    "record_id", "field", "difference", "before", "after", "set_at", "user_id", "client", "transaction_key", "seq",
)  # fmt: skip
_COUNTS = ("records", "fields", "transactions", "first_at", "last_at")


def diff(
    reader: Any,
    entity: str,
    from_time: str | datetime | None = None,
    to_time: str | datetime | None = None,
    from_before: str | int | None = None,
    to_before: str | int | None = None,
    ids: Sequence[str] = (),
    where: str | None = None,
    by: Sequence[str] = (),
    limit: int = ROWS_DEFAULT,
    cursor: str | None = None,
) -> Answer:
    """What differs between two moments, each a time or a cut exactly before a change; the second is now if not given.

    A row is a field of a record with its `Value` before and after, and the change that set it; `field` None is
    the record itself, its status before and after. `where` keeps records that met a condition at one of the two
    moments. With `by` (user, client, field, transaction, difference) rows are counts. Errors: BadArgument, NotFound.
    """
    name = entity_named(reader, entity)
    if from_time is None and from_before is None:
        raise BadArgument("a difference is between two times", do="give --from, and --to unless now is meant")
    first, second = moment(reader, from_time, from_before), moment(reader, to_time, to_before)
    check_limit(limit)
    columns = [_group(word) for word in by]
    chosen, reasons = _chosen(reader, name, (first, second), ids, where)
    parameters = _parameters(name, first, second, chosen) | {"limit": limit + 1}
    if columns:
        text = _compared(reader, parameters) + sql("diff_groups").replace("{by}", ", ".join(columns))
        found = dicts_of(reader.execute(text, parameters))
        rows = [tuple(row[c] for c in (*columns, *_COUNTS)) for row in found if row["records"] is not None]
        shown: Sequence[str] = (*columns, *_COUNTS)
        following = None
        if len(rows) > limit:
            reasons.append(f"there are more than {limit} groups")
    else:
        parameters |= _after(cursor, parameters)
        found = dicts_of(reader.execute(_compared(reader, parameters) + sql("diff_rows"), parameters))
        page = [row for row in found if row["record_id"] is not None]
        following = (
            to_cursor([page[limit - 1]["record_id"], page[limit - 1]["field"]]) if len(page) > limit else None
        )
        rows, shown = [_row(row) for row in page], _ROW
    told = found[0]
    reasons += _reasons(told, second)
    return Answer(
        columns=shown,
        rows=rows[:limit],
        complete=not reasons,
        reasons=reasons,
        notes=[
            *([] if cursor else [_summary(told, first, second)]),
            *dict.fromkeys((*notes_of(reader, name, first), *notes_of(reader, name, second))),
        ],
        stretches=crossed(reader, name, second, EVERY_ID, first.at),
        next=following,
    )


def _summary(told: Mapping[str, Any], first: Moment, second: Moment) -> str:
    return (
        f"{told['differences']} differences in {told['differing_records']} of {told['told_records']} records, "
        f"{first.words()} against {second.words()}"
    )


def _compared(reader: Any, parameters: Mapping[str, Any]) -> str:
    """The statement up to the differences: in one pass, unless something is left to the rule at one of the moments."""
    for side in ("from", "to"):
        asked = {n: parameters[n] for n in ("entity", "lo", "hi")}
        if not is_read_off(reader, asked | {n: parameters[f"{side}_{n}"] for n in ("t", "c")}):
            return sql("diff") + sql("diff_rest")
    return sql("diff_read_off") + sql("diff_rest")


def _group(word: str) -> str:
    column = GROUPS.get(word.strip().lower())
    if column is None:
        raise BadArgument(
            "differences cannot be counted by this", where=word[:40], do=f"use {', '.join(GROUPS)}"
        )
    return column


def _chosen(
    reader: Any, entity: str, moments: Sequence[Moment], ids: Sequence[str], where: str | None
) -> tuple[list[str] | None, list[str]]:
    """The records asked about (None: all), and why they may not be all."""
    if where is None:
        return sorted({record_id_of(i) for i in ids}) or None, []
    if ids:
        raise BadArgument("ids and a condition were both given", do="put Id IN ('…') into the condition")
    met: set[str] = set()
    maybe: set[str] = set()
    for when in moments:
        condition = condition_of(reader, entity, where, when)
        text = read_off_where_all(reader, sql("matching_ids"), {"entity": entity, **when.parameters})
        text = text.replace("{condition}", condition.sql)
        parameters = {"entity": entity, "limit": MATCHED_MAX + 1, **when.parameters, **condition.parameters}
        for record_id, matches in reader.execute(text, parameters).fetchall():
            (met if matches else maybe).add(record_id)
    if len(met) > MATCHED_MAX:
        raise BadArgument(
            f"more than {MATCHED_MAX} records meet the condition", do="narrow it, or leave it out"
        )
    undecided = len(maybe - met)
    reason = f"of {undecided} records it is not known whether they meet the condition"
    return sorted(met), [reason] if undecided else []


def _parameters(entity: str, first: Moment, second: Moment, ids: Sequence[str] | None) -> dict[str, Any]:
    bounds = (ids[0], ids[-1]) if ids else (None, None)
    return {
        "entity": entity,
        "lo": bounds[0],
        "hi": bounds[1],
        "ids": ids,
        **{f"from_{k}": v for k, v in first.parameters.items()},
        **{f"to_{k}": v for k, v in second.parameters.items()},
    }


def _after(cursor: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Where a page begins; records before it are not folded again."""
    place = ["", ""] if cursor is None else place_of_cursor(cursor, (str, str | None))
    after = {"after_record": place[0], "after_field": place[1] or ""}
    if place[0]:
        after |= {"lo": max(place[0], parameters["lo"] or ""), "hi": parameters["hi"] or EVERY_ID[1]}
    return after


def _row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    sides = {side: _side(row, side) for side in ("before", "after")}
    return tuple({**row, **sides}[c] for c in _ROW)


def _side(row: Mapping[str, Any], side: str) -> Any:
    """A field's `Value`, or the record's status."""
    if row["field"] is None:
        return row[side]
    if not row[f"{side}_known"]:
        return UNKNOWN
    inferred = bool(row[f"{side}_inferred"])
    return Value(row[side], known=not inferred, inferred=inferred)


def _reasons(told: Mapping[str, Any], second: Moment) -> list[str]:
    """Why the differences may not be all, or not as they are shown."""
    reasons = []
    passed_to = told["passed_to"]
    if second.at and passed_to and second.at + timedelta(milliseconds=READ_MARGIN_MS) > passed_to:
        reasons.append(f"the stream has not passed {instant(second.at)}")
    for count, sentence in (
        ("unknown_status", "records have an unknown status at one of the two"),
        ("unknown_at_one", "fields are unknown at one of the two"),
        ("unknown_at_both", "fields are unknown at both and cannot be compared"),
        ("not_whole", "records are not known in full: fields that nothing named may differ"),
        ("inferred", "records are inferred from SystemModstamp, read only later"),
    ):
        if told[count]:
            reasons.append(f"{told[count]} {sentence}")
    return reasons
