"""One stream of twelve weeks: ordinary life, incidents and twins in it, in the order a bus would bring it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.scenario.blocks import DAY, FLOW, HOUR, MINUTE, WEEK, Block, table_of
from tests.scenario.incidents import INCIDENTS, Case, Label, Patch
from tests.scenario.ordinary import Life
from tests.scenario.org import PREFIX, Org
from tests.scenario.twins import LATE_ENTITIES, OUTAGE_MS, TWINS

FOLDER = Path(__file__).parent


@cache
def parameters() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "parameters.json").read_text()))


@dataclass(frozen=True)
class Spec:
    """Which stream: the org's size, the seed, and which twelve of the combinations happen."""

    org: str
    seed: int
    part: int


def parts() -> int:
    """Streams needed until each archetype has happened at each size and stealth."""
    return -(-len(combinations()) // parameters()["incidents_per_stream"])


def combinations() -> list[tuple[int, str, int]]:
    """(archetype, size, stealth), so mixed that any twelve neighbours are of twelve archetypes."""
    given = parameters()
    pairs = list(product(given["sizes"], given["stealth"].values()))
    count = len(INCIDENTS)
    return [(n % count, *pairs[(n // count + n % count * 2) % len(pairs)]) for n in range(count * len(pairs))]


class Stream:
    """`tables()` gives the baseline and then a table a week; `labels` says what is true."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        given = parameters()
        size = given["orgs"][spec.org]
        self.begin = int(datetime.fromisoformat(given["begin"]).timestamp() * 1000)
        self.weeks, self.learning = given["weeks"], given["learning_weeks"]
        self.org = Org(spec.seed * 1000 + spec.part, size["users"], given["records"], size["scale"])
        self.life = Life(self.org, self.begin, size["changes_per_user_day"], size["scale"], dst_week=8)
        self.labels: list[Label] = []
        self.late_at = 0
        self._planned: list[tuple[int, bool, Any]] = []
        self._plan()

    @property
    def judged_from(self) -> int:
        return self.begin + self.learning * WEEK

    def tables(self) -> Iterator[pa.Table]:
        yield from self._weeks()

    # -- what happens when ----------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Incidents and twins on working days of their own, after the learning weeks."""
        given, r = parameters(), np.random.default_rng(self.spec.seed * 77 + self.spec.part)
        each = given["incidents_per_stream"]
        combined = combinations()
        chosen = [combined[(self.spec.part * each + n) % len(combined)] for n in range(each)]
        days = [week * 7 + day for week in range(self.learning, self.weeks) for day in range(5)]
        days = r.permutation(days).tolist()
        for archetype, size, stealth in chosen:
            slow = INCIDENTS[archetype].__name__ in ("drip", "companion", "many_users")
            day = min(days) if slow and min(days) < 7 * (self.weeks - 4) else days[-1]
            days.remove(day)
            at = self.begin + day * DAY + int(r.integers(8, 19)) * HOUR + int(r.integers(0, 60)) * MINUTE
            self._planned.append((at, True, (archetype, size, stealth)))
        for number in range(len(TWINS)):
            at = (
                self.begin
                + days.pop() * DAY
                + int(r.integers(8, 17)) * HOUR
                + int(r.integers(0, 60)) * MINUTE
            )
            self._planned.append((at, False, number))
        self._planned.sort(key=lambda one: one[0])

    def _happening(self, start: int, patches: list[Patch]) -> list[Block]:
        given, blocks = parameters(), []
        for at, wrong, what in self._planned:
            if not start <= at < start + WEEK:
                continue
            number = (
                1 + sum(label.incident for label in self.labels)
                if wrong
                else -1 - sum(not label.incident for label in self.labels)
            )
            if wrong:
                archetype, size, stealth = what
                case = Case(
                    self.org,
                    at,
                    number,
                    size,
                    given["sizes"][size],
                    given["records_min"][size],
                    stealth,
                    patches,
                )
                made, label = INCIDENTS[archetype](case)
                self.labels.append(label)
            else:
                made = TWINS[what](Case(self.org, at, -number, "", 0.4, 300, 0))
                for block in made:
                    block.label = number
                self.labels.append(Label(number, TWINS[what].__name__.replace("_", " ")))
                if TWINS[what].__name__ == "catch_up_of_the_stream":
                    self.late_at = at
            blocks += made
        return blocks

    def _weeks(self) -> Iterator[pa.Table]:
        taken = 0
        patches: list[Patch] = []
        later: list[Block] = []
        blocks = self._baseline()
        for week in range(self.weeks):
            start = self.begin + week * WEEK
            mine = self._happening(start, patches)
            ordinary = self.life.week(week)
            for patch in patches:
                ordinary = patch.apply(ordinary, self.org.people)
            now, later = _cut([*blocks, *ordinary, *mine, *later], start + WEEK)
            blocks = []
            yield self._table(now, taken)
            taken += sum(len(b) for b in now)

    def _table(self, blocks: list[Block], taken: int) -> pa.Table:
        made = table_of(blocks, self.org.ids, self.org.user_ids, taken)
        at = np.asarray(made["committed_at"])
        if not (self.late_at and at.max() >= self.late_at >= at.min()):
            return made
        late = np.isin(np.asarray(made["entity"].to_pylist()), LATE_ENTITIES)
        late &= (at >= self.late_at) & (at < self.late_at + OUTAGE_MS)
        arrival = np.where(late, self.late_at + OUTAGE_MS, at)
        return made.take(pa.array(np.argsort(arrival, kind="stable")))

    def _baseline(self) -> list[Block]:
        org, blocks = self.org, []
        for entity in PREFIX:
            n = org.count[entity]
            at = np.full(n, self.begin - DAY)
            block = org.block(entity, "BASELINE", at, np.arange(n), 0, FLOW, org.whole(entity))
            blocks.append(block)
            for one in block.fields:
                org.stock[entity, one.name] = one.values
        return blocks


def _cut(blocks: list[Block], end: int) -> tuple[list[Block], list[Block]]:
    """What comes before `end`, and the rest."""
    before, after = [], []
    for block in blocks:
        early = block.at < end
        if early.all():
            before.append(block)
            continue
        if early.any():
            before.append(block.part(np.flatnonzero(early)))
        after.append(block.part(np.flatnonzero(~early)))
    return before, after
