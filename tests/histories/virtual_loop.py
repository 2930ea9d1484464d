"""An event loop whose time passes only when everybody waits, and whose threads are calls: a run is the same each time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from cdc.ports.clock import Clock
from cdc.ports.types import Millis

BEGAN_MS = 1_795_000_000_000


class _Selector(selectors.DefaultSelector):
    """Nothing comes from outside, so a wait for it is a step of time."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everybody waits for ever")
        if not events and timeout:
            self.loop.now_s += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """`clock` is its time, for what takes a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """At once, in this thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    def clock(self) -> Clock:
        return Clock(lambda: Millis(BEGAN_MS + int(self.now_s * 1000)), self.time, asyncio.sleep)
