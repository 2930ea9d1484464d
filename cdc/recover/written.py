"""What is told of a batch, before and after: records of the log in parts no larger than a message may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cdc.ports.log import LogRecord
from cdc.recover.ledger import record
from cdc.recover.work import Batch

ROWS_PER_RECORD = 200
TEXT_CHARS_MAX = 400_000
"""A record of the log holds at most a megabyte on many brokers, and four bytes a character."""


class Result(NamedTuple):
    """What became of one record: restored, already, partly, conflict, gone, failed; why; the id of a new one."""

    record_id: str
    result: str
    error: str = ""
    new_record_id: str = ""


GOOD = frozenset({"restored", "already"})


def intents(restore_id: str, user_id: str, batch: Batch, at: int) -> list[LogRecord]:
    """What will be written: rows with the same fields share a record."""
    shapes: dict[tuple[str, ...], list[tuple[str, list[str | None]]]] = {}
    for item in batch.items:
        names = tuple(item.fields)
        shapes.setdefault(names, []).append((item.record_id, [item.fields[n].before for n in names]))
    out: list[LogRecord] = []
    for names, rows in shapes.items():
        for part in _parts(rows):
            detail = {
                "restore_id": restore_id,
                "chunk": f"{batch.chunk}/{len(out)}",
                "user_id": user_id,
                "entity": batch.entity,
                "kind": batch.action,
                "records": [record_id for record_id, _ in part],
                "fields": list(names),
                "values": [values for _, values in part],
            }
            out.append(record("restore_writes", restore_id, detail, at=at))
    return out


def outcomes(
    restore_id: str, batch: Batch, attempt: str, results: Sequence[Result], at: int
) -> list[LogRecord]:
    """What became of it. `attempt` tells runs apart, so that none takes another's place."""
    out = []
    for number, at_row in enumerate(range(0, len(results), ROWS_PER_RECORD)):
        detail: Mapping[str, Any] = {
            "restore_id": restore_id,
            "chunk": f"{batch.chunk}/{attempt}/{number}",
            "entity": batch.entity,
            "kind": batch.action,
            "results": [list(r) for r in results[at_row : at_row + ROWS_PER_RECORD]],
        }
        out.append(record("restore_results", restore_id, detail, at=at))
    return out


def _parts(
    rows: Sequence[tuple[str, list[str | None]]],
) -> Iterator[list[tuple[str, list[str | None]]]]:
    part: list[tuple[str, list[str | None]]] = []
    chars = 0
    for row in rows:
        size = sum(len(value or "") for value in row[1]) + 40
        if part and (len(part) == ROWS_PER_RECORD or chars + size > TEXT_CHARS_MAX):
            yield part
            part, chars = [], 0
        part.append(row)
        chars += size
    if part:
        yield part
