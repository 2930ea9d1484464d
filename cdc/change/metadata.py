"""Metadata as the Metadata API has it: which component a file is, packages of components, and text to compare.

A component is named by type and full name: `Flow:Discount`, `ValidationRule:Account.Phone_Needed`. Its files are a
main one (`source`) and, of Apex and the like, one beside it (`meta`). What is part of an object (a field, a rule)
has no file in a package: it is an element of the object's file, taken out when read and put back when deployed.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

NAMESPACE: Final = "http://soap.sforce.com/2006/04/metadata"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
META: Final = "-meta.xml"


@dataclass(frozen=True, slots=True)
class SourceType:
    """Where a type's files lie. `has_meta`: text beside a file of XML. `tag`: of an element of the object's file."""

    name: str
    folder: str
    suffix: str
    has_meta: bool = False
    tag: str = ""


SOURCE_TYPES: Final = {
    one.name: one
    for one in (
        SourceType("Flow", "flows", "flow"),
        SourceType("FlowDefinition", "flowDefinitions", "flowDefinition"),
        SourceType("ApexClass", "classes", "cls", has_meta=True),
        SourceType("ApexTrigger", "triggers", "trigger", has_meta=True),
        SourceType("ApexPage", "pages", "page", has_meta=True),
        SourceType("ApexComponent", "components", "component", has_meta=True),
        SourceType("StaticResource", "staticresources", "resource", has_meta=True),
        SourceType("PermissionSet", "permissionsets", "permissionset"),
        SourceType("PermissionSetGroup", "permissionsetgroups", "permissionsetgroup"),
        SourceType("MutingPermissionSet", "mutingpermissionsets", "mutingpermissionset"),
        SourceType("Profile", "profiles", "profile"),
        SourceType("Layout", "layouts", "layout"),
        SourceType("Workflow", "workflows", "workflow"),
        SourceType("Role", "roles", "role"),
        SourceType("Group", "groups", "group"),
        SourceType("Queue", "queues", "queue"),
        SourceType("AssignmentRules", "assignmentRules", "assignmentRules"),
        SourceType("DuplicateRule", "duplicateRules", "duplicateRule"),
        SourceType("MatchingRules", "matchingRules", "matchingRule"),
        SourceType("SharingRules", "sharingRules", "sharingRules"),
        SourceType("CustomMetadata", "customMetadata", "md"),
        SourceType("CustomObject", "objects", "object"),
        SourceType("CustomField", "fields", "field", tag="fields"),
        SourceType("ValidationRule", "validationRules", "validationRule", tag="validationRules"),
        SourceType("RecordType", "recordTypes", "recordType", tag="recordTypes"),
        SourceType("BusinessProcess", "businessProcesses", "businessProcess", tag="businessProcesses"),
        SourceType("CompactLayout", "compactLayouts", "compactLayout", tag="compactLayouts"),
        SourceType("FieldSet", "fieldSets", "fieldSet", tag="fieldSets"),
        SourceType("ListView", "listViews", "listView", tag="listViews"),
        SourceType("WebLink", "webLinks", "webLink", tag="webLinks"),
    )
}
"""What can be read, compared and rolled back. Types of bundles (a folder a component) are not among them."""

_OF_FOLDER = {one.folder: one for one in SOURCE_TYPES.values() if not one.tag}
_OF_TAG = {one.tag: one for one in SOURCE_TYPES.values() if one.tag}
_OF_PART = {one.folder: one for one in SOURCE_TYPES.values() if one.tag}
_ROOT = re.compile(r"<(\w+)[^>]*>")


@dataclass(frozen=True, slots=True)
class Source:
    """A component's files as text. `meta` is "" where there is none."""

    type: str
    full_name: str
    source: str
    meta: str = ""

    @property
    def name(self) -> str:
        """`Flow:Discount`."""
        return f"{self.type}:{self.full_name}"

    @property
    def digest(self) -> str:
        """Of what its files say."""
        text = "\n".join([*canonical(self.source), "", *canonical(self.meta)])
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


# -- from files to components -----------------------------------------------------------------------------------


def components(
    files: Mapping[str, str],
    types: Iterable[str] = SOURCE_TYPES,
    problem: Callable[[str], None] | None = None,
) -> dict[str, Source]:
    """The components in the files of a package or a source tree, by name; paths of either layout, below any folder.

    Files that are of no type wanted are left out. Raises ValueError for an object's file that is not XML; with
    `problem` that is told instead, and the file left out.
    """
    wanted = set(types)
    found: dict[str, Source] = {}
    metas: dict[str, str] = {}
    for path, text in files.items():
        folder, name = _placed(path)
        if folder == "objects":
            try:
                found |= {one.name: one for one in _of_object(name, text) if one.type in wanted}
            except ValueError as error:
                if problem is None:
                    raise
                problem(f"{path}: {error}")
        elif folder.startswith("objects/"):
            part = _of_path_part(folder, name, text)
            if part is not None and part.type in wanted:
                found[part.name] = part
        elif (described := _OF_FOLDER.get(folder)) is not None and described.name in wanted:
            bare = name.removesuffix(META)
            full_name = bare.removesuffix(f".{described.suffix}")
            if full_name == bare:
                continue
            if described.has_meta and bare != name:
                metas[f"{described.name}:{full_name}"] = text
            else:
                made = Source(described.name, full_name, text)
                found[made.name] = made
    return {
        name: Source(one.type, one.full_name, one.source, metas.get(name, "")) for name, one in found.items()
    }


def _placed(path: str) -> tuple[str, str]:
    """Folder of a type and the name in it: ("flows", "X.flow"), ("objects/Account/fields", "Y__c.field-meta.xml")."""
    parts = [part for part in path.split("/") if part]
    for at in range(len(parts) - 1):
        if parts[at] == "objects" and len(parts) - at == 4 and parts[at + 2] in _OF_PART:
            return "/".join(parts[at : at + 3]), parts[at + 3]
        if parts[at] == "objects" and len(parts) - at == 3:
            return "objects", parts[at + 2]
        if parts[at] in _OF_FOLDER and len(parts) - at == 2:
            return parts[at], parts[at + 1]
    return "", path


def _of_path_part(folder: str, name: str, text: str) -> Source | None:
    _, entity, part = folder.split("/")
    described = _OF_PART[part]
    bare = name.removesuffix(META).removesuffix(f".{described.suffix}")
    return Source(described.name, f"{entity}.{bare}", text)


def _of_object(name: str, text: str) -> Iterator[Source]:
    """An object's file taken apart: its parts by their own names, and what is left of it."""
    entity = name.removesuffix(META).removesuffix(".object")
    root = parsed(text)
    rest = ElementTree.Element("CustomObject")
    for element in root:
        described = _OF_TAG.get(_local(element))
        full_name = next((one.text for one in element if _local(one) == "fullName"), None)
        if described is None or not full_name:
            rest.append(element)
            continue
        part = ElementTree.Element(described.name)
        part.extend(list(element))
        yield Source(described.name, f"{entity}.{full_name}", file_text(part))
    if len(rest):
        yield Source("CustomObject", entity, file_text(rest))


# -- from components to files -----------------------------------------------------------------------------------


def source_path(one: Source) -> str:
    """Of its file in a source tree."""
    described = SOURCE_TYPES[one.type]
    if described.tag:
        entity, _, name = one.full_name.partition(".")
        return f"objects/{_safe(entity)}/{described.folder}/{_safe(name)}.{described.suffix}{META}"
    if one.type == "CustomObject":
        return f"objects/{_safe(one.full_name)}/{_safe(one.full_name)}.object{META}"
    path = f"{described.folder}/{_safe(one.full_name)}.{described.suffix}"
    return path if described.has_meta else path + META


def source_tree(sources: Iterable[Source]) -> dict[str, str]:
    """Path -> text, as tools for source control lay it out."""
    made: dict[str, str] = {}
    for one in sources:
        path = source_path(one)
        made[path] = one.source
        if one.meta:
            made[path + META] = one.meta
    return made


def package_files(sources: Iterable[Source]) -> dict[str, str]:
    """Path -> text, as a package to deploy has them."""
    made: dict[str, str] = {}
    objects: dict[str, list[ElementTree.Element]] = {}
    for one in sources:
        described = SOURCE_TYPES[one.type]
        if described.tag:
            element = parsed(one.source)
            element.tag = described.tag
            objects.setdefault(one.full_name.partition(".")[0], []).append(element)
        elif one.type == "CustomObject":
            objects.setdefault(one.full_name, [])[:0] = list(parsed(one.source))
        else:
            path = f"{described.folder}/{one.full_name}.{described.suffix}"
            made[path] = one.source
            if one.meta:
                made[path + META] = one.meta
    for entity, elements in objects.items():
        root = ElementTree.Element("CustomObject")
        root.extend(elements)
        made[f"objects/{entity}.object"] = file_text(root)
    return made


def manifest(members: Mapping[str, Iterable[str]], version: str) -> str:
    """A `package.xml`, or one of `destructiveChanges…xml`."""
    lines = [HEAD, f'<Package xmlns="{NAMESPACE}">']
    for kind, names in sorted(members.items()):
        lines.append("    <types>")
        lines += [f"        <members>{escape(name)}</members>" for name in sorted(names)]
        lines += [f"        <name>{escape(kind)}</name>", "    </types>"]
    return "\n".join([*lines, f"    <version>{version}</version>", "</Package>", ""])


def zipped(files: Mapping[str, str]) -> bytes:
    """The files as a zip: the same bytes for the same files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for path, text in sorted(files.items()):
            made.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


# -- text ---------------------------------------------------------------------------------------------------------


def parsed(text: str) -> ElementTree.Element:
    """A file of XML. Raises ValueError for what is none; a document type is refused, since it could make it large."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a file of metadata has no document type")
    try:
        return ElementTree.fromstring(text.encode())  # noqa: S314 - no document type, see above
    except ElementTree.ParseError as error:
        raise ValueError(f"a file of metadata is not XML: {error}") from None


def file_text(root: ElementTree.Element) -> str:
    """An element as a file of its own, indented, in the namespace of metadata."""
    name = _local(root)
    schema = f' xmlns:xsi="{XSI}"' if any(XSI in key for one in root.iter() for key in one.attrib) else ""
    lines = [HEAD, f'<{name} xmlns="{NAMESPACE}"{schema}>', *_lines(root, "    "), f"</{name}>", ""]
    return "\n".join(lines)


def canonical(text: str) -> list[str]:
    """Lines to compare: of XML indented anew and in one order at the top, of other text without ends of lines."""
    if not text.lstrip().startswith("<") or not _ROOT.search(text):
        return [line.rstrip() for line in text.splitlines()]
    try:
        root = parsed(text)
    except ValueError:
        return [line.rstrip() for line in text.splitlines()]
    # The order of elements of one file is the org's whim; inside an element it may mean something.
    blocks = sorted((_local(child), _key(child), list(_element(child, "    "))) for child in root)
    return [f"<{_local(root)}>", *(line for _, _, block in blocks for line in block), f"</{_local(root)}>"]


def _key(element: ElementTree.Element) -> str:
    named = {_local(one): (one.text or "").strip() for one in element if not len(one)}
    keys = ("fullName", "name", "object", "field", "label", "members")
    return next((named[key] for key in keys if key in named), "")


def _lines(parent: ElementTree.Element, indent: str) -> Iterator[str]:
    for child in parent:
        yield from _element(child, indent)


def _element(element: ElementTree.Element, indent: str) -> Iterator[str]:
    name = _local(element)
    attributes = "".join(f' {_attribute(key)}="{escape(one)}"' for key, one in element.attrib.items())
    if len(element):
        yield f"{indent}<{name}{attributes}>"
        yield from _lines(element, indent + "    ")
        yield f"{indent}</{name}>"
    else:
        yield f"{indent}<{name}{attributes}>{escape(element.text or '')}</{name}>"


def _attribute(key: str) -> str:
    return key.replace(f"{{{XSI}}}", "xsi:")


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


_UNSAFE = re.compile(r"[^\w.\- %]")


def _safe(name: str) -> str:
    """A name that stays in its folder, whatever it says."""
    return _UNSAFE.sub("_", name).lstrip(".") or "_"
