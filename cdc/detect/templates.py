"""What people have said is all right: acknowledged jobs, announced windows, and what this system itself restores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from cdc.detect.episode import Key
from cdc.detect.facts import DAY_MS, HOUR_MS, Facts

TEMPLATES_MAX = 1000
WINDOWS_MAX = 1000
RESTORED_MAX = 200_000
RESTORED_FOR_MS = 2 * DAY_MS
GROWTH = 2
NEAR_HOURS = 3
CONSTANT_SHARE = 0.9
OWN_SHARE = 0.95


class Template(NamedTuple):
    """An acknowledged job: who, what, how many, at which hour, and the one value of each field that has one."""

    key: Key
    fields: tuple[int, ...]
    records: int
    hour: int
    values: tuple[tuple[int, int], ...]

    def fits(self, facts: Facts) -> bool:
        """The same actor with the same fields, no more than twice as many, about that hour, the same values."""
        if facts.key != self.key or facts.records > GROWTH * self.records:
            return False
        if not {f.code for f in facts.fields if 2 * f.writes >= facts.changes} <= set(self.fields):
            return False
        apart = abs(facts.first_at % DAY_MS // HOUR_MS - self.hour)
        if min(apart, 24 - apart) > NEAR_HOURS:
            return False
        now = dict(constants_of(facts))
        return all(now.get(code, value) == value for code, value in self.values)


@dataclass(frozen=True, slots=True)
class Window:
    """An announced time; empty `entities` or `users`: all."""

    from_at: int
    to_at: int
    entities: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def covers(self, key: Key, at: int) -> bool:
        return (
            self.from_at <= at <= self.to_at
            and (not self.entities or key.entity in self.entities)
            and (not self.users or key.user in self.users)
        )


class Said:
    """All of it, bounded, the oldest forgotten first."""

    def __init__(self) -> None:
        self._templates: dict[str, list[Template]] = {}
        self._windows: list[Window] = []
        self._restored: dict[tuple[str, str, str], tuple[int, set[int]]] = {}

    def acknowledge(self, alert_id: str, facts: Iterable[Facts]) -> None:
        self._templates[alert_id] = [template_of(one) for one in facts]
        if len(self._templates) > TEMPLATES_MAX:
            self._templates.pop(next(iter(self._templates)))

    def withdraw(self, alert_id: str) -> None:
        self._templates.pop(alert_id, None)

    def announce(self, window: Window) -> None:
        if window not in self._windows:
            self._windows = [*self._windows[-(WINDOWS_MAX - 1) :], window]

    def restoring(self, user: str, entity: str, kind: str, ids: Iterable[int], at: int) -> None:
        """This system is about to write these records as this user."""
        place = (user, entity, kind)
        until, known = self._restored.pop(place, (0, set()))
        known |= set(ids)
        while len(known) + sum(len(kept) for _, kept in self._restored.values()) > RESTORED_MAX:
            if not self._restored:
                known = set(sorted(known)[:RESTORED_MAX])
                break
            self._restored.pop(next(iter(self._restored)))
        self._restored[place] = (max(until, at + RESTORED_FOR_MS), known)

    def silences(self, facts: Facts) -> bool:
        """Whether this volume was announced, or is that of an acknowledged job."""
        if any(window.covers(facts.key, facts.last_at) for window in self._windows):
            return True
        return any(one.fits(facts) for known in self._templates.values() for one in known)

    def is_own(self, key: Key, ids: Iterable[int], at: int) -> bool:
        """Whether this system writes these records itself, putting back what was there."""
        until, known = self._restored.get((key.user, key.entity, key.kind), (0, set()))
        if at > until or not known:
            return False
        mine = list(ids)
        return sum(one in known for one in mine) >= OWN_SHARE * len(mine)

    def state(self) -> Any:
        return {
            "templates": [[alert, [list(t) for t in known]] for alert, known in self._templates.items()],
            "windows": [[w.from_at, w.to_at, w.entities, w.users] for w in self._windows],
            "restored": [[*place, until, sorted(ids)] for place, (until, ids) in self._restored.items()],
        }

    def restore(self, state: Any) -> None:
        self._templates = {alert: [_template(t) for t in known] for alert, known in state["templates"]}
        self._windows = [Window(a, b, tuple(e), tuple(u)) for a, b, e, u in state["windows"]]
        self._restored = {(u, e, k): (until, set(ids)) for u, e, k, until, ids in state["restored"]}


def template_of(facts: Facts) -> Template:
    fields = tuple(sorted(f.code for f in facts.fields))
    hour = facts.first_at % DAY_MS // HOUR_MS
    return Template(facts.key, fields, facts.records, hour, tuple(constants_of(facts)))


def constants_of(facts: Facts) -> list[tuple[int, int]]:
    """Fields that got one value, and which."""
    return [(f.code, f.top[0].value) for f in facts.fields if f.top and f.top_share >= CONSTANT_SHARE]


def _template(state: Any) -> Template:
    key, fields, records, hour, values = state
    return Template(Key(*key), tuple(fields), records, hour, tuple((c, v) for c, v in values))
