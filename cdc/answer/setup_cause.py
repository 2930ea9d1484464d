"""Which change of the set-up is the likely cause of an alert: near in time, acting on what was changed, by the same person.

Found when somebody asks, not when the alert is made: the set-up is read at intervals, so a change may be known only
minutes after what it did. It decorates the alert and never decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cdc.answer.answers import dicts_of
from cdc.answer.definitions import sql

BEFORE = timedelta(hours=1)
AFTER = timedelta(seconds=2)
"""Times of the set-up have whole seconds."""
CAUSES_MAX = 10

_ON_FIELD, _ON_ENTITY, _SAME_ACTOR = 3.0, 2.0, 0.5
_AUTOMATION = frozenset({"Flow", "ApexTrigger", "ApexClass", "ValidationRule"})


@dataclass(frozen=True, slots=True)
class Cause:
    """A change of the set-up, and how likely it is the cause: the higher the score, the likelier."""

    score: float
    at: datetime
    sentence: str
    change: Mapping[str, Any]


def causes(
    reader: Any,
    first_at: datetime,
    targets: Sequence[Mapping[str, Any]],
    actors: Sequence[Mapping[str, Any]],
) -> list[Cause]:
    """Changes of the hour before, the likeliest first."""
    found = dicts_of(
        reader.execute(sql("setup_before"), {"since": first_at - BEFORE, "until": first_at + AFTER})
    )
    compared = [row for row in found if row["source"] == "compared"]
    names = {_name(row) for row in compared}
    made = []
    for row in found:
        if row["source"] != "compared" and any(name and name in (row["display"] or "") for name in names):
            continue  # the same change, and less of it
        if (row["component"] or "").startswith("FlowDefinition:"):
            continue  # its versions say the same
        made.append(_judged(row, first_at, targets, actors))
    made.sort(key=lambda cause: (-cause.score, -cause.at.timestamp()))
    return made[:CAUSES_MAX]


def setup_before(reader: Any, alert: Mapping[str, Any]) -> list[str] | None:
    """Sentences for an alert's `setup_before`; None where no change of the set-up came before it."""
    found = causes(reader, alert["first_change_at"], alert["targets"] or (), alert["actors"] or ())
    return [cause.sentence for cause in found] or None


def _judged(
    row: Mapping[str, Any],
    first_at: datetime,
    targets: Sequence[Mapping[str, Any]],
    actors: Sequence[Mapping[str, Any]],
) -> Cause:
    at: datetime = row["at"]
    seconds = max(0, round((first_at - at).total_seconds()))
    score = 1.0 - min(seconds, 3600) / 3600
    entities = {str(one["entity"]) for one in targets if one.get("entity")}
    fields = {str(one["field"]).rpartition(".")[2] for one in targets if one.get("field")}
    text = _text(row)
    on_entity = sorted(one for one in entities if one in text)
    kind = (row["component"] or "").partition(":")[0]
    on_field = sorted(one for one in fields if one in text) if kind in _AUTOMATION else []
    score += _ON_ENTITY * bool(on_entity) + _ON_FIELD * bool(on_entity and on_field)
    is_actor = row["user_id"] in {one.get("user_id") for one in actors}
    score += _SAME_ACTOR * is_actor
    what = (row["component"] or "").replace(":", " ", 1)
    said = f"{what} was {row['action']}" if what else str(row["display"])
    by = f" by {row['user_id']}" if row["user_id"] else ""
    acts = ""
    if on_entity:
        acts = f"; it acts on {', '.join(on_entity)}"
        acts += f" and names {', '.join(on_field)}" if on_field else ""
    likely = "Likely cause: " if on_entity and kind in _AUTOMATION else ""
    when = at.isoformat(timespec="seconds")
    return Cause(score, at, f"{likely}{said}{by} at {when}Z, {seconds} s before{acts}.", row)


def _name(row: Mapping[str, Any]) -> str:
    name = (row["component"] or "").partition(":")[2].rpartition(".")[2]
    return name.rpartition("-")[0] if (row["component"] or "").startswith("Flow:") else name


def _text(row: Mapping[str, Any]) -> str:
    fields = row["fields"] or {}
    return "\n".join([row["component"] or "", row["display"] or "", *(v for v in fields.values() if v)])
