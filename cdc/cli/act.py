"""How a verb gets something done: by the running journal's HTTP API, else with log and journal opened here.

Both ways run the same actions (`cdc/serve/actions.py`). An action that takes long is followed to its end, with
its progress on a terminal; Ctrl-C asks it to stop after the batch in hand.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.status import Status

from cdc import logs
from cdc.cli.state import options
from cdc.recover.recovery import Recovery
from cdc.roles.recovering import recovering
from cdc.serve.actions import ACTIONS, Action
from cdc.serve.client import act_running, ended, is_running
from cdc.settings import Settings

LOOK_EVERY_S = 0.3


def act(settings: Settings, name: str, **given: Any) -> dict[str, Any]:
    """What the action answers; of a long one, what it ended with. Errors: those of the action."""
    action = ACTIONS[name]
    parameters = {k: v for k, v in {"by": _who(), **given}.items() if v is not None}
    if is_running(settings):
        return _by_api(settings, action, parameters)
    logs.configure("debug" if options.debug else "warning")
    return asyncio.run(_here(settings, action, action.checked(parameters)))


def _by_api(settings: Settings, action: Action, given: dict[str, Any]) -> dict[str, Any]:
    with _shown() as show:
        return act_running(settings, action, given, show)


async def _here(settings: Settings, action: Action, given: dict[str, Any]) -> dict[str, Any]:
    async with recovering(settings) as recovery:
        answer = await action.call(recovery, given)
        name = answer.get("progress")
        if name is None:
            return answer
        with _shown() as show:
            return await _followed(recovery, name, show)


async def _followed(recovery: Recovery, name: str, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    while True:
        work = recovery.progress(name)
        show(work)
        if work["state"] != "working":
            return ended(work)
        try:
            await asyncio.sleep(LOOK_EVERY_S)
        except asyncio.CancelledError:
            recovery.stop(name)
            raise


class _shown:
    """Progress on a terminal, nothing in a pipe."""

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        self._status: Status | None = None
        if sys.stderr.isatty():
            self._status = Console(stderr=True).status("")
            self._status.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _show(self, work: dict[str, Any]) -> None:
        if self._status is None:
            return
        text = str(work["doing"] or work["what"])
        if work["total"] > 1:
            text += f": {work['done']:,} of {work['total']:,}"
        if work["left_s"] is not None:
            text += f", about {_duration(work['left_s'])} left"
        self._status.update(text)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
