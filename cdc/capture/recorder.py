"""The recorder's life: open, recover, record, drain, close. One per org.

Start order (reliability.md, "Capture to Kafka"): fence any twin, then read the positions, then subscribe from
them; the other order lets a dying twin commit after the read. Each channel is a task of its own with its own
back-off; one queue leads to one writer, and a full queue stops the channels from asking for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cdc.avro.own import RECORD_STATE_SCHEMA_ID
from cdc.capture.backoff import Backoff
from cdc.capture.channel import Channel, ChannelState
from cdc.capture.options import (
    QUEUED_EVENTS_MAX,
    SEEN_PAIRS_RESTORED_MAX,
    TRANSACTION_GATHER_MS,
    TRANSACTION_RECORDS_MAX,
    CaptureOptions,
)
from cdc.capture.orgclock import OrgClock
from cdc.capture.scan import Scanner
from cdc.capture.scheduler import Scheduler
from cdc.capture.writer import Control, Item, Rows, Writer, Written
from cdc.errors import LogUnavailable, RetryLater, SettingsError
from cdc.logs import Event, logger
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import Log
from cdc.ports.org import Org
from cdc.ports.source import Delivery, Source
from cdc.ports.types import Ordinal


@dataclass(slots=True)
class Envelope:
    """An item on its way to the writer; `done` is set when it is committed."""

    item: Item
    done: asyncio.Future[None] | None = None


@dataclass(slots=True)
class Recorder:
    """Records an org's channels and runs its scans until `stop` is set. Errors: the StopProcess classes."""

    options: CaptureOptions
    log: Log
    source: Source
    org: Org
    metrics: Metrics
    clock: Clock = field(default_factory=Clock)
    writer: Writer = field(init=False)
    channels: dict[str, Channel] = field(init=False, default_factory=dict)
    org_clock: OrgClock = field(init=False)
    scheduler: Scheduler = field(init=False)
    _queue: asyncio.Queue[Envelope] = field(init=False)
    _log_thread: ThreadPoolExecutor = field(init=False)
    org_logger: Any = field(init=False)

    def __post_init__(self) -> None:
        self._queue = asyncio.Queue(QUEUED_EVENTS_MAX // 100)
        self._log_thread = ThreadPoolExecutor(1, thread_name_prefix="log-writer")
        self.org_logger = logger(role="capture", org=self.options.org)
        self.writer = Writer(
            self.options.org,
            self.log,
            self.metrics,
            self.clock,
            record_state_schema_id=RECORD_STATE_SCHEMA_ID,
        )
        self.org_clock = OrgClock(self.org, self.clock, self.metrics)
        scanner = Scanner(self.org, self.put, self.last_ordinal, self.org_clock.seen, self.org_logger)
        self.scheduler = Scheduler(self, scanner)

    async def run(self, stop: asyncio.Event) -> None:
        await self._open()
        writer = asyncio.create_task(self._write_loop(), name="writer")
        work = [asyncio.create_task(channel.run(), name=name) for name, channel in self.channels.items()]
        work += [
            asyncio.create_task(self.scheduler.run(), name="scans"),
            asyncio.create_task(self.org_clock.run(self), name="org-clock"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        self.org_logger.info(Event.ROLE_STARTED, channels=list(self.channels), ordinal=self.last_ordinal())
        try:
            running = {writer, stopped, *work}
            while stopped in running:
                # A channel that stopped for good ends its task without an error; the others go on.
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            await self._close(writer, [*work, stopped])

    async def _open(self) -> None:
        await self._in_log_thread(self._fence)
        self.org_logger.info(Event.ROLE_STARTED, step="fenced", ordinal=self.last_ordinal())
        await self.source.open()
        members = await self._retrying_members()
        self._refuse_two_roads(members)
        self.scheduler.set_entities(members)
        for name in (*self.options.channels, *self.options.platform_events):
            self.channels[name] = Channel(name, self)

    def _fence(self) -> None:
        self.writer.open(self.options.owner)
        for pair in self.log.recent(SEEN_PAIRS_RESTORED_MAX):
            self.writer.builder.seen.add(pair)

    async def _retrying_members(self) -> dict[str, tuple[str, ...]]:
        """Entities each configured channel carries; waits while the org is away."""
        backoff = Backoff()
        while True:
            try:
                return await self.scheduler.members(self.options)
            except RetryLater as error:
                self.org_logger.warning(Event.CHANNEL_RETRY, step="members", error=error.sentence())
                await self.clock.sleep(backoff.pause_s(error.retry_after_s))

    def _refuse_two_roads(self, members: dict[str, tuple[str, ...]]) -> None:
        """An entity reachable through two configured channels has no order between them."""
        roads: dict[str, list[str]] = {}
        for channel, entities in members.items():
            for entity in entities:
                roads.setdefault(entity, []).append(channel)
        for entity, channels in roads.items():
            if len(channels) > 1:
                raise SettingsError(
                    f"{entity} is reachable through {' and '.join(sorted(channels))}, which have no order between them",
                    where="salesforce.channels",
                    do="configure one of them",
                )

    # -- the way in ---------------------------------------------------------------------------------------

    async def put(self, item: Item) -> None:
        """Hand an item to the writer; returns when it is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(Envelope(item, done))
        await done

    async def put_soon(self, item: Item) -> None:
        """Hand an item to the writer; waits only for room in the queue."""
        await self._queue.put(Envelope(item))

    def last_ordinal(self) -> Ordinal:
        return self.writer.last_ordinal

    # -- the writer ---------------------------------------------------------------------------------------

    async def _write_loop(self) -> None:
        while True:
            envelopes = await self._gather()
            try:
                await self._commit([e.item for e in envelopes])
            except BaseException as error:
                for envelope in envelopes:
                    if envelope.done and not envelope.done.done():
                        envelope.done.set_exception(error)
                        envelope.done.exception()  # the waiter may be gone by now
                raise
            for envelope in envelopes:
                if envelope.done and not envelope.done.done():
                    envelope.done.set_result(None)

    async def _gather(self) -> list[Envelope]:
        """What is there, or comes within a moment, up to one transaction's worth."""
        envelopes = [await self._queue.get()]
        records = _weight(envelopes[0])
        deadline = self.clock.monotonic_s() + TRANSACTION_GATHER_MS / 1000
        while records < TRANSACTION_RECORDS_MAX:
            try:
                envelope = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = deadline - self.clock.monotonic_s()
                if left <= 0 or any(e.done for e in envelopes):
                    break
                await asyncio.sleep(min(left, 0.005))
                continue
            envelopes.append(envelope)
            records += _weight(envelope)
        return envelopes

    async def _commit(self, items: Sequence[Item]) -> Written:
        """One transaction, tried until the log takes it; the queue fills meanwhile, and the channels stop asking."""
        backoff = Backoff(max_s=10.0)
        while True:
            try:
                written: Written = await self._in_log_thread(self.writer.write, items)
                return written
            except LogUnavailable as error:
                self.org_logger.warning(Event.LOG_RETRY, error=error.sentence(), attempt=backoff.attempt)
                await self.clock.sleep(backoff.pause_s(error.retry_after_s))

    async def _in_log_thread(self, call: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._log_thread, call, *args)

    async def _close(self, writer: asyncio.Task[None], work: list[asyncio.Task[Any]]) -> None:
        """Stop taking, write what was taken, release the log. What is not written is asked for again next time."""
        self.scheduler.stop()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        if not writer.done():
            flush = asyncio.create_task(self.put(Control(())))
            await asyncio.wait({writer, flush}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            flush.cancel()
            writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        self._log_thread.shutdown(wait=True)
        await self.source.close()
        self.org_logger.info(Event.ROLE_STOPPED, ordinal=self.last_ordinal())

    def states(self) -> dict[str, ChannelState]:
        """How each channel is doing, for status and metrics."""
        return {name: channel.state for name, channel in self.channels.items()}


def _weight(envelope: Envelope) -> int:
    item = envelope.item
    if isinstance(item, Delivery):
        return len(item.events)
    return len(item.states) if isinstance(item, Rows) else 1
