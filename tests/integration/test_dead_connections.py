"""Connections that are open and lead nowhere, and ones that drip: a proxy between the recorder and the event service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cdc.errors import RetryLater, SourceUnavailable
from cdc.ports.source import Start
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from tests.unit.salesforce.test_salesforce_pubsub import TOPIC, Tokens, rows, step
from tests.unit.salesforce.wire import Bus, serving

PIECE_BYTES = 7


@dataclass
class Proxy:
    """Forwards bytes both ways. `holes` swallows those of connections that are open now; `drips` cuts them up."""

    target: str
    drips: bool = False
    connections: int = 0
    _held: set[int] = field(default_factory=set)
    _open: dict[int, list[asyncio.StreamWriter]] = field(default_factory=dict)

    def black_hole(self) -> None:
        """From now on nothing of what is connected now goes through, and nobody is told."""
        self._held = set(self._open)

    def reset(self) -> None:
        """Every connection breaks at once."""
        for writers in self._open.values():
            for writer in writers:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        host, _, port = self.target.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        self._open[number] = [writer, there_writer]
        try:
            await asyncio.gather(
                self._pump(number, reader, there_writer), self._pump(number, there_reader, writer)
            )
        finally:
            self._open.pop(number, None)

    async def _pump(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(65_536):
                if number in self._held:
                    continue
                pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
                for piece in pieces if self.drips else [data]:
                    writer.write(piece)
                    await writer.drain()
                    if self.drips:
                        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError, OSError):
            writer.close()


@asynccontextmanager
async def proxied(bus: Bus, **options: float) -> AsyncIterator[tuple[Proxy, PubSubSource]]:
    bus.topics.setdefault(TOPIC, [])
    async with serving(bus) as endpoint:
        proxy = Proxy(endpoint)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        given = {"dead_after_s": 0.5, "call_timeout_s": 0.5, **options}
        source = PubSubSource(Tokens(), PubSubOptions(f"127.0.0.1:{port}", tls=False, **given))
        await source.open()
        try:
            yield proxy, source
        finally:
            await source.close()
            proxy.reset()
            server.close()


async def test_a_stream_over_a_dead_connection_is_given_up_and_the_next_goes_over_a_new_one() -> None:
    bus = Bus()
    async with proxied(bus) as (proxy, source):
        await bus.publish(TOPIC, *rows(1, 3))
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        taken = (await step(stream)).events[-1].replay_id
        assert proxy.connections == 1
        proxy.black_hole()
        await bus.publish(TOPIC, *rows(4, 6))
        with pytest.raises(SourceUnavailable, match="dead") as raised:
            await step(stream)
        assert raised.value.code == "dead"
        again = await step(source.deliveries(TOPIC, taken))
        assert [event.event_id for event in again.events] == ["id-4", "id-5", "id-6"]
        assert proxy.connections == 2


async def test_calls_over_a_dead_connection_do_not_wait_for_the_system_to_notice() -> None:
    bus = Bus()
    bus.schemas["schema-1"] = "{}"
    async with proxied(bus) as (proxy, source):
        await source.schema(rows(1, 1)[0][2])  # type: ignore[arg-type]
        proxy.black_hole()
        with pytest.raises(RetryLater):
            await step(source.deliveries(TOPIC, Start.EARLIEST))
        await bus.publish(TOPIC, *rows(1, 1))
        assert len((await step(source.deliveries(TOPIC, Start.EARLIEST))).events) == 1


async def test_another_stream_that_lives_keeps_its_connection_while_one_is_given_up() -> None:
    bus = Bus()
    other = "/data/ContactChangeEvent"
    bus.topics[other] = []
    async with proxied(bus, dead_after_s=0.6) as (_, source):
        living = source.deliveries(other, Start.EARLIEST)
        await bus.publish(other, *rows(1, 1))
        await step(living)
        quiet = asyncio.ensure_future(step(source.deliveries(TOPIC, Start.EARLIEST)))
        for n in range(2, 8):  # one speaks, the other does not
            await asyncio.sleep(0.15)
            await bus.publish(other, *rows(n, n))
            await step(living)
        with pytest.raises(SourceUnavailable, match="dead"):
            await quiet
        await bus.publish(other, *rows(9, 9))
        assert (await step(living)).events[0].event_id == "id-9"


async def test_a_connection_that_breaks_is_taken_up_again() -> None:
    bus = Bus()
    async with proxied(bus, dead_after_s=30, call_timeout_s=5) as (proxy, source):
        await bus.publish(TOPIC, *rows(1, 3))
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        taken = (await step(stream)).events[-1].replay_id
        proxy.reset()
        with pytest.raises(SourceUnavailable):
            await step(stream)
        await bus.publish(TOPIC, *rows(4, 4))
        # The first call may still meet the connection that is going: whoever subscribes comes again.
        for tries_left in (4, 3, 2, 1, 0):
            try:
                delivery = await step(source.deliveries(TOPIC, taken))
                break
            except SourceUnavailable:
                if not tries_left:
                    raise
        assert delivery.events[0].event_id == "id-4"


async def test_bytes_that_come_in_drips_are_read_whole() -> None:
    bus = Bus()
    async with proxied(bus, dead_after_s=30, call_timeout_s=10) as (proxy, source):
        proxy.drips = True
        await bus.publish(TOPIC, *rows(1, 80, b"y" * 300))
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        taken: list[str] = []
        while len(taken) < 80:
            taken += [event.event_id for event in (await step(stream)).events]
        assert taken == [f"id-{n}" for n in range(1, 81)]
