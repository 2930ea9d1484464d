"""A small journal told item by item, for tests that show one behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb

from cdc.change.order import READ_MARGIN_MS
from tests.unit.answer import recorded
from tests.unit.answer.model import Item, Journal, Stretch

A = "001000000000001AAA"
B = "001000000000002AAA"
MINUTE = 60_000


@dataclass
class Told:
    """Items in the order they are recorded; times are minutes."""

    items: list[Item] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    passed_to: float = 100_000

    def event(self, kind: str, at: float, record_id: str = A, /, **values: str | None) -> int:
        """An event; a value that is `...` is not known. Its ordinal."""
        seq = len(self.items) + 1
        said = {f.replace("__", "."): (None, False) if v is ... else (v, True) for f, v in values.items()}
        moment = round(at * MINUTE)
        self.items.append(Item(seq, record_id, kind, moment, moment, seq, said=said))
        return seq

    def full_state(
        self,
        anchor: float,
        read_to: float,
        record_id: str = A,
        /,
        *,
        after: int,
        kind: str = "BASELINE",
        modified: float = 0,
        scan: str = "scan",
        **values: str | None,
    ) -> int:
        seq = len(self.items) + 1
        said = {f.replace("__", "."): (None, False) if v is ... else (v, True) for f, v in values.items()}
        rank = 2 if kind == "ABSENT" else 1
        times = [round(t * MINUTE) for t in (modified, anchor, read_to)]
        self.items.append(Item(seq, record_id, kind, times[0], times[1], after, rank, said, times[2], scan))
        return seq

    def opened(self) -> duckdb.DuckDBPyConnection:
        connection = recorded.opened()
        passed_to = round(self.passed_to * MINUTE)
        recorded.write(connection, Journal(tuple(self.items), passed_to, tuple(self.stretches)))
        return connection


def state_at(connection: duckdb.DuckDBPyConnection, at: float) -> dict[str, dict[str, Any]]:
    """Rows of `state_at` by record id, at a time in minutes."""
    moment = recorded.at(round(at * MINUTE))
    found = connection.execute("FROM state_at(?, ?::TIMESTAMP)", [recorded.ENTITY, moment])
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["record_id"]: row for row in rows}


MARGIN_MINUTES = READ_MARGIN_MS / MINUTE
