"""What time the org says it is, asked for only when something waits for it; and what it says of its allowances.

Three things wait: a channel whose first position is stored (from when is it live), a full state that counts
only once the stream has passed its reading (architecture.md, "Full states"), and the delivery allowance.
Between answers `now` goes on by our own clock: good for the bounds of a hole, never for a fact.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdc.capture.writer import Live, becomes_live
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import CdcError, Fenced
from cdc.logs import Event
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.org import Limits, Org
from cdc.ports.types import Millis
from cdc.troubles import Troubles

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

LOOK_EVERY_S = 1.0
LIMITS_EVERY_S = 600.0
ASK_PAUSE_MAX_S = 30.0
DELIVERY_WINDOW_S = 24 * 3600.0  # the allowance is counted over the last 24 hours
DELIVERY_LOOKS_MAX = 2 * 24 * 6  # one in ten minutes over a day, and those asked for in between


@dataclass(slots=True)
class OrgClock:
    """`latest` is the newest org time told by any answer; it never runs ahead of the org."""

    org: Org
    clock: Clock
    metrics: Metrics
    troubles: Troubles
    latest: Millis = Millis(0)
    settle_at: Millis = Millis(0)
    limits: Limits | None = None
    ahead_ms: int | None = None
    _used: deque[tuple[Millis, int]] = field(default_factory=lambda: deque(maxlen=DELIVERY_LOOKS_MAX))

    def seen(self, org_time: Millis) -> None:
        if org_time > self.latest:
            self.latest = org_time
            self.ahead_ms = org_time - self.clock.wall_ms()

    def settle(self, read_to: Millis) -> None:
        """Something was read at `read_to`: an org time past it, by the margin of skewed clocks, is wanted."""
        self.settle_at = max(self.settle_at, Millis(read_to + READ_MARGIN_MS))

    def now(self) -> Millis:
        """The org's time as far as can be told without asking: its last answer and the time since then."""
        return max(self.latest, Millis(self.clock.wall_ms() + (self.ahead_ms or 0)))

    async def ask(self) -> Millis:
        """The org's time, from an answer of it if it can be had, else as `now`."""
        await self._ask()
        return self.now()

    async def run(self, recorder: Recorder) -> None:
        last_asked = -LIMITS_EVERY_S
        pause = LOOK_EVERY_S
        while True:
            now = self.clock.monotonic_s()
            positions = recorder.writer.positions.channels.values()
            needs_live = any(becomes_live(position) for position in positions)
            needs_time = self.latest < self.settle_at
            if needs_live or needs_time or now - last_asked >= LIMITS_EVERY_S:
                last_asked = now
                told = await self._ask(recorder)
                recorder.writer.org_ahead_ms = self.ahead_ms
                if needs_live and (told or self.latest):
                    await recorder.put(Live(Millis(self.now() + READ_MARGIN_MS)))
                waits = needs_time or not told
                pause = min(ASK_PAUSE_MAX_S, pause * 1.5) if waits else LOOK_EVERY_S
            else:
                pause = LOOK_EVERY_S
            await self.clock.sleep(pause)

    async def _ask(self, recorder: Recorder | None = None) -> bool:
        try:
            self.limits = await self.org.limits()
        except Fenced:
            raise
        except CdcError as error:  # the stream goes on without: it is asked again
            self.troubles.note(error)
            if recorder is not None:
                recorder.org_logger.warning(Event.ORG_SILENT, error=error.sentence())
            return False
        self.seen(self.limits.org_time)
        self._count_deliveries(self.limits)
        return True

    def _count_deliveries(self, limits: Limits) -> None:
        if limits.delivered_max is None or limits.delivered_remaining is None:
            return
        used = limits.delivered_max - limits.delivered_remaining
        self.metrics.delivery_limit.set(limits.delivered_max)
        self.metrics.delivery_used.set(used)
        self._used.append((limits.org_time, used))
        self.metrics.delivery_exhausted_at.set(
            exhausted_at_s(limits.org_time, used, limits.delivered_max, list(self._used))
        )


def exhausted_at_s(now: Millis, used: int, allowed: int, looks: list[tuple[Millis, int]]) -> float:
    """When the allowance of 24 hours will be used up (epoch seconds), at the pace at which its use grows.

    The pace is the steeper of two: over all looks kept, and over the last hour of them. Events older than a
    day leave the window, so what is used may also shrink: then, and without two looks, nothing is foreseen.
    """
    if used >= allowed:
        return now / 1000
    pace = 0.0  # events a second
    for window_s in (DELIVERY_WINDOW_S, 3600.0):
        within = [(at, count) for at, count in looks if now - at <= window_s * 1000]
        if len(within) > 1 and within[-1][0] > within[0][0]:
            grown = (within[-1][1] - within[0][1]) / ((within[-1][0] - within[0][0]) / 1000)
            pace = max(pace, grown)
    return now / 1000 + (allowed - used) / pace if pace > 0 else float("inf")
