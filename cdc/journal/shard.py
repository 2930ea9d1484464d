"""The writer of one part of a lake: the single file's writer, on the tables of its part.

Ownership. Each part has an epoch. Who takes the part adds one to it; each commit looks whether it is still its own, and
writes the part's checkpoint, which the taking wrote too: of two transactions that do so at once PostgreSQL lets one
through. So a writer that was believed dead, and was not, commits nothing more.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import duckdb

from cdc.errors import CdcError, JournalLocked
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import TRIES_MAX, TRY_AGAIN_S, Lake, lake_error
from cdc.journal.lake_views import of_part
from cdc.journal.needs import requests, schema_requests, unmet_needs
from cdc.journal.origin import check_origin
from cdc.journal.poison import Raw
from cdc.journal.state import load
from cdc.journal.transaction import BatchWriter
from cdc.ports.clock import Clock
from cdc.ports.columns import Bad
from cdc.ports.log import Checkpoint

_CONFLICT: Final = re.compile(r"conflict", re.IGNORECASE)


class PartConnection:
    """A connection whose statements about `store` mean one part of the lake."""

    def __init__(self, connection: Any, org: str, part: int) -> None:
        self._connection = connection
        self._org = org
        self._part = part
        self._texts: dict[str, str] = {}

    def execute(self, text: str, given: Any = None) -> Any:
        meant = self._texts.get(text)
        if meant is None:
            meant = self._texts[text] = of_part(text, self._org, self._part)
        return self._connection.execute(meant) if given is None else self._connection.execute(meant, given)

    def register(self, name: str, table: Any) -> None:
        self._connection.register(name, table)

    def unregister(self, name: str) -> None:
        self._connection.unregister(name)

    def close(self) -> None:
        self._connection.close()


class LakeShard(DuckJournal):
    """One part, open for writing by this process. `open` takes it from whoever had it."""

    def __init__(
        self,
        lake: Lake,
        part: int,
        *,
        schema_text: Callable[[str], str | None] = lambda _: None,
        on_requests: Callable[[list[dict[str, Any]]], None] = lambda _: None,
        on_fatal: Callable[[BaseException], None] = lambda _: None,
        on_put_aside: Callable[[Bad], None] = lambda _: None,
        raw: Raw = lambda *_: None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            lake.path,
            lake.org,
            segments=lake.segments,
            schema_text=schema_text,
            on_requests=on_requests,
            on_fatal=on_fatal,
            on_put_aside=on_put_aside,
            raw=raw,
            clock=clock,
            seal_records=2**62,  # DuckLake's files are Parquet already
        )
        self.part = part
        self._lake = lake
        self._epoch = 0

    def _begin(self) -> None:
        check_origin(self._connection, self._schema_text)
        self._held = load(self._connection, self.org)
        self._unsent = requests(unmet_needs(self._connection), self._clock.wall_ms)
        self._unsent += schema_requests(self._connection, 0, self._held.ordinal, self._clock.wall_ms)

    def _connect(self) -> None:
        self._connection = PartConnection(self._lake.cursor(), self.org, self.part)
        self._epoch = self._claim()
        self._writer = BatchWriter(self._connection, self.org, self._schema_text, is_first=self.part == 0)

    def _claim(self) -> int:
        """Become the part's owner; whoever was it commits nothing more."""
        who = f"{socket.gethostname()}, process {os.getpid()}"
        for attempt in range(TRIES_MAX):
            try:
                self._connection.execute("BEGIN")
                self._connection.execute("UPDATE store.owner SET epoch = epoch + 1, who = ?", [who])
                self._connection.execute("UPDATE store.checkpoint SET ordinal = ordinal")
                row = self._connection.execute("SELECT epoch FROM store.owner").fetchone()
                self._connection.execute("COMMIT")
                return int(row[0])
            except duckdb.Error as error:
                self._roll_back()
                if attempt == TRIES_MAX - 1 or not _CONFLICT.search(str(error)):
                    raise lake_error(error, self.path) from error
                time.sleep(TRY_AGAIN_S)  # its owner committed at that moment
        raise AssertionError("unreachable")

    def _commit_if_owned(self) -> None:
        """Errors: JournalLocked where somebody else has taken the part since."""
        row = self._connection.execute("SELECT epoch, who FROM store.owner").fetchone()
        if int(row[0]) != self._epoch:
            raise self._taken(str(row[1]))
        try:
            self._connection.execute("COMMIT")
        except duckdb.Error as error:
            if _CONFLICT.search(str(error)):
                raise self._taken("another worker") from error
            raise lake_error(error, self.path) from error

    def _taken(self, who: str) -> JournalLocked:
        return JournalLocked(
            f"part {self.part} of the journal was taken over by {who}",
            where=self.path,
            do="nothing of this worker was written since; the other one goes on",
        )

    def let_go(self) -> None:
        """Finish the transaction in hand and close; what waits behind it comes again from the log, to the next owner.

        Whoever hands over batches has stopped before: one more would leave a hole.
        """
        with self._changed:
            waiting = list(self._queue)
            self._queue.clear()
            self.metrics.queue_records = 0
            self._changed.notify_all()
        for one in waiting:
            one.done.cancel()
        self.close()

    def _tell_fields(self) -> None:
        if self._writer.schemas.is_news:
            self._writer.schemas.is_news = False
            self._lake.tell_fields()

    def _finish(self) -> None:
        return

    def reader(self) -> Any:
        """Over all parts, as whoever asks sees the journal."""
        return self._lake.reader()

    @property
    def checkpoint(self) -> Checkpoint:
        """How far this part is committed."""
        return self._held.checkpoint

    @property
    def failure(self) -> CdcError | None:
        """What ended the writing of this part, if anything did."""
        return self._failure
