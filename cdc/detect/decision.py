"""From the weights of the channels to nothing, a digest line, or a page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log2

from cdc.change.kinds import WHOLE_KINDS
from cdc.detect.facts import SENSITIVE, Facts
from cdc.ports.evidence import Weight

GUARD = 1.0
SIDE_MIN = 0.5
"""Two independent kinds of evidence: each side must say at least so much."""

THRESHOLD = 2.0
"""Actor's side and value's side together, for an episode of `SIZE_FULL` records or more."""

SIZE_FULL = 300
SIZE_MIN = 200
PER_HALVING = 1.5
"""Small episodes need more: a person may set a page of 200 records to one value from a list view."""

CERTAIN = 2.5
CERTAIN_SIZE = 200
"""An actor's own long habit of variety, broken, needs nobody else's word."""

LEARNING_FACTOR = 0.5
"""In the first week everything an actor does is new."""

LEARNING_SIZE = 1000

VOLUME_FACTOR = 10
VOLUME_RECORDS = 10_000
VOLUME_CREATED = 25_000
"""Volume alone: beyond ten times the largest episode the org has seen, and never below these."""

DIGEST_SIZE = 100
DIGEST_LEARNING_SIZE = 500
DIGEST_TOTAL = 1.75


class Severity(StrEnum):
    DIGEST = "digest"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`suspicious`: not for its volume alone, so nothing is learned from it unless acknowledged."""

    severity: Severity
    suspicious: bool


def decide(facts: Facts, weights: dict[str, Weight]) -> Verdict | None:
    """What an episode with these weights deserves now; None: nothing."""
    value_of = {channel: weight.value for channel, weight in weights.items()}
    guard = value_of.get("D0", 0.0)
    if guard >= GUARD:
        return Verdict(Severity.PAGE, True)
    size = facts.changes if value_of.get("D3", 0.0) > 0 else facts.records
    size *= SENSITIVE.get(facts.key.entity, 1)
    if value_of.get("D3", 0.0) >= CERTAIN:
        return Verdict(Severity.PAGE, True)
    actor = value_of.get("D1", 0.0) + value_of.get("D2", 0.0)
    if facts.org.learning:
        actor *= LEARNING_FACTOR
    sides = sorted((guard, *(value_of.get(channel, 0.0) for channel in ("D3", "D4", "D6"))), reverse=True)
    value = sides[0] + sides[1] / 4
    if _is_page(facts, size, actor, value):
        return Verdict(Severity.PAGE, True)
    if _is_volume(facts) and actor >= SIDE_MIN:
        return Verdict(Severity.PAGE, value >= SIDE_MIN)
    least = DIGEST_LEARNING_SIZE if facts.org.learning and value < 1 else DIGEST_SIZE
    if size >= least and actor + value >= DIGEST_TOTAL:
        return Verdict(Severity.DIGEST, value >= 1 and actor >= SIDE_MIN)
    return None


def required(size: int) -> float:
    """What both sides together must reach at this size."""
    return THRESHOLD + PER_HALVING * max(0.0, log2(SIZE_FULL / max(1, size)))


def _is_page(facts: Facts, size: int, actor: float, value: float) -> bool:
    if value >= CERTAIN and size >= CERTAIN_SIZE:
        return True
    if size < (LEARNING_SIZE if facts.org.learning else SIZE_MIN):
        return False
    return min(actor, value) >= SIDE_MIN and actor + value >= required(size)


def _is_volume(facts: Facts) -> bool:
    least = VOLUME_CREATED if facts.key.kind in WHOLE_KINDS else VOLUME_RECORDS
    return not facts.org.learning and facts.records >= max(least, VOLUME_FACTOR * facts.org.largest)
