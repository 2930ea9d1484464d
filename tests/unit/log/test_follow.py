"""One reader, several followers: each gets what lies behind its own checkpoint, decoded once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.log.embedded import EmbeddedLog
from cdc.log.follow import beyond, follow, least
from cdc.ports.columns import CHANGE_SCHEMA, FIELD_SCHEMA, PLATFORM_EVENT_SCHEMA, Bad, ColumnBatch
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogBatch, LogRecord, Positions
from cdc.ports.types import Ordinal

FILLER = {
    "entity": "Account",
    "record_id": "r",
    "kind": "UPDATE",
    "committed_at": 0,
    "source": "pubsub",
    "changed_fields": [],
    "nulled_fields": [],
    "diff_fields": [],
    "received_at": 0,
}


def columns(batch: LogBatch) -> ColumnBatch:
    """Each change has two fields, of which the first names its ordinal."""
    numbered = [r for r in batch.records if r.topic not in CONTROL_TOPICS]
    changes = [r for r in numbered if not r.topic.endswith("__e") and r.topic != "quarantine"]
    fields = [
        {"row": row, "field": f, "value": str(r.ordinal), "known": True}
        for row, r in enumerate(changes)
        for f in "ab"
    ]
    return ColumnBatch(
        pa.Table.from_pylist([{**FILLER, "ordinal": r.ordinal} for r in changes], CHANGE_SCHEMA),
        pa.Table.from_pylist(fields, FIELD_SCHEMA),
        pa.Table.from_pylist(
            [{"ordinal": r.ordinal, "name": r.topic} for r in numbered if r.topic.endswith("__e")],
            PLATFORM_EVENT_SCHEMA,
        ),
        [r for r in batch.records if r.topic in CONTROL_TOPICS],
        [Bad(r, "bad") for r in numbered if r.topic == "quarantine"],
        batch.checkpoint,
        batch.missing,
    )


def batch_of(first: int, last: int, missing: tuple[int, int] | None = None) -> ColumnBatch:
    topics = ("AccountChangeEvent", "Order__e", "ContactChangeEvent", "quarantine")
    records = [LogRecord(topics[n % 4], "", b"", n) for n in range(first, last + 1)]
    records.append(LogRecord("jobs", "", b"", last))
    hole = None if missing is None else (Ordinal(missing[0]), Ordinal(missing[1]))
    return columns(LogBatch(records, Checkpoint({"records/0": last + 1}, Ordinal(last)), hole))


def ordinals(batch: ColumnBatch) -> list[int]:
    found = [*batch.changes["ordinal"].to_pylist(), *batch.platform_events["ordinal"].to_pylist()]
    return sorted([*found, *(bad.record.ordinal for bad in batch.bad)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 20), st.integers(0, 75))
def test_only_what_lies_behind_the_checkpoint_is_handed_on(first: int, more: int, taken: int) -> None:
    last = first + more
    new = beyond(batch_of(first, last), Checkpoint({"records/0": taken + 1}, Ordinal(taken)))
    if taken >= last:
        assert new is None
        return
    assert new is not None
    assert ordinals(new) == [n for n in range(first, last + 1) if n > taken]
    named = [int(value) for value in new.fields["value"].to_pylist()]
    assert [new.changes["ordinal"][row].as_py() for row in new.fields["row"].to_pylist()] == named


def test_a_hole_is_cut_at_the_checkpoint() -> None:
    batch = batch_of(21, 25, missing=(11, 20))
    for taken, missing in ((0, (11, 20)), (14, (15, 20)), (20, None), (22, None)):
        new = beyond(batch, Checkpoint({}, Ordinal(taken)))
        assert new is not None
        assert new.missing == missing


def test_a_control_record_at_the_place_of_the_checkpoint_is_not_lost() -> None:
    new = beyond(batch_of(1, 5), Checkpoint({"records/0": 5}, Ordinal(5)))
    assert new is not None
    assert [record.topic for record in new.control] == ["jobs"]
    assert ordinals(new) == []


def test_quiet_is_told_at_the_followers_own_place() -> None:
    empty = columns(LogBatch([], Checkpoint({"records/0": 3}, Ordinal(7))))
    ahead = Checkpoint({"records/0": 4}, Ordinal(7))
    new = beyond(empty, ahead)
    assert new is not None
    assert new.checkpoint == ahead
    assert beyond(empty, Checkpoint({"records/0": 9}, Ordinal(8))) is None


class Taking:
    def __init__(self, checkpoint: Checkpoint, stop: threading.Event, last: int) -> None:
        self.checkpoint = checkpoint
        self.taken: list[int] = []
        self._stop = stop
        self._last = last

    def take(self, batch: ColumnBatch) -> None:
        self.taken += batch.changes["ordinal"].to_pylist()
        self.checkpoint = batch.checkpoint
        if batch.checkpoint.ordinal >= self._last:
            self._stop.set()


def test_followers_at_different_places_each_get_their_rest(tmp_path: Path) -> None:
    log = EmbeddedLog("acme", tmp_path / "log.sqlite")
    log.open("test")
    checkpoints = [Checkpoint()]
    for n in range(1, 31, 10):
        log.append(
            [LogRecord("AccountChangeEvent", "", b"", i) for i in range(n, n + 10)],
            Positions("acme", Ordinal(n + 10)),
        )
        batches: Iterator[LogBatch] = log.batches(checkpoints[-1])
        checkpoints.append(next(batches).checkpoint)
    stop = threading.Event()
    behind, ahead = Taking(checkpoints[1], stop, 30), Taking(checkpoints[2], stop, 30)
    decoded = 0

    def decode(batch: LogBatch) -> ColumnBatch:
        nonlocal decoded
        decoded += len(batch.records)
        return columns(batch)

    follow(log, least([ahead.checkpoint, behind.checkpoint]), decode, [behind, ahead], stop)
    assert behind.taken == list(range(11, 31))
    assert ahead.taken == list(range(21, 31))
    assert decoded == 22  # twenty changes and two positions records, once
    log.close()


class _Quiet:
    """A log on which nothing comes for a while, then one change, then nothing again."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def reached(self) -> Ordinal:
        return Ordinal(1)

    def batches(self, after: Checkpoint, *, idle_s: float = 0.0) -> Iterator[LogBatch]:
        before, behind = Checkpoint({"records/0": 3}), Checkpoint({"records/0": 4}, Ordinal(1))
        yield from [LogBatch([], before)] * 5
        yield LogBatch([LogRecord("AccountChangeEvent", "", b"", 1)], behind)
        yield from [LogBatch([], behind)] * 5
        self._stop.set()
        yield LogBatch([], behind)


def test_that_it_is_quiet_is_said_once_for_a_stretch_of_quiet() -> None:
    stop = threading.Event()
    handed: list[int] = []

    def decode(batch: LogBatch) -> ColumnBatch:
        handed.append(len(batch.records))
        return columns(batch)

    log: Any = _Quiet(stop)
    follow(log, Checkpoint(), decode, [], stop)
    assert handed == [0, 1, 0]
