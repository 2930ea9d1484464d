"""A restore as it stands: its versions in the log, and what was told of its records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.answer.answers import dicts_of
from cdc.errors import NotFound
from cdc.recover.ledger import Ledger
from cdc.recover.statements import sql
from cdc.recover.work import Batch


@dataclass(frozen=True, slots=True)
class Restore:
    """One version of a restore. Times are epoch ms of org time. `jobs`: chunk -> id of a job that was made for it."""

    restore_id: str
    incident_id: str = ""
    kind: str = "incident"
    plan_hash: str = ""
    plan_file: str = ""
    state: str = "planned"
    version: int = 1
    user_id: str = ""
    planned_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    as_of_seq: int | None = None
    records: int = 0
    reason: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)

    def next(self, **changed: Any) -> Restore:
        """The next version; `counts` are laid over those before."""
        counts = {**self.counts, **changed.pop("counts", {})}
        return replace(self, version=self.version + 1, counts=counts, **changed)

    def detail(self) -> dict[str, Any]:
        """As `schemas/README.md` has it."""
        return {name: getattr(self, name) for name in self.__slots__} | {"counts": dict(self.counts)}


def restore_of(reader: Any, restore_id: str) -> Restore:
    """The latest version the journal holds. Errors: NotFound."""
    rows = dicts_of(reader.execute(sql("restore_latest"), {"restore_id": restore_id}))
    if not rows:
        raise NotFound("there is no restore of this id", where=restore_id[:60], do="see `cdc restore list`")
    given: dict[str, Any] = {name: value for name, value in rows[0].items() if value is not None}
    return Restore(**{**given, "counts": json.loads(given["counts"])})


@dataclass(frozen=True, slots=True)
class Told:
    """`done`: records with an outcome that stands; a failure does not, and is tried again. `open`: to be
    written, and nothing is known of it; by (entity, kind) the ids. `new_ids`: old id -> id of the record made anew."""

    done: frozenset[tuple[str, str, str]]
    open: Mapping[tuple[str, str], frozenset[str]]
    new_ids: Mapping[str, str]

    def open_of(self, batch: Batch) -> frozenset[str]:
        return self.open.get((batch.entity, batch.action), frozenset())


def told_of(ledger: Ledger, restore_id: str) -> Told:
    """What the journal holds of a restore's records."""
    with ledger.reader() as reader:
        rows = reader.execute(sql("told"), {"restore_id": restore_id}).fetchall()
    open_ids: dict[tuple[str, str], set[str]] = {}
    for entity, record_id, kind, result, _ in rows:
        if result == "intended":
            open_ids.setdefault((entity, kind), set()).add(record_id)
    return Told(
        frozenset((e, r, k) for e, r, k, result, _ in rows if result not in ("intended", "failed")),
        {key: frozenset(ids) for key, ids in open_ids.items()},
        {record_id: new_id for _, record_id, _, _, new_id in rows if new_id},
    )
