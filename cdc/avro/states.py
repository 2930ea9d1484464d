"""Full states (`schemas/record_state.avsc`) to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from cdc.avro.own import RECORD_STATE
from cdc.avro.part import Part, lists, nothing
from cdc.avro.rows import decode_rows
from cdc.avro.schema import EventSchema
from cdc.avro.unpivot import Ints
from cdc.change.kinds import Kind

_KINDS = pa.array([Kind.BASELINE.value, Kind.REREAD.value, Kind.DELETE.value], pa.string())
_SAME = (
    "entity",
    "record_id",
    "kind",
    "source",
    "scan_id",
    "after_ordinal",
    "anchor_at",
    "read_to",
    "user_id",
)


class StateColumns:
    """Decodes full states: a row of fields for each value, and an unknown one for each field not given."""

    def __init__(self) -> None:
        self._schema = EventSchema.parse(RECORD_STATE, schemas.text(RECORD_STATE))

    def decode(self, bodies: Sequence[bytes]) -> Part:
        """Bodies without their frame. `committed_at` is SystemModstamp, or the anchor where the org gave none."""
        rows = decode_rows(bodies, self._schema.body_json, whole=True)
        kept = np.array([i for i in range(len(bodies)) if i not in rows.reasons], np.int64)
        if not len(kept):
            return nothing(rows.reasons)
        batch = rows.batch
        strange = np.flatnonzero(~pc.is_in(batch["kind"], value_set=_KINDS).to_numpy(zero_copy_only=False))
        if len(strange):  # rare: once more without them
            found = {int(kept[i]): f"{batch['kind'][int(i)]} is no kind of full state" for i in strange}
            rest = np.delete(kept, strange)
            again = self.decode([bodies[i] for i in rest.tolist()])
            return Part(
                rest,
                {**rows.reasons, **found},
                again.columns,
                again.row,
                again.field,
                again.value,
                again.known,
            )
        columns = {name: batch[name] for name in _SAME}
        columns["committed_at"] = pc.coalesce(batch["system_modstamp"], batch["anchor_at"])
        none = lists(np.empty(0, np.int64), pa.array([], pa.string()), len(kept))
        columns |= dict.fromkeys(("changed_fields", "nulled_fields", "diff_fields"), none)
        columns |= {name: pa.array([""] * len(kept), pa.string()) for name in ("origin", "client")}
        return _with_fields(kept, rows.reasons, columns, batch)


def _with_fields(
    kept: Ints, reasons: dict[int, str], columns: dict[str, pa.Array], batch: pa.RecordBatch
) -> Part:
    given, hidden = batch["values"], batch["unknown"]
    each = np.arange(batch.num_rows)
    given_row = np.repeat(each, np.diff(given.offsets.to_numpy(zero_copy_only=False)))
    hidden_row = np.repeat(each, np.diff(hidden.offsets.to_numpy(zero_copy_only=False)))
    row = np.concatenate([given_row, hidden_row])
    field = pa.concat_arrays([given.keys, hidden.values])
    value = pa.concat_arrays([given.items, pa.nulls(len(hidden_row), pa.string())])
    known = np.arange(len(row)) < len(given_row)
    if len(hidden_row):
        order = np.argsort(row, kind="stable")
        taken = pa.array(order)
        row, field, value, known = row[order], field.take(taken), value.take(taken), known[order]
    return Part(kept, reasons, columns, row, field, value, known)
