"""Batches out of Kafka: every committed record in ordinal order, or control topics as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cdc.errors import LogRefused
from cdc.log import positions_codec
from cdc.log.headers import CONTROL, CONTROLS, RecordReader, last_numbers
from cdc.log.kafka_options import KafkaLogOptions
from cdc.log.kafka_partitions import Fetched, KafkaPartitions, Partition
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.merge import Gate, OrdinalMerge
from cdc.log.topics import POSITIONS
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal

BATCH_RECORDS_MAX = 10_000
BATCH_MAX_S = 0.2

WAITING_RECORDS_MAX = 100_000  # read ahead of their turn: partitions that have some are paused above this
WAITING_BYTES_MAX = 64 * 1024 * 1024

DISCOVERY_INTERVAL_S = 10.0  # new topics, when nothing hints at one
HINTED_DISCOVERY_INTERVAL_S = 0.25  # new topics, when a number is missing
STUCK_AFTER_S = 0.1  # a number may be missing for that long just because its partition was not read yet
ENDS_AFTER_S = 0.5  # then the partitions are asked how far they go
STEP_S = 0.02  # how long one wait lasts while something is missing
WAIT_MAX_S = 1.0  # how long one wait lasts at most


def ordered_batches(
    options: KafkaLogOptions, topics: KafkaTopics, after: Checkpoint, idle_s: float
) -> Iterator[LogBatch]:
    """Without end; closing the iterator closes the consumer. The states of a reader are `OrdinalMerge`'s."""
    reader = _OrderedReader(options, topics, after)
    try:
        while True:
            yield reader.next_batch(idle_s)
    finally:
        reader.partitions.close()


def plain_batches(
    options: KafkaLogOptions, topics: KafkaTopics, after: Checkpoint, names: frozenset[str], idle_s: float
) -> Iterator[LogBatch]:
    """Records of control topics, each topic in its own order; the checkpoint's ordinal stays as it is."""
    partitions = KafkaPartitions(options, topics, names.__contains__, after.offsets)
    reader = RecordReader()
    offsets = dict(after.offsets)
    try:
        while True:
            records: list[LogRecord] = []
            end = time.monotonic() + idle_s
            while len(records) < BATCH_RECORDS_MAX:
                complete = len(partitions.by_name) == len(names)
                partitions.discover(DISCOVERY_INTERVAL_S if complete else HINTED_DISCOVERY_INTERVAL_S)
                wait_s = 0.0 if records else max(0.0, min(WAIT_MAX_S, end - time.monotonic()))
                fetched = partitions.fetch(wait_s)
                for message, partition, next_offset in fetched:
                    records.append(reader.any(message, partition.topic)[0])
                    offsets[partition.key] = next_offset
                if not fetched and (records or time.monotonic() >= end):
                    break
            yield LogBatch(records, Checkpoint(dict(offsets), after.ordinal))
    finally:
        partitions.close()


@dataclass(slots=True)
class _Stuck:
    """The reader stands at `at` since `since_s`; `ends` and `committed_to` were asked for then or later.

    `at` is the last ordinal and control number taken, and the gate that is kept closed: while others go on
    appending, nothing of it changes.
    """

    at: tuple[int, int, int]
    since_s: float
    committed_to: int = 0
    ends: dict[str, int] | None = None


class _OrderedReader:
    def __init__(self, options: KafkaLogOptions, topics: KafkaTopics, after: Checkpoint) -> None:
        self.partitions = KafkaPartitions(options, topics, lambda _: True, after.offsets)
        self._merge = OrdinalMerge(after)
        self._records = RecordReader()
        self._stuck: _Stuck | None = None
        self._paused: list[Partition] = []
        self._pause_above = 1.0
        self._control_names = {topics.full_name(topic) for topic in CONTROL_TOPICS}

    def next_batch(self, idle_s: float) -> LogBatch:
        """Up to `BATCH_RECORDS_MAX` records or `BATCH_MAX_S`; an empty one after `idle_s`; a hole by itself."""
        merge = self._merge
        records: list[LogRecord] = []
        end = time.monotonic() + idle_s
        while len(records) < BATCH_RECORDS_MAX:
            had = len(records)
            merge.take(records, BATCH_RECORDS_MAX)
            now = time.monotonic()
            if records and not had:
                end = now + BATCH_MAX_S
            if now >= end:
                break
            if len(records) == had:
                missing = self._missing(now, may_skip=not records)
                if missing is not None:
                    return LogBatch([], merge.checkpoint(), missing)
            self.partitions.discover(self._discovery_interval_s(now))
            wait_s = STEP_S if self._stuck is not None else WAIT_MAX_S
            # What was taken may have more behind it: that is looked at before waiting.
            self._add(self.partitions.fetch(min(wait_s, end - now) if len(records) == had else 0.0))
            self._balance()
        return LogBatch(records, merge.checkpoint())

    def _add(self, fetched: list[Fetched]) -> None:
        merge, records = self._merge, self._records
        try:
            for message, partition, next_offset in fetched:
                if partition.numbered:
                    merge.add_change(records.change(message, partition.topic), partition.key, next_offset)
                else:
                    self._add_control(message, partition, next_offset)
        except ValueError as e:
            raise LogRefused(
                f"a record is not as this system writes it: {e}",
                where=f"topic {partition.full_name}, partition {partition.number}, offset {next_offset - 1}",
                do="nothing else may write to the topics of this prefix",
            ) from e

    def _add_control(self, message: Any, partition: Partition, next_offset: int) -> None:
        record, headers = self._records.any(message, partition.topic)
        number = int(headers.get(CONTROL) or 0)
        gate = None
        if partition.topic == POSITIONS:
            next_ordinal = positions_codec.decode(record.value).next_ordinal
            gate = Gate(next_ordinal, number, last_numbers(headers.get(CONTROLS, "")))
        self._merge.add_control(record, number, partition.key, next_offset, gate)

    def _missing(self, now: float, *, may_skip: bool) -> tuple[Ordinal, Ordinal] | None:
        """Ordinals that can no longer come. Nothing is given up before every partition was read past its place."""
        merge = self._merge
        awaited = merge.awaited_topics()
        if not awaited and not merge.lacks_change():
            self._stuck = None
            return None
        at = (merge.ordinal, merge.control, merge.awaited_gate())
        if self._stuck is None or self._stuck.at != at:
            self._stuck = _Stuck(at, now)
        stuck = self._stuck
        if not may_skip or now < stuck.since_s + ENDS_AFTER_S:
            return None
        if stuck.ends is None:
            self.partitions.discover(0.0)
            stuck.committed_to = merge.committed_to
            stuck.ends = self.partitions.ends()
        if not self._read_past(stuck.ends, awaited):
            return None
        self._stuck = None
        if awaited:
            merge.open_without(awaited)
            return None
        return merge.skip_missing(stuck.committed_to)

    def _read_past(self, ends: dict[str, int], awaited: frozenset[str]) -> bool:
        """True when no partition can still hold what is missing.

        A partition cannot when it was read to the end asked for, or when a later ordinal of it is here already.
        """
        waiting = set() if awaited else self._merge.partitions_waiting()
        for one in self.partitions.all():
            concerned = one.topic in awaited if awaited else one.numbered
            if concerned and one.key not in waiting and one.reached < ends.get(one.key, 0):
                return False
        return True

    def _discovery_interval_s(self, now: float) -> float:
        stuck = self._stuck is not None and now >= self._stuck.since_s + STUCK_AFTER_S
        if stuck or not self._control_names <= self.partitions.by_name.keys():
            return HINTED_DISCOVERY_INTERVAL_S
        return DISCOVERY_INTERVAL_S

    def _balance(self) -> None:
        """Partitions that run ahead wait; one with nothing waiting never does, since the next number may be in it."""
        merge = self._merge
        pressure = max(merge.waiting / WAITING_RECORDS_MAX, merge.waiting_bytes / WAITING_BYTES_MAX)
        if pressure > self._pause_above:
            ahead, awaited = merge.partitions_waiting(), merge.awaited_topics()
            pausing = [
                one
                for one in self.partitions.all()
                if one.key in ahead and not one.paused and one.topic not in awaited
            ]
            self.partitions.pause(pausing)
            self._paused += pausing
            self._pause_above = pressure + 0.25
        elif self._paused and (pressure < 0.5 or self._stuck is not None):
            ahead = merge.partitions_waiting() if pressure >= 0.5 else set()
            self.partitions.resume([one for one in self._paused if one.key not in ahead])
            self._paused = [one for one in self._paused if one.paused]
            self._pause_above = max(1.0, pressure + 0.25)
