"""Alerts and decisions as rows: every version of an alert once, every decision once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.journal.control import Told
from cdc.journal.statements import statement
from cdc.journal.tables import ALERTS, DECISIONS, append, as_json, known_moment, moment

_TIMES: Final = ("first_change_at", "last_change_at", "decided_at")
_NESTED: Final = ("kinds", "actors", "targets", "samples", "evidence")


def write_alerts(connection: Any, org: str, alerts: Sequence[Told]) -> None:
    """Versions that are not held yet, inside the caller's transaction."""
    new: dict[tuple[str, int], Mapping[str, Any]] = {}
    for told in alerts:
        new.setdefault((told.values["alert_id"], told.values["version"]), told.values)
    if not new:
        return
    held = connection.execute(
        "SELECT alert_id, version FROM store.alerts WHERE list_contains(?, alert_id)",
        [sorted({alert_id for alert_id, _ in new})],
    ).fetchall()
    rows = [_row(org, values) for key, values in new.items() if key not in set(held)]
    append(connection, "alerts", ALERTS, rows)


def _row(org: str, values: Mapping[str, Any]) -> dict[str, Any]:
    setup = values["setup_before"]
    return {
        **{name: values[name] for name in ALERTS.names},
        **{name: moment(values[name]) for name in _TIMES},
        **{name: as_json(values[name]) for name in _NESTED},
        "setup_before": None if setup is None else as_json(setup),
        "org": values["org"] or org,
    }


def write_decisions(connection: Any, decisions: Sequence[Told]) -> None:
    """Decisions that are not held yet, inside the caller's transaction. Only those of the same times are looked at:
    what is held grows with every audited call."""
    if not decisions:
        return
    times = sorted({known_moment(told.values["at"]) for told in decisions})
    held = set(connection.execute(statement("decisions_of"), {"times": times}).fetchall())
    rows = []
    for told in decisions:
        v = told.values
        at = known_moment(v["at"])
        said = (v["kind"], at, v["alert_id"], v["by"], v["detail"])
        if said in held:
            continue
        held.add(said)
        rows.append(
            {
                "seq": told.place,
                "kind": v["kind"],
                "at": at,
                "alert_id": v["alert_id"] or None,
                "by_whom": v["by"] or None,
                "detail": v["detail"],
            }
        )
    append(connection, "decisions", DECISIONS, rows)
