"""Time as it is injected: the wall clock for liveness and `received_at` only, never for facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cdc.ports.types import Millis


def _wall_ms() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock in epoch milliseconds, a clock that only runs forward in seconds, and sleeping."""

    wall_ms: Callable[[], Millis] = _wall_ms
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
