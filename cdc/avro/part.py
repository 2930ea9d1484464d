"""Records of one schema as columns, before those of all schemas are put together in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cdc.avro.unpivot import Bools, Ints


@dataclass(frozen=True, slots=True)
class Part:
    """Changes of one schema and their fields.

    `kept` are the indexes, ascending, of the records that could be read, among those given; `reasons` says
    of every other why not. `columns` are columns of CHANGE_SCHEMA by name, a row per kept record; what is
    not in it is null or comes from the log record. `row` of the fields is an index into the kept rows.
    """

    kept: Ints
    reasons: Mapping[int, str]
    columns: Mapping[str, pa.Array]
    row: Ints
    field: pa.Array
    value: pa.Array
    known: Bools


def nothing(reasons: Mapping[int, str]) -> Part:
    """None of the records could be read."""
    texts = pa.array([], pa.string())
    return Part(
        np.empty(0, np.int64), reasons, {}, np.empty(0, np.int64), texts, texts, np.empty(0, np.bool_)
    )


def lists(row: Ints, item: pa.Array, length: int) -> pa.Array:
    """Lists of texts for `length` rows, of items that are ascending by row."""
    offsets = np.zeros(length + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=length), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), item)
