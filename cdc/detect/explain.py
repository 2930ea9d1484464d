"""What is normal for a user and an entity, in words: `cdc detect --explain USER[,ENTITY[,KIND]]`."""

from __future__ import annotations

from cdc.detect.baselines import Baselines, places_of
from cdc.detect.detector import Detector
from cdc.detect.episode import Key
from cdc.detect.facts import ONE_GO
from cdc.detect.histogram import SizeHistogram

KEYS_MAX = 20
HOURS_MAX = 5


def explain(detector: Detector, user: str, entity: str = "", kind: str = "") -> str:
    """Lines of text; where nothing was learned of the user, what is usual of the entity."""
    baselines = detector.usual
    keys = [
        (Key(*place), histogram)
        for place, histogram in baselines.kept.items()
        if len(place) == 4
        and place[0] == user
        and (not entity or place[2] == entity)
        and (not kind or place[3] == kind)
    ]
    keys.sort(key=lambda one: (-one[1].total, one[0]))
    lines = [f"User {user}"]
    if not keys:
        lines.append("  nothing is known of this user" + (f" and {entity}" if entity else ""))
        lines += _parents(baselines, entity, kind)
    for key, histogram in keys[:KEYS_MAX]:
        through = f" through {key.origin.strip(';')}" if key.origin.strip(";") else " without a client"
        lines.append(f"  {key.kind} of {key.entity}{through}")
        lines.append(f"    {_sizes(histogram)}")
        lines.append(f"    mostly at {_hours(histogram)} (UTC)")
    if len(keys) > KEYS_MAX:
        lines.append(f"  and {len(keys) - KEYS_MAX} more; name an entity")
    return "\n".join(lines)


def _parents(baselines: Baselines, entity: str, kind: str) -> list[str]:
    found = []
    for what in (kind,) if kind else ("CREATE", "UPDATE", "DELETE"):
        place = places_of(Key("", "", entity, what))[3]
        histogram = baselines.kept.get(place)
        if entity and histogram is not None:
            found.append(f"  whoever does {what} of {entity}: {_sizes(histogram)}")
    return found


def _sizes(histogram: SizeHistogram) -> str:
    weeks = max(1, histogram.week - histogram.first_week + 1)
    usual, most = histogram.quantile(ONE_GO, 0.5), histogram.quantile(ONE_GO, 0.95)
    return (
        f"{histogram.total // 256:,} episodes in {weeks} week{'s' if weeks > 1 else ''}: half of them up to "
        f"{usual:,} records in one go, 95 % up to {most:,}, the largest about {int(histogram.largest(ONE_GO)):,}"
    )


def _hours(histogram: SizeHistogram) -> str:
    ordered = sorted(histogram.slots.items(), key=lambda one: (-one[1], one[0]))[:HOURS_MAX]
    return ", ".join(
        f"{slot % 24:02d}:00 {'at weekends' if slot >= 24 else 'on working days'}" for slot, _ in ordered
    )
