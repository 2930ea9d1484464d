"""Incidents, restores and drills as rows: they come as decisions (`schemas/README.md`), each version once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from cdc.journal.control import Told
from cdc.journal.tables import append, as_json, known_moment, moment

_TEXT, _LONG, _INT, _TIME = pa.string(), pa.int64(), pa.int32(), pa.timestamp("us")

INCIDENTS: Final = pa.schema(
    {
        "incident_id": _TEXT,
        "version": _INT,
        "org": _TEXT,
        "alert_id": _TEXT,
        "title": _TEXT,
        "state": _TEXT,
        "scope": _TEXT,
        "opened_at": _TIME,
        "changed_at": _TIME,
        "by_whom": _TEXT,
        "note": _TEXT,
        "contained_at": _TIME,
    }
)
RESTORES: Final = pa.schema(
    {
        "restore_id": _TEXT,
        "version": _INT,
        "org": _TEXT,
        "incident_id": _TEXT,
        "kind": _TEXT,
        "plan_hash": _TEXT,
        "plan_file": _TEXT,
        "state": _TEXT,
        "user_id": _TEXT,
        "requested_by": _TEXT,
        "planned_at": _TIME,
        "started_at": _TIME,
        "finished_at": _TIME,
        "as_of_seq": _LONG,
        "records": _LONG,
        "counts": _TEXT,
        "reason": _TEXT,
    }
)
RESTORE_RECORDS: Final = pa.schema(
    {
        "restore_id": _TEXT,
        "version": _INT,
        "chunk": _TEXT,
        "org": _TEXT,
        "entity": _TEXT,
        "record_id": _TEXT,
        "kind": _TEXT,
        "fields": pa.map_(_TEXT, _TEXT),
        "result": _TEXT,
        "error": _TEXT,
        "new_record_id": _TEXT,
        "written_at": _TIME,
    }
)
DRILLS: Final = pa.schema(
    {
        "drill_id": _TEXT,
        "org": _TEXT,
        "kind": _TEXT,
        "started_at": _TIME,
        "records": _LONG,
        "equal": _LONG,
        "rto_from_detection_ms": _LONG,
        "rto_from_decision_ms": _LONG,
        "rpo_ms": _LONG,
        "problem": _TEXT,
    }
)

Row = dict[str, Any]


def write_recovery(connection: Any, org: str, decisions: Sequence[Told]) -> list[Told]:
    """Rows of those that are about recovery, inside the caller's transaction; returns the decisions that are not.

    One whose `detail` is not what its kind needs is kept as it came, among the others.
    """
    rest: list[Told] = []
    rows: dict[str, list[Row]] = {}
    for told in decisions:
        kind = told.values["kind"]
        if kind not in _TABLES:
            rest.append(told)
            continue
        table, make = _TABLES[kind]
        try:
            made = make(org, json.loads(told.values["detail"]), told)
        except (ValueError, KeyError, TypeError):
            rest.append(told)
            continue
        rows.setdefault(table, []).extend(made)
    for table, made in rows.items():
        schema, key = _KEYS[table]
        append(connection, table, schema, _new(connection, table, key, made))
    return rest


def _new(connection: Any, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> list[Row]:
    """Rows whose key is not held yet: the log may be read twice."""
    wanted = sorted({row[key[0]] for row in rows})
    held = set(
        connection.execute(
            f"SELECT DISTINCT {', '.join(key)} FROM store.{table} WHERE list_contains(?, {key[0]})", [wanted]
        ).fetchall()
    )
    seen: set[tuple[Any, ...]] = set()
    new = []
    for row in rows:
        whole = tuple(row[name] for name in key)
        once = (*whole, row.get("record_id"), row.get("kind"))
        if whole not in held and once not in seen:
            seen.add(once)
            new.append(row)
    return new


def _incident(org: str, d: Mapping[str, Any], told: Told) -> list[Row]:
    return [
        {
            "incident_id": d["incident_id"],
            "version": d["version"],
            "org": org,
            "alert_id": d.get("alert_id") or None,
            "title": d["title"],
            "state": d["state"],
            "scope": as_json(d["scope"]),
            "opened_at": moment(d["opened_at"]),
            "changed_at": known_moment(told.values["at"]),
            "by_whom": told.values["by"] or None,
            "note": d.get("note") or None,
            "contained_at": moment(d.get("contained_at")),
        }
    ]


def _restore(org: str, d: Mapping[str, Any], told: Told) -> list[Row]:
    times = {name: moment(d.get(name)) for name in ("planned_at", "started_at")}
    return [
        {
            **{name: d.get(name) for name in RESTORES.names},
            **times,
            "restore_id": d["restore_id"],
            "version": d["version"],
            "org": org,
            "finished_at": moment(d.get("ended_at")),
            "requested_by": told.values["by"] or None,
            "counts": as_json(d.get("counts") or {}),
        }
    ]


def _writes(org: str, d: Mapping[str, Any], told: Told) -> list[Row]:
    names = d["fields"]
    return [
        {
            "restore_id": d["restore_id"],
            "version": 1,
            "chunk": d["chunk"],
            "org": org,
            "entity": d["entity"],
            "record_id": record_id,
            "kind": d["kind"],
            "fields": list(zip(names, values, strict=True)),
            "result": "intended",
            "written_at": known_moment(told.values["at"]),
        }
        for record_id, values in zip(d["records"], d["values"], strict=True)
    ]


def _results(org: str, d: Mapping[str, Any], told: Told) -> list[Row]:
    return [
        {
            "restore_id": d["restore_id"],
            "version": 2,
            "chunk": d["chunk"],
            "org": org,
            "entity": d["entity"],
            "record_id": record_id,
            "kind": d["kind"],
            "result": result,
            "error": error or None,
            "new_record_id": new_id or None,
            "written_at": known_moment(told.values["at"]),
        }
        for record_id, result, error, new_id in d["results"]
    ]


def _drill(org: str, d: Mapping[str, Any], told: Told) -> list[Row]:
    return [
        {
            **{name: d.get(name) for name in DRILLS.names},
            "drill_id": d["drill_id"],
            "org": org,
            "started_at": moment(d["started_at"]),
            "problem": d.get("problem") or "",
        }
    ]


_TABLES: Final[dict[str, tuple[str, Callable[[str, Mapping[str, Any], Told], list[Row]]]]] = {
    "incident": ("incidents", _incident),
    "restore": ("restores", _restore),
    "restore_writes": ("restore_records", _writes),
    "restore_results": ("restore_records", _results),
    "drill": ("drills", _drill),
}
_KEYS: Final[dict[str, tuple[pa.Schema, tuple[str, ...]]]] = {
    "incidents": (INCIDENTS, ("incident_id", "version")),
    "restores": (RESTORES, ("restore_id", "version")),
    "restore_records": (RESTORE_RECORDS, ("restore_id", "version", "chunk")),
    "drills": (DRILLS, ("drill_id",)),
}
