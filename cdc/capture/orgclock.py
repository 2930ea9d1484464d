"""What time the org says it is, asked for only when something waits for it.

Three things wait: a channel whose first position is stored (from when is it live), a full state that counts
only once the stream has passed its reading (architecture.md, "Full states"), and the delivery allowance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdc.capture.writer import Live
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import RetryLater
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.org import Limits, Org
from cdc.ports.types import Millis

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

LOOK_EVERY_S = 1.0
LIMITS_EVERY_S = 600.0
ASK_PAUSE_MAX_S = 30.0


@dataclass(slots=True)
class OrgClock:
    """`latest` is the newest org time told by any answer; it never runs ahead of the org."""

    org: Org
    clock: Clock
    metrics: Metrics
    latest: Millis = Millis(0)
    settle_at: Millis = Millis(0)
    limits: Limits | None = None

    def seen(self, org_time: Millis) -> None:
        self.latest = max(self.latest, org_time)

    def settle(self, read_to: Millis) -> None:
        """Something was read at `read_to`: an org time past it, by the margin of skewed clocks, is wanted."""
        self.settle_at = max(self.settle_at, Millis(read_to + READ_MARGIN_MS))

    async def run(self, recorder: Recorder) -> None:
        last_asked = -LIMITS_EVERY_S
        pause = LOOK_EVERY_S
        while True:
            now = self.clock.monotonic_s()
            positions = recorder.writer.positions.channels.values()
            needs_live = any(p.replay_id is not None and not p.live_from for p in positions)
            needs_time = self.latest < self.settle_at
            if needs_live or needs_time or now - last_asked >= LIMITS_EVERY_S:
                last_asked = now
                if await self._ask() and needs_live:
                    await recorder.put(Live(Millis(self.latest + READ_MARGIN_MS)))
                pause = min(ASK_PAUSE_MAX_S, pause * 1.5) if needs_time else LOOK_EVERY_S
            else:
                pause = LOOK_EVERY_S
            await self.clock.sleep(pause)

    async def _ask(self) -> bool:
        try:
            self.limits = await self.org.limits()
        except RetryLater:
            return False
        self.seen(self.limits.org_time)
        if self.limits.delivered_max is not None and self.limits.delivered_remaining is not None:
            self.metrics.delivery_limit.set(self.limits.delivered_max)
            self.metrics.delivery_used.set(self.limits.delivered_max - self.limits.delivered_remaining)
        return True
