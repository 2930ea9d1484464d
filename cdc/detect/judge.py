"""What has been learned, the channels of evidence over it, and the verdict on an episode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from cdc.change.kinds import WHOLE_KINDS, Kind
from cdc.detect.across import Across, Risen
from cdc.detect.alert import GROWN, Moment, alert_id_of, body_of, shown_targets, usual_of, version_of
from cdc.detect.batch import origin_class
from cdc.detect.budget import Budget
from cdc.detect.channels.burst import Burst
from cdc.detect.channels.drip import Drip
from cdc.detect.channels.duplicates import Duplicates
from cdc.detect.channels.guards import Guards
from cdc.detect.channels.loop import LOOPED_MIN, Loop
from cdc.detect.channels.novelty import Novelty
from cdc.detect.channels.value import OneValue
from cdc.detect.decision import DIGEST_RISE_MAX, PAGE_RISE_MAX, Needed, Severity, Verdict, decide
from cdc.detect.derived import movers_of
from cdc.detect.episode import BULK, Episode, Key
from cdc.detect.facts import Facts, FieldFacts, Org, facts_of
from cdc.detect.incident import Incident, Incidents, Mark
from cdc.detect.known import KnownRecords
from cdc.detect.norms import CREATES, EDITS, STOCK
from cdc.detect.slices import Ended
from cdc.detect.tallies import FieldRows, TopValue
from cdc.detect.templates import Said
from cdc.ports.evidence import Evidence, Weight

UNLEARNED_MAX = 256
"""Closed alerts kept so that a later acknowledgement can teach their episodes."""

MARKED_SHARE = 0.8
"""A value that so many of an episode's writes have may tell that others do the same."""

TASK_VARIETY = 2.0
TASK_DAYS = 2
TO_AND_FRO = -1
"""In place of a value: what goes to and fro between two actors has two."""

Version = dict[str, Any]


class Judge:
    """Weighs episodes and learns from closed ones. `names` are the field names by code.

    `pages_per_week` and `digests_per_week` are the budget; `without` names channels to leave out.
    """

    def __init__(
        self,
        org: str,
        names: list[str],
        *,
        pages_per_week: float = 1,
        digests_per_week: float = 5,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.org = org
        self.names = names
        self.first_at = -1
        self.largest = 0
        self.known = KnownRecords()
        self.burst = Burst()
        self.novelty = Novelty()
        self.value = OneValue(self.novelty.bulk)
        self.guards = Guards(self.novelty.bulk, self.value.norms)
        self.across = Across()
        every: tuple[Evidence, ...] = (
            self.guards,
            self.burst,
            self.novelty,
            Loop(),
            self.value,
            Duplicates(self.value.norms),
        )
        self.channels = tuple(channel for channel in every if channel.name not in without)
        self._kept = every
        self.drip = Drip(without)
        self.said = Said()
        self.incidents = Incidents()
        self.pages = Budget(pages_per_week, PAGE_RISE_MAX)
        self.digests = Budget(digests_per_week, DIGEST_RISE_MAX)
        self.unlearned: dict[str, list[Facts]] = {}

    # -- an episode at a moment -----------------------------------------------------------------------------

    def judge(self, episode: Episode, moment: Moment) -> list[Version]:
        """Weigh an open episode at one change; the new versions of its alert and of what it joins."""
        incident: Incident | None = episode.alert
        facts = self._facts(episode, moment.at)
        if self.said.is_own(facts.key, episode.ids.counts, moment.at):
            return []
        if incident is not None and incident.severity == Severity.PAGE:
            return [*self._merged(episode, facts, moment), *self._grown(episode, facts, moment)]
        weights = self._weights(facts)
        verdict = decide(facts, weights, self._needed(moment.at))
        episode.score = max(episode.score, verdict.score)
        if verdict.severity is None:
            return []
        severity = self._tempered(facts, verdict)
        if incident is not None and severity == Severity.DIGEST:
            incident.suspicious |= verdict.suspicious
            return self._grown(episode, facts, moment)
        marks = _marks(facts)
        if incident is None:
            incident = self.incidents.related(episode, marks, moment.at)
            if incident is not None:
                return self._joined(episode, incident, Verdict(severity, verdict.suspicious), facts, moment)
            alert_id = alert_id_of(self.org, episode.key, episode.first)
            first, last = episode.first.at, episode.last_at
            incident = Incident(alert_id, severity, verdict.suspicious, first, last, moment.at)
            incident.join(episode, moment.at)
            self.incidents.add(incident)
        incident.severity, incident.suspicious = severity, incident.suspicious or verdict.suspicious
        incident.mark(marks)
        self._tell(incident, episode, facts, weights)
        merged = self._merged(episode, facts, moment)
        return merged or [version_of(self.org, incident, "open", moment)]

    def close(self, episode: Episode, moment: Moment) -> list[Version]:
        """Learn from an episode that is over."""
        incident: Incident | None = episode.alert
        org = self._org(episode.key, episode.last_at)
        with_fields = incident is not None or episode.records >= BULK
        facts = facts_of(episode, self.names, org, with_fields=with_fields)
        self._teach(episode, facts)
        self.known.merge(episode.key.entity, episode.ids)
        if episode.score > 0:
            self.pages.note(episode.last_at, episode.score)
        if incident is not None:
            self._refresh(incident, episode, facts)
            incident.end(episode)
        return self.pass_time(moment)

    def slice(self, ended: Ended, moment: Moment) -> list[Version]:
        """A slice of the stream is over: what has risen across actors, and which alerts are over."""
        found: list[Version] = []
        for risen in self.across.slice(ended.rows, ended.whole, ended.at, moment.number):
            found += self._risen(risen, moment)
        for one in self.across.over(ended.at):
            one.alert.sum = None
        return found + self.pass_time(moment)

    def pass_time(self, moment: Moment) -> list[Version]:
        """Close the alerts that nothing was added to for long enough."""
        return [
            version_of(self.org, incident, "closed", moment)
            for incident in self.incidents.take_over(moment.at)
        ]

    # -- what people say ------------------------------------------------------------------------------------

    def acknowledge(self, alert_id: str) -> None:
        """An alert was all right: its episodes are learned, and a like volume is no news any more."""
        facts = self.unlearned.pop(alert_id, [])
        for one in facts:
            self._learn(one)
        incident = self.incidents.open.get(alert_id)
        if incident is not None:
            incident.acknowledged = True
            facts += [self._facts(episode, incident.last_seen) for episode in incident.live.values()]
            for episode in incident.live.values():
                episode.acknowledged = True
        if facts:
            self.said.acknowledge(alert_id, facts)

    def withdraw(self, alert_id: str) -> None:
        """The acknowledgement of an alert is taken back."""
        self.said.withdraw(alert_id)
        incident = self.incidents.open.get(alert_id)
        if incident is not None:
            incident.acknowledged = False
            for episode in incident.live.values():
                episode.acknowledged = False

    def begin(self, at: int) -> None:
        """The first change of the stream."""
        if self.first_at < 0:
            self.first_at = at

    def stock(self, entity: str, ids: list[int], rows: FieldRows) -> None:
        """Full states: what exists, and which values it has."""
        self.known.add(entity, ids)
        self.value.norms.add(entity, STOCK, rows)

    # -- evidence -------------------------------------------------------------------------------------------

    def _facts(self, episode: Episode, now: int) -> Facts:
        facts = facts_of(episode, self.names, self._org(episode.key, now), with_fields=True)
        return facts.as_announced() if self.said.silences(facts) else facts

    def _weights(self, facts: Facts) -> dict[str, Weight]:
        return {c.name: weight for c in self.channels if (weight := c.weigh(facts)) is not None}

    def _org(self, key: Key, now: int) -> Org:
        return Org(self.known.records(key.entity), self.first_at, self.largest, now)

    def _needed(self, at: int) -> Needed:
        first = max(0, self.first_at)
        return Needed(self.pages.rise(at, first), self.digests.rise(at, first))

    def _tempered(self, facts: Facts, verdict: Verdict) -> Severity:
        """What was paged a day or a week ago at the same hour needs no second page."""
        severity = verdict.severity or Severity.DIGEST
        if severity == Severity.PAGE and not facts.names_all and self.guards.habits.repeated(facts):
            return Severity.DIGEST
        return severity

    # -- alerts ---------------------------------------------------------------------------------------------

    def _tell(self, incident: Incident, episode: Episode, facts: Facts, weights: dict[str, Weight]) -> None:
        """Put the alert in the words of this episode."""
        lines = [
            {"channel": c.name, "sentence": c.explain(facts, weight), "weight": round(weight.value, 2)}
            for c in self.channels
            if (weight := weights.get(c.name)) is not None
        ]
        lines.sort(key=lambda line: line["channel"] in ("D1", "D2"))
        usual = usual_of(self.burst.baselines, facts)
        categorical = frozenset(f.code for f in facts.fields if self._categorical(facts, f))
        incident.body = body_of(episode, facts, lines, usual, categorical)
        incident.lead, incident.lead_records = episode.first.number, facts.records
        incident.show(shown_targets(facts, lines), first=True)

    def _refresh(self, incident: Incident, episode: Episode, facts: Facts) -> None:
        """Bring title and targets to what the episode has come to, in the words it has."""
        lines = incident.body["evidence"]
        lead = episode.first.number == incident.lead
        if lead:
            categorical = frozenset(f.code for f in facts.fields if self._categorical(facts, f))
            told = body_of(episode, facts, lines, incident.body["usual"], categorical)
            incident.body = {**told, "samples": told["samples"] or incident.body["samples"]}
            incident.lead_records = facts.records
        incident.show(shown_targets(facts, lines), first=lead)

    def _grown(self, episode: Episode, facts: Facts, moment: Moment) -> list[Version]:
        incident: Incident = episode.alert
        incident.touch(episode.last_at, moment.at)
        if incident.total().records < GROWN * max(1, incident.said):
            return []
        self._refresh(incident, episode, facts)
        return [version_of(self.org, incident, "growing", moment)]

    def _joined(
        self, episode: Episode, incident: Incident, verdict: Verdict, facts: Facts, moment: Moment
    ) -> list[Version]:
        """An episode without an alert of its own belongs to one that is open."""
        incident.join(episode, moment.at)
        incident.mark(_marks(facts))
        incident.suspicious |= verdict.suspicious
        if verdict.severity == Severity.PAGE and incident.severity != Severity.PAGE:
            incident.severity = Severity.PAGE
            self._tell(incident, episode, facts, self._weights(facts))
            return [version_of(self.org, incident, "open", moment)]
        incident.show(shown_targets(facts, incident.body["evidence"]), first=False)
        return self._grown(episode, facts, moment)

    def _merged(self, episode: Episode, facts: Facts, moment: Moment) -> list[Version]:
        """Where an alerted episode turns out to belong to an elder alert, its own closes as merged."""
        mine: Incident = episode.alert
        elder = self.incidents.related(episode, _marks(facts), moment.at)
        if elder is None or list(self.incidents.open).index(elder.alert_id) > list(self.incidents.open).index(
            mine.alert_id
        ):
            return []
        found: list[Version] = []
        if mine.version:
            found.append(version_of(self.org, mine, f"merged:{elder.alert_id}", moment))
        del self.incidents.open[mine.alert_id]
        page = mine.severity == Severity.PAGE and elder.severity != Severity.PAGE
        elder.suspicious |= mine.suspicious
        elder.ended.merge(mine.ended)
        for other in mine.live.values():
            elder.join(other, moment.at)
        elder.mark(mine.marks)
        elder.show(mine.targets, first=page)
        if page:
            elder.severity, elder.body = Severity.PAGE, mine.body
            elder.lead, elder.lead_records = mine.lead, mine.lead_records
            found.append(version_of(self.org, elder, "open", moment))
        return found

    def _risen(self, risen: Risen, moment: Moment) -> list[Version]:
        """A sum across actors has passed its bound: an alert of its own, unless one is open that says it."""
        one = risen.sum
        incident: Incident | None = one.alert
        weights = self.drip.weights(risen)
        severity = self.drip.decide(risen, weights, self._needed(moment.at))
        if incident is None and (self._is_told(risen) or severity is None):
            return []
        if incident is None and (self._is_moved(risen) or self._is_task(risen)):
            return []
        if incident is None or (severity == Severity.PAGE and incident.severity != Severity.PAGE):
            if incident is None:
                alert_id = self.drip.alert_id(self.org, risen)
                incident = Incident(alert_id, Severity.DIGEST, True, one.started_at, one.last_at, moment.at)
                incident.sum, one.alert = one, incident
                self.incidents.add(incident)
            incident.severity = severity or Severity.DIGEST
            self._tell_risen(incident, risen, weights)
            return [version_of(self.org, incident, "open", moment)]
        incident.touch(one.last_at, moment.at)
        grown = len(one.records) >= GROWN * max(1, incident.said)
        self._tell_risen(incident, risen, weights)
        return [version_of(self.org, incident, "growing", moment)] if grown else []

    def _tell_risen(self, incident: Incident, risen: Risen, weights: dict[str, float]) -> None:
        incident.last_at = max(incident.last_at, risen.sum.last_at)
        incident.ended = self.drip.total(risen, self.across.actors)
        incident.lead_records = len(risen.sum.records)
        incident.body = self.drip.body(risen, weights, self.names, self.across.actors)
        incident.targets = self.drip.targets(risen, self.names)
        incident.marks = [(risen.cell.entity, risen.cell.kind, risen.cell.field, risen.sum.value)]

    def _is_moved(self, risen: Risen) -> bool:
        """Whether the field moved because another was set, which has a sum of its own."""
        movers = movers_of(risen.cell.entity, self.names[risen.cell.field])
        return any(self.names[code] in movers for code in risen.beside if code >= 0)

    def _is_task(self, risen: Risen) -> bool:
        """Whether one actor alone writes this, and has done so in bulk on several days: it is its work."""
        if self.drip.is_crowd(risen):
            return False
        who = self.drip.foremost(risen, self.across.actors)
        key = Key(who.user, origin_class(who.origin, who.client), risen.cell.entity, risen.cell.kind)
        written = self.novelty.bulk.actor(key, risen.cell.field)
        return len({w.day for w in written if w.variety < TASK_VARIETY}) >= TASK_DAYS

    def _is_told(self, risen: Risen) -> bool:
        """Whether an open alert names this field already, or a page did since the sum began to rise."""
        name = self.names[risen.cell.field]
        naming = [
            incident
            for incident in self.incidents.open.values()
            if any((t["entity"], t["field"]) == (risen.cell.entity, name) for t in incident.targets[:2])
        ]
        cell, value = risen.cell, risen.sum.value
        same = {(cell.entity, cell.kind, cell.field, said) for said in (value, TO_AND_FRO)}
        if any(i.severity == Severity.PAGE and not same.isdisjoint(i.marks) for i in naming):
            risen.sum.told = 1
        return bool(naming or risen.sum.told)

    def _categorical(self, facts: Facts, field: FieldFacts) -> bool:
        for writing in (EDITS, STOCK):
            norm = self.value.norms.get(facts.key.entity, writing, field.code)
            if norm is not None and norm.closed():
                return True
        return False

    # -- learning -------------------------------------------------------------------------------------------

    def _teach(self, episode: Episode, facts: Facts) -> None:
        incident: Incident | None = episode.alert
        if incident is None or not incident.suspicious or episode.acknowledged:
            self._learn(facts)
            if not facts.bulk and episode.pending_changes:
                writing = CREATES if facts.key.kind in WHOLE_KINDS else EDITS
                if facts.key.kind in (Kind.UPDATE, *WHOLE_KINDS):
                    for rows in episode.pending:
                        self.value.norms.add(facts.key.entity, writing, rows)
            return
        self.guards.habits.note(facts)
        self.novelty.bulk.alerted(facts)
        if self.guards.habits.formed(facts):
            self._learn(facts)
            return
        self.unlearned.setdefault(incident.alert_id, []).append(facts)
        if len(self.unlearned) > UNLEARNED_MAX:
            self.unlearned.pop(next(iter(self.unlearned)))

    def _learn(self, facts: Facts) -> None:
        for channel in self._kept:
            channel.learn(facts)
        if facts.records >= BULK:
            self.largest = max(self.largest, facts.records)

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        return {
            "first_at": self.first_at,
            "largest": self.largest,
            "known": self.known.state(),
            "channels": {channel.name: channel.state() for channel in self._kept},
            "across": self.across.state(),
            "said": self.said.state(),
            "incidents": self.incidents.state(),
            "budgets": [self.pages.state(), self.digests.state()],
            "unlearned": [
                [alert_id, [_facts_state(one) for one in facts]] for alert_id, facts in self.unlearned.items()
            ],
        }

    def restore(self, state: Any) -> None:
        self.first_at, self.largest = state["first_at"], state["largest"]
        self.known.restore(state["known"])
        for channel in self._kept:
            channel.restore(state["channels"][channel.name])
        self.across.restore(state["across"])
        self.said.restore(state["said"])
        self.incidents.restore(state["incidents"])
        for sum_state in state["across"]["sums"]:
            if sum_state[-1] is not None:
                one = self.across.sums[sum_state[0], sum_state[1]]
                one.alert = self.incidents.open[sum_state[-1]]
                one.alert.sum = one
        for budget, kept in zip((self.pages, self.digests), state["budgets"], strict=True):
            budget.restore(kept)
        self.unlearned = {alert_id: [_facts(one) for one in facts] for alert_id, facts in state["unlearned"]}


def _marks(facts: Facts) -> list[Mark]:
    """Fields that mostly get one value, and which: the same from another user is the same automation."""
    key = facts.key
    return [
        (key.entity, key.kind, f.code, f.top[0].value)
        for f in facts.fields
        if f.top and f.top_share >= MARKED_SHARE and 2 * f.writes >= facts.changes
    ] + [(key.entity, key.kind, f.code, TO_AND_FRO) for f in facts.fields if f.flipped >= LOOPED_MIN]


def _facts_state(facts: Facts) -> Any:
    plain = {f.name: getattr(facts, f.name) for f in fields(facts)}
    return {**plain, "org": asdict(facts.org)}


def _facts(state: Any) -> Facts:
    written = tuple(_field(f) for f in state["fields"])
    tuples = {"peaks": tuple(state["peaks"]), "sizes": tuple(state["sizes"])}
    return Facts(
        **{**state, **tuples, "key": Key(*state["key"]), "org": Org(**state["org"]), "fields": written}
    )


def _field(state: Iterable[Any]) -> FieldFacts:
    made = FieldFacts._make(state)
    return made._replace(
        top=tuple(TopValue(*value) for value in made.top),
        shapes=tuple((shape, count) for shape, count in made.shapes),
    )
