"""CSV as Bulk API 2.0 speaks it: delimiters and line endings by name, texts of values, rows in and out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.simulator.errors import OrgError
from connectors.simulator.fields import Field
from connectors.simulator.rows import RowShape
from connectors.simulator.soql import Query, parse_query

DELIMITERS = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}

FIELD_CHARS_MAX = 10_000_000

csv.field_size_limit(FIELD_CHARS_MAX)


def csv_text(rows: Iterable[Sequence[str]], delimiter: str, line_ending: str) -> str:
    """Rows with every field quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(
        out,
        delimiter=DELIMITERS[delimiter],
        lineterminator=LINE_ENDINGS[line_ending],
        quoting=csv.QUOTE_ALL,
    )
    writer.writerows(rows)
    return out.getvalue()


def csv_table(content: bytes, delimiter: str, line_ending: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of an upload. Raises OrgError with what a failed job says."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OrgError("ClientInputError", "InvalidBatch : The data is not UTF-8") from None
    if not text.strip():
        raise OrgError("InvalidBatch", "The batch is empty")
    first = text.partition("\n")[0]
    if first.endswith("\r") != (line_ending == "CRLF") and "\n" in text:
        raise OrgError(
            "ClientInputError",
            f"LineEnding is invalid on user data. Current LineEnding setting is {line_ending}",
        )
    try:
        table = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[delimiter], strict=True)
            if row
        ]
    except csv.Error as error:
        raise OrgError("ClientInputError", f"The CSV cannot be read: {error}") from None
    header = [name.strip() for name in table[0]]
    for number, row in enumerate(table[1:], start=1):
        if len(row) != len(header):
            raise OrgError(
                "InvalidBatch", f"Row {number} has {len(row)} columns where the header has {len(header)}"
            )
    return header, table[1:]


def bulk_query(soql: str) -> Query:
    """A query a job can run. Raises OrgError for one it cannot."""
    query = parse_query(soql)
    if query.counts or query.offset or any(name.startswith("FIELDS(") for name in query.fields):
        raise OrgError(
            "API_ERROR", "Aggregate functions, OFFSET and FIELDS() are not supported in a bulk query"
        )
    return query


def refuse_compounds(query: Query, shape: RowShape) -> None:
    """Raises OrgError for an address or a location as a whole, which only its parts can be asked for."""
    fields: dict[str, Field] = {field.name.lower(): field for field in shape.entity.fields}
    for name in query.fields:
        field = fields.get(name.lower())
        if field is not None and field.doc_type in ("Address", "Location"):
            raise OrgError("FEATURENOTENABLED", "Selecting compound data not supported in Bulk Query")


def flat_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Rows of a query as texts, related values by their path."""
    return [[_text(_at(row, column)) for column in columns] for row in rows]


def _at(row: Mapping[str, Any], column: str) -> Any:
    if "." not in column:
        return row.get(column)
    name, _, rest = column.partition(".")
    inner = row.get(name)
    return _at(inner, rest) if isinstance(inner, Mapping) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.endswith("+0000") and value[10:11] == "T":
        return value[:-5] + "Z"
    return str(value)
