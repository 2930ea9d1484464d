"""Records that lost a merge: they come back from the Recycle Bin, what followed them is pointed back to them.

An undelete brings the loser back and leaves its children with the winner (Apex Developer Guide, "Restoring Deleted
Records"); those are written like any field. The winner's own fields were changed by an update like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdc.recover.planfile import REVERT
from cdc.recover.reading import Present
from cdc.recover.statements import sql


def merged_away(rows: pa.Table, present: Present) -> dict[str, str]:
    """Loser -> winner, of the records that a plan takes from the Recycle Bin and that lost a merge."""
    back = rows.filter(pc.and_(pc.equal(rows["action"], "UNDELETE"), pc.equal(rows["decision"], REVERT)))
    wanted = set(back["record_id"].to_pylist())
    held = present.records.filter(pc.is_valid(present.records["master_id"]))
    pairs = zip(held["record_id"].to_pylist(), held["master_id"].to_pylist(), strict=True)
    return {loser: winner for loser, winner in pairs if loser in wanted}


def begun(cursor: Any, lives: pa.Table, losers: Sequence[str]) -> dict[str, int]:
    """Loser -> first change of the transaction that merged it away: children are moved in it, before the delete.

    `lives` as `sql/lives.sql` has them.
    """
    cursor.register("wanted", pa.table({"record_id": pa.array(losers, pa.string())}))
    cursor.register("lives", lives)
    try:
        return dict(cursor.execute(sql("begun")).fetchall())
    finally:
        cursor.unregister("wanted")
        cursor.unregister("lives")
