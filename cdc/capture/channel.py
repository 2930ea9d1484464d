"""One channel: take deliveries, see to their schemas, hand them on; come back after every kind of failure.

What it does on each class of error (reliability.md, "Capture to Kafka"):
  SourceSilent         an alarm of its own, which stands until something comes; else as RetryLater
  RetryLater           pause with jitter, go on from the stored position, never from the tip
  DeliveryLimitReached growing pauses of at most 15 minutes
  PositionLost         a lost stretch from the last position to now, on from the oldest retained, repairs requested
                       (of another transport: on from the tip, since what is retained was recorded already)
  ChannelStopped       this channel stops and says why; the others go on. It looks again in growing pauses of at
                       most 15 minutes: once somebody has removed the cause nobody has to restart anything
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cdc.avro.schema import EventSchema
from cdc.capture.backoff import RECONNECT_FIRST_S, Backoff
from cdc.capture.holes import coverage_record, stretch
from cdc.capture.options import DELIVERY_LIMIT_PAUSE_MAX_S, SCHEMA_ASKED_MAX, STOPPED_PAUSE_MAX_S
from cdc.capture.records import KnownSchema
from cdc.capture.writer import LIVE, Control, Keepalive, Restart, Stands
from cdc.errors import (
    CdcError,
    ChannelStopped,
    DeliveryLimitReached,
    PositionLost,
    RetryLater,
    SourceSilent,
    SourceUnavailable,
    Undecodable,
)
from cdc.logs import Event, logger
from cdc.ports.log import LogRecord
from cdc.ports.source import TRANSPORT_CHANGED, Delivery, Start
from cdc.ports.types import Millis, ReplayId, SchemaId

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder


class Standing(StrEnum):
    """What a channel is doing."""

    OPENING = "opening"
    LIVE = LIVE
    RETRYING = "retrying"
    LIMITED = "limited"  # the org's delivery allocation is used up
    STOPPED = "stopped"
    OFF = "off"  # no longer in the settings


@dataclass(slots=True)
class ChannelState:
    """For people: what the channel is doing, since when it last heard anything (wall clock), and the last trouble."""

    standing: Standing = Standing.OPENING
    heard_at: Millis = Millis(0)
    trouble: str = ""


@dataclass(slots=True)
class Channel:
    """Runs until its task is cancelled."""

    name: str
    recorder: Recorder
    state: ChannelState = field(default_factory=ChannelState)
    _from_oldest: bool = False
    _silent: bool = False  # nothing comes, until something does; a service that only answers does not end it
    _left: PositionLost | None = (
        None  # why a position of another transport is left, until the tip is followed
    )
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=RECONNECT_FIRST_S))
    _limited: Backoff = field(default_factory=lambda: Backoff(first_s=60.0, max_s=DELIVERY_LIMIT_PAUSE_MAX_S))
    _stopped: Backoff = field(default_factory=lambda: Backoff(first_s=60.0, max_s=STOPPED_PAUSE_MAX_S))
    log: Any = field(init=False)

    def __post_init__(self) -> None:
        self.log = logger(channel=self.name)

    async def run(self) -> None:
        position = self.recorder.writer.reached(self.name).position
        # Recorded before and nothing to resume from: a restart between a lost position and the first one after it.
        self._from_oldest = position.replay_id is None and position.passed_to > 0
        while True:
            after = self._start()
            try:
                await self._follow(after)
                raise SourceUnavailable("the stream ended", where=self.name, do="it resumes by itself")
            except PositionLost as error:
                pause_s = await self._position_lost(error, after)
            except ChannelStopped as error:
                pause_s = await self._stop(error)
            except RetryLater as error:
                pause_s = await self._retry(error)
            await self.recorder.clock.sleep(pause_s)
            await self.recorder.put(Control(()))  # all that was taken is written before the position is read
            await self.recorder.reconnects.turn()

    def _start(self) -> ReplayId | Start:
        reached = self.recorder.writer.reached(self.name)
        if self._left is not None:
            return Start.LATEST
        if reached.position.replay_id is not None:
            return reached.position.replay_id
        if self._from_oldest:
            return Start.EARLIEST
        # A first event that nothing has followed yet is no stored position, but it is a better place than the tip.
        return reached.group or self.recorder.options.start

    async def _follow(self, after: ReplayId | Start) -> None:
        """Take deliveries until the stream fails or ends; it is closed at once, not when somebody cleans up."""
        deliveries = self.recorder.source.deliveries(self.name, after)
        try:
            async for delivery in deliveries:
                if self._left is not None:
                    await self._begin_anew(self._left)
                    self._left = None
                await self._take(delivery)
                self._silent = self._silent and not (delivery.events or delivery.position)
                if self.state.standing is not Standing.LIVE and not self._silent:
                    await self._opened(after)
                self.state.heard_at = delivery.received_at
                for backoff in (self._backoff, self._limited, self._stopped):
                    backoff.reset()
        finally:
            if isinstance(deliveries, AsyncGenerator):
                await deliveries.aclose()

    # -- what comes -----------------------------------------------------------------------------------------

    async def _take(self, delivery: Delivery) -> None:
        self.recorder.metrics.last_keepalive.labels(self.name).set(delivery.received_at / 1000)
        if not delivery.events:
            await self.recorder.put_soon(Keepalive(delivery, self.recorder.org_clock.latest))
            return
        known = self.recorder.writer.known
        for schema_id in {event.schema_id for event in delivery.events}:
            if schema_id not in known:
                await self._learn_schema(schema_id)
            found = known.get(schema_id)
            if isinstance(found, KnownSchema):
                self.recorder.members.noticed(self.name, found.schema.entity)
        await self.recorder.put_soon(delivery)

    async def _opened(self, after: ReplayId | Start) -> None:
        """It delivers: stretches during which the channel stood still are closed."""
        self.log.info(Event.CHANNEL_OPENED)
        self.recorder.metrics.silent_since.labels(self.name).set(0)
        self.state = ChannelState(Standing.LIVE, self.state.heard_at)
        records: list[LogRecord] = []
        for told in self.recorder.holes.of_channel(self.name):
            if isinstance(after, Start):
                records += await self._lost_until_now(told)
            else:
                records += self.recorder.holes.close(
                    told["stretch_id"],
                    self.recorder.org_clock.now(),
                    without_loss="recording resumed from the stored position",
                )
        if records:
            self.log.info(Event.CHANNEL_RESUMED)
        await self.recorder.put_soon(Stands(self.name, Standing.LIVE, control=records))

    async def _lost_until_now(self, told: dict[str, Any]) -> list[LogRecord]:
        """A channel that stood still and had no position to resume from: what came in between is not here."""
        until = await self.recorder.org_clock.ask()
        anchor, reason = Millis(told["from_at"]), str(told["reason"])
        return [
            *self.recorder.holes.close(told["stretch_id"], until),
            *self.recorder.scheduler.repairs(self.name, anchor, reason),
        ]

    async def _learn_schema(self, schema_id: SchemaId) -> None:
        """Have the schema in the log before the first event that needs it. An unknown one sends events to quarantine
        (`relearn` asks for it again).

        While schemas cannot be had the stream is kept and nothing more is taken: to come back would be
        delivered, and counted by the org, once more.
        """
        known, clock = self.recorder.writer.known, self.recorder.clock
        pauses, asked = Backoff(first_s=1.0, max_s=30.0), 0
        while True:
            asked += 1
            try:
                text = await self.recorder.source.schema(schema_id)
                known[schema_id] = await self.recorder.framed(EventSchema.parse(schema_id, text))
                break
            except (Undecodable, ChannelStopped, RecursionError) as error:
                if asked >= SCHEMA_ASKED_MAX or not isinstance(error, Undecodable | ChannelStopped):
                    known[schema_id] = _sentence(error)
                    return
                await clock.sleep(pauses.pause_s())
            except RetryLater as error:
                self.log.warning(Event.CHANNEL_RETRY, step="schema", error=error.sentence())
                await self._say(Standing.RETRYING, error)
                await clock.sleep(pauses.pause_s(error.retry_after_s))
        await self.recorder.put_soon(
            Control((LogRecord("schemas", schema_id, text.encode(), schema_id=schema_id),))
        )

    # -- what goes wrong ------------------------------------------------------------------------------------

    async def _retry(self, error: RetryLater) -> float:
        limited = isinstance(error, DeliveryLimitReached)
        self.recorder.metrics.resubscribes.labels(error.code or type(error).__name__).inc()
        pauses = self._limited if limited else self._backoff
        pause_s = pauses.pause_s(error.retry_after_s)
        name = Event.CHANNEL_RETRY
        if isinstance(error, SourceSilent):
            name, self._silent = Event.CHANNEL_SILENT, True
            self.recorder.metrics.silent_since.labels(self.name).set(self.recorder.clock.wall_ms() / 1000)
        self.log.warning(name, error=error.sentence(), pause_s=round(pause_s, 1))
        await self._say(Standing.LIMITED if limited else Standing.RETRYING, error)
        return pause_s

    async def _stop(self, error: ChannelStopped) -> float:
        """Said once; then it looks again now and then."""
        recorder = self.recorder
        pause_s = self._stopped.pause_s()
        if self.state.standing is not Standing.STOPPED:
            self.log.error(Event.CHANNEL_STOPPED, error=error.sentence())
            recorder.metrics.gaps.labels("channel_stopped").inc()
            await recorder.put(Control(()))
            position = recorder.writer.reached(self.name).position
            from_at = position.passed_to or await recorder.org_clock.ask()
            told = stretch(
                f"stopped-{self.name}@{from_at}",
                self.name,
                from_at,
                reason=error.sentence(),
                evidence=error.code,
                from_ordinal=recorder.last_ordinal(),
            )
            control = () if recorder.holes.of_channel(self.name) else recorder.holes.open(told)
            await self._say(Standing.STOPPED, error, control)
        return pause_s

    async def _position_lost(self, error: PositionLost, after: ReplayId | Start) -> float:
        """Say what is lost, forget the position, and ask for the repair: a scan of every entity of the channel."""
        recorder = self.recorder
        if isinstance(after, Start):
            # There is nothing left to lose: the service refuses even the oldest, or the newest, of its events.
            return await self._retry(
                SourceUnavailable(
                    error.what, where=error.where, do="it is tried again by itself", code=error.code
                )
            )
        self.log.warning(Event.CHANNEL_LOST, error=error.sentence())
        recorder.metrics.gaps.labels("position_lost").inc()
        recorder.metrics.resubscribes.labels(error.code or type(error).__name__).inc()
        recorder.troubles.note(error)
        if error.code == TRANSPORT_CHANGED:
            self._left = error
            return 0.0
        await recorder.remember()  # everything retained comes again: what is known of it must be at hand
        await self._begin_anew(error)
        self._from_oldest = True
        return self._backoff.pause_s()

    async def _begin_anew(self, error: PositionLost) -> None:
        """The old position is given up in one transaction with what is lost by that, and the request to repair it."""
        recorder = self.recorder
        await recorder.put(Control(()))
        position = recorder.writer.reached(self.name).position
        until = max(await recorder.org_clock.ask(), position.passed_to)
        lost = stretch(
            f"lost-{self.name}@{position.passed_to}",
            self.name,
            position.passed_to,
            to_at=until,
            reason=error.sentence(),
            evidence=error.code,
            from_ordinal=recorder.last_ordinal(),
        )
        control = [coverage_record(lost)]
        for told in recorder.holes.of_channel(self.name):
            control += recorder.holes.close(told["stretch_id"], until)
        control += recorder.scheduler.repairs(self.name, position.passed_to, error.sentence())
        await recorder.put(Restart(self.name, control))

    async def _say(self, standing: Standing, error: CdcError, control: Any = ()) -> None:
        """A change of standing or of trouble goes into the log, where other processes find it."""
        self.recorder.troubles.note(error)
        trouble = error.sentence()
        if control or (standing, trouble) != (self.state.standing, self.state.trouble):
            self.state = ChannelState(standing, self.state.heard_at, trouble)
            await self.recorder.put_soon(Stands(self.name, standing, trouble, control=tuple(control)))


def _sentence(error: BaseException) -> str:
    if isinstance(error, CdcError):
        return error.sentence()
    return "the schema is nested too deeply to be read."
