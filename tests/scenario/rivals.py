"""The obvious methods on the same streams: each counts, none looks at values.

All work on distinct records per (user, client, entity, kind). A page names the key; a key is not paged again
within a day. Bounds are those their authors or users give; of the fixed number and the cumulative
sum, which have none, a round one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from tests.scenario.blocks import DAY, HOUR

Key = tuple[str, str, str, str]
Versions = list[dict[str, Any]]
EVENT_KINDS = ("CREATE", "UPDATE", "DELETE", "UNDELETE")


@dataclass
class History:
    """What a key did before: records by hour and by day, the present ones last."""

    hours: deque[int] = field(default_factory=lambda: deque(maxlen=24 * 28))
    days: deque[int] = field(default_factory=lambda: deque(maxlen=28))
    hour: int = -1
    day: int = -1
    in_hour: set[str] = field(default_factory=set)
    in_day: set[str] = field(default_factory=set)
    cusum: float = 0.0

    def step(self, at: int) -> None:
        """Come to this time: hours and days that are over are put behind."""
        if self.hour < 0:
            self.hour, self.day = at // HOUR, at // DAY
        while self.hour < at // HOUR:
            self.hours.append(len(self.in_hour))
            self.in_hour = set()
            self.hour += 1
            if self.hour * HOUR // DAY > self.day:
                self._end_day()

    def _end_day(self) -> None:
        count, mean = len(self.in_day), self.mean(list(self.days))
        self.cusum = max(0.0, self.cusum + _llr(count, mean))
        self.days.append(count)
        self.in_day = set()
        self.day += 1

    @staticmethod
    def mean(values: list[int]) -> float:
        return sum(values) / len(values) if values else 0.0


def _llr(count: float, mean: float, kappa: float = 2.0, dispersion: float = 0.5) -> float:
    """Log-likelihood ratio of a rate `kappa` times as high, negative binomial (Hoehle and Paul 2008)."""
    low, size = max(0.5, mean), 1 / dispersion
    high = kappa * low
    return count * log(kappa * (size + low) / (size + high)) - size * log((size + high) / (size + low))


Rule = Callable[[History, "Rival"], bool]


@dataclass
class Rival:
    """One method: `rule` is asked at each new record of a key."""

    name: str
    rule: Rule
    bound: float
    known: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _histories: dict[Key, History] = field(default_factory=dict)
    _paged: dict[Key, int] = field(default_factory=dict)
    _first: int = -1
    _taken: int = 0
    entity: str = ""

    def take(self, table: pa.Table) -> Versions:
        found: Versions = []
        for number, (key, record, at) in self._rows(table):
            if self._first < 0:
                self._first = at
            history = self._histories.get(key)
            if history is None:
                history = self._histories[key] = History()
            history.step(at)
            if record in history.in_hour and record in history.in_day:
                continue
            history.in_hour.add(record)
            history.in_day.add(record)
            if at - self._paged.get(key, -DAY) < DAY or at - self._first < 7 * DAY:
                continue
            self.entity = key[2]
            if len(history.in_hour) >= 20 and self.rule(history, self):
                self._paged[key] = at
                found.append(self._page(key, at, number))
        self._taken += table.num_rows
        return found

    def _rows(self, table: pa.Table) -> Iterator[tuple[int, tuple[Key, str, int]]]:
        columns = [table[c].to_pylist() for c in ("user_id", "client", "entity", "kind", "record_id")]
        at = np.asarray(table["committed_at"]).tolist()
        for number, (user, client, entity, kind, record, time) in enumerate(
            zip(*columns, at, strict=True), 1
        ):
            if kind in EVENT_KINDS:
                yield self._taken + number, ((user, client, entity, kind), record, time)
            else:
                self.known[entity].add(record)

    def _page(self, key: Key, at: int, number: int) -> dict[str, Any]:
        user, client, entity, kind = key
        return {
            "alert_id": f"{key}{at}",
            "severity": "page",
            "state": "open",
            "decided_at": at,
            "at_change": number,
            "actors": [{"user_id": user, "client": client, "share": 1.0}],
            "targets": [{"entity": entity, "field": None}],
            "kinds": {kind: 1},
        }


def fixed(h: History, r: Rival) -> bool:
    return len(h.in_hour) >= r.bound


def share_of_entity(h: History, r: Rival) -> bool:
    return len(h.in_day) >= max(50, r.bound * len(r.known[r.entity]))


def day_before(h: History, r: Rival) -> bool:
    return bool(h.days) and len(h.in_day) >= max(100, (1 + r.bound) * h.days[-1])


def three_sigma(h: History, r: Rival) -> bool:
    values = [v for v in h.hours if v]
    if len(values) < 5:
        return len(h.in_hour) >= 200
    mean = h.mean(values)
    return len(h.in_hour) > mean + r.bound * sqrt(
        max(1.0, sum((v - mean) ** 2 for v in values) / len(values))
    )


def ears_c2(h: History, r: Rival) -> bool:
    """Seven days, two days back (Hutwagner 2003)."""
    window = list(h.days)[-9:-2]
    mean = h.mean(window)
    spread = sqrt(sum((v - mean) ** 2 for v in window) / len(window)) if window else 0.0
    return len(h.in_day) > mean + r.bound * max(10.0, spread)


def median_mad(h: History, r: Rival) -> bool:
    values = [v for v in h.hours if v][-200:]
    if len(values) < 5:
        return len(h.in_hour) >= 200
    middle = median(values)
    return len(h.in_hour) > middle + r.bound * max(5.0, 1.4826 * median([abs(v - middle) for v in values]))


def nb_cusum(h: History, r: Rival) -> bool:
    return h.cusum + _llr(len(h.in_day), h.mean(list(h.days))) > r.bound


BOUNDS: dict[str, tuple[Rule, float]] = {
    "fixed number an hour": (fixed, 2000),
    "5 % of an entity a day": (share_of_entity, 0.05),
    "+20 % on the day before": (day_before, 0.2),
    "three sigma per key": (three_sigma, 3.0),
    "EARS C2": (ears_c2, 3.0),
    "median and MAD": (median_mad, 5.0),
    "NB-CUSUM": (nb_cusum, 300.0),
}


def rivals() -> list[Rival]:
    return [Rival(name, rule, bound) for name, (rule, bound) in BOUNDS.items()]
