"""Pieces of a stream as columns, and how they become the tables that `cdc detect` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

I64 = npt.NDArray[np.int64]
Values = Callable[[int], pa.Array]

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
WEEK = 7 * DAY

UI = ("com/salesforce/api/soap/66.0", "SfdcInternalAPI/")
LOADER = ("com/salesforce/api/bulkapi/66.0", "Dataloader/66.0")
ERP = ("com/salesforce/api/rest/65.0", "erp-sync/4.1")
MARKETING = ("com/salesforce/api/rest/64.0", "journeys")
PRIVACY = ("com/salesforce/api/rest/66.0", "privacy-desk/2")
NEWCOMER = ("com/salesforce/api/rest/66.0", "shipping-hub/1.0")
RESTORE = ("com/salesforce/api/rest/66.0", "sf-cdc-restore")
FLOW = ("", "")
ORIGINS = (UI, LOADER, ERP, MARKETING, PRIVACY, NEWCOMER, RESTORE, FLOW)


@dataclass
class Written:
    """One field: the block's rows that write it, and what they write (null: set to null)."""

    name: str
    rows: I64
    values: pa.Array


@dataclass
class Block:
    """Changes of one kind to one entity. `record`, `user` are numbers of the org; `label` marks what it is."""

    entity: str
    kind: str
    at: I64
    record: I64
    transaction: I64
    user: I64
    origin: I64
    fields: list[Written] = field(default_factory=list)
    label: int = 0

    def __len__(self) -> int:
        return len(self.at)

    def part(self, rows: I64) -> Block:
        """The block with these rows only (ascending)."""
        place = np.full(len(self), -1, np.int64)
        place[rows] = np.arange(len(rows))
        fields = []
        for one in self.fields:
            kept = np.flatnonzero(place[one.rows] >= 0)
            fields.append(Written(one.name, place[one.rows[kept]], one.values.take(pa.array(kept))))
        columns = (self.at, self.record, self.transaction, self.user, self.origin)
        return Block(self.entity, self.kind, *(c[rows] for c in columns), fields, self.label)


def picked(generator: np.random.Generator, names: Sequence[str | None], shares: Sequence[float]) -> Values:
    """Draws from a few values, each with its share."""
    texts = pa.array(list(names), pa.string())
    weights = np.array(shares, float) / sum(shares)
    return lambda n: texts.take(pa.array(generator.choice(len(weights), n, p=weights)))


def constant(value: str | None) -> Values:
    return lambda n: pa.array([value], pa.string()).take(pa.array(np.zeros(n, np.int64)))


def joined(*parts: Any) -> pa.Array:
    """Texts put together, element by element."""
    import pyarrow.compute as pc

    texts = [p if isinstance(p, str) else p.cast(pa.string()) for p in parts]
    return pc.binary_join_element_wise(*texts, "")


def table_of(
    blocks: list[Block], ids: Callable[[str, I64], pa.Array], users: pa.Array, first_row: int
) -> pa.Table:
    """The blocks as one table in order of commit, with `label` as a column nobody but the scorer reads."""
    blocks = [b for b in blocks if len(b)]
    lengths = [len(b) for b in blocks]
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    at = np.concatenate([b.at for b in blocks])
    order = np.argsort(at, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))

    def by_block(texts: list[str]) -> pa.Array:
        codes = np.repeat(np.arange(len(blocks)), lengths)[order]
        return pa.array(texts, pa.string()).take(pa.array(codes))

    def by_row(name: str) -> I64:
        return np.concatenate([getattr(b, name) for b in blocks])[order]

    record = pa.concat_arrays([ids(b.entity, b.record) for b in blocks]).take(pa.array(order))
    rows, fields, values = _long(blocks, starts, place)
    update = np.repeat(np.array([b.kind == "UPDATE" for b in blocks]), lengths)[order]
    names = pa.array(fields[0], pa.string()).take(pa.array(fields[1]))
    null = np.asarray(values.is_null()).astype(bool)
    origin = by_row("origin")
    given = np.flatnonzero(~null)
    total = len(order)
    return pa.table(
        {
            "entity": by_block([b.entity for b in blocks]),
            "record_id": record,
            "kind": by_block([b.kind for b in blocks]),
            "committed_at": pa.array(at[order] // SECOND * SECOND),
            "transaction_key": joined("t", pa.array(by_row("transaction"))),
            "sequence_number": pa.array(np.ones(total, np.int64)),
            "user_id": users.take(pa.array(by_row("user"))),
            "origin": pa.array([o for o, _ in ORIGINS]).take(pa.array(origin)),
            "client": pa.array([c for _, c in ORIGINS]).take(pa.array(origin)),
            "changed_fields": _lists(rows, names, update[rows], total),
            "nulled_fields": _lists(rows, names, update[rows] & null, total),
            "values": pa.MapArray.from_arrays(
                _offsets(rows[given], total), names.take(pa.array(given)), values.take(pa.array(given))
            ),
            "event_id": joined("e", pa.array(np.arange(first_row, first_row + total))),
            "label": pa.array(np.repeat([b.label for b in blocks], lengths)[order].astype(np.int32)),
        }
    )


def _long(blocks: list[Block], starts: I64, place: I64) -> tuple[I64, tuple[list[str], I64], pa.Array]:
    """Row, field and value of everything written, ascending by row."""
    codes: dict[str, int] = {}
    rows, fields, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [pa.array([], pa.string())]
    for block, start in zip(blocks, starts.tolist(), strict=False):
        for one in block.fields:
            rows.append(place[one.rows + start])
            fields.append(np.full(len(one.rows), codes.setdefault(one.name, len(codes)), np.int64))
            values.append(one.values)
    row, fld = np.concatenate(rows), np.concatenate(fields)
    order = np.argsort(row, kind="stable")
    return row[order], (list(codes), fld[order]), pa.concat_arrays(values).take(pa.array(order))


def _offsets(rows: I64, total: int) -> pa.Array:
    counts = np.bincount(rows, minlength=total)
    return pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))


def _lists(rows: I64, names: pa.Array, wanted: npt.NDArray[np.bool_], total: int) -> pa.Array:
    kept = np.flatnonzero(wanted)
    return pa.ListArray.from_arrays(_offsets(rows[kept], total), names.take(pa.array(kept)))
