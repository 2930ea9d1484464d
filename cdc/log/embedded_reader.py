"""Batches out of the embedded log. Its rows stand in the order of commits, so nothing has to be merged."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cdc.log.embedded_sql import connect, sql, translated
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal

BATCH_RECORDS_MAX = 10_000
POLL_S = 0.2  # how often the appends of another process are looked for; those of this one wake its readers

PLACE = "records/0"
"""Key of a checkpoint's offsets: the one sequence there is."""

_new = tuple.__new__


def read_batches(
    path: Path, after: Checkpoint, topics: frozenset[str] | None, idle_s: float, wait: Callable[[float], None]
) -> Iterator[LogBatch]:
    """Without end. `wait` returns when something may have been appended, at the latest after the seconds given."""
    connection = connect(path)
    try:
        offset, ordinal = after.offsets.get(PLACE, 1), int(after.ordinal)
        while True:
            rows = _rows_or_idle(connection, path, offset, topics, idle_s, wait)
            if topics is not None:
                offset = rows[-1][11] + 1 if rows else offset
                yield LogBatch([_record(row) for row in rows], _checkpoint(offset, ordinal))
                continue
            if not rows:
                yield LogBatch([], _checkpoint(offset, ordinal))
            while rows:
                missing, behind = _hole(rows[0], ordinal)
                ordinal = behind
                records, read, ordinal = _run(rows, ordinal)
                offset = rows[read - 1][11] + 1
                rows = rows[read:]
                yield LogBatch(records, _checkpoint(offset, ordinal), missing)
    finally:
        connection.close()


def _rows_or_idle(
    connection: sqlite3.Connection,
    path: Path,
    offset: int,
    topics: frozenset[str] | None,
    idle_s: float,
    wait: Callable[[float], None],
) -> list[Any]:
    parameters: dict[str, Any] = {"from": offset, "limit": BATCH_RECORDS_MAX}
    if topics is not None:
        parameters["topics"] = json.dumps(sorted(topics))
    statement = sql("read" if topics is None else "read_control")
    end = time.monotonic() + idle_s
    while True:
        try:
            rows = connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as e:
            raise translated(e, path) from e
        left = end - time.monotonic()
        if rows or left <= 0:
            return rows
        wait(min(left, POLL_S))


def _hole(row: Any, ordinal: int) -> tuple[tuple[Ordinal, Ordinal] | None, int]:
    """What retention has taken before this row, and the last ordinal before it."""
    before = row[3] if row[0] in CONTROL_TOPICS else row[3] - 1
    if before <= ordinal:
        return None, ordinal
    return (Ordinal(ordinal + 1), Ordinal(before)), before


def _run(rows: list[Any], ordinal: int) -> tuple[list[LogRecord], int, int]:
    """Records up to the next hole, how many rows that were, and the last ordinal among them.

    Changes that were taken before are passed over: whoever begins at an ordinal without a place reads from the start.
    """
    records: list[LogRecord] = []
    read = 0
    for row in rows:
        if row[0] not in CONTROL_TOPICS:
            if row[3] > ordinal + 1:
                break
            if row[3] <= ordinal:
                read += 1
                continue
            ordinal += 1
        elif row[3] > ordinal:
            break
        records.append(_new(LogRecord, row[:11]))
        read += 1
    return records, read, ordinal


def _record(row: Any) -> LogRecord:
    record: LogRecord = _new(LogRecord, row[:11])
    return record


def _checkpoint(offset: int, ordinal: int) -> Checkpoint:
    return Checkpoint({PLACE: offset}, Ordinal(ordinal))
