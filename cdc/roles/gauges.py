"""Figures that are looked at, not counted: refreshed every few seconds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from cdc.metrics import Metrics
from cdc.settings import Settings

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder
    from cdc.journal.journal import DuckJournal

REFRESH_EVERY_S = 5.0
BUS_RETENTION_S = 72 * 3600.0


async def keep_gauges(
    settings: Settings, recorder: Recorder | None, journal: DuckJournal | None, metrics: Metrics
) -> None:
    """Runs until cancelled."""
    while True:
        if recorder is not None:
            now_ms = recorder.clock.wall_ms()
            for name, position in recorder.writer.positions.channels.items():
                if position.stored_at:
                    age_s = (now_ms - position.stored_at) / 1000
                    metrics.retention_remaining.labels(name).set(BUS_RETENTION_S - age_s)
        if journal is not None:
            metrics.journal_bytes.set(await asyncio.to_thread(_size, settings.journal.path))
            if recorder is not None:
                metrics.journal_lag.set(max(0, recorder.last_ordinal() - journal.checkpoint.ordinal))
        await asyncio.sleep(REFRESH_EVERY_S)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
