"""A condition as SQL over a record's map of fields, three-valued: true, false, or NULL for unknown.

Fields and values are parameters; nothing a person wrote stands in the text. A comparison is decided by the
field's described type, and where nothing describes it by what it is compared with. Where a key of the map is
missing the field is not known, and so is the comparison; a null is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from cdc.answer.condition import Comparison, Day, Node, Not, Text, Value, comparisons, days_from
from cdc.answer.fields import Field, Fields
from cdc.change.ids import to_18
from cdc.errors import BadArgument

NUMBERS = frozenset({"double", "currency", "percent", "int", "integer", "long"})
IDS = frozenset({"id", "reference"})
FIELDS, STATUS, RECORD_ID = "fields", "status", "record_id"
"""Columns of the rows a condition is asked of."""

_RECORD = "Id"
_DELETED = "IsDeleted"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A SQL expression and the parameters it names."""

    sql: str
    parameters: Mapping[str, Any]


def compile_condition(node: Node, fields: Fields, today: date) -> Compiled:
    """SQL of a condition, NULL where it is unknown.

    Deleted records meet no condition, unless it speaks of IsDeleted: as queries have it. Errors: BadArgument
    for a field the entity has not got, or a value that does not go with its type.
    """
    compiler = _Compiler(fields, today)
    sql = compiler.node(node)
    if not any(c.field.lower() == _DELETED.lower() for c in comparisons(node)):
        sql = f"(NOT {_IS_DELETED} AND {sql})"
    return Compiled(sql, compiler.parameters)


_IS_DELETED = f"(CASE {STATUS} WHEN 'deleted' THEN true WHEN 'present' THEN false END)"


@dataclass(slots=True)
class _Compiler:
    fields: Fields
    today: date
    parameters: dict[str, Any] = field(default_factory=dict)

    def node(self, node: Node) -> str:
        if isinstance(node, Comparison):
            return self._comparison(node)
        if isinstance(node, Not):
            return f"(NOT {self.node(node.inner)})"
        return "(" + f" {node.word.upper()} ".join(self.node(part) for part in node.parts) + ")"

    def _comparison(self, comparison: Comparison) -> str:
        if comparison.field.lower() == _RECORD.lower():
            known, text, named = "true", RECORD_ID, Field(_RECORD, _RECORD, "id")
        elif comparison.field.lower() == _DELETED.lower():
            known, text = f"{_IS_DELETED} IS NOT NULL", f"{_IS_DELETED}::VARCHAR"
            named = Field(_DELETED, _DELETED, "boolean")
        else:
            named = self.fields.named(comparison.field)
            path = self._given(named.path)
            known, text = f"map_contains({FIELDS}, {path})", f"{FIELDS}[{path}]"
        values = [self._one(named, comparison.operator, value, text) for value in comparison.values]
        met = "(" + " OR ".join(values) + ")"
        if comparison.negated:
            met = f"(NOT {met})"
        return f"(CASE WHEN {known} THEN {met} END)"

    def _one(self, named: Field, operator: str, value: Value, text: str) -> str:
        """A comparison with one value; never NULL: a null is unequal to every value, and in no order with it."""
        if value is None:
            return f"({text} IS NULL)"
        if operator in ("like", "includes"):
            return self._of_text(named, operator, value, text)
        operator = "=" if operator == "in" else operator
        return f"coalesce({self._rule(named, value)(named, operator, value, text)}, false)"

    def _rule(self, named: Field, value: Value) -> Callable[[Field, str, Any, str], str]:
        if named.type in NUMBERS or (not named.type and _is_number(value)):
            return self._number
        if named.type == "boolean" or (not named.type and isinstance(value, bool)):
            return self._boolean
        if named.type in ("date", "datetime") or (not named.type and isinstance(value, date | Day)):
            return self._moment
        return self._id if named.type in IDS else self._text

    def _number(self, named: Field, operator: str, value: Value, text: str) -> str:
        if not _is_number(value):
            raise _unfit(named, "a number, like 1000 or 12.5")
        return f"TRY_CAST({text} AS DOUBLE) {operator} {self._given(value)}::DOUBLE"

    def _boolean(self, named: Field, operator: str, value: Value, text: str) -> str:
        if not isinstance(value, bool) or operator != "=":
            raise _unfit(named, "= true or = false")
        return f"lower({text}) = {self._given('true' if value else 'false')}"

    def _moment(self, named: Field, operator: str, value: Value, text: str) -> str:
        """A day is compared as the whole of it, from its first moment to the one behind it."""
        if isinstance(value, datetime):
            if named.type == "date":
                raise _unfit(named, "a date, like 2026-11-23")
            return f"TRY_CAST({text} AS TIMESTAMP) {operator} {self._given(value)}::TIMESTAMP"
        if isinstance(value, Day):
            first, behind = days_from(self.today, value)
        elif isinstance(value, date):
            first = datetime.combine(value, datetime.min.time())
            behind = first + timedelta(days=1) if value < date.max else datetime.max
        else:
            raise _unfit(named, "a date, like 2026-11-23, or a date-time, like 2026-11-23T10:02:00Z")
        moment = f"TRY_CAST({text} AS TIMESTAMP)"
        if operator == "=":
            return f"({moment} >= {self._given(first)}::TIMESTAMP AND {moment} < {self._given(behind)}::TIMESTAMP)"
        bound = self._given(first if operator in ("<", ">=") else behind)
        return f"{moment} {'<' if operator in ('<', '<=') else '>='} {bound}::TIMESTAMP"

    def _id(self, named: Field, operator: str, value: Value, text: str) -> str:
        if not isinstance(value, Text):
            raise _unfit(named, "an id in single quotes")
        try:
            wanted = to_18(value.value)
        except ValueError as error:
            raise _unfit(named, "an id of 15 or 18 characters in single quotes") from error
        return f"{text} {operator} {self._given(wanted)}"

    def _text(self, named: Field, operator: str, value: Value, text: str) -> str:
        if not isinstance(value, Text):
            raise _unfit(named, "a text in single quotes")
        return f"lower({text}) {operator} lower({self._given(value.value)})"

    def _of_text(self, named: Field, operator: str, value: Value, text: str) -> str:
        if not isinstance(value, Text) or named.type in NUMBERS | {"boolean", "date", "datetime"}:
            raise _unfit(named, "=, <, > or IN" if isinstance(value, Text) else "a text in single quotes")
        if operator == "like":
            return f"coalesce({text} ILIKE {self._given(value.pattern)} ESCAPE '\\', false)"
        wanted = [part.strip().lower() for part in value.value.split(";")]
        return f"coalesce(list_has_all(string_split(lower({text}), ';'), {self._given(wanted)}::VARCHAR[]), false)"

    def _given(self, value: Any) -> str:
        name = f"w{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def _is_number(value: Value) -> bool:
    return isinstance(value, float) and not isinstance(value, bool)


def _unfit(named: Field, wanted: str) -> BadArgument:
    kind = f" is of type {named.type}" if named.type else ""
    return BadArgument(
        f"{named.name}{kind} and is compared with {wanted}", where=named.name, do="change the condition"
    )
