"""Part of D4: values that do not look like the field's: other kinds of characters, other lengths."""

from __future__ import annotations

from typing import NamedTuple

from cdc.detect.facts import Facts, FieldFacts
from cdc.detect.memory import BulkMemory
from cdc.detect.norms import CREATES, EDITS, STOCK, Norms
from cdc.detect.shapes import difference

WRITTEN_MIN = 25
"""A field must be written in so many changes to be looked at."""

OWN_MAX = 2.5
"""Beyond what people's edits say; an actor's own habit, always varied until now, says more."""

LOOKS_MIN = 64
BITS_MIN = 0.8
BITS_FULL = 1.0
ONE_SOURCE_MAX = 2.0
"""What one source says; the field's usual values and what this actor wrote before, agreeing, are enough alone."""

SHIFTED_FIELDS = 2
"""Two fields whose values look like another field's: columns that stand under the wrong headings."""

NEW_NAMES_MAX = 4.0
"""A few values, new to a field that only ever has a few, are new names in its list, however they look."""


class Finding(NamedTuple):
    """What speaks against one field: weight, what was expected, and the sentence about it."""

    weight: float
    field: FieldFacts
    sentence: str


class Looks:
    """Compares shapes (`cdc.detect.shapes`) with those that the field usually has."""

    def __init__(self, norms: Norms, bulk: BulkMemory) -> None:
        self._norms = norms
        self._bulk = bulk

    def finding(self, facts: Facts, written: list[FieldFacts]) -> Finding | None:
        """The field whose values look least like its own; None where all look as they do."""
        found = []
        for field in written:
            if sum(n for _, n in field.shapes) < WRITTEN_MIN or self._new_names(facts, field):
                continue
            usual = self._usual(facts, field)
            bits = min((difference(one, dict(field.shapes)) for one, _ in usual), default=0.0)
            if bits >= BITS_MIN:
                found.append((bits, field, usual))
        if not found:
            return None
        found.sort(key=lambda one: (-one[0], one[1].code))
        bits, field, usual = found[0]
        weight = min(OWN_MAX if len(usual) > 1 else ONE_SOURCE_MAX, (bits - BITS_MIN) / BITS_FULL)
        if len(found) >= SHIFTED_FIELDS:
            weight = OWN_MAX
        named = ", ".join(one[1].name for one in found[:4])
        said = f"{named} got values that do not look like {usual[0][1]}: other kinds of characters or lengths"
        return Finding(weight, field, said)

    def _new_names(self, facts: Facts, field: FieldFacts) -> bool:
        if field.variety > NEW_NAMES_MAX:
            return False
        norms = (self._norms.get(facts.key.entity, source, field.code) for source in (EDITS, STOCK))
        return any(norm is not None and norm.closed() for norm in norms)

    def _usual(self, facts: Facts, field: FieldFacts) -> list[tuple[dict[int, int], str]]:
        """What the field's values look like, by this actor's bulk changes and by everybody's."""
        found = []
        past = self._bulk.actor(facts.key, field.code)
        if past and past[-1].shapes:
            found.append((dict(past[-1].shapes), "what this actor's bulk changes wrote before"))
        for source in (EDITS, STOCK, CREATES):
            norm = self._norms.get(facts.key.entity, source, field.code)
            if norm is not None and norm.looks >= LOOKS_MIN:
                return [*found, (norm.shapes, "this field's usual ones")]
        return found
