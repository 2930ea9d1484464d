"""A plan to put the set-up back as it was at a moment: component by component, and the package that does it.

What was comes from the journal, what is from the org. A row is one file of a component (`source`, `meta`), or the
component itself where nothing of it is written. Actions: DEPLOY (its files as they were), STOP (a flow that was not
active then), DELETE (it did not exist then). Decisions are those of any plan (`planfile.py`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from cdc.change.metadata import HEAD, NAMESPACE, Source, canonical, manifest, package_files, parsed, zipped
from cdc.ports.metadata import Listed
from cdc.recover.planfile import REVERT, ROWS

DEPLOY, STOP, DELETE = "DEPLOY", "STOP", "DELETE"
FLOW, FLOW_DEFINITION, FIELD = "Flow", "FlowDefinition", "CustomField"


@dataclass(frozen=True, slots=True)
class Row:
    """One file of one component, or one component that goes. `name` is the full name; of a flow's version `Name-2`."""

    step: int
    type: str
    name: str
    action: str
    field: str | None
    before: str | None
    now: str | None
    decision: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """Components as they were, and which types were being read by then: of others nothing is known."""

    sources: Mapping[str, Source]
    types: frozenset[str]


def wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether a component is meant: `Flow:Discount`, `Flow:*`; all without a pattern."""
    return not patterns or any(fnmatch.fnmatchcase(name, one) for one in patterns)


def may_have_moved(
    past: Past, held_now: Mapping[str, Source], listed: Mapping[str, Listed], at: str, always: Iterable[str]
) -> set[str]:
    """Names whose files have to be read from the org: anything that may be other than it was."""
    names = {name for name in {*past.sources, *listed} if (name in past.sources) != (name in listed)}
    names |= {name for name, one in past.sources.items() if held_now.get(name) != one}
    names |= {
        name for name, one in listed.items() if one.modified_at[:19] >= at[:19] or one.type in set(always)
    }
    return names


def decided(
    past: Past,
    now: Mapping[str, Source],
    listed: Mapping[str, Listed],
    versions: Mapping[str, Sequence[int]],
    *,
    delete_fields: bool,
) -> list[Row]:
    """The rows of the plan, in the order of types. `now` has every component that may have moved and is there."""
    rows: list[Row] = []
    for name in sorted({*past.sources, *now}):
        then, there = past.sources.get(name), now.get(name)
        if then is not None and there is None and name in listed:
            continue  # has not moved
        if then is None:
            assert there is not None
            rows += _goes(there, past, versions, delete_fields, _last(listed.get(name)))
        elif there is not None and _same(then, there):
            rows.append(Row(0, then.type, then.full_name, DEPLOY, None, None, None, "already"))
        elif then.type == FLOW and not is_active(then.source):
            rows += _stays_off(then, there)
        else:
            rows += _comes_back(then, there, _last(listed.get(name)))
    return rows


def _comes_back(then: Source, there: Source | None, last: str) -> Iterator[Row]:
    reason = last if there else "deleted since"
    for file in ("source", "meta"):
        before, now = getattr(then, file), getattr(there, file, None)
        if before:
            yield Row(1, then.type, then.full_name, DEPLOY, file, before, now, REVERT, reason)


def _stays_off(then: Source, there: Source | None) -> Iterator[Row]:
    if there is None:
        yield from _comes_back(then, None, "")
    elif is_active(there.source):
        reason = "it was not active then"
        yield Row(1, FLOW, then.full_name, STOP, "source", then.source, there.source, REVERT, reason)
    else:
        reason = "a version that was never active differs: it does nothing"
        yield Row(0, FLOW, then.full_name, DEPLOY, "source", then.source, there.source, "left", reason)


def _goes(
    there: Source, past: Past, versions: Mapping[str, Sequence[int]], delete_fields: bool, last: str
) -> Iterator[Row]:
    if there.type not in past.types:
        reason = "not known whether it was there: its type was not read by then"
        yield Row(0, there.type, there.full_name, DELETE, None, None, there.source, "impossible", reason)
    elif there.type == FIELD and not delete_fields:
        reason = "a field's data would be deleted with it"
        yield Row(0, there.type, there.full_name, DELETE, None, None, there.source, "left", reason)
    elif there.type == FLOW:
        if is_active(there.source):
            yield Row(1, FLOW, there.full_name, STOP, "source", None, there.source, REVERT, last)
        for number in versions.get(there.full_name, ()):
            yield Row(2, FLOW, f"{there.full_name}-{number}", DELETE, None, None, None, REVERT, last)
    else:
        yield Row(2, there.type, there.full_name, DELETE, None, None, there.source, REVERT, last)


def _last(listed: Listed | None) -> str:
    if listed is None or not listed.modified_at:
        return ""
    return f"last changed {listed.modified_at}" + (f" by {listed.modified_by}" if listed.modified_by else "")


def _same(one: Source, other: Source) -> bool:
    return canonical(one.source) == canonical(other.source) and canonical(one.meta) == canonical(other.meta)


def is_active(flow: str) -> bool:
    """Whether a flow's file says that it is active."""
    try:
        root = parsed(flow)
    except ValueError:
        return False
    return any(one.tag.rpartition("}")[2] == "status" and one.text == "Active" for one in root)


def as_table(rows: Sequence[Row]) -> pa.Table:
    """As a plan's file has them."""
    columns: dict[str, list[Any]] = {
        "step": [one.step for one in rows],
        "entity": [one.type for one in rows],
        "record_id": [one.name for one in rows],
        "action": [one.action for one in rows],
        "field": [one.field for one in rows],
        "before": [one.before for one in rows],
        "bad": [None] * len(rows),
        "now": [one.now for one in rows],
        "decision": [one.decision for one in rows],
        "reason": [one.reason for one in rows],
    }
    return pa.table(columns, schema=ROWS)


def rows_of(table: pa.Table) -> list[Row]:
    """The rows of a plan's file."""
    return [
        Row(
            one["step"], one["entity"], one["record_id"], one["action"], one["field"], one["before"], one["now"],
            one["decision"], one["reason"] or "",
        )
        for one in table.to_pylist()
    ]  # fmt: skip


def put_back(rows: Iterable[Row]) -> list[Source]:
    """The components that are deployed as they were."""
    files: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if row.decision == REVERT and row.action == DEPLOY and row.field:
            files.setdefault((row.type, row.name), {})[row.field] = row.before or ""
    return [
        Source(kind, name, of.get("source", ""), of.get("meta", "")) for (kind, name), of in files.items()
    ]


def package_of(rows: Sequence[Row], version: str) -> bytes:
    """The package that does it: the same bytes for the same rows."""
    sources = put_back(rows)
    files = package_files(sources)
    members: dict[str, list[str]] = {}
    for one in sources:
        members.setdefault(one.type, []).append(one.full_name)
    for row in rows:
        if row.decision == REVERT and row.action == STOP:
            members.setdefault(FLOW_DEFINITION, []).append(row.name)
            files[f"flowDefinitions/{row.name}.flowDefinition"] = _OFF
    gone: dict[str, list[str]] = {}
    for row in rows:
        if row.decision == REVERT and row.action == DELETE:
            gone.setdefault(row.type, []).append(row.name)
    files["package.xml"] = manifest(members, version)
    if gone:
        files["destructiveChangesPost.xml"] = manifest(gone, version)
    return zipped(files)


_OFF: Final = f'{HEAD}\n<FlowDefinition xmlns="{NAMESPACE}">\n    <activeVersionNumber>0</activeVersionNumber>\n</FlowDefinition>\n'


def not_as_planned(rows: Sequence[Row], now: Mapping[str, Source]) -> list[dict[str, str]]:
    """Where the org is not as planned, after it was deployed; none where all is well."""
    wrong: list[dict[str, str]] = []
    for one in put_back(rows):
        there = now.get(one.name)
        if there is None:
            wrong.append({"component": one.name, "what": "it is not there"})
        elif not _same(one, there):
            wrong.append({"component": one.name, "what": "its files are not as planned"})
    for row in rows:
        if row.decision != REVERT or row.action == DEPLOY:
            continue
        there = now.get(f"{row.type}:{row.name}")
        if row.action == STOP and there is not None and is_active(there.source):
            wrong.append({"component": f"{row.type}:{row.name}", "what": "it is still active"})
        elif row.action == DELETE and there is not None:
            wrong.append({"component": f"{row.type}:{row.name}", "what": "it is still there"})
    return wrong
