"""A recorded stream's columns, as a batch for the detector (contract, section 6).

What an event says is decided here as it is for the live stream (architecture.md, "What an event says"): of
an UPDATE only changed fields count, a changed field without a value is unknown, values of other fields are
enrichment. Where a row says no changed fields, its values are taken for them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.kinds import EVENT_KINDS, FULL_STATE_KINDS, WHOLE_KINDS, Kind
from cdc.detect.batch import I64, DetectBatch, Mask, Texts, flat, of_full_states
from cdc.errors import BadArgument

REQUIRED = ("entity", "record_id", "kind", "committed_at")
TEXT_COLUMNS = ("entity", "record_id", "kind", "transaction_key", "user_id", "origin", "client")
LIST_COLUMNS = ("changed_fields", "nulled_fields")
VALUES = "values"
VALUES_TYPE = pa.map_(pa.string(), pa.string())
READ = frozenset({*TEXT_COLUMNS, *LIST_COLUMNS, VALUES, "committed_at", "ordinal"})
"""Columns that are looked at; others, the sequence number and event id among them, are not needed."""

_WITH_VALUES = frozenset({Kind.UPDATE, *WHOLE_KINDS, *FULL_STATE_KINDS})


def batch_of(table: pa.Table, rows_before: int, where: str) -> DetectBatch:
    """Rows of a recorded stream. BadArgument names the row, counted from 1, and the column that cannot be used."""
    table = table.combine_chunks()
    columns = {name: _plain(flat(table[name])) for name in table.column_names if name in READ}
    _check(columns, rows_before, where)
    rows = table.num_rows
    kind = Texts.of(columns["kind"], rows)
    nothing = pa.nulls(rows, pa.string())
    field_row, field, value, null, known = _written(columns, kind, rows)
    return DetectBatch(
        entity=Texts.of(columns["entity"], rows),
        kind=kind,
        user=Texts.of(columns.get("user_id"), rows),
        origin=Texts.of(columns.get("origin"), rows),
        client=Texts.of(columns.get("client"), rows),
        record_id=columns["record_id"],
        transaction=columns.get("transaction_key", nothing),
        committed_at=np.asarray(columns["committed_at"]).astype(np.int64),
        ordinal=_ordinals(columns.get("ordinal"), rows),
        full_state=of_full_states(kind),
        field_row=field_row,
        field=field,
        value=value,
        null=null,
        known=known,
    )


def _check(columns: dict[str, Any], rows_before: int, where: str) -> None:
    for name in REQUIRED:
        if name not in columns:
            raise BadArgument(
                f"The input has no column {name}", where=where, do="write it as the contract says"
            )
    for name in TEXT_COLUMNS:
        if name in columns and not pa.types.is_string(columns[name].type):
            raise BadArgument(f"Column {name} holds {columns[name].type}, not text", where=where)
    columns["committed_at"] = _epoch_ms(columns["committed_at"], where)
    for name in REQUIRED:
        missing = np.flatnonzero(np.asarray(columns[name].is_null()))
        if len(missing):
            raise bad_row(rows_before + int(missing[0]) + 1, name, "it is missing", where)
    for name in ("entity", "record_id"):
        empty = np.flatnonzero(np.asarray(pc.equal(columns[name], "")))
        if len(empty):
            raise bad_row(rows_before + int(empty[0]) + 1, name, "it is empty", where)
    kinds = columns["kind"]
    strange = np.flatnonzero(
        ~np.asarray(pc.is_in(kinds, pa.array(sorted(EVENT_KINDS | FULL_STATE_KINDS), pa.string())))
    )
    if len(strange):
        at = int(strange[0])
        raise bad_row(rows_before + at + 1, "kind", f"{kinds[at].as_py()!r} is not a kind of change", where)


def bad_row(row: int, column: str, what: str, where: str) -> BadArgument:
    return BadArgument(f"Row {row}, column {column}: {what}", where=where, do="correct the input")


def _plain(column: Any) -> Any:
    """Texts as other writers store them (in large buffers, as codes of a dictionary), as plain texts."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _epoch_ms(column: Any, where: str) -> Any:
    if pa.types.is_string(column.type):
        try:
            column = column.cast(pa.timestamp("ms", "UTC"))
        except pa.ArrowInvalid as e:
            raise BadArgument(
                f"Column committed_at holds texts that are no times: {e}",
                where=where,
                do="write epoch milliseconds, or ISO 8601 with a zone",
            ) from e
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    raise BadArgument(f"Column committed_at holds {column.type}, not epoch milliseconds", where=where)


def _ordinals(column: Any, rows: int) -> I64:
    if column is None or not pa.types.is_integer(column.type):
        return np.zeros(rows, np.int64)
    return np.asarray(pc.fill_null(column, 0)).astype(np.int64)


Written = tuple[I64, Texts, Any, Mask, Mask]


def _written(columns: dict[str, Any], kind: Texts, rows: int) -> Written:
    """Row, field, value, null and known of each field written, ascending by row."""
    value_row, value_name, value = _entries(_as_map(columns.get(VALUES), columns.get("changed_fields")), rows)
    changed_row, changed_name = _listed(columns.get("changed_fields"), rows)
    nulled_row, nulled_name = _listed(columns.get("nulled_fields"), rows)
    names = Texts.of(pa.concat_arrays([value_name, changed_name, nulled_name]), 0)
    cuts = np.cumsum([len(value_name), len(changed_name)])
    value_code, changed_code, nulled_code = (c.astype(np.int64) for c in np.split(names.codes, cuts))
    width = max(1, len(names.names))
    given, changed, nulled = (
        value_row * width + value_code,
        changed_row * width + changed_code,
        nulled_row * width + nulled_code,
    )
    update = np.array([name == Kind.UPDATE for name in kind.names] or [False], bool)[kind.codes]
    takes = np.array([name in _WITH_VALUES for name in kind.names] or [False], bool)[kind.codes]
    listed = np.zeros(rows, bool)
    listed[changed_row] = True
    listed &= update
    plain = given[takes[value_row] & ~listed[value_row]]
    wanted = np.concatenate([plain, changed[listed[changed_row]], nulled[update[nulled_row]]])
    unique, first = np.unique(wanted, return_index=True)
    wanted = unique[np.argsort(first, kind="stable")]  # in the order said: changed fields before nulled ones
    wanted = wanted[np.argsort(wanted // width, kind="stable")]
    place, found = _find(wanted, given)
    value_null = np.asarray(value.is_null()).astype(bool)
    null = np.isin(wanted, nulled[update[nulled_row]])
    if len(given):
        null |= found & value_null[place]
    taken = (
        value.take(pa.array(np.where(found, place, 0))) if len(given) else pa.nulls(len(wanted), pa.string())
    )
    field = Texts((wanted % width).astype(np.int32), names.names)
    return wanted // width, field, taken, null, null | found


def _find(wanted: I64, given: I64) -> tuple[I64, Mask]:
    """Where each wanted number is among the given ones, and whether it is."""
    if not len(given):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = np.argsort(given, kind="stable")
    at = np.minimum(np.searchsorted(given[order], wanted), len(given) - 1)
    place: I64 = order[at]
    return place, given[place] == wanted


def _listed(column: Any, rows: int) -> tuple[I64, Any]:
    nothing = np.zeros(0, np.int64), pa.array([], pa.string())
    if column is None or pa.types.is_null(column.type) or pa.types.is_string(column.type):
        return nothing
    names = _plain(flat(pc.list_flatten(column)))
    return np.repeat(np.arange(rows), _lengths(column)), names


def _entries(column: Any, rows: int) -> tuple[I64, Any, Any]:
    if column is None:
        none = pa.array([], pa.string())
        return np.zeros(0, np.int64), none, none
    lengths = _lengths(column)
    offsets = np.asarray(column.offsets)
    if int(lengths.sum()) != int(offsets[-1] - offsets[0]):  # null maps that hide entries: rare, made plain
        column = pa.array(column.to_pylist(), VALUES_TYPE)
        offsets = np.asarray(column.offsets)
    start, length = int(offsets[0]), int(offsets[-1] - offsets[0])
    names, texts = _plain(flat(column.keys.slice(start, length))), flat(column.items.slice(start, length))
    return np.repeat(np.arange(rows), lengths), names, texts.cast(pa.string())


def _as_map(column: Any, changed: Any) -> Any:
    """The values as a map. A writer may have made a column of each field, where null is told from absent by the
    changed fields alone, or texts of JSON."""
    if column is None or pa.types.is_map(column.type):
        return column
    if pa.types.is_null(column.type):
        return None
    if pa.types.is_struct(column.type):
        named = (
            changed.to_pylist()
            if changed is not None and pa.types.is_list(changed.type)
            else [()] * len(column)
        )
        given = [
            {k: v for k, v in (row or {}).items() if v is not None or k in (names or ())}
            for row, names in zip(column.to_pylist(), named, strict=True)
        ]
    elif pa.types.is_string(column.type):
        given = [_object(text) for text in column.to_pylist()]
    else:
        raise BadArgument(f"Column values holds {column.type}, not a map of field to text")
    return pa.array([[(k, as_text(v)) for k, v in row.items()] for row in given], VALUES_TYPE)


def as_text(value: Any) -> str | None:
    """A value that is not text yet, as Salesforce would write it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, int | float) else str(value)


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadArgument(f"Column values holds {str(text)[:40]!r}, which is no JSON object of field to text")
    return found


def _lengths(column: Any) -> npt.NDArray[np.int64]:
    if pa.types.is_map(column.type):
        offsets = np.asarray(column.offsets)
        lengths = np.diff(offsets)
        return np.where(np.asarray(column.is_valid()), lengths, 0).astype(np.int64)
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
