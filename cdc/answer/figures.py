"""Figures of the journal for the metrics: what is lost, and when putting back was last practised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdc.answer.definitions import sql


@dataclass(frozen=True, slots=True)
class Figures:
    """`lost_s` by entity; the last good drill's time (epoch s), RTO and RPO in seconds, None without one;
    `restored` counts records by what became of them."""

    lost_s: dict[str, float]
    drill: tuple[float, float, float] | None
    restored: dict[str, int]


def figures(reader: Any) -> Figures:
    """Both questions are small: neither looks at changes."""
    lost = {
        str(entity): float(seconds or 0) for entity, seconds in reader.execute(sql("lost_seconds")).fetchall()
    }
    row = reader.execute(sql("last_drill")).fetchone()
    drill = None if row is None else (float(row[0]), float(row[1] or 0), float(row[2] or 0))
    return Figures(lost, drill, dict(reader.execute(sql("restored_counts")).fetchall()))
