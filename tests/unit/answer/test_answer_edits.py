"""Ordinary edit histories, as others keep them, played through the journal and asked: every value there is, is told.

Records are made, edited, deleted and undeleted, many changes of one second, values set twice, null set to null, parts of
compound fields. Nothing is lost, so nothing may be unknown. The truth is a dictionary that is written over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdc.answer import questions
from cdc.answer.answers import Value
from cdc.answer.differences import diff
from tests.unit.answer import recorded
from tests.unit.answer.test_answer_rule import merged, merged_and_hot, sealed_in_four
from tests.unit.answer.told import MINUTE, Told

HISTORIES = 2 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))
EVENTS = 40
IDS = tuple(f"00100000000000{n}AAA" for n in range(4))
FIELDS = (
    "Name__FirstName",
    "Name__LastName",
    "BillingAddress__City",
    "Amount",
    "CurrencyIsoCode",
    "IsPersonAccount",
)
VALUES = (None, "", "0", "12.5", "EUR", "true", "Zoë\n'x'", "a" * 500)

Record = tuple[str, dict[str, str | None]]
"""A status and the fields."""


@dataclass
class Edits:
    """A history and the truth: what every record was before each event, and at the end."""

    told: Told = field(default_factory=Told)
    before: list[dict[str, Record]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    now: dict[str, Record] = field(default_factory=dict)

    def play(self, random: Random) -> None:
        at = 1.0
        for _ in range(EVENTS):
            at += random.choice((0, 0, 0, 1 / 60, 5))
            self._event(random, at, random.choice(IDS))

    def _event(self, random: Random, at: float, record_id: str) -> None:
        status, fields = self.now.get(record_id, ("none", {}))
        kind = {"none": "CREATE", "deleted": "UNDELETE"}.get(status) or random.choice(
            ("UPDATE", "UPDATE", "UPDATE", "DELETE")
        )
        said: dict[str, str | None] = {}
        if kind == "CREATE":
            said = {f: random.choice(VALUES) for f in FIELDS}
        elif kind == "UPDATE":
            said = {f: random.choice(VALUES) for f in random.sample(FIELDS, random.randint(1, 4))}
        elif kind == "UNDELETE":
            said = dict(fields)
        self.before.append(deepcopy(self.now))
        self.times.append(at)
        self.told.event(kind, at, record_id, **said)
        self.now[record_id] = ("deleted" if kind == "DELETE" else "present", {**fields, **said})

    def at(self, minute: float) -> dict[str, Record]:
        """Everything committed up to a time, also within its second."""
        later = [n for n, t in enumerate(self.times) if t > minute]
        return self.before[later[0]] if later else self.now


def hot(connection: Any, folder: str, last: int) -> None:
    del connection, folder, last


@pytest.mark.parametrize(
    "layout", [hot, sealed_in_four, merged, merged_and_hot], ids=lambda layout: layout.__name__
)
def test_every_value_of_an_ordinary_history_is_told(
    layout: Callable[[Any, str, int], None], tmp_path: Path
) -> None:
    for seed in range(HISTORIES):
        random, edits = Random(seed), Edits()
        edits.play(random)
        reader = edits.told.opened()
        layout(reader, str(tmp_path / str(seed)), EVENTS)
        for minute in random.sample(edits.times, 2):
            zone = timedelta(hours=5, minutes=30)
            text = f"{(recorded.at(round(minute * MINUTE)) + zone).isoformat()}+05:30"
            assert_told(reader, edits.at(minute), at=text)
        cut = random.randrange(2, EVENTS)
        assert_told(reader, edits.before[cut - 1], before=cut)
        assert_told(reader, edits.now)
        assert_history(reader, edits, random.choice(IDS))
        assert_difference(reader, edits, random)


def assert_told(reader: Any, truth: dict[str, Record], **when: Any) -> None:
    """All records in one answer, and each by itself under its 15 characters."""
    whole = questions.state(reader, "Account", **when)
    assert whole.complete, whole.reasons
    assert told(whole) == truth, when
    for record_id in truth:
        single = questions.state(reader, "account", [record_id[:15]], **when)
        assert told(single) == {record_id: truth[record_id]}, when
        rows = questions.record(reader, "Account", record_id, **when).dicts()
        assert {r["field"].replace(".", "__"): r["value"] for r in rows} == truth[record_id][1]
        assert all(r["known"] for r in rows)


def told(answer: questions.Answer) -> dict[str, Record]:
    return {
        row["record_id"]: (row["status"], {f.replace(".", "__"): v for f, v in row["fields"].items()})
        for row in answer.dicts()
    }


def assert_history(reader: Any, edits: Edits, record_id: str) -> None:
    if record_id not in edits.now:
        return
    for row in questions.history(reader, "Account", record_id).dicts():
        was = edits.before[row["seq"] - 1].get(record_id, ("none", dict.fromkeys(FIELDS)))[1]
        for name, change in row["fields"].items():
            assert change["before"] == Value(was[name.replace(".", "__")]), (row["seq"], name)


def assert_difference(reader: Any, edits: Edits, random: Random) -> None:
    first, second = sorted(random.sample(range(2, EVENTS), 2))
    a, b = edits.before[first - 1], edits.before[second - 1]
    answer = diff(reader, "Account", from_before=first, to_before=second, limit=1000)
    assert answer.complete, answer.reasons
    found = {(r["record_id"], r["field"]): (r["before"], r["after"]) for r in answer.dicts()}
    assert found == dict(differences(a, b))


def differences(
    a: dict[str, Record], b: dict[str, Record]
) -> Sequence[tuple[tuple[str, str | None], tuple[Any, Any]]]:
    rows: list[tuple[tuple[str, str | None], tuple[Any, Any]]] = []
    for record_id, (status, fields) in b.items():
        was_status, was = a.get(record_id, (None, {}))
        if was_status != status:
            rows.append(((record_id, None), (was_status, status)))
        rows += [
            ((record_id, name.replace("__", ".")), (Value(was.get(name)), Value(value)))
            for name, value in fields.items()
            if was.get(name) != value
        ]
    return rows
