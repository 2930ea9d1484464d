"""How many API calls this process may still make: its own share of what the org allows in 24 hours."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cdc.errors import OrgUnavailable

HOURS_KEPT = 24  # the org's allowance is a rolling 24 hours
SHARE_DEFAULT = 0.2  # contract, max_api_calls_per_day = 0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """What the org says of all its clients together: calls used and allowed in 24 hours."""

    used: int
    allowed: int


def api_usage(header: str | None) -> ApiUsage | None:
    """Read `Sforce-Limit-Info: api-usage=45/5000; …`; None when it is not there."""
    match = re.search(r"(?<![\w-])api-usage=(\d+)/(\d+)", header or "")
    return ApiUsage(int(match[1]), int(match[2])) if match else None


class CallBudget:
    """Counts calls in hourly buckets over a rolling day; it starts empty, since it is not stored.

    With `calls_per_day_max` 0 the limit is a share of the org's own allowance, as soon as an answer tells it.
    """

    def __init__(
        self, calls_per_day_max: int = 0, *, share: float = SHARE_DEFAULT, monotonic_s: Callable[[], float]
    ) -> None:
        self._max = calls_per_day_max
        self._share = share
        self._now_s = monotonic_s
        self._hours: deque[tuple[int, int]] = deque(maxlen=HOURS_KEPT + 1)

    def spend(self, where: str) -> None:
        """Count one call. Errors: OrgUnavailable, with the wait until the oldest hour leaves the window."""
        hour = int(self._now_s() // HOUR_S)
        while self._hours and self._hours[0][0] <= hour - HOURS_KEPT:
            self._hours.popleft()
        if self._max and sum(count for _, count in self._hours) >= self._max:
            free_at_s = (self._hours[0][0] + HOURS_KEPT) * HOUR_S
            raise OrgUnavailable(
                f"this program's share of {self._max} API calls in 24 hours is used up",
                where=where,
                do="it goes on when the oldest hour leaves the window; raise salesforce.max_api_calls_per_day",
                retry_after_s=max(1.0, free_at_s - self._now_s()),
            )
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = (hour, self._hours[-1][1] + 1)
        else:
            self._hours.append((hour, 1))

    def learn(self, usage: ApiUsage) -> None:
        """Take the org's allowance where no limit was set."""
        if self._share:
            self._max = self._max or max(1, int(usage.allowed * self._share))
