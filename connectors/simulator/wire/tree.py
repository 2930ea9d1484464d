"""Trees of records: each with its children under the name of their relationship, saved together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.fields import Field
from connectors.simulator.saving import Saved
from connectors.simulator.wire.answers import WIRE
from connectors.simulator.wire.writing import creation, save

RECORDS_MAX = 200
LEVELS_MAX = 5
TYPES_MAX = 5


class TreeWriter:
    """Saves one request's trees, parents first, a level a transaction; a failure takes all of it back."""

    def __init__(self, request: web.Request, entity: str) -> None:
        self._request = request
        self._org = request.app[WIRE].org
        self._entity = entity

    def save(self, records: list[dict[str, Any]]) -> dict[str, Saved]:
        """Results by reference id. Raises OrgError for what is no tree."""
        results: dict[str, Saved] = {}
        level = [(self._entity, record, "", "") for record in records]
        self._check(records)
        with self._org.held_back() as undo:
            while level:
                asked = [
                    creation(self._org, entity, {**_own(record), **({path: parent} if path else {})})
                    for entity, record, path, parent in level
                ]
                saved = save(self._request, asked, all_or_none=True)
                below = []
                for (entity, record, _, _), one in zip(level, saved, strict=True):
                    results[_reference(record)] = one
                    below += [
                        (child, inner, field.name, one.record_id or "")
                        for child, field, inner in self._children(entity, record)
                    ]
                if any(one.error for one in saved):
                    undo.take_back()
                    break
                level = below
        return results

    def _check(self, records: list[dict[str, Any]]) -> None:
        seen: list[str] = []
        types: set[str] = set()

        def walk(entity: str, some: list[dict[str, Any]], depth: int) -> None:
            if depth > LEVELS_MAX:
                raise OrgError("INVALID_INPUT", f"A tree has at most {LEVELS_MAX} levels")
            types.add(entity)
            for record in some:
                seen.append(_reference(record))
                for child, _, inner in self._children(entity, record):
                    walk(child, [inner], depth + 1)

        walk(self._entity, records, 1)
        if len(seen) > RECORDS_MAX or len(types) > TYPES_MAX:
            raise OrgError("INVALID_INPUT", f"At most {RECORDS_MAX} records of {TYPES_MAX} types")
        if len(set(seen)) != len(seen):
            raise OrgError("INVALID_INPUT", "Duplicate ReferenceId provided in the request.")

    def _children(
        self, entity: str, record: Mapping[str, Any]
    ) -> Iterator[tuple[str, Field, dict[str, Any]]]:
        for name, value in record.items():
            if not isinstance(value, dict) or not isinstance(value.get("records"), list):
                continue
            child, field = self._relationship(entity, name)
            for inner in value["records"]:
                yield child, field, inner

    def _relationship(self, entity: str, name: str) -> tuple[str, Field]:
        for child in self._org.describe(entity)["childRelationships"]:
            if child["relationshipName"].lower() == name.lower():
                made = self._org.entity(child["childSObject"])
                field = made.field(child["field"])
                assert field is not None
                return made.name, field
        raise OrgError("INVALID_FIELD", f"No such relationship '{name}' on entity '{entity}'", fields=(name,))


def _own(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in record.items()
        if not (isinstance(value, dict) and "records" in value) and name != "attributes"
    }


def _reference(record: Mapping[str, Any]) -> str:
    attributes = record.get("attributes")
    reference = str(attributes.get("referenceId", "")) if isinstance(attributes, dict) else ""
    if not reference:
        raise OrgError("INVALID_INPUT", "Include a reference ID for each record in the request.")
    return reference
