"""A clock that only a test moves, for rooms that sleep while real sockets work beside them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from cdc.ports.clock import Clock
from cdc.ports.types import Millis

STEP_S = 0.25
REAL_PAUSE_S = 0.002  # what sockets on loopback need to move on, between two steps


class VirtualClock:
    """`clock` is injected; `until` moves time in small steps until something is so."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self.now_s = 0.0
        self._wall_ms = wall_ms
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def clock(self) -> Clock:
        first_ms = self._wall_ms()
        return Clock(lambda: Millis(first_ms + int(self.now_s * 1000)), lambda: self.now_s, self._sleep)

    async def until(self, look: Callable[[], object], within_s: float) -> float:
        """The seconds of its own time it took. Fails when it takes more than `within_s`."""
        began_s = self.now_s
        while not look():
            assert self.now_s - began_s <= within_s, f"not within {within_s} s"
            self._move(STEP_S)
            await asyncio.sleep(REAL_PAUSE_S)
        return self.now_s - began_s

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody sleeps by it: what was woken has done what it had to do."""
        return any(not future.done() for _, _, future in self._sleepers)

    def _move(self, seconds: float) -> None:
        self.now_s += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now_s:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def _sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + seconds, next(self._order), future))
        await future
