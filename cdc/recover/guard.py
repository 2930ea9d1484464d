"""Nothing is applied while the burst goes on: it would be overwritten, or overwrite what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.errors import BadArgument
from cdc.recover.incidents import Incident
from cdc.recover.scope import meant
from cdc.recover.statements import sql

QUIET_S: Final = 15 * 60
"""An episode without a change for so long is over (detection.md)."""
LAG_MS: Final = 5_000
"""Changes committed just before somebody said "contained" may carry a later second."""

_HOW: Final = (
    "stop it first: deactivate the flow or trigger, freeze the user, or revoke the app's session; "
    "then say so with `cdc incident contain`; --force applies all the same"
)


def refuse_while_active(facts: Mapping[str, Any], incident: Incident) -> None:
    """Errors: BadArgument where automation made the incident, some of these entities is active, and nobody said
    that the cause was stopped: it may change what is put back."""
    active = [
        f"{one['kind']} {one['name']} on {one['entity']}"
        for one in facts["automation"]
        if one["kind"] in ("flow", "trigger")
    ]
    if incident.contained_at is None and facts.get("by_automation") and active:
        raise BadArgument(
            f"automation made it, and may do so again: active is {', '.join(active[:5])}",
            where=incident.incident_id,
            do=_HOW,
        )


def refuse_while_growing(reader: Any, incident: Incident) -> None:
    """Errors: BadArgument while the incident may still grow: not contained and not quiet, or going on all the same."""
    with meant(reader, incident.scope):
        contained = None if incident.contained_at is None else incident.contained_at + LAG_MS
        last_ms, last_after_ms = reader.execute(sql("growth"), {"contained_at": contained}).fetchone()
    if last_ms is None:
        return
    newest_ms = reader.execute(sql("newest")).fetchone()[0]
    quiet_s = (newest_ms - last_ms) / 1000
    if incident.contained_at is not None and last_after_ms is not None:
        if quiet_s >= QUIET_S:
            return
        raise BadArgument(
            f"it was said to be contained, and goes on: a change it means came {quiet_s:.0f} s ago",
            where=incident.incident_id,
            do=_HOW,
        )
    if incident.contained_at is None and quiet_s < QUIET_S:
        raise BadArgument(
            f"the burst may still go on: its last change came {quiet_s:.0f} s ago, and nobody said it was contained",
            where=incident.incident_id,
            do=_HOW,
        )
