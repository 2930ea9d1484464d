"""The durable road between the stages: one interface for Kafka and for the embedded log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cdc.ports.types import Millis, Ordinal, ReplayId, SchemaId

CONTROL_TOPICS = frozenset({"positions", "coverage", "jobs", "schemas", "alerts", "decisions"})
"""Topics whose records carry no number of their own. Everything else is numbered, `quarantine` included."""


class LogRecord(NamedTuple):
    """One record of the log. A tuple, since there is one per change.

    `topic` is without the prefix (`AccountChangeEvent`, `jobs`). `value` of a change is framed Avro.
    `ordinal` of a change is its own number; of a control record written by capture, the number of the last
    change before it, which is its place in the order; of other control records 0. `committed_at` is epoch
    ms, `replay_id` lower-case hex, `part` `2/20` for a split event. `appended_at` is the log's own clock, set by the reader.
    """

    topic: str
    key: str
    value: bytes
    ordinal: int = 0
    committed_at: int = 0
    channel: str = ""
    event_id: str = ""
    replay_id: str = ""
    schema_id: str = ""
    part: str = ""
    appended_at: int = 0


@dataclass(frozen=True, slots=True)
class ChannelPosition:
    """How far a channel has been recorded.

    Resume strictly after `replay_id` (None: nothing stored yet) and drop the (event id, record id) pairs in
    `beyond`: they were recorded past it (architecture.md, "Positions in a group"). `passed_to` is the org
    time up to which the stream is known to have passed. `stored_at` is the wall clock at which `replay_id`
    was obtained, less what the channel lagged behind then: 72 h after it the position has expired. `live_from`
    is the org time from which the channel has been recorded without a known hole (0: not yet).

    For people, and for other processes: `standing` is what the channel does (`live`, `retrying`, …) with the
    sentence of its last trouble, `heard_at` the wall clock of the last thing it said. `entities` is what it was
    last known to carry.
    """

    channel: str
    replay_id: ReplayId | None = None
    beyond: tuple[tuple[str, str], ...] = ()
    passed_to: Millis = Millis(0)
    stored_at: Millis = Millis(0)
    live_from: Millis = Millis(0)
    heard_at: Millis = Millis(0)
    standing: str = ""
    trouble: str = ""
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Positions:
    """What one transaction makes true: the next ordinal to give, and every channel's position."""

    org: str
    next_ordinal: Ordinal = Ordinal(1)
    channels: Mapping[str, ChannelPosition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a reader is: per `topic/partition` the next offset, and the last ordinal taken."""

    offsets: Mapping[str, int] = field(default_factory=dict)
    ordinal: Ordinal = Ordinal(0)


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Committed records in ordinal order, contiguous with the checkpoint before; control records in their place.

    `missing` names ordinals (first, last) that lie before this batch's first change and can no longer come:
    the log's retention passed the reader by. An empty batch says that nothing came for a while.
    """

    records: Sequence[LogRecord]
    checkpoint: Checkpoint
    missing: tuple[Ordinal, Ordinal] | None = None


class Log(Protocol):
    """Synchronous: callers run it in a thread of its own.

    Errors: LogUnavailable (retry), Fenced, LogRefused, DiskFull.
    """

    def open(self, owner: str) -> Positions:
        """Become the org's one writer: fence any other, then read the positions. Readers need not call it."""
        ...

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        """Records and the positions they reach, in one transaction; all or nothing."""
        ...

    def publish(self, records: Sequence[LogRecord]) -> None:
        """Control records of other stages (job requests, alerts, decisions), durable when it returns."""
        ...

    def batches(
        self, after: Checkpoint, *, topics: frozenset[str] | None = None, idle_s: float = 0.5
    ) -> Iterator[LogBatch]:
        """Committed records after a checkpoint, without end; an empty batch every `idle_s` of quiet.

        With `topics` (control topics only) records come in each topic's own order and ordinals are not followed.
        """
        ...

    def recent(self, records_max: int) -> Sequence[tuple[str, str]]:
        """(event id, record id) of about the newest `records_max` changes, oldest first: the memory of repeats."""
        ...

    def reached(self) -> Ordinal:
        """The last ordinal that is committed; 0 in a log nobody has written."""
        ...

    def schema(self, schema_id: SchemaId) -> str | None:
        """What the `schemas` topic holds for an id (also `describe/<Entity>`: the newest description)."""
        ...

    def close(self) -> None: ...
