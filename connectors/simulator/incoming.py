"""Values coming in: from REST bodies and from the columns of an uploaded CSV to paths and Python values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.simulator.entities import Entity
from connectors.simulator.errors import OrgError
from connectors.simulator.fields import Field, Leaf
from connectors.simulator.soql_conditions import date_ms, datetime_ms

NULL_TEXT = "#N/A"
"""What sets a field to null in a CSV, where an empty column leaves it as it is."""

Find = Callable[[str, str, str], str]
"""(entity, field, value) -> the id of the one record with that external id. Raises OrgError."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What may be written to an entity: `hidden` fields do not exist for the caller, `read_only` ones cannot be set."""

    entity: Entity
    hidden: frozenset[str]
    read_only: frozenset[str]
    find: Find

    def from_rest(self, body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        """REST names and JSON values. Raises INVALID_FIELD, INVALID_FIELD_FOR_INSERT_UPDATE, JSON_PARSER_ERROR."""
        values: dict[str, Any] = {}
        for name, value in body.items():
            if name == "attributes" or name.lower() == "id":
                continue
            if isinstance(value, Mapping) and (field := self._relationship(name)) is not None:
                named = [(key, one) for key, one in value.items() if key != "attributes"]
                values[field.name] = self._related(field, named)
                continue
            leaf = self._leaf(name, creating=creating)
            values[leaf.path] = python_value(leaf, value)
        return values

    def from_csv(self, row: Iterable[tuple[str, str]], *, creating: bool) -> dict[str, Any]:
        """Columns and texts of one CSV row; `Account.Erp_Number__c` names a related record by external id."""
        values: dict[str, Any] = {}
        for name, text in row:
            if name.lower() == "id" or text == "":
                continue
            if "." in name:
                relationship, _, key = name.partition(".")
                field = self._relationship(relationship)
                if field is None:
                    raise self._no_such(name)
                values[field.name] = None if text == NULL_TEXT else self._related(field, [(key, text)])
                continue
            leaf = self._leaf(name, creating=creating)
            try:
                values[leaf.path] = python_value(leaf, None if text == NULL_TEXT else text)
            except OrgError:
                raise OrgError(
                    "INVALID_TYPE_ON_FIELD_IN_RECORD",
                    f"{leaf.rest_name}: value not of required type: {text}",
                    fields=(leaf.rest_name,),
                ) from None
        return values

    def knows(self, column: str) -> bool:
        """Whether a CSV column names something of the entity."""
        if "." in column:
            return self._relationship(column.partition(".")[0]) is not None
        return column.lower() == "id" or self._find_leaf(column) is not None

    def _leaf(self, name: str, *, creating: bool) -> Leaf:
        leaf = self._find_leaf(name)
        if leaf is None:
            raise self._no_such(name)
        allowed = leaf.field.createable if creating else leaf.field.updateable
        if not allowed or leaf.field.name in self.read_only:
            raise OrgError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {name}. Please check the security settings of this field "
                "and verify that it is read/write for your profile or permission set.",
                fields=(name,),
            )
        return leaf

    def _find_leaf(self, name: str) -> Leaf | None:
        path = self.entity.path_of_lower.get(name.lower())
        leaf = self.entity.leaves.get(path) if path else None
        if leaf is None or leaf.field.name in self.hidden or not leaf.field.in_queries:
            return None
        return leaf

    def _no_such(self, name: str) -> OrgError:
        return OrgError(
            "INVALID_FIELD", f"No such column '{name}' on sobject of type {self.entity.name}", fields=(name,)
        )

    def _relationship(self, name: str) -> Field | None:
        return next(
            (
                field
                for field in self.entity.fields
                if field.reference_to and field.relationship.lower() == name.lower()
            ),
            None,
        )

    def _related(self, field: Field, named: list[tuple[str, Any]]) -> str:
        if len(named) != 1:
            raise OrgError("INVALID_FIELD", f"{field.relationship} needs exactly one external id")
        return self.find(field.reference_to[0], named[0][0], str(named[0][1]))


def python_value(leaf: Leaf, value: Any) -> Any:
    """A JSON value as the Python value of a field; epoch ms for times. Raises JSON_PARSER_ERROR."""
    if value is None or value == "":
        return False if leaf.avro == "boolean" else None
    try:
        return _PYTHON[leaf.described](value) if leaf.described in _PYTHON else str(value)
    except (TypeError, ValueError) as error:
        raise OrgError(
            "JSON_PARSER_ERROR",
            f"Cannot deserialize instance of {leaf.described} from {type(value).__name__} value {value}",
            fields=(leaf.rest_name,),
        ) from error


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(value)


def _time_ms(text: str) -> int:
    at = datetime.fromisoformat(f"1970-01-01T{text}")
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


_PYTHON: dict[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "int": int,
    "double": float,
    "currency": float,
    "percent": float,
    "datetime": lambda value: value if isinstance(value, int) else datetime_ms(value) // 1000 * 1000,
    "date": lambda value: value if isinstance(value, int) else date_ms(value),
    "time": lambda value: value if isinstance(value, int) else _time_ms(value),
}
