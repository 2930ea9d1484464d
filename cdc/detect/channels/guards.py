"""D0: what is an alarm by itself, with no baseline: everything named at once, mass deletes, mass nulls."""

from __future__ import annotations

from typing import Any

from cdc.change.kinds import Kind
from cdc.detect.episode import GUARDED
from cdc.detect.facts import Facts, FieldFacts
from cdc.detect.memory import HABIT_GROWTH, BulkMemory, BulkWrite, Habits
from cdc.detect.norms import EDITS, Norms
from cdc.ports.evidence import Weight

DELETED_SHARE = 0.01
NULLED_SHARE = 0.9
NULLED_USUALLY = 0.5
"""A field that people's edits null every second time is not guarded."""

CHUNKED_DELETES = 10
"""So many deletes a transaction come from a program; a person who merges or deletes does one or two."""

GUARD = 1.0
BELOW_GUARD = 0.9

ALL, DELETES, NULLS = "all", "deletes", "nulls"


class Guards:
    """1 when a guard is reached; a little less for mass deletes below the entity's share.

    An actor that did the same at this size on three earlier days, acknowledged or never reverted, is usual.
    """

    name = "D0"

    def __init__(self, bulk: BulkMemory, norms: Norms) -> None:
        self._bulk = bulk
        self._norms = norms
        self.habits = Habits()

    def learn(self, facts: Facts) -> None:
        """Nothing of its own: what is usual is in the memory of bulk episodes and in the habits."""

    def weigh(self, facts: Facts) -> Weight | None:
        if facts.names_all:
            return Weight(GUARD, (ALL,))
        if facts.records < GUARDED or self.habits.usual(facts):
            return None
        if facts.key.kind in (Kind.DELETE, Kind.GAP_DELETE):
            return self._deletes(facts)
        if facts.key.kind == Kind.UPDATE:
            return self._nulls(facts)
        return None

    def explain(self, facts: Facts, weight: Weight) -> str:
        what = weight.about[0]
        if what == ALL:
            return f"the event stands for every {facts.key.entity} record, and says no values"
        if what == DELETES:
            known = facts.org.known_records
            share = f", {100 * facts.records / known:.1f} % of the {known} known" if known else ""
            return f"{facts.records} {facts.key.entity} records deleted{share}"
        _, field, nulls, share = weight.about
        return f"{field} set to null in {nulls} changes, {100 * share:.0f} % of all that wrote it"

    def _deletes(self, facts: Facts) -> Weight | None:
        if _usual_size(self._bulk.actor(facts.key), facts):
            return None
        if facts.records >= max(GUARDED, DELETED_SHARE * facts.org.known_records):
            return Weight(GUARD, (DELETES,))
        if facts.per_transaction >= CHUNKED_DELETES:
            return Weight(BELOW_GUARD, (DELETES,))
        return None

    def _nulls(self, facts: Facts) -> Weight | None:
        worst = max((f for f in facts.fields if self._guarded(facts, f)), key=_nulls_of, default=None)
        if worst is None:
            return None
        return Weight(GUARD, (NULLS, worst.name, worst.nulls, worst.null_share))

    def _guarded(self, facts: Facts, field: FieldFacts) -> bool:
        if field.nulls < GUARDED or field.null_share < NULLED_SHARE:
            return False
        norm = self._norms.get(facts.key.entity, EDITS, field.code)
        if norm is not None and norm.known and norm.null_share >= NULLED_USUALLY:
            return False
        nulled = [w for w in self._bulk.actor(facts.key, field.code) if w.null_share >= NULLED_SHARE]
        return not _usual_size(nulled, facts)

    def state(self) -> Any:
        return self.habits.state()

    def restore(self, state: Any) -> None:
        self.habits.restore(state)


def _usual_size(earlier: list[BulkWrite], facts: Facts) -> bool:
    """Three earlier days at this size."""
    return (
        len({w.day for w in earlier if w.day < facts.day and facts.records <= HABIT_GROWTH * w.records}) >= 3
    )


def _nulls_of(field: FieldFacts) -> tuple[int, int]:
    return field.nulls, -field.code
