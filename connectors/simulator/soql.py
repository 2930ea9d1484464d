"""The SOQL the org understands, parsed; what its conditions mean is in `soql_conditions.py`.

    SELECT fields | FIELDS(ALL|STANDARD|CUSTOM) | COUNT() | COUNT(f) alias | CALENDAR_MONTH(f) | toLabel(f) | FORMAT(f)
        | TYPEOF Owner WHEN User THEN f, … ELSE f END | (SELECT … FROM Children) FROM Entity
    [WHERE = != <> < <= > >= LIKE IN NOT-IN (values | SELECT …) INCLUDES EXCLUDES, AND OR NOT, parentheses]
    [GROUP BY f, …] [HAVING …] [ORDER BY f [ASC|DESC] [NULLS …], …] [LIMIT n] [OFFSET n] [ALL ROWS] [FOR VIEW …]

Errors are OrgError MALFORMED_QUERY, and INVALID_FIELD from whoever resolves the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from connectors.simulator.soql_conditions import (
    COMPARE,
    Condition,
    Resolve,
    all_of,
    any_of,
    compare,
    in_rows,
    includes,
    is_in,
    like,
    malformed,
    negated,
    unquoted,
)

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
class TypeOf:
    """`TYPEOF Owner WHEN User THEN Name ELSE Id END`: fields by what a reference points at."""

    relationship: str
    by_entity: tuple[tuple[str, tuple[str, ...]], ...]
    otherwise: tuple[str, ...]


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
    aliases: tuple[str, ...] = ()  # one a field, "" where it has none
    children: tuple[Query, ...] = ()  # subqueries; their entity is the name of a relationship
    group_by: tuple[str, ...] = ()
    having: Callable[[Resolve, int], Condition] | None = None
    types: tuple[TypeOf, ...] = ()

    @property
    def counts(self) -> bool:
        return self.fields == ("COUNT()",)

    @property
    def aggregates(self) -> bool:
        """Whether rows are groups of records."""
        return bool(self.group_by) or any(is_aggregate(name) for name in self.fields)


AGGREGATES = ("COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG")


def is_aggregate(name: str) -> bool:
    """`COUNT(Id)`; COUNT() alone counts rows and is none."""
    return "(" in name and name.partition("(")[0] in AGGREGATES and not name.endswith("()")


def parse_query(text: str) -> Query:
    """Parse one query; raises OrgError MALFORMED_QUERY."""
    return _Parser(text).query()


def parse_condition(text: str) -> Callable[[Resolve, int], Condition]:
    """Parse a condition alone, as a channel member's filter has it."""
    parser = _Parser(text)
    where = parser.condition()
    parser.end()
    return where


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0  # inside parentheses or NOT
        self._ids: tuple[str, ...] | None = None

    def query(self) -> Query:
        made = self._query()
        if self._accept("ALL"):
            self._expect("ROWS")
        while self._accept("FOR"):
            self._name()
        self.end()
        return made

    def _query(self) -> Query:
        self._expect("SELECT")
        fields, aliases, children, types = self._select()
        self._expect("FROM")
        entity = self._entity()
        if self._is_alias():
            self._next()
        where = self.condition() if self._accept("WHERE") else None
        ids = self._ids
        group_by: list[str] = []
        having = None
        if self._accept("GROUP"):
            self._expect("BY")
            group_by.append(self._field())
            while self._accept(","):
                group_by.append(self._field())
            if self._accept("HAVING"):
                having = self.condition()
        order_by: list[tuple[str, bool, bool]] = []
        if self._accept("ORDER"):
            self._expect("BY")
            order_by.append(self._order())
            while self._accept(","):
                order_by.append(self._order())
        limit = self._whole() if self._accept("LIMIT") else None
        offset = self._whole() if self._accept("OFFSET") else 0
        return Query(
            fields, entity, where, tuple(order_by), limit, offset, ids, aliases, children, tuple(group_by), having,
            types,
        )  # fmt: skip

    def _inside(self) -> Query:
        """A query in parentheses, whose opening one has been read."""
        outer, self._ids = (self._ids, self._depth), None
        self._depth = 0
        made = self._query()
        self._ids, self._depth = outer
        self._expect(")")
        return made

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
            raise malformed(self._peek())  # AND and OR do not mix without parentheses
        return all_of(terms) if word == "AND" else any_of(terms)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise malformed(self._peek())

    def _select(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Query, ...], tuple[TypeOf, ...]]:
        fields: list[str] = []
        aliases: list[str] = []
        children: list[Query] = []
        types: list[TypeOf] = []
        while True:
            if self._accept("("):
                children.append(self._inside())
            elif self._accept("TYPEOF"):
                types.append(self._type_of())
            else:
                fields.append(self._field())
                aliases.append(self._name() if self._is_alias() else "")
            if not self._accept(","):
                return tuple(fields), tuple(aliases), tuple(children), tuple(types)

    def _type_of(self) -> TypeOf:
        relationship = self._name()
        by_entity: list[tuple[str, tuple[str, ...]]] = []
        while self._accept("WHEN"):
            entity = self._entity()
            self._expect("THEN")
            by_entity.append((entity, self._names()))
        otherwise = self._names() if self._accept("ELSE") else ()
        self._expect("END")
        if not by_entity:
            raise malformed("END")
        return TypeOf(relationship, tuple(by_entity), otherwise)

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._accept(","):
            names.append(self._name())
        return tuple(names)

    def _field(self) -> str:
        """A field, or a function of one: `COUNT(Id)`, `FIELDS(ALL)`."""
        name = self._name()
        if not self._accept("("):
            return name
        if name.upper() == "FIELDS":
            inner = self._next().upper()
            self._expect(")")
            return f"FIELDS({inner})"
        inner = "" if self._peek() == ")" else self._field()
        self._expect(")")
        return f"{name.upper()}({inner})"

    def _is_alias(self) -> bool:
        if self._at >= len(self._tokens):
            return False
        kind, text = self._tokens[self._at]
        return kind == "name" and text.upper() not in _RESERVED

    def _order(self) -> tuple[str, bool, bool]:
        name = self._field()
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
            return lambda resolve, now: negated(inner(resolve, now))
        if self._accept("("):
            self._depth += 1
            inside = self.condition()
            self._depth -= 1
            self._expect(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Callable[[Resolve, int], Condition]:
        field = self._field()
        sign = self._next()
        upper = sign.upper()
        if upper in ("NOT", "IN"):
            return self._membership(field, excluded=upper == "NOT")
        if upper in ("INCLUDES", "EXCLUDES"):
            values = self._list()
            wanted = upper == "INCLUDES"
            return lambda resolve, now: includes(resolve(field), values, includes=wanted)
        if upper == "LIKE":
            pattern = self._literal()
            return lambda resolve, now: like(resolve(field), pattern)
        if sign not in COMPARE and sign != "<>":
            raise malformed(sign)
        value = self._literal()
        if sign == "=":
            self._note_ids(field, (value,))
        return lambda resolve, now: compare(resolve(field), "!=" if sign == "<>" else sign, value, now)

    def _membership(self, field: str, *, excluded: bool) -> Callable[[Resolve, int], Condition]:
        if excluded:
            self._expect("IN")
        if self._at + 1 < len(self._tokens) and self._tokens[self._at + 1][1].upper() == "SELECT":
            self._expect("(")
            inner = self._inside()
            return lambda resolve, now: in_rows(resolve, field, inner, excluded=excluded)
        values = self._list()
        if excluded:
            return lambda resolve, now: negated(is_in(resolve(field), values, now))
        self._note_ids(field, values)
        return lambda resolve, now: is_in(resolve(field), values, now)

    def _note_ids(self, field: str, values: tuple[tuple[str, str], ...]) -> None:
        if field.lower() == "id" and not self._depth and all(kind == "string" for kind, _ in values):
            self._ids = tuple(unquoted(text) for _, text in values)

    def _list(self) -> tuple[tuple[str, str], ...]:
        self._expect("(")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise malformed("<EOF>")
        kind, text = self._tokens[self._at]
        if kind == "sign":
            raise malformed(text)
        self._at += 1
        return kind, text

    def _entity(self) -> str:
        """Behind FROM the word `Group` is an object's name."""
        if self._at < len(self._tokens) and self._tokens[self._at][1].upper() == "GROUP":
            self._at += 1
            return "Group"
        return self._name()

    def _name(self) -> str:
        if self._at >= len(self._tokens):
            raise malformed("<EOF>")
        kind, text = self._tokens[self._at]
        if kind != "name" or text.upper() in _RESERVED:
            raise malformed(text)
        self._at += 1
        return text

    def _whole(self) -> int:
        kind, text = self._literal()
        if kind != "number" or not text.isdigit():
            raise malformed(text)
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
            raise malformed(self._peek())


_RESERVED = frozenset(
    {
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "ALL",
        "FOR",
        "AND",
        "OR",
        "NOT",
    }
)


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise malformed(text[at : at + 10].strip())
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found
