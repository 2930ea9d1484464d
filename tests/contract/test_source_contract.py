"""What every `Source` promises, held against each implementation on the same bus."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import grpc
import pytest

from cdc.errors import ChannelStopped, PositionLost, SourceUnavailable, Undecodable
from cdc.ports.source import Delivery, Source, SourceEvent, Start
from cdc.ports.types import Millis, ReplayId, SchemaId
from connectors.salesforce.budget import CallBudget
from connectors.salesforce.cometd import CometDOptions, CometDSource
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.rest import Rest
from connectors.salesforce.session import Token
from connectors.scripted import ScriptedSource
from tests.unit.salesforce.bayeux_wire import Streaming, streaming_org
from tests.unit.salesforce.wire import Bus, serving, until

ACCOUNTS = "/data/AccountChangeEvent"
CONTACTS = "/data/ContactChangeEvent"


class Rig(ABC):
    """A source and the hand that moves the bus behind it."""

    source: Source

    def position(self, number: int) -> ReplayId:
        return ReplayId(number.to_bytes(8, "big") + b"\0\0")

    def event(self, number: int) -> SourceEvent:
        return SourceEvent(f"id-{number}", self.position(number), SchemaId("schema-1"), b"body %d" % number)

    def events(self, first: int, last: int) -> list[SourceEvent]:
        return [self.event(number) for number in range(first, last + 1)]

    @abstractmethod
    async def publish(self, channel: str, *events: SourceEvent) -> None: ...

    @abstractmethod
    async def keepalive(self, channel: str, position: ReplayId) -> ReplayId:
        """Let the service say that nothing has come; returns the position a reader is told."""

    @abstractmethod
    async def break_stream(self, channel: str) -> None: ...

    @abstractmethod
    async def schema(self, schema_id: str, text: str) -> None: ...

    @abstractmethod
    async def subscribed(self, channel: str) -> None: ...


@dataclass
class ScriptedRig(Rig):
    source: ScriptedSource

    async def publish(self, channel: str, *events: SourceEvent) -> None:
        await self.source.publish(channel, *events)

    async def keepalive(self, channel: str, position: ReplayId) -> ReplayId:
        await self.source.keepalive(channel, position)
        return position

    async def break_stream(self, channel: str) -> None:
        await self.source.fail(channel, SourceUnavailable("the stream broke", where=channel))

    async def schema(self, schema_id: str, text: str) -> None:
        self.source.schemas[schema_id] = text

    async def subscribed(self, channel: str) -> None:
        await asyncio.sleep(0)


@dataclass
class PubSubRig(Rig):
    source: PubSubSource
    bus: Bus

    async def publish(self, channel: str, *events: SourceEvent) -> None:
        await self.bus.publish(channel, *events)

    async def keepalive(self, channel: str, position: ReplayId) -> ReplayId:
        await self.bus.keepalive(channel, position)
        return position

    async def break_stream(self, channel: str) -> None:
        await self.bus.fail(channel, grpc.StatusCode.UNAVAILABLE, "service.unavailable")

    async def schema(self, schema_id: str, text: str) -> None:
        self.bus.schemas[schema_id] = text

    async def subscribed(self, channel: str) -> None:
        await until(lambda: bool(self.bus.fetches[channel]))


NUMBERED = {
    "type": "record",
    "name": "Numbered__e",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
        {"name": "Number__c", "type": ["null", "double"], "doc": "Data:Double", "default": None},
    ],
}


@dataclass
class CometDRig(Rig):
    """Its events are JSON on the wire, and in the end the bytes that their schema gives them."""

    source: CometDSource
    server: Streaming

    def position(self, number: int) -> ReplayId:
        return ReplayId(b"cometd:%d" % number)

    def event(self, number: int) -> SourceEvent:
        out = BytesIO()
        fastavro.schemaless_writer(out, NUMBERED, {"CreatedDate": 1_000, "Number__c": number})
        return SourceEvent(f"id-{number}", self.position(number), SchemaId("schema-1"), out.getvalue())

    async def publish(self, channel: str, *events: SourceEvent) -> None:
        messages = []
        for event in events:
            number = int(event.replay_id.partition(b":")[2])
            payload = {"CreatedDate": "1970-01-01T00:00:01.000Z", "Number__c": number}
            about = {"replayId": number, "EventUuid": event.event_id}
            messages.append((number, {"schema": event.schema_id, "payload": payload, "event": about}))
        await self.server.publish(channel, *messages)

    async def keepalive(self, channel: str, position: ReplayId) -> ReplayId:
        if self.server.is_followed(channel):
            await self.server.answer()
        return ReplayId(b"")

    async def break_stream(self, channel: str) -> None:
        await self.server.fail("/meta/connect", "403::Unknown client")

    async def schema(self, schema_id: str, text: str) -> None:
        self.server.schemas[schema_id] = text

    async def subscribed(self, channel: str) -> None:
        await until(lambda: self.server.is_followed(channel))


class OneToken:
    async def token(self) -> Token:
        return Token("token", "https://org.example", "00D000000000001AAA", "", Millis(0))

    async def refresh(self, stale_token: Token) -> Token:
        return stale_token


@pytest.fixture(params=["scripted", "pubsub", "cometd"])
async def rig(request: Any) -> AsyncIterator[Rig]:
    if request.param == "scripted":
        source = ScriptedSource([ACCOUNTS, CONTACTS])
        await source.open()
        yield ScriptedRig(source)
        await source.close()
        return
    if request.param == "cometd":
        async with streaming_org() as (server, session):
            server.topics = {ACCOUNTS: [], CONTACTS: []}
            server.schemas["schema-1"] = json.dumps(NUMBERED)
            rest = Rest(session, client_name="test", budget=CallBudget(monotonic_s=time.monotonic))
            cometd = CometDSource(session, rest, CometDOptions())
            await cometd.open()
            yield CometDRig(cometd, server)
            await cometd.close()
        return
    bus = Bus()
    bus.topics = {ACCOUNTS: [], CONTACTS: []}
    async with serving(bus) as endpoint:
        pubsub = PubSubSource(OneToken(), PubSubOptions(endpoint=endpoint, tls=False))
        await pubsub.open()
        yield PubSubRig(pubsub, bus)
        await pubsub.close()


async def step(deliveries: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(10):
        return await anext(deliveries)


async def take(deliveries: AsyncIterator[Delivery], count: int) -> list[SourceEvent]:
    taken: list[SourceEvent] = []
    while len(taken) < count:
        taken += (await step(deliveries)).events
    return taken


async def test_from_the_oldest_everything_comes_in_bus_order_at_most_100_at_a_time(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 250))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    sizes, taken = [], []
    while len(taken) < 250:
        delivery = await step(stream)
        sizes.append(len(delivery.events))
        taken += delivery.events
        assert delivery.position == delivery.events[-1].replay_id
        assert delivery.channel == ACCOUNTS
    assert taken == rig.events(1, 250)
    assert max(sizes) <= 100


async def test_a_position_is_resumed_strictly_behind(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 10))
    assert await take(rig.source.deliveries(ACCOUNTS, rig.position(4)), 6) == rig.events(5, 10)


async def test_from_the_tip_only_what_comes_later_is_given(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 5))
    first = asyncio.ensure_future(take(rig.source.deliveries(ACCOUNTS, Start.LATEST), 1))
    await rig.subscribed(ACCOUNTS)
    await rig.publish(ACCOUNTS, rig.event(6))
    assert await first == [rig.event(6)]


async def test_a_keepalive_is_an_empty_delivery_whose_position_may_be_ahead_or_absent(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    assert await take(stream, 1) == [rig.event(1)]
    told = await rig.keepalive(ACCOUNTS, rig.position(900))
    delivery = await step(stream)
    assert (list(delivery.events), delivery.position) == ([], told)


async def test_a_position_seen_on_a_keepalive_can_be_resumed_from(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    told = await rig.keepalive(ACCOUNTS, rig.position(50))
    await rig.publish(ACCOUNTS, rig.event(60))
    assert await take(rig.source.deliveries(ACCOUNTS, told or rig.position(1)), 1) == [rig.event(60)]


async def test_a_position_that_means_nothing_is_lost_and_not_replaced(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    with pytest.raises(PositionLost) as raised:
        await step(rig.source.deliveries(ACCOUNTS, rig.position(77)))
    assert ACCOUNTS in raised.value.sentence()


async def test_an_unknown_channel_stops_alone_and_the_others_go_on(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    with pytest.raises(ChannelStopped) as raised:
        await step(rig.source.deliveries("/data/NoSuchEvent", Start.LATEST))
    assert "/data/NoSuchEvent" in raised.value.sentence()
    assert raised.value.do
    assert await take(rig.source.deliveries(ACCOUNTS, Start.EARLIEST), 1) == [rig.event(1)]


async def test_a_broken_stream_says_so_and_resuming_loses_and_doubles_nothing(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 30))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    taken = await take(stream, 30)
    await rig.break_stream(ACCOUNTS)
    await rig.publish(ACCOUNTS, *rig.events(31, 40))
    with pytest.raises(SourceUnavailable):
        await take(stream, 1000)
    with pytest.raises(StopAsyncIteration):
        await step(stream)
    taken += await take(rig.source.deliveries(ACCOUNTS, taken[-1].replay_id), 10)
    assert taken == rig.events(1, 40)


async def test_channels_on_one_source_do_not_wait_for_each_other(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 3))
    await rig.publish(CONTACTS, *rig.events(101, 103))
    contacts = rig.source.deliveries(CONTACTS, Start.EARLIEST)
    waiting = asyncio.ensure_future(take(contacts, 4))
    assert await take(rig.source.deliveries(ACCOUNTS, Start.EARLIEST), 3) == rig.events(1, 3)
    await rig.publish(CONTACTS, rig.event(104))
    assert await waiting == rig.events(101, 104)


async def test_a_subscription_given_up_can_be_made_again(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, *rig.events(1, 3))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    await take(stream, 3)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await take(rig.source.deliveries(ACCOUNTS, rig.position(1)), 2) == rig.events(2, 3)


async def test_closing_ends_whoever_waits_with_an_error_and_not_a_cancellation(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    await take(stream, 1)
    waiting = asyncio.ensure_future(step(stream))
    await asyncio.sleep(0)
    await rig.source.close()
    with pytest.raises(SourceUnavailable):
        await waiting


async def test_a_cancelled_caller_is_cancelled(rig: Rig) -> None:
    await rig.publish(ACCOUNTS, rig.event(1))
    stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
    await take(stream, 1)
    waiting = asyncio.ensure_future(step(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_schema_is_given_as_its_text_and_an_unknown_one_is_undecodable(rig: Rig) -> None:
    await rig.schema("schema-1", '{"type":"record"}')
    assert await rig.source.schema(SchemaId("schema-1")) == '{"type":"record"}'
    with pytest.raises(Undecodable) as raised:
        await rig.source.schema(SchemaId("schema-9"))
    assert "schema-9" in raised.value.sentence()
