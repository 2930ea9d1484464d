"""The org's one clock: real time from a start instant, faster if asked, and jumps ahead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

DEFAULT_START_MS = 1_788_134_400_000
"""Monday 2026-08-31T00:00:00Z: a fixed instant, so that a seed alone decides everything."""

DATE_SKEWS = (0.0, -1.0, 0.5, 1.0, -0.5, 0.25, -1.0, 1.0)
"""Shares of the greatest skew, one answer after the other: each answer may come from another server."""


class SimClock:
    """`now_ms` is the clock commits are stamped with; `http_now_ms` is what a Date header says.

    States: running (real time times `speed`), held (`with clock.held()`: moves only when told). A speed of 0
    never runs by itself. The clock never goes back. `date_skew_max_ms` bounds how far Date lies.
    """

    def __init__(
        self,
        start_ms: int = DEFAULT_START_MS,
        *,
        speed: float = 1.0,
        date_skew_max_ms: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.date_skew_max_ms = date_skew_max_ms
        self._monotonic = monotonic
        self._speed = speed
        self._base_ms = float(start_ms)
        self._since = monotonic()
        self._holds = 0
        self._skews = cycle(DATE_SKEWS)
        self._moved: list[Callable[[], None]] = []
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def now_ms(self) -> int:
        """The org's own time, epoch ms."""
        if self._holds or not self._speed:
            return int(self._base_ms)
        return int(self._base_ms + (self._monotonic() - self._since) * SECOND_MS * self._speed)

    def http_now_ms(self) -> int:
        """What the Date header of the next answer says, before it is cut to whole seconds."""
        if not self.date_skew_max_ms:
            return self.now_ms()
        return self.now_ms() + int(self.date_skew_max_ms * next(self._skews))

    @property
    def speed(self) -> float:
        """Org seconds a real second; 0: stands still unless advanced."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._rebase(self.now_ms())
        self._speed = speed
        self._tell()

    def advance(self, ms: int) -> int:
        """Jump ahead; returns the new time."""
        return self.advance_to(self.now_ms() + ms)

    def advance_to(self, at_ms: int) -> int:
        """Jump ahead to an instant; an instant already passed changes nothing."""
        now = self.now_ms()
        if at_ms > now:
            self._rebase(at_ms)
            self._tell()
            return at_ms
        return now

    @contextmanager
    def held(self) -> Iterator[SimClock]:
        """Time stands still inside, but for `advance`: for playing days with exact commit times."""
        self._rebase(self.now_ms())
        self._holds += 1
        try:
            yield self
        finally:
            self._holds -= 1
            self._rebase(int(self._base_ms))
            self._tell()

    def real_seconds_until(self, at_ms: int) -> float | None:
        """Real seconds until an instant; None where it comes only by a jump."""
        ahead_ms = at_ms - self.now_ms()
        if ahead_ms <= 0:
            return 0.0
        if self._holds or not self._speed:
            return None
        return ahead_ms / SECOND_MS / self._speed

    async def sleep_until(self, at_ms: int) -> None:
        """Until org time has come to an instant, by running there or by a jump."""
        loop = asyncio.get_running_loop()
        while (seconds := self.real_seconds_until(at_ms)) is None or seconds > 0:
            jumped = asyncio.Event()
            sleeper = (loop, jumped)
            self._sleepers.add(sleeper)
            try:
                await asyncio.wait_for(jumped.wait(), seconds)
            except TimeoutError:
                pass
            finally:
                self._sleepers.discard(sleeper)

    def when_moved(self, call: Callable[[], None]) -> None:
        """Call after each jump: what waits for org time looks again."""
        self._moved.append(call)

    def _rebase(self, at_ms: int) -> None:
        self._base_ms = float(at_ms)
        self._since = self._monotonic()

    def _tell(self) -> None:
        for call in self._moved:
            call()
        for loop, jumped in self._sleepers:
            loop.call_soon_threadsafe(jumped.set)
