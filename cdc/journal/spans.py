"""How long each sealed row is the newest of its field, and since when the field has been known without a break.

What a question about a moment would otherwise find by folding is written beside the row once: then a state is a
filter. Columns in, columns out, no SQL: rows come in the order of the segment (entity, record, order of folding), a
whole number of records at a time.

    until_at      the time from which a later row of the field counts; null: none in this segment
    until_place   the place in the order behind which a later row counts; null: none
    since_at      the time since which the value has been known without a break; null: it is not known
    opens         true: from the beginning of the segment up to this row nothing broke the field

A break is a change without values, a change of every record, or one that carries the whole record and not this
field. `position` is a number in the order of folding within a record, `mark` that of the last such change before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Longs = np.ndarray[Any, np.dtype[np.int64]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]

CHUNK_ROWS: Final = 1_000_000
NO_MARK: Final = -1
_GIVEN: Final = ("record_no", "position", "mark", "speaks")


def with_spans(rows: pa.Table, number: int) -> pa.Table:
    """The rows of whole records with the four columns and the segment's number, without those of `_GIVEN`."""
    order, group = _by_field(rows)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))

    def column(name: str) -> Any:
        return rows[name].to_numpy()[order]

    effective = column("effective_at").astype("datetime64[us]").astype(np.int64)
    known = column("known").astype(bool)
    until_at, until_place, is_last = _until(group, effective, column("fold_seq"))
    since_at, opens = _since(group, effective, known, column("position"), column("mark"))
    times = pa.timestamp("us")
    return (
        rows.drop_columns(list(_GIVEN))
        .append_column("until_at", pa.array(until_at[back], times, mask=is_last[back]))
        .append_column("until_place", pa.array(until_place[back], mask=is_last[back]))
        .append_column("since_at", pa.array(since_at[back], times, mask=~known[back]))
        .append_column("opens", pa.array(opens[back]))
        .append_column("segment", pa.array(np.full(len(order), number, np.int64)))
    )


def whole_records(batches: Any) -> Iterator[pa.Table]:
    """Batches in tables of whole records, about CHUNK_ROWS each; rows of a record stand together."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows < CHUNK_ROWS:
            continue
        table = pa.Table.from_batches(waiting)
        record = table["record_no"].to_numpy()
        end = int(np.searchsorted(record, record[-1], side="left"))
        if end:
            yield table.slice(0, end)
            table = table.slice(end)
        waiting, rows = table.to_batches(), table.num_rows
    if rows:
        yield pa.Table.from_batches(waiting)


def in_chunks(batches: Any) -> Iterator[pa.Table]:
    """Batches in tables of about CHUNK_ROWS rows."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting)


def _by_field(rows: pa.Table) -> tuple[Longs, Longs]:
    """The row numbers in the order of record, field, folding; and for each the number of its record and field."""
    names = pc.dictionary_encode(rows["field"].combine_chunks())
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    field = names.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    field = field * 2 + rows["speaks"].to_numpy().astype(np.int64)
    record = rows["record_no"].to_numpy()
    order = np.lexsort((rows["position"].to_numpy(), field, record))
    changed = (np.diff(record[order], prepend=-1) != 0) | (np.diff(field[order], prepend=-1) != 0)
    return order, np.cumsum(changed)


def _until(group: Longs, effective: Longs, place: Longs) -> tuple[Longs, Longs, Truths]:
    """The least time and the next place of the rows behind each of its group, and whether it is the last."""
    count = len(group)
    is_last = np.ones(count, bool)
    is_last[:-1] = group[1:] != group[:-1]
    until_place = np.zeros(count, np.int64)
    until_place[:-1] = place[1:]
    times, rank = np.unique(effective, return_inverse=True)
    least = np.minimum.accumulate((group * len(times) + rank)[::-1])[::-1]  # a group's values begin anew
    until_at = np.zeros(count, np.int64)
    until_at[:-1] = times[least[1:] % len(times)]
    return until_at, until_place, is_last


def _since(
    group: Longs, effective: Longs, known: Truths, position: Longs, mark: Longs
) -> tuple[Longs, Truths]:
    count = len(group)
    is_first = np.ones(count, bool)
    is_first[1:] = group[1:] != group[:-1]
    goes_on = np.zeros(count, bool)
    goes_on[1:] = known[:-1] & (mark[1:] <= position[:-1])
    begins = is_first | (known & ~goes_on)
    run = np.cumsum(begins)
    times, rank = np.unique(effective, return_inverse=True)
    least = np.minimum.accumulate((run[-1] - run if count else run) * len(times) + rank)
    first_of_run = np.flatnonzero(begins)[run - 1] if count else run
    opens = known & (is_first & (mark == NO_MARK))[first_of_run] & known[first_of_run]
    return times[least % len(times)] if count else effective, opens
