"""D4: one value, or null, in a field that is usually varied; or a value the field hardly ever gets."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2, log10, sqrt
from typing import Any, NamedTuple

from cdc.change.kinds import WHOLE_KINDS, Kind
from cdc.detect.channels.looks import OWN_MAX, WRITTEN_MIN, Finding, Looks
from cdc.detect.facts import SENSITIVE, Facts, FieldFacts
from cdc.detect.memory import HABIT_GROWTH, BulkMemory, BulkWrite
from cdc.detect.norms import CREATES, EDITS, STOCK, Norm, Norms
from cdc.ports.evidence import Weight

WRITTEN_MIN_SENSITIVE = 12
WRITTEN_SHARE = 0.4
"""A field must be written in so many changes, and in this share of the episode's."""

COLLAPSE_FULL_OCTAVES = 1.5
"""One value where there usually are about three is enough from this side. Five where there are ten is none: what is
dealt to several is no collapse, which leaves at most the square root of what there was."""

GENERAL_MAX = 1.75
OWN_EPISODES = 2
OWN_CERTAIN = 4
OWN_VARIED = 2.0
OWN_WRITES = 100
CONSTANT = 1.3
"""Variety below which a field was given one value."""

CHANGED_CONSTANT = 1.0
"""Weight of "always wrote X in bulk, and now Y"."""

REMEMBERED_MIN = 12
REMEMBERED_MIN_SENSITIVE = 8
VARIED_SENSITIVE = 2.0
SENSITIVE_FACTOR = 1.5
"""What says who may do what is never given one value in bulk by the way."""

REPLACED_ALIKE = 1.5
"""Below this variety of the values that were replaced, nothing was lost: a new name, or a field that was empty."""

NOTHING_LOST = 0.25
"""Factor where nothing was lost."""

PRACTICE = 0.3
"""Factor where several people gave this field one value in bulk, and nobody minded."""

LOST_VARIETY = 3.0
LOST_REMEMBERED = 50
LOST_RECORDS = 300
"""So many records, beyond a page of a list, that held different things for certain and now hold one."""

NULLED_SHARE = 0.5
NULLED_FLOOR = 0.03
NULLED_USUALLY = 0.1
NULLED_CERTAIN = 200
NULLED_SOURCES = 2
"""Half of a load's values are null: that is news where people, records and the actor's own past (two of them) say
that hardly any ever are."""

RUN_ONE = 1.5
RUN_CERTAIN_CHANGES = 256
RARE_SHARE = 0.03
ONE_VALUE_SHARE = 0.9
UNKNOWN_RECORDS = 1000
UNKNOWN_WEIGHT = 0.5
UNKNOWN_MAX_LEARNING = 1.0
UNKNOWN_MAX = 0.4
"""A field of which nothing is known: after the first week most likely a new one, whose backfill harms nothing."""

STILL_VARIED = 0.6
"""Factor where several other fields of the same episode are as varied as ever: a load, not a runaway."""

DEALT_VARIETY = 2.0
DEALT = 0.3
"""Factor where what fell to a few values, not to one, stands beside a field that is varied: a list that somebody
made, who deals records out."""

CREATES_COLLAPSED = 0.6
"""Share of usually varied fields that must have collapsed in created records: a first import has constants."""

HELD = "held"
VARIED = 4.0
UNIQUE = 12.0
FULL_OF_NULLS = 0.95


class Expected(NamedTuple):
    """The variety a field usually has, where that is known from, and the norm or own past behind it."""

    variety: float
    source: str
    norm: Norm | None = None
    past: tuple[BulkWrite, ...] = ()
    whose: str = ""  # where the source is not what knows the most


class OneValue:
    """Owns the norms of fields; knows from the memory of bulk episodes what this actor writes in bulk."""

    name = "D4"

    def __init__(self, bulk: BulkMemory) -> None:
        self.norms = Norms()
        self._bulk = bulk
        self._looks = Looks(self.norms, bulk)

    def learn(self, facts: Facts) -> None:
        """Nothing of its own: small edits reach the norms as rows, bulk episodes the memory."""

    def weigh(self, facts: Facts) -> Weight | None:
        if facts.key.kind in WHOLE_KINDS:
            return self._creates(facts)
        if facts.key.kind != Kind.UPDATE:
            return None
        written = list(self._written(facts))
        alike = max(
            (self._finding(facts, field) for field in written),
            key=lambda found: (found.weight, -found.field.code),
            default=None,
        )
        if alike is not None:
            alike = self._with_its_company(facts, alike, written)
        nulled = max(
            (self._nulled(facts, field) for field in written),
            key=lambda found: (found.weight, -found.field.code),
            default=None,
        )
        others = (alike, nulled, self._looks.finding(facts, written), self._run(facts))
        best = max((f for f in others if f is not None), key=lambda f: f.weight, default=None)
        if best is None or best.weight <= 0:
            return None
        factor = SENSITIVE_FACTOR if facts.key.entity in SENSITIVE else 1.0
        return Weight(min(OWN_MAX, factor * best.weight), (best.field.name, best.sentence))

    def explain(self, facts: Facts, weight: Weight) -> str:
        return str(weight.about[1])

    def expected(self, facts: Facts, field: FieldFacts) -> Expected | None:
        """From this actor's bulk episodes, else from people's edits, else from the records as they stand."""
        past = self._bulk.actor(facts.key, field.code)
        if len(past) >= OWN_EPISODES:
            return Expected(min(w.variety for w in past), "own", past=tuple(past))
        entity = facts.key.entity
        for source in (EDITS, STOCK):
            norm = self.norms.get(entity, source, field.code)
            if norm is not None and norm.known:
                held = field.variety_before if field.remembered >= LOST_REMEMBERED else 0.0
                usual = norm.variety()
                whose = HELD if held > usual else source
                return Expected(self._tempered(facts, field, max(held, usual)), source, norm, whose=whose)
        few = facts.key.entity in SENSITIVE
        least, varied = (
            (REMEMBERED_MIN_SENSITIVE, VARIED_SENSITIVE) if few else (REMEMBERED_MIN, LOST_VARIETY)
        )
        if field.remembered >= least and field.variety_before >= varied:
            return Expected(field.variety_before, HELD)
        others = self._bulk.entity(facts.key, field.code)
        if len(others) >= OWN_EPISODES:
            return Expected(min(w.variety for w in others), "others")
        return None

    def _written(self, facts: Facts) -> Iterator[FieldFacts]:
        few = facts.key.entity in SENSITIVE
        least = max(WRITTEN_MIN_SENSITIVE if few else WRITTEN_MIN, WRITTEN_SHARE * facts.changes)
        return (field for field in facts.fields if field.writes >= least)

    def _finding(self, facts: Facts, field: FieldFacts) -> Finding:
        expected = self.expected(facts, field)
        if expected is None:
            return self._of_unknown(facts, field)
        now = max(1.0, field.variety)
        few = now <= sqrt(expected.variety)
        collapse = log2(expected.variety / now) / COLLAPSE_FULL_OCTAVES if few else 0.0
        certain = expected.source == "own" and len(expected.past) >= OWN_CERTAIN
        weight = min(OWN_MAX if certain else GENERAL_MAX, collapse)
        if certain and expected.variety >= OWN_VARIED and now < CONSTANT and field.writes >= OWN_WRITES:
            weight = OWN_MAX
        usually = {
            "own": "this actor's bulk changes always gave it",
            EDITS: "edits usually give it",
            STOCK: "records have in it",
            HELD: "the records held before",
            "others": "bulk changes usually give it",
        }[expected.whose or expected.source]
        sentence = (
            f"{field.name} got {shown(field)} in {100 * field.top_share:.0f} % of {field.writes:,} writes; "
            f"{usually} about {expected.variety:.0f} different values"
        )
        other = self._other_value(field, expected)
        if other is not None and other.weight > weight:
            weight, sentence = other.weight, other.sentence
        if (
            weight < OWN_MAX
            and not field.nulls
            and self._bulk.is_practice(facts.key, field.code, facts.records)
        ):
            return Finding(weight * PRACTICE, field, sentence + "; several people here do so")
        if field.remembered >= REMEMBERED_MIN and field.variety_before < REPLACED_ALIKE:
            return Finding(weight * NOTHING_LOST, field, sentence + "; what it replaced was one value too")
        if field.remembered >= REMEMBERED_MIN and weight < OWN_MAX:  # no more is lost than was there
            lost = log2(max(1.0, field.variety_before / now)) / COLLAPSE_FULL_OCTAVES
            weight = min(weight, max(NOTHING_LOST * weight, lost))
        return Finding(weight, field, sentence)

    def _with_its_company(self, facts: Facts, found: Finding, written: list[FieldFacts]) -> Finding:
        """A field given one value says less beside others that are as varied as ever, and all there is to say
        where it comes alone, to many, and what it took away was varied for certain."""
        others = (f for f in written if f.code != found.field.code)
        dealt = found.weight < OWN_MAX and found.field.variety >= DEALT_VARIETY
        if dealt and any(f.variety >= VARIED for f in others):
            return found._replace(weight=found.weight * DEALT)
        still_varied = self._still_varied(facts, written) >= 2
        if still_varied:
            return found if self._lost(found) else found._replace(weight=found.weight * STILL_VARIED)
        field = found.field
        gone = field.remembered >= LOST_REMEMBERED and field.variety_before >= LOST_VARIETY
        if not gone or found.weight < GENERAL_MAX or field.top_share < ONE_VALUE_SHARE:
            return found
        if facts.records < LOST_RECORDS or facts.key.kind != Kind.UPDATE:
            return found
        said = f"; the records held about {field.variety_before:.0f} different ones before"
        return Finding(OWN_MAX, field, found.sentence + said)

    def _nulled(self, facts: Facts, field: FieldFacts) -> Finding:
        """Null for many, in a field that hardly ever gets null: whatever the other values are."""
        if field.null_share < NULLED_SHARE:
            return Finding(0.0, field, "")
        usual = [w.null_share for w in self._bulk.actor(facts.key, field.code)][-1:]
        for source in (EDITS, STOCK):
            norm = self.norms.get(facts.key.entity, source, field.code)
            if norm is not None and norm.known:
                usual.append(norm.null_share)
        if not usual:
            return Finding(0.0, field, "")
        most = max(usual)
        weight = log2(field.null_share / max(most, NULLED_FLOOR)) / COLLAPSE_FULL_OCTAVES
        certain = len(usual) >= NULLED_SOURCES and most <= NULLED_USUALLY and field.nulls >= NULLED_CERTAIN
        said = (
            f"{field.name} got null in {100 * field.null_share:.0f} % of {field.writes:,} writes; "
            f"usually at most {100 * most:.0f} % do"
        )
        return Finding(OWN_MAX if certain else min(GENERAL_MAX, weight), field, said)

    def _lost(self, found: Finding) -> bool:
        """Whether something was taken away for certain: the actor's own habit, nulls, or values that differed."""
        field = found.field
        varied = field.remembered >= REMEMBERED_MIN and field.variety_before >= LOST_VARIETY
        null = bool(field.top) and field.top[0].text is None
        return found.weight >= OWN_MAX or null or varied

    def _run(self, facts: Facts) -> Finding | None:
        """One value in a row, in the midst of a load that wrote many."""
        runs = [f for f in facts.fields if f.run]
        if not runs:
            return None
        field = max(runs, key=lambda f: (f.run, -f.code))
        weight = OWN_MAX if field.run >= RUN_CERTAIN_CHANGES else RUN_ONE
        said = f"{field.name} got one value in the last {field.run:,} changes of this load, which had varied it until then"
        return Finding(weight, field, said)

    def _other_value(self, field: FieldFacts, expected: Expected) -> Finding | None:
        """One value where it is not the variety that is odd, but the value."""
        if field.top_share < ONE_VALUE_SHARE:
            return None
        top = field.top[0].value
        if expected.past:
            constants = {w.top for w in expected.past if w.variety < CONSTANT}
            if len(expected.past) >= OWN_CERTAIN - 1 and len(constants) == 1 and top not in constants:
                always = all(w.variety < CONSTANT for w in expected.past)
                said = (
                    f"{field.name} got {shown(field)}; this actor's bulk changes always wrote another value"
                )
                return Finding(CHANGED_CONSTANT, field, said) if always else None
            return None
        norm = expected.norm
        if norm is None or expected.source != EDITS or not norm.closed():
            return None
        share = norm.share_of(top)
        if share >= RARE_SHARE or share == 0:  # a value never seen is most likely a new one of the picklist
            return None
        weight = min(GENERAL_MAX, log10(field.top_share / max(share, 1 / norm.writes)) / 1.2)
        said = (
            f"{field.name} got {shown(field)} in {100 * field.top_share:.0f} % of {field.writes:,} writes; "
            f"usually {100 * share:.1f} % do"
        )
        return Finding(weight, field, said)

    def _of_unknown(self, facts: Facts, field: FieldFacts) -> Finding:
        sentence = f"{field.name} got {shown(field)} in {100 * field.top_share:.0f} % of {field.writes:,} writes; what it usually gets is not known yet"
        if field.top_share < ONE_VALUE_SHARE or field.writes < UNKNOWN_RECORDS:
            return Finding(0.0, field, sentence)
        most = UNKNOWN_MAX_LEARNING if facts.org.learning else UNKNOWN_MAX
        weight = UNKNOWN_WEIGHT + log2(field.writes / UNKNOWN_RECORDS) / 4
        return Finding(min(most, weight), field, sentence)

    def _tempered(self, facts: Facts, field: FieldFacts, variety: float) -> float:
        """Where several others write one value in bulk, to about as many, a collapse says less."""
        others = [w for w in self._bulk.entity(facts.key, field.code) if w.user != facts.key.user]
        if facts.records > HABIT_GROWTH * max((w.records for w in others), default=0):
            return variety
        if len({w.user for w in others}) >= 2 and min(w.variety for w in others) < CONSTANT:
            return sqrt(variety)
        return variety

    def _still_varied(self, facts: Facts, written: list[FieldFacts]) -> int:
        count = 0
        for field in written:
            expected = self.expected(facts, field)
            if expected is not None and expected.variety >= VARIED and field.variety >= expected.variety / 2:
                count += 1
        return count

    def _creates(self, facts: Facts) -> Weight | None:
        varied = []
        for field in facts.fields:
            for source in (CREATES, STOCK, EDITS):
                norm = self.norms.get(facts.key.entity, source, field.code)
                if norm is not None and norm.known:
                    if norm.variety() >= UNIQUE and norm.null_share < FULL_OF_NULLS:
                        varied.append(field)
                    break
        fallen = [f for f in varied if f.writes >= WRITTEN_MIN and f.variety < CONSTANT]
        if len(varied) < 2 or len(fallen) < CREATES_COLLAPSED * len(varied):
            return None
        named = ", ".join(sorted(f.name for f in fallen)[:3])
        said = f"{named} are alike in all created records; they usually differ from record to record"
        return Weight(1.0 + 0.5 * len(fallen) / len(varied), (fallen[0].name, said))

    def state(self) -> Any:
        return self.norms.state()

    def restore(self, state: Any) -> None:
        self.norms.restore(state)


def shown(field: FieldFacts) -> str:
    """How a sentence speaks of the top value without telling it: values may be personal."""
    return "null" if field.top and field.top[0].text is None else "one value"
