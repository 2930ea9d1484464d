"""Which changes an incident means: explicit, and narrowed or widened by filters.

A `Filter` matches changes; an empty one matches everything. A change is meant if one filter of `include`
matches it, every one of `within` does, and none of `without`. `fields` says which fields of those changes
are to be put back; empty: all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import pyarrow as pa

from cdc.errors import BadArgument
from cdc.recover.statements import sql

_TEXTS = pa.list_(pa.string())
_MS = pa.int64()


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all have to hold; a list holds if one of its values does, an empty list always.

    Times are epoch ms, both ends included. `touching` are fields of which an update names one; `values` what
    one of them was set to (None: null). `first_seq` and `last_seq` are ordinals.
    """

    from_at: int | None = None
    to_at: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    users: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    touching: tuple[str, ...] = ()
    values: tuple[str | None, ...] = ()

    def words(self) -> str:
        """The filter as a person would say it."""
        parts = [
            f"{name.replace('_', ' ')} {', '.join('null' if v is None else v or 'none' for v in values)}"
            for name, values in asdict(self).items()
            if isinstance(values, tuple) and values
        ]
        for name in ("from_at", "to_at"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"{name.removesuffix('_at')} {_iso(value)}")
        if self.first_seq is not None or self.last_seq is not None:
            parts.append(f"changes {self.first_seq or 'from the first'} to {self.last_seq or 'the last'}")
        return "; ".join(parts) or "every change"


@dataclass(frozen=True, slots=True)
class Scope:
    """See the module. `last_seq` pins the set: nothing recorded later is meant."""

    include: tuple[Filter, ...] = ()
    within: tuple[Filter, ...] = ()
    without: tuple[Filter, ...] = ()
    fields: tuple[str, ...] = ()
    last_seq: int | None = None

    def pinned(self, last_seq: int) -> Scope:
        return replace(self, last_seq=last_seq if self.last_seq is None else min(last_seq, self.last_seq))

    def as_json(self) -> dict[str, Any]:
        """Plain values, without what is empty."""
        return {
            "include": [_json(f) for f in self.include],
            "within": [_json(f) for f in self.within],
            "without": [_json(f) for f in self.without],
            "fields": list(self.fields),
            "last_seq": self.last_seq,
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Scope:
        """Errors: BadArgument naming what is unknown."""
        return Scope(
            include=tuple(filter_of(f) for f in body.get("include", ())),
            within=tuple(filter_of(f) for f in body.get("within", ())),
            without=tuple(filter_of(f) for f in body.get("without", ())),
            fields=tuple(body.get("fields", ())),
            last_seq=body.get("last_seq"),
        )


_FILTER_NAMES: Final = tuple(f.name for f in fields(Filter))
_LISTS: Final = tuple(f.name for f in fields(Filter) if f.type.startswith("tuple"))


def filter_of(given: Mapping[str, Any]) -> Filter:
    """A filter from plain values. Errors: BadArgument for a name or value that is none of a filter's."""
    for name in given:
        if name not in _FILTER_NAMES:
            raise BadArgument(f"{name!r:.40} is no part of a filter", do=f"use {', '.join(_FILTER_NAMES)}")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _LISTS:
            listed = [value] if isinstance(value, str) else list(value)
            if not all(isinstance(v, str) or (v is None and name == "values") for v in listed):
                raise BadArgument(f"{name} is not a list of texts")
            values[name] = tuple(listed)
        elif value is not None:
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadArgument(f"{name} is not a whole number: {value!r:.40}")
            values[name] = value
    if values.get("values") and not values.get("touching"):
        raise BadArgument("values were given without the fields they stand in", do="name the field too")
    return Filter(**values)


_CLAUSES: Final = pa.schema(
    [
        pa.field("part", pa.string()),
        pa.field("number", pa.int32()),
        *(pa.field(name, _MS) for name in ("from_at", "to_at", "first_seq", "last_seq")),
        *(pa.field(name, _TEXTS) for name in _LISTS),
        pa.field("or_null", pa.bool_()),
    ]
)


@contextmanager
def meant(reader: Any, scope: Scope) -> Iterator[None]:
    """The changes a scope means as the temporary table `meant` of this cursor:
    seq, entity, record_id, kind, committed_at, user_id, origin, client, transaction_key, changed_fields.
    """
    rows = [
        _clause(part, number, one)
        for part in ("include", "within", "without")
        for number, one in enumerate(getattr(scope, part))
    ]
    reader.register("clauses", pa.Table.from_pylist(rows, schema=_CLAUSES))
    try:
        reader.execute(sql("meant"), {"within": len(scope.within), "last_seq": scope.last_seq})
        reader.execute(sql("meant_writes"), {"fields": list(scope.fields)})
        yield
    finally:
        reader.execute("DROP TABLE IF EXISTS temp.meant_writes")
        reader.execute("DROP TABLE IF EXISTS temp.meant")
        reader.unregister("clauses")


def _clause(part: str, number: int, one: Filter) -> dict[str, Any]:
    row: dict[str, Any] = {"part": part, "number": number, "or_null": None in one.values}
    for name in _FILTER_NAMES:
        value = getattr(one, name)
        row[name] = [v for v in value if v is not None] if isinstance(value, tuple) else value
    return row


def _json(one: Filter) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(one).items()
        if value not in (None, ())
    }


def scope_text(scope: Scope) -> str:
    """The scope as one line of text."""
    return json.dumps(scope.as_json(), separators=(",", ":"), ensure_ascii=False)


def scope_words(scope: Scope) -> Sequence[str]:
    """What is meant, a sentence a filter."""
    return [
        *(f"meant: {f.words()}" for f in scope.include),
        *(f"only: {f.words()}" for f in scope.within),
        *(f"not: {f.words()}" for f in scope.without),
        *([f"of their fields only {', '.join(scope.fields)}"] if scope.fields else []),
    ]


def _iso(millis: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
