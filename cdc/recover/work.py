"""A plan cut into batches: each is one write, in the plan's order, the same however often it is cut.

A batch holds records of one step, entity and action. `fields` of a record are what is to be written with what
the org held when it was planned; a batch is named by its place, so that what was told of it can be found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow.compute as pc

from cdc.recover.planfile import Plan
from cdc.recover.steps import BATCH_RECORDS, BULK_RECORDS, is_bulk


class Field(NamedTuple):
    """One value to write: `before` will be written if the org still holds `now`."""

    before: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a batch. `modified`: when a record to delete was last modified, as the plan saw it."""

    record_id: str
    fields: Mapping[str, Field]
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """`by_job`: a job of the Bulk API. What is told of it has its action as kind; a REPARENT is an update."""

    chunk: str
    entity: str
    action: str
    items: Sequence[Item]
    by_job: bool


def batches(plan: Plan, bulk_from: int) -> Iterator[Batch]:
    """Every batch of the plan, in order."""
    writes = plan.writes()
    names = writes.schema.names
    groups = (
        writes.group_by(["step", "entity", "action"], use_threads=False)
        .aggregate([("record_id", "count_distinct")])
        .sort_by([("step", "ascending"), ("entity", "ascending"), ("action", "ascending")])
        .to_pylist()
    )
    number = 0
    for group in groups:
        mask = pc.and_(
            pc.and_(pc.equal(writes["step"], group["step"]), pc.equal(writes["entity"], group["entity"])),
            pc.equal(writes["action"], group["action"]),
        )
        rows = writes.filter(mask).select([n for n in names if n not in ("bad", "decision", "reason")])
        by_job = is_bulk(group["action"], group["record_id_count_distinct"], bulk_from)
        size = BULK_RECORDS if by_job else BATCH_RECORDS
        some: list[Item] = []
        for item in _items(rows, group["action"]):
            some.append(item)
            if len(some) == size:
                yield _batch(number, group, some, by_job)
                number, some = number + 1, []
        if some:
            yield _batch(number, group, some, by_job)
            number += 1


def records_of(plan: Plan) -> int:
    """How many records all batches hold together; one that is written in two steps counts twice."""
    return int(plan.writes().group_by(["step", "entity", "action", "record_id"]).aggregate([]).num_rows)


def _batch(number: int, group: Mapping[str, str], items: Sequence[Item], by_job: bool) -> Batch:
    return Batch(
        f"{number:06d}-{group['action'].lower()}", group["entity"], group["action"], tuple(items), by_job
    )


def _items(rows: object, action: str) -> Iterator[Item]:
    """Rows of one group, sorted by record, as records."""
    columns = [rows[name].to_pylist() for name in ("record_id", "field", "before", "now")]  # type: ignore[index]
    current: str | None = None
    fields: dict[str, Field] = {}
    modified: str | None = None
    for record_id, path, before, now in zip(*columns, strict=True):
        if record_id != current:
            if current is not None:
                yield Item(current, fields, modified)
            current, fields, modified = record_id, {}, None
        if path is not None:
            fields[path] = Field(before, now)
        elif action == "DELETE":
            modified = now
    if current is not None:
        yield Item(current, fields, modified)
