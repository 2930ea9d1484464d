"""One subscription stream: what is owed, what has been delivered, and when it has to speak or end.

States: *delivering* (owed > 0 and events wait), *quiet* (owed > 0, nothing to deliver: an empty response every
keepalive interval), *without credit* (owed == 0: it ends when that lasts for the idle time), *ended* (by the
client, an error, a revoked session or a fault). Rules: protocol section 1.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from connectors.simulator.errors import BusError
from connectors.simulator.model import Cursor, Delivered
from connectors.simulator.wire import stream_accidents as accidents
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.refusals import StreamReset
from connectors.simulator.wire.sessions import Session
from schemas.eventbus.v1 import pubsub_pb2 as pb

CREDIT_MAX = 100  # more is treated as this
LOOK_AGAIN_S = 0.5  # faults and the clock are looked at this often on a quiet stream
RESPONSE_BYTES_MAX = 3_000_000  # clients are told to allow 3 MB; gRPC's own default is 4

Respond = Callable[[Sequence[pb.ConsumerEvent], bytes, int], Any]
"""(events, latest replay id, still owed) -> the response message of the call."""


class Stream:
    """Delivers a topic from a cursor, against credit. `serve` runs until the stream ends."""

    def __init__(
        self,
        wire: Wire,
        session: Session,
        context: Any,
        cursor: Cursor,
        *,
        respond: Respond,
        take: Callable[[Any], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.cursor = cursor
        self.owed = 0
        self.delivered = 0
        self.last_position = b""
        self._wire = wire
        self._session = session
        self._context = context
        self._respond = respond
        self._take = take
        self._check_more = check
        self._replies: list[Any] = []
        self._stirred = asyncio.Event()
        self._failure: BusError | None = None
        self._client_done = False
        self._responded_at = asyncio.get_running_loop().time()
        self._since_keepalive = 0

    def credit(self, requested: int, *, least: int = 1) -> None:
        """Add to what is owed, at most 100 in all. Raises BusError for too few."""
        if requested < least:
            raise BusError(
                "subscription.fetch.requested.events.invalid",
                f"The number of events requested must be at least {least}.",
            )
        if accidents.counts_credit(self._wire.org.faults, self.owed):
            self.owed = min(CREDIT_MAX, self.owed + requested)

    def position(self) -> bytes:
        """Everything up to here has been passed."""
        return self._wire.org.bus.latest_replay_id(self.cursor)

    def reply(self, response: Any) -> None:
        """Send this besides the events."""
        self._replies.append(response)
        self._stirred.set()

    async def serve(self, requests: AsyncIterator[Any]) -> None:
        """Deliver until the stream ends by the rules. Raises BusError or StreamReset for any other end."""
        reader = asyncio.create_task(self._read(requests))
        stop_listening = self._wire.sessions.when_revoked(self._stirred.set)
        self._wire.streams_open += 1
        try:
            while True:
                self._stirred.clear()
                self._check()
                if accidents.check_stream(self._wire.org.faults, self.delivered):
                    return
                if accidents.is_silent(self._wire.org.faults):
                    await asyncio.sleep(LOOK_AGAIN_S / 5)
                    continue
                while self._replies:
                    await self._context.write(self._replies.pop(0))
                if self.owed and await self._deliver():
                    continue
                if await self._over():
                    return
                await self._wait()
        finally:
            self._wire.streams_open -= 1
            stop_listening()
            reader.cancel()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                self._take(request)
                self._stirred.set()
        except BusError as error:
            self._failure = error
        finally:
            self._client_done = True
            self._stirred.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._wire.apply_revocation()
        if self._session.revoked:
            raise BusError("service.auth.error", "The session has been revoked.")
        self._check_more()
        self._wire.check_stream_service()
        self._wire.check_delivery()
        reset = self._wire.org.faults.active("stream_reset")
        if reset is not None and self.delivered >= int(reset.parameters.get("after", 0)):
            self._wire.org.faults.take("stream_reset")
            raise StreamReset

    def _room(self) -> int:
        """How many events may be delivered now: the credit, less what faults withhold."""
        faults = self._wire.org.faults
        if faults.active("keepalive_only") is not None:
            return 0
        room = self.owed
        withheld = faults.active("credit_withheld")
        if withheld is not None:
            room = min(room, int(withheld.parameters.get("max", 0)) - self._since_keepalive)
        reset = faults.active("stream_reset")
        if reset is not None:
            room = min(room, int(reset.parameters.get("after", 0)) - self.delivered)
        return accidents.room(faults, min(room, self._wire.delivery_left), self.delivered)

    async def _deliver(self) -> bool:
        """Send one response if there is something to send; says whether it is worth looking again at once."""
        room = self._room()
        if room <= 0:
            return False
        bus = self._wire.org.bus
        before = self.cursor
        events, self.cursor = bus.read(before, room)
        if not events:
            await asyncio.sleep(0)
            return self.cursor != before
        self.owed -= len(events)
        self.delivered += len(events)
        self._since_keepalive += len(events)
        self._wire.count_delivered(events)
        await accidents.pause(self._wire.org.faults)
        events, position = accidents.distorted(self._wire.org.faults, events, self.position())
        unsent = len(events)
        for part in _parts(events):
            unsent -= len(part)
            await self._send(
                [_message(event) for event in part],
                part[-1].replay_id if unsent else position,
                self.owed + unsent,
            )
        return True

    async def _send(self, events: Sequence[pb.ConsumerEvent], position: bytes, owed: int) -> None:
        slowness = self._wire.slowness_s()
        if slowness:
            await asyncio.sleep(slowness)
        self.last_position = position
        await self._context.write(self._respond(events, position, owed))
        self._responded_at = asyncio.get_running_loop().time()

    async def _over(self) -> bool:
        """Send the keepalive that is due; says whether the stream has ended by itself."""
        now = asyncio.get_running_loop().time()
        if self.owed:
            if now >= self._responded_at + self._wire.options.keepalive_s:
                self._since_keepalive = 0
                _, position = accidents.distorted(self._wire.org.faults, (), self.position())
                await self._send((), position, self.owed)
            return False
        return self._client_done or now >= self._responded_at + self._wire.options.idle_close_s

    async def _wait(self) -> None:
        """Until there may be something to do."""
        options = self._wire.options
        limit = options.keepalive_s if self.owed else options.idle_close_s
        left = self._responded_at + limit - asyncio.get_running_loop().time()
        timeout = max(0.0, min(left, LOOK_AGAIN_S))
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._stirred.wait())}
        if self.owed and self._room() > 0:
            waits.add(asyncio.ensure_future(self._wire.org.bus.wait(self.cursor, timeout)))
        _, still = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in still:
            wait.cancel()


async def first_request(wire: Wire, requests: AsyncIterator[Any]) -> Any:
    """What opens a stream; None if the client says nothing for the idle time, or goes."""
    try:
        return await asyncio.wait_for(anext(requests, None), wire.options.idle_close_s)
    except TimeoutError:
        return None


def whole_position(replay_id: bytes) -> bytes:
    """The ten bytes of a position; a client in wide use sends the eight of the counter alone."""
    return replay_id + bytes(2) if len(replay_id) == 8 else replay_id


def _parts(events: list[Delivered]) -> list[list[Delivered]]:
    """The events of one delivery in responses that a client can receive."""
    size = sum(len(event.payload) for event in events)
    if size <= RESPONSE_BYTES_MAX:
        return [events]
    parts: list[list[Delivered]] = [[]]
    size = 0
    for event in events:
        if parts[-1] and size + len(event.payload) > RESPONSE_BYTES_MAX:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += len(event.payload)
    return parts


def _message(event: Delivered) -> pb.ConsumerEvent:
    produced = pb.ProducerEvent(id=event.event_id, schema_id=event.schema_id, payload=event.payload)
    return pb.ConsumerEvent(event=produced, replay_id=event.replay_id)
