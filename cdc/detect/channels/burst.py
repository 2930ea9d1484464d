"""D1: is this beyond what the key does when it is active: in 10 s, 1 min, 10 min, in one go, in a day?"""

from __future__ import annotations

from math import log10
from typing import Any

from cdc.detect.baselines import Baselines, slot_of
from cdc.detect.facts import CHANGES, ONE_DAY, SIZES, Facts
from cdc.ports.evidence import Weight

SURPRISE_MIN = 1.0
SURPRISE_FULL = 2.5
"""Powers of ten: one episode in ten is no evidence, one in three hundred is enough."""

WEIGHT_MAX = 2.0
LOOKS = 2.0
"""Several sizes are looked at, but they go together: as if there were two."""

LOOPED_MIN = 25
ODD_HOUR = 0.3
ODD_HOUR_SHARE = 0.02
ODD_HOUR_EPISODES = 20

OWN_RESTORE = ";sf-cdc-restore"
"""Client class of this system's own restores: their volume is no surprise."""


class Burst:
    """Owns the baselines. The most surprising of an episode's sizes counts."""

    name = "D1"

    def __init__(self) -> None:
        self.baselines = Baselines()

    def learn(self, facts: Facts) -> None:
        self.baselines.learn(facts)

    def weigh(self, facts: Facts) -> Weight | None:
        if facts.acknowledged or facts.key.origin.endswith(OWN_RESTORE):
            return None
        sizes = list(facts.sizes)
        sizes[ONE_DAY] = self.baselines.day_so_far(facts)
        looked = [at for at in range(len(sizes)) if at != CHANGES or facts.looped >= LOOPED_MIN]
        p, at = min((self.baselines.tail(facts.key, at, sizes[at]), at) for at in looked)
        surprise = -log10(min(1.0, LOOKS * p))
        weight = max(0.0, (surprise - SURPRISE_MIN) / (SURPRISE_FULL - SURPRISE_MIN))
        odd_hour = facts.bulk and self._odd_hour(facts)
        weight += ODD_HOUR if odd_hour else 0.0
        if weight <= 0:
            return None
        return Weight(min(WEIGHT_MAX, weight), (at, sizes[at], p, odd_hour))

    def explain(self, facts: Facts, weight: Weight) -> str:
        at, size, p, odd_hour = weight.about
        what = "changes" if at == CHANGES else "records"
        span = "in one go" if at in (3, CHANGES) else f"in {SIZES[at]}"
        often = f"one episode in {round(1 / p):,}" if p > 1e-6 else "practically never"
        hour = "; never at this hour so far" if odd_hour else ""
        return f"{size:,} {what} {span}, expected in {often} of this user, client, entity and kind{hour}"

    def _odd_hour(self, facts: Facts) -> bool:
        own = self.baselines.own(facts.key)
        if own is None or own.total < ODD_HOUR_EPISODES * 256:
            return False
        return own.slot_share(slot_of(facts.first_at)) < ODD_HOUR_SHARE

    def state(self) -> Any:
        return self.baselines.state()

    def restore(self, state: Any) -> None:
        self.baselines.restore(state)
