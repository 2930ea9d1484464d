"""How much evidence a page needs, so that an org is not called more often than it can bear.

Each week keeps the scores of what was, or came near, a page for its evidence on both sides. The bound of the next
week is such that the last four weeks would have kept to the budget; `TOLERANCE` times it, because what really
happened counts too. It never falls below the detector's own bound, and never rises far above it: a page because
the week's page is spent would be a page lost. Guards are not scored.
"""

from __future__ import annotations

from typing import Any

from cdc.detect.facts import WEEK_MS

WEEKS = 4
TOLERANCE = 1.5
SCORES_MAX = 64
"""Scores kept of one week, the highest."""


class Budget:
    """`kind` of scores apart: pages, digests. A score is what an episode had, less what its size asks for."""

    def __init__(self, per_week: float, rise_max: float) -> None:
        self.per_week = per_week
        self.rise_max = rise_max
        self._weeks: dict[int, list[int]] = {}
        self._rise = 0.0
        self._week = -1

    def note(self, at: int, score: float) -> None:
        """One episode's best score, when it is over."""
        kept = self._weeks.setdefault(at // WEEK_MS, [])
        kept.append(round(score * 1000))
        if len(kept) > SCORES_MAX:
            kept.remove(min(kept))

    def rise(self, at: int, first_at: int) -> float:
        """How much more than the detector's own bound is needed in the week of `at`."""
        week = at // WEEK_MS
        if week != self._week:
            self._week = week
            self._rise = self._of(week, first_at // WEEK_MS)
            self._weeks = {w: kept for w, kept in self._weeks.items() if w >= week - WEEKS}
        return self._rise

    def _of(self, week: int, first: int) -> float:
        weeks = min(WEEKS, week - first - 1)  # of the first week nothing is counted: there all is new
        if weeks < 1:
            return 0.0
        scores = [s for w, kept in self._weeks.items() if week - weeks <= w < week for s in kept]
        allowed = int(self.per_week * weeks * TOLERANCE)
        if len(scores) <= allowed:
            return 0.0
        scores.sort(reverse=True)
        return min(self.rise_max, max(0.0, scores[allowed] / 1000 + 0.01))

    def state(self) -> Any:
        return [list(self._weeks.items()), self._rise, self._week]

    def restore(self, state: Any) -> None:
        weeks, self._rise, self._week = state
        self._weeks = {week: list(kept) for week, kept in weeks}
