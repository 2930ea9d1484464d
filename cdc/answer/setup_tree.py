"""The set-up of a moment as components with their files: source where it was read, else made from the rows of the APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from cdc.answer.setup_files import Fields
from cdc.answer.setup_rows import Setup
from cdc.answer.setup_source import sources_of
from cdc.change.metadata import HEAD, NAMESPACE, Source, source_tree
from cdc.change.setup_kinds import OBJECT_PERMISSIONS, USER_PERMISSIONS

_OBJECT_TAGS = {name: f"allow{name.removeprefix('Permissions')}" for name in OBJECT_PERMISSIONS[:4]} | {
    "PermissionsViewAllRecords": "viewAllRecords",
    "PermissionsModifyAllRecords": "modifyAllRecords",
}


def all_sources(setup: Setup) -> dict[str, Source]:
    """Components by name: as they were read, else as their rows tell. Of a flow the active version, else the latest."""
    told = {one.name: one for one in (*_flows(setup), *_apex(setup), *_rules(setup), *_sets(setup))}
    return {**told, **sources_of(setup)}


def tree_of(setup: Setup) -> dict[str, str]:
    """Path -> text, a file or two a component."""
    return source_tree(all_sources(setup).values())


def _flows(setup: Setup) -> Iterator[Source]:
    versions: dict[str, list[Fields]] = {}
    for row in setup.of("Flow").values():
        versions.setdefault(row.get("Definition.DeveloperName") or "", []).append(row)
    for name, rows in versions.items():
        chosen = max(rows, key=lambda r: (r.get("Status") == "Active", float(r.get("VersionNumber") or 0)))
        yield Source("Flow", name, xml("Flow", _metadata(chosen)))


def _apex(setup: Setup) -> Iterator[Source]:
    for kind in ("ApexTrigger", "ApexClass"):
        for row in setup.of(kind).values():
            meta = {"apiVersion": f"{float(row.get('ApiVersion') or 0):.1f}", "status": row.get("Status")}
            yield Source(kind, row.get("Name") or "", row.get("Body") or "", xml(kind, meta))


def _rules(setup: Setup) -> Iterator[Source]:
    for row in setup.of("ValidationRule").values():
        name = row.get("ValidationName") or ""
        values = {"fullName": name, **_metadata(row)}
        full_name = f"{row.get('EntityDefinition.QualifiedApiName')}.{name}"
        yield Source("ValidationRule", full_name, xml("ValidationRule", values))


def _sets(setup: Setup) -> Iterator[Source]:
    for record_id, row in setup.of("PermissionSet").items():
        if row.get("IsOwnedByProfile") != "true":
            values = _permission_set(setup, record_id, row)
            yield Source("PermissionSet", row.get("Name") or "", xml("PermissionSet", values))


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


def _metadata(row: Fields) -> dict[str, Any]:
    text = row.get("Metadata")
    made: dict[str, Any] = json.loads(text) if text else {}
    return made


def xml(root: str, values: Mapping[str, Any]) -> str:
    """A metadata file: an element a key, sorted, one for each value of a list; null is left out."""
    lines = [HEAD, f'<{root} xmlns="{NAMESPACE}">']
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
