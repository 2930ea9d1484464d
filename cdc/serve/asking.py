"""Questions while the journal is written: a few at once, each on a cursor of its own, and none for ever.

The writer shares the processors, DuckDB's threads and the interpreter with whoever asks. So only so many questions
run at a time, in threads that yield to the writer's; the others wait for their turn, and beyond a bound they are
told to come again. Glances, which every open page takes again and again, and people's own SQL, which may take a
minute, have a lane each, so that neither holds up the other or a question. A question that still runs when the process has to end is interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from cdc.errors import RetryLater

QUESTIONS_AT_ONCE_MAX = max(1, (os.cpu_count() or 2) - 1)
QUESTIONS_WAITING_MAX = 1_000
INTERRUPT_EVERY_S = 0.1
NICENESS = 19
"""Of the threads that answer: where processors are short the writer goes first. Beside 50 readers on two busy cores
the writer kept 25 % of its rate without it and with four questions at once, 76 % with it, 95 % with one and a glance."""

Lane = Literal["glance", "question", "query"]

T = TypeVar("T")


@dataclass(slots=True)
class Asking:
    """Runs what is asked on readers of `reader`. `is_over`: nothing is asked any more."""

    reader: Callable[[], AbstractContextManager[Any]]
    is_over: bool = False
    waiting: int = 0
    _running: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lanes: Mapping[Lane, ThreadPoolExecutor] = field(
        default_factory=lambda: {
            "glance": _threads("glance", 1),
            "question": _threads("question", QUESTIONS_AT_ONCE_MAX),
            "query": _threads("query", 1),
        }
    )

    async def ask(self, answer: Callable[[Any], T], lane: Lane = "question") -> T:
        """What `answer` makes of a reader. Errors: RetryLater when too many wait or the process ends; its own."""
        if self.waiting >= QUESTIONS_WAITING_MAX:
            raise RetryLater(f"{self.waiting} questions wait already", do="ask again in a few seconds")
        if self.is_over:
            raise _ended()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._lanes[lane], self._answered, answer)
        finally:
            self.waiting -= 1

    def interrupt(self) -> None:
        """End what runs, and begin nothing more."""
        with self._lock:
            self.is_over = True
            for reader in self._running:
                reader.interrupt()

    async def close(self) -> None:
        """Interrupt until no thread has a reader: a question of several statements may be between two of them."""
        ended = asyncio.ensure_future(asyncio.to_thread(self._end))
        while not ended.done():
            self.interrupt()
            await asyncio.wait({ended}, timeout=INTERRUPT_EVERY_S)

    def _end(self) -> None:
        for threads in self._lanes.values():
            threads.shutdown(cancel_futures=True)

    def _answered(self, answer: Callable[[Any], T]) -> T:
        with self.reader() as reader:
            with self._lock:
                if self.is_over:
                    raise _ended()
                self._running.append(reader)
            try:
                return answer(reader)
            except Exception as error:
                if self.is_over:
                    raise _ended() from error
                raise
            finally:
                with self._lock:
                    self._running.remove(reader)


def _ended() -> RetryLater:
    return RetryLater("the recorder is being stopped", do="ask again when it runs")


def _threads(name: str, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=_yield_to_the_writer)


def _yield_to_the_writer() -> None:
    """Linux keeps a niceness for each thread; elsewhere it is of the whole process, and left alone."""
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
