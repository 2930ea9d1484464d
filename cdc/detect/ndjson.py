"""Lines of JSON as the columns of a recorded stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from cdc.detect.recorded import LIST_COLUMNS, REQUIRED, TEXT_COLUMNS, VALUES, VALUES_TYPE, as_text, bad_row

LINES_PER_TABLE = 8192

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in TEXT_COLUMNS),
        pa.field("committed_at", pa.int64()),
        pa.field("ordinal", pa.int64()),
        *(pa.field(name, pa.list_(pa.string())) for name in LIST_COLUMNS),
        pa.field(VALUES, VALUES_TYPE),
    ]
)


def tables(lines: Iterable[bytes], where: str) -> Iterator[pa.Table]:
    """Tables of `SCHEMA`, of at most `LINES_PER_TABLE` rows. Blank lines are no rows. BadArgument names the row."""
    rows: list[dict[str, Any]] = []
    number = 0
    for line in lines:
        if line.isspace():
            continue
        number += 1
        rows.append(_row(line, number, where))
        if len(rows) == LINES_PER_TABLE:
            yield table_of(rows)
            rows = []
    if rows:
        yield table_of(rows)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with the contract's names; what a row does not say is null."""
    columns = [
        pa.array([_value(row.get(field.name), field.name) for row in rows], field.type) for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _value(value: Any, name: str) -> Any:
    return list(value.items()) if name == VALUES and value is not None else value


def _row(line: bytes, number: int, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as e:
        raise bad_row(number, "(all)", f"the line is not JSON: {e}", where) from e
    if not isinstance(row, dict):
        raise bad_row(number, "(all)", "the line is not an object", where)
    for name in TEXT_COLUMNS:
        value = row.get(name)
        if value is None and name in REQUIRED:
            raise bad_row(number, name, "it is missing", where)
        if value is not None and not isinstance(value, str):
            raise bad_row(number, name, "it is not text", where)
    for name in ("committed_at", "ordinal"):
        value = row.get(name)
        if value is None and name in REQUIRED:
            raise bad_row(number, name, "it is missing", where)
        if name == "committed_at" and isinstance(value, str):
            value = row[name] = _epoch_ms(value)
        if value is not None and (type(value) is not int or not 0 <= value < 1 << 62):
            what = (
                "epoch milliseconds, nor a time in ISO 8601 with a zone"
                if name == "committed_at"
                else "a whole number"
            )
            raise bad_row(number, name, f"it is not {what}", where)
    for name in LIST_COLUMNS:
        value = row.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(f, str) for f in value)):
            raise bad_row(number, name, "it is not a list of field names", where)
    row[VALUES] = _values(row.get(VALUES), number, where)
    return row


def _epoch_ms(text: str) -> int:
    """Of a time in ISO 8601 that says its zone; -1 for any other text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return -1
    return round(at.timestamp() * 1000) if at.tzinfo is not None else -1


def _values(given: Any, number: int, where: str) -> dict[str, str | None] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise bad_row(number, VALUES, "it is not an object of field to text", where)
    for field, value in given.items():
        if isinstance(value, list | dict):
            raise bad_row(number, VALUES, f"the value of {field} is not text", where)
        given[field] = as_text(value)
    return given
