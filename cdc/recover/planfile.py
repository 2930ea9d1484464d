"""A plan: what is put back, record by record and field by field, as columns; a Parquet file known by its hash.

Columns of `rows`: step (order of writing), entity, record_id, action (UNDELETE, CREATE, UPDATE, REPARENT,
DELETE), field (None: the record itself), before, bad, now (canonical texts), decision, reason. Decisions:
revert (will be written), already (nothing to do), follows (the org sets it), conflict (somebody decided
otherwise since), left (only if asked), impossible. `facts` is everything else the plan says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cdc.errors import BadArgument, NotFound

_KEY: Final = b"sf_cdc.plan"
REVERT: Final = "revert"

ROWS: Final = pa.schema(
    [
        ("step", pa.int32()),
        *(
            (name, pa.string())
            for name in (
                "entity",
                "record_id",
                "action",
                "field",
                "before",
                "bad",
                "now",
                "decision",
                "reason",
            )
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`hash` is of the file's bytes: what apply asks for."""

    rows: pa.Table
    facts: Mapping[str, Any]
    hash: str
    path: Path

    @property
    def restore_id(self) -> str:
        return str(self.facts["restore_id"])

    @property
    def token(self) -> str:
        """What a person types to confirm: the first 12 characters of the hash."""
        return self.hash[:12]

    def writes(self) -> pa.Table:
        """The rows that will be written."""
        return self.rows.filter(pc.equal(self.rows["decision"], REVERT))


def save_plan(folder: Path, rows: pa.Table, facts: Mapping[str, Any]) -> Plan:
    """Write the file `<restore_id>.parquet`, whole or not at all. Errors: BadArgument where it cannot be written."""
    path = folder / f"{facts['restore_id']}.parquet"
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    table = rows.cast(ROWS).replace_schema_metadata({_KEY: text.encode()})
    part = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    except OSError as error:
        raise BadArgument(
            f"the plan cannot be written: {error.strerror}", where=str(path), do="set restore.folder"
        ) from error
    return load_plan(path)


def load_plan(path: str | Path) -> Plan:
    """Read a plan's file. Errors: NotFound, BadArgument for what is no plan."""
    file = Path(path)
    try:
        raw = file.read_bytes()
        table = pq.read_table(pa.BufferReader(raw))
        facts = json.loads(table.schema.metadata[_KEY])
    except FileNotFoundError as error:
        raise NotFound("the plan's file is not there", where=str(file), do="plan again") from error
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BadArgument("this file is no plan", where=str(file), do="plan again") from error
    return Plan(table.replace_schema_metadata(None), facts, hashlib.sha256(raw).hexdigest(), file)


def checked(plan: Plan, given: str) -> None:
    """The hash, or its first 12 characters or more, as a person typed it. Errors: BadArgument."""
    typed = given.strip().lower()
    if len(typed) < len(plan.token) or not plan.hash.startswith(typed):
        raise BadArgument(
            "this is not the plan's hash: nothing was written",
            where=plan.restore_id,
            do="look at the plan (`cdc restore show`), then give the hash it shows",
        )


def confirmed(path: str | Path, plan_hash: str, given: str, *, undone: str) -> Plan:
    """The plan of a restore, as it was made and as a person typed its hash; `undone` is what did not happen otherwise.

    Errors: NotFound, BadArgument.
    """
    plan = load_plan(path)
    if plan.hash != plan_hash:
        raise BadArgument(
            f"the plan's file is not the one that was made: nothing was {undone}",
            where=str(plan.path),
            do="plan again",
        )
    checked(plan, given)
    return plan
