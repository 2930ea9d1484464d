"""Arrow columns to canonical text, a column at a time; the same texts as `cdc/change/values.py` gives one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.avro.schema import Form
from cdc.change.values import DATETIME_MS_MAX, DATETIME_MS_MIN, DAY_MS

_ZULU = pa.scalar("Z", pa.string())  # made once: from a bare str Arrow looks for its type each time, slowly
_NOTHING = pa.scalar("", pa.string())
_SEMICOLON = pa.scalar(";", pa.string())
_NULL = pa.scalar(None, pa.string())

_MOMENT_BYTES = 24  # 2026-11-23T10:02:00.000Z
_T_AT = 10


def to_texts(values: pa.Array, form: Form) -> pa.Array:
    """A string array of the same length; nulls stay null."""
    return _CASTS[form](values)


def as_json(value: Any) -> str:
    """A value of a shape without a text of its own; bytes as lower-case hex."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_hex)


def stored_type(form: Form) -> pa.DataType | None:
    """What columns of a form are cast to, so that int and long or float and double can stand in one; None: as is."""
    return _STORED.get(form)


def _same(values: pa.Array) -> pa.Array:
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _double(values: pa.Array) -> pa.Array:
    return values.cast(pa.float64()).cast(pa.string())


def _datetime(values: pa.Array) -> pa.Array:
    return _dated(values, DATETIME_MS_MIN, DATETIME_MS_MAX, _moments)


def _date(values: pa.Array) -> pa.Array:
    return _dated(values, DATETIME_MS_MIN, DATETIME_MS_MAX, _days)


def _time(values: pa.Array) -> pa.Array:
    return _dated(values, 0, DAY_MS - 1, _clocks)


def _dated(
    values: pa.Array, least: int, greatest: int, write: Callable[[np.ndarray[Any, Any]], pa.Array]
) -> pa.Array:
    """What lies outside the calendar stays a number."""
    filled = values.fill_null(0) if values.null_count else values
    numbers = filled.to_numpy(zero_copy_only=False)
    inside = (numbers >= least) & (numbers <= greatest)
    if inside.all():
        texts = write(numbers)
    else:
        texts = pc.if_else(pa.array(inside), write(np.where(inside, numbers, 0)), filled.cast(pa.string()))
    return pc.if_else(values.is_valid(), texts, _NULL) if values.null_count else texts


def _moments(numbers: np.ndarray[Any, Any]) -> pa.Array:
    """Arrow writes `2026-11-23 10:02:00.000`: the two letters are put in over the bytes of all rows at once."""
    length = len(numbers)
    spaced = pa.array(numbers, pa.timestamp("ms")).cast(pa.string())
    out = np.empty((length, _MOMENT_BYTES), np.uint8)
    written = np.frombuffer(spaced.buffers()[2], np.uint8, count=length * (_MOMENT_BYTES - 1))
    out[:, :-1] = written.reshape(length, _MOMENT_BYTES - 1)
    out[:, _T_AT] = ord("T")
    out[:, -1] = ord("Z")
    offsets = np.arange(0, _MOMENT_BYTES * length + 1, _MOMENT_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(length, pa.py_buffer(offsets), pa.py_buffer(out))


def _days(numbers: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array((numbers // DAY_MS).astype(np.int32)).cast(pa.date32()).cast(pa.string())


def _clocks(numbers: np.ndarray[Any, Any]) -> pa.Array:
    clocks = pa.array(numbers.astype(np.int32)).cast(pa.time32("ms")).cast(pa.string())
    return pc.binary_join_element_wise(clocks, _ZULU, _NOTHING)


def _names(values: pa.Array) -> pa.Array:
    return pc.binary_join(values, _SEMICOLON)


def _json(values: pa.Array) -> pa.Array:
    return pa.array([None if v is None else as_json(v) for v in values.to_pylist()], pa.string())


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


_STORED: Final = {
    Form.INTEGER: pa.int64(),
    Form.DOUBLE: pa.float64(),
    Form.TEXT: pa.string(),
}

_CASTS: Final[dict[Form, Callable[[pa.Array], pa.Array]]] = {
    Form.TEXT: _same,
    Form.BOOLEAN: _same,
    Form.INTEGER: _same,
    Form.DOUBLE: _double,
    Form.DATETIME: _datetime,
    Form.DATE: _date,
    Form.TIME: _time,
    Form.NAMES: _names,
    Form.JSON: _json,
}
