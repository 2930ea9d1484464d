"""Who pointed to a record, and what is written so that it does so again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cdc.answer.answers import dicts_of
from cdc.ports.org import EntityDescription, Org
from cdc.recover.reading import read_present
from cdc.recover.statements import sql


def pointers_to(cursor: Any, cuts: Mapping[str, int]) -> list[dict[str, Any]]:
    """entity, record_id, field, old_id of every record that pointed to one of the ids right before its change."""
    wanted = [pa.array(list(cuts), pa.string()), pa.array(list(cuts.values()), pa.int64())]
    cursor.register("wanted", pa.table(wanted, names=["record_id", "cut"]))
    pairs = cursor.execute(sql("references")).to_arrow_table()
    cursor.register("pointers", pairs)
    try:
        return dicts_of(cursor.execute(sql("pointers_to")))
    finally:
        cursor.unregister("wanted")
        cursor.unregister("pointers")


async def reparenting(
    org: Org,
    descriptions: dict[str, EntityDescription],
    pointers: Sequence[Mapping[str, Any]],
    recreated: Mapping[str, list[str]],
    masters: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """A row for each pointer that has to be written. `recreated`: records made anew, by entity; `masters`: records
    that lost a merge and come back, with what they were merged into. Where a pointer was moved elsewhere since, it
    is a conflict; where its record is gone, there is nothing to write.
    """
    rows: list[dict[str, Any]] = []
    for entity in dict.fromkeys(p["entity"] for p in pointers):
        if entity not in descriptions:
            descriptions[entity] = await org.describe(entity)
        own = set(recreated.get(entity, ()))
        some = [p for p in pointers if p["entity"] == entity]
        writable = {f.path: f.updateable for f in descriptions[entity].fields}
        ids = sorted({p["record_id"] for p in some} - own)
        present = await read_present(org, descriptions[entity], ids, {p["field"] for p in some})
        deleted = dict(
            zip(
                present.records["record_id"].to_pylist(),
                present.records["is_deleted"].to_pylist(),
                strict=True,
            )
        )
        columns = (present.values[n].to_pylist() for n in ("record_id", "field", "value"))
        now = {(r, f): v for r, f, v in zip(*columns, strict=True)}
        for p in some:
            value = now.get((p["record_id"], p["field"]))
            master = (masters or {}).get(p["old_id"])
            decision, reason = "revert", "points to a record made anew"
            if master is not None:
                reason = f"the merge pointed it to {master}"
            if p["record_id"] in own:
                value = None
            elif (
                p["record_id"] not in deleted
                or deleted[p["record_id"]]
                or (master is not None and value == p["old_id"])
            ):
                continue
            elif not writable.get(p["field"]):
                decision, reason = "impossible", f"{reason}, and cannot be changed"
            elif value not in ((master,) if master else (None, p["old_id"])):
                decision, reason = "conflict", "has been pointed elsewhere since"
            row = plan_row(entity, p["record_id"], "REPARENT", p["field"], p["old_id"], decision, reason)
            rows.append({**row, "now": value})
    return rows


def plan_row(
    entity: str,
    record_id: str,
    action: str,
    path: str | None,
    before: str | None,
    decision: str,
    reason: str,
) -> dict[str, Any]:
    """A row of a plan, but for its step; `bad` and `now` are not known."""
    return {
        "entity": entity,
        "record_id": record_id,
        "action": action,
        "field": path,
        "before": before,
        "bad": None,
        "now": None,
        "decision": decision,
        "reason": reason,
    }
