"""Segments taken apart by record: pieces of about so many rows, each of which is merged by itself.

Where a piece ends is only a matter of size: the least record of a row group, as the file's own footer has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

PIECE_ROWS: Final = 2_000_000
"""What is sorted and joined at a time: a few hundred megabytes."""

Place = tuple[str, str]
"""An entity and a record id: the first record of a piece."""


def pieces(files: Sequence[Path], rows: int = PIECE_ROWS) -> Iterator[str]:
    """Conditions on `entity` and `record_id` that part the rows of sorted files, ascending; one that is always true
    where the files are small."""
    begins = sorted(place for file in files for place in _groups(file))
    cuts: list[Place] = []
    waiting = 0
    for entity, record_id, count in begins:
        if waiting >= rows and (entity, record_id) > max(cuts, default=("", "")):
            cuts.append((entity, record_id))
            waiting = 0
        waiting += count
    for first, last in zip([None, *cuts], [*cuts, None], strict=True):
        yield " AND ".join(_between(first, last)) or "true"


def _groups(file: Path) -> Iterator[tuple[str, str, int]]:
    """The least entity and record of each row group, and its rows."""
    footer = pq.read_metadata(file)
    columns = {footer.schema.column(i).path: i for i in range(footer.num_columns)}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        entity, record = (_bounds(group, columns[name]) for name in ("entity", "record_id"))
        if entity is None or record is None:
            continue
        is_one = entity[0] == entity[1]
        yield entity[1], record[0] if is_one else "", group.num_rows


def _bounds(group: Any, column: int) -> Place | None:
    told = group.column(column).statistics
    return (told.min, told.max) if told is not None and told.has_min_max else None


def _between(first: Place | None, last: Place | None) -> Iterator[str]:
    """The condition, in parts a reader of Parquet can hold against the bounds of row groups."""
    if first is not None and last is not None and first[0] == last[0]:
        yield f"entity = {_quoted(first[0])}"
        yield f"record_id >= {_quoted(first[1])} AND record_id < {_quoted(last[1])}"
        return
    if first is not None:
        yield f"entity >= {_quoted(first[0])}"
        yield f"(entity > {_quoted(first[0])} OR record_id >= {_quoted(first[1])})"
    if last is not None:
        yield f"entity <= {_quoted(last[0])}"
        yield f"(entity < {_quoted(last[0])} OR record_id < {_quoted(last[1])})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
