"""Columns of a batch made ready to be inserted: times, order, and for each field what its change says.

Everything here is Arrow and numpy: no Python object for a change or a field. The change's columns reach the
field rows as dictionaries whose indices are the row numbers, so that no text is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.kinds import Kind
from cdc.change.order import FoldRank
from cdc.ports.columns import ColumnBatch, Elsewhere, Longs
from cdc.ports.types import Ordinal

MILLIS_MAX: Final = 253_402_300_799_999
MILLIS_MIN: Final = -62_135_596_800_000
"""Years 1 to 9999: a time outside of them is a mistake of the sender, and must not stop the journal."""

NO_CHANNEL: Final = ""
"""The key under which events without a channel are counted."""

_TIMES: Final = pa.timestamp("us")


@dataclass(frozen=True, slots=True)
class Rows:
    """The new rows of one batch. `changes` has CHANGE_SCHEMA's columns made ready, `fields` those of FIELD_SCHEMA.

    `ordinal`, `effective_ms` and `is_event` are of `changes`, for what is decided in Python. `passage` has by channel
    the ordinals of its events, ascending, and how far commit times had come with each: in a part of a divided
    journal those of the other parts too.
    """

    changes: pa.Table
    fields: pa.Table
    platform_events: pa.Table
    ordinal: Longs
    effective_ms: Longs
    is_event: np.ndarray[Any, np.dtype[np.bool_]]
    kind: pa.ChunkedArray
    passage: Mapping[str, tuple[Longs, Longs]] = field(default_factory=dict)


def new_rows(batch: ColumnBatch, held: Ordinal, max_committed_ms: Mapping[str, int]) -> Rows:
    """Rows with an ordinal beyond `held`, with the time from which each counts.

    `max_committed_ms` is the greatest commit time so far of each channel.
    """
    changes, fields = _beyond(batch, held)
    platform = batch.platform_events.filter(pc.greater(batch.platform_events["ordinal"], held))
    ordinal = changes["ordinal"].to_numpy()
    after = changes["after_ordinal"]
    is_event = pc.is_null(after).to_numpy()
    elsewhere = None if batch.elsewhere is None else batch.elsewhere.beyond(held)
    effective_ms, passage = effective_times(changes, is_event, max_committed_ms, elsewhere)
    return Rows(
        _changes(changes, ordinal, effective_ms, is_event), fields, _with_times(platform, ("created_at", "received_at")),
        ordinal, effective_ms, is_event, changes["kind"], passage,
    )  # fmt: skip


def effective_times(
    changes: pa.Table,
    is_event: np.ndarray[Any, np.dtype[np.bool_]],
    max_committed_ms: Mapping[str, int],
    elsewhere: Elsewhere | None = None,
) -> tuple[Longs, Mapping[str, tuple[Longs, Longs]]]:
    """Epoch ms from which each change counts: an event from the running maximum of commit times of its channel,
    a full state from its anchor. With it the passage of each channel (see `Rows`)."""
    committed = np.clip(changes["committed_at"].to_numpy(), MILLIS_MIN, MILLIS_MAX)
    effective: Longs = np.clip(
        changes["anchor_at"].fill_null(0).to_numpy().astype(np.int64), MILLIS_MIN, MILLIS_MAX
    )
    ordinal = changes["ordinal"].to_numpy()
    passage: dict[str, tuple[Longs, Longs]] = {}
    chosen_of = dict(by_channel(changes["channel"], is_event)) if changes.num_rows else {}
    others = _by_channel_elsewhere(elsewhere)
    for channel in (*chosen_of, *(name for name in others if name not in chosen_of)):
        chosen = chosen_of.get(channel, _NO_ROWS)
        numbers, times = ordinal[chosen], committed[chosen]
        order = None
        if channel in others:
            numbers = np.concatenate([numbers, others[channel][0]])
            times = np.concatenate([times, np.clip(others[channel][1], MILLIS_MIN, MILLIS_MAX)])
            order = np.argsort(numbers, kind="stable")
            numbers, times = numbers[order], times[order]
        if not len(numbers):
            continue
        times = np.maximum(np.maximum.accumulate(times), max_committed_ms.get(channel, 0))
        passage[channel] = (numbers, times)
        effective[chosen] = times if order is None else times[np.searchsorted(numbers, ordinal[chosen])]
    return effective, passage


_NO_ROWS: Final = np.empty(0, np.int64)


def _by_channel_elsewhere(elsewhere: Elsewhere | None) -> dict[str, tuple[Longs, Longs]]:
    found: dict[str, list[tuple[Longs, Longs]]] = {}
    for (channel, _), pair in ({} if elsewhere is None else elsewhere.events).items():
        found.setdefault(channel, []).append(pair)
    return {
        channel: (np.concatenate([o for o, _ in pairs]), np.concatenate([at for _, at in pairs]))
        for channel, pairs in found.items()
    }


def by_channel(
    channels: pa.ChunkedArray, is_event: np.ndarray[Any, np.dtype[np.bool_]]
) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """For each channel the row numbers of its events, ascending."""
    coded = pc.fill_null(channels, NO_CHANNEL).combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return [
        (name, np.flatnonzero((codes == code) & is_event))
        for code, name in enumerate(coded.dictionary.to_pylist())
    ]


def field_table(rows: Rows) -> pa.Table:
    """Field rows with what folding needs of their change."""
    fields, changes = rows.fields, rows.changes
    row = fields["row"].to_numpy().astype(np.int32)
    index = pa.array(row)

    def of_change(name: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(index, _one(changes[name]))

    def numbers(name: str) -> pa.Array:
        return _one(changes[name]).take(index)

    return pa.table(
        {
            "seq": pa.array(rows.ordinal[row]),
            "entity": of_change("entity"),
            "record_id": of_change("record_id"),
            "field": fields["field"],
            "value": fields["value"],
            "known": fields["known"],
            "kind": of_change("kind"),
            **{
                name: numbers(name)
                for name in ("effective_at", "committed_at", "fold_seq", "fold_rank", "read_to")
            },
        }
    )


def times(millis: Longs, absent: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> pa.Array:
    """Epoch ms as the timestamps DuckDB stores; `absent` ones are null."""
    micros = np.clip(millis, MILLIS_MIN, MILLIS_MAX) * 1000
    return pa.array(micros, _TIMES, mask=absent)


def _beyond(batch: ColumnBatch, held: Ordinal) -> tuple[pa.Table, pa.Table]:
    """Changes ascend by ordinal, so what is new is their end; field rows are numbered anew."""
    changes, fields = batch.changes, batch.fields
    first = int(np.searchsorted(changes["ordinal"].to_numpy(), held, side="right"))
    if not first:
        return changes, fields
    row = fields["row"].to_numpy()
    first_field = int(np.searchsorted(row, first, side="left"))
    fields = fields.slice(first_field)
    at = fields.schema.get_field_index("row")
    return changes.slice(first), fields.set_column(
        at, fields.schema.field(at), pa.array(row[first_field:] - first)
    )


def _changes(
    changes: pa.Table, ordinal: Longs, effective_ms: Longs, is_event: np.ndarray[Any, np.dtype[np.bool_]]
) -> pa.Table:
    committed = changes["committed_at"].to_numpy()
    fold_seq = np.where(is_event, ordinal, changes["after_ordinal"].fill_null(0).to_numpy())
    rank = np.where(is_event, FoldRank.EVENT, FoldRank.FULL_STATE).astype(np.uint8)
    columns = {
        **{
            name: changes[name]
            for name in changes.column_names
            if name not in ("ordinal", "after_ordinal", "anchor_at", "part", "diff_fields")
        },
        "seq": pa.array(ordinal),
        "committed_at": times(committed, committed == 0),
        "effective_at": times(effective_ms),
        "fold_seq": pa.array(fold_seq.astype(np.int64)),
        "fold_rank": pa.array(rank),
        "read_to": _nullable_times(changes["read_to"]),
        "received_at": _nullable_times(changes["received_at"]),
    }
    return pa.table(columns)


def _with_times(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    for name in names:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, _nullable_times(table[name]))
    return table


def _nullable_times(millis: pa.ChunkedArray) -> pa.Array:
    """0 stands for a time that is not known, as null does."""
    filled = millis.fill_null(0).to_numpy().astype(np.int64)
    return times(filled, filled == 0)


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


GAP_NAMES: Final = pa.array([Kind.GAP_CREATE, Kind.GAP_UPDATE, Kind.GAP_UNDELETE, Kind.GAP_OVERFLOW])
"""Changes whose values have to be read again; of a GAP_DELETE nothing is left to read."""
