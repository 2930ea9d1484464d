"""One subscription while it lasts: what came and waits for the caller, and how long ago anything came.

The service pushes; it does not ask whether there is room. While much waits unread the next `/meta/connect` is
put off, so that the events stay with the service, but never for so long that it forgets the client. A caller
who stays away longer finds the subscription ended, and resumes from its stored position: memory is bounded,
nothing is lost.

States: *opening* (handshake, first connect, subscription), *live*, *ended* (`_failure` says why; what had come
before is still given).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp

from cdc.errors import CdcError, SourceUnavailable
from cdc.ports.clock import Clock
from connectors.salesforce.cometd_client import GuardedClient, Tokens, translated

WAITING_EVENTS_MAX = 5_000
WAITING_BYTES_MAX = 64 * 1024 * 1024
PUT_OFF_MAX_S = 20.0  # half of the 40 s after which the service forgets a client
DEAD_AFTER_S = 170.0  # a connect is held 110 s; with a margin for the way and for a connect that was put off
LOOK_EVERY_S = 1.0


class Listener:
    """Opens with `start`, gives with `take`, ends with `close`. Errors of all: those of a `Source`."""

    def __init__(
        self,
        session: Tokens,
        http: aiohttp.ClientSession,
        *,
        channel: str,
        replay: int,
        api_version: str,
        clock: Clock,
        handshake_timeout_s: float,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._handshake_timeout_s = handshake_timeout_s
        self._client = GuardedClient(
            session, http, self, channel=channel, replay=replay, api_version=api_version
        )
        self._waiting: deque[tuple[dict[str, Any], int]] = deque()
        self._waiting_bytes = 0
        self._empty_answers = 0  # since the last event
        self._came = False  # events since the last answer
        self._subscribed = False
        self._connects = 0
        self._counts = False  # whether the connect under way was sent with the subscription made
        self._heard_s = clock.monotonic_s()
        self._failure: CdcError | None = None
        self._closed = False
        self._stirred = asyncio.Event()
        self._taken = asyncio.Event()

    async def start(self) -> None:
        """Shake hands, connect, subscribe; the whole of it within the time limit."""
        try:
            async with asyncio.timeout(self._handshake_timeout_s):
                await translated(self._client.open(), self._channel)
                await self._subscribe()
        except TimeoutError:
            raise SourceUnavailable(
                f"the Streaming API did not complete the handshake within {self._handshake_timeout_s:g} s",
                where=self._channel,
                do="it is tried again by itself",
            ) from None
        self._heard_s = self._clock.monotonic_s()

    async def _subscribe(self) -> None:
        """Subscribe; where the connect beside it was refused, that says why better."""
        try:
            await translated(self._client.subscribe(self._channel), self._channel)
        except SourceUnavailable:
            if self._failure is None:
                await _either(self._stirred.wait, lambda: self._clock.sleep(LOOK_EVERY_S))
            if self._failure is not None:
                raise self._failure from None
            raise
        self._subscribed = True
        self._taken.set()

    async def take(self, events_max: int) -> list[dict[str, Any]]:
        """Messages that came, or none when a connect was answered without; waits for either."""
        await self._something()
        if self._waiting:
            taken = [self._next() for _ in range(min(events_max, len(self._waiting)))]
            self._taken.set()
            return taken
        if self._empty_answers:
            self._empty_answers = 0
            return []
        assert self._failure is not None
        raise self._failure

    async def close(self) -> None:
        """Leave the service; whoever waits gets SourceUnavailable."""
        self.broke(SourceUnavailable("the event source was closed", where=self._channel, do="open it again"))
        if not self._closed:
            self._closed = True
            await self._client.close()

    # What the client tells (`Sink`)

    def event(self, message: dict[str, Any], size: int) -> None:
        if self._failure is not None:
            return
        if len(self._waiting) >= WAITING_EVENTS_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
            self.broke(
                SourceUnavailable(
                    "more events came than were taken, and the subscription was given up",
                    where=self._channel,
                    do="it resumes by itself from the stored position",
                )
            )
            return
        self._came, self._empty_answers = True, 0
        self._waiting.append((message, size))
        self._waiting_bytes += size
        self._stirred.set()

    def answered(self) -> None:
        self._heard_s = self._clock.monotonic_s()
        if self._counts and not self._came:
            self._empty_answers += 1
            self._stirred.set()
        self._came = False

    def broke(self, error: CdcError) -> None:
        if self._failure is None:
            self._failure = error
        self._stirred.set()
        self._taken.set()

    async def room(self) -> None:
        deadline = self._clock.monotonic_s() + PUT_OFF_MAX_S
        while (
            (self.is_slow or (self._connects and not self._subscribed))
            and self._failure is None
            and self._clock.monotonic_s() < deadline
        ):
            self._taken.clear()
            await _either(self._taken.wait, lambda: self._clock.sleep(LOOK_EVERY_S))
        self._connects += 1
        self._counts = self._subscribed  # only its answer says something about the subscription

    # Waiting

    async def _something(self) -> None:
        while not self._is_stirred():
            self._stirred.clear()
            await _either(self._stirred.wait, lambda: self._clock.sleep(LOOK_EVERY_S))
            if not self._is_stirred():
                self._look_after()

    def _is_stirred(self) -> bool:
        return bool(self._waiting or self._empty_answers or self._failure)

    def _look_after(self) -> None:
        """What the library does not tell: a subscription that is gone, and silence of the service itself."""
        if self._channel not in self._client.subscriptions:
            self.broke(
                SourceUnavailable(
                    "the subscription is gone while the session goes on",
                    where=self._channel,
                    do="it resumes by itself from the stored position",
                )
            )
        elif self._clock.monotonic_s() - self._heard_s > DEAD_AFTER_S:
            self.broke(
                SourceUnavailable(
                    f"the Streaming API has answered no connect for {DEAD_AFTER_S:g} s",
                    where=self._channel,
                    do="it resumes by itself from the stored position",
                )
            )

    def _next(self) -> dict[str, Any]:
        message, size = self._waiting.popleft()
        self._waiting_bytes -= size
        return message

    @property
    def is_slow(self) -> bool:
        """Whether so much waits for the caller that no more is asked for."""
        return len(self._waiting) > WAITING_EVENTS_MAX // 2 or self._waiting_bytes > WAITING_BYTES_MAX // 2


async def _either(*works: Callable[[], Any]) -> None:
    """Until the first is done; the others are given up. Nothing waited for here carries a message."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
