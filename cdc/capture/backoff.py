"""Pauses between attempts: growing, bounded, with jitter, so that many clients do not come back at once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_PAUSE_S = 0.5
PAUSE_MAX_S = 60.0
RECONNECT_MIN_S = 1.0  # at most one reconnect a second (reliability.md)


@dataclass(slots=True)
class Backoff:
    """Doubling pauses; each is drawn between half of itself and itself."""

    first_s: float = FIRST_PAUSE_S
    max_s: float = PAUSE_MAX_S
    draw: random.Random = field(default_factory=random.Random)
    attempt: int = 0

    def pause_s(self, at_least_s: float | None = None) -> float:
        """The next pause in seconds; `at_least_s` is what the other side asked for."""
        full: float = min(self.max_s, self.first_s * 2.0 ** min(self.attempt, 20))
        self.attempt += 1
        pause = full * (0.5 + self.draw.random() / 2)
        return max(pause, at_least_s or 0.0)

    def reset(self) -> None:
        self.attempt = 0
