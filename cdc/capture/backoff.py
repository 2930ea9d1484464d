"""Pauses between attempts: growing, bounded, with jitter, so that many clients do not come back at once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from cdc.ports.clock import Clock

FIRST_PAUSE_S = 0.5
PAUSE_MAX_S = 60.0
RECONNECT_EVERY_S = 1.0  # at most one reconnect a second (reliability.md), whatever the number of channels
RECONNECT_FIRST_S = 2.0  # drawn between one second and two


@dataclass(slots=True)
class Backoff:
    """Doubling pauses; each is drawn between half of itself and itself."""

    first_s: float = FIRST_PAUSE_S
    max_s: float = PAUSE_MAX_S
    draw: random.Random = field(default_factory=random.Random)
    attempt: int = 0

    def pause_s(self, at_least_s: float | None = None) -> float:
        """The next pause in seconds; `at_least_s` is what the other side asked for."""
        full: float = min(self.max_s, self.first_s * 2.0 ** min(self.attempt, 20))
        self.attempt += 1
        pause = full * (0.5 + self.draw.random() / 2)
        return max(pause, at_least_s or 0.0)

    def reset(self) -> None:
        self.attempt = 0


@dataclass(slots=True)
class Turns:
    """Lets one caller through at a time, with a pause between two: no storm after everything broke at once."""

    clock: Clock
    every_s: float = RECONNECT_EVERY_S
    _next_s: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def turn(self) -> None:
        async with self._lock:
            wait = self._next_s - self.clock.monotonic_s()
            if wait > 0:
                await self.clock.sleep(wait)
            self._next_s = self.clock.monotonic_s() + self.every_s
