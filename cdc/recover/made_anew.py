"""Records that are gone from the Recycle Bin, made anew under new ids; and who points to them.

A try that may have reached the org is looked for before it is made again: by the key it carries (`r-1a2b:001…`)
where the entity has the key field, else among the records this user has created since the restore began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdc.ports.org import EntityDescription
from cdc.ports.orgwriter import RecordWrite
from cdc.recover.reading import ALWAYS, narrowed
from cdc.recover.values import written
from cdc.recover.work import Batch, Field, Item
from cdc.recover.written import Result

if TYPE_CHECKING:
    from cdc.recover.apply import Apply

ALIKE_SHARE = 0.8
"""A record found is the one that was written if so many of its values are: automation may have changed some."""


class Anew:
    """`ids`: old id -> new id, of this run and those before."""

    def __init__(self, run: Apply) -> None:
        self._run = run
        self.ids: dict[str, str] = {}

    def resolved(self, batch: Batch) -> Batch:
        """The batch with new ids where old ones stood: as values, and as the records to write."""
        if not self.ids or batch.action not in ("CREATE", "REPARENT"):
            return batch
        items = [self._resolved(item, batch.action) for item in batch.items]
        return Batch(batch.chunk, batch.entity, batch.action, items, batch.by_job)

    def _resolved(self, item: Item, action: str) -> Item:
        fields = {
            path: Field(self.ids.get(wanted.before or "", wanted.before), wanted.now)
            for path, wanted in item.fields.items()
        }
        record_id = self.ids.get(item.record_id, item.record_id) if action == "REPARENT" else item.record_id
        return Item(record_id, fields, item.modified)

    async def create(self, batch: Batch, unsure: frozenset[str]) -> list[Result]:
        """An outcome for each, with its new id."""
        run = self._run
        description = await run.describe(batch.entity)
        found = await self._found(batch, description, unsure) if unsure else {}
        results = [Result(old, "restored", "", new) for old, new in found.items()]
        rest = [i for i in batch.items if i.record_id not in found]
        if rest:
            missing = self._still_missing()
            records = [RecordWrite(batch.entity, None, self._values(description, i, missing)) for i in rest]
            for item, one in zip(rest, await run.insert(records), strict=True):
                if one.success and one.record_id:
                    results.append(Result(item.record_id, "restored", "", one.record_id))
                else:
                    error = "; ".join(f"{e.code}: {e.message}" for e in one.errors)
                    results.append(Result(item.record_id, "failed", error or "the org gave no reason"))
        self.ids.update({r.record_id: r.new_record_id for r in results if r.new_record_id})
        return results

    def _values(self, description: EntityDescription, item: Item, missing: set[str]) -> dict[str, Any]:
        """What is written: without pointers to records that are still to be made; those follow as REPARENT."""
        values = {p: w.before for p, w in item.fields.items() if (w.before or "") not in missing}
        out = written(description, values)
        if self._key_field(description):
            out[self._run.options.key_field] = self._key(item.record_id)
        return out

    def _still_missing(self) -> set[str]:
        rows = self._run.plan.writes()
        olds = {
            r
            for r, action in zip(rows["record_id"].to_pylist(), rows["action"].to_pylist(), strict=True)
            if action == "CREATE"
        }
        return olds - set(self.ids)

    def _key(self, old_id: str) -> str:
        return f"{self._run.restore.restore_id}:{old_id}"

    def _key_field(self, description: EntityDescription) -> bool:
        name = self._run.options.key_field
        return bool(name) and any(f.name == name and f.createable for f in description.fields)

    async def _found(
        self, batch: Batch, description: EntityDescription, unsure: frozenset[str]
    ) -> dict[str, str]:
        items = [i for i in batch.items if i.record_id in unsure and i.record_id not in self.ids]
        if not items:
            return {}
        if self._key_field(description):
            return await self._by_key(batch.entity, items)
        return await self._by_likeness(description, items)

    async def _by_key(self, entity: str, items: Sequence[Item]) -> dict[str, str]:
        name = self._run.options.key_field
        keys = {self._key(i.record_id): i.record_id for i in items}
        listed = ", ".join(f"'{key}'" for key in keys)
        soql = f"SELECT Id, {name} FROM {entity} WHERE {name} IN ({listed})"
        rows = await self._rows(soql)
        return {keys[row[name]]: str(row["Id"]) for row in rows if row.get(name) in keys}

    async def _by_likeness(self, description: EntityDescription, items: Sequence[Item]) -> dict[str, str]:
        """Records this user has created since the restore began and that no outcome speaks of, matched by their values."""
        run = self._run
        since = datetime.fromtimestamp((run.restore.started_at or 0) // 1000, UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        paths = {p for i in items for p in i.fields}
        wanted = narrowed(description, paths)
        names = list(dict.fromkeys([*ALWAYS, *(f.name for f in wanted.fields)]))
        soql = (
            f"SELECT {', '.join(names)} FROM {description.entity} "
            f"WHERE CreatedById = '{run.user_id}' AND CreatedDate >= {since}"
        )
        taken = set(self.ids.values())
        states = [run.org.row_state(wanted, row) for row in await self._rows(soql)]
        free = {s.record_id: s.values for s in states if s.record_id not in taken}
        found: dict[str, str] = {}
        for item in items:
            values = {p: w.before for p, w in item.fields.items()}
            best = max(free, key=lambda new: _alike(values, free[new]), default=None)
            if best is not None and _alike(values, free[best]) >= ALIKE_SHARE:
                found[item.record_id] = best
                del free[best]
        return found

    async def _rows(self, soql: str) -> list[Mapping[str, Any]]:
        return [row async for page in self._run.org.query(soql) for row in page.rows]


def _alike(wanted: Mapping[str, str | None], held: Mapping[str, str | None]) -> float:
    return sum(held.get(p) == v for p, v in wanted.items()) / max(1, len(wanted))
