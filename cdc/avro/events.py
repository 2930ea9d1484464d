"""Change events of one schema to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.avro.part import Part, lists, nothing
from cdc.avro.plan import DIFF, ENTRY_MARK, LIST_MARK, NULLED, Plans
from cdc.avro.rows import decode_rows
from cdc.avro.schema import EventSchema
from cdc.avro.unpivot import (
    Ints,
    Leaves,
    Named,
    merged,
    named_by_bitmaps,
    named_by_value,
    values,
    with_flag,
)
from cdc.change.bitmap import BitmapError
from cdc.change.kinds import EVENT_KINDS, WHOLE_KINDS, Kind
from cdc.change.origin import parse_origin

_ENTRY_MARK = pa.scalar(ENTRY_MARK, pa.string())  # made once: a bare str costs Arrow a search for its type
_LIST_MARK = pa.scalar(LIST_MARK, pa.string())

_KINDS = sorted(EVENT_KINDS)
_KIND_NAMES = pa.array([str(kind) for kind in _KINDS], pa.string())
_UPDATE = _KINDS.index(Kind.UPDATE)
_WHOLE = [_KINDS.index(kind) for kind in sorted(WHOLE_KINDS)]

_SAME = {
    "entity": "entityName",
    "kind": "changeType",
    "committed_at": "commitTimestamp",
    "transaction_key": "transactionKey",
    "sequence_number": "sequenceNumber",
    "commit_number": "commitNumber",
    "user_id": "commitUser",
}
"""Columns that are the header's own."""


class EventColumns:
    """Decodes events of one schema; keeps what follows from the schema alone."""

    def __init__(self, schema: EventSchema) -> None:
        self.schema = schema
        self._plans = Plans(schema)
        self._paths = pa.array([leaf.path for leaf in schema.leaves], pa.string())

    def decode(self, bodies: Sequence[bytes]) -> Part:
        """Bodies without their frame, of one record id each. What cannot be read spoils nothing else."""
        rows = decode_rows(bodies, self.schema.body_json, whole=True)
        kept = _others(rows.reasons, len(bodies))
        if not len(kept):
            return nothing(rows.reasons)
        header = rows.batch.column(0)
        kinds = pc.index_in(header.field("changeType"), value_set=_KIND_NAMES)
        updates = np.flatnonzero(kinds.fill_null(-1).to_numpy(zero_copy_only=False) == _UPDATE)
        combination, plans = self._combinations(header, updates)
        reasons = _misfits(header, kinds, updates, combination, plans)
        if reasons:  # rare: once more without them
            rest = _others(reasons, len(kept))
            found = {**rows.reasons, **{int(kept[i]): reason for i, reason in reasons.items()}}
            again = self.decode([bodies[i] for i in kept[rest].tolist()])
            return Part(kept[rest], found, again.columns, again.row, again.field, again.value, again.known)
        codes = kinds.to_numpy(zero_copy_only=False)
        leaves = Leaves(rows.batch, self.schema)
        named = named_by_bitmaps(updates, combination, [p for p in plans if isinstance(p, bytes)], leaves)
        whole = np.isin(codes, _WHOLE)
        changed = named
        if whole.any():
            named = merged(changed, named_by_value(whole, leaves))
        return self._part(kept, rows.reasons, header, leaves, changed, named)

    def _part(
        self,
        kept: Ints,
        reasons: dict[int, str],
        header: pa.StructArray,
        leaves: Leaves,
        changed: Named,
        named: Named,
    ) -> Part:
        field = self._paths.take(pa.array(named.leaf))
        value, known = values(named, leaves)
        columns = {ours: header.field(theirs) for ours, theirs in _SAME.items()}
        columns["record_id"] = header.field("recordIds").flatten()
        columns["origin"], columns["client"] = _origins(header.field("changeOrigin"))
        length = len(header)
        all_changed = field if changed is named else self._paths.take(pa.array(changed.leaf))
        columns["changed_fields"] = lists(changed.row, all_changed, length)
        columns["nulled_fields"] = self._paths_of(with_flag(changed, NULLED), length)
        columns["diff_fields"] = self._paths_of(with_flag(changed, DIFF), length)
        return Part(kept, reasons, columns, named.row, field, value, known)

    def _paths_of(self, named: Named, length: int) -> pa.Array:
        return lists(named.row, self._paths.take(pa.array(named.leaf)), length)

    def _combinations(self, header: pa.StructArray, updates: Ints) -> tuple[Ints, list[bytes | BitmapError]]:
        """The plan of each UPDATE, as an index, and the plans of this batch."""
        if not len(updates):
            return np.empty(0, np.int64), []
        joined = [
            pc.binary_join(header.field(name), _ENTRY_MARK)
            for name in ("changedFields", "nulledFields", "diffFields")
        ]
        keys = pc.binary_join_element_wise(*joined, _LIST_MARK)
        if len(updates) < len(keys):
            keys = keys.take(pa.array(updates))
        encoded = keys.dictionary_encode()
        plan_of = self._plans.of
        plans = [plan_of(key) for key in encoded.dictionary.to_pylist()]
        return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), plans


def _misfits(
    header: pa.StructArray,
    kinds: pa.Array,
    updates: Ints,
    combination: Ints,
    plans: list[bytes | BitmapError],
) -> dict[int, str]:
    """Events that were decoded and still make no sense."""
    reasons: dict[int, str] = {}
    counts = header.field("recordIds").value_lengths().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(counts != 1).tolist():
        reasons[row] = f"it names {counts[row]} records where one was expected"
    if kinds.null_count:
        for row in np.flatnonzero(kinds.is_null().to_numpy(zero_copy_only=False)).tolist():
            reasons[row] = f"its change type {header.field('changeType')[row]} is not known"
    wrong = {i: str(plan) for i, plan in enumerate(plans) if isinstance(plan, BitmapError)}
    if wrong:
        for row, which in zip(updates.tolist(), combination.tolist(), strict=True):
            if which in wrong:
                reasons[row] = wrong[which]
    return reasons


def _origins(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    encoded = texts.dictionary_encode()
    parsed = [parse_origin(text) for text in encoded.dictionary.to_pylist()]
    origins = pa.array([origin for origin, _ in parsed], pa.string())
    clients = pa.array([client for _, client in parsed], pa.string())
    return origins.take(encoded.indices), clients.take(encoded.indices)


def _others(reasons: dict[int, str], length: int) -> Ints:
    kept = np.arange(length)
    return kept[[i not in reasons for i in range(length)]] if reasons else kept
