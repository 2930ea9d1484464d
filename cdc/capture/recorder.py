"""The recorder's life: open, recover, record, drain, close. One per org.

Start order (reliability.md, "Capture to Kafka"): fence any twin, then read the positions, then subscribe from
them; the other order lets a dying twin commit after the read. Each channel is a task of its own with its own
back-off; one queue leads to one writer, and a full queue stops the channels from asking for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.avro.own import RECORD_STATE_SCHEMA_ID
from cdc.avro.schema import EventSchema
from cdc.capture.backoff import Backoff, Turns
from cdc.capture.channel import Channel, ChannelState, Standing
from cdc.capture.claim import claim
from cdc.capture.holes import Holes
from cdc.capture.members import MemberWatch
from cdc.capture.options import (
    QUEUED_BYTES_MAX,
    QUEUED_EVENTS_MAX,
    SEEN_PAIRS_MAX,
    SEEN_PAIRS_RESTORED_MAX,
    TRANSACTION_BYTES_MAX,
    TRANSACTION_GATHER_MS,
    TRANSACTION_RECORDS_MAX,
    CaptureOptions,
)
from cdc.capture.orgclock import OrgClock
from cdc.capture.poll import POLLED, Poller
from cdc.capture.queue import Weight, WorkQueue
from cdc.capture.records import KnownSchema, Prefix, single_object
from cdc.capture.scan import Scanner
from cdc.capture.scheduler import Scheduler
from cdc.capture.setup import SetupPoller
from cdc.capture.writer import Control, Item, Rows, Stands, Writer, Written
from cdc.change.setup_kinds import KIND_OF
from cdc.errors import LogUnavailable, RetryLater
from cdc.logs import Event, logger
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import Log
from cdc.ports.metadata import OrgMetadata
from cdc.ports.org import Org, OrgBulk
from cdc.ports.source import Delivery, Source
from cdc.ports.types import Ordinal, SchemaId
from cdc.troubles import Troubles


@dataclass(slots=True)
class Envelope:
    """An item on its way to the writer; `done` is set when it is committed."""

    item: Item
    weight: Weight
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
    bulk: OrgBulk | None = None
    metadata: OrgMetadata | None = None
    writer: Writer = field(init=False)
    channels: dict[str, Channel] = field(init=False, default_factory=dict)
    org_clock: OrgClock = field(init=False)
    scheduler: Scheduler = field(init=False)
    members: MemberWatch = field(init=False)
    reconnects: Turns = field(init=False)
    holes: Holes = field(default_factory=Holes)
    prefix: Prefix = single_object
    noted: Troubles | None = None  # shared with the rest of the process
    org_id: Callable[[], Awaitable[str]] | None = None  # of the login, once there is one
    troubles: Troubles = field(init=False)
    _queue: WorkQueue[Envelope] = field(init=False)
    _log_thread: ThreadPoolExecutor = field(init=False)
    org_logger: Any = field(init=False)

    def __post_init__(self) -> None:
        self._queue = WorkQueue(QUEUED_EVENTS_MAX, QUEUED_BYTES_MAX)
        self.reconnects = Turns(self.clock)
        self.troubles = self.noted or Troubles(self.metrics, self.clock)
        self._log_thread = ThreadPoolExecutor(1, thread_name_prefix="log-writer")
        self.org_logger = logger(role="capture", org=self.options.org)
        self.writer = Writer(
            self.options.org,
            self.log,
            self.metrics,
            self.clock,
            record_state_schema_id=RECORD_STATE_SCHEMA_ID,
            prefix=self.prefix,
        )
        self.org_clock = OrgClock(self.org, self.clock, self.metrics, self.troubles)
        scanner = Scanner(
            self.org, self.bulk, self.put, self.last_ordinal, self.org_clock.seen, self.org_logger,
            self.options.bulk_from_rows,
        )  # fmt: skip
        self.scheduler = Scheduler(self, scanner)
        self.members = MemberWatch(self)

    async def run(self, stop: asyncio.Event) -> None:
        await self._in_log_thread(self._fence)
        self.org_logger.info(Event.ROLE_STARTED, step="fenced", ordinal=self.last_ordinal())
        writer = asyncio.create_task(self._write_loop(), name="writer")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        work = [asyncio.create_task(self._begin(), name="begin")]
        try:
            await _until_done(work[0], writer, stopped)
            if not stopped.done():
                work = self._work()
                await _until_done(stopped, writer, *work)
        finally:
            await self._close(writer, [*work, stopped])

    async def _begin(self) -> None:
        """Log in, and know what the channels carry, before anything is subscribed to."""
        await self._log_in()
        if self.org_id is not None:
            await claim(self, await self.org_id())
        names = (*self.options.channels, *self.options.platform_events)
        await self._switch_off(set(names))
        await self.members.open()
        self.channels.update((name, Channel(name, self)) for name in names)

    def _work(self) -> list[asyncio.Task[None]]:
        self.org_logger.info(Event.ROLE_STARTED, channels=list(self.channels), ordinal=self.last_ordinal())
        return [
            *(asyncio.create_task(channel.run(), name=name) for name, channel in self.channels.items()),
            asyncio.create_task(self.scheduler.run(), name="scans"),
            asyncio.create_task(Poller(self).run(), name="polls"),
            *(
                [asyncio.create_task(SetupPoller(self).run(), name="setup")]
                if self.options.setup_interval_s
                else []
            ),
            asyncio.create_task(self.org_clock.run(self), name="org-clock"),
            asyncio.create_task(self.members.run(), name="members"),
        ]

    def _fence(self) -> None:
        self.writer.open(self.options.owner, self.log.recent(SEEN_PAIRS_RESTORED_MAX))
        self.holes.read(self.log)

    async def _log_in(self) -> None:
        """Errors: AuthRefused, SettingsError. While the org is away it is tried again."""
        backoff = Backoff()
        while True:
            try:
                await self.source.open()
                return
            except RetryLater as error:
                self.troubles.note(error)
                self.org_logger.warning(Event.CHANNEL_RETRY, step="login", error=error.sentence())
                await self.clock.sleep(backoff.pause_s(error.retry_after_s))

    async def _switch_off(self, wanted: set[str]) -> None:
        """A channel no longer in the settings is not live any more, and says so."""
        polled = {*self.options.poll_entities}
        if self.options.setup_interval_s:
            polled |= KIND_OF.keys()
        for name, position in list(self.writer.positions.channels.items()):
            if name.startswith(POLLED) and name.removeprefix(POLLED) in polled:
                continue
            if name not in wanted and position.standing != Standing.OFF:
                trouble = "the channel is no longer in the settings: nothing of it is recorded."
                await self.put(Stands(name, Standing.OFF, trouble, ends_live=True))

    async def remember(self) -> None:
        """Everything the memory of repeats can hold, from the log: all that is retained will come again."""

        def read() -> None:
            for pair in self.log.recent(SEEN_PAIRS_MAX):
                self.writer.builder.seen.add(pair)

        try:
            await self._in_log_thread(read)
        except LogUnavailable as error:
            self.org_logger.warning(Event.LOG_RETRY, error=error.sentence(), step="remember")

    async def kept(self, key: str) -> str | None:
        """What the log holds under a key of its `schemas` topic. Errors: LogUnavailable."""
        return await asyncio.to_thread(self.log.schema, SchemaId(key))

    async def framed(self, schema: EventSchema) -> KnownSchema:
        """The schema with the bytes before its bodies. Errors: Undecodable; LogUnavailable of a registry."""
        known = KnownSchema.of(schema)
        if self.prefix is single_object:
            return known
        prefix = await asyncio.to_thread(self.prefix, known.topic, schema.json_text)
        return replace(known, prefix=prefix)

    # -- the way in ---------------------------------------------------------------------------------------

    async def put(self, item: Item) -> None:
        """Hand an item to the writer; returns when it is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._enqueue(Envelope(item, _weight(item), done))
        await done

    async def put_soon(self, item: Item) -> None:
        """Hand an item to the writer; waits only for room in the queue."""
        await self._enqueue(Envelope(item, _weight(item)))

    async def _enqueue(self, envelope: Envelope) -> None:
        await self._queue.put(envelope, envelope.weight)
        self.metrics.queue_events.set(self._queue.events)
        self.metrics.queue_bytes.set(self._queue.bytes)

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
        records, size = envelopes[0].weight
        deadline = self.clock.monotonic_s() + TRANSACTION_GATHER_MS / 1000
        while records < TRANSACTION_RECORDS_MAX and size < TRANSACTION_BYTES_MAX:
            try:
                envelope = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = deadline - self.clock.monotonic_s()
                if left <= 0 or any(e.done for e in envelopes):
                    break
                await asyncio.sleep(min(left, 0.005))
                continue
            envelopes.append(envelope)
            records += envelope.weight.events
            size += envelope.weight.bytes
        self.metrics.queue_events.set(self._queue.events)
        self.metrics.queue_bytes.set(self._queue.bytes)
        return envelopes

    async def _commit(self, items: Sequence[Item]) -> Written:
        """One transaction, tried until the log takes it; the queue fills meanwhile, and the channels stop asking."""
        backoff = Backoff(max_s=10.0)
        while True:
            try:
                written: Written = await self._in_log_thread(self.writer.write, items)
                self.metrics.seen_pairs.set(len(self.writer.builder.seen))
                return written
            except LogUnavailable as error:
                self.troubles.note(error)
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


def _weight(item: Item) -> Weight:
    if isinstance(item, Delivery):
        return Weight(len(item.events), sum(len(event.payload) for event in item.events))
    if isinstance(item, Rows):
        return Weight(len(item.states), sum(len(value) for _, value, _ in item.states))
    return Weight(1, 0)


async def _until_done(what: asyncio.Task[Any], *others: asyncio.Task[Any]) -> None:
    """Until `what` is done, or the task named stop is. Raises what any of them fails with."""
    running = {what, *others}
    while what in running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if any(task.get_name() == "stop" for task in done):
            return
