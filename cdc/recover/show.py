"""Questions about incidents, restores and drills: read from the journal alone, as `Answer`s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from cdc.answer import overview
from cdc.answer.answers import Answer, json_value, number_of_cursor, rows_of, to_cursor
from cdc.errors import NotFound
from cdc.recover.blast import blast
from cdc.recover.incidents import find
from cdc.recover.planfile import load_plan
from cdc.recover.scope import scope_words
from cdc.recover.statements import sql

__all__ = ["blast", "drills", "incident", "incidents", "plan_rows", "restore", "restore_records", "restores"]

LIMIT_DEFAULT = 100


@dataclass(frozen=True, slots=True)
class DetailedAnswer(Answer):
    """An answer with something beside its rows, under `detail`."""

    detail: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {**super(DetailedAnswer, self).as_json(), "detail": json_value(self.detail)}


def incidents(reader: Any, state: str = "", limit: int = LIMIT_DEFAULT) -> Answer:
    """Incidents, the newest first; `state` keeps those that are open, acknowledged, closed or merged."""
    return _rows(reader, "incidents", state=state, limit=limit)


def incident(reader: Any, incident_id: str) -> Answer:
    """One incident: what is meant and how much that is, what was restored of it. Errors: NotFound."""
    found = find(reader, incident_id)
    columns, rows = rows_of(reader.execute(sql("restores_of"), {"incident_id": found.incident_id}))
    alert = overview.alert(reader, found.alert_id) if found.alert_id else None
    causes = (alert or {}).get("setup_before") or ()
    return DetailedAnswer(
        columns=columns,
        rows=rows,
        notes=[*scope_words(found.scope), *(f"set-up before: {sentence}" for sentence in causes)],
        detail={**found.detail(), "alert": alert},
    )


def restores(reader: Any, limit: int = LIMIT_DEFAULT) -> Answer:
    """Restores, the newest first."""
    return _rows(reader, "restores", limit=limit)


def restore(reader: Any, restore_id: str) -> Answer:
    """One restore: its results by entity, kind and result. Errors: NotFound."""
    held = restore_row(reader, restore_id)
    columns, rows = rows_of(reader.execute(sql("restore_results"), {"restore_id": restore_id}))
    return DetailedAnswer(columns=columns, rows=rows, detail=held)


def plan_rows(
    reader: Any, restore_id: str, decision: str = "", limit: int = LIMIT_DEFAULT, cursor: str | None = None
) -> Answer:
    """A plan's rows in order of writing, and beside them all that the plan says. Errors: NotFound, BadArgument."""
    held = restore_row(reader, restore_id)
    plan = load_plan(held["plan_file"])
    rows = plan.rows.filter(pc.equal(plan.rows["decision"], decision)) if decision else plan.rows
    start = number_of_cursor(cursor, rows.num_rows) or 0
    page = rows.slice(start, limit)
    names = [name for name in page.schema.names if name != "step"]
    following = to_cursor(start + limit) if start + limit < rows.num_rows else None
    return DetailedAnswer(
        columns=names,
        rows=list(zip(*(page[name].to_pylist() for name in names), strict=True)),
        next=following,
        detail={
            **plan.facts,
            "hash": plan.hash,
            "token": plan.token,
            "file": str(plan.path),
            "state": held["state"],
        },
    )


def restore_records(reader: Any, restore_id: str, result: str = "", limit: int = LIMIT_DEFAULT) -> Answer:
    """What a restore wrote, record by record, with what became of it; `result` keeps one outcome."""
    restore_row(reader, restore_id)
    return _rows(reader, "restore_records", restore_id=restore_id, result=result, limit=limit)


def drills(reader: Any, limit: int = LIMIT_DEFAULT) -> Answer:
    """Drills, the newest first, with what they measured."""
    return _rows(reader, "drills", limit=limit)


def restore_row(reader: Any, restore_id: str) -> dict[str, Any]:
    """The latest version of a restore. Errors: NotFound."""
    columns, rows = rows_of(reader.execute(sql("restore"), {"restore_id": restore_id}))
    if not rows:
        raise NotFound("there is no restore of this id", where=restore_id[:60], do="see `cdc restore list`")
    return dict(zip(columns, rows[0], strict=True))


def _rows(reader: Any, name: str, **given: Any) -> Answer:
    columns, rows = rows_of(reader.execute(sql(name), given))
    return Answer(columns=columns, rows=rows)
