"""A simulated org, its recorder and its journal in one process, with the org's clock in the test's hand."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.answer import questions
from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.capture.jobs import Job
from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.change.order import READ_MARGIN_MS
from cdc.journal.journal import DuckJournal
from cdc.log.embedded import EmbeddedLog
from cdc.log.follow import follow
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Log
from cdc.ports.types import SchemaId
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from connectors.simulator.channels import Member
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Committed, Op
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator, SimulatorOptions
from connectors.simulator.wire.context import WireOptions

ALL = "/data/ChangeEvents"
PATIENCE_S = 60.0
SPEED = 120.0
"""Org seconds a real second: margins of seconds pass at once, and an hour in half a minute."""

FASTER = 20.0
"""The recorder's pauses are so much shorter."""


@dataclass
class World:
    """Both sides. `recorder` and `journal` can be stopped and started; the org goes on."""

    folder: Path
    simulator: Simulator
    options: CaptureOptions
    session: Session
    log: Log
    journal: DuckJournal
    recorder: Recorder
    requested: list[dict[str, Any]] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _running: asyncio.Task[None] | None = None
    _reading: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    # -- the org ------------------------------------------------------------------------------------------

    @property
    def org(self) -> Any:
        return self.simulator.org

    def ids(self, entity: str = "Account") -> list[str]:
        return sorted(self.org.entities[entity].records.live_ids())

    def update(self, ids: Sequence[str], entity: str = "Account", **values: Any) -> Committed:
        return self.commit([Change(entity, Op.UPDATE, one, values) for one in ids])

    def commit(self, changes: Sequence[Change], **more: Any) -> Committed:
        given = {"user_id": self.org.administrator_id, "merge": False} | more
        committed: Committed = self.org.commit(changes, **given)
        return committed

    def unselected(self, entity: str) -> Callable[[], None]:
        """Changes of an entity publish nothing until the function returned is called: lost without a trace."""
        channels = self.org.bus.channels
        before = tuple(member for name, member in channels.members() if name == "ChangeEvents")
        channels.set_members("ChangeEvents", tuple(m for m in before if m.entity != entity))
        return lambda: channels.set_members("ChangeEvents", before)

    # -- the recorder -------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self.recorder.run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=PATIENCE_S)
            self._running.result()
            self._running = None

    async def restart(self, **options: Any) -> None:
        """Another recorder on the same log, as after an end of the process."""
        await self.stop()
        self.recorder = await made_recorder(self, replace(self.options, **options))
        await self.start()

    def follow(self) -> None:
        store = SchemaStore(lambda schema_id: self.log.schema(SchemaId(schema_id)))
        journal = self.journal

        class One:
            checkpoint = journal.checkpoint

            def take(self, batch: ColumnBatch) -> None:
                journal.commit(batch).result(PATIENCE_S)

        one = One()
        self._reader = threading.Thread(
            target=lambda: follow(
                self.log, one.checkpoint, lambda b: decode_batch(b, store), [one], self._reading
            ),
            daemon=True,
        )
        self._reader.start()

    def close(self) -> None:
        self._reading.set()
        if self._reader is not None:
            self._reader.join(PATIENCE_S)
        self.journal.close()
        self.log.close()

    # -- waiting ------------------------------------------------------------------------------------------

    async def until(self, what: str, look: Callable[[], Any]) -> Any:
        """The first true value of `look`; the recorder's failure ends the waiting."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self._running is not None and self._running.done():
                self._running.result()
            if found := look():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(
            f"waited in vain until {what}; jobs: {list(self.recorder.scheduler.jobs.values())}"
        )

    async def settled(self, entities: int | None = None) -> None:
        """Everything committed is recorded and journalled, no job is open, and the stream has passed all of it."""
        if entities is not None:
            await self.until("baselines are taken", lambda: self.baselines() >= entities)
        await self.passing()
        await self.until("no job is open", self._is_quiet)
        await self.passing()

    async def passing(self) -> None:
        """The stream passes the present by the margin of the clocks."""
        now = self.org.clock.now_ms() + self.org.knobs.delivery_lag_max_ms
        self.recorder.org_clock.settle(now + 2 * READ_MARGIN_MS)
        await self.until("the stream has passed", lambda: self.passed() > now + READ_MARGIN_MS)

    def _is_quiet(self) -> bool:
        open_jobs = [job for job in self.recorder.scheduler.jobs.values() if job.open]
        in_journal = self.sql(
            "SELECT count(*) FROM (SELECT arg_max(state, version) AS s FROM store.jobs GROUP BY job_id)"
            " WHERE s IN ('requested', 'running')"
        )
        caught_up = self.journal.checkpoint.ordinal == self.recorder.last_ordinal()
        return not open_jobs and not in_journal[0][0] and caught_up

    def baselines(self) -> int:
        return int(self.sql("SELECT count(DISTINCT entity) FROM baselines")[0][0])

    def passed(self) -> int:
        return int(self.sql("SELECT coalesce(min(epoch_ms(passed_to)), 0) FROM store.channels")[0][0])

    # -- the journal --------------------------------------------------------------------------------------

    def sql(self, text: str, *given: Any) -> list[tuple[Any, ...]]:
        with self.journal.reader() as reader:
            rows: list[tuple[Any, ...]] = reader.execute(text, list(given)).fetchall()
            return rows

    def states(self, entity: str = "Account", at_ms: int | None = None) -> dict[str, dict[str, Any]]:
        at = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        with self.journal.reader() as reader:
            while True:
                answer = questions.state(reader, entity, at=at, limit=10_000, cursor=cursor)
                found |= {row["record_id"]: row for row in answer.dicts()}
                cursor = answer.next
                if cursor is None:
                    return found

    def differences(self, entity: str = "Account") -> list[str]:
        """How the journal's present differs from the org's truth; none where it is known and equal."""
        found = []
        held = self.states(entity)
        for record_id, record in self.org.truth.state(entity, len(self.org.truth)).items():
            row = held.pop(record_id, None)
            if row is None:
                found.append(f"{record_id} is not in the journal")
            elif row["status"] != record.status:
                found.append(f"{record_id} is {row['status']}, truly {record.status}")
            elif record.status == "present":
                for path, value in record.fields.items():
                    if value is None and row["fields"].get(path.partition(".")[0]) is not None:
                        continue  # a name that is one text has no parts
                    if path not in row["fields"]:
                        found.append(f"{record_id}.{path} is unknown, truly {value!r}")
                    elif row["fields"][path] != value:
                        found.append(f"{record_id}.{path} is {row['fields'][path]!r}, truly {value!r}")
        return found + [f"{record_id} was never there" for record_id in held]

    def wrong_claims(self, at_ms: int, entity: str = "Account") -> list[str]:
        """What the journal claims to know of a time and that was not so. What it calls unknown is not wrong."""
        entities = {entity, *(member.entity for _, member in self.org.bus.channels.members())}
        truth = self.org.truth.state(entity, self.org.truth.index_at(at_ms, sorted(entities)))
        wrong = []
        for record_id, row in self.states(entity, at_ms).items():
            record = truth.get(record_id)
            if row["inferred_since"] is not None:
                continue
            if record is None:
                if row["status"] == "present":
                    wrong.append(f"{record_id} was not there")
                continue
            if row["status"] not in ("unknown", record.status):
                wrong.append(f"{record_id} was {record.status}, said to be {row['status']}")
            for path, value in row["fields"].items():
                if row["status"] == "present" and record.fields.get(path, value) != value:
                    wrong.append(f"{record_id}.{path} was {record.fields[path]!r}, said to be {value!r}")
        return wrong

    def stretches(self, where: str = "status <> 'live'") -> list[dict[str, Any]]:
        with self.journal.reader() as reader:
            result = reader.execute(
                f"SELECT * FROM store.coverage_now WHERE {where} ORDER BY from_at, stretch_id"
            )
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@dataclass
class Between:
    """An `Org` that lets something happen between two pages of a query, and before a re-read."""

    org: SalesforceOrg
    happen: Callable[[str, int], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.org, name)

    async def query(self, soql: str, **more: Any) -> AsyncIterator[Any]:
        number = 0
        async for page in self.org.query(soql, **more):
            number += 1
            yield page
            self.happen(soql, number)


async def made_recorder(world: World, options: CaptureOptions) -> Recorder:
    endpoint = world.simulator.wire.pubsub_address
    source = PubSubSource(world.session, PubSubOptions(endpoint, tls=False, dead_after_s=30))
    org = SalesforceOrg(world.session)
    clock = Clock(sleep=lambda seconds: asyncio.sleep(seconds / FASTER))
    return Recorder(options, world.log, source, org, Metrics(), clock, org.bulk, org.metadata)


@asynccontextmanager
async def recorded(
    folder: Path, *, records: int = 300, knobs: Knobs | None = None, members: Sequence[str] | None = None,
    seed: int = 7, started: bool = True, users: int = 5, kafka: str = "", **options: Any,
) -> AsyncIterator[World]:  # fmt: skip
    """The org with its recorder running; stopped at the end. `members`: entities selected for change capture.
    `kafka`: a broker's address, in place of the embedded log."""
    plan = Plan(users=users, records=records, knobs=knobs or Knobs.cruel(), speed=SPEED)
    simulator = Simulator(
        SimulatorOptions(
            "127.0.0.1:0", "127.0.0.1:0", plan=plan, seed=seed, wire=WireOptions(keepalive_s=0.1)
        )
    )
    if members is not None:
        simulator.org.bus.channels.set_members("ChangeEvents", tuple(Member(e) for e in members))
    await simulator.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(simulator.stop)
        app = simulator.wire.app
        login = Credentials(
            AuthMethod.CLIENT_CREDENTIALS, login_url=simulator.wire.instance_url, client_id=app.client_id,
            client_secret=Secret("client_secret", value=app.client_secret),
        )  # fmt: skip
        session = Session(login, SessionOptions(login_interval_s=0))
        stack.push_async_callback(session.close)
        log: Log = EmbeddedLog("acme", folder / "log.sqlite")
        if kafka:
            log = KafkaLog("acme", KafkaLogOptions(kafka, f"scans.{uuid.uuid4().hex}", partitions=3))
        requested: list[dict[str, Any]] = []

        def request(jobs: list[dict[str, Any]]) -> None:
            requested.extend(jobs)
            log.publish([Job(**{**job, "record_ids": tuple(job["record_ids"])}).to_record() for job in jobs])

        journal = DuckJournal(
            str(folder / "journal.duckdb"), "acme", threads=1, definitions=definitions(), on_requests=request
        )
        given = CaptureOptions("acme", "test", (ALL,), **options)
        world = World(folder, simulator, given, session, log, journal, None, requested)  # type: ignore[arg-type]
        world.recorder = await made_recorder(world, given)
        journal.open()
        stack.callback(world.close)
        world.follow()
        if started:
            await world.start()
            stack.push_async_callback(world.stop)
        yield world
