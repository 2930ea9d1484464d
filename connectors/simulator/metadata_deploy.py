"""Deploying a package: what it does to the org, component by component, or why it is refused.

Everything is looked at before anything is done. With `rollback_on_error` one failure leaves the org as it was; with
`check_only` nothing is ever done. Deletes of `destructiveChangesPre.xml` come first, those of the other two last.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from connectors.simulator.automation import Rule, Trigger, ValidationRule
from connectors.simulator.errors import OrgError
from connectors.simulator.metadata_files import BYTES_MAX, DOC_TYPES, FILES_MAX, OBJECT_TAGS, TYPES
from connectors.simulator.metadata_xml import from_xml, package_members, to_xml
from connectors.simulator.setup_facts import OBJECT_PERMISSIONS, USER_PERMISSIONS
from connectors.simulator.setup_source import apex_rule, class_problem, flow_rule, validation_rule

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

ORDER = (
    "CustomObject", "CustomField", "ValidationRule", "ApexClass", "ApexTrigger", "Flow", "FlowDefinition",
    "PermissionSet",
)  # fmt: skip
_ACTED = frozenset({"label", "objectPermissions", "fieldPermissions", "userPermissions"})
DESTRUCTIVE = {
    "destructiveChangesPre.xml": True,
    "destructiveChanges.xml": False,
    "destructiveChangesPost.xml": False,
}


@dataclass(slots=True)
class Outcome:
    """What became of one component; `problem` is "" where it went well."""

    type: str
    full_name: str
    file_name: str
    id: str = ""
    created: bool = False
    changed: bool = False
    deleted: bool = False
    problem: str = ""
    warning: str = ""


@dataclass(slots=True)
class Prepared:
    """A component that was looked at: how to do it."""

    outcome: Outcome
    act: Callable[[], Any] = lambda: None


@dataclass(slots=True)
class Package:
    """What is in a zip."""

    files: dict[str, bytes]
    members: dict[str, list[str]]
    deletes: list[tuple[str, bool, str, str]] = field(default_factory=list)
    """File, whether before everything else, type, name."""


def unpacked(content: bytes, *, single: bool) -> Package:
    """A package from a zip. Raises ValueError where it is none, or too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            infos = [one for one in packed.infolist() if not one.is_dir()]
            if len(infos) > FILES_MAX or sum(one.file_size for one in infos) > BYTES_MAX:
                raise ValueError(f"Maximum size of request reached: {FILES_MAX} files")
            files = {one.filename: packed.read(one) for one in infos}
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"The zip file cannot be read: {error}") from None
    top = ""
    if "package.xml" not in files:
        tops = sorted(
            {
                path.partition("/")[0]
                for path in files
                if path.count("/") == 1 and path.endswith("/package.xml")
            }
        )
        if single or not tops:
            raise ValueError("No package.xml found")
        top = f"{tops[0]}/"
    inside = {path.removeprefix(top): one for path, one in files.items() if path.startswith(top)}
    package = Package(inside, package_members(inside["package.xml"]))
    for name, is_first in DESTRUCTIVE.items():
        if name in inside:
            for kind, names in package_members(inside[name]).items():
                package.deletes += [(name, is_first, kind, one) for one in names]
    return package


class Deployment:
    """One package and one org. `outcomes` after `run`."""

    def __init__(self, org: SimulatedOrg, package: Package, user_id: str) -> None:
        self._org = org
        self._package = package
        self._user_id = user_id
        self._new_fields: set[str] = set()
        self._used: set[str] = {"package.xml", *DESTRUCTIVE}
        self.outcomes: list[Outcome] = []

    def run(self, *, check_only: bool, rollback_on_error: bool, allow_missing: bool = False) -> bool:
        """Look at everything, then do it. Whether all went well."""
        first = [self._deletion(*one) for one in self._package.deletes if one[1]]
        middle = list(self._components(allow_missing))
        last = [self._deletion(*one) for one in self._package.deletes if not one[1]]
        prepared = [*first, *middle, *last]
        self.outcomes = [one.outcome for one in prepared]
        for path in sorted(set(self._package.files) - self._used):
            kind = next((one.name for one in TYPES.values() if path.startswith(f"{one.folder}/")), "")
            said = f"An object '{path}' was found, but it's not named in package.xml"
            self.outcomes.append(Outcome(kind, path, path, warning=said, problem=said))
        good = not any(one.problem for one in self.outcomes)
        if check_only or (rollback_on_error and not good):
            return good
        with self._org.setup.acting(self._user_id):
            for one in prepared:
                if not one.outcome.problem:
                    self._do(one)
        return not any(one.problem for one in self.outcomes)

    def _do(self, prepared: Prepared) -> None:
        try:
            prepared.act()
        except (OrgError, ValueError, KeyError) as error:
            prepared.outcome.problem = str(error)

    # -- what is put ----------------------------------------------------------------------------------------

    def _components(self, allow_missing: bool) -> Iterator[Prepared]:
        members = self._package.members
        for kind in sorted(members, key=lambda one: ORDER.index(one) if one in ORDER else len(ORDER)):
            if kind not in TYPES:
                yield _failed(
                    kind, kind, "package.xml", f"Unknown type name '{kind}' specified in package.xml"
                )
                continue
            names = [name for one in members[kind] for name in (self._named(kind) if one == "*" else [one])]
            for name in dict.fromkeys(names):
                made = self._component(kind, name)
                if made is None:
                    if not allow_missing:
                        said = f"An object '{name}' of type {kind} was named in package.xml, but was not found in zipped directory"
                        yield _failed(kind, name, "package.xml", said)
                    continue
                yield made

    def _named(self, kind: str) -> list[str]:
        described = TYPES[kind]
        ending = f".{described.suffix}"
        return [
            path.removeprefix(f"{described.folder}/").removesuffix(ending)
            for path in self._package.files
            if path.startswith(f"{described.folder}/") and path.endswith(ending)
        ]

    def _component(self, kind: str, name: str) -> Prepared | None:
        described = TYPES[kind]
        path = f"{described.folder}/{name.partition('.')[0] if described.parent else name}.{described.suffix}"
        content = self._package.files.get(path)
        if content is None:
            return None
        self._used |= {path, f"{path}-meta.xml"}
        before = self._org.metadata.find(kind, name)
        outcome = Outcome(kind, name, path, before.id if before else "", created=before is None)
        try:
            if described.meta_file:
                meta = self._package.files.get(f"{path}-meta.xml")
                if meta is None:
                    raise ValueError(f"Could not find metadata file for: {path}")
                values, body = _values(meta, kind), content.decode()
                outcome.changed = before is None or (before.body, before.values) != (body, values)
                act = self._apex(kind, name, body, values)
            elif described.parent:
                parts = _values(content, "CustomObject").get(described.tag) or []
                elements = [parts] if isinstance(parts, Mapping) else parts
                named = [dict(one) for one in elements if one.get("fullName") == name.partition(".")[2]]
                if not named:
                    return None
                values = named[0]
                outcome.changed = before is None or _shown(before.values) != _shown(values)
                act = getattr(self, f"_put_{kind}")(name.partition(".")[0], values)
            else:
                values = _values(content, kind)
                there = None if before is None else before.values
                if before is not None and kind == "CustomObject":
                    there = self._org.metadata.whole_object(before)
                outcome.changed = there is None or _shown(there) != _shown(values)
                act = getattr(self, f"_put_{kind}")(name, values)
        except (OrgError, ValueError, KeyError, UnicodeDecodeError) as error:
            outcome.problem = str(error)
            return Prepared(outcome)
        return Prepared(outcome, self._noting(outcome, act if outcome.changed else lambda: None))

    def _noting(self, outcome: Outcome, act: Callable[[], Any]) -> Callable[[], Any]:
        def acted() -> None:
            act()
            found = self._org.metadata.find(outcome.type, outcome.full_name)
            outcome.id = found.id if found else outcome.id

        return acted

    def _paths(self) -> dict[str, dict[str, str]]:
        made = {name: dict(entity.path_of) for name, entity in self._org.entities.items()}
        for one in self._new_fields:
            entity, _, name = one.partition(".")
            made[entity][name] = name
        return made

    def _apex(self, kind: str, name: str, body: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        if kind == "ApexTrigger":
            rule = apex_rule(name, body, active=values.get("status") == "Active", paths=self._paths())
            return self._rule(rule)
        problem = class_problem(name, body)
        if problem:
            raise ValueError(problem)
        setup = self._org.setup
        row = next((one for one in setup.rows("ApexClass") if one["Name"] == name), None)
        given: dict[str, Any] = {"Name": name, "Body": body, "Status": str(values.get("status") or "Active")}
        given["ApiVersion"] = int(float(values.get("apiVersion") or 66))
        return lambda: setup.put("ApexClass", given, row["Id"] if row else "")

    def _rule(self, rule: Rule) -> Callable[[], Any]:
        there = self._org.automation.rules.get(rule.name)
        if there is not None and (
            type(there) is not type(rule) or getattr(there, "kind", "") != getattr(rule, "kind", "")
        ):
            raise ValueError(f"The name {rule.name} is in use by another component")
        if rule.entity and not self._new_fields:
            self._org.automation.check(rule)

        def put() -> None:
            if rule.entity:
                self._org.automation.check(rule)
            self._org.automation.put(rule)

        return put

    def _put_Flow(self, name: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        if not values.get("label") or not values.get("processType"):
            raise ValueError(
                "Required field is missing: label"
                if not values.get("label")
                else "Required field is missing: processType"
            )
        rule = flow_rule(name, values, self._paths())
        put = self._rule(rule)
        is_active = any(row["Status"] == "Active" for row, _ in self._org.setup.versions.get(name, ()))
        return put if rule.active or not is_active else lambda: self._org.setup.add_draft(rule)

    def _put_FlowDefinition(self, name: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        number = int(values.get("activeVersionNumber") or 0)
        known = {row["VersionNumber"] for row, _ in self._org.setup.versions.get(name, ())}
        in_package = name in self._package.members.get("Flow", ())
        if not known and not in_package:
            raise ValueError(f"In field: fullName - no FlowDefinition named {name} found")
        if number and number not in known and not in_package:
            raise ValueError(f"The version {number} of the flow {name} doesn't exist")
        return lambda: self._org.setup.activate(name, number)

    def _put_ValidationRule(self, entity: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        self._org.entity(entity)
        made = validation_rule(entity, values)
        there = self._org.automation.rules.get(made.name)
        if isinstance(there, ValidationRule) and there.entity != entity:
            raise ValueError(f"The name {made.name} is in use by another component")
        return self._rule(made)

    def _put_CustomObject(self, name: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        if name not in self._org.entities:
            raise ValueError(f"The object {name} cannot be created here")
        acts = []
        for kind in ("CustomField", "ValidationRule"):
            for one in _listed(values.get(TYPES[kind].tag)):
                there = self._org.metadata.find(kind, f"{name}.{one.get('fullName')}")
                if there is None or _shown(there.values) != _shown(one):
                    acts.append(getattr(self, f"_put_{kind}")(name, one))
        return lambda: [act() for act in acts]

    def _put_CustomField(self, entity: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        made, name = self._org.entity(entity), str(values.get("fullName") or "")
        if not name.endswith("__c"):
            raise ValueError(f"Can't alter the standard field {entity}.{name}")
        doc_type = DOC_TYPES.get(str(values.get("type")))
        if doc_type is None:
            raise ValueError(f"Required field is missing or unknown: type {values.get('type')!r}")
        if not values.get("label"):
            raise ValueError("Required field is missing: label")
        kept = dict(values)
        found = made.field(name)
        if found is not None:
            now = str(self._org.metadata.find("CustomField", f"{entity}.{name}").values["type"])  # type: ignore[union-attr]
            retype = {name: doc_type} if now != values.get("type") else {}

            def change() -> None:
                if retype:
                    self._org.change_schema(entity, retype=retype)
                self._org.metadata.deployed_fields[entity, name] = kept
                self._org.change_setup(
                    "changedCF", "Custom Fields", f"Changed custom field {name} on {entity}"
                )

            return change
        self._new_fields.add(f"{entity}.{name}")
        line = " ".join([name, doc_type, *_words(values)])

        def create() -> None:
            self._org.change_schema(entity, add=[line])
            self._org.metadata.deployed_fields[entity, name] = kept
            self._org.change_setup("createdCF", "Custom Fields", f"Created custom field {name} on {entity}")

        return create

    def _put_PermissionSet(self, name: str, values: Mapping[str, Any]) -> Callable[[], Any]:
        if not values.get("label"):
            raise ValueError("Required field is missing: label")
        paths, setup = self._paths(), self._org.setup
        granted = {
            f"Permissions{one['name']}" for one in values.get("userPermissions") or () if one.get("enabled")
        }
        unknown = granted - set(USER_PERMISSIONS)
        if unknown:
            raise ValueError(
                f"Unknown user permission: {', '.join(sorted(one.removeprefix('Permissions') for one in unknown))}"
            )
        objects: dict[str, dict[str, Any]] = {}
        for one in values.get("objectPermissions") or ():
            if one.get("object") not in paths:
                raise ValueError(f"In field: field - no CustomObject named {one.get('object')} found")
            objects[str(one["object"])] = {column: bool(one.get(tag)) for tag, column in OBJECT_TAGS.items()}
        fields: dict[str, dict[str, Any]] = {}
        for one in values.get("fieldPermissions") or ():
            entity, _, column = str(one.get("field")).partition(".")
            if column not in paths.get(entity, {}):
                raise ValueError(f"In field: field - no CustomField named {one.get('field')} found")
            fields[f"{entity}.{column}"] = {
                "PermissionsRead": bool(one.get("readable")),
                "PermissionsEdit": bool(one.get("editable")),
            }
        for one in objects.values():
            if any(one[column] for column in OBJECT_PERMISSIONS) and not one["PermissionsRead"]:
                raise ValueError("Permission Edit depends on permission(s): Read")

        def put() -> None:
            row = next((one for one in setup.rows("PermissionSet") if one["Name"] == name), None)
            given: dict[str, Any] = {"Name": name, "Label": str(values["label"])}
            given |= {column: column in granted for column in USER_PERMISSIONS}
            is_same = row is not None and all(row[key] == one for key, one in given.items())
            set_id = (
                str(row["Id"])
                if row and is_same
                else setup.put("PermissionSet", given, row["Id"] if row else "")
            )
            self._replace("ObjectPermissions", "SobjectType", set_id, objects)
            of_field = {one: {"SobjectType": one.partition(".")[0], **given} for one, given in fields.items()}
            self._replace("FieldPermissions", "Field", set_id, of_field)
            self._org.metadata.kept[name] = {key: one for key, one in values.items() if key not in _ACTED}

        return put

    def _replace(self, kind: str, column: str, set_id: str, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """The rows of a permission set are those of the file: what it does not name goes."""
        setup = self._org.setup
        there = {row[column]: row for row in setup.rows(kind) if row["ParentId"] == set_id}
        for name, given in wanted.items():
            row = there.get(name)
            if row is None or any(row[key] != one for key, one in given.items()):
                setup.put(kind, {"ParentId": set_id, column: name, **given}, row["Id"] if row else "")
        for name in set(there) - set(wanted):
            setup.drop(kind, there[name]["Id"])

    # -- what goes ------------------------------------------------------------------------------------------

    def _deletion(self, file: str, _: bool, kind: str, name: str) -> Prepared:
        outcome = Outcome(kind, name, file, deleted=True, changed=True)
        try:
            act = self._delete(kind, name)
        except (OrgError, ValueError) as error:
            outcome.problem = str(error)
            return Prepared(outcome)
        if act is None:
            # Salesforce warns, and does not fail, where there is nothing to delete.
            outcome.warning, outcome.deleted, outcome.changed = f"No {kind} named: {name} found", False, False
            return Prepared(outcome)
        return Prepared(outcome, act)

    def _delete(self, kind: str, name: str) -> Callable[[], Any] | None:
        org, setup = self._org, self._org.setup
        if kind == "Flow":
            flow, _, number = name.rpartition("-")
            if not number.isdigit() or not flow:
                raise ValueError(f"A flow is deleted version by version: name it {name}-1")
            versions = {row["VersionNumber"]: row for row, _ in setup.versions.get(flow, ())}
            row = versions.get(int(number))
            if row is None:
                return None
            stopped = flow in self._package.members.get(
                "FlowDefinition", ()
            ) or flow in self._package.members.get("Flow", ())
            if row["Status"] == "Active" and not stopped:
                raise ValueError("This version is active: deactivate it before you delete it.")
            return lambda: setup.drop_version(flow, int(number))
        found = org.metadata.find(kind, name) if kind in TYPES else None
        if found is None:
            return None
        if kind in ("ApexTrigger", "ValidationRule"):
            return lambda: org.automation.remove(name.rpartition(".")[2])
        if kind in ("ApexClass", "PermissionSet"):
            return lambda: setup.drop(kind, found.id)
        if kind == "CustomField":
            entity, _, column = name.partition(".")
            using = self._using(entity, column)
            if using:
                raise ValueError(f"This custom field is referenced elsewhere in salesforce.com: {using}")

            def drop() -> None:
                org.change_schema(entity, remove=[column])
                org.metadata.deployed_fields.pop((entity, column), None)
                for row in setup.rows("FieldPermissions"):
                    if row["Field"] == name:
                        setup.drop("FieldPermissions", row["Id"])
                org.change_setup("deletedCF", "Custom Fields", f"Deleted custom field {column} on {entity}")

            return drop
        raise ValueError(f"A {kind} cannot be deleted here")

    def _using(self, entity: str, column: str) -> str:
        gone = {
            one.rpartition(".")[2]
            for _, _, kind, one in self._package.deletes
            if kind in ("ApexTrigger", "ValidationRule")
        }
        for rule in self._org.automation.rules.values():
            if rule.name in gone or not rule.active or not isinstance(rule, Trigger | ValidationRule):
                continue
            if column in str(replace(rule, name="")):
                return rule.name
        return ""


def _failed(kind: str, name: str, file: str, problem: str) -> Prepared:
    return Prepared(Outcome(kind, name, file, problem=problem))


def _values(content: bytes, root: str) -> dict[str, Any]:
    found, values = from_xml(content)
    if found != root:
        raise ValueError(f"The document element is {found}, not {root}")
    return values


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [value] if isinstance(value, Mapping) else list(value or ())


def _shown(values: Mapping[str, Any]) -> str:
    """Values as they stand in a file, to compare."""
    return to_xml("values", values)


def _words(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("formula"):
        yield "formula"
    if values.get("externalId"):
        yield "external"
    if values.get("referenceTo"):
        yield f"->{values['referenceTo']}:{values.get('relationshipName') or values['referenceTo']}"
    definition = (values.get("valueSet") or {}).get("valueSetDefinition") or {}
    names = [str(one["fullName"]).replace(" ", "_") for one in _listed(definition.get("value"))]
    if names:
        yield "|".join(names)
