"""What a detector said about a stream, held against what is true of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from tests.scenario.blocks import DAY, HOUR, WEEK
from tests.scenario.incidents import HARD, Label
from tests.scenario.stream import Spec

Versions = list[dict[str, Any]]
AFTER_MS = {"drip": 3 * DAY, "companion field": DAY, "many users": DAY}
AFTER_PLAIN_MS = 3 * HOUR
"""How long after an incident's last change a page still counts as being about it."""


@dataclass
class Found:
    """One incident and what was said of it. `before` -1: no page."""

    label: Label
    org: str
    records: int
    before: int = -1
    least: int = 0
    delay_ms: int = -1
    right_user: bool = False
    right_field: bool = False
    alerts: int = 0
    digested: bool = False

    @property
    def paged(self) -> bool:
        return self.before >= 0


@dataclass
class Outcome:
    """One stream's result. `false_pages` name what they were about."""

    org: str
    weeks: int
    found: list[Found]
    false_pages: list[str] = field(default_factory=list)
    false_digests: list[str] = field(default_factory=list)
    learning_pages: int = 0
    changes: int = 0
    seconds: float = 0.0
    state_bytes: int = 0


class Labelled(Protocol):
    """A stream of which it is known what is wrong in it; `labels` is complete once all tables were taken."""

    spec: Spec
    weeks: int
    learning: int

    @property
    def labels(self) -> list[Label]: ...

    @property
    def judged_from(self) -> int: ...

    def tables(self) -> Iterator[pa.Table]: ...


class Truth:
    """The labelled rows of a stream, gathered while its tables go by."""

    def __init__(self) -> None:
        self.rows = 0
        self._parts: list[tuple[Any, ...]] = []

    def see(self, table: pa.Table) -> None:
        label = np.asarray(table["label"])
        at = np.flatnonzero(label)
        taken = table.take(pa.array(at))
        self._parts.append(
            (
                at + self.rows,
                label[at],
                np.asarray(taken["committed_at"]),
                taken["entity"].to_pylist(),
                taken["record_id"].to_pylist(),
                taken["transaction_key"].to_pylist(),
            )
        )
        self.rows += table.num_rows

    def of(self) -> dict[int, _Rows]:
        by_label: dict[int, _Rows] = {}
        for rows, label, at, entity, record, transaction in self._parts:
            for number in np.unique(label).tolist():
                mine = np.flatnonzero(label == number).tolist()
                one = by_label.setdefault(number, _Rows())
                one.row += rows[mine].tolist()
                one.at += at[mine].tolist()
                one.record += [record[i] for i in mine]
                one.entity += [entity[i] for i in mine]
                one.transaction += [transaction[i] for i in mine]
        return by_label


@dataclass
class _Rows:
    row: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    entity: list[str] = field(default_factory=list)
    transaction: list[str] = field(default_factory=list)

    def before(self, row: int) -> int:
        """Distinct records changed up to and with the transactions that had begun by this row."""
        begun = {t for t, r in zip(self.transaction, self.row, strict=True) if r <= row}
        return len({rec for t, rec in zip(self.transaction, self.record, strict=True) if t in begun})


def score(stream: Labelled, truth: Truth, versions: Versions) -> Outcome:
    """Every page is of an incident, or false."""
    rows = truth.of()
    labels = {label.number: label for label in stream.labels}
    found = {
        n: Found(labels[n], stream.spec.org, len(set(rows[n].record)), least=_least(rows[n]))
        for n in labels
        if n > 0 and n in rows
    }
    outcome = Outcome(
        stream.spec.org, stream.weeks - stream.learning, list(found.values()), changes=truth.rows
    )
    opened: dict[str, dict[str, Any]] = {}
    merged: set[str] = set()
    paged: dict[str, dict[str, Any]] = {}
    for version in versions:
        opened.setdefault(version["alert_id"], version)
        if version["state"] == "merged":
            merged.add(version["alert_id"])
        if version["severity"] == "page":
            paged.setdefault(version["alert_id"], version)
    for alert_id, first in opened.items():
        page = paged.get(alert_id)
        said = page or first
        number = _about(said, labels, rows)
        if number > 0:
            one = found[number]
            one.digested |= page is None
            if page is not None and alert_id not in merged:
                one.alerts += 1
                _count(one, page, labels[number], rows[number])
        elif said["decided_at"] < stream.judged_from:
            outcome.learning_pages += page is not None
        else:
            (outcome.false_pages if page is not None else outcome.false_digests).append(
                _name(said, labels, rows)
            )
    return outcome


def _least(rows: _Rows) -> int:
    """Records of the incident's first transaction: nobody can know less."""
    return len({r for r, t in zip(rows.record, rows.transaction, strict=True) if t == rows.transaction[0]})


def _about(version: dict[str, Any], labels: dict[int, Label], rows: dict[int, _Rows]) -> int:
    """The incident that an alert is about; 0: none."""
    users = {a["user_id"] for a in version["actors"]}
    entities = {t["entity"] for t in version["targets"]}
    best = (0, 0)
    for number, label in labels.items():
        if number <= 0 or number not in rows:
            continue
        mine, at = rows[number], version["decided_at"]
        if not min(mine.at) <= at <= max(mine.at) + AFTER_MS.get(label.name, AFTER_PLAIN_MS):
            continue
        if version["at_change"] <= mine.row[0] or not entities & set(label.entities):
            continue
        fields = {t["field"] for t in version["targets"]}
        person = bool(users & set(label.users)) if label.users else len(users) > 1
        field_hit = bool(fields & set(label.fields)) or not label.fields
        if not (person or field_hit):
            continue
        best = max(best, (1 + person + field_hit, number))
    return best[1]


def _count(one: Found, page: dict[str, Any], label: Label, rows: _Rows) -> None:
    before = rows.before(page["at_change"] - 1)
    if one.paged and before >= one.before:
        return
    one.before = before
    one.delay_ms = page["decided_at"] - min(rows.at)
    users = [a["user_id"] for a in page["actors"]]
    one.right_user = users[0] in label.users if label.users else len(users) > 1
    target = page["targets"][0]
    if label.fields and "UPDATE" in page["kinds"]:
        one.right_field = target["field"] in label.fields
    else:  # of creates and deletes an alert names no field
        one.right_field = target["entity"] in label.entities


def _name(version: dict[str, Any], labels: dict[int, Label], rows: dict[int, _Rows]) -> str:
    """The twin that an alert fell for, or the key it is about."""
    entities = {t["entity"] for t in version["targets"]}
    for number, label in labels.items():
        if number < 0 and number in rows:
            mine, at = rows[number], version["decided_at"]
            if min(mine.at) <= at <= max(mine.at) + HOUR and entities & set(mine.entity):
                return label.name
    actor, target = version["actors"][0], version["targets"][0]
    return f"{actor['user_id'][-6:]} {actor['client']} {target['entity']}.{target['field']} {'/'.join(version['kinds'])}"


# -- over many streams --------------------------------------------------------------------------------------


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, p = 1.96, hits / total
    middle, spread = p + z * z / (2 * total), z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, (middle - spread) / (1 + z * z / total)), min(
        1.0, (middle + spread) / (1 + z * z / total)
    )


@dataclass
class Row:
    """One line of the table of results."""

    name: str
    incidents: int
    paged: int
    before: float
    least: float
    share: float
    delay_s: float
    delay95_s: float
    right: float
    single: float

    @property
    def recall(self) -> float:
        return self.paged / self.incidents if self.incidents else 0.0


def row_of(name: str, found: Iterable[Found]) -> Row:
    all_of = list(found)
    paged = [f for f in all_of if f.paged]

    def middle(values: list[float], share: float = 50) -> float:
        return float(np.percentile(np.array(values), share)) if values else float("nan")

    return Row(
        name,
        len(all_of),
        len(paged),
        middle([f.before for f in paged]),
        middle([f.least for f in all_of]),
        middle([f.before / f.records for f in paged]),
        middle([f.delay_ms / 1000 for f in paged]),
        middle([f.delay_ms / 1000 for f in paged], 95),
        sum(f.right_user and f.right_field for f in paged) / max(1, len(paged)),
        sum(f.alerts == 1 for f in paged) / max(1, len(paged)),
    )


SLOW = ("drip", "companion field", "many users")


def rows_of(outcomes: list[Outcome]) -> list[Row]:
    """A row per archetype, then the bulk ones, the hard ones, and all."""
    by: dict[str, list[Found]] = defaultdict(list)
    for outcome in outcomes:
        for found in outcome.found:
            by[found.label.name].append(found)
    rows = [row_of(name, found) for name, found in sorted(by.items())]
    every = [f for found in by.values() for f in found]
    rows.append(row_of("= bulk", (f for f in every if f.label.name not in (*HARD, *SLOW))))
    rows.append(row_of("= hard", (f for f in every if f.label.name in HARD)))
    rows.append(row_of("= all", every))
    return rows


@dataclass
class Noise:
    """False alarms per org and week, and what they were about, most frequent first."""

    pages: float
    digests: float
    about: list[tuple[str, int]]
    digests_about: list[tuple[str, int]]


def noise_of(outcomes: list[Outcome]) -> Noise:
    weeks = sum(o.weeks for o in outcomes)

    def counted(names: list[str]) -> list[tuple[str, int]]:
        return sorted(((n, names.count(n)) for n in set(names)), key=lambda one: (-one[1], one[0]))

    pages = [n for o in outcomes for n in o.false_pages]
    digests = [n for o in outcomes for n in o.false_digests]
    return Noise(len(pages) / weeks, len(digests) / weeks, counted(pages), counted(digests))


Take = Callable[[pa.Table], Versions]


def run(stream: Labelled, take: Take) -> tuple[Truth, Versions]:
    truth, versions = Truth(), []
    for table in stream.tables():
        truth.see(table)
        versions += take(table.drop_columns(["label"]))
    return truth, versions


__all__ = [
    "WEEK",
    "Found",
    "Labelled",
    "Noise",
    "Outcome",
    "Row",
    "Take",
    "Truth",
    "noise_of",
    "row_of",
    "rows_of",
    "run",
    "score",
]
