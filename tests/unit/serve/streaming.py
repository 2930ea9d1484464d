"""A stream of so many changes a second into a journal, for as long as it is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from cdc.journal.journal import DuckJournal
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint
from cdc.ports.types import Ordinal
from tests.unit.journal.batches import T0, Change, batch

BATCHES_A_SECOND = 10
PATIENCE_S = 120.0
RECORDS = 5_000


@dataclass(slots=True)
class Stream:
    """What has been written; `rate()` is of the time since the last `mark()`."""

    journal: DuckJournal
    written: int = 0
    marked_at: float = 0.0
    marked: int = 0

    def mark(self) -> None:
        self.marked_at, self.marked = time.perf_counter(), self.written

    def rate(self) -> float:
        return (self.written - self.marked) / (time.perf_counter() - self.marked_at)


@contextmanager
def streaming(journal: DuckJournal, per_second: int) -> Iterator[Stream]:
    """Commits until closed, each batch at its time or as soon after it as the journal takes it."""
    size = max(1, per_second // BATCHES_A_SECOND)
    model = batch(
        [Change(n, n % RECORDS, said={"Name": f"name {n}", "Industry": "Energy"}) for n in range(size)]
    )
    stream, stop = Stream(journal), threading.Event()

    def write() -> None:
        began, turn = time.perf_counter(), 0
        while not stop.is_set():
            journal.commit(_moved(model, int(journal.checkpoint.ordinal) + 1, turn)).result(PATIENCE_S)
            stream.written += size
            turn += 1
            late = time.perf_counter() - began - turn / BATCHES_A_SECOND
            if late < 0:
                stop.wait(-late)
            else:  # what was missed is not made up for: the rate says it
                began, turn = time.perf_counter(), 0

    thread = threading.Thread(target=write, name="stream")
    thread.start()
    try:
        stream.mark()
        yield stream
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def _moved(model: ColumnBatch, first: int, turn: int) -> ColumnBatch:
    """The same changes with ordinals from `first` on, and as much later."""
    changes = model.changes
    ordinals = pc.add(changes["ordinal"], first)
    at = pa.array([T0 + 60_000 + turn * 1000 // BATCHES_A_SECOND] * changes.num_rows, pa.int64())
    for name, column in (
        ("ordinal", ordinals),
        ("commit_number", ordinals),
        ("committed_at", at),
        ("event_id", pc.binary_join_element_wise("event", pc.cast(ordinals, pa.string()), "")),
        ("transaction_key", pc.binary_join_element_wise("tx", pc.cast(ordinals, pa.string()), "")),
    ):
        changes = changes.set_column(changes.schema.get_field_index(name), changes.schema.field(name), column)
    last = first + changes.num_rows - 1
    return replace(model, changes=changes, checkpoint=Checkpoint({"log/0": last}, Ordinal(last)))
