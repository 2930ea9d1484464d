"""What waits for the writer: bounded in events and in bytes, first in, first out.

A full queue makes whoever puts wait, and a channel that waits asks its source for nothing more: that is the
back-pressure from the log to the org (reliability.md, "Capture to Kafka").
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Weight(NamedTuple):
    """What an item counts as."""

    events: int
    bytes: int


class WorkQueue(Generic[T]):
    """An item heavier than the whole limit is taken when the queue is empty: nothing waits for ever."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self.events = 0
        self.bytes = 0
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._items: deque[tuple[T, Weight]] = deque()
        self._turn = asyncio.Lock()  # those who wait for room get it in the order in which they came
        self._room = asyncio.Event()
        self._some = asyncio.Event()

    async def put(self, item: T, weight: Weight) -> None:
        async with self._turn:
            while self._items and self._is_full(weight):
                self._room.clear()
                await self._room.wait()
            self._items.append((item, weight))
            self.events += weight.events
            self.bytes += weight.bytes
            self._some.set()

    async def get(self) -> T:
        while not self._items:
            self._some.clear()
            await self._some.wait()
        return self._take()

    def get_nowait(self) -> T:
        """Errors: asyncio.QueueEmpty."""
        if not self._items:
            raise asyncio.QueueEmpty
        return self._take()

    def _take(self) -> T:
        item, weight = self._items.popleft()
        self.events -= weight.events
        self.bytes -= weight.bytes
        self._room.set()
        return item

    def _is_full(self, weight: Weight) -> bool:
        return self.events + weight.events > self._events_max or self.bytes + weight.bytes > self._bytes_max
