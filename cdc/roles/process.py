"""The life of a process: start, wait for a signal or the first failure, stop in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.errors import CdcError, LogUnavailable, StopProcess
from cdc.logs import Event, logger, say_as_before, say_more
from cdc.metrics import Metrics
from cdc.troubles import Troubles

COLLECT_AFTER_OBJECTS: Final = 50_000
"""New containers before the garbage collector looks at them. At its usual 700 it looked at the tuples of every few
messages, none of which is ever part of a cycle, and took a quarter of what reading the log costs."""

COLLECT_OLDER_AFTER: Final = 20


def calm_the_collector() -> None:
    """What stands by now is not looked at again, and what comes only in large portions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, COLLECT_OLDER_AFTER, COLLECT_OLDER_AFTER)


@dataclass(slots=True)
class Life:
    """`stop` is set by a signal or by the first part that fails; `failure` is what failed."""

    troubles: Troubles = field(default_factory=lambda: Troubles(Metrics()))
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Stop on SIGTERM and SIGINT; SIGUSR1 and SIGUSR2 change the log's level. Called in the event loop."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop.set)
        self._loop.add_signal_handler(signal.SIGUSR1, say_more)
        self._loop.add_signal_handler(signal.SIGUSR2, say_as_before)

    def fail(self, error: BaseException) -> None:
        """From any thread: the process cannot go on."""
        if self._loop is None:
            raise error
        self._loop.call_soon_threadsafe(self._failed, error)

    def _failed(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.troubles.note(error)
        self.stop.set()


@dataclass(slots=True)
class Worker:
    """A thread of its own that runs `work(stop)`; its failure ends the process, but for the log being away."""

    name: str
    work: Callable[[threading.Event], None]
    life: Life
    retry_s: float = 2.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask it to stop and wait until it has."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.work(self._stop)
                return
            except LogUnavailable as error:
                self.life.troubles.note(error)
                logger(worker=self.name).warning(Event.LOG_RETRY, error=error.sentence())
                self._stop.wait(self.retry_s)
            except BaseException as error:
                self.life.fail(error if isinstance(error, CdcError) else _unforeseen(self.name, error))
                return


def _unforeseen(name: str, error: BaseException) -> BaseException:
    logger(worker=name).error(Event.ROLE_STOPPED, error=type(error).__name__, exc_info=error)
    stop: Any = StopProcess(
        f"{name} failed: {type(error).__name__}: {error}", do="see the log above; start it again"
    )
    stop.__cause__ = error
    return stop  # type: ignore[no-any-return]
