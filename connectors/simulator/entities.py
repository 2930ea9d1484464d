"""One entity of the org: its fields, its event schema's newest version, and its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connectors.simulator.catalog import DEFINITIONS, EntityDefinition
from connectors.simulator.fields import Field, Leaf, parse_fields
from connectors.simulator.layout import Layout, leaves_of

ROW_FIELDS = ("Id", "IsDeleted", "SystemModstamp")
"""What every row has besides its entity's fields; none of them is ever in an event (protocol 2.11)."""


@dataclass(slots=True)
class Record:
    """One record as it is now: `values` has path -> value of what is not null. Change them through `own_values`."""

    id: str
    values: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False
    system_modstamp: int = 0
    last_commit_at: int = 0
    deleted_with: int = 0  # the number of the transaction that deleted it
    deleted_at: int = 0
    archived: bool = False  # left out of query, found by queryAll
    cleared: tuple[tuple[str, str, str], ...] = ()
    """(entity, path, record) whose reference its delete emptied."""
    shared: bool = False
    """The truth holds the very same values: in a large org most records are never changed."""

    def own_values(self) -> dict[str, Any]:
        """The values, to be changed."""
        if self.shared:
            self.values, self.shared = dict(self.values), False
        return self.values


class Records:
    """An entity's records by id, Recycle Bin included, with a random pick of the live ones in one step."""

    def __init__(self) -> None:
        self._by_id: dict[str, Record] = {}
        self._live: list[str] = []
        self._at: dict[str, int] = {}
        self._purged: dict[str, int] = {}
        self._by_value: dict[str, dict[str, set[str]]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._by_id.values())

    def by_value(self, path: str, value: str) -> list[Record]:
        """Live records by the value of a text field: an external id, a reference."""
        return [self._by_id[record_id] for record_id in self.referring(path, value)]

    def get(self, record_id: str) -> Record | None:
        return self._by_id.get(record_id)

    def live_ids(self) -> list[str]:
        """Ids of the records not deleted, in no order that means anything, but the same for a seed."""
        return list(self._live)

    def add(self, record: Record) -> None:
        self._by_id[record.id] = record
        for path in self._by_value:
            self.reindex(record, path, None)
        if not record.deleted:
            self._enlist(record.id)

    def delete(self, record: Record, at_ms: int = 0) -> None:
        """Into the Recycle Bin."""
        record.deleted = True
        record.deleted_at = at_ms
        self._strike(record.id)

    def undelete(self, record: Record) -> None:
        record.deleted = False
        self._enlist(record.id)

    def purge(self, record: Record, at_ms: int = 0) -> None:
        """Gone altogether; only `deletions` still knows of it."""
        if not record.deleted:
            self._strike(record.id)
            record.deleted_at = at_ms
        self._purged[record.id] = record.deleted_at
        del self._by_id[record.id]

    def forget(self, record: Record) -> None:
        """It never was."""
        if record.id in self._at:
            self._strike(record.id)
        del self._by_id[record.id]

    def put_back(self, record: Record, before: Record) -> None:
        """It is as it was, whatever happened to it."""
        self._purged.pop(record.id, None)
        self._by_id[record.id] = record
        if record.id in self._at:
            self._strike(record.id)
        for path in self._by_value:
            value = record.values.get(path)
            if isinstance(value, str):
                self._by_value[path].get(value, set()).discard(record.id)
        record.shared = False
        for name in (
            "values",
            "deleted",
            "system_modstamp",
            "last_commit_at",
            "deleted_with",
            "deleted_at",
            "cleared",
        ):
            setattr(record, name, getattr(before, name))
        for path in self._by_value:
            self.reindex(record, path, None)
        if not record.deleted:
            self._enlist(record.id)

    def purge_older(self, than_ms: int) -> None:
        """Empty the Recycle Bin of what has been in it for too long."""
        for old in [one for one in self._by_id.values() if one.deleted and one.deleted_at < than_ms]:
            self.purge(old)

    def deletions(self) -> Iterator[tuple[str, int]]:
        """Ids of what is deleted now, with the time of it, purged ones included."""
        yield from self._purged.items()
        for record in self._by_id.values():
            if record.deleted:
                yield record.id, record.deleted_at

    def referring(self, path: str, target: str) -> list[str]:
        """Ids of the live records whose field `path` has the value `target`; an index is made of the first question."""
        index = self._by_value.get(path)
        if index is None:
            index = self._by_value[path] = {}
            for record in self._by_id.values():
                value = record.values.get(path)
                if value is not None:
                    index.setdefault(value, set()).add(record.id)
        return [one for one in sorted(index.get(target, ())) if one in self._at]

    def forget_values(self) -> None:
        """The fields have changed: look-ups by value begin anew."""
        self._by_value.clear()

    def deleted_by(self, path: str, target: str, transaction: int) -> list[Record]:
        """Records in the Recycle Bin that refer to `target` and were put there by one transaction."""
        self.referring(path, target)
        found = (self._by_id.get(one) for one in sorted(self._by_value[path].get(target, ())))
        return [one for one in found if one is not None and one.deleted and one.deleted_with == transaction]

    def reindex(self, record: Record, path: str, before: object) -> None:
        """A field that may be looked up by value has changed from `before`."""
        index = self._by_value.get(path)
        if index is None:
            return
        if isinstance(before, str):
            index.get(before, set()).discard(record.id)
        after = record.values.get(path)
        if isinstance(after, str):
            index.setdefault(after, set()).add(record.id)

    def pick(self, random: Random) -> Record | None:
        """Any live record."""
        if not self._live:
            return None
        return self._by_id[self._live[int(random.random() * len(self._live))]]

    def sample(self, random: Random, count: int) -> list[Record]:
        """Different live records, at most `count`."""
        ids = random.sample(self._live, min(count, len(self._live)))
        return [self._by_id[record_id] for record_id in ids]

    def _enlist(self, record_id: str) -> None:
        self._at[record_id] = len(self._live)
        self._live.append(record_id)

    def _strike(self, record_id: str) -> None:
        at = self._at.pop(record_id)
        last = self._live.pop()
        if last != record_id:
            self._live[at] = last
            self._at[last] = at


class Entity:
    """Account, Shipment__c …: what it is called, its fields, its records. `change_event` names its events."""

    def __init__(self, definition: EntityDefinition, fields: Sequence[Field]) -> None:
        self.name = definition.name
        self.label = definition.label
        self.plural = definition.plural
        self.key_prefix = definition.key_prefix
        self.cascades = definition.cascades
        self.custom = self.name.endswith("__c")
        self.change_event = (
            f"{self.name.removesuffix('c')}ChangeEvent" if self.custom else f"{self.name}ChangeEvent"
        )
        self.records = Records()
        self.set_fields(fields)

    def set_fields(self, fields: Sequence[Field]) -> None:
        """Give it other fields: a new schema version from the next event on."""
        self.fields = tuple(fields)
        self.leaves: dict[str, Leaf] = leaves_of(self.fields)
        self.layout = Layout(self.change_event, self.fields)
        self.path_of: dict[str, str] = {leaf.rest_name: path for path, leaf in self.leaves.items()}
        self.path_of_lower = {name.lower(): path for name, path in self.path_of.items()}
        self.required = tuple(field for field in self.fields if field.required and field.createable)
        self.records.forget_values()
        self.event_paths = frozenset(self.layout.paths)
        self.full_paths = self.layout.paths
        self.defaults = {
            path: False
            for path, leaf in self.leaves.items()
            if leaf.avro == "boolean" and leaf.field.in_events
        }

    def field(self, name: str) -> Field | None:
        """The top-level field of that name."""
        return next((candidate for candidate in self.fields if candidate.name == name), None)


def standard_entities(pod: str) -> dict[str, Entity]:
    """The seven entities every simulated org has."""
    return {
        definition.name: Entity(definition, parse_fields(definition.fields, id_prefix=f"00N{pod}{index}"))
        for index, definition in enumerate(DEFINITIONS)
    }
