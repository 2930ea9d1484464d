"""What the source of a flow, trigger or validation rule looks like: made from the rule that the org acts on."""

from __future__ import annotations

import json
from typing import Any

from connectors.simulator.automation import Trigger, ValidationRule
from connectors.simulator.model import Op

_WHEN = {
    (Op.CREATE,): "Create",
    (Op.UPDATE,): "Update",
    (Op.CREATE, Op.UPDATE): "CreateAndUpdate",
    (Op.DELETE,): "Delete",
}


def flow_metadata(rule: Trigger) -> dict[str, Any]:
    """The Metadata of a flow version, as the Tooling API gives it."""
    updates = []
    creates = []
    for count, effect in enumerate(rule.effects, start=1):
        values = effect.get("set") or effect.get("values") or {}
        assignments = [
            {"field": path, "value": _value(value), "processMetadataValues": []}
            for path, value in sorted(values.items())
        ]
        name = f"Write_{count}"
        if "create" in effect:
            creates.append({"name": name, "object": effect["create"], "inputAssignments": assignments})
        elif "set" in effect:
            where = str(effect.get("to", "self"))
            updates.append(
                {"name": name, "label": where, "inputAssignments": assignments, "inputReference": "$Record"}
            )
    return {
        "label": rule.name,
        "description": rule.condition or None,
        "processType": "AutoLaunchedFlow",
        "status": "Active" if rule.active else "Draft",
        "apiVersion": 66,
        "interviewLabel": f"{rule.name} {{!$Flow.CurrentDateTime}}",
        "start": {
            "object": rule.entity,
            "recordTriggerType": _WHEN.get(rule.on, "CreateAndUpdate"),
            "triggerType": "RecordBeforeDelete" if rule.on == (Op.DELETE,) else "RecordAfterSave",
            "filterFormula": rule.condition or None,
            "filters": [{"field": one, "operator": "IsChanged"} for one in rule.changed],
        },
        "recordUpdates": updates,
        "recordCreates": creates,
    }


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and "copy" in value:
        return {"elementReference": f"$Record.{value['copy']}"}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int | float):
        return {"numberValue": value}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}


def apex_body(rule: Trigger) -> str:
    """The text of a trigger."""
    when = ", ".join(f"after {op.value.lower().replace('create', 'insert')}" for op in rule.on)
    lines = [f"trigger {rule.name} on {rule.entity} ({when}) {{"]
    lines.append(f"    for ({rule.entity} record : Trigger.new) {{")
    if rule.condition:
        lines.append(f"        // only where {rule.condition}")
    for effect in rule.effects:
        for path, value in sorted((effect.get("set") or effect.get("values") or {}).items()):
            target = effect.get("create") or effect.get("to", "self")
            lines.append(f"        write('{target}', '{path}', {json.dumps(value)});")
        if "refuse" in effect:
            lines.append(f"        record.addError('{effect['refuse']}');")
        if "mail" in effect:
            lines.append(f"        Mail.send('{effect['mail']}');")
    return "\n".join([*lines, "    }", "}", ""])


def rule_metadata(rule: ValidationRule) -> dict[str, Any]:
    """The Metadata of a validation rule."""
    return {
        "active": rule.active,
        "description": rule.condition,
        "errorConditionFormula": rule.condition,
        "errorDisplayField": rule.field or None,
        "errorMessage": rule.message,
    }
