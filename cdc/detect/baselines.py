"""What is usual for an actor and a target, leaning on ever wider groups until it has seen enough itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from cdc.detect.episode import Key
from cdc.detect.facts import DAY_MS, HOUR_MS, ONE_DAY, WEEK_MS, Facts
from cdc.detect.histogram import SizeHistogram, places_of_sizes

KEYS_MAX = 20_000
LEAN_EPISODES = 8.0
"""How many episodes of its own a key needs to count as much as its parent."""

PRIOR_EPISODES = 2.0
PRIOR_POWER = 1.0
"""Nothing known: an episode of n records or more is one in n."""

WEEKEND = (5, 6)

Place = tuple[str, ...]


class Usual(NamedTuple):
    """The narrowest group that has a history: what it is (0 the key itself), and what it does."""

    level: int
    histogram: SizeHistogram


class Baselines:
    """Histograms by key and parent, the longest untouched evicted. Times in epoch ms."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self.keys_max = keys_max
        self.evictions = 0
        self.kept: dict[Place, SizeHistogram] = {}
        self.days: dict[Place, tuple[int, int]] = {}  # key -> (day, records on it so far)

    def learn(self, facts: Facts) -> None:
        """Take a closed episode as usual, for its key and all parents."""
        week, slot = facts.first_at // WEEK_MS, slot_of(facts.first_at)
        places, bins = places_of(facts.key), places_of_sizes(facts.sizes)
        ended_day = self._day(places[0], facts)
        for level, place in enumerate(places):
            histogram = self.kept.get(place)
            if histogram is None:
                histogram = self._new(place, week)
            elif histogram.week < week:
                self.kept[place] = self.kept.pop(place)  # the order of eviction, kept to the week
            histogram.learn(bins, week, slot if level == 0 else -1)
            if ended_day:
                histogram.note(ONE_DAY, ended_day)

    def day_so_far(self, facts: Facts) -> int:
        """Records of the key on this day, this episode's with them."""
        day, records = self.days.get(places_of(facts.key)[0], (-1, 0))
        return facts.records + (records if day == facts.day else 0)

    def tail(self, key: Key, at: int, size: int) -> float:
        """Probability that an episode of this key is at least so large."""
        p = float(max(1, size) ** -PRIOR_POWER)
        lean = PRIOR_EPISODES
        for place in reversed(places_of(key)):
            histogram = self.kept.get(place)
            if histogram is not None:
                above, total = histogram.tail(at, size, by_itself=at == ONE_DAY)
                p = (above + lean * p) / (total + lean)
            lean = LEAN_EPISODES
        return min(1.0, p)

    def usual(self, key: Key, episodes_min: int = 3) -> Usual | None:
        """The narrowest group with at least so many episodes."""
        for level, place in enumerate(places_of(key)):
            histogram = self.kept.get(place)
            if histogram is not None and histogram.total >= episodes_min * 256:
                return Usual(level, histogram)
        return None

    def own(self, key: Key) -> SizeHistogram | None:
        return self.kept.get(places_of(key)[0])

    def _day(self, place: Place, facts: Facts) -> int:
        """Count the episode to its day; returns the records of the day before it, when that has ended."""
        day, records = self.days.get(place, (facts.day, 0))
        if day == facts.day:
            self.days[place] = (day, records + facts.records)
            return 0
        self.days.pop(place)
        self.days[place] = (facts.day, facts.records)
        return records

    def _new(self, place: Place, week: int) -> SizeHistogram:
        if len(self.kept) >= self.keys_max:
            oldest = next(iter(self.kept))
            self.kept.pop(oldest)
            self.days.pop(oldest, None)
            self.evictions += 1
        made = self.kept[place] = SizeHistogram(week)
        return made

    def state(self) -> Any:
        return {
            "evictions": self.evictions,
            "kept": [[list(place), histogram.state()] for place, histogram in self.kept.items()],
            "days": [[list(place), *day] for place, day in self.days.items()],
        }

    def restore(self, state: Any) -> None:
        self.evictions = state["evictions"]
        self.kept = {tuple(place): SizeHistogram.restored(kept) for place, kept in state["kept"]}
        self.days = {tuple(place): (day, records) for place, day, records in state["days"]}


def places_of(key: Key) -> tuple[Place, Place, Place, Place, Place]:
    """The key and its parents, narrowest first."""
    user, origin, entity, kind = key
    return (
        key,
        ("user", user, entity, kind, ""),
        ("origin", origin, entity, kind, ""),
        ("", entity, kind),
        (kind,),
    )


def slot_of(at: int) -> int:
    """One of 48: the hour of the day, UTC, of a weekday or (from 24) of a weekend day."""
    weekday = (at // DAY_MS + 3) % 7  # the epoch began on a Thursday
    return at % DAY_MS // HOUR_MS + (24 if weekday in WEEKEND else 0)
