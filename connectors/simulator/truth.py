"""The truth: every committed change in commit order, and every record's state after any of them.

What a recorder should have. It knows what no reader of the org can know: what a gap event hid, when a
transaction really committed, what a hard delete took. Order of commits is the only order.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from connectors.simulator.entities import Entity
from connectors.simulator.model import OVERFLOW_RECORD_ID, Op, Published
from connectors.simulator.rows import date_text, time_text, utc
from connectors.simulator.texts import number_text

KEYFRAME_EVERY = 50_000
"""Changes between two remembered states: a question replays at most so many."""
KEYFRAMES_MAX = 8

WILDCARD = "*"
PRESENT, DELETED = "present", "deleted"

_State = dict[str, dict[str, tuple[str, dict[str, Any]]]]
"""entity -> record id -> (status, values that are not null)"""


@dataclass(frozen=True, slots=True)
class TrueChange:
    """One change of one record. `index` counts from 1 in commit order.

    `kind` is what the event calls it ("" : nothing was published), `op` what happened; `committed_at` is the
    event's commitTimestamp, `happened_at` the true instant. `changed` has canonical texts, None for null.
    """

    index: int
    event_id: str
    record_id: str
    entity: str
    kind: str
    op: str
    committed_at: int
    happened_at: int
    transaction_key: str
    commit_number: int
    sequence_number: int
    user_id: str
    origin: str
    client: str
    duplicated: bool
    changed: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class TrueRecord:
    """A record after some change: `fields` has every field that a reader may see and that publishes."""

    record_id: str
    status: str
    fields: Mapping[str, str | None]


class Truth:
    """Holds references to what the org published, not copies; texts are made when asked for."""

    def __init__(self, entities: Mapping[str, Entity], readable: Callable[[str], tuple[str, ...]]) -> None:
        self._entities = entities
        self._readable = readable
        self._events: list[Published] = []
        self._event_at = array("q")  # per change: index into the events
        self._record_ids: list[str] = []
        self._base: _State = {name: {} for name in entities}
        self._keyframes: dict[int, _State] = {}
        self.duplicated: set[str] = set()
        self.published_pairs = 0  # (event id, record id) of everything published

    def __len__(self) -> int:
        """How many changes of single records there have been."""
        return len(self._record_ids)

    def load(self, entity: str, record_id: str, values: dict[str, Any], *, deleted: bool = False) -> None:
        """A record that existed before anything was committed. `values` are kept, and must not be changed any more."""
        if self._record_ids:
            raise ValueError("records are loaded before the first commit")
        self._base[entity][record_id] = (DELETED if deleted else PRESENT, values)

    def add(self, event: Published) -> None:
        """An event was committed."""
        at = len(self._events)
        self._events.append(event)
        if event.kind:
            self.published_pairs += len(event.record_ids)
        for record_id in event.record_ids:
            self._event_at.append(at)
            self._record_ids.append(record_id)

    def changes(self, after: int = 0, limit: int | None = None) -> list[TrueChange]:
        """Changes with an index greater than `after`, at most `limit`."""
        end = len(self) if limit is None else min(len(self), after + limit)
        return [self._change(at) for at in range(after, end)]

    def state(
        self,
        entity: str,
        at_index: int | None = None,
        *,
        without: Collection[str] = (),
        without_fields: Collection[str] = (),
    ) -> dict[str, TrueRecord]:
        """Every record ever known, as it was after the first `at_index` changes (None: now).

        `without`: as it would be had the transactions with these keys never been made; with `without_fields`
        (Entity.Field), had they not set these fields, everything else of them kept.
        """
        at_index = len(self) if at_index is None else at_index
        left_out = _LeftOut(frozenset(without), frozenset(without_fields))
        leaves = self._entities[entity].leaves
        paths = [(path, leaves[path].described, leaves[path].avro) for path in self._readable(entity)]
        made = {}
        for record_id, (status, values) in self._replay(at_index, left_out)[entity].items():
            person = "Name.LastName" in values
            fields = {
                path: canonical_text(described, avro, values.get(path))
                for path, described, avro in paths
                if not (person and path == "Name")
            }
            made[record_id] = TrueRecord(record_id, status, fields)
        return made

    def index_of_event(self, event_id: str) -> int:
        """The index of the event's first change. Raises KeyError."""
        for at, event_at in enumerate(self._event_at):
            if self._events[event_at].event_id == event_id:
                return at + 1
        raise KeyError(event_id)

    def state_before_event(self, event_id: str) -> dict[str, TrueRecord]:
        """The records the event concerns, as they were right before it."""
        index = self.index_of_event(event_id)
        event = self._events[self._event_at[index - 1]]
        before = self.state(event.entity, index - 1)
        return {record_id: before[record_id] for record_id in event.record_ids if record_id in before}

    def index_at(self, at_ms: int, entities: Iterable[str] | None = None) -> int:
        """How many changes are in an answer about a time: those up to which the running maximum of
        commitTimestamp, over the published events of these entities, is not later.
        """
        counted = None if entities is None else frozenset(entities)
        for at, event_at in enumerate(self._event_at):
            event = self._events[event_at]
            if event.kind and (counted is None or event.entity in counted) and event.committed_at > at_ms:
                return at
        return len(self)

    def pairs(self, entities: Iterable[str] | None = None) -> set[tuple[str, str]]:
        """(event id, record id) of everything published, of these entities."""
        counted = None if entities is None else frozenset(entities)
        return {
            (event.event_id, record_id)
            for event in self._events
            if event.kind and (counted is None or event.entity in counted)
            for record_id in event.record_ids
        }

    def _change(self, at: int) -> TrueChange:
        event = self._events[self._event_at[at]]
        transaction = event.transaction
        leaves = self._entities[event.entity].leaves if event.entity in self._entities else {}
        return TrueChange(
            index=at + 1,
            event_id=event.event_id if event.kind else "",
            record_id=self._record_ids[at],
            entity=event.entity,
            kind=event.kind,
            op=event.op.value,
            committed_at=event.committed_at,
            happened_at=transaction.at,
            transaction_key=transaction.key,
            commit_number=transaction.number,
            sequence_number=event.sequence,
            user_id=transaction.user_id,
            origin=transaction.origin,
            client=transaction.client,
            duplicated=event.event_id in self.duplicated,
            changed={
                path: canonical_text(leaves[path].described, leaves[path].avro, value)
                for path, value in zip(event.paths, event.values, strict=True)
                if path in leaves
            },
        )

    def _replay(self, at_index: int, left_out: _LeftOut) -> _State:
        start = max((index for index in self._keyframes if index <= at_index), default=0)
        if left_out.keys:
            start = 0  # a remembered state has everything in it
        state = _copied(self._keyframes.get(start, self._base))
        for at in range(start, at_index):
            if (
                at > start
                and at % KEYFRAME_EVERY == 0
                and len(self._keyframes) < KEYFRAMES_MAX
                and not left_out.keys
            ):
                self._keyframes.setdefault(at, _copied(state))
            event = self._events[self._event_at[at]]
            records = state.get(event.entity)
            if records is None:
                continue
            if event.transaction.key in left_out.keys:
                if left_out.fields:
                    _apply(records, event, self._record_ids[at], left_out.fields)
                continue
            _apply(records, event, self._record_ids[at])
        return state


class _LeftOut(NamedTuple):
    """Transactions that are left out of a state, or only some fields of theirs."""

    keys: frozenset[str]
    fields: frozenset[str]


def _copied(state: _State) -> _State:
    return {
        entity: {record_id: (status, dict(values)) for record_id, (status, values) in records.items()}
        for entity, records in state.items()
    }


def _apply(
    records: dict[str, tuple[str, dict[str, Any]]],
    event: Published,
    record_id: str,
    left_out: frozenset[str] = frozenset(),
) -> None:
    if record_id == OVERFLOW_RECORD_ID or event.raw is not None:
        return
    changed = dict(zip(event.paths, event.values, strict=True))
    if left_out:
        changed = {path: value for path, value in changed.items() if f"{event.entity}.{path}" not in left_out}
    if record_id.endswith(WILDCARD):
        for _, values in records.values():
            values.update(changed)
        return
    _, values = records.get(record_id, (PRESENT, {}))
    if event.op in (Op.CREATE, Op.UNDELETE):
        records[record_id] = (PRESENT, changed)
    elif event.op is Op.UPDATE:
        values.update(changed)
    else:
        records[record_id] = (DELETED, values)


def canonical_text(described: str, avro: str, value: Any) -> str | None:
    """A value as contract section 5 writes it: 12, 12.5, true, 2026-11-23T10:02:00.000Z, 2026-11-23."""
    if value is None:
        return None
    if avro == "string":
        return str(value)
    if avro == "boolean":
        return "true" if value else "false"
    if described == "datetime":
        return f"{utc(value):%Y-%m-%dT%H:%M:%S}.{value % 1000:03d}Z"
    if described == "date":
        return date_text(value)
    if described == "time":
        return time_text(value)
    if avro == "names":
        return ";".join(value)
    return number_text(value)
