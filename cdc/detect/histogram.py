"""Sizes on a logarithmic scale, forgotten by half in four weeks, in integers."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

UNIT = 256
"""Weight of one observation now."""

WEEK_KEPT = 215
"""Of 256, per week: 0.84, the fourth root of one half (half-life of four weeks)."""

BINS_PER_SIZE = 48
"""Two bins an octave, up to 2^24."""


_EMPTY = array("I", bytes(4 * BINS_PER_SIZE))


def bin_of(size: int) -> int:
    """Bin of a size from 1: 1, 1.41, 2, 2.83, 4 … are where bins begin."""
    octave = size.bit_length() - 1
    upper = (size * size) >> (2 * octave) >= 2
    return min(2 * octave + upper, BINS_PER_SIZE - 1)


Places = tuple[tuple[int, int], ...]


def places_of_sizes(sizes: tuple[int, ...]) -> Places:
    """(size, bin) of each size; none where all are one. A size of 0 was not measured."""
    if max(sizes) <= 1:
        return ()
    return tuple((at, bin_of(size)) for at, size in enumerate(sizes) if size)


def start_of(bin_number: int) -> float:
    return float(2.0 ** (bin_number / 2))


class SizeHistogram:
    """Several sizes of each episode. Episodes of size one in every respect, the most by far, are one count."""

    __slots__ = ("bins", "first_week", "ones", "slots", "total", "week")

    def __init__(self, week: int) -> None:
        self.week = week
        self.first_week = week
        self.total = 0
        self.ones = 0
        self.bins: dict[int, array[int]] = {}  # size -> weight by bin
        self.slots: dict[int, int] = {}  # hour of a weekday or weekend day -> weight

    def learn(self, places: Places, week: int, slot: int) -> None:
        """Take one episode. `slot` is its hour of the day, plus 24 at the weekend; -1: not kept."""
        if week > self.week:
            self._forget(week)
        self.total += UNIT
        if slot >= 0:
            self.slots[slot] = self.slots.get(slot, 0) + UNIT
        if not places:
            self.ones += UNIT
        for at, place in places:
            self._bins_of(at)[place] += UNIT

    def note(self, at: int, size: int) -> None:
        """Take one size by itself."""
        self._bins_of(at)[bin_of(size)] += UNIT

    def tail(self, at: int, size: int, *, by_itself: bool = False) -> tuple[float, float]:
        """(times at least so large, times in all), in weights of now; `by_itself`: a size given to `note`.

        Beyond the largest seen, half a time falling with size: what was never seen may still come.
        """
        bins = self.bins.get(at, _EMPTY)
        wanted = bin_of(max(1, size))
        total = sum(bins) if by_itself else self.total
        above = sum(bins[wanted:]) if wanted else total
        if above == 0:
            return 0.5 * self.largest(at) / size, total / UNIT
        return above / UNIT, total / UNIT

    def largest(self, at: int) -> float:
        """About the largest size still remembered; 1 where none."""
        bins = self.bins.get(at, _EMPTY)
        last = next((place for place in range(BINS_PER_SIZE - 1, -1, -1) if bins[place]), -1)
        return start_of(last + 1)

    def quantile(self, at: int, share: float) -> int:
        """The size that this share of episodes does not exceed."""
        wanted = share * self.total
        reached = self.ones
        if reached >= wanted:
            return 1
        for bin_number, weight in enumerate(self.bins.get(at, _EMPTY)):
            reached += weight
            if reached >= wanted:
                return max(1, int(start_of(bin_number + 1)))
        return int(self.largest(at))

    def slot_share(self, slot: int) -> float:
        """Share of episodes that began within an hour of this one's hour, on the same kind of day."""
        kept = sum(self.slots.values())
        base, hour = slot // 24 * 24, slot % 24
        near = sum(self.slots.get(base + (hour + step) % 24, 0) for step in (-1, 0, 1))
        return near / kept if kept else 0.0

    def _bins_of(self, at: int) -> array[int]:
        bins = self.bins.get(at)
        if bins is None:
            bins = self.bins[at] = array("I", _EMPTY)
        return bins

    def _forget(self, week: int) -> None:
        """Week by week, so that it does not matter when it is asked."""
        for _ in range(min(week - self.week, 60)):
            self.total = self.total * WEEK_KEPT >> 8
            self.ones = self.ones * WEEK_KEPT >> 8
            for bins in self.bins.values():
                weights = np.frombuffer(bins, np.uint32)  # the same memory
                np.right_shift(weights * np.uint32(WEEK_KEPT), 8, out=weights)
            self.slots = {slot: kept for slot, w in self.slots.items() if (kept := w * WEEK_KEPT >> 8)}
        self.week = week

    def state(self) -> Any:
        return [
            self.week,
            self.first_week,
            self.total,
            self.ones,
            [[at, [[place, w] for place, w in enumerate(bins) if w]] for at, bins in self.bins.items()],
            list(self.slots.items()),
        ]

    @classmethod
    def restored(cls, state: Any) -> SizeHistogram:
        made = cls(state[0])
        _, made.first_week, made.total, made.ones, bins, slots = state
        for at, weights in bins:
            kept = made.bins[at] = array("I", _EMPTY)
            for place, weight in weights:
                kept[place] = weight
        made.slots = dict(slots)
        return made
