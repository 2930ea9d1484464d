"""The one writer: takes what channels and scans bring, numbers it, and commits it with the positions it reaches.

Everything of one call of `write` is one transaction of the log. States: `positions` is what is committed;
`_reached` is what the batch in hand would reach. After a failure the batch is taken back and tried again as a
whole, so a reader of the log never sees half of it (reliability.md, "Capture to Kafka").

Runs in the log's own thread; nothing here is shared with the event loop but the queue's items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import schemas
from cdc.avro.framing import SINGLE_OBJECT_BYTES
from cdc.avro.own import RECORD_STATE
from cdc.capture.options import SEEN_PAIRS_MAX
from cdc.capture.positions import Reached, Seen
from cdc.capture.records import (
    PLATFORM_EVENT,
    Built,
    KnownSchema,
    Prefix,
    RecordBuilder,
    Tail,
    single_object,
)
from cdc.change.kinds import EVENT_KINDS, GAP_KINDS
from cdc.errors import LogUnavailable
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import ChannelPosition, Log, LogRecord, Positions
from cdc.ports.source import Delivery
from cdc.ports.types import Millis, Ordinal


@dataclass(frozen=True, slots=True)
class Rows:
    """Full states of one page of a scan, and the job's record that goes with them: one transaction.

    `position` is that of a polled entity's channel, where the rows reach it.
    """

    topic: str
    states: Sequence[tuple[str, bytes, int]]  # record id, framed state, SystemModstamp or 0
    scan_id: str
    control: Sequence[LogRecord] = ()
    position: ChannelPosition | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """Control records alone: schemas, descriptions, coverage, jobs."""

    records: Sequence[LogRecord]


@dataclass(frozen=True, slots=True)
class Live:
    """From this org time on, every channel with a stored position is recorded without a known hole."""

    org_time: Millis


@dataclass(frozen=True, slots=True)
class Keepalive:
    """An empty delivery, with the newest time the org had told before it came."""

    delivery: Delivery
    org_time: Millis


@dataclass(frozen=True, slots=True)
class Restart:
    """A channel's stored position no longer means anything: it begins anew at the oldest event retained.

    What was lost and who has to repair it (`control`) is told in the same transaction: a kill cannot come between.
    """

    channel: str
    control: Sequence[LogRecord] = ()


@dataclass(frozen=True, slots=True)
class Stands:
    """What a channel does now, or what it carries (None: as before), for people and for the next start.

    `control` is told in the same transaction. `ends_live`: from here on it is not recorded any more.
    """

    channel: str
    standing: str | None = None
    trouble: str = ""
    entities: tuple[str, ...] | None = None
    control: Sequence[LogRecord] = ()
    ends_live: bool = False


def becomes_live(position: ChannelPosition) -> bool:
    """It delivers and has a position to resume from: the org's time is wanted, from which nothing is missing."""
    return position.standing == LIVE and position.replay_id is not None and not position.live_from


LIVE = "live"

Item = Delivery | Rows | Control | Live | Keepalive | Restart | Stands


@dataclass(slots=True)
class Written:
    """What one transaction did, for the figures people see."""

    changes: int = 0
    duplicates: int = 0
    quarantined: int = 0
    last_ordinal: Ordinal = Ordinal(0)


@dataclass(slots=True)
class Writer:
    """Owns the ordinals and positions of the org while the process lives."""

    org: str
    log: Log
    metrics: Metrics
    clock: Clock
    known: dict[str, KnownSchema | str] = field(default_factory=dict)
    record_state_schema_id: str = ""
    prefix: Prefix = single_object
    builder: RecordBuilder = field(default_factory=lambda: RecordBuilder(Seen(SEEN_PAIRS_MAX)))
    positions: Positions = field(default_factory=lambda: Positions(""))
    org_ahead_ms: int | None = None  # of our wall clock; None while no answer of the org has told
    _reached: dict[str, Reached] = field(default_factory=dict)

    def open(self, owner: str, recent: Sequence[tuple[str, str]] = ()) -> Positions:
        """Fence any twin, then read where this org's recording stands."""
        positions = self.log.open(owner)
        self.positions = replace(positions, org=self.org)
        self.builder.next_ordinal = positions.next_ordinal
        for pair in recent:
            self.builder.seen.add(pair)
        for channel, position in positions.channels.items():
            self._reached[channel] = Reached(position)
            for pair in position.beyond:
                self.builder.seen.add(pair)
        return self.positions

    @property
    def last_ordinal(self) -> Ordinal:
        """The last number that is committed."""
        return Ordinal(self.positions.next_ordinal - 1)

    def write(self, items: Sequence[Item]) -> Written:
        """One transaction. Errors: LogUnavailable (nothing written, call again), Fenced, LogRefused, DiskFull."""
        first = self.builder.next_ordinal
        before = dict(self._reached)
        batch = Built()
        try:
            for part in _runs(items):
                self._take(part, batch)
            positions = Positions(
                self.org, self.builder.next_ordinal, {c: r.position for c, r in self._reached.items()}
            )
            self.log.append(batch.records, positions)
        except BaseException as error:
            self.builder.undo(batch, first)
            self._reached = before
            if isinstance(error, LogUnavailable):
                self.metrics.log_transactions.labels("aborted").inc()
            raise
        self.positions = positions
        self.metrics.log_transactions.labels("committed").inc()
        self._count(batch)
        return Written(
            positions.next_ordinal - first,
            sum(batch.duplicates.values()),
            batch.quarantined,
            self.last_ordinal,
        )

    def _take(self, part: Sequence[Item], batch: Built) -> None:
        head = part[0]
        if isinstance(head, Delivery):
            built = self.builder.build([d for d in part if isinstance(d, Delivery)], self.known)
            batch.records += built.records
            batch.pairs += built.pairs
            for channel, count in built.duplicates.items():
                batch.duplicates[channel] = batch.duplicates.get(channel, 0) + count
            for (channel, kind), count in built.kinds.items():
                batch.counted(channel, kind, count)
            batch.quarantined += built.quarantined
            batch.tails += built.tails
            for tail in built.tails:
                reached = self.reached(tail.channel)
                self._reached[tail.channel] = reached.passed_events(
                    tail.groups, tail.committed_max, tail.received_at, self._lag_ms(tail)
                )
        elif isinstance(head, Keepalive):
            reached = self.reached(head.delivery.channel)
            self._reached[head.delivery.channel] = reached.passed_empty(
                head.delivery.position, head.org_time, head.delivery.received_at
            )
        elif isinstance(head, Restart):
            before = self.reached(head.channel).position
            self._reached[head.channel] = Reached(
                replace(before, replay_id=None, beyond=(), stored_at=Millis(0), live_from=Millis(0))
            )
            batch.records += self._placed(head.control)
        elif isinstance(head, Stands):
            self._reached[head.channel] = self._standing(head)
            batch.records += self._placed(head.control)
        elif isinstance(head, Live):
            for channel, reached in self._reached.items():
                if becomes_live(reached.position):
                    self._reached[channel] = reached.live(head.org_time)
        elif isinstance(head, Rows):
            if head.position is not None:
                self._reached[head.position.channel] = Reached(head.position)
            ordinal = self.builder.number(len(head.states))
            frame = self._state_frame(head.topic)
            batch.records += [
                LogRecord(
                    head.topic,
                    record_id,
                    frame + value[SINGLE_OBJECT_BYTES:] if frame else value,
                    ordinal + i,
                    modstamp,
                    "",
                    head.scan_id,
                    "",
                    self.record_state_schema_id,
                )
                for i, (record_id, value, modstamp) in enumerate(head.states)
            ]
            batch.records += self._placed(head.control)
        else:
            batch.records += self._placed(head.records)

    def _standing(self, stands: Stands) -> Reached:
        reached = self.reached(stands.channel)
        position = reached.position
        if stands.standing is not None:
            position = replace(position, standing=stands.standing, trouble=stands.trouble)
        if stands.entities is not None:
            position = replace(position, entities=stands.entities)
        if stands.ends_live:
            position = replace(position, live_from=Millis(0))
        return replace(reached, position=position)

    def _lag_ms(self, tail: Tail) -> int:
        """How long ago the newest event of a delivery was committed when it came, by the org's clock."""
        if self.org_ahead_ms is None or not tail.committed_max:
            return 0
        return max(0, tail.received_at + self.org_ahead_ms - tail.committed_max)

    def _state_frame(self, topic: str) -> bytes:
        """What stands before a full state in place of its own frame; nothing without a registry."""
        if self.prefix is single_object:
            return b""
        return self.prefix(topic, schemas.text(RECORD_STATE))

    def _placed(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Control records with their place: right behind the last number given."""
        return [record._replace(ordinal=self.builder.next_ordinal - 1) for record in records]

    def reached(self, channel: str) -> Reached:
        """Where a channel stands, with the group that is still open."""
        return self._reached.get(channel) or Reached(ChannelPosition(channel))

    def _count(self, batch: Built) -> None:
        m = self.metrics
        if batch.quarantined:
            m.quarantined.inc(batch.quarantined)
            m.errors.labels("Undecodable").inc(batch.quarantined)
        for tail in batch.tails:
            if tail.committed_max:
                m.last_event.labels(tail.channel).set(tail.committed_max / 1000)
                m.source_lag.labels(tail.channel).set(self._lag_ms(tail) / 1000)
        for (channel, kind), count in batch.kinds.items():
            known = kind in EVENT_KINDS or kind == PLATFORM_EVENT
            m.events.labels(channel, kind if known else "OTHER").inc(count)
            if kind in GAP_KINDS:
                m.gaps.labels(kind).inc(count)
        for channel, count in batch.duplicates.items():
            m.duplicates.labels(channel).inc(count)
        for channel, reached in self._reached.items():
            if reached.position.stored_at:
                m.position_at.labels(channel).set(reached.position.stored_at / 1000)


def _runs(items: Sequence[Item]) -> list[list[Item]]:
    """Items in order, neighbouring deliveries together so that their headers are decoded at once."""
    runs: list[list[Item]] = []
    for item in items:
        if isinstance(item, Delivery) and runs and isinstance(runs[-1][0], Delivery):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs
