"""What has been learned, the channels of evidence over it, and the verdict on an episode."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from cdc.change.kinds import WHOLE_KINDS, Kind
from cdc.detect.alert import (
    GROWN,
    AlertState,
    Moment,
    alert_id_of,
    opened,
    usual_of,
    version_of,
)
from cdc.detect.channels.burst import Burst
from cdc.detect.channels.duplicates import Duplicates
from cdc.detect.channels.guards import Guards
from cdc.detect.channels.loop import Loop
from cdc.detect.channels.novelty import Novelty
from cdc.detect.channels.value import OneValue
from cdc.detect.decision import Severity, Verdict, decide
from cdc.detect.episode import BULK, Episode, Key
from cdc.detect.facts import Facts, FieldFacts, Org, facts_of
from cdc.detect.known import KnownRecords
from cdc.detect.norms import CREATES, EDITS, STOCK
from cdc.detect.tallies import FieldRows, TopValue
from cdc.ports.evidence import Evidence, Weight

UNLEARNED_MAX = 256
"""Closed alerted episodes kept so that a later acknowledgement can teach them."""

Version = dict[str, Any]


class Judge:
    """Weighs episodes and learns from closed ones. `names` are the field names by code."""

    def __init__(self, org: str, names: list[str]) -> None:
        self.org = org
        self.names = names
        self.first_at = -1
        self.largest = 0
        self.known = KnownRecords()
        self.burst = Burst()
        self.novelty = Novelty()
        self.value = OneValue(self.novelty.bulk)
        self.guards = Guards(self.novelty.bulk, self.value.norms)
        self.loop = Loop()
        self.duplicates = Duplicates(self.value.norms)
        self.channels: tuple[Evidence, ...] = (
            self.guards,
            self.burst,
            self.novelty,
            self.loop,
            self.value,
            self.duplicates,
        )
        self.unlearned: dict[str, Facts] = {}

    def judge(self, episode: Episode, moment: Moment) -> list[Version]:
        """Weigh an open episode at one change; the new version of its alert, if there is one."""
        alert: AlertState | None = episode.alert
        org = self._org(episode.key, moment.at)
        facts = facts_of(episode, self.names, org, with_fields=True)
        if alert is not None and alert.severity == Severity.PAGE:
            return self._grown(episode, facts, moment)
        weights = self._weights(facts, self.channels)
        verdict = decide(facts, weights)
        if verdict is None:
            return []
        verdict = self._tempered(facts, verdict)
        if alert is not None and verdict.severity == Severity.DIGEST:
            alert.suspicious |= verdict.suspicious
            return self._grown(episode, facts, moment)
        if alert is None:
            alert_id = alert_id_of(self.org, episode.key, episode.first)
            alert = episode.alert = AlertState(alert_id, verdict.severity, verdict.suspicious)
        alert.severity, alert.suspicious = verdict.severity, alert.suspicious or verdict.suspicious
        alert.body = self._body(episode, facts, weights)
        alert.categorical = frozenset(f.code for f in facts.fields if self._categorical(facts, f))
        return [version_of(self.org, episode, facts, "open", moment)]

    def close(self, episode: Episode, moment: Moment) -> list[Version]:
        """Learn from an episode that is over; the closing version of its alert, if it had one."""
        org = self._org(episode.key, episode.last_at)
        facts = facts_of(
            episode, self.names, org, with_fields=episode.alert is not None or episode.records >= BULK
        )
        self._teach(episode, facts)
        self.known.merge(episode.key.entity, episode.ids)
        if episode.alert is None:
            return []
        return [version_of(self.org, episode, facts, "closed", moment)]

    def acknowledge(self, alert_id: str) -> None:
        """An alert whose episode is over was all right: learn it after all."""
        facts = self.unlearned.pop(alert_id, None)
        if facts is not None:
            self._learn(facts)

    def begin(self, at: int) -> None:
        """The first change of the stream."""
        if self.first_at < 0:
            self.first_at = at

    def stock(self, entity: str, ids: list[int], rows: FieldRows) -> None:
        """Full states: what exists, and which values it has."""
        self.known.add(entity, ids)
        self.value.norms.add(entity, STOCK, rows)

    def _weights(self, facts: Facts, channels: tuple[Evidence, ...]) -> dict[str, Weight]:
        return {c.name: weight for c in channels if (weight := c.weigh(facts)) is not None}

    def _org(self, key: Key, now: int) -> Org:
        return Org(self.known.records(key.entity), self.first_at, self.largest, now)

    def _grown(self, episode: Episode, facts: Facts, moment: Moment) -> list[Version]:
        if facts.records < GROWN * episode.alert.records:
            return []
        return [version_of(self.org, episode, facts, "growing", moment)]

    def _tempered(self, facts: Facts, verdict: Verdict) -> Verdict:
        """What was paged a day or a week ago at the same hour needs no second page."""
        if verdict.severity == Severity.PAGE and not facts.names_all and self.guards.habits.repeated(facts):
            return Verdict(Severity.DIGEST, verdict.suspicious)
        return verdict

    def _body(self, episode: Episode, facts: Facts, weights: dict[str, Weight]) -> Version:
        lines = [
            {"channel": c.name, "sentence": c.explain(facts, weight), "weight": round(weight.value, 2)}
            for c in self.channels
            if (weight := weights.get(c.name)) is not None
        ]
        lines.sort(key=lambda line: line["channel"] in ("D1", "D2"))
        usual = usual_of(self.burst.baselines, facts)
        return opened(episode, facts, lines, usual)

    def _categorical(self, facts: Facts, field: FieldFacts) -> bool:
        for writing in (EDITS, STOCK):
            norm = self.value.norms.get(facts.key.entity, writing, field.code)
            if norm is not None and norm.closed():
                return True
        return False

    def _teach(self, episode: Episode, facts: Facts) -> None:
        alert: AlertState | None = episode.alert
        if alert is None or not alert.suspicious or episode.acknowledged:
            self._learn(facts)
            if not facts.bulk and episode.pending_changes:
                writing = CREATES if facts.key.kind in WHOLE_KINDS else EDITS
                if facts.key.kind in (Kind.UPDATE, *WHOLE_KINDS):
                    for rows in episode.pending:
                        self.value.norms.add(facts.key.entity, writing, rows)
            return
        self.guards.habits.note(facts)
        if self.guards.habits.formed(facts):
            self._learn(facts)
            return
        self.unlearned[alert.alert_id] = facts
        if len(self.unlearned) > UNLEARNED_MAX:
            self.unlearned.pop(next(iter(self.unlearned)))

    def _learn(self, facts: Facts) -> None:
        for channel in self.channels:
            channel.learn(facts)
        if facts.records >= BULK:
            self.largest = max(self.largest, facts.records)

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        return {
            "first_at": self.first_at,
            "largest": self.largest,
            "known": self.known.state(),
            "channels": {channel.name: channel.state() for channel in self.channels},
            "unlearned": [[alert_id, _facts_state(facts)] for alert_id, facts in self.unlearned.items()],
        }

    def restore(self, state: Any) -> None:
        self.first_at, self.largest = state["first_at"], state["largest"]
        self.known.restore(state["known"])
        for channel in self.channels:
            channel.restore(state["channels"][channel.name])
        self.unlearned = {alert_id: _facts(facts) for alert_id, facts in state["unlearned"]}


def _facts_state(facts: Facts) -> Any:
    plain = {f.name: getattr(facts, f.name) for f in fields(facts)}
    return {**plain, "org": asdict(facts.org)}


def _facts(state: Any) -> Facts:
    written = tuple(
        FieldFacts._make(
            (*f[:6], tuple(TopValue(*v) for v in f[6]), *f[7:11], tuple((s, n) for s, n in f[11]), f[12])
        )
        for f in state["fields"]
    )
    tuples = {"peaks": tuple(state["peaks"]), "sizes": tuple(state["sizes"])}
    return Facts(
        **{**state, **tuples, "key": Key(*state["key"]), "org": Org(**state["org"]), "fields": written}
    )
