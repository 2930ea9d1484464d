"""Recording over CometD against the simulated org: the same bytes, nothing lost, and an alarm when it is silent."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import schemas.own as own
from cdc.capture.channel import ChannelState, Standing
from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.errors import PositionLost, RetryLater
from cdc.log.embedded import EmbeddedLog
from cdc.metrics import Metrics
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogRecord
from cdc.ports.source import Source, SourceEvent, Start
from cdc.ports.types import ReplayId
from connectors.salesforce.budget import CallBudget
from connectors.salesforce.cometd import CometDOptions, CometDSource
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.rest import Rest
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session
from connectors.simulator.command import running_simulator
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator
from connectors.simulator.wire.context import WireOptions
from tests.integration.virtual_clock import VirtualClock
from tests.unit.avro.real_payloads import ADDRESS_EDIT, GEOCODED, account_schema

ALL = "/data/ChangeEvents"
TEAM = "/data/Team__chn"
SEEDS = int(os.environ.get("CDC_TEST_COMETD_SEEDS", "2"))
QUICK = WireOptions(cometd_hold_s=0.05, keepalive_s=0.2)


@dataclass
class Side:
    """Both sides of the wire, and both roads."""

    simulator: Simulator
    session: Session
    cometd: CometDSource
    pubsub: PubSubSource
    org: SalesforceOrg
    time: VirtualClock

    def touch(self, count: int) -> None:
        org = self.simulator.org
        ids = org.entities["Account"].records.live_ids()
        for number in range(count):
            values = {"Phone": f"+44 {len(org.truth)}"}
            org.commit(
                [Change("Account", Op.UPDATE, ids[number % len(ids)], values)], user_id=org.administrator_id
            )

    def pairs(self) -> set[tuple[str, str]]:
        """What the org published on the default channel so far."""
        return {(p[0], p[1]) for p in self.simulator.org.truth.pairs()}


@asynccontextmanager
async def connected(*, plan: Plan | None = None, wire: WireOptions = QUICK) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        plan = plan or Plan(users=5, records=100)
        simulator = await stack.enter_async_context(running_simulator(plan=plan, wire=wire))
        ready = simulator.ready
        session = await stack.enter_async_context(
            Session(
                Credentials(
                    AuthMethod.CLIENT_CREDENTIALS,
                    login_url=ready["http"],
                    client_id=ready["client_id"],
                    client_secret=Secret("client_secret", value=ready["client_secret"]),
                )
            )
        )
        clock = VirtualClock(simulator.org.clock.now_ms)
        rest = Rest(session, client_name="test", budget=CallBudget(monotonic_s=time.monotonic))
        cometd = CometDSource(session, rest, CometDOptions(), clock=clock.clock())
        pubsub = PubSubSource(session, PubSubOptions(endpoint=ready["pubsub"], tls=False))
        yield Side(simulator, session, cometd, pubsub, SalesforceOrg(session), clock)
        await cometd.close()
        await pubsub.close()


async def read_all(source: Source, channel: str) -> list[SourceEvent]:
    """Everything retained, up to the first answer that brings nothing."""
    await source.open()
    found: list[SourceEvent] = []
    async with asyncio.timeout(60):
        async for delivery in source.deliveries(channel, Start.EARLIEST):
            if found and not delivery.events:
                break
            found += delivery.events
    return found


@pytest.mark.parametrize("channel", [ALL, TEAM, "/event/Order__e"])
async def test_events_are_byte_for_byte_what_pubsub_sends(channel: str) -> None:
    plan = Plan(users=10, records=300, changes_per_day=600, days=1, knobs=Knobs.cruel())
    async with connected(plan=plan) as side:
        org = side.simulator.org
        org.set_channel(
            "Team__chn",
            ["Account", "Contact"],
            enriched={"Account": ["Industry", "BillingAddress.City"], "Contact": ["Name.LastName"]},
        )
        org.publish_platform_event(
            "Order__e", {"Order_Number__c": "A-1", "Amount__c": 12.5, "Express__c": True}
        )
        over_cometd = await read_all(side.cometd, channel)
        over_pubsub = await read_all(side.pubsub, channel)
        assert [e.event_id for e in over_cometd] == [e.event_id for e in over_pubsub]
        assert [e.payload for e in over_cometd] == [e.payload for e in over_pubsub]
        assert len(over_pubsub) >= (1 if channel.startswith("/event/") else 50)
        for schema_id in {e.schema_id for e in over_pubsub}:
            assert await side.cometd.schema(schema_id) == await side.pubsub.schema(schema_id)


async def test_captured_payloads_of_real_orgs_come_out_as_they_were() -> None:
    async with connected() as side:
        org = side.simulator.org
        schema_id = "captured-account-schema"
        org.register_schema(schema_id, json.dumps(account_schema()))
        payloads = {"edit": ADDRESS_EDIT, "geocoded": GEOCODED}
        for event_id, payload in payloads.items():
            org.publish_raw("Account", schema_id, payload, event_id=event_id, record_ids=("001",))
        events = await read_all(side.cometd, "/data/AccountChangeEvent")
        assert {event.event_id: event.payload for event in events} == payloads


FAULTS: tuple[dict[str, Any], ...] = (
    {"name": "cometd_cut"},
    {"name": "cometd_error", "error": "unknown_client", "on": "connect"},
    {"name": "cometd_error", "error": "subscription_limit", "on": "subscribe"},
    {"name": "cometd_error", "error": "server_busy", "on": "handshake"},
    {"name": "cometd_error", "error": "cookie_missing", "on": "connect"},
    {"name": "cometd_html", "on": "connect"},
    {"name": "cometd_html", "on": "handshake", "status": 503},
    {"name": "cometd_slow_connect", "ms": 80},
    {"name": "token_revoked"},
    {"name": "stream_reset"},
)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_breaks_reading_from_the_last_position_loses_nothing_and_keeps_the_order(
    seed: int,
) -> None:
    draw = random.Random(seed)
    async with connected() as side:
        await side.cometd.open()
        seen: dict[str, None] = {}
        position: ReplayId | Start = Start.EARLIEST
        for _ in range(20):
            side.touch(draw.randint(0, 8))
            if draw.random() < 0.7:
                side.simulator.org.faults.set(times=1, **draw.choice(FAULTS))
            try:
                async with asyncio.timeout(0.4):
                    async for delivery in side.cometd.deliveries(ALL, position):
                        for event in delivery.events:
                            seen.setdefault(event.event_id)
                        position = delivery.position or position
            except (RetryLater, TimeoutError):
                continue
        side.simulator.org.faults.clear()
        async with asyncio.timeout(20):
            async for delivery in side.cometd.deliveries(ALL, position):
                for event in delivery.events:
                    seen.setdefault(event.event_id)
                if len(seen) >= len(side.pairs()):
                    break
        assert list(seen) == [event.event_id for event in await read_all(side.pubsub, ALL)]


@asynccontextmanager
async def recording(side: Side, folder: Path, source: Source) -> AsyncIterator[Recorder]:
    """A recorder on the embedded log, by the virtual clock."""
    log = EmbeddedLog("test", folder / "log.sqlite")
    options = CaptureOptions("test", "test", (ALL,), entities=("Account",), baseline=False)
    recorder = Recorder(options, log, source, side.org, Metrics(), side.time.clock())
    stop = asyncio.Event()
    running = asyncio.create_task(recorder.run(stop))
    try:
        yield recorder
    finally:
        stop.set()
        await side.time.until(running.done, 600)
        await running
        log.close()


def state(recorder: Recorder) -> ChannelState:
    found = recorder.states().get(ALL)
    return found or ChannelState()


def records(folder: Path) -> list[LogRecord]:
    """Everything in the log."""
    log = EmbeddedLog("test", folder / "log.sqlite")
    found: list[LogRecord] = []
    for batch in log.batches(Checkpoint(), idle_s=0.05):
        if not batch.records:
            break
        found += batch.records
    log.close()
    return found


def held(folder: Path) -> list[tuple[str, str]]:
    return [(r.event_id, r.key) for r in records(folder) if r.topic not in CONTROL_TOPICS and r.replay_id]


async def test_unknown_client_and_a_failed_re_subscription_raise_the_alarm_within_a_minute_and_it_recovers(
    tmp_path: Path,
) -> None:
    async with connected() as side:
        with capture_logs() as lines:
            async with recording(side, tmp_path, side.cometd) as recorder:
                await side.time.until(lambda: state(recorder).standing is Standing.LIVE, 600)
                side.touch(5)
                await side.time.until(lambda: recorder.last_ordinal() >= 5, 60)
                faults = side.simulator.org.faults
                faults.set("cometd_error", error="subscription_limit", on="subscribe")
                faults.set("cometd_error", error="unknown_client", on="connect", times=1)
                await side.time.until(
                    lambda: (
                        state(recorder).standing is Standing.RETRYING
                        and "Subscription limit" in state(recorder).trouble
                    ),
                    60,
                )
                side.touch(5)
                count = recorder.metrics.registry.get_sample_value
                assert (count("sf_cdc_resubscribe_total", {"reason": "SourceUnavailable"}) or 0) >= 2
                faults.clear()
                await side.time.until(lambda: state(recorder).standing is Standing.LIVE, 120)
                await side.time.until(lambda: recorder.last_ordinal() >= 10, 60)
                assert state(recorder).trouble == ""
        assert [line for line in lines if line["event"] == "channel.retry"]
        assert set(held(tmp_path)) == side.pairs()
        assert len(held(tmp_path)) == 10


async def test_a_silent_channel_raises_the_alarm_and_the_position_it_loses_then_is_a_lost_stretch(
    tmp_path: Path,
) -> None:
    async with connected() as side:
        with capture_logs() as lines:
            async with recording(side, tmp_path, side.cometd) as recorder:
                await side.time.until(lambda: state(recorder).standing is Standing.LIVE, 600)
                side.touch(5)
                await side.time.until(lambda: recorder.last_ordinal() >= 5, 60)
                side.simulator.org.faults.set("cometd_silent")
                side.touch(5)
                passed_to = recorder.writer.reached(ALL).position.passed_to
                took_s = await side.time.until(lambda: "no event for" in state(recorder).trouble, 1_860)
                assert took_s >= 900
                since = recorder.metrics.registry.get_sample_value(
                    "sf_cdc_channel_silent_timestamp_seconds", {"channel": ALL}
                )
                assert since
                later_s = side.time.now_s + 120
                await side.time.until(lambda: side.time.now_s > later_s, 121)
                assert "no event for" in state(recorder).trouble  # it answers again, which proves nothing
                side.simulator.org.faults.set("replay_expired", times=1)
                side.simulator.org.faults.set("cometd_error", error="unknown_client", on="connect", times=1)
                await side.time.until(
                    lambda: any(line["event"] == "channel.position.lost" for line in lines), 120
                )
                side.simulator.org.faults.clear()
                await side.time.until(lambda: set(recorder.writer.builder.seen._pairs) >= side.pairs(), 60)
                await side.time.until(lambda: state(recorder).standing is Standing.LIVE, 60)
                assert state(recorder).trouble == ""
        assert [line["log_level"] for line in lines if line["event"] == "channel.silent"]
        stretches = [own.decode("coverage", r.value) for r in records(tmp_path) if r.topic == "coverage"]
        [lost] = [one for one in stretches if one["status"] == "lost"]
        assert lost["from_at"] == passed_to
        assert set(held(tmp_path)) == side.pairs()


@pytest.mark.parametrize("first", ["pubsub", "cometd"])
async def test_changing_the_transport_takes_a_new_position_says_what_is_lost_and_asks_for_a_scan(
    first: str, tmp_path: Path
) -> None:
    async with connected() as side:
        one, two = (side.pubsub, side.cometd) if first == "pubsub" else (side.cometd, side.pubsub)  # type: tuple[Source, Source]
        async with recording(side, tmp_path, one) as recorder:
            await side.time.until(lambda: recorder.writer.reached(ALL).position.replay_id, 600)
            side.touch(6)
            await side.time.until(lambda: recorder.last_ordinal() >= 6, 60)
        side.touch(3)  # between the two: lost to the stream, found by the scan
        async with recording(side, tmp_path, two) as recorder:
            await side.time.until(lambda: state(recorder).standing is Standing.LIVE, 600)
            before = recorder.last_ordinal()
            side.touch(4)
            await side.time.until(lambda: recorder.last_ordinal() >= before + 4, 60)
            await side.time.until(
                lambda: any(j.kind == "reread" and not j.open for j in recorder.scheduler.jobs.values()), 60
            )
        assert len(held(tmp_path)) == len(set(held(tmp_path))) == 10
        [lost] = [
            stretch
            for r in records(tmp_path)
            if r.topic == "coverage" and (stretch := own.decode("coverage", r.value))["status"] == "lost"
        ]
        assert lost["evidence"] == "transport.changed"
        assert lost["to_at"] >= lost["from_at"]
        ordinals = [r.ordinal for r in records(tmp_path) if r.topic not in CONTROL_TOPICS]
        assert ordinals == list(range(1, len(ordinals) + 1))


async def test_neither_transport_sends_the_others_position() -> None:
    async with connected() as side:
        for source, position in (
            (side.cometd, ReplayId(bytes(7) + b"\x01\0\0")),
            (side.pubsub, ReplayId(b"cometd:5")),
        ):
            await source.open()
            with pytest.raises(PositionLost) as raised:
                await anext(source.deliveries(ALL, position))
            assert raised.value.code == "transport.changed"
