"""Long actions beside the answers: what they do, how far they are, how they ended. One of a name at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import BadArgument, CdcError, NotFound
from cdc.logs import Event, logger

CLOSE_WITHIN_S = 30.0
ENDED_MAX = 100
"""So many that have ended are remembered."""


@dataclass(slots=True)
class Work:
    """A long action: `state` is working, done or failed."""

    what: str
    state: str = "working"
    doing: str = ""
    done: int = 0
    total: int = 0
    left_s: float | None = None
    began_s: float = field(default_factory=time.monotonic)
    results: dict[str, int] = field(default_factory=dict)
    error: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, Any]:
        names = ("what", "state", "doing", "done", "total", "left_s", "results", "error", "answer")
        return {name: getattr(self, name) for name in names}

    def say(self, doing: str, done: int, total: int) -> None:
        self.doing, self.done, self.total = doing, done, total


class Works:
    """The long actions of one process, by name."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, name: str) -> Work:
        """Errors: NotFound."""
        work = self._works.get(name)
        if work is None:
            raise NotFound(
                "nothing of this name runs or has run in this process",
                where=name[:60],
                do="see `cdc restore list`",
            )
        return work

    def start(self, name: str, work: Work, run: Callable[[], Awaitable[Mapping[str, Any]]]) -> str:
        """Begin; returns the name. Errors: BadArgument where it runs already."""
        held = self._works.get(name)
        if held is not None and held.state == "working":
            raise BadArgument("it runs already", where=name, do="see its progress, or stop it first")
        ended = [n for n, w in self._works.items() if w.state != "working"]
        for old in ended[: max(0, len(ended) - ENDED_MAX)]:
            del self._works[old]
        self._works[name] = work
        task = asyncio.create_task(_whole(work, run), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return name

    async def close(self) -> None:
        """Stop what runs, after its batch."""
        for work in self._works.values():
            work.stop.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN_S)
        for task in self._tasks:
            task.cancel()


async def _whole(work: Work, run: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    try:
        work.answer = await run()
        work.state = "done"
    except CdcError as error:
        work.state, work.error = "failed", error.sentence()
    except Exception as error:
        logger().error(Event.ACTION_FAILED, error=type(error).__name__, exc_info=error)
        work.state, work.error = "failed", f"something unforeseen: {type(error).__name__}: {error}"
