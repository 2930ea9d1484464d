"""One reader of the log for several followers, so that the bytes are decoded once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow.compute as pc

from cdc.log.origin import replaced
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, Log, LogBatch
from cdc.ports.types import Ordinal

IDLE_S = 0.25  # how soon a stop is seen on a quiet log


class Follower(Protocol):
    """Takes every batch once and in order; `checkpoint` is how far it has come by itself (stored, or taken)."""

    @property
    def checkpoint(self) -> Checkpoint: ...

    def take(self, batch: ColumnBatch) -> None: ...


class Store(Protocol):
    """What keeps batches: a journal, or a part of one."""

    def commit(self, batch: ColumnBatch) -> object: ...


@dataclass(slots=True)
class StoreFollower:
    """Hands batches to a store's writer; the queue there is bounded, so a slow disk slows the reading."""

    store: Store
    checkpoint: Checkpoint

    def take(self, batch: ColumnBatch) -> None:
        self.store.commit(batch)
        self.checkpoint = batch.checkpoint


def least(checkpoints: Iterable[Checkpoint]) -> Checkpoint:
    """The one to start from, so that no follower misses anything."""
    return min(checkpoints, key=lambda checkpoint: checkpoint.ordinal, default=Checkpoint())


def follow(
    log: Log,
    start: Checkpoint,
    decode: Callable[[LogBatch], ColumnBatch],
    followers: Sequence[Follower],
    stop: threading.Event,
) -> None:
    """Read from `start` (the least of the followers' checkpoints) until `stop` is set.

    A follower further on is given only what lies beyond the checkpoint it had at the beginning: changes exactly;
    control records whose place cannot be told from the ordinal once more, which their readers take as no news.
    Errors: StopProcess where the log ends before what a follower has taken, since it is then another log, whose
    changes with the same numbers would be taken for known ones. Errors of the log and of the followers come through; the caller begins again from the checkpoints.
    """
    begun = [follower.checkpoint for follower in followers]
    taken_most = max((checkpoint.ordinal for checkpoint in begun), default=0)
    if taken_most and (reached := log.reached()) < taken_most:
        raise replaced(f"change {taken_most} was read from it, and it ends at {reached}")
    batches = log.batches(start, idle_s=IDLE_S)
    quiet_at: Checkpoint | None = None
    try:
        for batch in batches:
            if stop.is_set():
                return
            is_quiet = not batch.records and batch.missing is None
            if is_quiet and batch.checkpoint == quiet_at:
                continue  # said once: on a quiet org nobody opens a transaction four times a second for nothing
            quiet_at = batch.checkpoint if is_quiet else None
            columns = decode(batch)
            for follower, taken in zip(followers, begun, strict=True):
                new = beyond(columns, taken)
                if new is not None:
                    follower.take(new)
    finally:
        if isinstance(batches, Generator):
            batches.close()


def beyond(batch: ColumnBatch, taken: Checkpoint) -> ColumnBatch | None:
    """What of a batch lies behind a checkpoint; None when nothing does. Ordinals ascend in `changes`."""
    last = int(taken.ordinal)
    if _covers(taken, batch.checkpoint):
        # Nothing new; that it is quiet is still worth knowing, at the place the follower is at.
        quiet = batch.checkpoint.ordinal == last and not (batch.control or batch.changes.num_rows)
        return replace(batch, checkpoint=taken) if quiet else None
    if last == 0:
        return batch
    missing = batch.missing
    if missing is not None and missing[0] <= last:
        missing = None if missing[1] <= last else (Ordinal(last + 1), missing[1])
    first_row = pc.sum(pc.less_equal(batch.changes["ordinal"], last)).as_py() or 0
    fields = batch.fields
    if first_row:
        first_field = pc.sum(pc.less(fields["row"], first_row)).as_py() or 0
        fields = fields.slice(first_field)
        row = fields.schema.get_field_index("row")
        fields = fields.set_column(row, fields.schema.field(row), pc.subtract(fields["row"], first_row))
    return replace(
        batch,
        changes=batch.changes.slice(first_row),
        fields=fields,
        platform_events=batch.platform_events.filter(pc.greater(batch.platform_events["ordinal"], last)),
        control=[record for record in batch.control if record.ordinal == 0 or record.ordinal >= last],
        bad=[bad for bad in batch.bad if bad.record.ordinal > last],
        missing=missing,
        elsewhere=None if batch.elsewhere is None else batch.elsewhere.beyond(last),
    )


def _covers(taken: Checkpoint, reached: Checkpoint) -> bool:
    """True when everything up to `reached` is behind `taken`."""
    if taken.ordinal < reached.ordinal:
        return False
    return bool(reached.offsets) and all(
        taken.offsets.get(key, -1) >= offset for key, offset in reached.offsets.items()
    )
