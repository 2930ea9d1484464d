"""Alerts from the log to one sink: in order, again until they are taken, and not again after a restart.

A sink's position is the newest version of each alert it has taken, in a file that is replaced whole after each
delivery. A kill between the two delivers that version once more, under the same id. A sink seen for the first
time begins with what is open: what was over before it was set up is no news.

States: *catching up* (reading what the log holds, nothing is sent), then *live*.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cdc.errors import BadArgument, CdcError, DiskFull, RetryLater
from cdc.ports.clock import Clock

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
KEPT_MAX = 20_000  # alerts whose newest version is remembered; some thousands a year at most

Failed = Callable[[str, CdcError], None]


class NamedSink(Protocol):
    """A `Sink` with the name it has in settings, metrics and positions."""

    @property
    def name(self) -> str: ...

    async def deliver(self, alert: Mapping[str, Any]) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class Reminded(Protocol):
    """A sink that has to say again what is open."""

    def remember(self, alert: Mapping[str, Any]) -> None: ...

    async def refresh(self) -> None: ...


@dataclass(slots=True)
class Delivery:
    """One sink and its position. `failed` is told of each try that failed, for log and metric."""

    sink: NamedSink
    path: Path
    clock: Clock = field(default_factory=Clock)
    failed: Failed = lambda _name, _error: None
    _taken: dict[str, int] = field(default_factory=dict)
    _is_new: bool = False

    def open(self) -> None:
        """Read the position. Errors: BadArgument where the file cannot be read."""
        try:
            self._taken = {str(k): int(v) for k, v in json.loads(self.path.read_text()).items()}
        except FileNotFoundError:
            self._is_new = True
        except (OSError, ValueError, AttributeError) as error:
            raise BadArgument(
                "the position of a sink cannot be read",
                where=str(self.path),
                do="remove the file: what is open is then told again",
            ) from error

    async def catch_up(self, newest: Mapping[str, Mapping[str, Any]]) -> None:
        """`newest`: the newest version of every alert the log holds, in order. What was not taken is delivered."""
        for alert_id, alert in newest.items():
            if self._is_new and alert["state"] in ("closed", "merged"):
                self._taken[alert_id] = int(alert["version"])
            elif self._taken.get(alert_id, 0) >= int(alert["version"]) and isinstance(self.sink, Reminded):
                self.sink.remember(alert)
        self._save()
        for alert in newest.values():
            await self.take(alert)

    async def take(self, alert: Mapping[str, Any]) -> None:
        """Deliver a version, again until it is taken; one the sink refuses for good is said and passed over."""
        alert_id, version = str(alert["alert_id"]), int(alert["version"])
        if self._taken.get(alert_id, 0) >= version:
            return
        pause_s = RETRY_FIRST_S
        while True:
            try:
                await self.sink.deliver(alert)
                break
            except RetryLater as error:
                self.failed(self.sink.name, error)
                await self.clock.sleep(pause_s)
                pause_s = min(RETRY_MAX_S, pause_s * 2)
            except BadArgument as error:
                self.failed(self.sink.name, error)
                break
        self._taken.pop(alert_id, None)
        self._taken[alert_id] = version
        while len(self._taken) > KEPT_MAX:
            self._taken.pop(next(iter(self._taken)))
        self._save()

    def _save(self) -> None:
        part = self.path.with_name(self.path.name + ".part")
        try:
            with part.open("w") as file:
                json.dump(self._taken, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            raise DiskFull(
                f"the position of a sink cannot be written: {error.strerror}",
                where=str(self.path),
                do="make room, or set alerts.positions to a folder that can be written",
            ) from error
