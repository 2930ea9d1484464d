"""The SOQL the org understands: parsing, and conditions as functions of a record.

    SELECT fields | FIELDS(ALL|STANDARD|CUSTOM) | COUNT() FROM Entity
    [WHERE = != <> < <= > >= LIKE IN NOT-IN, AND OR NOT, parentheses] [ORDER BY f [ASC|DESC] [NULLS …], …]
    [LIMIT n] [OFFSET n]

Errors are OrgError MALFORMED_QUERY, and INVALID_FIELD from whoever resolves the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError

R = TypeVar("R")
Getter = Callable[[Any], Any]
"""record -> Python value of a field, None for null."""


class Resolved(NamedTuple):
    """A field name looked up: its describe type, and how to read it from a record."""

    name: str
    described: str
    get: Getter


Resolve = Callable[[str], Resolved]
Condition = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:\\.|[^'\\])*')
  | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*(?::\d+)?)
  | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `where` compiles against an entity; None: every record."""

    fields: tuple[str, ...]  # as written; ("COUNT()",) for a count
    entity: str
    where: Callable[[Resolve, int], Condition] | None
    order_by: tuple[tuple[str, bool, bool], ...]  # field, descending, nulls last
    limit: int | None
    offset: int
    ids: tuple[str, ...] | None = None  # the records named by `Id =` or `Id IN`, where nothing else can hold

    @property
    def counts(self) -> bool:
        return self.fields == ("COUNT()",)


def parse_query(text: str) -> Query:
    """Parse one query; raises OrgError MALFORMED_QUERY."""
    return _Parser(text).query()


def parse_condition(text: str) -> Callable[[Resolve, int], Condition]:
    """Parse a condition alone, as a channel member's filter has it."""
    parser = _Parser(text)
    where = parser.condition()
    parser.end()
    return where


def datetime_ms(text: str) -> int:
    """`2026-11-23T10:02:00.000+0000` or `…Z` as epoch ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def date_ms(text: str) -> int:
    """`2026-11-23` as epoch ms of its midnight in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0  # inside parentheses or NOT
        self._ids: tuple[str, ...] | None = None

    def query(self) -> Query:
        self._expect("SELECT")
        fields = self._select()
        self._expect("FROM")
        entity = self._name()
        where = self.condition() if self._accept("WHERE") else None
        order_by: list[tuple[str, bool, bool]] = []
        if self._accept("ORDER"):
            self._expect("BY")
            order_by.append(self._order())
            while self._accept(","):
                order_by.append(self._order())
        limit = self._whole() if self._accept("LIMIT") else None
        offset = self._whole() if self._accept("OFFSET") else 0
        self.end()
        return Query(fields, entity, where, tuple(order_by), limit, offset, self._ids)

    def condition(self) -> Callable[[Resolve, int], Condition]:
        left = self._term()
        word = self._peek().upper()

        if word not in ("AND", "OR"):
            return left
        terms = [left]
        while self._accept(word):
            terms.append(self._term())
        if word == "OR" and not self._depth:
            self._ids = None
        if self._peek().upper() in ("AND", "OR"):
            raise _malformed(self._peek())  # AND and OR do not mix without parentheses
        return _all_of(terms) if word == "AND" else _any_of(terms)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise _malformed(self._peek())

    def _select(self) -> tuple[str, ...]:
        fields = []
        while True:
            name = self._name()
            if self._accept("("):
                inner = "" if self._peek() == ")" else self._name()
                self._expect(")")
                name = f"{name.upper()}({inner.upper() if name.upper() == 'FIELDS' else inner})"
            fields.append(name)
            if not self._accept(","):
                return tuple(fields)

    def _order(self) -> tuple[str, bool, bool]:
        name = self._name()
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        last = descending
        if self._accept("NULLS"):
            last = self._accept("LAST")
            if not last:
                self._expect("FIRST")
        return name, descending, last

    def _term(self) -> Callable[[Resolve, int], Condition]:
        if self._accept("NOT"):
            self._depth += 1
            inner = self._term()
            self._depth -= 1
            return lambda resolve, now: _negated(inner(resolve, now))
        if self._accept("("):
            self._depth += 1
            inside = self.condition()
            self._depth -= 1
            self._expect(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Callable[[Resolve, int], Condition]:
        field = self._name()
        sign = self._next()
        upper = sign.upper()
        if upper == "NOT":
            self._expect("IN")
            values = self._list()
            return lambda resolve, now: _negated(_in(resolve(field), values, now))
        if upper == "IN":
            values = self._list()
            self._note_ids(field, values)
            return lambda resolve, now: _in(resolve(field), values, now)
        if upper == "LIKE":
            pattern = self._literal()
            return lambda resolve, now: _like(resolve(field), pattern)
        if sign not in _COMPARE and sign != "<>":
            raise _malformed(sign)
        value = self._literal()
        if sign == "=":
            self._note_ids(field, (value,))
        return lambda resolve, now: _compare(resolve(field), "!=" if sign == "<>" else sign, value, now)

    def _note_ids(self, field: str, values: tuple[tuple[str, str], ...]) -> None:
        if field.lower() == "id" and not self._depth and all(kind == "string" for kind, _ in values):
            self._ids = tuple(_unquoted(text) for _, text in values)

    def _list(self) -> tuple[tuple[str, str], ...]:
        self._expect("(")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _malformed("<EOF>")
        kind, text = self._tokens[self._at]
        if kind == "sign":
            raise _malformed(text)
        self._at += 1
        return kind, text

    def _name(self) -> str:
        if self._at >= len(self._tokens):
            raise _malformed("<EOF>")
        kind, text = self._tokens[self._at]
        if kind != "name" or text.upper() in _RESERVED:
            raise _malformed(text)
        self._at += 1
        return text

    def _whole(self) -> int:
        kind, text = self._literal()
        if kind != "number" or not text.isdigit():
            raise _malformed(text)
        return int(text)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else "<EOF>"

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _accept(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._peek().upper() == word:
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise _malformed(self._peek())


_RESERVED = frozenset({"SELECT", "FROM", "WHERE", "ORDER", "LIMIT", "OFFSET", "AND", "OR", "NOT"})

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
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


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _malformed(text[at : at + 10].strip())
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def _malformed(token: str) -> OrgError:
    return OrgError("MALFORMED_QUERY", f"unexpected token: '{token}'")


def _all_of(terms: list[Callable[[Resolve, int], Condition]]) -> Callable[[Resolve, int], Condition]:
    def compiled(resolve: Resolve, now: int) -> Condition:
        conditions = [term(resolve, now) for term in terms]
        return lambda record: all(condition(record) for condition in conditions)

    return compiled


def _any_of(terms: list[Callable[[Resolve, int], Condition]]) -> Callable[[Resolve, int], Condition]:
    def compiled(resolve: Resolve, now: int) -> Condition:
        conditions = [term(resolve, now) for term in terms]
        return lambda record: any(condition(record) for condition in conditions)

    return compiled


def _negated(condition: Condition) -> Condition:
    return lambda record: not condition(record)


def _in(field: Resolved, literals: tuple[tuple[str, str], ...], now: int) -> Condition:
    values = {comparable(field, _value(field, literal, now)) for literal in literals}
    get = field.get
    return lambda record: comparable(field, get(record)) in values


def _like(field: Resolved, literal: tuple[str, str]) -> Condition:
    kind, text = literal
    if kind != "string":
        raise _malformed(text)
    if field.described not in _TEXT_TYPES:
        raise OrgError("INVALID_FIELD", f"invalid operator on field '{field.name}'")
    pattern = "".join(
        ".*" if char == "%" else "." if char == "_" else re.escape(char) for char in _unquoted(text)
    )
    matches = re.compile(pattern, re.IGNORECASE | re.DOTALL).fullmatch
    get = field.get
    return lambda record: (value := get(record)) is not None and matches(str(value)) is not None


def _compare(field: Resolved, sign: str, literal: tuple[str, str], now: int) -> Condition:
    get = field.get
    if literal[0] == "name" and (span := _span(literal[1], now)) is not None:
        return _compare_span(get, sign, *span)
    value = comparable(field, _value(field, literal, now))
    if value is None:
        if sign not in ("=", "!="):
            raise OrgError("MALFORMED_QUERY", f"null cannot be compared with '{sign}'")
        return lambda record: (comparable(field, get(record)) is None) == (sign == "=")
    compare = _COMPARE[sign]

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
        return _unquoted(text)
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


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)
