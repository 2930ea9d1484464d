"""An alert while it lasts: one or several episodes that have one cause, and what all of them come to.

States: open (somebody still changes records, or did within `LINGER_MS`), closed, merged into an elder one.
Episodes join by a transaction they share, by their actor, or by an automation that makes many users write one
value into one field at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cdc.detect.across import Sum
from cdc.detect.decision import Severity
from cdc.detect.distinct import Distinct
from cdc.detect.episode import GAP_MS, IDS_MAX, TRANSACTIONS_MAX, Beginning, Episode, Key

PAGE_LINGER_MS = 2 * 3_600_000
"""A page stays open so long after its last change: a job that comes back meanwhile is the same incident."""

DIGEST_LINGER_MS = GAP_MS
USERS_MAX = 64
MARKS_MAX = 64
TARGETS_MAX = 16

Mark = tuple[str, str, int, int]
"""Entity, kind, field and value that an incident writes most."""

Actor = tuple[str, str, str]
"""User, origin, client."""


@dataclass(slots=True)
class Total:
    """What members come to: ids by entity, changes by kind and by actor, transactions."""

    ids: dict[str, Distinct] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    actors: dict[Actor, int] = field(default_factory=dict)
    transactions: Distinct = field(default_factory=lambda: Distinct(TRANSACTIONS_MAX))

    @property
    def records(self) -> int:
        return sum(len(ids) for ids in self.ids.values())

    @property
    def changes(self) -> int:
        return sum(self.kinds.values())

    def add(self, entity: str, kind: str, ids: Distinct, actors: dict[Actor, int]) -> None:
        if entity not in self.ids and len(self.ids) >= TARGETS_MAX:
            return
        self.ids.setdefault(entity, Distinct(IDS_MAX)).merge(ids)
        self.kinds[kind] = self.kinds.get(kind, 0) + sum(actors.values())
        for actor, changes in actors.items():
            if actor in self.actors or len(self.actors) < USERS_MAX:
                self.actors[actor] = self.actors.get(actor, 0) + changes

    def merge(self, other: Total) -> None:
        """Count what another has counted."""
        for entity, ids in other.ids.items():
            if entity in self.ids or len(self.ids) < TARGETS_MAX:
                self.ids.setdefault(entity, Distinct(IDS_MAX)).merge(ids)
        for kind, changes in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + changes
        for actor, changes in other.actors.items():
            if actor in self.actors or len(self.actors) < USERS_MAX:
                self.actors[actor] = self.actors.get(actor, 0) + changes
        self.transactions.merge(other.transactions)

    def copy(self) -> Total:
        made = Total(kinds=dict(self.kinds), actors=dict(self.actors))
        for entity, ids in self.ids.items():
            made.ids[entity] = Distinct(IDS_MAX)
            made.ids[entity].merge(ids)
        made.transactions.merge(self.transactions)
        return made

    def state(self) -> Any:
        return {
            "ids": [[entity, ids.state()] for entity, ids in self.ids.items()],
            "kinds": list(self.kinds.items()),
            "actors": [[*actor, changes] for actor, changes in self.actors.items()],
            "transactions": self.transactions.state(),
        }

    @classmethod
    def restored(cls, state: Any) -> Total:
        return cls(
            {entity: Distinct.restored(ids) for entity, ids in state["ids"]},
            dict(state["kinds"]),
            {(user, origin, client): n for user, origin, client, n in state["actors"]},
            Distinct.restored(state["transactions"]),
        )


@dataclass(slots=True)
class Incident:
    """See the module. `said` is the size last told, `lead` the largest member so far: its words are the alert's."""

    alert_id: str
    severity: Severity
    suspicious: bool
    first_at: int
    last_at: int
    last_seen: int
    version: int = 0
    said: int = 0
    acknowledged: bool = False
    lead: int = 0
    lead_records: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    targets: list[dict[str, Any]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    ended: Total = field(default_factory=Total)
    live: dict[int, Episode] = field(default_factory=dict)
    sum: Sum | None = None

    def total(self) -> Total:
        """Of all members, those that are over and those that go on."""
        total = self.ended.copy()
        for episode in self.live.values():
            _count(total, episode)
        return total

    def join(self, episode: Episode, now: int) -> None:
        """Take an episode in."""
        self.live[episode.first.number] = episode
        episode.alert = self
        episode.acknowledged |= self.acknowledged
        self.first_at = min(self.first_at, episode.first.at)
        if episode.key not in self.keys and len(self.keys) < MARKS_MAX:
            self.keys.append(episode.key)
        self.touch(episode.last_at, now)

    def end(self, episode: Episode) -> None:
        """An episode is over; what it counted is kept."""
        if self.live.pop(episode.first.number, None) is not None:
            _count(self.ended, episode)
            self.touch(episode.last_at, episode.last_seen)

    def touch(self, last_at: int, seen: int) -> None:
        self.last_at = max(self.last_at, last_at)
        self.last_seen = max(self.last_seen, seen)

    def mark(self, marks: list[Mark]) -> None:
        self.marks += [mark for mark in marks if mark not in self.marks][: MARKS_MAX - len(self.marks)]

    def show(self, targets: list[dict[str, Any]], *, first: bool) -> None:
        """Put an episode's targets before or behind those known."""
        mine = {(t["entity"], t["field"]) for t in targets}
        others = [t for t in self.targets if (t["entity"], t["field"]) not in mine]
        known = {(t["entity"], t["field"]) for t in self.targets}
        if first:
            self.targets = [*targets, *others][:TARGETS_MAX]
        else:
            behind = [t for t in targets if (t["entity"], t["field"]) not in known]
            self.targets = [*self.targets, *behind][:TARGETS_MAX]

    def over(self, now: int) -> bool:
        """Whether nobody has gone on for long enough."""
        linger = PAGE_LINGER_MS if self.severity == Severity.PAGE else DIGEST_LINGER_MS
        return not self.live and self.sum is None and now - self.last_seen >= linger

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        return {
            "id": [self.alert_id, self.severity.value, self.suspicious, self.acknowledged],
            "times": [self.first_at, self.last_at, self.last_seen],
            "numbers": [self.version, self.said, self.lead, self.lead_records],
            "body": self.body,
            "targets": self.targets,
            "marks": [list(mark) for mark in self.marks],
            "keys": [list(key) for key in self.keys],
            "ended": self.ended.state(),
        }

    @classmethod
    def restored(cls, state: Any) -> Incident:
        """Without its members, which the caller puts back."""
        alert_id, severity, suspicious, acknowledged = state["id"]
        made = cls(alert_id, Severity(severity), suspicious, *state["times"])
        made.acknowledged = acknowledged
        made.version, made.said, made.lead, made.lead_records = state["numbers"]
        made.body, made.targets = state["body"], state["targets"]
        made.marks = [(entity, kind, code, value) for entity, kind, code, value in state["marks"]]
        made.keys = [Key(*key) for key in state["keys"]]
        made.ended = Total.restored(state["ended"])
        return made


class Incidents:
    """Open alerts by id, the eldest first."""

    def __init__(self) -> None:
        self.open: dict[str, Incident] = {}

    def related(self, episode: Episode, marks: list[Mark], now: int) -> Incident | None:
        """The eldest open alert that this episode belongs to, other than its own."""
        for incident in self.open.values():
            if incident is not episode.alert and _belongs(episode, incident, marks, now):
                return incident
        return None

    def add(self, incident: Incident) -> None:
        self.open[incident.alert_id] = incident

    def take_over(self, now: int) -> list[Incident]:
        """Those that are over, taken out."""
        ended = [i for i in self.open.values() if i.over(now)]
        for incident in ended:
            del self.open[incident.alert_id]
        return ended

    def state(self) -> Any:
        return [incident.state() for incident in self.open.values()]

    def restore(self, state: Any) -> None:
        self.open = {one["id"][0]: Incident.restored(one) for one in state}


def actor_of(first: Beginning, key: Key) -> Actor:
    return key.user, first.origin, first.client


def _count(total: Total, episode: Episode) -> None:
    key = episode.key
    total.add(key.entity, key.kind, episode.ids, {actor_of(episode.first, key): episode.changes})
    total.transactions.merge(episode.transactions)


def _belongs(episode: Episode, incident: Incident, marks: list[Mark], now: int) -> bool:
    key = episode.key
    waited = now - incident.last_seen if not incident.live else 0
    if any(key == other for other in incident.keys):
        return True
    if waited < GAP_MS:
        if any((key.user, key.origin) == (other.user, other.origin) for other in incident.keys):
            return True
        if any(mark in incident.marks for mark in marks):
            return True
        mine = episode.transactions
        theirs = [incident.ended.transactions, *(other.transactions for other in incident.live.values())]
        return any(not mine.counts.keys().isdisjoint(other.counts) for other in theirs)
    return any(mark[:3] in {other[:3] for other in incident.marks} for mark in marks)
