"""A condition on a record's fields, in the org's own terms: `StageName = 'Closed Won' AND Amount > 1000`.

As SOQL has it: AND, OR, NOT and parentheses; `= != <> < <= > >=`, `LIKE` with % and _, `IN`, `NOT IN`,
`INCLUDES` and `EXCLUDES` for multi-select picklists, `= null`; texts in single quotes with backslash escapes, in
any letter case; dates, date-times and the words TODAY, YESTERDAY, TOMORROW, LAST_N_DAYS:n, NEXT_N_DAYS:n. A day
compared with a date-time is the whole day, in UTC. A null is unequal to every value, and neither less nor greater.

What a person writes never becomes SQL: it is parsed here into a tree, and the tree into SQL of our own in which
fields and values are parameters. A condition on a field that is not known is unknown: neither true nor false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cdc.answer.times import utc
from cdc.errors import BadArgument

CHARACTERS_MAX = 20_000
DEPTH_MAX = 40
COMPARISONS_MAX = 200
LIST_MAX = 1_000
DAYS_MAX = 100_000

Literal = str | float | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Text:
    """A text as written, escapes and all: LIKE reads them otherwise than `=`."""

    raw: str

    @property
    def value(self) -> str:
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), self.raw, flags=re.DOTALL)

    @property
    def pattern(self) -> str:
        """For LIKE with a backslash as its escape."""

        def kept(m: re.Match[str]) -> str:
            return m[0] if m[1] in "%_\\" else _ESCAPES.get(m[1], m[1])

        return re.sub(r"\\(.)", kept, self.raw, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Day:
    """One day, or a run of days from today: `days` long, beginning `start` days from today."""

    start: int
    days: int = 1


Value = Text | float | bool | date | datetime | Day | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operator` in lower case: = != < <= > >= like in includes."""

    field: str
    operator: str
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class Many:
    """All of the parts (`and`), or any of them (`or`)."""

    word: str
    parts: tuple[Node, ...]


Node = Comparison | Not | Many

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_DAYS: dict[str, Callable[[int], Day]] = {
    "today": lambda _: Day(0),
    "yesterday": lambda _: Day(-1),
    "tomorrow": lambda _: Day(1),
    "last_n_days": lambda n: Day(-n, n + 1),
    "next_n_days": lambda n: Day(1, n),
}
_WORDS = frozenset({"and", "or", "not", "in", "like", "includes", "excludes", "is", "null", "true", "false"})
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*')
    | (?P<time>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?)
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<days>[A-Za-z_]+:\d+)
    | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
    | (?P<operator><=|>=|<>|!=|=|<|>)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_DO = "write it like StageName = 'Closed Won' AND (Amount > 1000 OR CloseDate = null)"


def parse_condition(text: str) -> Node:
    """The tree of a condition. Errors: BadArgument that says what is wrong, and at which character."""
    if len(text) > CHARACTERS_MAX:
        raise BadArgument(f"a condition has at most {CHARACTERS_MAX} characters, not {len(text)}", do=_DO)
    return _Parser(text).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = 0
        self._comparisons = 0

    def whole(self) -> Node:
        node = self._any(0)
        if self._peek().kind != "end":
            raise self._wrong("AND, OR or the end was expected")
        return node

    def _any(self, depth: int) -> Node:
        return self._joined("or", lambda: self._joined("and", lambda: self._one(depth)))

    def _joined(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Many(word, tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise BadArgument(f"a condition is nested at most {DEPTH_MAX} deep", do=_DO)
        if self._takes("not"):
            return Not(self._one(depth + 1))
        if self._takes("("):
            node = self._any(depth + 1)
            self._expect(")")
            return node
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > COMPARISONS_MAX:
            raise BadArgument(f"a condition has at most {COMPARISONS_MAX} comparisons", do=_DO)
        token = self._peek()
        if token.kind != "name" or token.text.lower() in _WORDS:
            raise self._wrong("the name of a field was expected")
        self._next += 1
        name = token.text
        if self._peek().kind == "operator":
            operator = self._take().text.replace("<>", "!=")
            return self._against(name, operator, self._value())
        if self._takes("is"):
            negated = self._takes("not")
            self._expect("null")
            return Comparison(name, "=", (None,), negated)
        negated = self._takes("not")
        if self._takes("like"):
            value = self._value()
            if not isinstance(value, Text):
                raise self._wrong("LIKE takes a text in single quotes")
            return Comparison(name, "like", (value,), negated)
        if self._takes("in"):
            return Comparison(name, "in", self._list(), negated)
        if not negated and self._takes("includes"):
            return Comparison(name, "includes", self._list())
        if not negated and self._takes("excludes"):
            return Comparison(name, "includes", self._list(), negated=True)
        raise self._wrong("a comparison was expected (=, !=, <, >, LIKE, IN, NOT IN, INCLUDES)")

    def _against(self, name: str, operator: str, value: Value) -> Comparison:
        if operator == "!=":
            return Comparison(name, "=", (value,), negated=True)
        if operator != "=" and (value is None or isinstance(value, bool)):
            raise self._wrong(f"{'null' if value is None else 'true and false'} goes with = and != only")
        return Comparison(name, operator, (value,))

    def _list(self) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
            if len(values) > LIST_MAX:
                raise BadArgument(f"a list has at most {LIST_MAX} values", do=_DO)
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._take()
        word = token.text.lower()
        if token.kind == "text":
            return Text(token.text[1:-1])
        if token.kind == "number":
            return float(token.text)
        if token.kind == "time":
            return self._time(token)
        if token.kind == "days" and word.partition(":")[0] in ("last_n_days", "next_n_days"):
            days = int(word.partition(":")[2][:9])
            if not 1 <= days <= DAYS_MAX:
                raise BadArgument(f"{token.text} has 1 to {DAYS_MAX} days", do=_DO)
            return _DAYS[word.partition(":")[0]](days)
        if word in ("today", "yesterday", "tomorrow"):
            return _DAYS[word](0)
        if word in ("true", "false", "null"):
            return None if word == "null" else word == "true"
        self._next -= 1
        raise self._wrong(
            "a value was expected: a text in single quotes, a number, a date, true, false or null"
        )

    def _time(self, token: _Token) -> date | datetime:
        try:
            return (
                utc(datetime.fromisoformat(token.text))
                if "T" in token.text
                else date.fromisoformat(token.text)
            )
        except (ValueError, OverflowError) as error:
            raise BadArgument("this is not a date", where=token.text, do=_DO) from error

    # -- tokens

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                shown = self._text[at : at + 20].strip()
                what = (
                    "a text has no closing quote"
                    if shown.startswith("'")
                    else "this cannot be in a condition"
                )
                raise BadArgument(f"{what} (character {at + 1}: {shown!r})", do=_DO)
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        tokens.append(_Token("end", "the end", len(self._text)))
        return tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _takes(self, word: str) -> bool:
        token = self._peek()
        if token.kind in ("name", "mark") and token.text.lower() == word:
            self._next += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise self._wrong(f"{word.upper()} was expected")

    def _wrong(self, what: str) -> BadArgument:
        token = self._peek()
        return BadArgument(f"{what}, not {token.text[:40]} (character {token.at + 1})", do=_DO)


def comparisons(node: Node) -> Sequence[Comparison]:
    """Every comparison of a condition, from left to right."""
    if isinstance(node, Comparison):
        return [node]
    if isinstance(node, Not):
        return comparisons(node.inner)
    return [c for part in node.parts for c in comparisons(part)]


def days_from(today: date, days: Day) -> tuple[datetime, datetime]:
    """The first moment of a run of days, and the first behind it. Errors: BadArgument beyond the calendar."""
    try:
        first = datetime.combine(today + timedelta(days=days.start), datetime.min.time())
        return first, first + timedelta(days=days.days)
    except OverflowError as error:
        raise BadArgument("this lies beyond the calendar", do=_DO) from error
