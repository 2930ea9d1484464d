"""The org's metadata as components, each with its files, as the Metadata API lists and gives them.

A component of an object (a field, a validation rule) has no file of its own: it is an element of the object's file,
which holds only what was asked for. Of a flow the active version is given, else the latest one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.simulator.automation import ValidationRule
from connectors.simulator.fields import Field
from connectors.simulator.metadata_xml import package_xml, to_xml
from connectors.simulator.setup_facts import OBJECT_PERMISSIONS, USER_PERMISSIONS

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

FILES_MAX = 10_000
BYTES_MAX = 400 * 1024 * 1024
"""What one retrieve or deploy may hold, unpacked."""


@dataclass(frozen=True, slots=True)
class MetadataType:
    """As describeMetadata has it."""

    name: str
    folder: str
    suffix: str
    meta_file: bool = False
    parent: str = ""
    """An element of this type's file."""
    tag: str = ""


TYPES: Mapping[str, MetadataType] = {
    one.name: one
    for one in (
        MetadataType("CustomObject", "objects", "object"),
        MetadataType("CustomField", "objects", "object", parent="CustomObject", tag="fields"),
        MetadataType("ValidationRule", "objects", "object", parent="CustomObject", tag="validationRules"),
        MetadataType("ApexClass", "classes", "cls", meta_file=True),
        MetadataType("ApexTrigger", "triggers", "trigger", meta_file=True),
        MetadataType("Flow", "flows", "flow"),
        MetadataType("FlowDefinition", "flowDefinitions", "flowDefinition"),
        MetadataType("PermissionSet", "permissionsets", "permissionset"),
    )
}

OBJECT_TAGS = {
    "allowCreate": "PermissionsCreate",
    "allowDelete": "PermissionsDelete",
    "allowEdit": "PermissionsEdit",
    "allowRead": "PermissionsRead",
    "modifyAllRecords": "PermissionsModifyAllRecords",
    "viewAllRecords": "PermissionsViewAllRecords",
}
assert set(OBJECT_TAGS.values()) == set(OBJECT_PERMISSIONS)

_FIELD_TYPES = {
    "Text": "Text", "StringPlusClob": "LongTextArea", "HtmlStringPlusClob": "Html", "Email": "Email", "Url": "Url",
    "Phone": "Phone", "Fax": "Phone", "DynamicEnum": "Picklist", "StaticEnum": "Picklist",
    "MultiEnum": "MultiselectPicklist", "EntityId": "Lookup", "Boolean": "Checkbox", "Integer": "Number",
    "Double": "Number", "Currency": "Currency", "Percent": "Percent", "DateTime": "DateTime", "DateOnly": "Date",
    "TimeOnly": "Time", "Birthday": "Date", "Location": "Location", "EncryptedText": "EncryptedText",
}  # fmt: skip
DOC_TYPES = {
    "Text": "Text", "LongTextArea": "StringPlusClob", "TextArea": "StringPlusClob", "Html": "HtmlStringPlusClob",
    "Email": "Email", "Url": "Url", "Phone": "Phone", "Picklist": "DynamicEnum", "MultiselectPicklist": "MultiEnum",
    "Lookup": "EntityId", "Checkbox": "Boolean", "Number": "Double", "Currency": "Currency", "Percent": "Percent",
    "DateTime": "DateTime", "Date": "DateOnly", "Time": "TimeOnly",
    "Location": "Location", "EncryptedText": "EncryptedText",
}  # fmt: skip
"""What a `type` of a CustomField becomes."""


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of metadata: `values` is its element; of Apex `body` is its text."""

    type: str
    full_name: str
    id: str
    values: Mapping[str, Any]
    row: Mapping[str, Any]
    body: str = ""

    @property
    def path(self) -> str:
        """Of its file in a package."""
        described = TYPES[self.type]
        name = self.full_name.partition(".")[0] if described.parent else self.full_name
        return f"{described.folder}/{name}.{described.suffix}"


class MetadataFiles:
    """Reading: components by type, and packages of them. `deployed_fields` has custom fields as they were deployed,
    `kept` what a permission set's file said that is not acted out here."""

    def __init__(self, org: SimulatedOrg) -> None:
        self._org = org
        self.deployed_fields: dict[tuple[str, str], dict[str, Any]] = {}
        self.kept: dict[str, dict[str, Any]] = {}

    def components(self, kind: str) -> Iterator[Component]:
        """All of a type. Raises KeyError for an unknown one."""
        yield from {
            "CustomObject": self._objects,
            "CustomField": self._fields,
            "ValidationRule": self._rules,
            "ApexClass": self._classes,
            "ApexTrigger": self._triggers,
            "Flow": self._flows,
            "FlowDefinition": self._definitions,
            "PermissionSet": self._permission_sets,
        }[kind]()

    def find(self, kind: str, name: str) -> Component | None:
        """One by name."""
        return next((one for one in self.components(kind) if one.full_name == name), None)

    # -- packages -----------------------------------------------------------------------------------------

    def package(
        self, members: Mapping[str, Iterable[str]], version: str, top: str = "unpackaged/"
    ) -> tuple[bytes, list[Component], list[str]]:
        """A zip of what was asked for, its components, and a sentence for each that was not found.

        `*` means all of a type; not of fields and rules, and of objects only the custom ones, as in the service.
        """
        found: dict[str, dict[str, Component]] = {}
        problems = []
        for kind, names in members.items():
            if kind not in TYPES:
                problems.append(f"Entity type '{kind}' is unknown")
                continue
            known = {one.full_name: one for one in self.components(kind)}
            for name in names:
                if name == "*":
                    found.setdefault(kind, {}).update(_of_wildcard(kind, known))
                elif name in known:
                    found.setdefault(kind, {})[name] = known[name]
                else:
                    problems.append(f"Entity of type '{kind}' named '{name}' cannot be found")
        files = dict(self._files(found))
        contents = package_xml({kind: list(of) for kind, of in found.items()}, version)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            for path, text in sorted(files.items()):
                made.writestr(f"{top}{path}", text)
            made.writestr(f"{top}package.xml", contents)
        return packed.getvalue(), [one for of in found.values() for one in of.values()], problems

    def _files(self, found: Mapping[str, Mapping[str, Component]]) -> Iterator[tuple[str, str]]:
        objects: dict[str, dict[str, Any]] = {}
        for kind, components in found.items():
            described = TYPES[kind]
            for one in components.values():
                if kind == "CustomObject":
                    parts = objects.setdefault(one.full_name, {})
                    parts.update(self.whole_object(one))
                elif described.parent:
                    parts = objects.setdefault(one.full_name.partition(".")[0], {})
                    there = parts.setdefault(described.tag, [])
                    if one.values not in there:
                        there.append(one.values)
                elif described.meta_file:
                    yield one.path, one.body
                    yield f"{one.path}-meta.xml", to_xml(kind, one.values)
                else:
                    yield one.path, to_xml(kind, one.values)
        for name, parts in objects.items():
            yield f"objects/{name}.object", to_xml("CustomObject", parts)

    def whole_object(self, one: Component) -> dict[str, Any]:
        """An object with all its fields and rules."""
        made = dict(one.values)
        for child in ("CustomField", "ValidationRule"):
            below = [
                of.values for of in self.components(child) if of.full_name.startswith(f"{one.full_name}.")
            ]
            made[TYPES[child].tag] = below
        return made

    # -- by type ------------------------------------------------------------------------------------------

    def _objects(self) -> Iterator[Component]:
        for name, entity in self._org.entities.items():
            values = {"label": entity.label, "pluralLabel": entity.plural} if entity.custom else {}
            yield Component("CustomObject", name, "", values, {})

    def _fields(self) -> Iterator[Component]:
        for name, entity in self._org.entities.items():
            for field in entity.fields:
                if field.custom:
                    values = self.deployed_fields.get((name, field.name)) or field_values(field)
                    yield Component("CustomField", f"{name}.{field.name}", field.field_id, values, {})

    def _rules(self) -> Iterator[Component]:
        for row in self._org.setup.rows("ValidationRule"):
            rule = self._org.automation.rules[row["ValidationName"]]
            if isinstance(rule, ValidationRule):
                values = {"fullName": rule.name, **row["Metadata"]}
                yield Component("ValidationRule", f"{rule.entity}.{rule.name}", row["Id"], values, row)

    def _classes(self) -> Iterator[Component]:
        yield from self._apex("ApexClass")

    def _triggers(self) -> Iterator[Component]:
        yield from self._apex("ApexTrigger")

    def _apex(self, kind: str) -> Iterator[Component]:
        for row in self._org.setup.rows(kind):
            values = {"apiVersion": float(row["ApiVersion"]), "status": row["Status"]}
            yield Component(kind, row["Name"], row["Id"], values, row, row["Body"] or "")

    def _flows(self) -> Iterator[Component]:
        for name, versions in self._org.setup.versions.items():
            rows = [row for row, _ in versions]
            row = max(rows, key=lambda one: (one["Status"] == "Active", one["VersionNumber"]))
            yield Component("Flow", name, row["Id"], row["Metadata"], row)

    def _definitions(self) -> Iterator[Component]:
        for row in self._org.setup.rows("FlowDefinition"):
            active = next(
                (
                    one["VersionNumber"]
                    for one, _ in self._org.setup.versions[row["DeveloperName"]]
                    if one["Status"] == "Active"
                ),
                None,
            )
            values = {"activeVersionNumber": active, "masterLabel": row["MasterLabel"]}
            yield Component("FlowDefinition", row["DeveloperName"], row["Id"], values, row)

    def _permission_sets(self) -> Iterator[Component]:
        objects, fields = self._org.setup.rows("ObjectPermissions"), self._org.setup.rows("FieldPermissions")
        for row in self._org.setup.rows("PermissionSet"):
            if row["IsOwnedByProfile"]:
                continue
            mine = [one for one in objects if one["ParentId"] == row["Id"]]
            own = [one for one in fields if one["ParentId"] == row["Id"]]
            values = {
                "hasActivationRequired": False,
                **self.kept.get(row["Name"], {}),
                "label": row["Label"],
                "objectPermissions": [
                    {**{tag: one[name] for tag, name in OBJECT_TAGS.items()}, "object": one["SobjectType"]}
                    for one in sorted(mine, key=lambda one: str(one["SobjectType"]))
                ],
                "fieldPermissions": [
                    {
                        "editable": one["PermissionsEdit"],
                        "field": one["Field"],
                        "readable": one["PermissionsRead"],
                    }
                    for one in sorted(own, key=lambda one: str(one["Field"]))
                ],
                "userPermissions": [
                    {"enabled": True, "name": name.removeprefix("Permissions")}
                    for name in USER_PERMISSIONS
                    if row[name]
                ],
            }
            yield Component("PermissionSet", row["Name"], row["Id"], values, row)


def _of_wildcard(kind: str, known: Mapping[str, Component]) -> dict[str, Component]:
    if TYPES[kind].parent:
        return {}
    if kind == "CustomObject":
        return {name: one for name, one in known.items() if name.endswith("__c")}
    return dict(known)


def field_values(field: Field) -> dict[str, Any]:
    """A custom field that nobody has deployed, as its element."""
    described = _FIELD_TYPES.get(field.doc_type, "Text")
    made: dict[str, Any] = {
        "fullName": field.name,
        "label": field.name.removesuffix("__c").replace("_", " "),
        "type": described,
        "required": field.required,
        "externalId": field.external_id,
    }
    if described == "Text":
        made["length"] = 255
    elif described in ("LongTextArea", "Html"):
        made |= {"length": 131_072, "visibleLines": 5}
    elif described in ("Number", "Currency", "Percent"):
        made |= {"precision": 18, "scale": 0 if field.doc_type == "Integer" else 2}
    elif described == "Lookup":
        made |= {"referenceTo": field.reference_to[0], "relationshipName": field.relationship}
    if field.picklist:
        values = [{"default": False, "fullName": one, "label": one} for one in field.picklist]
        made["valueSet"] = {"valueSetDefinition": {"sorted": False, "value": values}}
    if field.calculated:
        made["formula"] = "0"
    return made
