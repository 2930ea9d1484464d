"""CSV as Bulk API 2.0 gives and takes it: UTF-8, a header line, every field quoted, empty for null."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cdc.errors import BadArgument, OrgUnavailable

FIELD_CHARS_MAX = (
    10_000_000  # the org cuts at 131,072; the csv module's own limit is lower than some long texts
)

NULL = "#N/A"
"""What an uploaded field says to be set to null; an empty one leaves the field as it is."""

csv.field_size_limit(FIELD_CHARS_MAX)


def csv_rows(content: bytes, where: str) -> list[dict[str, str | None]]:
    """Rows by column name, None for an empty field. Errors: OrgUnavailable for what is no whole CSV."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        rows = [dict(zip(header, [text or None for text in row], strict=True)) for row in reader if row]
    except (UnicodeDecodeError, ValueError, csv.Error):
        raise OrgUnavailable(
            "the org's CSV is cut short or broken", where=where, do="it is read again from the same place"
        ) from None
    return rows


def csv_content(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, null: str) -> bytes:
    """CSV of rows; a column that a row lacks is left empty, None is written as `null`. Errors: BadArgument for a
    text that would be read as null."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row[name], null) if name in row else "" for name in columns])
    return out.getvalue().encode()


def _text(value: Any, null: str) -> str:
    if value is None or value == "":
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == NULL:
        raise BadArgument(
            f"the text {NULL} means null in an upload", do="write this record by collections instead"
        )
    return str(value)
