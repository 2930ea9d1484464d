"""A record and its children at a moment, by the org's own relationships: `tree ENTITY ID --at T`.

Which fields refer to which entities the descriptions say. A child is a record whose field held the parent's id at
the moment; of one whose field is not known then, but held the id at some other time, it is unknown, and said.
Who created or last changed a record is not its parent. A record reached a second time is shown and not followed,
so that a circle ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cdc.answer.answers import Answer, dicts_of
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named, record_id_of
from cdc.answer.honesty import (
    STRETCHES_MAX,
    crossed,
    known_since_of,
    not_there,
    notes_of,
    reasons_of,
    states_of,
)
from cdc.answer.times import Moment, moment
from cdc.errors import BadArgument

DEPTH_DEFAULT = 3
DEPTH_MAX = 10
ROWS_DEFAULT = 1_000
ROWS_MAX = 10_000

NO_PARENTS = frozenset({"CreatedById", "LastModifiedById"})
"""References that every record has, and that make nobody its parent."""

NAMES = ("Name", "Subject", "CaseNumber", "Title")
"""The field that names a record to people, the first that is there; a name in parts is put together."""

_COLUMNS = (
    "depth", "entity", "record_id", "parent_id", "via", "is_child", "again", "status", "name", "fields", "complete",
    "incomplete_reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reference:
    """Records of `entity` refer to their parents by the field `path`, which queries call `name`."""

    entity: str
    path: str
    name: str


@dataclass(slots=True)
class _Node:
    depth: int
    entity: str
    state: Mapping[str, Any]
    parent_id: str | None = None
    via: str | None = None
    is_child: bool | None = True
    again: bool = False
    children: list[_Node] = field(default_factory=list)

    @property
    def record_id(self) -> str:
        return str(self.state["record_id"])

    def row(self) -> tuple[Any, ...]:
        own = {
            "depth": self.depth,
            "entity": self.entity,
            "parent_id": self.parent_id,
            "via": self.via,
            "is_child": self.is_child,
            "again": self.again,
            "name": _name(self.state["fields"]),
        }
        return tuple({**self.state, **own}[c] for c in _COLUMNS)


def tree(
    reader: Any,
    entity: str,
    record_id: str,
    at: str | datetime | None = None,
    before: str | int | None = None,
    depth: int = DEPTH_DEFAULT,
    limit: int = ROWS_DEFAULT,
) -> Answer:
    """A record at a moment and its children, their children behind each, `depth` levels down.

    `via` is the field that refers to `parent_id`; `is_child` is None where it is not known whether it did;
    `again` marks a record that stands further up already. Errors: BadArgument, NotFound.
    """
    name, full_id = entity_named(reader, entity), record_id_of(record_id)
    when = moment(reader, at, before)
    if not 0 <= depth <= DEPTH_MAX:
        raise BadArgument(f"a tree is 0 to {DEPTH_MAX} levels deep, not {depth}")
    if not 1 <= limit <= ROWS_MAX:
        raise BadArgument(f"a tree has 1 to {ROWS_MAX} records, not {limit}")
    root = states_of(reader, name, when, [full_id])
    if not root:
        return Answer(columns=(), rows=(), notes=not_there(reader, name, [full_id], when))
    growing = _Growing(reader, when, limit)
    nodes = growing.from_root(_Node(0, name, root[0]), depth)
    reasons = reasons_of([node.state for node in nodes])
    if undecided := sum(node.is_child is None for node in nodes):
        reasons.append(f"of {undecided} records it is not known whether they were children then")
    if growing.is_cut:
        reasons.append(f"cut off after {limit} records")
    if growing.is_deeper:
        growing.notes.append(f"records of level {depth} may have children: ask with a greater --depth")
    entities = sorted({node.entity for node in nodes})
    bounds = {e: [n.record_id for n in nodes if n.entity == e] for e in entities}
    holes = [s for e in entities for s in crossed(reader, e, when, (min(bounds[e]), max(bounds[e])), None)]
    return Answer(
        columns=_COLUMNS,
        rows=[node.row() for node in nodes],
        complete=not reasons,
        reasons=reasons,
        notes=[*notes_of(reader, name, when), *growing.notes],
        known_since=known_since_of([node.state for node in nodes]),
        stretches=holes[:STRETCHES_MAX],
    )


@dataclass(slots=True)
class _Growing:
    """A tree while it grows, level by level: one look-up for each reference and level, not for each record."""

    reader: Any
    when: Moment
    limit: int
    notes: list[str] = field(default_factory=list)
    is_cut: bool = False
    is_deeper: bool = False
    count: int = 1

    def from_root(self, root: _Node, depth: int) -> list[_Node]:
        references = _references(self.reader)
        if not references:
            self.notes.append("no entity has been described yet: relationships are not known")
        seen = {(root.entity, root.record_id)}
        level = [root]
        for below in range(1, depth + 1):
            level = [n for n in self._children(level, references, below, seen) if not n.again]
            if not level or self.is_cut:
                break
        else:
            self.is_deeper = any(references.get(n.entity) for n in level) and depth > 0
        return list(_in_order(root))

    def _children(
        self,
        parents: Sequence[_Node],
        references: Mapping[str, Sequence[Reference]],
        depth: int,
        seen: set[tuple[str, str]],
    ) -> list[_Node]:
        found: list[_Node] = []
        by_entity: dict[str, dict[str, _Node]] = {}
        for parent in parents:
            by_entity.setdefault(parent.entity, {})[parent.record_id] = parent
        for entity, of_entity in sorted(by_entity.items()):
            for reference in references.get(entity, ()):
                for node in self._referring(reference, of_entity, depth):
                    if self.count >= self.limit:
                        self.is_cut = True
                        return found
                    node.again = (node.entity, node.record_id) in seen
                    seen.add((node.entity, node.record_id))
                    of_entity[str(node.parent_id)].children.append(node)
                    found.append(node)
                    self.count += 1
        return found

    def _referring(self, reference: Reference, parents: Mapping[str, _Node], depth: int) -> Iterator[_Node]:
        """Records whose field held a parent's id, and those of which that is not known."""
        parameters = {"entity": reference.entity, "field": reference.path, "limit": self.limit + 1}
        rows = self.reader.execute(sql("referring"), {**parameters, "ids": list(parents)}).fetchall()
        candidates = [row[0] for row in rows]
        self.is_cut |= len(candidates) > self.limit
        for state in states_of(self.reader, reference.entity, self.when, candidates[: self.limit]):
            known = state["fields"]
            if reference.path in known:
                parent_id = known[reference.path]
                if parent_id in parents:
                    yield _Node(depth, reference.entity, state, parent_id, reference.name)
            else:
                was = self._was_under(reference, state["record_id"], parents)
                yield _Node(depth, reference.entity, state, was, reference.name, is_child=None)

    def _was_under(self, reference: Reference, record_id: str, parents: Mapping[str, _Node]) -> str:
        """The parent among these that a record named at some time."""
        parameters = {
            "entity": reference.entity,
            "field": reference.path,
            "id": record_id,
            "ids": list(parents),
        }
        found = self.reader.execute(sql("referred"), parameters).fetchone()
        return str(found[0])


def _references(reader: Any) -> dict[str, list[Reference]]:
    """Parent entity -> the fields that refer to it."""
    out: dict[str, list[Reference]] = {}
    for row in dicts_of(reader.execute(sql("references"))):
        if row["name"] in NO_PARENTS:
            continue
        for parent in row["reference_to"]:
            out.setdefault(parent, []).append(
                Reference(row["entity"], row["path"], row["name"] or row["path"])
            )
    return out


def _in_order(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.children:
        yield from _in_order(child)


def _name(fields: Mapping[str, str | None]) -> str | None:
    for path in NAMES:
        if fields.get(path):
            return fields[path]
    parts = [fields.get("Name.FirstName"), fields.get("Name.LastName")]
    return " ".join(part for part in parts if part) or None
