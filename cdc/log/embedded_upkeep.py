"""Retention and compaction of the embedded log, a small step now and then so that no append waits long."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from cdc.log.embedded_sql import sql


@dataclass(slots=True)
class Upkeep:
    """Position kept: `expired_to`, the first row that was not too old when last looked at."""

    interval_s: float = 5.0  # how often an append also does a step, when nothing is left over
    rows_max: int = 20_000  # looked at in one step: some milliseconds
    compact_behind_rows: int = 100_000  # how far readers at the tip still find replaced records
    expired_to: int = 0
    due_s: float = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self.due_s

    def step(self, connection: sqlite3.Connection, before_ms: int) -> None:
        """Inside a transaction of the caller's. Rows appended before that time may go."""
        first, last = connection.execute(sql("bounds")).fetchone()
        start = max(first, self.expired_to)
        end = min(start + self.rows_max, last)
        window = {"from": start, "to": end, "before": before_ms}
        kept = connection.execute(sql("first_kept"), window).fetchone()
        self.expired_to = end + 1 if kept is None else kept[0]
        if self.expired_to > start:
            connection.execute(sql("expire"), {**window, "to": self.expired_to - 1})
        compact = {"to": last - self.compact_behind_rows, "limit": self.rows_max}
        compacted = connection.execute(sql("compact"), compact).rowcount
        connection.execute(sql("give_back")).fetchall()
        more = (kept is None and end < last) or compacted == self.rows_max
        self.due_s = 0.0 if more else time.monotonic() + self.interval_s
