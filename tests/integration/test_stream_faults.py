"""Every fault of the stream by its name: the recorder comes through, with nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.log.embedded import EmbeddedLog
from cdc.metrics import Metrics
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogRecord
from cdc.ports.source import Start
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from connectors.simulator.command import running_simulator
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator
from connectors.simulator.wire.context import WireOptions
from tests.unit.capture.recording import fast_clock, until

ALL = "/data/ChangeEvents"
DAY_MS = 24 * 3600 * 1000


@dataclass
class Recording:
    simulator: Simulator
    recorder: Recorder
    log: EmbeddedLog
    metrics: Metrics

    def change(self, count: int) -> None:
        """So many accounts changed, in transactions of four, some of them in one event."""
        org = self.simulator.org
        ids = sorted(org.entities["Account"].records.live_ids())[:count]
        for at in range(0, count, 4):
            changes = [
                Change(
                    "Account", Op.UPDATE, one, {"Industry": f"Industry {at}", "Phone": f"{len(org.truth)}"}
                )
                for one in ids[at : at + 4]
            ]
            org.commit(changes, user_id=org.administrator_id, merge=at % 8 == 0)

    def records(self) -> list[LogRecord]:
        out: list[LogRecord] = []
        batches = self.log.batches(Checkpoint(), idle_s=0.05)
        for batch in batches:
            if not batch.records:
                break
            out += [record for record in batch.records if record.topic not in CONTROL_TOPICS]
        assert isinstance(batches, Generator)
        batches.close()
        return out

    def missing(self) -> set[tuple[str, str]]:
        """Published (event id, record id) pairs that the log does not hold; raises for one it holds twice."""
        held = Counter((r.event_id, r.key) for r in self.records() if r.channel and r.topic != "quarantine")
        assert [pair for pair, times in held.items() if times > 1] == []
        return self.published() - set(held)

    def published(self) -> set[tuple[str, str]]:
        return set(self.simulator.org.truth.pairs())


@asynccontextmanager
async def recording(folder: Path, knobs: Knobs | None = None, **options: Any) -> AsyncIterator[Recording]:
    plan = Plan(users=3, records=120, knobs=knobs or Knobs(cut_groups=True, duplicate_share=0.05))
    wire = WireOptions(keepalive_s=0.2, idle_close_s=1.0)
    async with running_simulator(plan=plan, wire=wire) as simulator:
        app = simulator.wire.app
        credentials = Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=simulator.wire.instance_url,
            client_id=app.client_id,
            client_secret=Secret("client_secret", value=app.client_secret),
        )
        session = Session(credentials, SessionOptions(login_interval_s=0))
        source = PubSubSource(
            session,
            PubSubOptions(simulator.wire.pubsub_address, tls=False, dead_after_s=1.0, call_timeout_s=1.0),
        )
        log, metrics = EmbeddedLog("acme", str(folder / "log.sqlite"), 14 * DAY_MS), Metrics()
        given = {"start": Start.EARLIEST, "baseline": False, **options}
        recorder = Recorder(
            CaptureOptions(org="acme", owner="test", channels=(ALL,), **given),
            log, source, SalesforceOrg(session), metrics, fast_clock(20),
        )  # fmt: skip
        stop = asyncio.Event()
        running = asyncio.create_task(recorder.run(stop))
        try:
            one = Recording(simulator, recorder, log, metrics)
            one.change(20)
            await until(lambda: not one.missing())
            yield one
            assert not running.done() or running.result() is None
        finally:
            stop.set()
            await asyncio.wait({running}, timeout=20)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            log.close()
            await session.close()


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("stream_reset", {"times": 3}),
    ("stream_reset", {"after": 7, "times": 4}),
    ("stream_ended", {"after": 5, "times": 3}),
    ("stream_drip", {"ms": 5}),
    ("stream_silent", {}),
    ("credit_lost", {"times": 3}),
    ("credit_withheld", {"max": 3}),
    ("keepalive_only", {}),
    ("blank_position", {}),
    ("short_replay", {}),
    ("replay_unordered", {}),
    ("delivered_twice", {}),
    ("token_revoked", {"times": 2}),
    ("unavailable", {"times": 4}),
    ("slow", {"ms": 30}),
    ("delivery_limit", {"times": 2}),
    ("call_error", {"call": "GetTopic", "code": "topic.api.unavailable", "times": 2}),
    ("replay_expired", {"times": 1}),
    ("schema_padded", {}),
]


@pytest.mark.parametrize(("name", "given"), FAULTS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(FAULTS)])
async def test_a_fault_by_its_name_loses_and_doubles_nothing(
    name: str, given: dict[str, Any], tmp_path: Path
) -> None:
    async with recording(tmp_path) as one:
        faults = one.simulator.org.faults
        faults.set(name, **given)
        one.simulator.org.change_schema("Account", add=["Fault__c Text"])  # a schema that has to be fetched
        if name in ("call_error", "replay_expired"):
            faults.set("stream_reset", times=1)
        one.change(40)
        before = one.recorder.clock.monotonic_s()
        await until(lambda: not one.missing() or one.recorder.clock.monotonic_s() > before + 40)
        faults.clear()
        one.change(24)
        await until(lambda: not one.missing(), 30)
        ordinals = [record.ordinal for record in one.records()]
        assert ordinals == list(range(1, len(ordinals) + 1))


CODES = [
    ("service.unavailable", ""),
    ("service.auth.error", ""),
    ("service.protection.triggered", ""),
    ("subscription.fetch.replay.repeated", ""),
    ("subscription.internal.error", ""),
    ("subscription.fetch.overflow", ""),
    ("topic.meta.permission", ""),
    ("something.nobody.knows", ""),
    ("subscription.fetch.replayid.validation.failed", ""),
    ("subscription.fetch.replayid.corrupted", "no_trailer"),
    ("service.unavailable", "no_trailer"),
    ("subscription.limit.exceeded", "odd_status"),
]


@pytest.mark.parametrize(("code", "also"), CODES)
async def test_a_stream_that_ends_with_any_code_is_taken_up_again(
    code: str, also: str, tmp_path: Path
) -> None:
    async with recording(tmp_path) as one:
        faults = one.simulator.org.faults
        if also:
            faults.set(also)
        message = "The Replay ID validation failed." if "replayid" in code else "No."
        faults.set("stream_error", code=code, message=message, times=2, after=3)
        one.change(40)
        await until(lambda: faults.active("stream_error") is None, 30)
        faults.clear()
        one.change(8)
        await until(lambda: not one.missing(), 60)


async def test_an_event_service_that_goes_and_comes_back_is_found_again(tmp_path: Path) -> None:
    async with recording(tmp_path) as one:
        for _ in range(2):
            one.change(24)
            await one.simulator.restart_pubsub(away_s=0.3)
            one.change(24)
            await until(lambda: not one.missing(), 30)


async def test_a_schema_that_cannot_be_had_for_a_while_holds_events_back_and_delivers_them_once(
    tmp_path: Path,
) -> None:
    async with recording(tmp_path) as one:
        org = one.simulator.org
        org.faults.set("call_error", call="GetSchema", code="schema.api.unavailable")
        org.change_schema("Account", add=["Fault__c Text"])
        delivered = org.usage.delivered
        one.change(24)
        await until(lambda: one.recorder.channels[ALL].state.standing == "retrying")
        org.faults.clear()
        await until(lambda: not one.missing(), 30)
        assert org.usage.delivered - delivered <= 2 * 24 + 100  # not once more for each attempt
        assert not [r for r in one.records() if r.topic == "quarantine"]


async def test_an_expired_position_is_told_and_every_entity_read_again(tmp_path: Path) -> None:
    async with recording(tmp_path) as one:
        faults = one.simulator.org.faults
        faults.set("replay_expired", times=1)
        faults.set("stream_reset", times=1)
        one.change(24)
        await until(
            lambda: one.metrics.registry.get_sample_value("sf_cdc_gaps_total", {"reason": "position_lost"})
        )
        await until(lambda: not one.missing(), 30)
        entities = one.recorder.scheduler.entities[ALL]
        jobs = one.recorder.scheduler.jobs
        await until(
            lambda: (
                {j.entity for j in jobs.values() if j.job_id.startswith("repair-") and j.state == "ended"}
                >= set(entities)
            ),
            30,
        )
