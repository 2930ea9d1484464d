"""The log in one SQLite file, with the semantics of the one on Kafka: for a laptop, a pilot, a machine without Java.

An append is one transaction with an fsync, so what was acknowledged outlives a killed process and a power failure.
Another process may open the file: readers at any time, a second writer by fencing the first.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdc.errors import Fenced, LogRefused
from cdc.log import numbering, positions_codec
from cdc.log.embedded_reader import read_batches
from cdc.log.embedded_sql import connect, sql, translated
from cdc.log.embedded_upkeep import Upkeep
from cdc.log.topics import POSITIONS, SCHEMAS
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogBatch, LogRecord, Positions
from cdc.ports.types import Millis, Ordinal, SchemaId

RETENTION_DEFAULT_MS = 14 * 24 * 3_600_000


class EmbeddedLog:
    """`cdc.ports.log.Log` over one file. Its methods may be called from several threads.

    `clock` gives epoch ms for `appended_at` and retention.
    """

    def __init__(
        self,
        org: str,
        path: Path | str,
        retention_ms: int = RETENTION_DEFAULT_MS,
        *,
        clock: Callable[[], Millis] = lambda: Millis(time.time_ns() // 1_000_000),
        upkeep: Upkeep | None = None,
    ) -> None:
        self._org = org
        self._path = Path(path)
        self._retention_ms = retention_ms
        self._clock = clock
        self._writing = threading.Lock()
        self._grown = threading.Condition()
        self._connection: sqlite3.Connection | None = None
        self._epoch = 0
        self._next_ordinal = 1
        self._upkeep = upkeep or Upkeep()

    def open(self, owner: str) -> Positions:
        with self._writing, self._transaction() as connection:
            connection.execute(sql("take_ownership"), {"org": self._org, "owner": owner})
            org, self._epoch, _ = connection.execute(sql("writer")).fetchone()
            if org != self._org:
                raise LogRefused(
                    f"the log belongs to the org {org}, not to {self._org}",
                    where=str(self._path),
                    do="give each org its own log.path",
                )
            positions = self._read_positions(connection)
            self._next_ordinal = positions.next_ordinal
            return positions

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        with self._writing:
            if not self._epoch:
                raise LogRefused(
                    "the log is not open for writing", where=str(self._path), do="call open first"
                )
            ordered = numbering.placed(records, self._next_ordinal, positions)
            numbering.check_values(records)
            place = positions.next_ordinal - 1
            ordered.append(LogRecord(POSITIONS, self._org, positions_codec.encode(positions), place))
            if self._upkeep.is_due():
                # Before the append: on a full disk this may make the room it needs.
                with self._transaction() as connection:
                    self._check_owner(connection)
                    self._upkeep.step(connection, self._clock() - self._retention_ms)
            with self._transaction() as connection:
                self._check_owner(connection)
                self._insert(connection, ordered)
            self._next_ordinal = positions.next_ordinal
        self._wake()

    def publish(self, records: Sequence[LogRecord]) -> None:
        if not records:
            return
        unplaced = numbering.unplaced(records)
        with self._writing, self._transaction() as connection:
            self._insert(connection, unplaced)
        self._wake()

    def batches(
        self, after: Checkpoint, *, topics: frozenset[str] | None = None, idle_s: float = 0.5
    ) -> Iterator[LogBatch]:
        if topics is not None and (not topics or not topics <= CONTROL_TOPICS):
            raise LogRefused(
                "only control topics can be read by name",
                where=", ".join(sorted(topics)) or "no topic at all",
            )
        return read_batches(self._path, after, topics, idle_s, self._wait)

    def recent(self, records_max: int) -> Sequence[tuple[str, str]]:
        rows = self._rows("recent", {"limit": records_max})
        return [(event_id, record_id) for event_id, record_id in reversed(rows)]

    def reached(self) -> Ordinal:
        with self._writing:
            return Ordinal(self._read_positions(self._connected()).next_ordinal - 1)

    def schema(self, schema_id: SchemaId) -> str | None:
        rows = self._rows("newest", {"topic": SCHEMAS, "key": schema_id})
        return str(rows[0][0], "utf-8") if rows else None

    def _rows(self, statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self._writing:
            connection = self._connected()
            try:
                return connection.execute(sql(statement), parameters).fetchall()
            except sqlite3.Error as e:
                raise translated(e, self._path) from e

    def close(self) -> None:
        with self._writing:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._epoch = 0

    def _read_positions(self, connection: sqlite3.Connection) -> Positions:
        try:
            row = connection.execute(sql("newest"), {"topic": POSITIONS, "key": self._org}).fetchone()
            return Positions(self._org) if row is None else positions_codec.decode(row[0])
        except sqlite3.Error as e:
            raise translated(e, self._path) from e
        except ValueError as e:
            raise LogRefused(f"the newest positions cannot be read: {e}", where=str(self._path)) from e

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        _, epoch, owner = connection.execute(sql("writer")).fetchone()
        if epoch != self._epoch:
            raise Fenced(
                f"another instance ({owner}) owns this org's log now",
                where=str(self._path),
                do="stop the other one, or leave this one stopped",
            )

    def _insert(self, connection: sqlite3.Connection, records: Sequence[LogRecord]) -> None:
        now = self._clock()
        connection.executemany(sql("append"), [(*record[:10], now) for record in records])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: whatever goes wrong inside, nothing was written."""
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as e:
            raise translated(e, self._path) from e

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection

    def _wake(self) -> None:
        with self._grown:
            self._grown.notify_all()

    def _wait(self, seconds: float) -> None:
        with self._grown:
            self._grown.wait(seconds)
