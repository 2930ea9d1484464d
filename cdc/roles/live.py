"""`cdc run`, `cdc capture`, `cdc journal`, `cdc detect`: the same parts, in one process or alone.

They share only the log. In one process a single reader decodes its bytes once and hands the columns to the
journal and to the detector (`cdc/log/follow.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.capture.jobs import Job
from cdc.capture.recorder import Recorder
from cdc.change.masking import Masked
from cdc.errors import CdcError, JournalLocked, LogUnavailable, Undecodable
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake, is_lake
from cdc.log.follow import Follower, StoreFollower, follow
from cdc.logs import Event, logger
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.columns import Bad, ColumnBatch
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, Log, LogBatch, LogRecord
from cdc.ports.types import Ordinal, SchemaId
from cdc.roles.access_watch import AccessWatch
from cdc.roles.build import (
    beside_journal,
    capture_options,
    detector_options,
    make_journal,
    make_log,
    make_org,
    make_prefix,
    make_session,
    make_source,
)
from cdc.roles.drill_schedule import keep_drilling
from cdc.roles.gauges import keep_gauges
from cdc.roles.lake import LakeWorker, lake_worker, where_first
from cdc.roles.notify import notifying
from cdc.roles.process import Life, Worker, calm_the_collector
from cdc.roles.recovering import make_recovery
from cdc.roles.verifying import keep_verified
from cdc.serve.app import Door, make_app
from cdc.serve.auth import load_tokens
from cdc.serve.running import Runner, metrics_app
from cdc.settings import Settings
from cdc.troubles import Troubles, last_words, say_last_words
from connectors.salesforce.session import Session


async def live(
    settings: Settings,
    *,
    capture: bool = False,
    journal: bool = False,
    detect: bool = False,
    config: str = "",
) -> None:
    """Run the parts asked for until a signal, or until one of them cannot go on. Errors: StopProcess classes.

    `config` is the settings file, for processes that are begun from here.
    """
    metrics, clock = Metrics(), Clock()
    life = Life(Troubles(metrics, clock))
    life.begin()
    calm_the_collector()
    try:
        await _live(
            settings, life, metrics, clock, capture=capture, journal=journal, detect=detect, config=config
        )
    except CdcError as error:
        if not isinstance(
            error, JournalLocked
        ):  # what the process that holds it has to say is not this one's to change
            say_last_words(beside_journal(settings), error, clock.wall_ms)
        raise
    say_last_words(beside_journal(settings), None, clock.wall_ms)


async def _live(
    settings: Settings,
    life: Life,
    metrics: Metrics,
    clock: Clock,
    *,
    capture: bool,
    journal: bool,
    detect: bool,
    config: str,
) -> None:
    log = make_log(settings)
    try:
        async with contextlib.AsyncExitStack() as parts:
            store = parts.enter_context(_journal(settings, log, life)) if journal else None
            followers: list[Follower] = []
            if store and isinstance(store.journal, DuckJournal):
                followers.append(StoreFollower(store.journal, store.checkpoint))
            if detect and (settings.detect.enabled or not (capture or journal)):
                followers.append(parts.enter_context(_detector(settings, log)))
            if followers:
                parts.enter_context(_reader(log, followers, life))
            if detect:
                await parts.enter_async_context(notifying(settings, log, metrics, clock, life))
            await parts.enter_async_context(_door(settings, log, store, life, metrics, clock))
            recorder = None
            if capture:
                session = await parts.enter_async_context(make_session(settings.salesforce))
                recorder = make_recorder(settings, session, log, metrics, clock, life.troubles)
            if store:
                for make in _beside(settings, config, store, log, clock):
                    work = make() if store.worker is None else where_first(store.worker, make)
                    parts.push_async_callback(_cancelled, asyncio.create_task(work))
            await _until_stopped(settings, life, recorder, store, metrics)
    finally:
        log.close()
    if life.failure:
        raise life.failure


def _beside(
    settings: Settings, config: str, store: Store, log: Log, clock: Clock
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What one process does beside its journal; of several workers, one."""
    watch = AccessWatch(settings.org.alias, store.journal.reader, log.publish)
    return (
        lambda: keep_drilling(settings, config, store.journal.reader, clock),
        lambda: watch.run(clock),
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _until_stopped(
    settings: Settings, life: Life, recorder: Recorder | None, store: Store | None, metrics: Metrics
) -> None:
    journal = store.journal if store else None
    beside = [asyncio.create_task(keep_gauges(settings, recorder, journal, metrics))]
    if recorder is not None and journal is not None:
        beside.append(asyncio.create_task(keep_verified(settings, recorder, journal)))
    try:
        if recorder is None:
            logger().info(Event.ROLE_STARTED, pid=os.getpid())
            await life.stop.wait()
            return
        try:
            await recorder.run(life.stop)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            life.fail(error)
    finally:
        for task in beside:
            task.cancel()


# -- the parts ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Store:
    """The open journal and how far it had read the log."""

    journal: DuckJournal | Lake
    checkpoint: Checkpoint
    worker: LakeWorker | None = None


@contextlib.contextmanager
def _journal(settings: Settings, log: Log, life: Life) -> Iterator[Store]:
    def request(jobs: list[dict[str, Any]]) -> None:
        log.publish(
            [Job(**{**job, "record_ids": tuple(job.get("record_ids", ()))}).to_record() for job in jobs]
        )
        for job in jobs:
            logger().info(Event.REQUEST_MADE, job=job["job_id"], entity=job["entity"])

    def put_aside(bad: Bad) -> None:
        record = bad.record
        where = f"{record.topic}, ordinal {record.ordinal}"
        life.troubles.metrics.quarantined.inc()
        life.troubles.note(Undecodable(bad.reason, where=where, do="see `quarantine` in `cdc query`"))
        logger().warning(Event.EVENT_QUARANTINED, topic=record.topic, ordinal=record.ordinal)

    writing: dict[str, Any] = {
        "schema_text": _schema_text(log),
        "on_requests": request,
        "on_put_aside": put_aside,
        "raw": lambda after, ordinal: record_behind(log, after, ordinal),
    }
    if is_lake(settings.journal.path):
        with lake_worker(settings, log, life, **writing) as found:
            yield Store(found[0], Checkpoint(), found[1])
        return
    store = make_journal(settings, on_fatal=life.fail, on_seal_error=_seal_failed, **writing)
    checkpoint = store.open()
    logger().info(Event.JOURNAL_OPENED, path=settings.journal.path, ordinal=checkpoint.ordinal)
    try:
        yield Store(store, checkpoint)
    finally:
        store.close()


def record_behind(log: Log, after: Checkpoint, ordinal: Ordinal) -> LogRecord | None:
    """The log's own record of a number, read again; None where it is not there any more."""
    batches = log.batches(after, idle_s=1.0)
    try:
        for batch in batches:
            for record in batch.records:
                if record.topic not in CONTROL_TOPICS and record.ordinal >= ordinal:
                    return record if record.ordinal == ordinal else None
            if not batch.records and batch.missing is None:
                return None
    except LogUnavailable:
        return None
    finally:
        if isinstance(batches, Generator):
            batches.close()
    return None


def _seal_failed(error: BaseException) -> None:
    logger().warning(Event.SEAL_FAILED, error=str(error))


@contextlib.contextmanager
def _detector(settings: Settings, log: Log) -> Iterator[Any]:
    from cdc.detect.announced import windows_of
    from cdc.detect.reader import DetectorFollower

    detector = DetectorFollower(
        settings.org.alias, settings.detect.state_path, log.publish, **detector_options(settings)
    )
    if settings.detect.calendar:
        for window in windows_of(settings.detect.calendar):
            detector.detector.announce(window)
    try:
        yield detector
    finally:
        detector.close()


@contextlib.contextmanager
def _reader(log: Log, followers: list[Follower], life: Life) -> Iterator[None]:
    """One thread reads the log, decodes once, and feeds all followers."""
    schemas = SchemaStore(_schema_text(log))

    def decode(batch: LogBatch) -> ColumnBatch:
        return decode_batch(batch, schemas)

    def work(stop: threading.Event) -> None:
        start = min((f.checkpoint for f in followers), key=lambda c: c.ordinal)
        follow(log, start, decode, followers, stop)

    worker = Worker("log-reader", work, life)
    worker.start()
    try:
        yield
    finally:
        worker.close()


@contextlib.contextmanager
def journal_alone(settings: Settings, log: Log) -> Iterator[Any]:
    """The journal fed from the log, without API or capture: its reader. Errors: JournalLocked."""
    life = Life()
    life.begin()
    with _journal(settings, log, life) as store:
        if not isinstance(store.journal, DuckJournal):
            yield store.journal.reader
        else:
            with _reader(log, [StoreFollower(store.journal, store.checkpoint)], life):
                yield store.journal.reader
    if life.failure:
        raise life.failure


def _schema_text(log: Log) -> Any:
    return lambda schema_id: log.schema(SchemaId(schema_id))


@asynccontextmanager
async def _door(
    settings: Settings, log: Log, store: Store | None, life: Life, metrics: Metrics, clock: Clock
) -> AsyncIterator[None]:
    """The API beside the journal; health and metrics alone for a role without it."""

    async def request_baseline(entity: str) -> str:
        job = Job(
            job_id=f"baseline-{entity}-{clock.wall_ms()}",
            kind="baseline",
            entity=entity,
            reason="asked for",
            requested_by="a person",
            requested_at=clock.wall_ms(),
        )
        await asyncio.to_thread(log.publish, [job.to_record()])
        return job.job_id

    if store is None:
        runner = Runner(_no_journal(metrics), settings.metrics.listen)
        await runner.serve(metrics_app(metrics))
    else:
        tokens = load_tokens(settings.api.tokens_file, settings.api.token_file)
        recovery = make_recovery(settings, log.publish, store.journal.reader, metrics, clock)
        door = Door(
            store.journal.reader,
            tokens,
            metrics,
            request_baseline=request_baseline,
            journal=store.journal,
            recovery=recovery,
            masked=Masked(settings.privacy.masked),
            troubles=lambda: (life.troubles,),
            ended=last_words(beside_journal(settings), clock.wall_ms),
        )
        runner = Runner(door, settings.api.listen)
        await runner.serve(make_app(door))
    try:
        yield
    finally:
        if runner.door.recovery is not None:
            await runner.door.recovery.close()
        await runner.close()


def _no_journal(metrics: Metrics) -> Door:
    from cdc.serve.auth import Tokens

    return Door(contextlib.nullcontext, Tokens(()), metrics)


def make_recorder(
    settings: Settings, session: Session, log: Log, metrics: Metrics, clock: Clock, troubles: Troubles
) -> Recorder:
    org = make_org(settings.salesforce, session, metrics)
    owner = f"{socket.gethostname()}:{os.getpid()}"

    async def org_id() -> str:
        return (await session.token()).org_id

    return Recorder(
        capture_options(settings, owner),
        log,
        make_source(settings.salesforce, session, metrics),
        org,
        metrics,
        clock,
        org.bulk,
        org.metadata,
        prefix=make_prefix(settings, troubles.note),
        noted=troubles,
        org_id=org_id,
    )
