"""One record of which nothing but order decides, folded where its rows are: no plan of a large statement is made.

The rule is sql/exact.sql and sql/history.sql; this is what is left of it where no stretch hides anything of the record,
no change concerns every record of its entity, it was not polled, nothing found it gone, and each full state that counts
was over before whatever does not count. `facts_of` says whether that is so, `Record.at` whether it is so of a moment;
where it is not, the rule itself is asked. Both are held against the model of the rule (test_answer_rule.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from cdc.answer.answers import dicts_of
from cdc.answer.definitions import sql
from cdc.answer.times import Moment
from cdc.change.order import READ_MARGIN_MS

ROWS_MAX: Final = 50_000
"""Field changes of one record that are folded one by one; more are left to the database."""

MARGIN: Final = timedelta(milliseconds=READ_MARGIN_MS)
FIELDS_NAMED_MAX: Final = 8
_FILL_KINDS: Final = ("CREATE", "UNDELETE")

Key = tuple[int, int, int]
"""A place in the order of folding (sql/fold_key.sql)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One field of one change."""

    name: str
    value: str | None
    known: bool
    change: Change


@dataclass(slots=True)
class Change:
    """One row of a record's changes, with what the rule makes of its kind."""

    row: Mapping[str, Any]
    said: list[Said] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return int(self.row["seq"])

    @property
    def kind(self) -> str:
        return str(self.row["kind"])

    @property
    def is_state(self) -> bool:
        return bool(self.row["fold_rank"])

    @property
    def since(self) -> datetime:
        since: datetime = self.row["effective_at"]
        return since

    @property
    def window_to(self) -> datetime:
        read_to: datetime = self.row["read_to"]
        return read_to + MARGIN

    @property
    def key(self) -> Key:
        return (self.row["fold_seq"], 2 if self.is_state else 0, self.seq)

    @property
    def place(self) -> int:
        """The key as SQL has it."""
        place, rank, seq = self.key
        return place * 10**18 + rank * 10**17 + seq

    @property
    def fills(self) -> bool:
        return self.is_state or self.kind in _FILL_KINDS

    @property
    def breaks(self) -> bool:
        return not self.is_state and self.kind.startswith("GAP_")

    @property
    def speaks(self) -> bool:
        """What it says of fields counts for a state."""
        return self.is_state or not (self.breaks or self.kind == "DELETE")

    @property
    def status(self) -> str:
        return "deleted" if self.kind in ("DELETE", "GAP_DELETE") else "present"

    def counts(self, when: Moment) -> bool:
        place = self.row["fold_seq"] if self.is_state else self.seq
        return (when.at is None or self.since <= when.at) and (when.cut is None or place < when.cut)


@dataclass(frozen=True, slots=True)
class Known:
    """A field at a moment: the change that named it last, whether its value is still known, and since when."""

    said: Said
    is_known: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Record:
    """The changes of one plain record in the order they fold."""

    record_id: str
    changes: Sequence[Change]
    passed_to: datetime | None

    def at(self, when: Moment) -> list[Change] | None:
        """The changes that count at a moment; None where the rule itself has to say."""
        counted = [c for c in self.changes if c.counts(when)]
        reached = max((c.window_to for c in counted if c.is_state), default=None)
        others = [c for c in self.changes if not c.counts(when)]
        if not counted or any(reached and not c.is_state and c.since <= reached for c in others):
            return None
        return counted


def plain_record(reader: Any, entity: str, record_id: str) -> Record | None:
    """The record, where nothing but order decides about it; None: ask the rule. Without changes: never seen."""
    asked = {"entity": entity, "id": record_id}
    facts = dicts_of(reader.execute(sql("plain_facts"), {"entity": entity}))[0]
    if facts["broad"] or facts["is_polled"] or (facts["stretches"] and _is_touched(reader, asked)):
        return None
    with _at_once(reader):
        rows = dicts_of(reader.execute(sql("plain_changes"), asked))
        if any(not _is_plain(row, facts["passed_to"]) for row in rows):
            return None
        fields = _fields(reader, asked, {row["segment"] is None for row in rows})
    if len(fields) > ROWS_MAX:
        return None
    changes = {row["seq"]: Change(row) for row in rows}
    if len(changes) < len(rows):
        return None
    for seq, name, value, known in fields:
        change = changes[seq]
        change.said.append(Said(name, value, known, change))
    return Record(record_id, sorted(changes.values(), key=lambda c: c.key), facts["passed_to"])


@contextmanager
def _at_once(reader: Any) -> Iterator[None]:
    """What is read in the block is of one moment: no row moves into a segment between two statements."""
    try:
        reader.execute("BEGIN TRANSACTION READ ONLY")
    except duckdb.TransactionException:  # the caller has one already
        yield
        return
    try:
        yield
    finally:
        reader.execute("ROLLBACK")


def _fields(reader: Any, asked: Mapping[str, Any], is_hot: set[bool]) -> list[tuple[Any, ...]]:
    """Its field changes, looked for only where it has changes: among the hot ones (true), or the sealed ones (false)."""
    limited = {**asked, "limit": ROWS_MAX + 1}
    return [
        row
        for hot in sorted(is_hot)
        for row in reader.execute(sql("plain_fields_hot" if hot else "plain_fields"), limited).fetchall()
    ]


def _is_touched(reader: Any, asked: Mapping[str, Any]) -> bool:
    """A stretch hides something of the record, or its channel stands still."""
    return bool(reader.execute(sql("plain_stretches"), asked).fetchone()[0])


def _is_plain(row: Mapping[str, Any], passed_to: datetime | None) -> bool:
    if row["fold_rank"] == 0:
        return True
    if row["fold_rank"] != 1 or row["source"] == "poll" or row["read_to"] is None:
        return False
    return passed_to is not None and passed_to >= row["read_to"] + MARGIN


def fields_at(counted: Sequence[Change]) -> dict[str, Known]:
    """Every field that something named, by name: exact.sql, of the changes that count."""
    named: dict[str, list[Said]] = defaultdict(list)
    for change in counted:
        for said in change.said if change.speaks else ():
            named[said.name].append(said)
    fills = [c.key for c in counted if c.fills]
    broken = max((c.key for c in counted if c.breaks), default=None)
    return {name: _known(named[name], fills, broken) for name in sorted(named)}


def _known(said: Sequence[Said], fills: Sequence[Key], broken: Key | None) -> Known:
    own = {s.change.key for s in said if s.change.fills}
    breaks = [
        *([broken] if broken else ()),
        *(s.change.key for s in said if not s.known),
        *([max(k for k in fills if k not in own)] if len(fills) > len(own) else ()),
    ]
    last = said[-1]
    behind = max(breaks, default=(-1, 0, 0))
    since = [s.change.since for s in said if s.known and s.change.key > behind]
    is_known = last.known and last.change.key > behind
    return Known(last, is_known, min(since) if is_known else None)


def states_at(record: Record, when: Moment) -> list[dict[str, Any]] | None:
    """The record's state as states.sql gives it, by column; none where it was never seen, None where the rule itself
    has to say."""
    if not record.changes:
        return []
    counted = record.at(when)
    return None if counted is None else [_state(record, counted, when)]


def _state(record: Record, counted: Sequence[Change], when: Moment) -> dict[str, Any]:
    fields = fields_at(counted)
    known = {name: f for name, f in fields.items() if f.is_known}
    unknown = [name for name, f in fields.items() if not f.is_known]
    broken = max((c.key for c in counted if c.breaks), default=(0, 0, 0))
    is_whole = max((c.key for c in counted if c.fills), default=(0, 0, 0)) > broken
    reason = "; ".join(_reasons(record, when, is_whole, unknown))
    since = [f.since for f in known.values() if f.since is not None]
    return {
        "record_id": record.record_id,
        "status": counted[-1].status,
        "fields": {name: f.said.value for name, f in known.items()},
        "unknown_fields": unknown,
        "last_change_seq": counted[-1].seq,
        "known_since": max([*since, min(c.since for c in counted)]),
        "inferred_since": None,
        "complete": not reason,
        "incomplete_reason": reason or None,
    }


def _reasons(record: Record, when: Moment, is_whole: bool, unknown: Sequence[str]) -> Iterator[str]:
    passed_to = record.passed_to
    if when.at is not None and (passed_to is None or passed_to < when.at + MARGIN):
        yield "the stream has not passed this time"
    if not is_whole:
        yield "not known in full: no full state since its first change or the last hole"
    if unknown:
        more = f" and {len(unknown) - FIELDS_NAMED_MAX} more" if len(unknown) > FIELDS_NAMED_MAX else ""
        yield f"unknown: {', '.join(unknown[:FIELDS_NAMED_MAX])}{more}"


def record_rows(counted: Sequence[Change]) -> list[tuple[Any, ...]]:
    """A row a field with the change that set it, as record_at.sql gives them."""
    rows = []
    for name, f in fields_at(counted).items():
        change = f.said.change
        row = change.row
        setter = (None,) * 3 if change.is_state else (change.since, row["user_id"], row["client"])
        rows.append((name, f.said.value if f.is_known else None, f.is_known, *setter, change.seq, False))
    return rows


def history_rows(record: Record, when: Moment) -> Iterator[dict[str, Any]]:
    """The changes up to a moment, each with its fields before and after, as history.sql gives them."""
    last_event: dict[str, Said] = {}
    states: dict[str, list[Said]] = defaultdict(list)
    last_silent: list[tuple[Key, frozenset[str]]] = []
    broken: Key = (-1, 0, 0)
    for change in record.changes:
        fields = [
            _before(said, last_event.get(said.name), states[said.name], broken, last_silent)
            for said in sorted(change.said, key=lambda s: s.name)
        ]
        if change.counts(when):
            shown = {name: change.row[name] for name in _HISTORY}
            yield {**shown, "counts": True, "fields": fields, "place": change.place}
        for said in change.said:
            if change.is_state:
                states[said.name].append(said)
            else:
                last_event[said.name] = said
        if change.breaks:
            broken = change.key
        if change.fills:
            last_silent.append((change.key, frozenset(s.name for s in change.said)))


_HISTORY: Final = (
    "seq", "record_id", "kind", "committed_at", "effective_at", "source", "user_id", "origin", "client",
    "transaction_key",
)  # fmt: skip


def _before(
    said: Said,
    event: Said | None,
    states: Sequence[Said],
    broken: Key,
    fills: Sequence[tuple[Key, frozenset[str]]],
) -> dict[str, Any]:
    change = said.change
    over = (s for s in reversed(states) if change.is_state or change.since > s.change.window_to)
    state = next(over, None)
    last = max((s for s in (event, state) if s), key=lambda s: s.change.key, default=None)
    silent = next((key for key, names in reversed(fills) if said.name not in names), (-1, 0, 0))
    is_new = change.kind == "CREATE"
    is_known = is_new or bool(last and last.known and last.change.key > max(broken, silent))
    return {
        "field": said.name,
        "before": last.value if last and is_known and not is_new else None,
        "before_known": is_known,
        "after": said.value,
        "after_known": said.known,
    }
