"""D6: do new records look like records that are there already, or like each other?"""

from __future__ import annotations

from math import log2
from typing import Any

from cdc.change.kinds import Kind
from cdc.detect.facts import Facts, FieldFacts
from cdc.detect.norms import CREATES, STOCK, Norms
from cdc.ports.evidence import Weight

AGAIN_MIN = 25
AGAIN_SHARE = 0.2
"""So many new records, and this share of them, must have a value that another record has."""

USUALLY_MAX = 0.1
"""A field whose values more often recur names no record."""

USUALLY_MIN = 0.02
LOOKS_MIN = 64
PER_DOUBLING = 0.5
ONE_FIELD_MAX = 1.75
SEVERAL_MAX = 2.5
COPIED_MIN = 100
COPIED_FIELDS = 2
"""So many copies in a row, in so many fields, are a list that is written a second time, whatever came before it."""


class Duplicates:
    """Compares, per field, how often new records have a value seen before with how often they usually do.

    Values are compared without the difference of capitals. What recurs is found by `cdc.detect.recall`.
    """

    name = "D6"

    def __init__(self, norms: Norms) -> None:
        self._norms = norms

    def learn(self, facts: Facts) -> None:
        """Nothing of its own: small creates reach the norms as rows."""

    def weigh(self, facts: Facts) -> Weight | None:
        if facts.key.kind != Kind.CREATE:
            return None
        found = sorted(
            ((weight, -field.code, field) for field in facts.fields if (weight := self._of(facts, field))),
            reverse=True,
        )
        if not found:
            return None
        most = SEVERAL_MAX if len(found) > 1 else ONE_FIELD_MAX
        copied = sorted((f for _, _, f in found if f.copied >= COPIED_MIN), key=lambda f: (-f.copied, f.code))
        if len(copied) >= COPIED_FIELDS:
            return Weight(SEVERAL_MAX, (", ".join(f.name for f in copied[:3]), -copied[0].copied))
        field = found[0][2]
        named = ", ".join(one[2].name for one in found[:3])
        return Weight(min(most, found[0][0]), (named, round(field.again / field.writes, 3)))

    def explain(self, facts: Facts, weight: Weight) -> str:
        named, share = weight.about
        if share < 0:
            return f"{named}: {-share:,} new records in a row have what another record has already"
        return f"{named}: {100 * share:.0f} % of the new records have what another record has already"

    def _of(self, facts: Facts, field: FieldFacts) -> float:
        copied = field.copied >= COPIED_MIN
        if field.again < AGAIN_MIN or (field.again < AGAIN_SHARE * field.writes and not copied):
            return 0.0
        if 2 * field.writes < facts.changes:
            return 0.0
        for source in (CREATES, STOCK):
            norm = self._norms.get(facts.key.entity, source, field.code)
            if norm is not None and norm.looks >= LOOKS_MIN:
                if norm.again_share > USUALLY_MAX:
                    return 0.0
                usual = max(USUALLY_MIN, norm.again_share)
                weight = PER_DOUBLING * log2(field.again / field.writes / usual)
                return max(1.0, weight) if copied else weight
        return 0.0

    def state(self) -> Any:
        return None

    def restore(self, state: Any) -> None:
        """Nothing of its own."""
