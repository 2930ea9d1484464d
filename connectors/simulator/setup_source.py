"""What the source of a flow, trigger or validation rule looks like, and what rule a source makes.

Both ways: the org's own rules are shown as source, and source that was deployed becomes a rule that acts. A flow's
steps are followed by their connectors from its start, as the service does; a step of a kind that is not acted out
here is passed by. An Apex trigger acts by the few statements below; other code is kept and does nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.simulator.automation import Trigger, ValidationRule
from connectors.simulator.model import Op

_WHEN = {
    (Op.CREATE,): "Create",
    (Op.UPDATE,): "Update",
    (Op.CREATE, Op.UPDATE): "CreateAndUpdate",
    (Op.DELETE,): "Delete",
}
_ON = {said: on for on, said in _WHEN.items()}
_STEPS = (
    "recordUpdates", "recordCreates", "actionCalls", "customErrors", "recordLookups", "recordDeletes", "decisions",
    "assignments",
)  # fmt: skip
_OPERATORS = {
    "EqualTo": "=",
    "NotEqualTo": "!=",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}
_NOTHING = "$GlobalConstant.EmptyString"
_NOW = "$Flow.CurrentDateTime"


# -- flows ------------------------------------------------------------------------------------------------------


def flow_metadata(rule: Trigger) -> dict[str, Any]:
    """The Metadata of a flow version, as the Tooling API gives it."""
    status = "Active" if rule.active else "Draft"
    if rule.source is not None:
        return {**rule.source, "status": status}
    made: dict[str, Any] = {name: [] for name in _STEPS[:4]}
    for count, effect in enumerate(rule.effects, start=1):
        following = {"targetReference": f"Step_{count + 1}"} if count < len(rule.effects) else None
        for kind, step in _steps(effect):
            named = {"name": f"Step_{count}", "label": f"Step {count}", **step}
            made[kind].append({**named, "connector": following} if following else named)
    return {
        "label": rule.name,
        "description": rule.condition or None,
        "processType": "AutoLaunchedFlow",
        "status": status,
        "apiVersion": 66,
        "interviewLabel": f"{rule.name} {{!$Flow.CurrentDateTime}}",
        "start": {
            "object": rule.entity,
            "recordTriggerType": _WHEN.get(rule.on, "CreateAndUpdate"),
            "triggerType": "RecordBeforeDelete" if rule.on == (Op.DELETE,) else "RecordAfterSave",
            "filterFormula": rule.condition or None,
            "filters": [
                {"field": one, "operator": "IsChanged", "value": {"booleanValue": True}}
                for one in rule.changed
            ],
            "connector": {"targetReference": "Step_1"} if rule.effects else None,
        },
        **made,
    }


def _steps(effect: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    values = effect.get("set") or effect.get("values") or {}
    assignments = [{"field": path, "value": _value(path, value)} for path, value in sorted(values.items())]
    if "create" in effect:
        yield "recordCreates", {"object": effect["create"], "inputAssignments": assignments}
    elif "set" in effect:
        where, _, what = str(effect.get("to", "self")).partition(":")
        step: dict[str, Any] = {"inputAssignments": assignments, "inputReference": "$Record"}
        if where == "parent":
            step["inputReference"] = f"$Record.{_relationship(what)}"
        elif where == "children":
            child, _, path = what.partition(".")
            of = {"field": path, "operator": "EqualTo", "value": {"elementReference": "$Record.Id"}}
            step = {"inputAssignments": assignments, "object": child, "filters": [of]}
        yield "recordUpdates", step
    elif "mail" in effect:
        subject = {"name": "emailSubject", "value": {"stringValue": effect["mail"]}}
        yield (
            "actionCalls",
            {"actionName": "emailSimple", "actionType": "emailSimple", "inputParameters": [subject]},
        )
    elif "refuse" in effect:
        said = {"errorMessage": effect["refuse"], "isFieldError": False}
        yield "customErrors", {"customErrorMessages": [said]}


def _relationship(path: str) -> str:
    return f"{path[:-3]}__r" if path.endswith("__c") else path.removesuffix("Id")


def _reference(relationship: str) -> str:
    return f"{relationship[:-3]}__c" if relationship.endswith("__r") else f"{relationship}Id"


def _value(path: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        if "copy" in value:
            return {"elementReference": f"$Record.{value['copy']}"}
        if "add" in value:
            return {"formulaDataType": "Number", "formulaExpression": f"{{!$Record.{path}}} + {value['add']}"}
        return {"elementReference": _NOW if "now" in value else "$Record.Id"}
    if value is None:
        return {"elementReference": _NOTHING}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int | float):
        return {"numberValue": value}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}


def flow_rule(name: str, metadata: Mapping[str, Any], paths: Mapping[str, Mapping[str, str]]) -> Trigger:
    """The rule that a flow's Metadata makes. `paths`: entity -> name in queries -> path. Raises ValueError."""
    start = metadata.get("start")
    start = start if isinstance(start, Mapping) else {}
    entity = str(start.get("object") or "")
    if entity and entity not in paths:
        raise ValueError(f"The object {entity} isn't available.")
    changed, conditions = [], []
    for one in start.get("filters") or ():
        field = paths.get(entity, {}).get(str(one.get("field")), str(one.get("field")))
        if one.get("operator") == "IsChanged":
            changed.append(field)
        elif one.get("operator") in _OPERATORS:
            conditions.append(
                f"{one['field']} {_OPERATORS[one['operator']]} {_literal(one.get('value') or {})}"
            )
        else:
            raise ValueError(f"The operator {one.get('operator')} isn't supported in an entry condition.")
    if start.get("filterFormula"):
        conditions.append(str(start["filterFormula"]))
    effects = [effect for step in _reached(metadata) if (effect := _effect(step, entity, paths))]
    kept = {key: value for key, value in metadata.items() if key != "status"}
    return Trigger(
        name,
        entity,
        tuple(effects),
        on=_ON.get(str(start.get("recordTriggerType")), (Op.CREATE, Op.UPDATE)),
        changed=tuple(changed),
        condition=" AND ".join(conditions),
        active=metadata.get("status") == "Active",
        source=kept,
    )


def _literal(value: Mapping[str, Any]) -> str:
    kind, text = next(iter(value.items()), ("stringValue", ""))
    if kind in ("numberValue", "dateValue", "dateTimeValue"):
        return str(text)
    if kind == "booleanValue":
        return str(text).upper()
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _reached(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Steps in the order of their connectors; each once."""
    steps = {str(one.get("name")): (kind, one) for kind in _STEPS for one in metadata.get(kind) or ()}
    at = _following(metadata.get("start") or {})
    while at in steps:
        yield steps[at]
        _, step = steps.pop(at)
        at = _following(step)
    if at:
        raise ValueError(f"The connector goes to {at}, which doesn't exist or was passed before.")


def _following(step: Mapping[str, Any]) -> str:
    connector = step.get("connector") or step.get("defaultConnector") or {}
    return str(connector.get("targetReference") or "")


def _effect(
    of: tuple[str, Mapping[str, Any]], entity: str, paths: Mapping[str, Mapping[str, str]]
) -> dict[str, Any] | None:
    kind, step = of
    if kind == "actionCalls" and str(step.get("actionType")) == "emailSimple":
        given = {one.get("name"): one.get("value") or {} for one in step.get("inputParameters") or ()}
        return {"mail": str(given.get("emailSubject", {}).get("stringValue", ""))}
    if kind == "customErrors":
        messages = step.get("customErrorMessages") or [{}]
        return {"refuse": str(messages[0].get("errorMessage", ""))}
    if kind == "recordCreates" and step.get("object"):
        made = str(step["object"])
        return {"create": made, "values": _assigned(step, paths.get(made, {}))}
    if kind != "recordUpdates":
        return None
    reference = str(step.get("inputReference") or "")
    if reference == "$Record":
        return {"to": "self", "set": _assigned(step, paths.get(entity, {}))}
    if reference.startswith("$Record."):
        return {"to": f"parent:{_reference(reference.removeprefix('$Record.'))}", "set": _assigned(step, {})}
    for one in step.get("filters") or ():
        if (one.get("value") or {}).get("elementReference") == "$Record.Id":
            child = str(step.get("object"))
            path = paths.get(child, {}).get(str(one["field"]), str(one["field"]))
            return {"to": f"children:{child}.{path}", "set": _assigned(step, paths.get(child, {}))}
    return None


def _assigned(step: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    return {
        paths.get(str(one["field"]), str(one["field"])): _given(one.get("value") or {}, paths)
        for one in step.get("inputAssignments") or ()
    }


def _given(value: Mapping[str, Any], paths: Mapping[str, str]) -> Any:
    if "formulaExpression" in value:
        added = re.fullmatch(r"\{!\$Record\.[\w.]+\} \+ (-?[\d.]+)", str(value["formulaExpression"]))
        if added is None:
            raise ValueError(f"The formula expression is invalid: {value['formulaExpression']}")
        return {"add": float(added[1]) if "." in added[1] else int(added[1])}
    reference = str(value.get("elementReference") or "")
    if reference in ("$Record.Id", _NOW, _NOTHING):
        return {"$Record.Id": {"id": True}, _NOW: {"now": True}, _NOTHING: None}[reference]
    if reference:
        path = reference.removeprefix("$Record.")
        return {"copy": paths.get(path, path)}
    return next((one for name, one in value.items() if name.endswith("Value")), None)


# -- Apex -------------------------------------------------------------------------------------------------------

_OPS = {"insert": Op.CREATE, "update": Op.UPDATE, "delete": Op.DELETE, "undelete": Op.UNDELETE}
_SAID = {op: said for said, op in _OPS.items()}
_HEADER = re.compile(r"\s*trigger\s+(\w+)\s+on\s+(\w+)\s*\(([^)]*)\)\s*\{", re.IGNORECASE)
_STATEMENT = re.compile(
    r"^\s*(?:(?P<new>\w+) = (?P<how>existing|fresh)\('(?P<target>[^']+)'\);"
    r"|(?P<put>\w+)\.put\('(?P<path>[^']+)', (?P<value>.+)\);"
    r"|record\.(?P<own>\w+) = (?P<literal>'[^']*'|[\w.-]+);"
    r"|record\.addError\((?P<refuse>.+)\);"
    r"|Mail\.send\((?P<mail>.+)\);"
    r"|if \(!changed\(record, (?P<changed>.+)\)\) continue;"
    r"|if \(!matches\(record, (?P<condition>.+)\)\) continue;)\s*$",
    re.MULTILINE,
)


def apex_body(rule: Trigger) -> str:
    """The text of a trigger."""
    if rule.source is not None:
        return str(rule.source)
    when = ", ".join(f"after {_SAID[op]}" for op in rule.on)
    lines = [f"trigger {rule.name} on {rule.entity} ({when}) {{"]
    lines.append(f"    for ({rule.entity} record : Trigger.new) {{")
    if rule.changed:
        lines.append(f"        if (!changed(record, {json.dumps(list(rule.changed))})) continue;")
    if rule.condition:
        lines.append(f"        if (!matches(record, {json.dumps(rule.condition)})) continue;")
    for count, effect in enumerate(rule.effects, start=1):
        if "refuse" in effect:
            lines.append(f"        record.addError({json.dumps(effect['refuse'])});")
        elif "mail" in effect:
            lines.append(f"        Mail.send({json.dumps(effect['mail'])});")
        else:
            how = "fresh" if "create" in effect else "existing"
            target = effect.get("create") or effect.get("to", "self")
            lines.append(f"        target{count} = {how}('{target}');")
            values = effect.get("set") or effect.get("values") or {}
            for path, value in sorted(values.items()):
                lines.append(f"        target{count}.put('{path}', {json.dumps(value)});")
    return "\n".join([*lines, "    }", "}", ""])


def apex_rule(name: str, body: str, *, active: bool, paths: Mapping[str, Mapping[str, str]]) -> Trigger:
    """The rule that the text of a trigger makes. Raises ValueError, as the compiler would refuse it."""
    header = _HEADER.match(_without_comments(body))
    if header is None:
        raise ValueError("Unexpected token: expecting 'trigger NAME on OBJECT (events) {'")
    if header[1] != name:
        raise ValueError(f"File name {name} doesn't match the trigger's name {header[1]}")
    if header[2] not in paths:
        raise ValueError(f"Invalid type: {header[2]}")
    if body.count("{") != body.count("}"):
        raise ValueError("Missing or extra '}' at the end of the trigger")
    events = [one.split() for one in header[3].split(",")]
    if not all(len(one) == 2 and one[0] in ("before", "after") and one[1] in _OPS for one in events):
        raise ValueError(f"Invalid trigger events: {header[3].strip()}")
    changed: tuple[str, ...] = ()
    condition, effects = "", []
    targets: dict[str, dict[str, Any]] = {}
    for found in _STATEMENT.finditer(body):
        if found["new"]:
            is_new = found["how"] == "fresh"
            effect: dict[str, Any] = (
                {"create": found["target"], "values": {}} if is_new else {"to": found["target"], "set": {}}
            )
            targets[found["new"]] = effect["values" if is_new else "set"]
            effects.append(effect)
        elif found["put"]:
            targets.get(found["put"], {})[found["path"]] = json.loads(found["value"])
        elif found["own"]:
            path = paths[header[2]].get(found["own"], found["own"])
            effects.append({"to": "self", "set": {path: _apex_literal(found["literal"])}})
        elif found["refuse"]:
            effects.append({"refuse": _apex_literal(found["refuse"])})
        elif found["mail"]:
            effects.append({"mail": _apex_literal(found["mail"])})
        elif found["changed"]:
            changed = tuple(json.loads(found["changed"]))
        else:
            condition = str(json.loads(found["condition"]))
    on = tuple(dict.fromkeys(_OPS[one[1]] for one in events))
    return Trigger(name, header[2], tuple(effects), on, changed, condition, "apex", active, source=body)


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def _apex_literal(text: str) -> Any:
    if text.startswith("'"):
        return text.strip("'")
    try:
        return json.loads(text)
    except ValueError:
        return text


def class_problem(name: str, body: str) -> str:
    """Why a class does not compile; "" where it does."""
    header = re.search(r"\b(?:class|interface|enum)\s+(\w+)", _without_comments(body), re.IGNORECASE)
    if header is None:
        return "Unexpected token: expecting a class, an interface or an enum"
    if header[1] != name:
        return f"File name {name} doesn't match the class's name {header[1]}"
    return "" if body.count("{") == body.count("}") else "Missing or extra '}' at the end of the class"


# -- validation rules -------------------------------------------------------------------------------------------


def rule_metadata(rule: ValidationRule) -> dict[str, Any]:
    """The Metadata of a validation rule."""
    return {
        "active": rule.active,
        "description": rule.description or rule.condition,
        "errorConditionFormula": rule.condition,
        "errorDisplayField": rule.field or None,
        "errorMessage": rule.message,
    }


def validation_rule(entity: str, values: Mapping[str, Any]) -> ValidationRule:
    """The rule that an element `validationRules` makes. Raises ValueError."""
    for needed in ("fullName", "errorConditionFormula", "errorMessage"):
        if not values.get(needed):
            raise ValueError(f"Required field is missing: {needed}")
    return ValidationRule(
        str(values["fullName"]),
        entity,
        str(values["errorConditionFormula"]),
        str(values["errorMessage"]),
        str(values.get("errorDisplayField") or ""),
        active=bool(values.get("active")),
        description=str(values.get("description") or ""),
    )
