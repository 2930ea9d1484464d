"""One transaction: from the changes asked for to records, events and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from connectors.simulator import ids
from connectors.simulator.automation import iter_growing
from connectors.simulator.clock import SECOND_MS
from connectors.simulator.derived import derived
from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import OVERFLOW_RECORD_ID, Change, Op, Published, Transaction
from connectors.simulator.text_diffs import DIFF_CHARS_MIN, DIFFED_TYPES, text_diff

MERGED_IDS_MAX = 200
"""Ids of one merged event: automation works in chunks of 200 (detection.md, facts of the stream)."""

EVENT_BYTES_MAX = 1_000_000
"""A change with more text than this is published as a gap event (protocol 2.6)."""

SHORT_TRANSACTION_MS = 800


@dataclass(slots=True)
class _Done:
    """One record changed, and what of it: what its event will say."""

    entity: Entity
    op: Op
    record: Record
    changed: dict[str, Any]
    diffs: dict[str, str] | None = None


class Undo:
    """Takes back what several transactions did to records, as if they had never been; last things first."""

    def __init__(self) -> None:
        self._before: list[tuple[Entity, Record, Record | None]] = []
        self.taken_back = False

    def created(self, entity: Entity, record: Record) -> None:
        self._before.append((entity, record, None))

    def about_to_change(self, entity: Entity, record: Record) -> None:
        self._before.append((entity, record, replace(record, values=dict(record.values))))

    def take_back(self) -> None:
        """Every record as it was."""
        self.taken_back = True
        for entity, record, before in reversed(self._before):
            if before is None:
                entity.records.forget(record)
            else:
                entity.records.put_back(record, before)
        self._before.clear()


class Committer:
    """Applies transactions to the records and says which events they make. Publishes nothing itself."""

    def __init__(
        self, entities: Mapping[str, Entity], random: Random, *, pod: str, first_commit: int
    ) -> None:
        self._entities = entities
        self._random = random
        self._pod = pod
        self._commit_number = first_commit
        self._record_counters = dict.fromkeys(entities, 0)
        self._case_number = 1_000
        self.undo: Undo | None = None
        self._references: dict[str, list[tuple[Entity, str, bool]]] = {}
        for entity in entities.values():
            for field in entity.fields:
                for target in field.reference_to if field.createable else ():
                    cascades = field.name in entity.cascades
                    self._references.setdefault(target, []).append((entity, field.name, cascades))
        self._parents = frozenset(
            target for target, found in self._references.items() if any(cascades for _, _, cascades in found)
        )

    def new_id(self, entity: str) -> str:
        """The id the next record of an entity will have."""
        self._record_counters[entity] += 1
        return ids.record_id(self._entities[entity].key_prefix, self._pod, self._record_counters[entity])

    def begin(self, at: int, user_id: str, origin: str, client: str) -> Transaction:
        self._commit_number += 1 if self._random.random() < 0.7 else self._random.randint(2, 40)
        key = ids.transaction_key(self._random)
        return Transaction(key, self._commit_number, user_id, origin, client, at)

    def commit(
        self,
        transaction: Transaction,
        changes: Iterable[Change],
        *,
        knobs: Knobs,
        selected: frozenset[str],
        changed_before_ms: int = 0,
        merge: bool = True,
        stamped: bool = True,
    ) -> tuple[list[str], list[Published]]:
        """Apply and describe. Returns the record ids in order of the changes, and the events in sequence.

        Raises OrgError before anything has been changed.
        """
        wanted = self._with_cascades(self._checked(changes), knobs)
        changed_at = self._changed_at(transaction.at, wanted, knobs, changed_before_ms)
        stamp = changed_at + self._skew(knobs)
        stamp -= stamp % SECOND_MS
        done: list[_Done] = []
        by_record: dict[str, _Done] = {}
        record_ids: list[str] = []
        for change in wanted:
            if self._is_moot(change):
                record_ids.append(change.record_id or "")
                continue
            made = self._apply(change, transaction, stamp, stamped=stamped, knobs=knobs)
            record_ids.append(made.record.id)
            earlier = by_record.get(made.record.id)
            if earlier is not None and made.op is Op.UPDATE and earlier.op is not Op.DELETE:
                earlier.changed.update(made.changed)
                earlier.diffs = None  # the text before the transaction is no longer at hand: sent whole
                continue
            by_record[made.record.id] = made
            done.append(made)
        return record_ids[: len(wanted)], self._events(transaction, done, knobs, selected, merge=merge)

    # What is changed

    def _is_moot(self, change: Change) -> bool:
        """Whether an earlier change of the same transaction has left nothing to do: a trigger writes to a record that
        a cascade has taken."""
        if change.op is Op.CREATE:
            return False
        record = self._entities[change.entity].records.get(change.record_id or "")
        if record is None:
            return True
        return record.deleted if change.op in (Op.UPDATE, Op.DELETE) else False

    def _checked(self, changes: Iterable[Change]) -> list[Change]:
        checked = []
        creating: set[str] = set()
        for change in changes:
            entity = self._entities.get(change.entity)
            if entity is None:
                raise OrgError("INVALID_TYPE", f"sObject type '{change.entity}' is not supported.")
            for path in change.values:
                if path not in entity.leaves:
                    raise OrgError("INVALID_FIELD", f"No such column '{path}' on entity '{entity.name}'.")
            if change.op is Op.CREATE:
                if change.record_id:
                    creating.add(change.record_id)
            elif change.record_id not in creating:
                record = entity.records.get(change.record_id or "")
                if record is None or (record.deleted and change.op not in (Op.UNDELETE, Op.HARD_DELETE)):
                    raise OrgError("ENTITY_IS_DELETED", "entity is deleted", status=404)
                if change.op is Op.UNDELETE and not record.deleted:
                    raise OrgError("UNDELETE_FAILED", "Entity is not in the recycle bin")
            checked.append(change)
        return checked

    def _with_cascades(self, changes: list[Change], knobs: Knobs) -> list[Change]:
        """Children go with their parent, and come back with it, and theirs with them.

        Other references to what is deleted stay as they are, unless `lookups_cleared`; then they are emptied in
        the same transaction, and filled again by the undelete where nobody has set them since.
        """
        if not any(change.entity in self._parents or knobs.lookups_cleared for change in changes):
            return changes
        named = {change.record_id for change in changes}
        out = list(changes)
        for change in iter_growing(out):
            if change.op in (Op.CREATE, Op.UPDATE) or not change.record_id:
                continue
            record = self._entities[change.entity].records.get(change.record_id)
            if record is None:
                continue
            for more in self._dependents(change, record, knobs):
                if more.record_id not in named:
                    named.add(more.record_id)
                    out.append(more)
        return out

    def _dependents(self, change: Change, record: Record, knobs: Knobs) -> Iterator[Change]:
        for entity, path, cascades in self._references.get(change.entity, ()):
            records = entity.records
            if cascades and change.op is not Op.UNDELETE:
                for child in records.by_value(path, record.id):
                    yield Change(entity.name, change.op, child.id)
                if change.op is Op.HARD_DELETE and record.deleted:
                    for child in records.deleted_by(path, record.id, record.deleted_with):
                        yield Change(entity.name, Op.HARD_DELETE, child.id)
            elif cascades:
                for child in records.deleted_by(path, record.id, record.deleted_with):
                    yield Change(entity.name, Op.UNDELETE, child.id)
            elif not knobs.lookups_cleared:
                continue
            elif change.op is not Op.UNDELETE:
                for child in records.by_value(path, record.id):
                    record.cleared = (*record.cleared, (entity.name, path, child.id))
                    yield Change(entity.name, Op.UPDATE, child.id, {path: None})
        if change.op is Op.UNDELETE:
            for name, path, child_id in record.cleared:
                held = self._entities[name].records.get(child_id)
                if held is not None and not held.deleted and held.values.get(path) is None:
                    yield Change(name, Op.UPDATE, child_id, {path: record.id})
            record.cleared = ()

    def _apply(
        self, change: Change, transaction: Transaction, stamp: int, *, stamped: bool, knobs: Knobs
    ) -> _Done:
        entity = self._entities[change.entity]
        if change.op is Op.CREATE:
            made = self._create(entity, change, transaction, stamp)
            if self.undo is not None:
                self.undo.created(entity, made.record)
            return made
        record = entity.records.get(change.record_id or "")
        assert record is not None
        if self.undo is not None:
            self.undo.about_to_change(entity, record)
        diffs = None
        if change.op is Op.UPDATE:
            if knobs.long_text_diffs:
                diffs = _diffs(entity, record, change.values)
            changed = self._update(entity, record, change.values, transaction, stamp, stamped=stamped)
        elif change.op is Op.DELETE:
            entity.records.delete(record, transaction.at)
            record.deleted_with = transaction.number
            record.own_values().update(change.values)  # a merge's loser says who won
            changed = {}
        elif change.op is Op.UNDELETE:
            entity.records.undelete(record)
            record.own_values().update(LastModifiedDate=stamp, LastModifiedById=transaction.user_id)
            changed = dict(record.values)
        else:
            entity.records.purge(record, transaction.at)
            changed = {}
        record.last_commit_at = transaction.at
        if stamped or not knobs.silent_values:
            record.system_modstamp = stamp
        return _Done(entity, change.op, record, changed, diffs)

    def _create(self, entity: Entity, change: Change, transaction: Transaction, stamp: int) -> _Done:
        values = {**entity.defaults, **change.values}
        if "OwnerId" in entity.leaves:
            values.setdefault("OwnerId", transaction.user_id)
        if entity.name == "Case":
            self._case_number += 1
            values["CaseNumber"] = f"{self._case_number:08d}"
        values.update(derived(entity.name, {}, values, stamp))
        values["CreatedDate"] = values["LastModifiedDate"] = stamp
        values["CreatedById"] = values["LastModifiedById"] = transaction.user_id
        record_id = change.record_id or self.new_id(entity.name)
        record = Record(record_id, {path: value for path, value in values.items() if value is not None})
        record.system_modstamp, record.last_commit_at = stamp, transaction.at
        entity.records.add(record)
        return _Done(entity, Op.CREATE, record, dict(record.values))

    def _update(
        self,
        entity: Entity,
        record: Record,
        setting: Mapping[str, Any],
        transaction: Transaction,
        stamp: int,
        *,
        stamped: bool,
    ) -> dict[str, Any]:
        have = record.own_values()
        changed = {path: value for path, value in setting.items() if have.get(path) != value}
        for path, value in derived(entity.name, have, changed, stamp).items():
            if have.get(path) != value:
                changed[path] = value
        if stamped:
            if have.get("LastModifiedDate") != stamp:
                changed["LastModifiedDate"] = stamp
            if have.get("LastModifiedById") != transaction.user_id:
                changed["LastModifiedById"] = transaction.user_id
        for path, value in changed.items():
            before = have.get(path)
            if value is None:
                have.pop(path, None)
            else:
                have[path] = value
            entity.records.reindex(record, path, before)
        return changed

    # When it was changed

    def _changed_at(self, at: int, changes: Sequence[Change], knobs: Knobs, before_ms: int) -> int:
        """The instant of the change: never before an earlier commit of the same records, whose lock it had."""
        if knobs.change_before_commit_max_ms:
            if self._random.random() < knobs.change_before_commit_share:
                before_ms = max(before_ms, int(self._random.random() * knobs.change_before_commit_max_ms))
            else:
                before_ms = max(before_ms, int(self._random.random() * SHORT_TRANSACTION_MS))
        if not before_ms:
            return at
        earliest = at - before_ms
        for change in changes:
            record = self._entities[change.entity].records.get(change.record_id or "")
            if record is not None:
                earliest = max(earliest, record.last_commit_at)
        return min(earliest, at)

    def _skew(self, knobs: Knobs) -> int:
        if not knobs.server_skew_max_ms:
            return 0
        return int((self._random.random() * 2 - 1) * knobs.server_skew_max_ms)

    # What is published

    def _events(
        self,
        transaction: Transaction,
        done: Sequence[_Done],
        knobs: Knobs,
        selected: frozenset[str],
        *,
        merge: bool,
    ) -> list[Published]:
        groups: dict[Any, list[_Done]] = {}
        alike: Counter[Any] = Counter()
        seen: set[str] = set()
        for at, one in enumerate(done):
            key: Any = at
            alone = one.diffs is not None or one.record.id in seen
            if merge and one.op in (Op.UPDATE, Op.DELETE) and not alone:
                same = (one.entity.name, one.op, tuple(one.changed.items()))
                alike[same] += 1
                key = (same, (alike[same] - 1) // MERGED_IDS_MAX)
            seen.add(one.record.id)
            groups.setdefault(key, []).append(one)
        jitter = 0
        if knobs.commit_jitter_ms and len(groups) > 1 and self._random.random() < knobs.commit_jitter_share:
            jitter = knobs.commit_jitter_ms if self._random.random() < 0.3 else -knobs.commit_jitter_ms
        events: list[Published] = []
        left = knobs.overflow_changes_max
        overflown: dict[str, Entity] = {}
        for group in groups.values():
            left -= sum(len(one.changed) if one.op is Op.UPDATE else 1 for one in group)
            event = self._event(transaction, group, len(events) + 1, jitter, knobs)
            hidden = event.op is Op.HARD_DELETE and not knobs.hard_deletes_published
            if group[0].entity.name not in selected or hidden:
                event.kind = ""
            elif left < 0:
                event.kind = ""
                overflown[event.entity] = group[0].entity
            events.append(event)
        for entity in overflown.values():
            events.append(self._overflow(transaction, entity, len(events) + 1, knobs))
        return events

    def _event(
        self, transaction: Transaction, group: list[_Done], sequence: int, jitter: int, knobs: Knobs
    ) -> Published:
        first = group[0]
        paths = first.entity.layout.ordered(first.changed)
        values = tuple(first.changed[path] for path in paths)
        kind = "DELETE" if first.op is Op.HARD_DELETE else first.op.value
        text = sum(len(value) for value in values if isinstance(value, str))
        lost = bool(knobs.gap_share) and self._random.random() < knobs.gap_share
        if lost or text > EVENT_BYTES_MAX:
            kind = f"GAP_{kind}"
        shifted = jitter if jitter and self._random.random() < 0.5 else 0
        return Published(
            event_id=ids.event_id(self._random),
            entity=first.entity.name,
            op=first.op,
            kind=kind,
            transaction=transaction,
            sequence=sequence,
            committed_at=committed_at(transaction.at, knobs) + shifted,
            record_ids=tuple(one.record.id for one in group),
            paths=paths,
            values=values,
            layout=first.entity.layout,
            diffs=first.diffs if kind == Op.UPDATE else None,
        )

    def _overflow(self, transaction: Transaction, entity: Entity, sequence: int, knobs: Knobs) -> Published:
        return header_only(
            transaction, entity, "GAP_OVERFLOW", (OVERFLOW_RECORD_ID,), sequence, knobs, self._random
        )


def _diffs(entity: Entity, record: Record, setting: Mapping[str, Any]) -> dict[str, str] | None:
    """Texts sent as a diff, by path."""
    diffs = {
        path: diff
        for path, value in setting.items()
        if isinstance(value, str)
        and len(value) >= DIFF_CHARS_MIN
        and entity.leaves[path].field.doc_type in DIFFED_TYPES
        and (diff := text_diff(record.values.get(path), value)) is not None
        and record.values.get(path) != value
    }
    return diffs or None


def committed_at(at: int, knobs: Knobs) -> int:
    """What commitTimestamp says of an instant."""
    return at - at % SECOND_MS if knobs.commit_second_resolution else at


def header_only(
    transaction: Transaction,
    entity: Entity,
    kind: str,
    record_ids: tuple[str, ...],
    sequence: int,
    knobs: Knobs,
    random: Random,
) -> Published:
    """An event without values: an overflow, or a wildcard."""
    return Published(
        event_id=ids.event_id(random),
        entity=entity.name,
        op=Op.UPDATE,
        kind=kind,
        transaction=transaction,
        sequence=sequence,
        committed_at=committed_at(transaction.at, knobs),
        record_ids=record_ids,
        paths=(),
        values=(),
        layout=entity.layout,
    )
