"""How many different ids: exact while few, then by a sample of them that only the ids decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

HASH_RANGE = 1 << 64


class Distinct:
    """Ids (64-bit hashes) with how often each was seen, at most `ids_max` of them.

    When there are more, only ids in the lower half of the hash range are kept, then the lower quarter, and
    so on (adaptive sampling, Flajolet 1990): what is kept depends on the set of ids alone, not on their
    order or on how they were cut into batches. The relative error is about 1 / sqrt(ids_max).
    """

    __slots__ = ("counts", "ids_max", "level", "limit")

    def __init__(self, ids_max: int) -> None:
        self.ids_max = ids_max
        self.level = 0
        self.limit = HASH_RANGE
        self.counts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.counts) << self.level

    def add(self, ids: Iterable[int]) -> None:
        """See each id once more."""
        counts = self.counts
        for one in ids:
            if one < self.limit:
                counts[one] = counts.get(one, 0) + 1
                if len(counts) > self.ids_max:
                    self.thin()
                    counts = self.counts

    def merge(self, other: Distinct) -> None:
        """See what the other has seen."""
        while self.level < other.level:
            self._halve()
        self.add(other.counts)

    def thin(self) -> None:
        """Keep half of the hash range, until there is room."""
        while len(self.counts) > self.ids_max:
            self._halve()

    def repeated(self, times: int) -> int:
        """How many ids were seen at least so often."""
        return sum(1 for seen in self.counts.values() if seen >= times) << self.level

    def _halve(self) -> None:
        self.level += 1
        self.limit >>= 1
        limit = self.limit
        self.counts = {one: seen for one, seen in self.counts.items() if one < limit}

    def state(self) -> Any:
        return [self.ids_max, self.level, list(self.counts), list(self.counts.values())]

    @classmethod
    def restored(cls, state: Any) -> Distinct:
        made = cls(state[0])
        made.level = state[1]
        made.limit = HASH_RANGE >> made.level
        made.counts = dict(zip(state[2], state[3], strict=True))
        return made
