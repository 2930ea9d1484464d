"""A recorder on a scripted source and a real embedded log, with time that runs faster than ours."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemas.own as own
from cdc.capture import holes
from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.capture.records import Prefix, single_object
from cdc.errors import CdcError, LogUnavailable, NotFound
from cdc.log.embedded import EmbeddedLog
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import ChannelPosition, Checkpoint, LogRecord, Positions
from cdc.ports.org import (
    ChannelMember,
    Deletions,
    EntityDescription,
    FieldDescription,
    Limits,
    Page,
    RowState,
)
from cdc.ports.source import Delivery, SourceEvent, Start
from cdc.ports.types import Millis, RecordId, ReplayId, SchemaId
from connectors.scripted import ScriptedSource
from tests.unit.capture.test_records import SCHEMA, body

ALL = "/data/ChangeEvents"
CASES = "/data/CaseChangeEvent"
DAY_MS = 24 * 3600 * 1000
SPEED = 200.0

holes.QUIET_S = 0.05  # the embedded log gives at once what it has


def fast_clock(speed: float = SPEED) -> Clock:
    """So many seconds pass in one of ours."""
    began, wall = time.monotonic(), time.time()

    def passed() -> float:
        return (time.monotonic() - began) * speed

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / speed)

    return Clock(lambda: Millis(int((wall + passed()) * 1000)), passed, sleep)


def replay(number: int) -> ReplayId:
    return ReplayId(number.to_bytes(8, "big") + b"\0\0")


def event(
    number: int, *, at: int = 0, position: ReplayId | None = None, schema_id: str = "s1", event_id: str = ""
) -> SourceEvent:
    """A change of case `number`; its commit time is its number of seconds if none is given."""
    payload = body(f"500{number:012d}AAA", committed_at=at or number * 1000)
    place = replay(number) if position is None else position
    return SourceEvent(event_id or f"e{number}", place, SchemaId(schema_id), payload)


class Script(ScriptedSource):
    """Remembers where each subscription began and when; fails to subscribe, or to give schemas, as told."""

    def __init__(self, channels: Sequence[str], clock: Clock) -> None:
        super().__init__(channels, clock=clock)
        self.clock = clock
        self.starts: list[tuple[str, ReplayId | Start]] = []
        self.start_times_s: list[float] = []
        self.refusals: dict[str, list[CdcError]] = defaultdict(list)
        self.schema_failures: list[CdcError] = []
        self.login_failures: list[CdcError] = []
        self.schemas["s1"] = SCHEMA

    async def open(self) -> None:
        if self.login_failures:
            raise self.login_failures.pop(0)
        await super().open()

    async def deliveries(self, channel: str, after: ReplayId | Start) -> AsyncIterator[Delivery]:
        self.starts.append((channel, after))
        self.start_times_s.append(self.clock.monotonic_s())
        if self.refusals[channel]:
            raise self.refusals[channel].pop(0)
        async for delivery in super().deliveries(channel, after):
            yield delivery

    async def schema(self, schema_id: SchemaId) -> str:
        if self.schema_failures:
            raise self.schema_failures.pop(0)
        return await super().schema(schema_id)

    def began_at(self, channel: str) -> list[ReplayId | Start]:
        return [after for name, after in self.starts if name == channel]


@dataclass
class Org:
    """An org of cases; what fails is in `failures` by the method's name."""

    clock: Clock
    channels: dict[str, list[str]] = field(default_factory=lambda: {ALL: ["Case"]})
    filters: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failures: dict[str, CdcError] = field(default_factory=dict)
    delivered: tuple[int, int] | None = None
    asked: list[str] = field(default_factory=list)

    def time(self) -> Millis:
        return self.clock.wall_ms()

    def _fail(self, name: str) -> None:
        self.asked.append(name)
        if name in self.failures:
            raise self.failures[name]

    async def describe(self, entity: str) -> EntityDescription:
        self._fail("describe")
        if entity in self.gone:
            raise NotFound("the org does not know it, or this user may not see it", where=entity)
        fields = (FieldDescription("Id", "Id", "id"), FieldDescription("Subject", "Subject", "string"))
        return EntityDescription(entity, "500", fields, True, self.time())

    async def members(self) -> tuple[ChannelMember, ...]:
        self._fail("members")
        return tuple(
            ChannelMember(channel, entity, filter=self.filters.get(entity, ""))
            for channel, entities in self.channels.items()
            for entity in entities
        )

    async def query(
        self, soql: str, *, deleted: bool = False, cursor: str | None = None, tooling: bool = False
    ) -> AsyncIterator[Page]:
        self._fail("query")
        yield Page([], None, 0, self.time())

    async def read(self, entity: str, ids: Sequence[RecordId], fields: Sequence[str]) -> Page:
        self._fail("read")
        return Page([], None, 0, self.time())

    def row_state(self, description: EntityDescription, row: Mapping[str, Any]) -> RowState:
        return RowState(RecordId(row["Id"]), {})

    async def deleted(self, entity: str, start: Millis, end: Millis) -> Deletions:
        self._fail("deleted")
        return Deletions({}, start, end, self.time())

    async def record_counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        self._fail("record_counts")
        return dict.fromkeys(entities, 0)

    async def limits(self) -> Limits:
        self._fail("limits")
        most, left = self.delivered or (None, None)
        return Limits(most, left, None, None, self.time())


class WeakLog(EmbeddedLog):
    """The embedded log; while `away` it takes nothing."""

    away = False

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        if self.away:
            raise LogUnavailable("the log does not answer", where="test")
        super().append(records, positions)


@dataclass
class Rig:
    folder: Path
    clock: Clock
    source: Script
    org: Org
    log: WeakLog
    metrics: Metrics
    recorder: Recorder
    running: asyncio.Task[None] | None = None

    async def ended(self) -> None:
        """Until the recorder ends by itself; raises what it ended with."""
        assert self.running is not None
        async with asyncio.timeout(20):
            await self.running

    def records(self, *topics: str, idle_s: float = 0.05) -> list[LogRecord]:
        """What the log holds, in its order; of these topics, if any are named."""
        out: list[LogRecord] = []
        batches = self.log.batches(Checkpoint(), idle_s=idle_s)
        for batch in batches:
            if not batch.records:
                break
            out += batch.records
        assert isinstance(batches, Generator)
        batches.close()
        return [record for record in out if not topics or record.topic in topics]

    def position(self, channel: str = ALL) -> ChannelPosition:
        """As committed; an empty one before there is any."""
        return self.recorder.writer.positions.channels.get(channel) or ChannelPosition(channel)

    def event_ids(self) -> list[str]:
        return [record.event_id for record in self.records("CaseChangeEvent", "quarantine") if record.channel]

    def stretches(self) -> dict[str, dict[str, Any]]:
        """The newest version of each stretch that capture told."""
        return {s["stretch_id"]: s for s in self.told("coverage")}

    def told(self, topic: str) -> list[dict[str, Any]]:
        name = {"jobs": "job"}.get(topic, topic)
        return [own.decode(name, record.value) for record in self.records(topic)]

    def repairs(self) -> list[str]:
        """Entities asked to be read anew, once for each request."""
        jobs = {job["job_id"]: job["entity"] for job in self.told("jobs")}
        return [entity for job_id, entity in jobs.items() if job_id.startswith("repair-")]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sf_cdc_{name}", labels) or 0.0


@asynccontextmanager
async def recording(
    folder: Path,
    *channels: str,
    rig: Rig | None = None,
    prepare: Callable[[Rig], None] = lambda _: None,
    speed: float = SPEED,
    prefix: Prefix | None = None,
    **options: Any,
) -> AsyncIterator[Rig]:
    """A recorder that runs until the end of the block; with `rig` the next process on the same log and bus."""
    names = channels or (ALL,)
    clock = rig.clock if rig else fast_clock(speed)
    source = rig.source if rig else Script(names, clock)
    org = rig.org if rig else Org(clock)
    log = WeakLog("acme", str(folder / "log.sqlite"), 4 * DAY_MS)
    metrics = Metrics()
    given = {"start": Start.EARLIEST, "baseline": False, **options}
    recorder = Recorder(
        CaptureOptions(org="acme", owner="test", channels=names, **given),
        log, source, org, metrics, clock, prefix=prefix or single_object,
    )  # fmt: skip
    one = Rig(folder, clock, source, org, log, metrics, recorder)
    prepare(one)
    stop = asyncio.Event()
    one.running = running = asyncio.create_task(recorder.run(stop))
    try:
        yield one
    finally:
        stop.set()
        await asyncio.wait({running}, timeout=30)
        log.close()
        if not running.done() or running.exception() is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value, looked for with a deadline."""
    async with asyncio.timeout(seconds):
        while not (found := what()):
            await asyncio.sleep(0.005)
        return found
