"""Drills on the schedule of the settings, each a process of its own, so that it disturbs nobody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from cdc.logs import Event, logger
from cdc.ports.clock import Clock
from cdc.recover.statements import sql
from cdc.settings import Settings
from cdc.settings_values import duration_s

LOOK_EVERY_S = 60.0
AGAIN_AFTER_S = 3_600.0
"""How long one that left no trace waits, so that a drill that cannot begin is not begun every minute."""


async def _begun(arguments: Sequence[str]) -> int:
    """The verb as a process of its own; its exit code."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "cdc.cli", *arguments)
    return await process.wait()


async def keep_drilling(
    settings: Settings,
    config: str,
    reader: Callable[[], AbstractContextManager[Any]],
    clock: Clock,
    run: Callable[[Sequence[str]], Awaitable[int]] = _begun,
) -> None:
    """Begin a drill whenever the last one is older than `drill.every`; runs until cancelled.

    `config` is the settings file, empty where it is found without being named. A drill that fails is in the journal
    with its problem, and counts as one that was made: it is not tried again before its time. One that ends without
    being in the journal (it could not begin) is tried again after an hour.
    """
    if not settings.drill.every:
        return
    every_ms = duration_s(settings.drill.every) * 1000
    not_before_s = 0.0
    while True:
        await clock.sleep(LOOK_EVERY_S)
        if clock.monotonic_s() < not_before_s:
            continue
        last = await asyncio.to_thread(_last, reader, settings.drill.on)
        if last is not None and clock.wall_ms() - last < every_ms:
            continue
        more = ["--sandbox"] if settings.drill.on == "sandbox" else []
        which = ["--config", config] if config else []
        logger().info(Event.DRILL_ENDED, code=await run([*which, "drill", *more]))
        not_before_s = clock.monotonic_s() + AGAIN_AFTER_S


def _last(reader: Callable[[], AbstractContextManager[Any]], kind: str) -> int | None:
    with reader() as cursor:
        row = cursor.execute(sql("last_drill"), {"kind": kind}).fetchone()
    return None if row is None or row[0] is None else int(row[0])
