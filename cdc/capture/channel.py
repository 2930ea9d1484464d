"""One channel: take deliveries, see to their schemas, hand them on; come back after every kind of failure.

What it does on each class of error (reliability.md, "Capture to Kafka"):
  SourceSilent         said as an alarm of its own, then as RetryLater
  RetryLater           pause with jitter, go on from the stored position, never from the tip
  DeliveryLimitReached growing pauses of at most 15 minutes
  PositionLost         a lost stretch from the last position to now, on from the oldest retained, repairs requested
  ChannelStopped       this channel stops and says why; the others go on
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from cdc.avro.schema import EventSchema
from cdc.capture.backoff import RECONNECT_MIN_S, Backoff
from cdc.capture.options import DELIVERY_LIMIT_PAUSE_MAX_S
from cdc.capture.records import KnownSchema
from cdc.capture.scan import coverage_record
from cdc.capture.writer import Control, Keepalive, Restart
from cdc.errors import (
    ChannelStopped,
    DeliveryLimitReached,
    OrgUnavailable,
    PositionLost,
    RetryLater,
    SourceSilent,
    SourceUnavailable,
    Undecodable,
)
from cdc.logs import Event, logger
from cdc.ports.log import ChannelPosition, LogRecord
from cdc.ports.source import Delivery, Start
from cdc.ports.types import Millis, ReplayId, SchemaId

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder


class Standing(StrEnum):
    """What a channel is doing."""

    OPENING = "opening"
    LIVE = "live"
    RETRYING = "retrying"
    STOPPED = "stopped"


@dataclass(slots=True)
class ChannelState:
    """For people: what the channel is doing, since when it last heard anything (wall clock), and the last trouble."""

    standing: Standing = Standing.OPENING
    heard_at: Millis = Millis(0)
    trouble: str = ""


@dataclass(slots=True)
class Channel:
    """Runs until its task is cancelled, or the channel stops for good."""

    name: str
    recorder: Recorder
    state: ChannelState = field(default_factory=ChannelState)

    async def run(self) -> None:
        backoff = Backoff(first_s=RECONNECT_MIN_S)
        limited = Backoff(first_s=30.0, max_s=DELIVERY_LIMIT_PAUSE_MAX_S)
        clock, log = self.recorder.clock, logger(channel=self.name)
        after = self._stored()
        while True:
            try:
                async for delivery in self.recorder.source.deliveries(self.name, after):
                    if self.state.standing is not Standing.LIVE:
                        log.info(Event.CHANNEL_OPENED)
                    self.state = ChannelState(Standing.LIVE, delivery.received_at)
                    backoff.reset()
                    limited.reset()
                    await self._take(delivery)
                raise SourceUnavailable("the stream ended", where=self.name)
            except PositionLost as error:
                log.warning(Event.CHANNEL_LOST, error=error.sentence())
                await self._position_lost(error)
                after = Start.EARLIEST
                continue
            except ChannelStopped as error:
                self.state = ChannelState(Standing.STOPPED, self.state.heard_at, error.sentence())
                log.error(Event.CHANNEL_STOPPED, error=error.sentence())
                await self._stopped(error)
                return
            except RetryLater as error:
                self.state = ChannelState(Standing.RETRYING, self.state.heard_at, error.sentence())
                reason = type(error).__name__
                self.recorder.metrics.resubscribes.labels(reason).inc()
                pauses = limited if isinstance(error, DeliveryLimitReached) else backoff
                pause_s = pauses.pause_s(error.retry_after_s)
                silent = isinstance(error, SourceSilent)
                name = Event.CHANNEL_SILENT if silent else Event.CHANNEL_RETRY
                log.warning(name, error=error.sentence(), pause_s=round(pause_s, 1))
                await clock.sleep(pause_s)
            await self.recorder.put(Control(()))  # all that was taken is written before the position is read
            after = self._stored()

    def _stored(self) -> ReplayId | Start:
        reached = self.recorder.writer.reached(self.name)
        # A first event that nothing has followed yet is no stored position, but it is a better place than the tip.
        return reached.position.replay_id or reached.group or self.recorder.options.start

    async def _take(self, delivery: Delivery) -> None:
        self.recorder.metrics.last_keepalive.labels(self.name).set(delivery.received_at / 1000)
        if not delivery.events and not delivery.position:
            return
        if not delivery.events:
            await self.recorder.put_soon(Keepalive(delivery, self.recorder.org_clock.latest))
            return
        for schema_id in {event.schema_id for event in delivery.events}:
            if schema_id not in self.recorder.writer.known:
                await self._learn_schema(schema_id)
        await self.recorder.put_soon(delivery)

    async def _learn_schema(self, schema_id: SchemaId) -> None:
        """Have the schema in the log before the first event that needs it. An unknown one sends events to quarantine."""
        known = self.recorder.writer.known
        try:
            text = await self.recorder.source.schema(schema_id)
            known[schema_id] = KnownSchema.of(EventSchema.parse(schema_id, text))
        except (Undecodable, ChannelStopped) as error:
            known[schema_id] = error.sentence()
            return
        record = LogRecord("schemas", schema_id, text.encode(), schema_id=schema_id)
        await self.recorder.put_soon(Control((record,)))

    async def _stopped(self, error: ChannelStopped) -> None:
        position = self.recorder.writer.reached(self.name).position
        stretch = self._stretch(position, "lost", None, error.sentence(), error.code)
        await self.recorder.put(Control((coverage_record(stretch),)))
        self.recorder.metrics.gaps.labels("channel_stopped").inc()

    async def _position_lost(self, error: PositionLost) -> None:
        """Say what is lost, forget the position, and ask for the repair: a scan of every entity of the channel."""
        recorder = self.recorder
        await recorder.put(Control(()))
        position = recorder.writer.reached(self.name).position
        try:
            until = (await recorder.org.limits()).org_time
        except (RetryLater, OrgUnavailable):
            until = Millis(max(recorder.org_clock.latest, position.passed_to))
        stretch = self._stretch(position, "lost", until, error.sentence(), error.code)
        requests = recorder.scheduler.repairs(self.name, position.passed_to, error.sentence())
        await recorder.put(Restart(ChannelPosition(self.name, passed_to=position.passed_to)))
        await recorder.put(Control((coverage_record(stretch), *requests)))
        recorder.metrics.gaps.labels("position_lost").inc()

    def _stretch(
        self, position: ChannelPosition, status: str, to_at: Millis | None, reason: str, code: str
    ) -> dict[str, object]:
        return {
            "stretch_id": f"{self.name}@{position.passed_to}",
            "channel": self.name,
            "entity": None,
            "record_id": None,
            "from_at": position.passed_to,
            "to_at": to_at,
            "status": status,
            "reason": reason,
            "evidence": code,
            "from_ordinal": self.recorder.last_ordinal(),
            "repaired_at": None,
        }
