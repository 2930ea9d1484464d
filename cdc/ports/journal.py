"""The store of changes: one writer, any number of readers inside the same process."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol

from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint


class Journal(Protocol):
    """Errors: JournalLocked, JournalTooNew, DiskFull, StopProcess (a fatal error of the database)."""

    def open(self) -> Checkpoint:
        """Open or create, migrate, start the writer thread; returns how far it has read the log."""
        ...

    def commit(self, batch: ColumnBatch) -> Future[Checkpoint]:
        """Rows and checkpoint in one transaction, on the writer thread; blocks while the queue is full."""
        ...

    def reader(self) -> AbstractContextManager[Any]:
        """A DuckDB cursor of its own (read use only), safe in any thread of this process."""
        ...

    def close(self) -> None:
        """Finish what is queued, checkpoint, release the file."""
        ...
