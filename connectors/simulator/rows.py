"""Records as REST shows them: columns of an entity, JSON shapes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.fields import Field
from connectors.simulator.soql_conditions import Resolved

API_VERSION = "66.0"

ASKED_VERSION: ContextVar[str] = ContextVar("asked_version", default=API_VERSION)
"""The API version that the request being answered names in its path: every address in its answer has it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Column = Callable[[Record], Any]
"""record -> the JSON value of one field."""


def utc(ms: int) -> datetime:
    """Epoch ms as a datetime; also before 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def date_time_text(ms: int) -> str:
    """`2026-11-23T10:02:00.000+0000`, as REST writes a datetime."""
    at = utc(ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}+0000"


def date_text(ms: int) -> str:
    return f"{utc(ms):%Y-%m-%d}"


def time_text(ms: int) -> str:
    """Milliseconds of the day as `10:02:00.000Z`."""
    return f"{utc(ms):%H:%M:%S}.{ms % 1000:03d}Z"


def rest_value(described: str, value: Any) -> Any:
    """A Python value as JSON of its describe type."""
    if value is None:
        return False if described == "boolean" else None
    if described == "datetime":
        return date_time_text(value)
    if described == "date":
        return date_text(value)
    if described == "time":
        return time_text(value)
    return value


class RowShape:
    """The fields of one entity that a reader may see, by their query names, whatever the case."""

    def __init__(self, entity: Entity, hidden: frozenset[str]) -> None:
        self.entity = entity
        self.hidden = hidden
        self._resolved: dict[str, Resolved] = {}
        self._columns: dict[str, tuple[str, Column]] = {}
        self._add("Id", "id", lambda record: record.id)
        self._add("IsDeleted", "boolean", lambda record: record.deleted)
        for field in entity.fields:
            if field.in_queries and field.name not in hidden:
                self._add_field(field)
        self._add("SystemModstamp", "datetime", lambda record: record.system_modstamp)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column of FIELDS(ALL), in the order of the description."""
        return tuple(name for name, _ in self._columns.values())

    def resolve(self, name: str) -> Resolved:
        """A field to filter or sort by. Raises INVALID_FIELD."""
        found = self._resolved.get(name.lower())
        if found is None:
            raise self.no_such(name)
        return found

    def resolve_in_event(self, name: str) -> Resolved:
        """A field of a channel filter, read from an event's record: values by path, and the header's fields."""
        if name.startswith("ChangeEventHeader."):
            return Resolved(name, "string", lambda values: values.get(name))
        if name in self.entity.leaves:
            return Resolved(name, self.entity.leaves[name].described, lambda values: values.get(name))
        path = self.entity.path_of.get(self.resolve(name).name, name)
        return Resolved(name, self.resolve(name).described, lambda values: values.get(path))

    def column(self, name: str) -> tuple[str, Column]:
        """A field to select: its name as described, and its JSON value. Raises INVALID_FIELD."""
        found = self._columns.get(name.lower())
        if found is None:
            raise self.no_such(name)
        return found

    def no_such(self, name: str) -> OrgError:
        return OrgError(
            "INVALID_FIELD",
            f"No such column '{name}' on entity '{self.entity.name}'. If you are attempting to use a custom "
            "field, be sure to append the '__c' after the custom field name.",
        )

    def _add(self, name: str, described: str, get: Column) -> None:
        self._resolved[name.lower()] = Resolved(name, described, get)
        self._columns[name.lower()] = (name, lambda record: rest_value(described, get(record)))

    def _add_field(self, field: Field) -> None:
        if not field.parts:
            self._add(field.name, field.described, _value_of(field.name))
            return
        if field.doc_type in ("PersonName", "Switchable_PersonName"):
            self._add(field.name, "string", _name_of(field))
        else:
            self._columns[field.name.lower()] = (field.name, _compound_of(field))
        for leaf in field.leaves():
            if leaf.part:
                self._add(leaf.rest_name, leaf.described, _value_of(leaf.path))


def _value_of(path: str) -> Column:
    return lambda record: record.values.get(path)


def _name_of(field: Field) -> Column:
    first, last = f"{field.name}.FirstName", f"{field.name}.LastName"

    def name(record: Record) -> Any:
        whole = record.values.get(field.name)
        if whole is not None:
            return whole
        parts = [part for part in (record.values.get(first), record.values.get(last)) if part]
        return " ".join(parts) or None

    return name


def _compound_of(field: Field) -> Column:
    parts = [(leaf.part[:1].lower() + leaf.part[1:], leaf.path) for leaf in field.leaves() if leaf.part]

    def compound(record: Record) -> Any:
        values = {part: record.values.get(path) for part, path in parts}
        return values if any(value is not None for value in values.values()) else None

    return compound


def attributes(entity: str, record_id: str) -> dict[str, str]:
    """The `attributes` of a REST record."""
    return {"type": entity, "url": f"/services/data/v{ASKED_VERSION.get()}/sobjects/{entity}/{record_id}"}
