"""Many partitions become one order: changes by their ordinal, control records in their place.

Pure: no Kafka, no clock. Records are added as the partitions give them and taken in order.

Every transaction carries one positions record. It says which ordinal comes next and, in the header `controls`,
the number of the last control record of each topic: read that far, a reader has every control record that
stands before that ordinal. So it is a gate: changes are taken only up to the last gate whose control records are
all here, since otherwise a control record could come too late for its place. A gate lost to compaction
does no harm, because a later one says more.

Positions kept, and their relation: `ordinal` (last change taken) < `open_to` (first ordinal behind the last open gate)
<= `committed_to` (first ordinal behind the last gate read); `control` (last control record taken) <= `control_open`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Ordinal

CONTROL_TAKEN = "control"
"""Key of a checkpoint's offsets that holds the number of the last control record taken, and is no partition."""

_new = tuple.__new__


@dataclass(frozen=True, slots=True)
class Gate:
    """What one positions record says."""

    next_ordinal: int
    control: int
    last_numbers: Mapping[str, int]


@dataclass(order=True, slots=True)
class _Control:
    number: int
    arrival: int
    record: LogRecord = field(compare=False)
    numbered: bool = field(compare=False)
    partition: str = field(compare=False)
    next_offset: int = field(compare=False)


class OrdinalMerge:
    """The order of one reader, from its checkpoint on."""

    def __init__(self, after: Checkpoint) -> None:
        self.ordinal = int(after.ordinal)
        self.control = after.offsets.get(CONTROL_TAKEN, 0)
        self.open_to = self.ordinal + 1
        self.committed_to = self.ordinal + 1
        self.control_open = self.control
        self.waiting_bytes = 0
        self._offsets = dict(after.offsets)
        self._changes: dict[int, tuple[tuple[Any, ...], str, int]] = {}
        self._newest: dict[str, int] = {}  # ordinals ascend in a partition: the newest tells if any waits
        self._controls: list[_Control] = []
        self._gates: deque[Gate] = deque()
        self._seen_numbers: dict[str, int] = {}
        self._last_number: dict[str, int] = {}
        self._arrivals = 0

    @property
    def waiting(self) -> int:
        """Records added and not taken yet."""
        return len(self._changes) + len(self._controls)

    def add_change(self, fields: tuple[Any, ...], partition: str, next_offset: int) -> None:
        """A numbered record; one that was taken before (a partition read again from its start) is dropped.

        `fields` are LogRecord's. While it waits it stays a plain tuple of plain values, which the garbage
        collector stops looking at: of a hundred thousand that wait, every pass would otherwise see all.
        """
        ordinal = fields[3]
        if ordinal > self.ordinal:
            self._changes[ordinal] = (fields, partition, next_offset)
            self._newest[partition] = ordinal
            self.waiting_bytes += len(fields[2])

    def add_control(
        self, record: LogRecord, number: int, partition: str, next_offset: int, gate: Gate | None = None
    ) -> None:
        """A control record; `number` 0 is one that came from outside a transaction and has no place of its own.

        Such a record keeps its place in its own partition: it comes right behind the numbered one before it.
        """
        if number:
            self._last_number[partition] = number
            self._seen_numbers[record.topic] = max(number, self._seen_numbers.get(record.topic, 0))
            if gate is not None and gate.next_ordinal >= self.committed_to:
                self._gates.append(gate)
                self.committed_to = gate.next_ordinal
            if number <= self.control:
                return
        self._arrivals += 1
        behind = number or self._last_number.get(partition, self.control)
        control = _Control(
            behind, self._arrivals if not number else 0, record, bool(number), partition, next_offset
        )
        heapq.heappush(self._controls, control)
        self.waiting_bytes += len(record.value)

    def take(self, records: list[LogRecord], limit: int) -> None:
        """Append to `records`, up to `limit` in all, what is next in order."""
        self._open_gates()
        while len(records) < limit:
            before = len(records)
            self._take_controls(records, limit)
            # Up to the place of the next control record, which is taken before the change behind it.
            stop = self.open_to - 1
            if self._controls and self._controls[0].number <= self.control_open:
                stop = min(stop, max(self.ordinal, self._controls[0].record.ordinal))
            self._take_changes(records, min(stop, self.ordinal + limit - len(records)))
            if len(records) == before:
                return

    def checkpoint(self) -> Checkpoint:
        """Exactly what has been taken."""
        return Checkpoint(dict(self._offsets), Ordinal(self.ordinal))

    def awaited_topics(self) -> frozenset[str]:
        """Control topics whose records keep the next gate closed."""
        if not self._gates:
            return frozenset()
        return frozenset(
            topic for topic, number in self._gates[0].last_numbers.items() if self._seen(topic) < number
        )

    def awaited_gate(self) -> int:
        """The number of the gate that is kept closed by what is awaited; 0 when none is."""
        return self._gates[0].control if self.awaited_topics() else 0

    def lacks_change(self) -> bool:
        """The next change was committed, no gate keeps it back, and it is not here."""
        return self.ordinal + 1 < self.open_to and self.ordinal + 1 not in self._changes

    def partitions_waiting(self) -> set[str]:
        """Partitions with records added and not taken."""
        waiting = {partition for partition, ordinal in self._newest.items() if ordinal > self.ordinal}
        waiting.update(control.partition for control in self._controls)
        return waiting

    def open_without(self, topics: frozenset[str]) -> None:
        """The awaited control records of these topics are known to be gone: open the gate without them."""
        for topic in topics:
            self._seen_numbers[topic] = max(self._seen(topic), self._gates[0].last_numbers[topic])

    def skip_missing(self, committed_to: int) -> tuple[Ordinal, Ordinal] | None:
        """The changes from the next one on are known to be gone: go on behind them, and say which.

        `committed_to` is the property's value when the ends of the partitions were asked for: about later
        ordinals nothing is known.
        """
        last = min(self._changes, default=committed_to)
        last = min(last, committed_to) - 1
        if last <= self.ordinal:
            return None
        first, self.ordinal = self.ordinal + 1, last
        return Ordinal(first), Ordinal(last)

    def _seen(self, topic: str) -> int:
        return self._seen_numbers.get(topic, self.control)

    def _open_gates(self) -> None:
        while self._gates and not self.awaited_topics():
            gate = self._gates.popleft()
            self.open_to = max(self.open_to, gate.next_ordinal)
            self.control_open = max(self.control_open, gate.control)

    def _take_changes(self, records: list[LogRecord], stop: int) -> None:
        changes, offsets, ordinal, taken_bytes = self._changes, self._offsets, self.ordinal, 0
        while ordinal < stop:
            entry = changes.pop(ordinal + 1, None)
            if entry is None:
                break
            fields, partition, next_offset = entry
            records.append(_new(LogRecord, fields))
            offsets[partition] = next_offset
            taken_bytes += len(fields[2])
            ordinal += 1
        self.ordinal = ordinal
        self.waiting_bytes -= taken_bytes

    def _take_controls(self, records: list[LogRecord], limit: int) -> None:
        controls = self._controls
        while controls and len(records) < limit:
            control = controls[0]
            if control.number > self.control_open or (
                control.numbered and control.record.ordinal > self.ordinal
            ):
                return
            heapq.heappop(controls)
            records.append(control.record)
            self._offsets[control.partition] = control.next_offset
            self.waiting_bytes -= len(control.record.value)
            if control.numbered:
                self.control = control.number
                self._offsets[CONTROL_TAKEN] = control.number
