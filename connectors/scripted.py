"""A `Source` that plays a bus from memory: the same promises, without a network. For tests and trials."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

from cdc.errors import CdcError, ChannelStopped, PositionLost, SourceUnavailable, Undecodable
from cdc.ports.clock import Clock
from cdc.ports.source import Delivery, SourceEvent, Start
from cdc.ports.types import ReplayId, SchemaId

EVENTS_MAX = 100  # in one delivery


class ScriptedSource:
    """Gives what was published, from any position; `fail` ends the running iterators of a channel.

    A keepalive is an entry without event. Everything stays in memory. Nothing is read ahead of the caller.
    """

    def __init__(self, channels: Iterable[str], *, clock: Clock | None = None) -> None:
        self.schemas: dict[str, str] = {}
        self._bus: dict[str, list[tuple[ReplayId, SourceEvent | None]]] = {name: [] for name in channels}
        self._failures: dict[str, list[CdcError]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._clock = clock or Clock()
        self._open = False

    async def publish(self, channel: str, *events: SourceEvent) -> None:
        async with self._changed:
            self._bus[channel] += [(event.replay_id, event) for event in events]
            self._changed.notify_all()

    async def keepalive(self, channel: str, position: ReplayId) -> None:
        """An empty delivery whose position may be ahead of every event."""
        async with self._changed:
            self._bus[channel].append((position, None))
            self._changed.notify_all()

    async def fail(self, channel: str, error: CdcError) -> None:
        """Raise this in the next step of an iterator of the channel, once."""
        async with self._changed:
            self._failures[channel].append(error)
            self._changed.notify_all()

    async def open(self) -> None:
        self._open = True

    async def deliveries(self, channel: str, after: ReplayId | Start) -> AsyncIterator[Delivery]:
        bus = self._bus.get(channel)
        if bus is None:
            raise ChannelStopped("the org has no such channel", where=channel, do="check its name")
        read_position = self._index(bus, channel, after)
        while True:
            async with self._changed:
                while self._open and len(bus) == read_position and not self._failures[channel]:
                    await self._changed.wait()
                if not self._open:
                    raise SourceUnavailable("the event source was closed", where=channel, do="open it again")
                if self._failures[channel]:
                    raise self._failures[channel].pop(0)
            taken: list[SourceEvent] = []
            while read_position < len(bus) and len(taken) < EVENTS_MAX:
                _, event = bus[read_position]
                if event is None and taken:
                    break
                read_position += 1
                if event is None:
                    break
                taken.append(event)
            yield Delivery(channel, taken, bus[read_position - 1][0], self._clock.wall_ms())

    async def schema(self, schema_id: SchemaId) -> str:
        if schema_id not in self.schemas:
            raise Undecodable("no such schema", where=f"schema {schema_id}")
        return self.schemas[schema_id]

    async def close(self) -> None:
        async with self._changed:
            self._open = False
            self._changed.notify_all()

    @staticmethod
    def _index(bus: list[tuple[ReplayId, SourceEvent | None]], channel: str, after: ReplayId | Start) -> int:
        if after is Start.EARLIEST:
            return 0
        if after is Start.LATEST:
            return len(bus)
        for index in range(len(bus) - 1, -1, -1):
            if bus[index][0] == after:
                return index + 1
        raise PositionLost("the replay position means nothing here", where=channel, do="resume at the oldest")
