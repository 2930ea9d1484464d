"""The set-up of a moment as a source tree: a file a component, in the folders and forms of the Metadata API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from cdc.answer.setup_rows import Fields, Setup
from cdc.change.setup_kinds import KIND_OF, OBJECT_PERMISSIONS, USER_PERMISSIONS

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_UNSAFE = re.compile(r"[^\w.\- ]")

_OBJECT_TAGS = {name: f"allow{name.removeprefix('Permissions')}" for name in OBJECT_PERMISSIONS[:4]} | {
    "PermissionsViewAllRecords": "viewAllRecords",
    "PermissionsModifyAllRecords": "modifyAllRecords",
}


def source_tree(setup: Setup) -> dict[str, str]:
    """Path -> text. Of a flow the active version, else the latest one."""
    made = dict(_flows(setup))
    for kind in ("ApexTrigger", "ApexClass"):
        for row in setup.of(kind).values():
            described = KIND_OF[kind]
            made[_path(described.folder, row.get("Name"), described.suffix)] = row.get("Body") or ""
    rules = KIND_OF["ValidationRule"]
    for row in setup.of("ValidationRule").values():
        entity = row.get("EntityDefinition.QualifiedApiName")
        path = _path(f"objects/{_safe(entity)}/{rules.folder}", row.get("ValidationName"), rules.suffix)
        made[path] = xml("ValidationRule", {"fullName": row.get("ValidationName"), **_source(row)})
    for record_id, row in setup.of("PermissionSet").items():
        if row.get("IsOwnedByProfile") != "true":
            path = _path("permissionsets", row.get("Name"), ".permissionset-meta.xml")
            made[path] = xml("PermissionSet", _permission_set(setup, record_id, row))
    return made


def _flows(setup: Setup) -> Iterator[tuple[str, str]]:
    versions: dict[str, list[Fields]] = {}
    for row in setup.of("Flow").values():
        versions.setdefault(row.get("Definition.DeveloperName") or "", []).append(row)
    for name, rows in versions.items():
        chosen = max(rows, key=lambda r: (r.get("Status") == "Active", float(r.get("VersionNumber") or 0)))
        kind = KIND_OF["Flow"]
        yield _path(kind.folder, name, kind.suffix), xml("Flow", _source(chosen))


def _permission_set(setup: Setup, record_id: str, row: Fields) -> dict[str, Any]:
    objects = [one for one in setup.of("ObjectPermissions").values() if one.get("ParentId") == record_id]
    fields = [one for one in setup.of("FieldPermissions").values() if one.get("ParentId") == record_id]
    return {
        "fieldPermissions": [
            {
                "editable": one.get("PermissionsEdit"),
                "field": one.get("Field"),
                "readable": one.get("PermissionsRead"),
            }
            for one in sorted(fields, key=lambda one: one.get("Field") or "")
        ],
        "label": row.get("Label"),
        "objectPermissions": [
            {**{tag: one.get(name) for name, tag in _OBJECT_TAGS.items()}, "object": one.get("SobjectType")}
            for one in sorted(objects, key=lambda one: one.get("SobjectType") or "")
        ],
        "userPermissions": [
            {"enabled": "true", "name": name.removeprefix("Permissions")}
            for name in USER_PERMISSIONS
            if row.get(name) == "true"
        ],
    }


def _source(row: Fields) -> dict[str, Any]:
    text = row.get("Metadata")
    made: dict[str, Any] = json.loads(text) if text else {}
    return made


def xml(root: str, values: Mapping[str, Any]) -> str:
    """A metadata file: an element a key, sorted, one for each value of a list; null is left out."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<{root} xmlns="{NAMESPACE}">']
    lines += _elements(values, "    ")
    return "\n".join([*lines, f"</{root}>", ""])


def _elements(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key in sorted(values):
        value = values[key]
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if isinstance(one, Mapping):
                yield f"{indent}<{key}>"
                yield from _elements(one, indent + "    ")
                yield f"{indent}</{key}>"
            else:
                text = str(one).lower() if isinstance(one, bool) else str(one)
                yield f"{indent}<{key}>{escape(text)}</{key}>"


def _path(folder: str, name: str | None, suffix: str) -> str:
    return f"{folder}/{_safe(name)}{suffix}"


def _safe(name: str | None) -> str:
    """A name that stays in its folder, whatever it says."""
    return _UNSAFE.sub("_", name or "_").lstrip(".") or "_"
