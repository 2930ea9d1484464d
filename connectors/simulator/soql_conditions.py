"""The conditions of SOQL as functions of a record: comparing values as Salesforce does, whatever the case.

A condition is compiled against an entity (`Resolve` looks its fields up) and an instant (`TODAY`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError

Getter = Callable[[Any], Any]
"""record -> Python value of a field, None for null."""


class Resolved(NamedTuple):
    """A field name looked up: its describe type, and how to read it from a record."""

    name: str
    described: str
    get: Getter


Resolve = Callable[[str], Resolved]
Condition = Callable[[Any], bool]

Literal = tuple[str, str]
"""Kind of token and its text."""

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}

_TEXT_TYPES = frozenset(
    {"string", "picklist", "multipicklist", "textarea", "email", "url", "phone", "encryptedstring"}
)
_ID_TYPES = frozenset({"id", "reference"})
_NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})


def datetime_ms(text: str) -> int:
    """`2026-11-23T10:02:00.000+0000` or `…Z` as epoch ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def date_ms(text: str) -> int:
    """`2026-11-23` as epoch ms of its midnight in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def malformed(token: str) -> OrgError:
    """The error of a query that cannot be read at this token."""
    return OrgError("MALFORMED_QUERY", f"unexpected token: '{token}'")


def all_of(terms: list[Callable[[Resolve, int], Condition]]) -> Callable[[Resolve, int], Condition]:
    """Every term holds."""

    def compiled(resolve: Resolve, now: int) -> Condition:
        conditions = [term(resolve, now) for term in terms]
        return lambda record: all(condition(record) for condition in conditions)

    return compiled


def any_of(terms: list[Callable[[Resolve, int], Condition]]) -> Callable[[Resolve, int], Condition]:
    """One of the terms holds."""

    def compiled(resolve: Resolve, now: int) -> Condition:
        conditions = [term(resolve, now) for term in terms]
        return lambda record: any(condition(record) for condition in conditions)

    return compiled


def negated(condition: Condition) -> Condition:
    """The condition does not hold."""
    return lambda record: not condition(record)


def is_in(field: Resolved, literals: tuple[tuple[str, str], ...], now: int) -> Condition:
    """The value is one of these."""
    values = {comparable(field, _value(field, literal, now)) for literal in literals}
    get = field.get
    return lambda record: comparable(field, get(record)) in values


def in_rows(resolve: Resolve, field: str, inner: Any, *, excluded: bool) -> Condition:
    """Whether a field's value is among those another query selects; only who can run queries can tell."""
    select = getattr(resolve, "selected", None)
    if select is None:
        raise malformed("SELECT")
    resolved = resolve(field)
    values = {comparable(resolved, value) for value in select(inner)}
    get = resolved.get
    return lambda record: (comparable(resolved, get(record)) in values) != excluded


def includes(field: Resolved, literals: tuple[tuple[str, str], ...], *, includes: bool) -> Condition:
    """Whether a set of values has one of these, or all of several that are joined by semicolons."""
    if field.described != "multipicklist":
        raise OrgError("INVALID_FIELD", f"invalid operator on field '{field.name}'")
    wanted = [set(unquoted(text).split(";")) for _, text in literals]
    get = field.get

    def condition(record: Any) -> bool:
        have = set((get(record) or "").split(";"))
        return any(some <= have for some in wanted) == includes

    return condition


def like(field: Resolved, literal: tuple[str, str]) -> Condition:
    """The text matches a pattern of % and _."""
    kind, text = literal
    if kind != "string":
        raise malformed(text)
    if field.described not in _TEXT_TYPES:
        raise OrgError("INVALID_FIELD", f"invalid operator on field '{field.name}'")
    pattern = "".join(
        ".*" if char == "%" else "." if char == "_" else re.escape(char) for char in unquoted(text)
    )
    matches = re.compile(pattern, re.IGNORECASE | re.DOTALL).fullmatch
    get = field.get
    return lambda record: (value := get(record)) is not None and matches(str(value)) is not None


def compare(field: Resolved, sign: str, literal: tuple[str, str], now: int) -> Condition:
    """The value compares with a literal."""
    get = field.get
    if literal[0] == "name" and (span := _span(literal[1], now)) is not None:
        return _compare_span(get, sign, *span)
    value = comparable(field, _value(field, literal, now))
    if value is None:
        if sign not in ("=", "!="):
            raise OrgError("MALFORMED_QUERY", f"null cannot be compared with '{sign}'")
        return lambda record: (comparable(field, get(record)) is None) == (sign == "=")
    compare = COMPARE[sign]

    def condition(record: Any) -> bool:
        have = comparable(field, get(record))
        return sign == "!=" if have is None else compare(have, value)

    return condition


def _compare_span(get: Getter, sign: str, start: int, end: int) -> Condition:
    """Against a day or days such as TODAY, LAST_N_DAYS:7."""

    def condition(record: Any) -> bool:
        have = get(record)
        if have is None:
            return sign == "!="
        inside = start <= have < end
        holds: dict[str, bool] = {
            "=": inside,
            "!=": not inside,
            "<": have < start,
            "<=": have < end,
            ">": have >= end,
            ">=": have >= start,
        }
        return holds[sign]

    return condition


def _span(word: str, now: int) -> tuple[int, int] | None:
    today = now - now % DAY_MS
    name, _, count = word.upper().partition(":")
    if name == "TODAY":
        return today, today + DAY_MS
    if name == "YESTERDAY":
        return today - DAY_MS, today
    if name == "TOMORROW":
        return today + DAY_MS, today + 2 * DAY_MS
    if name == "LAST_N_DAYS" and count:
        return today - int(count) * DAY_MS, today + DAY_MS
    if name == "NEXT_N_DAYS" and count:
        return today + DAY_MS, today + (int(count) + 1) * DAY_MS
    return None


def _value(field: Resolved, literal: tuple[str, str], now: int) -> Any:
    """A literal as a Python value of the field's kind; raises as Salesforce does on a wrong kind."""
    kind, text = literal
    described = field.described
    if kind == "name":
        word = text.lower()
        if word == "null":
            return False if described == "boolean" else None
        if word in ("true", "false") and described == "boolean":
            return word == "true"
        raise OrgError(
            "INVALID_FIELD", f"value of filter criterion for field '{field.name}' is not usable: {text}"
        )
    if kind == "string" and (described in _TEXT_TYPES or described in _ID_TYPES):
        return unquoted(text)
    if kind == "number" and described in _NUMBER_TYPES:
        return float(text)
    if kind == "datetime" and described == "datetime":
        return datetime_ms(text)
    if kind == "date" and described == "date":
        return date_ms(text)
    raise OrgError(
        "INVALID_FIELD",
        f"value of filter criterion for field '{field.name}' must be of type {described}"
        + (" and should not be enclosed in quotes" if kind == "string" else ""),
    )


def comparable(field: Resolved, value: Any) -> Any:
    """Text compares without case, ids by their first 15 characters, an absent boolean is false."""
    if value is None:
        return False if field.described == "boolean" else None
    if field.described in _ID_TYPES:
        return value[:15]
    return value.casefold() if isinstance(value, str) else value


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def unquoted(text: str) -> str:
    """A string literal as its text."""
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)
