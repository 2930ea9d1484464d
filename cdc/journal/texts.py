"""Long texts that came as diffs are stored whole: rebuilt from the value before, and checked by their hash.

What cannot be rebuilt is stored as unknown, and the record is asked for again (reliability.md, "Kafka to
journal"). Diffs are few, so they are taken one by one; everything else about a batch goes by columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.diff import rebuild
from cdc.journal.rows import Rows
from cdc.journal.statements import statement
from cdc.journal.tables import registered

BEFORE_VALUES_MAX: Final = 3
"""How many values before are tried: a full state folded in between may be newer than what the diff is of."""

_WANTED: Final = pa.schema(
    {"entity": pa.string(), "record_id": pa.string(), "field": pa.string(), "seq": pa.int64()}
)


@dataclass(frozen=True, slots=True)
class Diff:
    """One field of one change that came as a diff. `at` is its place among the field rows, None where it has none."""

    seq: int
    row: int
    entity: str
    record_id: str
    field: str
    at: int | None


def whole_texts(connection: Any, rows: Rows, diff_fields: pa.ChunkedArray) -> tuple[Rows, list[Diff]]:
    """The rows with whole texts in place of diffs, and the diffs that could not be rebuilt.

    `diff_fields` goes with `rows.changes`.
    """
    diffs = _diffs(rows, diff_fields)
    if not diffs:
        return rows, []
    before = _values_before(connection, diffs)
    known: dict[tuple[str, str, str], str | None] = {}
    rebuilt: dict[int, str | None] = {}
    failed: list[Diff] = []
    in_batch = _plain_values(rows, diffs)
    for diff in diffs:
        key = (diff.entity, diff.record_id, diff.field)
        candidates = [known[key]] if key in known else []
        candidates += [text for seq, text in in_batch[key] if seq < diff.seq]
        candidates += before.get((*key, diff.seq), [])
        text = _rebuilt(rows, diff, candidates)
        if diff.at is not None:
            rebuilt[diff.at] = text
        if text is None:
            failed.append(diff)
        else:
            known[key] = text
    return replace(rows, fields=_replaced(rows.fields, rebuilt)), failed


def _diffs(rows: Rows, diff_fields: pa.ChunkedArray) -> list[Diff]:
    having = np.flatnonzero(pc.greater(pc.list_value_length(diff_fields), 0).to_numpy())
    if not len(having):
        return []
    field_row = rows.fields["row"].to_numpy()
    found = []
    for row in having.tolist():
        begin, end = np.searchsorted(field_row, [row, row + 1]).tolist()
        places = {
            name: begin + i
            for i, name in enumerate(rows.fields["field"].slice(begin, end - begin).to_pylist())
        }
        entity, record_id = rows.changes["entity"][row].as_py(), rows.changes["record_id"][row].as_py()
        found += [
            Diff(int(rows.ordinal[row]), row, entity, record_id, name, places.get(name))
            for name in diff_fields[row].as_py()
        ]
    return found


def _values_before(
    connection: Any, diffs: list[Diff]
) -> Mapping[tuple[str, str, str, int], list[str | None]]:
    """The newest known values held of each field, in the order of folding, newest first."""
    wanted = pa.Table.from_pylist(
        [{"entity": d.entity, "record_id": d.record_id, "field": d.field, "seq": d.seq} for d in diffs],
        schema=_WANTED,
    )
    with registered(connection, wanted=wanted):
        held = connection.execute(statement("values_before"), {"values_max": BEFORE_VALUES_MAX}).fetchall()
    found: dict[tuple[str, str, str, int], list[str | None]] = defaultdict(list)
    for entity, record_id, field, seq, value in held:
        found[entity, record_id, field, seq].append(value)
    return found


def _plain_values(
    rows: Rows, diffs: list[Diff]
) -> Mapping[tuple[str, str, str], list[tuple[int, str | None]]]:
    """Values of the same fields that came whole in this batch, newest first."""
    found: dict[tuple[str, str, str], list[tuple[int, str | None]]] = defaultdict(list)
    wanted = {(d.entity, d.record_id, d.field) for d in diffs}
    places = {d.at for d in diffs}
    names = pa.array(sorted({d.field for d in diffs}))
    for at in np.flatnonzero(pc.is_in(rows.fields["field"], names).to_numpy()).tolist():
        row = rows.fields["row"][at].as_py()
        key = (
            rows.changes["entity"][row].as_py(),
            rows.changes["record_id"][row].as_py(),
            rows.fields["field"][at].as_py(),
        )
        if key in wanted and at not in places and rows.fields["known"][at].as_py():
            found[key].insert(0, (int(rows.ordinal[row]), rows.fields["value"][at].as_py()))
    return found


def _rebuilt(rows: Rows, diff: Diff, candidates: list[str | None]) -> str | None:
    said = None if diff.at is None else rows.fields["value"][diff.at].as_py()
    if said is None:
        return None
    for before in candidates:
        text = rebuild(before or "", said)
        if text is not None:
            return text
    return None


def _replaced(fields: pa.Table, rebuilt: Mapping[int, str | None]) -> pa.Table:
    """The field rows with these values; None is not known."""
    mask = np.zeros(fields.num_rows, np.bool_)
    mask[list(rebuilt)] = True
    chosen = pa.array(mask)
    texts = [rebuilt[at] for at in sorted(rebuilt)]
    value = pc.replace_with_mask(fields["value"].combine_chunks(), chosen, pa.array(texts, pa.string()))
    known = pc.replace_with_mask(
        fields["known"].combine_chunks(), chosen, pa.array([text is not None for text in texts], pa.bool_())
    )
    for name, column in (("value", value), ("known", known)):
        at = fields.schema.get_field_index(name)
        fields = fields.set_column(at, fields.schema.field(at), column)
    return fields
