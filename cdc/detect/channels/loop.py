"""D3: are the same records changed again and again?"""

from __future__ import annotations

from math import log2
from typing import Any

from cdc.detect.episode import LOOP_CHANGES, Key
from cdc.detect.facts import Facts
from cdc.ports.evidence import Weight

LOOPED_MIN = 25
LEARNING_REPEATS = 16
"""In the first week a record must be changed so often within the hour: a poll every few minutes is life."""

FULL = 1.0
PER_DOUBLING = 0.25
WEIGHT_MAX = 1.75
HABITUAL = 2
"""Looping so many times beyond what the key is used to is no longer its habit."""

FLIPPED_SHARE = 0.3
FLIPPED_WEIGHT = 2.5
"""Values that go to and fro, time and again, on the same records: no person works like that."""

FLIPPED_HABIT = 10
FLIPPED_DAYS = 2
"""On so many earlier days must values have gone to and fro to be a habit: what begins today is not excused by its
own first hours."""

REMEMBERED = 6
EPISODES_MIN = 3
KEYS_MAX = 4096


class Loop:
    """Remembers, per key, how many records its last episodes looped and how often."""

    name = "D3"

    def __init__(self) -> None:
        self._usual: dict[Key, list[tuple[int, int]]] = {}
        self._flips: dict[Key, list[tuple[int, int]]] = {}  # day, values that went to and fro

    def learn(self, facts: Facts) -> None:
        flipped = max((f.flipped for f in facts.fields), default=0)
        if flipped >= FLIPPED_HABIT:
            before = list(self._flips.pop(facts.key, []))
            if before and before[-1][0] == facts.day:
                flipped = max(flipped, before.pop()[1])
            self._flips[facts.key] = [*before[-(REMEMBERED - 1) :], (facts.day, flipped)]
            if len(self._flips) > KEYS_MAX:
                self._flips.pop(next(iter(self._flips)))
        if facts.looped < LOOPED_MIN:
            return
        kept = self._usual.pop(facts.key, [])
        self._usual[facts.key] = [*kept[-(REMEMBERED - 1) :], (facts.looped, _repeats(facts))]
        if len(self._usual) > KEYS_MAX:
            self._usual.pop(next(iter(self._usual)))

    def weigh(self, facts: Facts) -> Weight | None:
        return self._to_and_fro(facts) or self._again_and_again(facts)

    def _to_and_fro(self, facts: Facts) -> Weight | None:
        field = max(facts.fields, key=lambda f: (f.flipped, -f.code), default=None)
        if field is None or field.flipped < max(LOOPED_MIN, FLIPPED_SHARE * field.writes):
            return None
        usual = [most for day, most in self._flips.get(facts.key, []) if day < facts.day]
        if len(usual) >= FLIPPED_DAYS and field.flipped <= HABITUAL * max(usual):
            return None
        return Weight(FLIPPED_WEIGHT, (field.name, field.flipped))

    def _again_and_again(self, facts: Facts) -> Weight | None:
        if facts.looped < LOOPED_MIN:
            return None
        repeats = _repeats(facts)
        usual = self._usual.get(facts.key, [])
        if len(usual) >= EPISODES_MIN:
            looped_most, repeats_most = max(n for n, _ in usual), max(n for _, n in usual)
            if facts.looped <= HABITUAL * looped_most and repeats <= HABITUAL * repeats_most:
                return None
        elif facts.org.learning and repeats < LEARNING_REPEATS:
            return None
        weight = FULL + PER_DOUBLING * log2(facts.looped / LOOPED_MIN)
        return Weight(min(WEIGHT_MAX, weight), (facts.looped, repeats))

    def explain(self, facts: Facts, weight: Weight) -> str:
        looped, repeats = weight.about
        if isinstance(looped, str):
            return (
                f"{looped} went to and fro on {repeats:,} records: the value it had, another, and back, again"
            )
        return (
            f"{looped:,} of {facts.records:,} records were changed {LOOP_CHANGES} times or more, "
            f"{repeats} times on average"
        )

    def state(self) -> Any:
        return [
            [[list(key), kept] for key, kept in self._usual.items()],
            [[list(key), kept] for key, kept in self._flips.items()],
        ]

    def restore(self, state: Any) -> None:
        usual, flips = state
        self._usual = {Key(*key): [(looped, repeats) for looped, repeats in kept] for key, kept in usual}
        self._flips = {Key(*key): [(day, most) for day, most in kept] for key, kept in flips}


def _repeats(facts: Facts) -> int:
    return facts.changes // max(1, facts.records)
