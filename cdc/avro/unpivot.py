"""A batch of decoded events to long form: a row for each field an event gives a value, or makes unknown.

Numpy works out which (row, leaf) pairs are named, Arrow fetches their values: all leaves of one form are laid
end to end and taken from at once. Nothing here runs once per field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.avro.plan import CODE_BYTES, FLAG_BITS, NULLED, PARENT, SWITCHABLE
from cdc.avro.schema import EventSchema, Form, Leaf
from cdc.avro.texts import stored_type, to_texts
from cdc.change.bitmap import WHOLE

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Named:
    """(row, leaf) pairs that events name, ascending by row and then leaf; flags as in `plan.py`."""

    row: Ints
    leaf: Ints
    flags: Ints

    def only(self, which: Bools) -> Named:
        return Named(self.row[which], self.leaf[which], self.flags[which])


class Leaves:
    """The columns of a batch's leaves, each flattened at most once."""

    def __init__(self, batch: pa.RecordBatch, schema: EventSchema) -> None:
        self.batch = batch
        self.schema = schema
        self._parts: dict[int, list[pa.Array]] = {}

    def column(self, leaf: Leaf) -> pa.Array:
        """The leaf's values, null where the compound field it belongs to is null."""
        if leaf.child != WHOLE:
            parts = self._parts.get(leaf.top)
            if parts is None:
                parts = self._parts[leaf.top] = self._branch(leaf).flatten()
            return parts[leaf.child]
        return self._branch(leaf)

    def types(self, top: int) -> Ints:
        """The branch of the union each row took."""
        return np.asarray(self.batch.column(top).type_codes, dtype=np.int64)

    def _branch(self, leaf: Leaf) -> pa.Array:
        column = self.batch.column(leaf.top)
        return column.field(leaf.branch) if leaf.branch >= 0 else column


def named_by_bitmaps(rows: Ints, combination: Ints, plans: Sequence[bytes], leaves: Leaves) -> Named:
    """What UPDATEs name: `rows` ascending, `combination` the index of each row's plan in `plans`."""
    lengths = np.fromiter(map(len, plans), np.int64, len(plans)) // CODE_BYTES
    codes = np.frombuffer(b"".join(plans), np.int32)
    starts = np.cumsum(lengths) - lengths
    counts = lengths[combination]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    within = np.arange(total) + np.repeat(starts[combination] - (ends - counts), counts)
    code = codes[within]
    named = Named(
        np.repeat(rows, counts), (code >> FLAG_BITS).astype(np.int64), code & ((1 << FLAG_BITS) - 1)
    )
    return _of_the_branch_taken(named, leaves) if np.any(named.flags & SWITCHABLE) else named


def named_by_value(rows: Bools, leaves: Leaves) -> Named:
    """What CREATEs and UNDELETEs name: every leaf that has a value."""
    length = leaves.batch.num_rows
    row_parts: list[Ints] = []
    leaf_parts: list[Ints] = []
    for index, leaf in enumerate(leaves.schema.leaves):
        if leaf.branch < 0 and leaves.batch.column(leaf.top).null_count == length:
            continue
        column = leaves.column(leaf)
        if column.null_count == length:
            continue
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        found = np.flatnonzero(
            valid & rows & (leaves.types(leaf.top) == leaf.branch if leaf.branch >= 0 else True)
        )
        row_parts.append(found)
        leaf_parts.append(np.full(len(found), index, np.int64))
    if not row_parts:
        return Named(*(np.empty(0, np.int64) for _ in range(3)))
    row = np.concatenate(row_parts)
    by_row = np.argsort(row, kind="stable")
    return Named(row[by_row], np.concatenate(leaf_parts)[by_row], np.zeros(len(row), np.int64))


def merged(first: Named, second: Named) -> Named:
    """Both, in order of rows; no row is in both."""
    if not len(second.row):
        return first
    if not len(first.row):
        return second
    order = np.argsort(np.concatenate([first.row, second.row]), kind="stable")
    return Named(
        np.concatenate([first.row, second.row])[order],
        np.concatenate([first.leaf, second.leaf])[order],
        np.concatenate([first.flags, second.flags])[order],
    )


def values(named: Named, leaves: Leaves) -> tuple[pa.Array, Bools]:
    """The text of each pair, and whether it is known.

    Null is known where the event says so, and for a part of a compound field that was named as a whole and
    has a value in another part; any other null is a value the event does not show.
    """
    texts = _texts(named, leaves)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    nulled = (named.flags & NULLED) != 0
    if np.any(nulled & valid):
        texts = pc.if_else(pa.array(nulled), pa.scalar(None, pa.string()), texts)
    known = valid | nulled
    in_doubt = ~known & ((named.flags & PARENT) != 0)
    if np.any(in_doubt):
        known |= _beside_a_value(named, leaves, in_doubt)
    return texts, known


def with_flag(named: Named, flag: int) -> Named:
    """The pairs that have a flag of `plan.py`."""
    return named.only((named.flags & flag) != 0)


def _texts(named: Named, leaves: Leaves) -> pa.Array:
    all_leaves = leaves.schema.leaves
    present = np.flatnonzero(np.bincount(named.leaf, minlength=len(all_leaves)))
    by_form: dict[Form, list[int]] = {}
    for leaf in present.tolist():
        by_form.setdefault(all_leaves[leaf].form, []).append(leaf)
    pieces: list[pa.Array] = []
    places: list[Ints] = []
    for form, of_form in by_form.items():
        slot = np.full(len(all_leaves), -1, np.int64)
        slot[of_form] = np.arange(len(of_form))
        slots = slot[named.leaf]
        where = np.flatnonzero(slots >= 0)
        pieces.append(_texts_of_form(form, of_form, slots[where], named.row[where], leaves))
        places.append(where)
    if len(pieces) <= 1:
        return pieces[0] if pieces else pa.array([], pa.string())
    order = np.concatenate(places)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_arrays(pieces).take(pa.array(back))


def _texts_of_form(form: Form, of_form: list[int], slots: Ints, rows: Ints, leaves: Leaves) -> pa.Array:
    columns = [leaves.column(leaves.schema.leaves[leaf]) for leaf in of_form]
    if form is Form.JSON:  # shapes differ, so each on its own, and back to the order asked for
        pieces = [to_texts(column, form) for column in columns]
        return pa.concat_arrays(pieces).take(pa.array(slots * leaves.batch.num_rows + rows))
    wanted = stored_type(form)
    if wanted is not None:
        columns = [column if column.type == wanted else column.cast(wanted) for column in columns]
    laid_out = columns[0] if len(columns) == 1 else pa.concat_arrays(columns)
    return to_texts(laid_out.take(pa.array(slots * leaves.batch.num_rows + rows)), form)


def _of_the_branch_taken(named: Named, leaves: Leaves) -> Named:
    """Of a text-or-record field named as a whole: the text's leaf for a text or null, the parts for a record."""
    keep = np.ones(len(named.row), np.bool_)
    switchable = (named.flags & SWITCHABLE) != 0
    for index in np.unique(named.leaf[switchable]).tolist():
        leaf = leaves.schema.leaves[index]
        here = switchable & (named.leaf == index)
        taken = leaves.types(leaf.top)[named.row[here]]
        if leaf.child == WHOLE:
            keep[here] = ~np.isin(taken, _record_branches(leaves.schema, leaf.top))
        else:
            keep[here] = taken == leaf.branch
    return named.only(keep)


def _record_branches(schema: EventSchema, top: int) -> list[int]:
    return [leaf.branch for leaf in schema.leaves if leaf.top == top and leaf.child != WHOLE]


def _beside_a_value(named: Named, leaves: Leaves, which: Bools) -> Bools:
    """Of the pairs in `which`, those whose compound field has a value in some other part."""
    all_leaves = leaves.schema.leaves
    tops = np.array([leaf.top for leaf in all_leaves], np.int64)[named.leaf]
    found = np.zeros(len(named.row), np.bool_)
    for top in np.unique(tops[which]).tolist():
        some = np.zeros(leaves.batch.num_rows, np.bool_)
        for leaf in all_leaves:
            if leaf.top == top and leaf.child != WHOLE:
                some |= leaves.column(leaf).is_valid().to_numpy(zero_copy_only=False)
        here = which & (tops == top)
        found[here] = some[named.row[here]]
    return found
