"""What differs between two states of the set-up, line by line; ids, dates and order are no difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from cdc.answer.answers import Answer
from cdc.answer.setup_files import Fields
from cdc.answer.setup_rows import Setup, setup_at, setup_freshness
from cdc.answer.setup_source import sources_of
from cdc.change.metadata import Source, canonical, source_path, source_tree
from cdc.change.setup_kinds import METADATA

NOISE = frozenset(
    {"LastModifiedDate", "LastModifiedById", "CreatedDate", "SystemModstamp", "ActiveVersionId"}
    | {"LatestVersionId", "DefinitionId", "ParentId", "ProfileId", "PermissionSetId", "PermissionSetGroupId"}
    | {"AssigneeId", "GroupId", "UserOrGroupId", "UserRoleId", "ParentRoleId", "RelatedId"}
)
"""Ids differ between orgs, and what they name is in the component's name or in a reading of its own."""

REFERENCES = ("ProfileId", "UserRoleId", "ParentRoleId", "ActiveVersionId")
_SAID_BY_SOURCE = ("Metadata", "Body", "ErrorMessage", "Description", "ApiVersion")
CONTEXT_LINES = 2
PEOPLE = frozenset({"User", "PermissionSetAssignment", "GroupMember"})
"""Who works in an org: left out where two orgs are compared."""

COLUMNS = ("component", "change", "field", "line")


def setup_diff(
    reader: Any, from_time: str | None = None, to_time: str | None = None, text: str = ""
) -> Answer:
    """A row a line: component, added, removed or changed, field, and the line with its `-`, `+` or blank."""
    before = setup_at(reader, from_time) if from_time else Setup()
    after = setup_at(reader, to_time)
    rows = [row for row in differences(before, after) if text.lower() in row[0].lower()]
    read = setup_freshness(reader)
    return Answer(COLUMNS, rows, complete=bool(read), notes=read)


def differences(before: Setup, after: Setup) -> Iterator[tuple[str, str, str, str]]:
    """Lines of every component that differs, by name."""
    left, right = _by_component(before), _by_component(after)
    for component in sorted({*left, *right}):
        old, new = left.get(component), right.get(component)
        change = "added" if old is None else "removed" if new is None else "changed"
        for name in sorted({*(old or {}), *(new or {})}):
            a, b = (old or {}).get(name), (new or {}).get(name)
            if a == b:
                continue
            for line in _lines(a, b):
                yield component, change, name, line
        if change != "changed" and not (old or new):
            yield component, change, "", ""


def _by_component(setup: Setup) -> dict[str, dict[str, str]]:
    """Fields by component; where its source is known as files, these stand for what its row says of it."""
    made: dict[str, dict[str, str]] = {}
    known = {name.partition(":")[0] for name in sources_of(setup)}
    for kind, component, _, fields in setup.components():
        if kind == METADATA:
            made.setdefault(component, {}).update(_files(fields))
            continue
        compared = comparable(setup, fields)
        if kind in known:
            for name in _SAID_BY_SOURCE:
                compared.pop(name, None)
        made.setdefault(component, {}).update(compared)
    return made


def _files(fields: Fields) -> dict[str, str]:
    """A component's files by what they are called in a source tree, as lines to compare."""
    one = Source(
        fields.get("Type") or "",
        fields.get("FullName") or "",
        fields.get("Source") or "",
        fields.get("Meta") or "",
    )
    path = source_path(one)
    return {
        name: "\n".join(canonical(text)) for name, text in source_tree([one]).items() if text or name == path
    }


def comparable(setup: Setup, fields: Fields) -> dict[str, str]:
    """Fields without noise; what an id refers to by its name."""
    made = {name: value for name, value in fields.items() if name not in NOISE and value is not None}
    if made.get("IsOwnedByProfile") == "true":
        made.pop("Name", None)  # made from the profile's id
        made.pop("Label", None)
    for name in REFERENCES:
        if fields.get(name):
            made[name.removesuffix("Id")] = _named(setup, fields[name] or "")
    return made


def _named(setup: Setup, record_id: str) -> str:
    for kind in ("Profile", "UserRole"):
        row = setup.of(kind).get(record_id)
        if row:
            return row.get("Name") or record_id
    version: Mapping[str, Any] = setup.of("Flow").get(record_id, {})
    return f"version {version['VersionNumber']}" if version else record_id


def _lines(before: str | None, after: str | None) -> list[str]:
    old, new = (before or "").splitlines(), (after or "").splitlines()
    if len(old) <= 1 and len(new) <= 1:
        return [f"-{line}" for line in old] + [f"+{line}" for line in new]
    made = list(unified_diff(old, new, lineterm="", n=CONTEXT_LINES))
    return made[2:]
