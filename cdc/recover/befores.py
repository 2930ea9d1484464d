"""From the changes that are meant to what each field should be again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cdc.answer.answers import dicts_of
from cdc.recover.scope import Scope, meant
from cdc.recover.statements import sql

STRETCH_RECORDS = 20_000
"""Records of which the past is folded at once."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One entity's part of an incident: the ids its records lie between, and its first meant change."""

    entity: str
    lo: str
    hi: str
    first_seq: int
    records: int


@contextmanager
def before_the_incident(reader: Any, scope: Scope) -> Iterator[list[Touched]]:
    """Temporary tables of this cursor: `meant` and `meant_writes` (scope.py), `befores` and `lives`.

    Everything is cut before the first meant change of all entities, so that it is one moment.
    """
    with meant(reader, scope):
        touched = [Touched(**row) for row in dicts_of(reader.execute(sql("meant_entities")))]
        try:
            reader.execute(sql("befores_table"))
            cut = min((t.first_seq for t in touched), default=0)
            for one in touched:
                for given in _stretches(reader, one):
                    reader.execute(sql("befores"), {"entity": one.entity, "cut": cut, **given})
            reader.execute(sql("lives"))
            yield touched
        finally:
            reader.execute("DROP TABLE IF EXISTS temp.befores")
            reader.execute("DROP TABLE IF EXISTS temp.lives")


def _stretches(reader: Any, one: Touched) -> list[dict[str, Any]]:
    """The entity's records in stretches of ids, so that what is folded at once is bounded; with the fields written."""
    return dicts_of(reader.execute(sql("stretches"), {"entity": one.entity, "records": STRETCH_RECORDS}))


def whole_records(reader: Any, entity: str, ids: Sequence[str], cut: int) -> dict[str, dict[str, str | None]]:
    """Records by id as they should be: every field that is known. Inside `before_the_incident`."""
    if not ids:
        return {}
    reader.register("wanted", pa.table({"record_id": pa.array(ids, pa.string())}))
    try:
        given = {"entity": entity, "lo": min(ids), "hi": max(ids), "cut": cut}
        found = reader.execute(sql("wholes"), given).fetchall()
    finally:
        reader.unregister("wanted")
    out: dict[str, dict[str, str | None]] = {record_id: {} for record_id in ids}
    for record_id, field, value, known in found:
        if known:
            out[record_id][field] = value
    return out
