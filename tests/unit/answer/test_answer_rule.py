"""The rule for questions about a moment, held against the truth of random histories, and the SQL against it.

`CDC_TEST_HISTORIES` multiplies how many histories are tried.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdc.change.order import READ_MARGIN_MS
from tests.unit.answer import recorded
from tests.unit.answer.histories import History, Org, history
from tests.unit.answer.model import Journal, Moment, Said, state

FACTOR = int(os.environ.get("CDC_TEST_HISTORIES", "1"))
AGAINST_TRUTH = 4_000 * FACTOR
AGAINST_SQL = 40 * FACTOR
AGAINST_LAYOUTS = 10 * FACTOR

MARGIN_TOO_SMALL_MS = 1_000
KNOWN_TO_BREAK_IT = (158, 526, 997, 1066)
"""Seeds whose clocks differ enough for a margin of one second."""

ONCE_BROKE_A_RULE = (737, 817, 2462, 14304, 19924)
"""Seeds of scans that began near the end of a hole, where clocks cannot tell whether before or after, and of
unreadable events whose commit time is later than that of events behind them."""


def test_what_is_claimed_is_true_in_every_history() -> None:
    counts: Counter[str] = Counter()
    for seed in (*range(AGAINST_TRUTH), *KNOWN_TO_BREAK_IT, *ONCE_BROKE_A_RULE):
        wrong = list(wrong_claims(seed, READ_MARGIN_MS, counts))
        assert not wrong, f"seed {seed}: {wrong[0]}"
    print(f"\n{dict(counts)} claims of {AGAINST_TRUTH} histories, none wrong")
    assert counts["status"] > AGAINST_TRUTH
    assert counts["field"] > 2 * AGAINST_TRUTH


def test_a_read_margin_of_one_second_claims_wrong_values_where_clocks_differ_by_two() -> None:
    wrong = {
        margin: sum(
            1 for seed in KNOWN_TO_BREAK_IT for _ in wrong_claims(seed, margin, Counter(), moments=200)
        )
        for margin in (MARGIN_TOO_SMALL_MS, READ_MARGIN_MS)
    }
    print(f"\nwrong claims by read margin in milliseconds: {wrong}")
    assert wrong[MARGIN_TOO_SMALL_MS] > 0
    assert wrong[READ_MARGIN_MS] == 0


def test_the_sql_answers_as_the_model_does() -> None:
    connection = recorded.opened()
    for seed in range(AGAINST_SQL):
        random = Random(seed)
        past = history(random, margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        for moment in moments(random, past, times=2, cuts=1):
            expected = state(past.journal, moment, READ_MARGIN_MS)
            found = recorded.states(connection, moment.at, moment.cut)
            assert found.keys() == expected.keys(), (seed, moment)
            for record_id, said in expected.items():
                assert comparable(found[record_id]) == comparable(said), (seed, moment, record_id)


def sealed_half(connection: Any, folder: str, last: int) -> None:
    recorded.seal(connection, folder, last // 2)


def sealed_whole(connection: Any, folder: str, last: int) -> None:
    recorded.seal(connection, folder, last)


def sealed_in_four(connection: Any, folder: str, last: int) -> None:
    recorded.seal(connection, folder, last // 4, last // 2, 3 * last // 4, last)


def merged(connection: Any, folder: str, last: int) -> None:
    sealed_in_four(connection, folder, last)
    recorded.merge_all(connection, folder)


def merged_and_hot(connection: Any, folder: str, last: int) -> None:
    recorded.seal(connection, folder, last // 3, 2 * last // 3)
    recorded.merge_all(connection, folder)


LAYOUTS: tuple[Callable[[Any, str, int], None], ...] = (
    sealed_half, sealed_whole, sealed_in_four, merged, merged_and_hot,
)  # fmt: skip
"""Where rows may be: each history is answered alike whatever is hot, sealed or merged."""


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_sql_answers_as_the_model_does_wherever_the_rows_are(
    layout: Callable[[Any, str, int], None], tmp_path: Path
) -> None:
    connection = recorded.opened()
    for seed in range(AGAINST_LAYOUTS):
        random = Random(seed)
        past = history(random, margin=READ_MARGIN_MS)
        folder = str(tmp_path / str(seed))
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        layout(connection, folder, max((i.seq for i in past.journal.items), default=0))
        for moment in moments(random, past, times=2, cuts=1):
            expected = state(past.journal, moment, READ_MARGIN_MS)
            found = recorded.states(connection, moment.at, moment.cut)
            assert found.keys() == expected.keys(), (seed, moment)
            for record_id, said in expected.items():
                assert comparable(found[record_id]) == comparable(said), (seed, moment, record_id)


def test_what_history_says_was_before_a_change_is_the_state_cut_before_it() -> None:
    connection = recorded.opened()
    compared = 0
    for seed in range(AGAINST_SQL // 2):
        past = history(Random(seed), margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        events = {i.seq: i for i in past.journal.items if i.fold_rank == 0 and i.kind == "UPDATE"}
        for record_id in sorted({e.record_id for e in events.values() if not e.is_many}):
            told = dict(recorded.befores(connection, record_id))
            for seq in [s for s, e in events.items() if e.record_id == record_id]:
                cut = state(past.journal, Moment(cut=seq), READ_MARGIN_MS).get(record_id, Said())
                known = {} if cut.inferred_since is not None else cut.fields
                expected = {f: (known.get(f), f in known) for f in events[seq].said}
                assert told[seq] == expected, (seed, record_id, seq)
                compared += 1
    assert compared > AGAINST_SQL // 2


def moments(random: Random, past: History, *, times: int, cuts: int) -> Iterator[Moment]:
    candidates, ordinals = past.times(), past.ordinals_given()
    yield Moment()
    for _ in range(times if candidates else 0):
        yield Moment(at=random.choice(candidates))
    for _ in range(cuts if ordinals else 0):
        yield Moment(cut=random.choice(ordinals))


def wrong_claims(
    seed: int,
    margin: int,
    counts: Counter[str],
    moments: int = 4,
    without: Callable[[Journal], Journal] = lambda journal: journal,
) -> Iterator[str]:
    """What the rule says is known and is not so, at times and cuts of one history; `without` takes something away."""
    random = Random(seed)
    past = history(random, margin=margin)
    past = replace(past, journal=without(past.journal))
    candidates = past.times()
    for _ in range(moments if candidates else 0):
        at = random.choice(candidates)
        if at + margin > past.journal.passed_to:
            counts["time not passed yet"] += 1
            continue
        truths = list(past.truths_at(at, margin))
        yield from _wrong(past, Moment(at=at), margin, truths, counts)
    cuts = past.ordinals_given()
    for _ in range(moments // 4 if cuts else 0):
        cut = random.choice(cuts)
        yield from _wrong(past, Moment(cut=cut), margin, [past.truth_before(cut)], counts)


def _wrong(
    past: History, moment: Moment, margin: int, truths: Iterable[Org], counts: Counter[str]
) -> Iterator[str]:
    answers = state(past.journal, moment, margin)
    ever_seen = {i.record_id for i in past.journal.items}
    for truth in truths:
        for record_id in ever_seen & truth.keys() - answers.keys():
            yield f"{moment}: {record_id} is said not to exist"
        for record_id, said in answers.items():
            if said.inferred_since is not None:
                counts["inferred record"] += 1
                continue
            row = truth.get(record_id)
            is_status = row.status if row else "none"
            counts["status" if said.status != "unknown" else "unknown status"] += 1
            if said.status not in ("unknown", is_status):
                yield f"{moment}: {record_id} is {is_status}, not {said.status}"
            for name, value in said.fields.items():
                counts["field"] += 1
                if row is None or row.fields[name] != value:
                    yield f"{moment}: {record_id}.{name} is not {value!r} in {row}"
            counts["unknown field"] += len(said.unknown)


def comparable(said: Said) -> tuple[object, ...]:
    return (said.status, dict(said.fields), said.known_since, said.inferred_since, said.last_seq)
