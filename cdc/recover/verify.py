"""After a restore: org against plan, field by field; and the stream, for what happened between.

The restore's own events are known by record, field and value, by the user and the time, never by the client's
name. What came in the same transactions and was not written is a side effect; what slipped in between the
re-read and the write is shown with both values; what bears our name and is not ours is a stranger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdc.answer.answers import dicts_of, json_value
from cdc.ports.org import Org
from cdc.recover.ledger import Ledger
from cdc.recover.planfile import Plan
from cdc.recover.reading import read_present
from cdc.recover.restores import Restore, told_of
from cdc.recover.statements import sql
from cdc.recover.streamed import has_streamed

SHOWN_MAX = 1_000
STREAM_WAIT_S = 30.0


@dataclass(slots=True)
class Verdict:
    """`fields` and `equal` count what was to be put back; `differs` says what is not as planned, with why.

    `slipped`, `side_effects` and `strangers` come from the stream; `streamed` is false where it has not got
    that far, and then they may lack some.
    """

    fields: int = 0
    equal: int = 0
    differs: list[dict[str, Any]] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    own_changes: int = 0
    slipped: list[dict[str, Any]] = field(default_factory=list)
    side_effects: list[dict[str, Any]] = field(default_factory=list)
    strangers: list[dict[str, Any]] = field(default_factory=list)
    streamed: bool = True

    @property
    def good(self) -> bool:
        """Whether everything that was to be written stands in the org."""
        return self.fields == self.equal

    def summary(self) -> dict[str, Any]:
        """Numbers alone: what the journal keeps."""
        return {
            "fields": self.fields,
            "equal": self.equal,
            "left": len(self.left),
            "own_changes": self.own_changes,
            "slipped": len(self.slipped),
            "side_effects": len(self.side_effects),
            "strangers": len(self.strangers),
            "streamed": self.streamed,
        }

    def as_json(self) -> dict[str, Any]:
        lists = ("differs", "left", "slipped", "side_effects", "strangers")
        return {**self.summary(), **{n: json_value(getattr(self, n)[:SHOWN_MAX]) for n in lists}}


async def verify(
    plan: Plan, restore: Restore, org: Org, ledger: Ledger, copied: Mapping[str, str] | None = None
) -> Verdict:
    """`copied`: ids of records that were copied into this org before. Errors: those of `Org`."""
    verdict = Verdict()
    told = await asyncio.to_thread(told_of, ledger, restore.restore_id)
    new_ids = {**(copied or {}), **told.new_ids}
    for entity in dict.fromkeys(plan.writes()["entity"].to_pylist()):
        await _entity(plan, entity, new_ids, org, verdict)
    with ledger.reader() as reader:
        errors = dicts_of(reader.execute(sql("left_over"), {"restore_id": restore.restore_id}))
    verdict.left = [*errors, *_not_reverted(plan)]
    if restore.kind in ("copy", "rehearsal"):
        return verdict  # the journal's stream is that of another org
    verdict.streamed = await has_streamed(ledger, restore.restore_id, STREAM_WAIT_S)
    with ledger.reader() as reader:
        given = {"restore_id": restore.restore_id}
        verdict.own_changes = reader.execute(sql("own_count"), given).fetchone()[0]
        verdict.slipped = dicts_of(reader.execute(sql("slipped_in"), given))
        verdict.side_effects = _unexpected(plan, dicts_of(reader.execute(sql("side_effects"), given)))
        verdict.strangers = dicts_of(reader.execute(sql("strangers"), given))
    return verdict


async def _entity(plan: Plan, entity: str, new_ids: Mapping[str, str], org: Org, verdict: Verdict) -> None:
    rows = plan.writes().filter(pc.equal(plan.writes()["entity"], entity))
    names = ("record_id", "action", "field", "before")
    wanted = list(zip(*(rows[n].to_pylist() for n in names), strict=True))
    made = {r for r, action, _, _ in wanted if action == "CREATE"}
    ids = sorted({new_ids.get(r, r) for r, _, _, _ in wanted})
    paths = {path for _, _, path, _ in wanted if path}
    present = await read_present(org, await org.describe(entity), ids, paths)
    alive = _alive(present.records)
    columns = (present.values[n].to_pylist() for n in ("record_id", "field", "value", "known"))
    values = {(r, p): v for r, p, v, known in zip(*columns, strict=True) if known}
    for record_id, action, path, before in wanted:
        now_id = new_ids.get(record_id, record_id)
        verdict.fields += 1
        said = _difference(
            action, path, new_ids.get(before or "", before), now_id, alive, values, record_id in made
        )
        if said is None:
            verdict.equal += 1
        else:
            verdict.differs.append(
                {"entity": entity, "record_id": record_id, "field": path, "planned": before, **said}
            )


def _alive(records: pa.Table) -> dict[str, bool]:
    return {r["record_id"]: not r["is_deleted"] for r in records.to_pylist()}


def _difference(
    action: str,
    path: str | None,
    before: str | None,
    record_id: str,
    alive: Mapping[str, bool],
    values: Mapping[tuple[str, str], str | None],
    is_new: bool,
) -> dict[str, Any] | None:
    """What is not as planned, or None."""
    if action == "DELETE":
        return {"now": "present"} if alive.get(record_id) else None
    if not alive.get(record_id):
        return {"now": "not there" if is_new or record_id not in alive else "deleted"}
    if path is None:
        return None
    now = values.get((record_id, path), "unknown")
    return None if now == before else {"now": now}


def _not_reverted(plan: Plan) -> list[dict[str, Any]]:
    """What the plan left alone, counted by reason."""
    rows = plan.rows
    kept = rows.filter(pc.is_in(rows["decision"], pa.array(["conflict", "impossible", "left"])))
    groups = kept.group_by(["entity", "action", "decision", "reason"]).aggregate(
        [("record_id", "count_distinct")]
    )
    return [
        {
            "entity": g["entity"],
            "kind": g["action"],
            "result": g["decision"],
            "error": g["reason"],
            "records": g["record_id_count_distinct"],
        }
        for g in groups.to_pylist()
    ]


def _unexpected(plan: Plan, effects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without fields of which the plan says that the org sets them itself."""
    follows = plan.rows.filter(pc.equal(plan.rows["decision"], "follows"))
    expected = set(zip(follows["entity"].to_pylist(), follows["field"].to_pylist(), strict=True))
    return [e for e in effects if (e["entity"], e["field"]) not in expected]
