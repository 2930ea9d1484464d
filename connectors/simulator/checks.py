"""Whether the org takes a record as it is asked to save it: one reason a record, in the order the org looks.

Access and locks, then the record itself (required, lengths, references), then its rules, then duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from connectors.simulator.automation import Automation, DuplicateRule, ValidationRule
from connectors.simulator.clock import DAY_MS
from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.faults import Faults
from connectors.simulator.fields import Leaf
from connectors.simulator.ids import with_suffix
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.rows import ASKED_VERSION

LOCKED = OrgError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")


@dataclass(slots=True)
class Checks:
    """Looks at one change at a time; raises OrgError. `random` decides what is locked by share."""

    entities: Mapping[str, Entity]
    automation: Automation
    faults: Faults
    random: Random
    knobs: Callable[[], Knobs]
    now: Callable[[], int]

    def check(self, change: Change, *, allows_duplicates: bool) -> None:
        """Raises the reason why this change cannot be saved."""
        entity = self.entities[change.entity]
        knobs = self.knobs()
        if entity.name in knobs.read_only_entities:
            raise OrgError(
                "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", status=403
            )
        record = self._record(entity, change, knobs)
        self._faults(entity, change)
        if record is not None:
            self._guards(record, knobs)
        if change.op not in (Op.CREATE, Op.UPDATE):
            return
        before: Mapping[str, Any] = record.values if record is not None else {}
        self._required(entity, change, before)
        for path, value in change.values.items():
            self._value(entity.leaves[path], value)
        after = {**before, **change.values}
        self._rules(entity, change, before, after)
        self._duplicates(entity, change, after, allows_duplicates=allows_duplicates)

    def _record(self, entity: Entity, change: Change, knobs: Knobs) -> Record | None:
        """The record as it is. Raises ENTITY_IS_DELETED, UNDELETE_FAILED."""
        if change.op is Op.CREATE:
            return None
        record = entity.records.get(change.record_id or "")
        if change.op is Op.UNDELETE:
            oldest = self.now() - knobs.recycle_bin_days * DAY_MS
            if record is None or not record.deleted or record.deleted_at < oldest:
                raise OrgError("UNDELETE_FAILED", "Entity is not in the recycle bin")
            return record
        if record is None or (record.deleted and change.op is not Op.HARD_DELETE):
            raise OrgError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return record

    def _faults(self, entity: Entity, change: Change) -> None:
        for name, error in (("row_locked", LOCKED), ("row_error", None)):
            fault = self.faults.active(name, entity=entity.name, record_id=change.record_id)
            if fault is None or self.random.random() >= float(fault.parameters.get("share", 1)):
                continue
            self.faults.take(name, entity=entity.name, record_id=change.record_id)
            given = fault.parameters
            raise error or OrgError(
                str(given.get("code", "UNKNOWN_EXCEPTION")),
                str(given.get("message", "An unexpected error occurred. Please include this ErrorId.")),
            )

    def _guards(self, record: Record, knobs: Knobs) -> None:
        guard = self.automation.guard(record.id)
        if guard is not None:
            raise OrgError(guard.code, guard.message)
        if knobs.lock_share and self.random.random() < knobs.lock_share:
            raise LOCKED

    def _required(self, entity: Entity, change: Change, before: Mapping[str, Any]) -> None:
        missing = []
        for field in entity.required:
            paths = (field.name, f"{field.name}.LastName")
            if change.op is Op.UPDATE and not any(path in change.values for path in paths):
                continue
            if all(change.values.get(path, before.get(path)) is None for path in paths):
                missing.append("LastName" if field.doc_type == "PersonName" else field.name)
        if missing:
            raise OrgError(
                "REQUIRED_FIELD_MISSING",
                f"Required fields are missing: [{', '.join(missing)}]",
                fields=tuple(missing),
            )

    def _value(self, leaf: Leaf, value: Any) -> None:
        if not isinstance(value, str):
            return
        if len(value) > leaf.length:
            raise OrgError(
                "STRING_TOO_LONG",
                f"{leaf.rest_name}: data value too large: {value[:80]} (max length={leaf.length})",
                fields=(leaf.rest_name,),
            )
        if leaf.field.reference_to:
            self._reference(leaf, value)

    def _reference(self, leaf: Leaf, record_id: str) -> None:
        if len(record_id) not in (15, 18) or not record_id.isalnum():
            raise OrgError(
                "MALFORMED_ID",
                f"{leaf.rest_name}: id value of incorrect type: {record_id}",
                fields=(leaf.rest_name,),
            )
        targets = [self.entities[name] for name in leaf.field.reference_to if name in self.entities]
        if not targets:
            return
        for target in targets:
            if record_id.startswith(target.key_prefix):
                held = target.records.get(with_suffix(record_id[:15]))
                if held is None:
                    break
                if held.deleted:
                    raise OrgError("ENTITY_IS_DELETED", "entity is deleted", fields=(leaf.rest_name,))
                return
        raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=(leaf.rest_name,))

    def _rules(
        self, entity: Entity, change: Change, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        for rule in self.automation.of(ValidationRule, entity.name):
            moved = not rule.changed or any(before.get(path) != after.get(path) for path in rule.changed)
            if moved and self.automation.holds(entity.name, rule.condition, after):
                raise OrgError(
                    "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                    rule.message,
                    fields=(rule.field,) if rule.field else (),
                )

    def _duplicates(
        self, entity: Entity, change: Change, after: Mapping[str, Any], *, allows_duplicates: bool
    ) -> None:
        for rule in self.automation.of(DuplicateRule, entity.name):
            if change.op is Op.UPDATE and not (rule.on_update and set(rule.fields) & set(change.values)):
                continue
            if allows_duplicates and not rule.blocks:
                continue
            wanted = [after.get(path) for path in rule.fields]
            if not all(isinstance(value, str) for value in wanted):
                continue
            found = [
                record
                for record in entity.records.by_value(rule.fields[0], str(wanted[0]))
                if record.id != change.record_id
                and [record.values.get(path) for path in rule.fields] == wanted
            ]
            if found:
                raise _duplicate(rule, entity, found)


def _duplicate(rule: DuplicateRule, entity: Entity, found: list[Record]) -> OrgError:
    matches = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {
                    "type": entity.name,
                    "url": f"/services/data/v{ASKED_VERSION.get()}/sobjects/{entity.name}/{record.id}",
                },
                "Id": record.id,
            },
        }
        for record in found[:5]
    ]
    result = {
        "allowSave": not rule.blocks,
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": entity.name,
        "errorMessage": "Use one of these records?",
        "matchResults": [
            {
                "entityType": entity.name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": matches,
                "rule": rule.name,
                "size": len(matches),
                "success": True,
            }
        ],
    }
    return OrgError("DUPLICATES_DETECTED", "Use one of these records?", more={"duplicateResult": result})
