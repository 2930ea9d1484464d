"""Metadata as files: an XML document and the JSON that the Tooling API gives of the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"

_NUMBERS = frozenset({"numberValue", "apiVersion", "activeVersionNumber", "length", "precision", "scale"})
_TEXTS = frozenset(
    {
        "stringValue",
        "description",
        "label",
        "errorMessage",
        "fullName",
        "name",
        "errorConditionFormula",
        "text",
    }
)
_LISTS = frozenset(
    {
        "actionCalls", "assignments", "customErrors", "customErrorMessages", "decisions", "fieldPermissions", "filters",
        "inputAssignments", "inputParameters", "members", "objectPermissions", "processMetadataValues",
        "recordCreates", "recordDeletes", "recordLookups", "recordUpdates", "types", "userPermissions",
    }
)  # fmt: skip
"""Elements that may come more than once: lists also where there is one."""


def to_xml(root: str, values: Mapping[str, Any]) -> str:
    """A file: an element a key in order of name, one for each value of a list; null and empty lists are left out."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<{root} xmlns="{NAMESPACE}">']
    return "\n".join([*lines, *_elements(values, "    "), f"</{root}>", ""])


def inner_xml(values: Mapping[str, Any]) -> str:
    """The elements alone, for the body of an answer."""
    return "".join(line.strip() for line in _elements(values, ""))


def _elements(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key in sorted(values):
        value = values[key]
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is None:
                continue
            if isinstance(one, Mapping):
                yield f"{indent}<{key}>"
                yield from _elements(one, indent + "    ")
                yield f"{indent}</{key}>"
            else:
                yield f"{indent}<{key}>{escape(_text(one))}</{key}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def from_xml(content: bytes | str) -> tuple[str, dict[str, Any]]:
    """Root and values of a file. Raises ValueError for what is none."""
    raw = content.encode() if isinstance(content, str) else content
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise ValueError("a document type is not allowed")
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - no document type, see above
    except ElementTree.ParseError as error:
        raise ValueError(f"Error parsing file: {error}") from None
    return _name(root), _values(root)


def _values(element: ElementTree.Element) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for child in element:
        name = _name(child)
        value: Any = _values(child) if len(child) else _typed(name, child.text or "")
        if name in _LISTS:
            made.setdefault(name, []).append(value)
        elif name in made:
            there = made[name]
            made[name] = [*there, value] if isinstance(there, list) else [there, value]
        else:
            made[name] = value
    return made


def _typed(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    said = text.strip()
    if name in _NUMBERS:
        try:
            number = float(said)
        except ValueError:
            raise ValueError(f"{said!r} is not a valid value for the type xsd:double") from None
        return int(number) if number.is_integer() else number
    return {"true": True, "false": False}.get(said, said)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def package_xml(members: Mapping[str, Iterable[str]], version: str) -> str:
    """A `package.xml` of components by type."""
    types = [{"members": sorted(names), "name": kind} for kind, names in sorted(members.items())]
    return to_xml("Package", {"types": types, "version": version})


def package_members(content: bytes | str) -> dict[str, list[str]]:
    """Type -> names of a `package.xml` or `destructiveChanges.xml`. Raises ValueError."""
    root, values = from_xml(content)
    if root != "Package":
        raise ValueError(f"the document element is {root}, not Package")
    made: dict[str, list[str]] = {}
    for one in values.get("types", ()):
        if isinstance(one, dict) and one.get("name"):
            made.setdefault(str(one["name"]), []).extend(str(member) for member in one.get("members", ()))
    return made
