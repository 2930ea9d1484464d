"""An answer as an Arrow table, for Parquet and Arrow output: types a reader can rely on, whatever rows there are.

Times are `timestamp[us]` in UTC without a zone; a value that may be unknown is a struct `value, known, inferred`; a
map of fields is a map, in which a missing key is unknown and a null is null. What qualifies the answer is JSON in the
schema's metadata, under `cdc`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from cdc.answer.answers import Answer, Value, json_value

HONESTY = b"cdc"
"""The metadata key of what goes with the rows: complete, reasons, notes, known_since, stretches, next."""

_TIME = pa.timestamp("us")
_VALUE = pa.struct([("value", pa.string()), ("known", pa.bool_()), ("inferred", pa.bool_())])
_CHANGED = pa.struct([("before", _VALUE), ("after", _VALUE)])


def arrow_table(answer: Answer) -> pa.Table:
    """Rows and honesty of an answer."""
    columns = zip(*answer.rows, strict=True) if answer.rows else [()] * len(answer.columns)
    arrays = [_array(name, values) for name, values in zip(answer.columns, columns, strict=True)]
    table = pa.Table.from_arrays(arrays, names=list(answer.columns))
    return with_honesty(table, answer)


def with_honesty(table: pa.Table, answer: Answer) -> pa.Table:
    told = {k: v for k, v in answer.as_json().items() if k not in ("columns", "rows")}
    return table.replace_schema_metadata({HONESTY: json.dumps(told).encode()})


def honesty_of(table: pa.Table) -> dict[str, Any]:
    """What goes with the rows of such a table."""
    return dict(json.loads((table.schema.metadata or {}).get(HONESTY, b"{}")))


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    kind = _kind(name, values)
    return pa.array([_plain(value, kind) for value in values], kind)


def _kind(name: str, values: Sequence[Any]) -> pa.DataType:
    """The type of a column by its values, and by its name where there are none."""
    given = [v for v in values if v is not None]
    if any(isinstance(v, Value) for v in given):
        return _VALUE
    if name.endswith(("_at", "_since")) and all(isinstance(v, datetime) for v in given):
        return _TIME
    if any(isinstance(v, Mapping) for v in given):
        return _map_kind([item for v in given if isinstance(v, Mapping) for item in v.values()])
    if not given:
        return _EMPTY.get(name, pa.string())
    for types, kind in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64()), (datetime, _TIME)):
        if all(isinstance(v, types) for v in given):
            return kind
    if all(isinstance(v, bytes) for v in given):
        return pa.binary()
    if all(isinstance(v, list | tuple) and all(isinstance(i, str) for i in v) for v in given):
        return pa.list_(pa.string())
    return pa.string()


_EMPTY: Mapping[str, pa.DataType] = {
    "seq": pa.int64(),
    "last_change_seq": pa.int64(),
    "fields": pa.map_(pa.string(), pa.string()),
    "unknown_fields": pa.list_(pa.string()),
    "complete": pa.bool_(),
    "matches": pa.bool_(),
    "is_child": pa.bool_(),
    "before": _VALUE,
    "after": _VALUE,
}
"""Types of columns that may hold nothing but nulls on a page, by name."""


def _map_kind(items: Sequence[Any]) -> pa.DataType:
    if any(isinstance(i, Value) for i in items):
        return pa.map_(pa.string(), _VALUE)
    if any(isinstance(i, Mapping) and set(i) == {"before", "after"} for i in items):
        return pa.map_(pa.string(), _CHANGED)
    if all(i is None or isinstance(i, str) for i in items):
        return pa.map_(pa.string(), pa.string())
    return pa.string()


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if kind == _VALUE:
        if isinstance(value, Value):
            return {"value": value.value, "known": value.known, "inferred": value.inferred}
        return {"value": str(value), "known": True, "inferred": False}
    if kind == _CHANGED:
        return {side: _plain(value[side], _VALUE) for side in ("before", "after")}
    if pa.types.is_map(kind):
        return [(k, _plain(v, kind.item_type)) for k, v in value.items()]
    if kind == pa.string() and not isinstance(value, str):
        return json.dumps(json_value(value), ensure_ascii=False)
    return value
