"""Where events come from: one interface for Pub/Sub, CometD and a scripted one for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from cdc.ports.types import Millis, ReplayId, SchemaId

COMETD_POSITION = b"cometd:"
"""What a replay position of CometD begins with: neither transport takes the other's for its own."""


TRANSPORT_CHANGED = "transport.changed"
"""Code of the PositionLost that a source raises for a position of the other transport."""


class Start(Enum):
    """Where to begin on a channel for which no position is stored."""

    LATEST = "latest"
    EARLIEST = "earliest"


class SourceEvent(NamedTuple):
    """One event as it came: ids, and the Avro body untouched. A tuple, since there is one per event."""

    event_id: str
    replay_id: ReplayId
    schema_id: SchemaId
    payload: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer of a channel: up to 100 events in bus order, or none, which is a keepalive.

    `position` is what the service calls the latest replay id; on a keepalive it may be ahead of every event
    seen. A keepalive without a position says that the service is there, and nothing about what has been passed
    (CometD has no better). `received_at` is the wall clock, used for liveness and `received_at` only.
    """

    channel: str
    events: Sequence[SourceEvent]
    position: ReplayId
    received_at: Millis


class Source(Protocol):
    """Events of an org, several channels on one connection.

    `deliveries` raises the classes of `cdc.errors`: RetryLater (with AuthExpired, DeliveryLimitReached),
    ChannelStopped, PositionLost. After any of them the iterator is over; the caller decides where to go on.
    It asks for more events only as the caller takes them: a caller that stops iterating stops the flow.
    """

    async def open(self) -> None: ...

    def deliveries(self, channel: str, after: ReplayId | Start) -> AsyncIterator[Delivery]: ...

    async def schema(self, schema_id: SchemaId) -> str:
        """The schema's JSON text; immutable for an id. Errors: SourceUnavailable, Undecodable (unknown id)."""
        ...

    async def close(self) -> None: ...
