"""What an org does by itself when records are saved: rules that refuse, flows and triggers that go on writing.

Rules are checked where the API writes (`saving.py`); flows and triggers run in every transaction, whoever
makes it (`SimulatedOrg.commit`). What they write is part of the transaction: same key, same user, an event for
each record. A trigger's own writes set off others, `DEPTH_MAX` deep, each trigger once a record.

All of it can be given as JSON, at run time (`Automation.add`); see `Trigger` for what effects look like.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from connectors.simulator.entities import Entity
from connectors.simulator.errors import OrgError
from connectors.simulator.model import Change, Op
from connectors.simulator.soql_conditions import Condition

DEPTH_MAX = 5
NOTED_MAX = 200_000

TO_SELF, TO_PARENT, TO_CHILDREN = "self", "parent", "children"


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """Refuses a record of which `condition` is true after the save, and, with `changed`, one of these fields moved."""

    name: str
    entity: str
    condition: str
    message: str
    field: str = ""  # where the message is shown; "" : at the top of the page
    changed: tuple[str, ...] = ()
    active: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Two records are duplicates if all `fields` are equal and not null. `blocks`: no header helps."""

    name: str
    entity: str
    fields: tuple[str, ...]
    blocks: bool = False
    on_update: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class AssignmentRule:
    """Gives a saved record to `owner` (a user id), and sends mail about it, unless the caller switched it off."""

    name: str
    entity: str
    owner: str
    condition: str = ""
    mails: bool = True
    active: bool = True


@dataclass(frozen=True, slots=True)
class Trigger:
    """A flow or Apex trigger. `effects` is a list of

        {"to": "self", "set": {path: value}}
        {"to": "parent:AccountId", "set": {…}}             the record that a reference names
        {"to": "children:Contact.AccountId", "set": {…}}   the records that refer to this one
        {"create": "Case", "values": {…}}
        {"mail": "subject"}                                whatever the caller's headers say
        {"refuse": "message"}                              the record is not saved

    A value is itself, or {"copy": path} of the triggering record, {"add": number} to what the target has,
    {"now": true}, {"id": true} of the triggering record.
    """

    name: str
    entity: str
    effects: tuple[Mapping[str, Any], ...]
    on: tuple[Op, ...] = (Op.CREATE, Op.UPDATE)
    changed: tuple[str, ...] = ()
    condition: str = ""
    kind: str = "flow"  # or apex
    active: bool = True
    source: Any = None  # as it was deployed: a flow's Metadata, a trigger's text; None: made from the effects


Rule = ValidationRule | DuplicateRule | AssignmentRule | Trigger

KINDS: Mapping[str, type[Any]] = {
    "validation": ValidationRule,
    "duplicate": DuplicateRule,
    "assignment": AssignmentRule,
    "trigger": Trigger,
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Why single records cannot be written just now: locked by somebody, in an approval, not this user's."""

    code: str
    message: str
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """A mail that was sent, or a record given to another owner, by the org itself."""

    what: str  # assignment, auto_response, flow; or reassigned
    record_id: str
    rule: str
    at: int


class Expansion(NamedTuple):
    """A transaction's changes with what triggers add, and the mails (record id, trigger) these send if it commits."""

    changes: list[Change]
    mails: list[tuple[str, str]]


class Refused(Exception):
    """A trigger refuses the change at this place of the transaction."""

    def __init__(self, place: int, error: OrgError) -> None:
        self.place = place
        self.error = error
        super().__init__(str(error))


T = TypeVar("T")

Compile = Callable[[str, str], Condition]
"""(entity, condition) -> a function of values by path."""


class Automation:
    """The rules and triggers of one org, and what they did that no event tells."""

    def __init__(
        self,
        entities: Mapping[str, Entity],
        *,
        compiled: Compile,
        new_id: Callable[[str], str],
        now: Callable[[], int],
    ) -> None:
        self.rules: dict[str, Rule] = {}
        self.guards: dict[str, Guard] = {}
        self.mails: deque[Noted] = deque(maxlen=NOTED_MAX)
        self.reassigned: deque[Noted] = deque(maxlen=NOTED_MAX)
        self._entities = entities
        self._compiled = compiled
        self._new_id = new_id
        self._now = now
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._triggers: dict[str, list[Trigger]] = {}
        self.noticed: Callable[[str, Rule | None, Rule | None], None] = lambda name, before, after: None

    def add(self, kind: str, given: Mapping[str, Any]) -> Rule:
        """A rule or trigger, new or in place of one of that name. Raises ValueError, OrgError for what is wrong in it."""
        made = KINDS.get(kind)
        if made is None:
            raise ValueError(f"unknown kind of automation {kind!r}; known: {', '.join(KINDS)}")
        values = {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
        if kind == "trigger" and "on" in values:
            values["on"] = tuple(Op(one) for one in values["on"])
        rule: Rule = made(**values)
        self._check(rule)
        return self.put(rule)

    def put(self, rule: Rule) -> Rule:
        """A rule that has been checked before, in place of one of that name."""
        before = self.rules.get(rule.name)
        self.rules[rule.name] = rule
        self._index()
        if before != rule:
            self.noticed(rule.name, before, rule)
        return rule

    def check(self, rule: Rule) -> None:
        """Raises ValueError, OrgError for what is wrong in a rule."""
        self._check(rule)

    def remove(self, name: str) -> None:
        """Take a rule away. Raises KeyError."""
        before = self.rules.pop(name)
        self._index()
        self.noticed(name, before, None)

    def switch(self, name: str, active: bool) -> None:
        """Deactivate or activate. Raises KeyError."""
        self.put(replace(self.rules[name], active=active))

    def of(self, kind: type[Any], entity: str) -> list[Any]:
        """The active rules of one kind on one entity."""
        return [
            rule
            for rule in self.rules.values()
            if isinstance(rule, kind) and rule.entity == entity and rule.active
        ]

    def holds(self, entity: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Whether a condition is true of a record's values; "" always is."""
        if not condition:
            return True
        key = (entity, condition)
        compiled = self._conditions.get(key)
        if compiled is None:
            compiled = self._conditions[key] = self._compiled(entity, condition)
        return bool(compiled(values))

    def guard(self, record_id: str) -> Guard | None:
        """Why a record cannot be written just now."""
        guard = self.guards.get(record_id)
        if guard is not None and guard.until_ms is not None and guard.until_ms <= self._now():
            del self.guards[record_id]
            return None
        return guard

    def mail(self, what: str, record_id: str, rule: str) -> None:
        """Note a mail."""
        self.mails.append(Noted(what, record_id, rule, self._now()))

    def noted(self) -> tuple[int, int]:
        """How much has been noted so far: mails, and records given to another owner."""
        return len(self.mails), len(self.reassigned)

    def forget_after(self, noted: tuple[int, int]) -> None:
        """What was noted since has not happened."""
        for notes, count in zip((self.mails, self.reassigned), noted, strict=True):
            while len(notes) > count:
                notes.pop()

    def expanded(self, changes: Sequence[Change]) -> Expansion:
        """The changes with all that triggers add; those asked for come first, in their order. Raises Refused."""
        if not self._triggers or not any(change.entity in self._triggers for change in changes):
            return Expansion(list(changes), [])
        run = _Run(self, self._entities, self._triggers, self._new_id, self._now())
        return Expansion(run.of(changes), run.mails)

    def schema_changed(self) -> None:
        """Conditions are looked up again."""
        self._conditions.clear()

    def _index(self) -> None:
        self._triggers = {}
        for rule in self.rules.values():
            if isinstance(rule, Trigger) and rule.active:
                self._triggers.setdefault(rule.entity, []).append(rule)

    def _check(self, rule: Rule) -> None:
        entity = self._entities.get(rule.entity)
        if entity is None:
            raise ValueError(f"there is no entity {rule.entity}")
        named: list[str] = []
        if isinstance(rule, Trigger):
            for effect in rule.effects:
                self._check_effect(entity, effect)
        if isinstance(rule, DuplicateRule):
            named.extend(rule.fields)
        if isinstance(rule, Trigger | ValidationRule):
            named.extend(rule.changed)
        for path in named:
            if path not in entity.leaves:
                raise ValueError(f"{entity.name} has no field {path}; fields are named as in events")
        condition = getattr(rule, "condition", "")
        if condition:
            self.holds(rule.entity, condition, {})

    def _check_effect(self, entity: Entity, effect: Mapping[str, Any]) -> None:
        target: Entity | None = entity
        if "create" in effect:
            target = self._entities.get(str(effect["create"]))
        elif "set" in effect:
            where, _, what = str(effect.get("to", TO_SELF)).partition(":")
            if where == TO_PARENT:
                refers = entity.leaves[what].field.reference_to if what in entity.leaves else ()
                target = self._entities.get(refers[0]) if refers else None
            elif where == TO_CHILDREN:
                target = self._entities.get(what.partition(".")[0])
            elif where != TO_SELF:
                target = None
        elif not {"mail", "refuse"} & effect.keys():
            target = None
        if target is None:
            raise ValueError(f"this effect does nothing that can be done: {dict(effect)}")
        for path in effect.get("set") or effect.get("values") or {}:
            if path not in target.leaves:
                raise ValueError(f"{target.name} has no field {path}; fields are named as in events")


@dataclass(slots=True)
class _Run:
    """One transaction's triggers. `values` of a change are completed in place of those asked for."""

    automation: Automation
    entities: Mapping[str, Entity]
    triggers: Mapping[str, Sequence[Trigger]]
    new_id: Callable[[str], str]
    now: int
    done: set[tuple[str, str]] = field(default_factory=set)
    mails: list[tuple[str, str]] = field(default_factory=list)
    all: list[Change] = field(default_factory=list)
    place_of: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, changes: Iterable[Change]) -> list[Change]:
        asked = []
        for change in changes:
            if change.op is Op.CREATE and not change.record_id and change.entity in self.triggers:
                change = replace(change, record_id=self.new_id(change.entity))
            asked.append(change)
        self.all = list(asked)
        for place, change in enumerate(self.all):
            self.place_of.setdefault((change.entity, change.record_id or ""), place)
        waiting = [(place, place, 0) for place in range(len(asked))]
        for place, cause, depth in iter_growing(waiting):
            for trigger in self.triggers.get(self.all[place].entity, ()):
                for more in self._fire(trigger, place, cause):
                    if depth < DEPTH_MAX:
                        waiting.append((more, cause, depth + 1))
        return self.all

    def _fire(self, trigger: Trigger, place: int, cause: int) -> Iterator[int]:
        """Act out a trigger on the change at a place; yields the places of changes it made or added to."""
        change = self.all[place]
        key = (trigger.name, change.record_id or f"#{place}")
        if key in self.done or change.op not in trigger.on:
            return
        entity = self.entities[change.entity]
        record = entity.records.get(change.record_id or "")
        before: Mapping[str, Any] = record.values if record is not None else {}
        if trigger.changed and not any(
            path in change.values and change.values[path] != before.get(path) for path in trigger.changed
        ):
            return
        after = {**before, **change.values}
        if not self.automation.holds(change.entity, trigger.condition, after):
            return
        self.done.add(key)
        for effect in trigger.effects:
            if "refuse" in effect:
                raise Refused(cause, _refusal(trigger, str(effect["refuse"])))
            if "mail" in effect:
                self.mails.append((change.record_id or "", trigger.name))
            elif "create" in effect:
                values = self._values(effect.get("values") or {}, after, {}, change)
                yield self._add(Change(str(effect["create"]), Op.CREATE, None, values))
            else:
                yield from self._set(effect, place, after)

    def _set(self, effect: Mapping[str, Any], place: int, after: Mapping[str, Any]) -> Iterator[int]:
        change = self.all[place]
        where, _, what = str(effect.get("to", TO_SELF)).partition(":")
        setting: Mapping[str, Any] = effect["set"]
        if where == TO_SELF:
            if change.op in (Op.CREATE, Op.UPDATE):
                values = self._values(setting, after, after, change)
                self.all[place] = replace(change, values={**change.values, **values})
            return
        for entity, record_id in self._targets(where, what, after, change):
            record = self.entities[entity].records.get(record_id)
            if record is None or record.deleted:
                continue
            values = self._values(setting, after, record.values, change)
            if any(record.values.get(path) != value for path, value in values.items()):
                yield self._add(Change(entity, Op.UPDATE, record_id, values))

    def _targets(
        self, where: str, what: str, after: Mapping[str, Any], change: Change
    ) -> Iterator[tuple[str, str]]:
        if where == TO_PARENT:
            record_id = after.get(what)
            if record_id:
                yield self.entities[change.entity].leaves[what].field.reference_to[0], record_id
            return
        child, _, path = what.partition(".")
        for record_id in self.entities[child].records.referring(path, change.record_id or ""):
            yield child, record_id

    def _add(self, change: Change) -> int:
        if change.op is Op.CREATE:
            change = replace(change, record_id=self.new_id(change.entity))
        place = self.place_of.get((change.entity, change.record_id or ""))
        if place is not None and self.all[place].op in (Op.CREATE, Op.UPDATE):
            there = self.all[place]
            self.all[place] = replace(there, values={**there.values, **change.values})
            return place
        self.all.append(change)
        self.place_of[change.entity, change.record_id or ""] = len(self.all) - 1
        return len(self.all) - 1

    def _values(
        self, given: Mapping[str, Any], source: Mapping[str, Any], target: Mapping[str, Any], change: Change
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for path, value in given.items():
            if not isinstance(value, Mapping):
                made[path] = tuple(value) if isinstance(value, list) else value
            elif "copy" in value:
                made[path] = source.get(value["copy"])
            elif "add" in value:
                made[path] = (target.get(path) or 0) + value["add"]
            elif "now" in value:
                made[path] = self.now
            elif "id" in value:
                made[path] = change.record_id
            else:
                raise ValueError(f"{dict(value)} is no value of an effect")
        return made


def iter_growing(items: list[T]) -> Iterator[T]:
    """Every item of a list that grows meanwhile."""
    at = 0
    while at < len(items):
        yield items[at]
        at += 1


def _refusal(trigger: Trigger, message: str) -> OrgError:
    if trigger.kind == "apex":
        return OrgError(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            f"{trigger.name}: execution of trigger\n\ncaused by: {message}",
        )
    return OrgError(
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        f"We can't save this record because the “{trigger.name}” process failed. {message}",
    )
