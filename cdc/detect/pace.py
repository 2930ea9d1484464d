"""How many new records per 10 seconds, minute and ten minutes: the most so far, in fixed windows."""

from __future__ import annotations

from typing import Any

BASE_MS = 10_000
WINDOWS = (1, 6, 60)
"""Windows as multiples of ten seconds, aligned to the epoch."""


class Pace:
    """Counts of the current windows and the largest of each length so far. Times do not run backwards."""

    __slots__ = ("base", "current", "largest")

    def __init__(self) -> None:
        self.base = -1
        self.current = [0, 0, 0]
        self.largest = [0, 0, 0]

    def step(self, base: int) -> None:
        """Enter the ten-second window `base` (time // 10 s); a longer window ends with its last part."""
        self._note()
        for at, length in enumerate(WINDOWS):
            if base // length != self.base // length:
                self.current[at] = 0
        self.base = base

    def count(self, new: int) -> None:
        """New records in the current windows."""
        current = self.current
        current[0] += new
        current[1] += new
        current[2] += new

    def peaks(self) -> tuple[int, int, int]:
        """The most new records in one window of 10 s, 1 min, 10 min."""
        self._note()
        a, b, c = self.largest
        return a, b, c

    def _note(self) -> None:
        for at, count in enumerate(self.current):
            if count > self.largest[at]:
                self.largest[at] = count

    def state(self) -> Any:
        self._note()
        return [self.base, self.current, self.largest]

    @classmethod
    def restored(cls, state: Any) -> Pace:
        made = cls()
        made.base, made.current, made.largest = state[0], list(state[1]), list(state[2])
        return made
