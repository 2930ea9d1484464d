"""The order of a plan's writes, how they are cut into calls, and what that costs.

Back from the Recycle Bin first, parents before children; then records made anew, in the same order; fields;
pointers to what was made anew; deletes last, children before parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cdc.ports.org import EntityDescription
from cdc.recover.planfile import REVERT
from cdc.recover.reading import IDS_PER_CALL, Present, reading_calls

ORDER: Final = {"UNDELETE": 0, "CREATE": 1, "UPDATE": 2, "REPARENT": 3, "DELETE": 4}
STEP: Final = 1000
"""Steps of one action lie between its number times this and the next."""

BATCH_RECORDS = IDS_PER_CALL
"""Records of one write: what one re-read just before it can carry, and within the 200 of a collection."""
BULK_RECORDS = 10_000
"""Records of one job: the org works through jobs in parts of this size, and it is as far as values may have moved."""
BULK_CALLS = 8
"""Calls of one job beside the re-reads: make, upload, begin, about two looks, two results."""
CALL_S_LEAST = 0.05


def steps_of(rows: pa.Table, descriptions: Mapping[str, EntityDescription]) -> pa.Table:
    """The rows in order of writing, `step` being that order."""
    depth = depths(descriptions)
    deepest = max(depth.values(), default=0)
    steps = []
    for entity, action in zip(rows["entity"].to_pylist(), rows["action"].to_pylist(), strict=True):
        level = depth.get(entity, deepest)
        steps.append(ORDER[action] * STEP + (deepest - level if action == "DELETE" else level))
    at = rows.column_names.index("step")
    rows = rows.set_column(at, "step", pa.array(steps, pa.int32()))
    return rows.sort_by(
        [
            ("step", "ascending"),
            ("entity", "ascending"),
            ("record_id", "ascending"),
            ("field", "ascending"),
        ]
    )


def depths(descriptions: Mapping[str, EntityDescription]) -> dict[str, int]:
    """How far below others an entity stands: one that points to none of the others is 0. Cycles end the descent."""
    parents = {
        entity: {t for f in d.fields for t in f.reference_to if t in descriptions and t != entity}
        for entity, d in descriptions.items()
    }

    def depth(entity: str, above: frozenset[str]) -> int:
        below = [depth(p, above | {p}) for p in parents[entity] if p not in above]
        return 1 + max(below) if below else 0

    return {entity: depth(entity, frozenset({entity})) for entity in descriptions}


def calls_of(rows: pa.Table, present: Present, bulk_from: int, totals: Mapping[str, int]) -> dict[str, Any]:
    """API calls, batches and an estimate of the time, from what a call took while planning.

    `totals`: about how many records each entity has, for the re-reads.
    """
    writes = rows.filter(pc.equal(rows["decision"], REVERT))
    groups = (
        writes.group_by(["step", "entity", "action"]).aggregate([("record_id", "count_distinct")]).to_pylist()
    )
    batches = jobs = 0
    calls = 1 + len({g["entity"] for g in groups}) if groups else 0  # the org's time; a description each
    for group in groups:
        records = group["record_id_count_distinct"]
        if is_bulk(group["action"], records, bulk_from):
            sizes = [min(BULK_RECORDS, records - at) for at in range(0, records, BULK_RECORDS)]
            jobs += len(sizes)
            calls += sum(BULK_CALLS + reading_calls(n, totals.get(group["entity"])) for n in sizes)
        else:
            parts = -(-records // BATCH_RECORDS)
            batches += parts
            calls += parts if group["action"] == "CREATE" else parts * 2
    call_s = max(CALL_S_LEAST, present.seconds / max(1, present.calls))
    return {
        "api_calls": calls,
        "batches": batches,
        "bulk_jobs": jobs,
        "estimate_s": round(calls * call_s + jobs * 5, 1),
        "planning_calls": present.calls,
    }


def is_bulk(action: str, records: int, bulk_from: int) -> bool:
    """Whether a group of writes goes by jobs. Only updates: what is made or undeleted needs its result at once."""
    return action == "UPDATE" and records >= bulk_from
