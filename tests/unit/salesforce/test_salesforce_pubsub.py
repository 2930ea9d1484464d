"""The Pub/Sub source on the wire: credit, session headers, silence, refusals, TLS, big answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from cdc.errors import (
    AuthExpired,
    AuthRefused,
    ChannelStopped,
    DeliveryLimitReached,
    SettingsError,
    SourceUnavailable,
)
from cdc.ports.source import Delivery, Start
from cdc.ports.types import Millis, SchemaId
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.session import Token
from schemas.eventbus.v1 import pubsub_pb2 as pb
from tests.unit.salesforce.certificates import self_signed
from tests.unit.salesforce.wire import ORG_ID, Bus, serving, until

TOPIC = "/data/AccountChangeEvent"


class Tokens:
    """A session whose tokens are counted: token-1, then token-2 …"""

    def __init__(self) -> None:
        self.number = 1
        self.refused = False

    async def token(self) -> Token:
        return Token(
            f"token-{self.number}", "https://acme.my.salesforce.com", ORG_ID, "", Millis(self.number)
        )

    async def refresh(self, stale_token: Token) -> Token:
        if self.refused:
            raise AuthRefused("the org does not know this client id")
        if stale_token.issued_at == self.number:
            self.number += 1
        return await self.token()


def rows(first: int, last: int, payload: bytes = b"x") -> list[tuple[str, bytes, str, bytes]]:
    return [(f"id-{n}", n.to_bytes(8, "big") + b"\0\0", "schema-1", payload) for n in range(first, last + 1)]


@asynccontextmanager
async def subscribed(bus: Bus, tokens: Tokens | None = None, **options: Any) -> AsyncIterator[PubSubSource]:
    bus.topics.setdefault(TOPIC, [])
    async with serving(bus) as endpoint:
        source = PubSubSource(tokens or Tokens(), PubSubOptions(endpoint=endpoint, tls=False, **options))
        await source.open()
        try:
            yield source
        finally:
            await source.close()


async def step(stream: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(10):
        return await anext(stream)


async def test_every_call_carries_the_session_in_lower_case_keys() -> None:
    bus = Bus()
    bus.schemas["schema-1"] = "{}"
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 1))
        await step(source.deliveries(TOPIC, Start.EARLIEST))
        await source.schema(SchemaId("schema-1"))
    assert set(bus.calls) == {"GetTopic", "Subscribe", "GetSchema"}
    for given in bus.metadata:
        assert given["accesstoken"] == "token-1"
        assert given["instanceurl"] == "https://acme.my.salesforce.com"
        assert given["tenantid"] == ORG_ID


async def test_the_first_request_asks_for_100_from_the_position_and_later_ones_only_add() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 61))
        stream = source.deliveries(TOPIC, rows(1, 1)[0][1])  # type: ignore[arg-type]
        assert len((await step(stream)).events) == 60
        await until(lambda: len(bus.fetches[TOPIC]) == 2)
    first, second = bus.fetches[TOPIC]
    assert (first.topic_name, first.replay_preset, first.num_requested) == (TOPIC, pb.CUSTOM, 100)
    assert first.replay_id == rows(1, 1)[0][1]
    assert (second.num_requested, second.replay_id) == (60, b"")


async def test_more_is_asked_for_only_when_half_is_used() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        for n in range(1, 50):
            await bus.publish(TOPIC, *rows(n, n))
            await step(stream)
        assert len(bus.fetches[TOPIC]) == 1
        await bus.publish(TOPIC, *rows(50, 50))
        await step(stream)
        await until(lambda: len(bus.fetches[TOPIC]) == 2)
        assert bus.fetches[TOPIC][1].num_requested == 50


async def test_never_more_than_100_events_are_owed() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 2000))
        taken = 0
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        while taken < 2000:
            taken += len((await step(stream)).events)
    assert bus.owed_most <= 100


async def test_events_without_an_id_are_told_apart_by_their_place() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *(("", *rest) for _, *rest in rows(1, 3)))  # type: ignore[arg-type]
        events = (await step(source.deliveries(TOPIC, Start.EARLIEST))).events
    assert len({event.event_id for event in events}) == 3


async def test_a_service_that_cannot_look_topics_up_leaves_it_to_the_subscription() -> None:
    class Without(Bus):
        async def GetTopic(self, request: pb.TopicRequest, context: Any) -> pb.TopicInfo:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            raise AssertionError("abort raises")

    bus = Without()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 1))
        assert len((await step(source.deliveries(TOPIC, Start.EARLIEST))).events) == 1


async def test_credit_that_the_service_has_forgotten_is_asked_for_again_when_it_says_so() -> None:
    class Forgetful(Bus):
        async def Subscribe(self, requests: Any, context: Any) -> Any:
            first = await anext(requests)
            self.fetches[first.topic_name].append(first)
            yield pb.FetchResponse(latest_replay_id=b"1" * 10, pending_num_requested=100)
            yield pb.FetchResponse(latest_replay_id=b"2" * 10, pending_num_requested=0)
            self.fetches[first.topic_name].append(await anext(requests))
            yield pb.FetchResponse(latest_replay_id=b"3" * 10, pending_num_requested=100)

    bus = Forgetful()
    async with subscribed(bus) as source:
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        for place in (b"1", b"2", b"3"):
            assert (await step(stream)).position == place * 10
    assert [request.num_requested for request in bus.fetches[TOPIC]] == [100, 100]


async def test_a_caller_that_stops_taking_stops_the_flow() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 1000))
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        taken = len((await step(stream)).events)
        await until(lambda: bus.sent[TOPIC] == taken + 100)
        for _ in range(50):
            await asyncio.sleep(0)
        assert bus.sent[TOPIC] == taken + 100


async def test_a_stream_that_stays_silent_is_dead() -> None:
    bus = Bus()
    async with subscribed(bus, dead_after_s=0.05) as source:
        with pytest.raises(SourceUnavailable, match="dead"):
            await step(source.deliveries(TOPIC, Start.LATEST))


async def test_keepalives_keep_a_quiet_stream_alive() -> None:
    bus = Bus()
    async with subscribed(bus, dead_after_s=1.0) as source:
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        for n in range(3):
            await bus.keepalive(TOPIC, bytes([n]) * 10)
            assert (await step(stream)).position == bytes([n]) * 10
    assert len(bus.fetches[TOPIC]) == 1


async def test_a_session_refused_at_the_start_is_renewed_once_and_the_caller_notices_nothing() -> None:
    bus = Bus()
    bus.good_tokens = {"token-2"}
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 1))
        assert len((await step(source.deliveries(TOPIC, Start.EARLIEST))).events) == 1
    assert [given["accesstoken"] for given in bus.metadata][:2] == ["token-1", "token-2"]


async def test_a_session_revoked_in_mid_stream_is_renewed_and_said() -> None:
    bus, tokens = Bus(), Tokens()
    async with subscribed(bus, tokens) as source:
        await bus.publish(TOPIC, *rows(1, 1))
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        await step(stream)
        await bus.fail(TOPIC, grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")
        with pytest.raises(AuthExpired):
            await step(stream)
    assert tokens.number == 2


async def test_a_session_that_stays_refused_is_not_renewed_for_ever() -> None:
    bus, tokens = Bus(), Tokens()
    bus.good_tokens = set()
    async with subscribed(bus, tokens) as source:
        with pytest.raises(AuthExpired):
            await step(source.deliveries(TOPIC, Start.EARLIEST))
    assert tokens.number == 2


async def test_credentials_that_no_longer_work_are_told_apart_from_an_expired_session() -> None:
    bus, tokens = Bus(), Tokens()
    bus.good_tokens, tokens.refused = set(), True
    async with subscribed(bus, tokens) as source:
        with pytest.raises(AuthRefused):
            await step(source.deliveries(TOPIC, Start.EARLIEST))


async def test_a_channel_that_may_not_be_read_stops_with_the_permission_to_give() -> None:
    bus = Bus()
    bus.subscribable = False
    async with subscribed(bus) as source:
        with pytest.raises(ChannelStopped, match="View All"):
            await step(source.deliveries(TOPIC, Start.EARLIEST))
    assert "Subscribe" not in bus.calls


async def test_a_used_up_delivery_allocation_is_not_an_ordinary_break() -> None:
    bus = Bus()
    await bus.fail(TOPIC, grpc.StatusCode.RESOURCE_EXHAUSTED, "subscription.limit.exceeded")
    async with subscribed(bus) as source:
        with pytest.raises(DeliveryLimitReached):
            await step(source.deliveries(TOPIC, Start.EARLIEST))


async def test_a_stream_that_ends_without_error_is_resumed_too() -> None:
    class Ending(Bus):
        async def Subscribe(self, requests: Any, context: Any) -> AsyncIterator[pb.FetchResponse]:
            await anext(requests)
            yield pb.FetchResponse(latest_replay_id=b"1")

    async with subscribed(Ending()) as source:
        stream = source.deliveries(TOPIC, Start.EARLIEST)
        await step(stream)
        with pytest.raises(SourceUnavailable, match="ended the stream"):
            await step(stream)


async def test_an_unreachable_service_is_unavailable() -> None:
    source = PubSubSource(Tokens(), PubSubOptions(endpoint="127.0.0.1:1", tls=False))
    await source.open()
    with pytest.raises(SourceUnavailable, match=TOPIC):
        await step(source.deliveries(TOPIC, Start.EARLIEST))
    await source.close()


async def test_a_response_of_sixteen_megabytes_is_taken() -> None:
    bus = Bus()
    async with subscribed(bus) as source:
        await bus.publish(TOPIC, *rows(1, 20, payload=b"x" * 900_000))
        delivery = await step(source.deliveries(TOPIC, Start.EARLIEST))
    assert sum(len(e.payload) for e in delivery.events) == 18_000_000


async def test_a_schema_is_fetched_once_for_all_who_ask() -> None:
    bus = Bus()
    bus.schemas["schema-1"] = '{"type":"record"}'
    async with subscribed(bus) as source:
        given = await asyncio.gather(*(source.schema(SchemaId("schema-1")) for _ in range(5)))
    assert set(given) == {'{"type":"record"}'}
    assert bus.calls.count("GetSchema") == 1


async def test_with_an_extra_root_a_private_service_is_verified_and_without_it_refused(
    tmp_path: Path,
) -> None:
    key, certificate = self_signed("localhost")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certificate)
    bus = Bus()
    bus.topics[TOPIC] = []
    async with serving(bus, grpc.ssl_server_credentials([(key, certificate)])) as endpoint:
        await bus.publish(TOPIC, *rows(1, 1))
        trusting = PubSubSource(Tokens(), PubSubOptions(endpoint=endpoint, ca_file=ca))
        await trusting.open()
        assert len((await step(trusting.deliveries(TOPIC, Start.EARLIEST))).events) == 1
        await trusting.close()
        wary = PubSubSource(Tokens(), PubSubOptions(endpoint=endpoint))
        await wary.open()
        with pytest.raises(SourceUnavailable, match="ca_file"):
            await step(wary.deliveries(TOPIC, Start.EARLIEST))
        await wary.close()


def test_plain_text_is_only_for_this_machine() -> None:
    with pytest.raises(SettingsError, match="pubsub_tls"):
        PubSubSource(Tokens(), PubSubOptions(endpoint="api.pubsub.salesforce.com:7443", tls=False))
