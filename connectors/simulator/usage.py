"""What the org's allowances are and how much of them is used, over the last 24 hours of org time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from connectors.simulator.clock import DAY_MS, SimClock
from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs

BUCKET_MS = 60_000
"""Counts are kept by the minute."""


class _Window:
    """A count over the last 24 hours."""

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()
        self._sum = 0

    def add(self, at_ms: int, count: int) -> None:
        bucket = at_ms // BUCKET_MS
        if not self._buckets or self._buckets[-1][0] != bucket:
            self._buckets.append([bucket, 0])
        self._buckets[-1][1] += count
        self._sum += count

    def total(self, at_ms: int) -> int:
        oldest = (at_ms - DAY_MS) // BUCKET_MS
        while self._buckets and self._buckets[0][0] < oldest:
            self._sum -= self._buckets.popleft()[1]
        return self._sum


class Usage:
    """The wire counts what it does here: `count_call` for each REST request, `count_delivered` for events."""

    def __init__(self, clock: SimClock, knobs: Callable[[], Knobs]) -> None:
        self._clock = clock
        self._knobs = knobs
        self._calls = _Window()
        self._delivered = _Window()
        self._batches = _Window()
        self._query_jobs = _Window()

    def count_call(self, count: int = 1) -> None:
        self._calls.add(self._clock.now_ms(), count)

    def count_delivered(self, count: int) -> None:
        self._delivered.add(self._clock.now_ms(), count)

    def count_batches(self, count: int) -> None:
        """Batches of an ingest job. Raises LIMIT_EXCEEDED beyond the day's allowance."""
        self._count(self._batches, count, self._knobs().bulk_batches_max, "batches")

    def count_query_job(self) -> None:
        """A query job. Raises LIMIT_EXCEEDED beyond the day's allowance."""
        self._count(self._query_jobs, 1, self._knobs().bulk_query_jobs_max, "query jobs")

    def _count(self, window: _Window, count: int, most: int, what: str) -> None:
        now = self._clock.now_ms()
        if window.total(now) + count > most:
            raise OrgError("LIMIT_EXCEEDED", f"The limit of {most} {what} in 24 hours is reached.")
        window.add(now, count)

    @property
    def api_usage(self) -> str:
        """What the Sforce-Limit-Info header says."""
        return f"api-usage={self._calls.total(self._clock.now_ms())}/{self._knobs().api_calls_max}"

    @property
    def delivered(self) -> int:
        return self._delivered.total(self._clock.now_ms())

    def limits(self) -> dict[str, dict[str, int]]:
        """Name -> Max and Remaining, as GET /limits."""
        now = self._clock.now_ms()
        knobs = self._knobs()
        return {
            "DailyApiRequests": _limit(knobs.api_calls_max, self._calls.total(now)),
            "DailyDeliveredPlatformEvents": _limit(knobs.delivered_max, self._delivered.total(now)),
            "HourlyPublishedPlatformEvents": _limit(250_000, 0),
            "DailyBulkApiBatches": _limit(knobs.bulk_batches_max, self._batches.total(now)),
            "DailyBulkV2QueryJobs": _limit(knobs.bulk_query_jobs_max, self._query_jobs.total(now)),
            "DailyBulkV2QueryFileStorageMB": _limit(976_562, 0),
            "DataStorageMB": _limit(10_240, 0),
        }


def _limit(most: int, used: int) -> dict[str, int]:
    return {"Max": most, "Remaining": max(0, most - used)}
