"""Figures that are looked at, not counted: refreshed every few seconds."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cdc.answer.figures import Figures, figures
from cdc.metrics import Metrics
from cdc.ports.log import ChannelPosition
from cdc.roles.build import beside_journal
from cdc.settings import Settings

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder
    from cdc.journal.journal import DuckJournal
    from cdc.journal.lake import Lake

REFRESH_EVERY_S = 5.0
FIGURES_EVERY = 6  # of those turns: they are asked of the journal
BUS_RETENTION_S = 72 * 3600.0


STANDINGS = ("opening", "live", "quiet", "dead", "retrying", "limited", "stopped", "off")
QUIET_AFTER_MS = 300_000
"""As `cdc status` (`answer/sql/status.sql`): a channel that speaks and has nothing to say, and one that does not speak."""


def standing(position: ChannelPosition, now_ms: int) -> str:
    """What a channel does, told by its position; `now_ms` is the wall clock."""
    if position.standing in ("retrying", "limited", "stopped", "off"):
        return position.standing
    if not position.heard_at:
        return "opening"
    if now_ms - position.heard_at > QUIET_AFTER_MS:
        return "dead"
    # Nothing is beyond the position after an empty response: that was the last thing it said.
    return "live" if position.beyond or position.replay_id is None else "quiet"


async def keep_gauges(
    settings: Settings, recorder: Recorder | None, journal: DuckJournal | Lake | None, metrics: Metrics
) -> None:
    """Runs until cancelled."""
    turn, counted = 0, dict[str, int]()
    while True:
        if recorder is not None:
            now_ms = recorder.clock.wall_ms()
            for name, position in recorder.writer.positions.channels.items():
                if position.stored_at:
                    age_s = (now_ms - position.stored_at) / 1000
                    metrics.retention_remaining.labels(name).set(BUS_RETENTION_S - age_s)
                now_standing = standing(position, now_ms)
                for one in STANDINGS:
                    metrics.standing.labels(name, one).set(one == now_standing)
        if journal is not None:
            metrics.journal_bytes.set(await asyncio.to_thread(_size, beside_journal(settings)))
            metrics.journal_free.set(await asyncio.to_thread(_free, beside_journal(settings)))
            if turn % FIGURES_EVERY == 0:
                found = await asyncio.to_thread(_figures, journal)
                _told(metrics, found)
                for result, records in found.restored.items():
                    metrics.restore_records.labels(result).inc(max(0, records - counted.get(result, 0)))
                counted = found.restored
            if recorder is not None:
                metrics.journal_lag.set(max(0, recorder.last_ordinal() - journal.checkpoint.ordinal))
        turn += 1
        await asyncio.sleep(REFRESH_EVERY_S)


def _figures(journal: DuckJournal | Lake) -> Figures:
    with journal.reader() as reader:
        return figures(reader)


def _told(metrics: Metrics, found: Figures) -> None:
    metrics.coverage_lost.clear()
    metrics.coverage_lost.labels("everything").set(0)
    for entity, seconds in found.lost_s.items():
        metrics.coverage_lost.labels(entity).set(seconds)
    if found.drill is not None:
        at, rto, rpo = found.drill
        metrics.last_drill.set(at)
        metrics.drill_rto.set(rto)
        metrics.drill_rpo.set(rpo)


def _free(path: str) -> int:
    return shutil.disk_usage(Path(path).resolve().parent).free


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
