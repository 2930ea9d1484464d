"""What the journal knows of an entity's fields: their names, types, and what they refer to.

From the newest description, and what schemas of events that came after it have besides; where there is neither, from
the changes themselves (every type then unknown).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from cdc.answer.definitions import sql
from cdc.errors import BadArgument

NEAR_NAMES_MAX = 3

_BY_SCHEMA: Mapping[str, str] = {
    "text": "string",
    "names": "multipicklist",
    "multienum": "multipicklist",
    "dateonly": "date",
    "timeonly": "time",
    "integer": "int",
    "currency": "currency",
    "datetime": "datetime",
    "boolean": "boolean",
    "double": "double",
}
"""What an event's schema calls a type -> what a description calls it."""


@dataclass(frozen=True, slots=True)
class Field:
    """`path` is its name in events and in the journal (`BillingAddress.City`), `name` its name in queries
    (`BillingCity`). `type` is the describe type; empty where nothing tells it."""

    path: str
    name: str
    type: str = ""
    reference_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one entity, by their path."""

    entity: str
    by_path: Mapping[str, Field]

    def named(self, text: str) -> Field:
        """A field by its path or its name in queries, in any letter case. Errors: BadArgument with near names."""
        names = {f.name.lower(): f for f in self.by_path.values()} | {
            path.lower(): f for path, f in self.by_path.items()
        }
        if found := names.get(text.lower()):
            return found
        near = get_close_matches(text.lower(), names, n=NEAR_NAMES_MAX, cutoff=0.6)
        shown = " or ".join(dict.fromkeys(names[n].name for n in near))
        raise BadArgument(
            f"{self.entity} has no field of this name",
            where=text[:80],
            do=f"did you mean {shown}?" if shown else "give a field of this entity, by its API name",
        )

    def column(self, path: str) -> str:
        """The name in queries of a path; a path that nothing describes with its dots made underscores."""
        found = self.by_path.get(path)
        return found.name if found else path.replace(".", "_")

    def names(self) -> Sequence[str]:
        return [f.name for f in self.by_path.values()]


def fields_of(reader: Any, entity: str) -> Fields:
    """The fields of an entity as the journal writes its name."""
    text, place = reader.execute(sql("description_of"), {"entity": entity}).fetchone()
    found = [
        Field(
            path=str(f["path"]),
            name=str(f.get("name") or str(f["path"]).replace(".", "_")),
            type=str(f.get("type") or "").lower(),
            reference_to=tuple(f.get("reference_to") or ()),
        )
        for f in json.loads(text or "[]")
    ]
    described = {f.path for f in found}
    behind = {"entity": entity, "behind": -1 if place is None else place}
    found += [
        Field(path, path.replace(".", "_"), _BY_SCHEMA.get(kind.lower(), kind.lower()))
        for path, kind in reader.execute(sql("schema_fields_of"), behind).fetchall()
        if path not in described
    ]
    if not found:
        paths = reader.execute(sql("fields_seen_of"), {"entity": entity}).fetchall()
        found = [Field(path, path.replace(".", "_")) for (path,) in paths]
    return Fields(entity, {f.path: f for f in found})
