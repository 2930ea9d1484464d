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

SIDE_LEAST = 0.25
STRONG = 2.0
"""Beside a strong word about the values, a weak one about the actor is enough."""

THRESHOLD = 2.0
"""Actor's side and value's side together, for an episode of `SIZE_FULL` records or more."""

SIZE_FULL = 300
SIZE_MIN = 200
PER_HALVING = 1.5
"""Small episodes need more: a person may set a page of 200 records to one value from a list view."""

CERTAIN = 2.5
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

PAGE_RISE_MAX = 1.25
DIGEST_RISE_MAX = 1.5
"""The most that the budget may add to the bounds."""


class Severity(StrEnum):
    DIGEST = "digest"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Needed:
    """How much more than the bounds here is needed this week, for the budget's sake."""

    page: float = 0.0
    digest: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`suspicious`: not for its volume alone, so nothing is learned from it unless acknowledged.

    `score`: by how much the evidence passes the bound of its size, for the budget; 0 where it does not, or
    where no budget silences it.
    """

    severity: Severity | None
    suspicious: bool = False
    score: float = 0.0


def decide(facts: Facts, weights: dict[str, Weight], needed: Needed) -> Verdict:
    """What an episode with these weights deserves now."""
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
    kinds = sorted((guard, *(value_of.get(channel, 0.0) for channel in ("D3", "D4", "D6"))), reverse=True)
    value = kinds[0] + kinds[1] / 4
    if size >= (LEARNING_SIZE if facts.org.learning else SIZE_MIN):
        certain = max(0.0, value - CERTAIN) + 0.01 if value >= CERTAIN else 0.0
        sides = value >= SIDE_MIN and actor >= (SIDE_MIN if value < STRONG else SIDE_LEAST)
        both = max(0.0, actor + value - required(size)) + 0.01 if sides else 0.0
        score = max(certain, both if actor + value >= required(size) else 0.0)
        if score > 0:
            severity = Severity.PAGE if score > needed.page else Severity.DIGEST
            return Verdict(severity, True, score)
    if _is_volume(facts) and actor >= SIDE_MIN:
        return Verdict(Severity.PAGE, value >= SIDE_MIN)
    least = DIGEST_LEARNING_SIZE if facts.org.learning and value < 1 else DIGEST_SIZE
    if size >= least and actor + value >= DIGEST_TOTAL + needed.digest:
        return Verdict(Severity.DIGEST, value >= 1 and actor >= SIDE_MIN)
    return Verdict(None)


def required(size: int) -> float:
    """What both sides together must reach at this size."""
    return THRESHOLD + PER_HALVING * max(0.0, log2(SIZE_FULL / max(1, size)))


def _is_volume(facts: Facts) -> bool:
    least = VOLUME_CREATED if facts.key.kind in WHOLE_KINDS else VOLUME_RECORDS
    return not facts.org.learning and facts.records >= max(least, VOLUME_FACTOR * facts.org.largest)
