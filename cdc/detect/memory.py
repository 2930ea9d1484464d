"""The last times that somebody did something in bulk: what was written, by whom; and what was alerted."""

from __future__ import annotations

from typing import Any, NamedTuple

from cdc.detect.episode import Key
from cdc.detect.facts import DAY_MS, HOUR_MS, Facts

REMEMBERED = 6
"""Bulk episodes remembered per actor and field."""

PLACES_MAX = 20_000
WHOLE_RECORD = -1
"""In place of a field: the bulk episode as such."""

ALIKE = 1.3
"""Variety below which a field was given one value."""

HABIT_DAYS = 3
"""After so many days of the same, never reverted, it is usual (detection.md, D0)."""

HABIT_GROWTH = 3
"""An episode up to so many times the largest of a habit still belongs to it."""

HABITS_MAX = 4096
SAME_HOUR_MS = 2 * HOUR_MS
REPEAT_DAYS = (1, 7)
"""What was alerted a day or a week earlier at the same hour is most likely a job, and known by now."""


SHAPES_REMEMBERED = 6


class BulkWrite(NamedTuple):
    """One bulk episode; `shapes` only in the newest of a place: what its values looked like."""

    day: int
    records: int
    variety: float
    null_share: float
    top: int
    user: str
    shapes: tuple[tuple[int, int], ...] = ()


class BulkMemory:
    """Bulk episodes that count as usual: per actor and field, per entity and field, and who does any at all."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], list[BulkWrite]] = {}

    def learn(self, facts: Facts) -> None:
        if not facts.bulk:
            return
        key = facts.key
        whole = BulkWrite(facts.day, facts.records, 0.0, 0.0, 0, key.user)
        for place in ((*key, WHOLE_RECORD), ("user", key.user, key.entity, key.kind), ("user", key.user)):
            self._note(place, whole)
        for field in facts.fields:
            if 2 * field.writes < facts.changes or field.writes == 0:
                continue
            top = field.top[0].value if field.top else 0
            write = BulkWrite(
                facts.day,
                facts.records,
                round(field.variety, 3),
                round(field.null_share, 3),
                top,
                key.user,
                tuple(sorted(field.shapes, key=lambda s: (-s[1], s[0]))[:SHAPES_REMEMBERED]),
            )
            self._note((*key, field.code), write)
            self._note(("entity", key.entity, key.kind, field.code), write)

    def alerted(self, facts: Facts) -> None:
        """An alerted episode that nobody acknowledged: what it wrote alike may be how people here do it."""
        for field in facts.fields:
            if (
                2 * field.writes >= facts.changes
                and field.top
                and field.variety < ALIKE
                and field.top[0].text is not None
            ):
                key = facts.key
                write = BulkWrite(facts.day, facts.records, 1.0, 0.0, field.top[0].value, key.user)
                self._note(("alerted", key.origin, key.entity, key.kind, field.code), write)

    def is_practice(self, key: Key, field: int, records: int) -> bool:
        """Whether several people, on several days, gave this field one value in bulk through this client.

        What they did to a page of a list says nothing of `records` many times as many.
        """
        known = self._kept.get(("alerted", key.origin, key.entity, key.kind, field), [])
        known = known + [w for w in self.entity(key, field) if w.variety < ALIKE and w.null_share < 0.5]
        others = [w for w in known if w.user != key.user]
        if records > HABIT_GROWTH * max((w.records for w in others), default=0):
            return False
        return len({w.day for w in others}) >= HABIT_DAYS and len({w.user for w in others}) >= HABIT_DAYS

    def actor(self, key: Key, field: int = WHOLE_RECORD) -> list[BulkWrite]:
        return self._kept.get((*key, field), [])

    def user(self, key: Key) -> list[BulkWrite]:
        """The user's bulk episodes of this kind on this entity, through whatever client."""
        return self._kept.get(("user", key.user, key.entity, key.kind), [])

    def user_anywhere(self, user: str) -> list[BulkWrite]:
        return self._kept.get(("user", user), [])

    def entity(self, key: Key, field: int) -> list[BulkWrite]:
        return self._kept.get(("entity", key.entity, key.kind, field), [])

    def _note(self, place: tuple[Any, ...], write: BulkWrite) -> None:
        kept = [w._replace(shapes=()) for w in self._kept.pop(place, [])[-(REMEMBERED - 1) :]]
        self._kept[place] = [*kept, write]
        if len(self._kept) > PLACES_MAX:
            self._kept.pop(next(iter(self._kept)))

    def state(self) -> Any:
        return [[list(place), [list(write) for write in writes]] for place, writes in self._kept.items()]

    def restore(self, state: Any) -> None:
        self._kept = {tuple(place): [_write(write) for write in writes] for place, writes in state}


def _write(state: Any) -> BulkWrite:
    write = BulkWrite._make(state)
    return write._replace(shapes=tuple((shape, count) for shape, count in write.shapes))


class Habits:
    """Alerted episodes nobody acknowledged, by key: the third day makes them a habit."""

    def __init__(self) -> None:
        self._kept: dict[Key, list[tuple[int, int]]] = {}

    def note(self, facts: Facts) -> None:
        kept = self._kept.pop(facts.key, [])
        self._kept[facts.key] = [*kept[-(REMEMBERED - 1) :], (facts.first_at, facts.records)]
        if len(self._kept) > HABITS_MAX:
            self._kept.pop(next(iter(self._kept)))

    def usual(self, facts: Facts) -> bool:
        """Whether the same was seen on three earlier days at about this size."""
        return self._days(facts, facts.day) >= HABIT_DAYS

    def formed(self, facts: Facts) -> bool:
        """Whether with this episode, already noted, there are three days."""
        return self._days(facts, facts.day + 1) >= HABIT_DAYS

    def repeated(self, facts: Facts) -> bool:
        """Whether the same was alerted a day or a week earlier at the same hour."""
        return any(
            abs(facts.first_at - at - days * DAY_MS) <= SAME_HOUR_MS
            and facts.records <= HABIT_GROWTH * records
            for at, records in self._kept.get(facts.key, [])
            for days in REPEAT_DAYS
        )

    def _days(self, facts: Facts, before: int) -> int:
        return len(
            {
                at // DAY_MS
                for at, records in self._kept.get(facts.key, [])
                if at // DAY_MS < before and facts.records <= HABIT_GROWTH * records
            }
        )

    def state(self) -> Any:
        return [[list(key), kept] for key, kept in self._kept.items()]

    def restore(self, state: Any) -> None:
        self._kept = {Key(*key): [(at, records) for at, records in kept] for key, kept in state}
