"""What the org says now of the records a restore is about: read from the org, never from the journal.

By ids, 180 in a call, or the whole entity page by page where that costs fewer calls. Rows become columns page
by page; a record the org no longer knows at all is in neither table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from cdc.errors import BadArgument, NotFound
from cdc.ports.org import EntityDescription, Org, RowState
from cdc.ports.types import RecordId

IDS_PER_CALL = 180
"""What one query by ids can carry."""
ROWS_PER_PAGE = 2_000
CALLS_AT_ONCE = 4
PART_RECORDS = 5_000
COUNT_FROM_CALLS = 10
"""From so many calls on it is asked how large the entity is."""
ALWAYS = ("Id", "IsDeleted", "SystemModstamp")


@dataclass(slots=True)
class Present:
    """`values`: record_id, field, value, known. `records`: record_id, is_deleted, modified (SystemModstamp, ms).

    `calls` and `seconds` are what the reading cost: they time the plan.
    """

    values: pa.Table
    records: pa.Table
    calls: int = 0
    seconds: float = 0.0


VALUES = pa.schema(
    [("entity", pa.string()), ("record_id", pa.string()), ("field", pa.string()), ("value", pa.string()), ("known", pa.bool_())]
)  # fmt: skip
RECORDS = pa.schema(
    [("entity", pa.string()), ("record_id", pa.string()), ("is_deleted", pa.bool_()), ("modified", pa.int64()), ("master_id", pa.string())]
)  # fmt: skip


@dataclass(slots=True)
class _Columns:
    """Rows as columns, a part at a time: what stands as Python objects is a part at most."""

    entity: str
    values: list[tuple[str, str, str, str | None, bool]] = field(default_factory=list)
    records: list[tuple[str, str, bool, int | None, str | None]] = field(default_factory=list)
    parts: list[tuple[pa.Table, pa.Table]] = field(default_factory=list)

    def add(self, row: RowState, master_id: str | None) -> None:
        name, record_id = self.entity, row.record_id
        self.records.append((name, record_id, row.is_deleted, row.system_modstamp, master_id))
        self.values += [(name, record_id, path, value, True) for path, value in row.values.items()]
        self.values += [(name, record_id, path, None, False) for path in row.unknown]
        if len(self.records) >= PART_RECORDS:
            self._close_part()

    def tables(self) -> tuple[pa.Table, pa.Table]:
        self._close_part()
        return tuple(pa.concat_tables(some) for some in zip(*self.parts, strict=True))

    def _close_part(self) -> None:
        values = list(zip(*self.values, strict=True)) or [()] * len(VALUES)
        records = list(zip(*self.records, strict=True)) or [()] * len(RECORDS)
        self.parts.append((pa.table(values, schema=VALUES), pa.table(records, schema=RECORDS)))
        self.values.clear()
        self.records.clear()


def narrowed(description: EntityDescription, paths: Iterable[str]) -> EntityDescription:
    """The description with only these fields: what one reading asks for."""
    wanted = set(paths)
    kept = tuple(f for f in description.fields if f.path in wanted and not f.is_compound)
    return replace(description, fields=kept)


def names_of(description: EntityDescription, paths: Iterable[str]) -> list[str]:
    """The names queries use for paths; paths nobody described are left out."""
    wanted = set(paths)
    return [f.name for f in description.fields if f.path in wanted and not f.is_compound]


async def read_present(
    org: Org,
    description: EntityDescription,
    ids: Sequence[str],
    paths: Iterable[str],
    *,
    merged: bool = False,
) -> Present:
    """The records as they are now, those in the Recycle Bin too. `merged` asks what a deleted one was merged into.

    Errors: those of `Org`.
    """
    began_s = time.monotonic()
    wanted = narrowed(description, paths)
    names = list(dict.fromkeys([*ALWAYS, *names_of(description, paths)]))
    if merged and any(f.name == "MasterRecordId" for f in description.fields):
        names.append("MasterRecordId")
    columns, keep, calls = _Columns(description.entity), set(ids), 0
    total = None
    if len(ids) > IDS_PER_CALL * (COUNT_FROM_CALLS - 1):
        total = (await counts_of(org, [description.entity])).get(description.entity)
        calls += 1
    if is_whole(len(ids), total):
        soql = f"SELECT {', '.join(names)} FROM {description.entity}"
        async for page in org.query(soql, deleted=True):
            calls += 1
            _take(org, wanted, page.rows, keep, columns)
    elif ids:
        groups = [ids[at : at + IDS_PER_CALL] for at in range(0, len(ids), IDS_PER_CALL)]
        gate = asyncio.Semaphore(CALLS_AT_ONCE)

        async def one(group: Sequence[str]) -> None:
            async with gate:
                page = await org.read(description.entity, [RecordId(i) for i in group], names)
            _take(org, wanted, page.rows, keep, columns)

        await asyncio.gather(*(one(group) for group in groups))
        calls += len(groups)
    values, records = columns.tables()
    return Present(values, records, calls, time.monotonic() - began_s)


def reading_calls(count: int, total: int | None) -> int:
    """What reading so many records costs, of an entity with about `total` of them; see `read_present`."""
    by_ids = -(-count // IDS_PER_CALL)
    if by_ids < COUNT_FROM_CALLS:
        return by_ids
    return 1 + (pages_of(total) if is_whole(count, total) and total is not None else by_ids)


def is_whole(count: int, total: int | None) -> bool:
    """Whether the whole entity is read because that costs fewer calls."""
    by_ids = -(-count // IDS_PER_CALL)
    return by_ids >= COUNT_FROM_CALLS and total is not None and pages_of(total) + 1 < by_ids


def pages_of(total: int) -> int:
    return max(1, -(-total // ROWS_PER_PAGE))


async def counts_of(org: Org, entities: Sequence[str]) -> dict[str, int]:
    """About how many records each entity has, where the org says so."""
    try:
        return dict(await org.record_counts(entities))
    except (NotFound, BadArgument):
        return {}


def _take(
    org: Org, wanted: EntityDescription, rows: Sequence[Mapping[str, Any]], keep: set[str], columns: _Columns
) -> None:
    for row in rows:
        state = org.row_state(wanted, row)
        if state.record_id in keep:
            columns.add(state, row.get("MasterRecordId") or None)


def joined(parts: Sequence[Present]) -> Present:
    """Readings of several entities as one."""
    return Present(
        pa.concat_tables([VALUES.empty_table(), *(p.values for p in parts)]),
        pa.concat_tables([RECORDS.empty_table(), *(p.records for p in parts)]),
        sum(p.calls for p in parts),
        sum(p.seconds for p in parts),
    )


def by_record(present: Present) -> dict[str, dict[str, str | None]]:
    """Known values by record and field, for the few records of one batch."""
    out: dict[str, dict[str, str | None]] = {r: {} for r in present.records["record_id"].to_pylist()}
    columns = (present.values[name].to_pylist() for name in ("record_id", "field", "value", "known"))
    for record_id, path, value, known in zip(*columns, strict=True):
        if known:
            out[record_id][path] = value
    return out
