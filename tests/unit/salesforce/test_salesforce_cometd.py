"""Each guard around the CometD library, and what silence means, against a Bayeux server on loopback."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiosfstream_ng import Client

from cdc.errors import (
    AuthExpired,
    ChannelStopped,
    DeliveryLimitReached,
    PositionLost,
    SourceSilent,
    SourceUnavailable,
    Undecodable,
)
from cdc.ports.clock import Clock
from cdc.ports.source import Delivery, SourceEvent, Start
from cdc.ports.types import Millis, ReplayId, SchemaId
from connectors.salesforce import cometd_listener
from connectors.salesforce.budget import CallBudget
from connectors.salesforce.cometd import CometDOptions, CometDSource
from connectors.salesforce.cometd_client import OrgAuthenticator
from connectors.salesforce.cometd_errors import translate
from connectors.salesforce.rest import Rest
from connectors.salesforce.session import Token
from tests.unit.salesforce.bayeux_wire import ORG_ID, Streaming, streaming_org
from tests.unit.salesforce.wire import until

ACCOUNTS = "/data/AccountChangeEvent"
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Numbered__e",
        "namespace": "com.sforce.eventbus",
        "fields": [
            {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
            {"name": "Number__c", "type": ["null", "double"], "doc": "Data:Double", "default": None},
        ],
    }
)
HTML = "<html><body>Down for maintenance</body></html>"


@dataclass
class Hands:
    """A clock that a test moves; sleeping takes a moment of real time and none of its own."""

    now_s: float = 1_000_000.0

    def clock(self) -> Clock:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.01))

        return Clock(lambda: Millis(int(self.now_s * 1000)), lambda: self.now_s, sleep)


@dataclass
class Tokens:
    """A session whose tokens a test hands out; `http` is never used."""

    instance_url: str
    given: list[str] = field(default_factory=lambda: ["first"])
    refreshed: int = 0

    async def token(self) -> Token:
        return Token(self.given[-1], self.instance_url, ORG_ID, "", Millis(0))

    async def refresh(self, stale_token: Token) -> Token:
        self.refreshed += 1
        self.given.append(f"fresh-{self.refreshed}")
        return await self.token()


@dataclass
class Rig:
    server: Streaming
    source: CometDSource
    tokens: Tokens
    hands: Hands

    async def publish(self, *numbers: int) -> None:
        await self.server.publish(ACCOUNTS, *((n, message(n)) for n in numbers))

    async def take(
        self, stream: AsyncIterator[Delivery], count: int, found: list[int] | None = None
    ) -> list[int]:
        """Replay ids of the next events, put into `found` as they come."""
        found = [] if found is None else found
        while len(found) < count:
            found += [number_of(event) for event in (await step(stream)).events]
        return found


def message(number: int, **payload: Any) -> dict[str, Any]:
    body = {"CreatedDate": "2026-11-23T10:02:00.000Z", "Number__c": number, **payload}
    return {"schema": "s1", "payload": body, "event": {"replayId": number, "EventUuid": f"id-{number}"}}


def number_of(event: SourceEvent) -> int:
    return int(event.replay_id.rpartition(b":")[2])


async def step(stream: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(10):
        return await anext(stream)


@asynccontextmanager
async def rigged(**options: Any) -> AsyncIterator[Rig]:
    async with streaming_org() as (server, session):
        server.topics = {ACCOUNTS: []}
        server.schemas["s1"] = SCHEMA
        hands, tokens = Hands(), Tokens(server.url)
        rest = Rest(session, client_name="test", budget=CallBudget(monotonic_s=time.monotonic))
        source = CometDSource(tokens, rest, CometDOptions(**options), clock=hands.clock())
        await source.open()
        yield Rig(server, source, tokens, hands)
        await source.close()


async def test_nothing_waits_in_receive_so_a_cancelled_reader_loses_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def receive(self: Any) -> None:
        raise AssertionError("receive() is not used")

    monkeypatch.setattr(Client, "receive", receive)
    async with rigged() as rig:
        seen: list[int] = []
        position: ReplayId | Start = Start.EARLIEST
        for number in range(1, 11):
            waiting = asyncio.ensure_future(step(rig.source.deliveries(ACCOUNTS, position)))
            await until(lambda w=waiting: rig.server.is_followed(ACCOUNTS) or w.done())
            publishing = asyncio.ensure_future(rig.publish(number))
            await asyncio.sleep(0.002 * (number % 4))
            waiting.cancel()
            delivery = (await asyncio.gather(waiting, return_exceptions=True))[0]
            await publishing
            if isinstance(delivery, Delivery) and delivery.events:
                seen += [number_of(event) for event in delivery.events]
                position = delivery.position
        stream = rig.source.deliveries(ACCOUNTS, position)
        if len(seen) < 10:
            seen += await rig.take(stream, 10 - len(seen))
        assert seen == list(range(1, 11))


async def test_a_resumed_channel_subscribes_where_the_caller_says_not_where_the_library_has_read_to() -> None:
    async with rigged() as rig:
        await rig.publish(1, 2, 3, 4, 5)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 5)
        await rig.server.fail("/meta/connect", "403::Unknown client")
        with pytest.raises(SourceUnavailable):
            await rig.take(stream, 1)
        assert await rig.take(rig.source.deliveries(ACCOUNTS, ReplayId(b"cometd:3")), 2) == [4, 5]
        assert rig.server.subscriptions(ACCOUNTS) == [-2, 3]


async def test_an_unknown_client_and_a_refused_re_subscription_are_both_said() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        await rig.server.fail("/meta/connect", "403::Unknown client")
        with pytest.raises(SourceUnavailable, match="dropped the session"):
            await rig.take(stream, 1)
        await rig.server.fail("/meta/subscribe", "403::Subscription limit exceeded for this topic")
        with pytest.raises(SourceUnavailable, match="Subscription limit"):
            await step(rig.source.deliveries(ACCOUNTS, ReplayId(b"cometd:1")))
        assert rig.server.subscriptions(ACCOUNTS) == [-2, 1]  # the library made none by itself


async def test_a_subscription_that_is_gone_while_the_session_goes_on_is_noticed() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        gone = {
            "channel": "/meta/subscribe", "subscription": ACCOUNTS, "successful": False, "error": "403::Denied"
        }  # fmt: skip
        await rig.server.fail("/meta/connect", gone)
        with pytest.raises(SourceUnavailable, match="subscription is gone"):
            await rig.take(stream, 1)


async def test_a_token_refused_on_a_connect_is_renewed_and_the_subscription_goes_on() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        refusal = web.json_response([{"channel": "/meta/connect", "successful": False, "id": "3",
                                      "error": "401::Authentication invalid"}])  # fmt: skip
        await rig.server.fail("/meta/connect", refusal)
        await until(lambda: rig.tokens.refreshed == 1)
        await rig.publish(2)
        assert await rig.take(stream, 1) == [2]
        assert rig.server.tokens[-1] == "Bearer fresh-1"
        assert rig.server.subscriptions(ACCOUNTS) == [-2]


async def test_an_org_that_moved_is_followed_by_a_new_client() -> None:
    async with rigged() as rig, streaming_org() as (elsewhere, _):
        await rig.publish(1)
        elsewhere.topics = {ACCOUNTS: [(1, message(1)), (2, message(2))]}
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        rig.tokens.instance_url = elsewhere.url
        refusal = web.json_response([{"channel": "", "error": "401::Authentication invalid"}], status=401)
        await rig.server.fail("/meta/connect", refusal)
        with pytest.raises((SourceUnavailable, AuthExpired)):
            await rig.take(stream, 1)
        assert await rig.take(rig.source.deliveries(ACCOUNTS, ReplayId(b"cometd:1")), 1) == [2]
        assert elsewhere.subscriptions(ACCOUNTS) == [1]


async def test_no_secret_is_in_a_repr() -> None:
    tokens = Tokens("https://acme.my.salesforce.com", ["very-secret"])
    authenticator = OrgAuthenticator(tokens)
    await authenticator.authenticate()
    assert "very-secret" not in repr(authenticator)
    assert "acme.my.salesforce.com" in repr(authenticator)


@pytest.mark.parametrize(
    "answer",
    [
        {"text": HTML, "content_type": "text/html", "status": 200},
        {"text": HTML, "content_type": "text/html", "status": 503},
        {"text": "[{", "content_type": "application/json"},
        {"text": '{"channel": "/meta/connect"}', "content_type": "application/json"},
        {"status": 302, "headers": {"Location": "/login"}},
        {
            "status": 401,
            "content_type": "application/json",
            "text": '[{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]',
        },
        {"status": 500, "content_type": "application/json", "text": "[]"},
    ],
)
async def test_an_answer_that_is_not_bayeux_ends_the_subscription_and_the_token_is_renewed(
    answer: dict[str, Any],
) -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        await rig.server.fail("/meta/connect", web.Response(**answer))
        asked = len(rig.server.asked)
        with pytest.raises(SourceUnavailable, match="not JSON of the Bayeux protocol"):
            await rig.take(stream, 1)
        assert rig.tokens.refreshed == 1
        assert len(rig.server.asked) <= asked + 1  # a goodbye at most: no endless retry


async def test_the_handshake_has_a_time_limit() -> None:
    async with rigged(handshake_timeout_s=0.2) as rig:
        rig.server.patience_s = 5.0
        with pytest.raises(SourceUnavailable, match=r"within 0\.2 s"):
            await step(rig.source.deliveries(ACCOUNTS, Start.EARLIEST))


async def test_a_service_that_holds_the_first_connect_is_waited_for_no_longer() -> None:
    async with rigged(handshake_timeout_s=5.0) as rig:
        rig.server.holds_first = True
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        assert await rig.take(stream, 1) == [1]
        await rig.server.answer()
        assert (await step(stream)).position == b""


async def test_why_a_connect_is_refused_counts_more_than_what_follows_from_it() -> None:
    async with rigged() as rig:
        rig.server.holds_first = True
        await rig.server.fail("/meta/connect", "403::Organization total events daily limit exceeded")
        await rig.server.fail("/meta/subscribe", "403::Unknown client")
        with pytest.raises(DeliveryLimitReached):
            await step(rig.source.deliveries(ACCOUNTS, Start.EARLIEST))


async def test_the_interval_of_an_advice_is_milliseconds() -> None:
    async with rigged() as rig:
        rig.server.advice = {"reconnect": "retry", "interval": 150, "timeout": 110_000}
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        for number in (1, 2, 3):  # each by a connect of its own; as seconds they would be minutes apart
            await rig.publish(number)
            assert await rig.take(stream, 1) == [number]


async def test_an_invalid_replay_id_is_given_to_the_caller_and_not_replaced() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        with pytest.raises(PositionLost, match=r"replayId \{77\}"):
            await step(rig.source.deliveries(ACCOUNTS, ReplayId(b"cometd:77")))
        assert rig.server.subscriptions(ACCOUNTS) == [77]


async def test_a_position_of_another_transport_is_lost_and_never_sent() -> None:
    async with rigged() as rig:
        with pytest.raises(PositionLost, match="another transport"):
            await step(rig.source.deliveries(ACCOUNTS, ReplayId(bytes(7) + b"\x05\0\0")))
        assert rig.server.asked == []


async def test_a_caller_who_does_not_take_slows_the_service_and_then_gets_the_subscription_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cometd_listener, "WAITING_EVENTS_MAX", 20)
    async with rigged() as rig:
        stream = rig.source.deliveries(ACCOUNTS, Start.LATEST)
        await step(stream)
        await rig.publish(*range(1, 16))
        connects = lambda: sum(m["channel"] == "/meta/connect" for m in rig.server.asked)  # noqa: E731
        await until(lambda: any(listener.is_slow for listener in rig.source._listeners))
        before = connects()
        await asyncio.sleep(0.1)
        assert connects() == before  # more than half is waiting: the next connect is put off
        rig.hands.now_s += 21
        await until(lambda: connects() > before)  # but not until the service forgets the client
        await rig.publish(*range(16, 40))
        taken: list[int] = []
        with pytest.raises(SourceUnavailable, match="more events came than were taken"):
            await rig.take(stream, 1_000, taken)
        assert len(taken) < 39
        assert taken == list(range(1, len(taken) + 1))  # without a hole, so that resuming loses nothing


async def test_a_service_that_answers_no_connect_is_dead_after_a_while() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 1)
        rig.hands.now_s += 171
        with pytest.raises(SourceUnavailable, match="answered no connect for 170 s"):
            await rig.take(stream, 1)


async def test_silence_that_cannot_be_told_from_quiet_raises_the_alarm() -> None:
    async with rigged() as rig:
        stream = rig.source.deliveries(ACCOUNTS, Start.LATEST)
        await step(stream)
        rig.hands.now_s += 1_799
        await rig.server.answer()
        assert (await step(stream)).position == b""
        rig.hands.now_s += 2
        await rig.server.answer()
        with pytest.raises(SourceSilent, match="quiet and dead look the same"):
            await step(stream)


async def test_quiet_is_proved_by_the_last_event_coming_again_and_then_it_is_a_position() -> None:
    async with rigged() as rig:
        await rig.publish(1, 2)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        assert await rig.take(stream, 2) == [1, 2]
        rig.hands.now_s += 901
        await rig.server.answer()
        assert (await step(stream)).position == b""
        assert await rig.take(stream, 1) == [2]
        assert rig.server.subscriptions(ACCOUNTS) == [-2, 1]
        await rig.server.answer()
        assert (await step(stream)).position == b"cometd:2"


async def test_a_channel_that_no_longer_delivers_what_it_did_raises_the_alarm() -> None:
    async with rigged() as rig:
        await rig.publish(1, 2)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 2)
        rig.server.topics[ACCOUNTS].pop()  # the service has lost it
        rig.hands.now_s += 901
        await rig.server.answer()
        await step(stream)
        answering = asyncio.ensure_future(rig.server.answer_always())
        with pytest.raises(SourceSilent, match="asked for again, does not come"):
            await rig.take(stream, 1)
        answering.cancel()


async def test_events_that_a_silent_session_held_back_come_with_the_probe() -> None:
    async with rigged() as rig:
        await rig.publish(1, 2)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 2)
        await rig.server.forget(ACCOUNTS)
        await rig.publish(3, 4)
        rig.hands.now_s += 901
        await rig.server.answer()
        await step(stream)
        assert await rig.take(stream, 3) == [2, 3, 4]


async def test_a_quiet_position_does_not_age_out() -> None:
    async with rigged() as rig:
        await rig.publish(1, 2)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        await rig.take(stream, 2)
        rig.hands.now_s += 50 * 3600
        await rig.server.answer()
        await step(stream)
        await rig.take(stream, 1)
        await rig.server.answer()
        position = (await step(stream)).position
        assert position == b"cometd:-2@%d" % (rig.hands.now_s * 1000)
        assert await rig.take(rig.source.deliveries(ACCOUNTS, position), 2) == [1, 2]
        rig.hands.now_s += 71 * 3600 + 1
        with pytest.raises(PositionLost, match="older than the org keeps"):
            await step(rig.source.deliveries(ACCOUNTS, position))


async def test_a_channel_followed_from_its_tip_has_a_position_before_its_first_event() -> None:
    async with rigged() as rig:
        await rig.publish(1)
        stream = rig.source.deliveries(ACCOUNTS, Start.LATEST)
        position = (await step(stream)).position
        await rig.publish(2)
        assert 2 in await rig.take(rig.source.deliveries(ACCOUNTS, position), 2)


async def test_a_step_back_of_the_bus_ends_the_subscription_before_it_is_recorded() -> None:
    async with rigged() as rig:
        await rig.publish(1, 5)
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        assert await rig.take(stream, 2) == [1, 5]
        await rig.publish(3)
        with pytest.raises(SourceUnavailable, match="stepped back"):
            await rig.take(stream, 1)


async def test_an_event_whose_json_does_not_fit_is_kept_as_it_came() -> None:
    async with rigged() as rig:
        await rig.server.publish(
            ACCOUNTS, (1, message(1, Number__c="many")), (2, message(2, Nobody__c=1)), (3, message(3))
        )
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        events: list[SourceEvent] = []
        while len(events) < 3:
            events += (await step(stream)).events
        assert [event.schema_id for event in events] == ["json:s1", "json:s1", "s1"]
        assert json.loads(events[0].payload)["payload"]["Number__c"] == "many"
        with pytest.raises(Undecodable):
            await rig.source.schema(SchemaId("json:s1"))


async def test_an_event_without_a_replay_id_is_kept_and_does_not_stand_in_the_way() -> None:
    async with rigged() as rig:
        broken = message(2)
        del broken["event"]["replayId"]
        await rig.server.publish(ACCOUNTS, (1, message(1)), (2, broken), (3, message(3)))
        stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
        events: list[SourceEvent] = []
        while len(events) < 3:
            events += (await step(stream)).events
        assert [number_of(event) for event in events] == [1, 1, 3]
        assert [event.schema_id for event in events] == ["s1", "json:", "s1"]


async def test_a_channel_whose_events_have_no_replay_ids_is_stopped() -> None:
    async with rigged() as rig:
        await rig.server.publish(ACCOUNTS, (1, {"payload": {}, "event": {}}))
        with pytest.raises(ChannelStopped, match="no replay ids"):
            await step(rig.source.deliveries(ACCOUNTS, Start.EARLIEST))


async def test_replies_without_an_id_are_taken_by_their_channel() -> None:
    async with rigged() as rig:
        rig.server.leaves_out_ids = True
        await rig.publish(1)
        assert await rig.take(rig.source.deliveries(ACCOUNTS, Start.EARLIEST), 1) == [1]


async def test_an_event_without_a_name_gets_the_same_one_every_time() -> None:
    async with rigged() as rig:
        nameless = message(1)
        del nameless["event"]["EventUuid"]
        await rig.server.publish(ACCOUNTS, (1, nameless))
        ids = set()
        for _ in range(2):
            stream = rig.source.deliveries(ACCOUNTS, Start.EARLIEST)
            ids |= {event.event_id for event in (await step(stream)).events}
            await stream.aclose()  # type: ignore[attr-defined]
        [event_id] = ids
        assert event_id.startswith(f"{ACCOUNTS}@1.")


@pytest.mark.parametrize(
    ("channel", "error", "kind"),
    [
        ("/meta/subscribe", "400::The replayId {5} you provided was invalid.  Please provide", PositionLost),
        ("/meta/subscribe", "400::The channel /data/X you requested to subscribe to doesn't exist", ChannelStopped),
        ("/meta/subscribe", "400::Channel name not specified", ChannelStopped),
        ("/meta/handshake", "400::API version in the URI is not supported", ChannelStopped),
        ("/meta/connect", "400::No cookie present", SourceUnavailable),
        ("/meta/connect", "401::Authentication invalid", AuthExpired),
        ("/meta/connect", "401::Request requires authentication", AuthExpired),
        ("/meta/connect", "403::Unknown client", SourceUnavailable),
        ("/meta/connect", "403::Client has not completed handshake", SourceUnavailable),
        ("/meta/handshake", "403::Organization concurrent user limit exceeded", SourceUnavailable),
        ("/meta/connect", "403::Organization total events daily limit exceeded", DeliveryLimitReached),
        ("/meta/subscribe", "403::Cannot create channel /u/x", ChannelStopped),
        ("/meta/subscribe", "403::Restricted channel /meta/x", ChannelStopped),
        ("/meta/subscribe", "403::User not allowed to subscribe CDC without View All Data permissions", ChannelStopped),
        ("/meta/subscribe", "403::Subscription limit exceeded for this topic", SourceUnavailable),
        ("/meta/connect", "413::Maximum Request Size Exceeded", ChannelStopped),
        ("/meta/handshake", "503::Server is too busy", SourceUnavailable),
        ("/meta/subscribe", "403::Something nobody told us of", ChannelStopped),
        ("/meta/connect", "403::Something nobody told us of", SourceUnavailable),
        ("/meta/connect", "", SourceUnavailable),
    ],
)  # fmt: skip
def test_every_documented_error_has_its_class_and_hands_on_what_was_said(
    channel: str, error: str, kind: type[Exception]
) -> None:
    made = translate({"channel": channel, "error": error}, ACCOUNTS)
    assert type(made) is kind
    assert ACCOUNTS in made.sentence()
    assert error[5:20] in made.sentence()
    assert made.do


def test_a_denied_handshake_is_judged_by_its_reason() -> None:
    reply = {
        "channel": "/meta/handshake",
        "error": "403::Handshake denied",
        "ext": {"sfdc": {"failureReason": "401::Authentication invalid"}},
    }
    assert type(translate(reply, ACCOUNTS)) is AuthExpired
