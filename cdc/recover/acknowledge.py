"""An alert that is all right: what the detector will not tell again, said before it is taught.

What is learned is a template of the job (`cdc/detect/templates.py`): the same actor with the same fields, at most
twice as many records, at about the same hour, and the same value where a field had one. It silences volume and
novelty only: guards, loops and values still count, so a known job that begins to write nulls is told all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cdc.detect.templates import CONSTANT_SHARE, GROWTH, NEAR_HOURS


def silences(alert: Mapping[str, Any]) -> list[str]:
    """Sentences on what acknowledging this alert will silence, and what not."""
    actor = alert["actors"][0] if alert["actors"] else {}
    who = actor.get("user_name") or actor.get("user_id") or "this user"
    through = actor.get("client") or actor.get("origin") or "no client"
    kinds = ", ".join(sorted(alert["kinds"]))
    entity = alert["targets"][0]["entity"] if alert["targets"] else "the entity"
    first = _moment(alert["first_change_at"])
    hours = f"{(first.hour - NEAR_HOURS) % 24:02}:00 to {(first.hour + NEAR_HOURS + 1) % 24:02}:00 UTC"
    out = [
        f"{kinds} of up to {GROWTH * int(alert['records']):,} {entity} records by {who} through {through}, {hours}"
    ]
    for target in alert["targets"]:
        values = target["top_values"]
        if target["field"] and values and values[0]["share"] >= CONSTANT_SHARE:
            value = values[0]["value"]
            out.append(f"only while {target['field']} is set to {'null' if value is None else repr(value)}")
    out.append(
        "still told: deletes and nulls in bulk, loops, values that are not usual, more records than that"
    )
    return out


def acknowledged(alert: Mapping[str, Any], *, is_preview: bool) -> dict[str, Any]:
    """What the action answers."""
    return {"alert_id": alert["alert_id"], "acknowledged": not is_preview, "silences": silences(alert)}


def _moment(at: Any) -> datetime:
    """A time as the journal or the API gives it."""
    if isinstance(at, str):
        return datetime.fromisoformat(at)
    if isinstance(at, datetime):
        return at
    return datetime.fromtimestamp(int(at) / 1000, UTC)
