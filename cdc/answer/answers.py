"""What every question gets back: rows, and how far they can be trusted.

An answer is never bare. It says of which moment it speaks, since when that is known, which stretches are
lost, repaired or unknown, and why it is not complete, if it is not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn

from cdc.errors import AnswerIncomplete, BadArgument

Row = Sequence[Any]
"""Values in the order of an answer's columns."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a field: a value, null (`value` None and `known`), or not known.

    As JSON `{"value": "12", "known": true}`; unknown is `{"value": null, "known": false}`. An inferred value
    (of before the record was first read) is shown and not known: `"inferred": true` is added.
    """

    value: str | None
    known: bool = True
    inferred: bool = False


UNKNOWN = Value(None, known=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows in column order, with their honesty.

    `complete` is false where anything asked for is unknown, inferred, not settled or behind a hole; `reasons`
    say why, a sentence each. `notes` are worth knowing and take nothing away. `stretches` are the parts of
    the time asked about that were lost, repaired or unknown. `next` is the cursor of the next page, or None.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    complete: bool = True
    reasons: Sequence[str] = ()
    notes: Sequence[str] = ()
    known_since: datetime | None = None
    stretches: Sequence[Mapping[str, Any]] = ()
    next: str | None = None

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def strict(self) -> Answer:
        """The answer itself if it is complete. Errors: AnswerIncomplete (exit code 3)."""
        if not self.complete:
            raise AnswerIncomplete(
                "the answer is not complete: " + "; ".join(self.reasons[:3]),
                do="see `cdc coverage`, or ask without --strict",
            )
        return self

    def as_json(self) -> dict[str, Any]:
        """Plain values: times as ISO 8601 with milliseconds and Z, bytes as lower-case hex."""
        return {
            "columns": list(self.columns),
            "rows": [json_value(row) for row in self.rows],
            "complete": self.complete,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "known_since": json_value(self.known_since),
            "stretches": [json_value(s) for s in self.stretches],
            "next": self.next,
        }


def json_value(value: Any) -> Any:
    """A value of an answer in the types of JSON."""
    if isinstance(value, Value):
        known = {"value": value.value, "known": value.known}
        return known | {"inferred": True} if value.inferred else known
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [json_value(v) for v in value]
    return str(value)


def instant(moment: datetime) -> str:
    """`2026-11-23T10:02:00.000Z`."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def to_cursor(place: Any) -> str:
    """A place in a list, as opaque text."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def text_of_cursor(cursor: str | None) -> str:
    """The text a cursor stands for; empty without a cursor. Errors: BadArgument for what is no such cursor."""
    place = "" if cursor is None else _place_of(cursor)
    return place if isinstance(place, str) else _no_cursor(cursor)


def number_of_cursor(cursor: str | None, most: int) -> int | None:
    """The number, 0 to `most`, a cursor stands for. Errors: BadArgument for what is no such cursor."""
    if cursor is None:
        return None
    place = _place_of(cursor)
    if isinstance(place, int) and not isinstance(place, bool) and 0 <= place <= most:
        return place
    return _no_cursor(cursor)


def place_of_cursor(cursor: str, kinds: tuple[Any, ...]) -> list[Any]:
    """The list a cursor stands for, of values of these types. Errors: BadArgument for what is no such cursor."""
    place = _place_of(cursor)
    if (
        isinstance(place, list)
        and len(place) == len(kinds)
        and all(isinstance(v, k) and not isinstance(v, bool) for v, k in zip(place, kinds, strict=True))
    ):
        return place
    return _no_cursor(cursor)


def _place_of(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        return _no_cursor(cursor)


def _no_cursor(cursor: str | None) -> NoReturn:
    raise BadArgument("this is no cursor of this list", where=str(cursor)[:40], do="start without a cursor")


def rows_of(result: Any) -> tuple[list[str], list[Row]]:
    """Columns and rows of an executed statement."""
    return [column[0] for column in result.description], result.fetchall()


def dicts_of(result: Any) -> list[dict[str, Any]]:
    """Rows of an executed statement by column name."""
    columns, rows = rows_of(result)
    return [dict(zip(columns, row, strict=True)) for row in rows]
