"""An alert as `schemas/alert.avsc` has it: what happened, against what is usual, and what to run next."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cdc.change.kinds import Kind
from cdc.detect.baselines import Baselines
from cdc.detect.decision import Severity
from cdc.detect.episode import Beginning, Episode, Key
from cdc.detect.facts import ONE_GO, WEEK_MS, Facts, FieldFacts
from cdc.detect.tallies import KNOWN, NULL, TEXT_BYTES, TopValue

TARGETS_MAX = 5
VALUES_MAX = 5
SAMPLES_MAX = 5
VALUE_SHARE_MIN = 0.02
GROWN = 4
"""A new version is said when an alert has grown so many times."""

_PLAIN = re.compile(r"true|false|[0-9A-Za-z]{15}|[0-9A-Za-z]{18}")
_VERBS = {
    Kind.CREATE: "created",
    Kind.UPDATE: "changed",
    Kind.DELETE: "deleted",
    Kind.UNDELETE: "undeleted",
    Kind.GAP_CREATE: "created, values unknown,",
    Kind.GAP_UPDATE: "changed, values unknown,",
    Kind.GAP_DELETE: "deleted",
    Kind.GAP_UNDELETE: "undeleted, values unknown,",
}


@dataclass(slots=True)
class AlertState:
    """An alert while its episode lasts. `records` is the size last said; `body` what versions have in common.

    `categorical`: codes of fields of few values, such as picklists, whose values a title may say.
    """

    alert_id: str
    severity: Severity
    suspicious: bool
    version: int = 0
    records: int = 0
    categorical: frozenset[int] = frozenset()
    body: dict[str, Any] = field(default_factory=dict)

    def state(self) -> Any:
        said = [self.alert_id, self.severity.value, self.suspicious, self.version, self.records]
        return [*said, sorted(self.categorical), self.body]

    @classmethod
    def restored(cls, state: Any) -> AlertState:
        alert_id, severity, suspicious, version, records, categorical, body = state
        return cls(alert_id, Severity(severity), suspicious, version, records, frozenset(categorical), body)


@dataclass(frozen=True, slots=True)
class Moment:
    """The change that decides: how many input rows were read with it, its ordinal and event time."""

    number: int
    ordinal: int
    at: int


def alert_id_of(org: str, key: Key, first: Beginning) -> str:
    """The same for the same stream, whatever was learned before."""
    text = "\x1f".join((org, *key, str(first.number), str(first.at)))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def opened(
    episode: Episode,
    facts: Facts,
    lines: list[dict[str, Any]],
    usual: str,
) -> dict[str, Any]:
    """The body of an alert, without what every version says anew."""
    first, key = episode.first, episode.key
    return {
        "merged_into": None,
        "first_change_at": first.at,
        "actors": [
            {
                "user_id": key.user,
                "user_name": None,
                "origin": first.origin,
                "client": first.client,
                "share": 1.0,
            }
        ],
        "samples": samples_of(episode, targets_of(facts, lines)),
        "evidence": lines,
        "usual": usual,
        "setup_before": None,
        "coverage": "",
        "next": next_of(episode),
    }


def version_of(org: str, episode: Episode, facts: Facts, name: str, moment: Moment) -> dict[str, Any]:
    """The next version of an episode's alert, complete. `name`: open, growing or closed."""
    state: AlertState = episode.alert
    state.version += 1
    state.records = facts.records
    targets = targets_of(facts, state.body["evidence"])
    return {
        "alert_id": state.alert_id,
        "version": state.version,
        "org": org,
        "severity": state.severity.value,
        "state": name,
        "title": title_of(facts, targets, episode.first, state.categorical),
        "decided_at": moment.at,
        "at_change": moment.number,
        "at_ordinal": moment.ordinal,
        "records": facts.records,
        "changes": facts.changes,
        "last_change_at": facts.last_at,
        "kinds": {facts.key.kind: facts.changes},
        "targets": [target_of(facts, t) for t in targets] or [whole_target(facts)],
        "transactions": facts.transactions,
        **state.body,
    }


def targets_of(facts: Facts, lines: list[dict[str, Any]]) -> list[FieldFacts]:
    """The fields to show, at most five: those the evidence names first, then by how alike their values are."""
    if facts.key.kind != Kind.UPDATE:
        return []
    said = " ".join(str(line["sentence"]) for line in lines)
    return sorted(
        (f for f in facts.fields if f.writes + f.unknown),
        key=lambda f: (
            not said.startswith(f.name) and f" {f.name} " not in f" {said} ",
            -f.top_share * f.writes,
            f.code,
        ),
    )[:TARGETS_MAX]


def target_of(facts: Facts, field: FieldFacts) -> dict[str, Any]:
    return {
        "entity": facts.key.entity,
        "field": field.name,
        "null_share": round(field.null_share, 4),
        "share": round(min(1.0, (field.writes + field.unknown) / facts.changes), 4),
        "top_values": [
            {"value": cut(value), "share": round(value.writes / field.writes, 4)}
            for value in field.top[:VALUES_MAX]
            if value.writes >= VALUE_SHARE_MIN * field.writes
        ],
    }


def whole_target(facts: Facts) -> dict[str, Any]:
    return {"entity": facts.key.entity, "field": None, "null_share": 0.0, "share": 1.0, "top_values": []}


def cut(value: TopValue) -> str | None:
    """The value, with a mark where it is longer than what is kept of it."""
    if value.text is not None and len(value.text.encode()) >= TEXT_BYTES - 1:
        return value.text + "…"
    return value.text


def title_of(facts: Facts, targets: list[FieldFacts], first: Beginning, categorical: frozenset[int]) -> str:
    """One sentence: who, through what, did what to how many, how fast. Values only where they are no person's."""
    who = f"User {facts.key.user}" if facts.key.user else "An unnamed user"
    through = f" through {_through(first)}" if first.origin or first.client else " without a client"
    if facts.names_all:
        return f"{who}{through} changed {facts.key.entity} records that are not named: every one may be meant"
    verb = _VERBS.get(Kind(facts.key.kind), "changed")
    span = _span(facts.last_at - facts.first_at)
    count = f"{facts.records:,} {facts.key.entity} records"
    if facts.key.kind == Kind.UPDATE and targets:
        field = targets[0]
        if field.top_share >= 0.5 and 2 * field.writes >= facts.changes:
            return f"{who}{through} set {field.name} to {_said(field, categorical)} on {count} {span}"
        return f"{who}{through} changed {field.name} on {count} {span}"
    return f"{who}{through} {verb} {count} {span}"


def samples_of(episode: Episode, targets: list[FieldFacts]) -> list[dict[str, Any]]:
    """The newest records with what the first target was given; the values before are added by the journal."""
    if not targets:
        return []
    ids, rows = episode.held_ids(), episode.held()
    mine = rows[(rows["field"] == targets[0].code) & (rows["flag"] <= NULL)]
    found: dict[str, dict[str, Any]] = {}
    for row in mine[::-1]:
        record_id = bytes(ids[int(row["row"])]).decode("utf-8", "ignore")
        if record_id not in found:
            text = bytes(row["text"]).decode("utf-8", "ignore") if row["flag"] == KNOWN else None
            found[record_id] = {
                "record_id": record_id,
                "field": targets[0].name,
                "before": None,
                "before_known": False,
                "after": text,
            }
        if len(found) == SAMPLES_MAX:
            break
    return list(found.values())


def usual_of(baselines: Baselines, facts: Facts) -> str:
    """What is normal for this key, and from how many weeks."""
    usual = baselines.usual(facts.key)
    learning = "; still learning, the org has been watched for less than a week" if facts.org.learning else ""
    if usual is None:
        return f"nothing is known yet of such changes to {facts.key.entity}{learning}"
    level, histogram = usual
    whose = (
        "this user with this client",
        "this user",
        "this client",
        f"whoever changes {facts.key.entity}",
        "whoever does this to any entity",
    )[level]
    weeks = max(1, (facts.first_at // WEEK_MS) - histogram.first_week + 1)
    own = "" if level == 0 else "; still learning this user and client"
    count = histogram.total // 256
    return (
        f"{whose}: at most {histogram.quantile(ONE_GO, 0.95):,} records in one go in 95 % of "
        f"{count:,} episodes ({facts.key.kind}) in {weeks} week{'s' if weeks > 1 else ''}{learning or own}"
    )


def next_of(episode: Episode) -> str:
    first, entity = episode.first, episode.key.entity
    if first.ordinal:
        return f"cdc state {entity} --before {first.ordinal}"
    if first.transaction:
        return f"cdc state {entity} --before {first.transaction}"
    return f"cdc state {entity} --at {iso(first.at)}"


def iso(at: int) -> str:
    """ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _through(first: Beginning) -> str:
    client = first.client.rstrip("/")
    api = first.origin.removeprefix("com/salesforce/api/").partition("/")[0]
    return f"{client} ({api})" if client and api else client or api


def _span(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 2:
        return "at once"
    if seconds < 120:
        return f"in {seconds} s"
    return f"in {seconds // 60} min" if seconds < 7200 else f"in {seconds // 3600} h"


def _said(field: FieldFacts, categorical: frozenset[int]) -> str:
    top = field.top[0]
    if top.text is None:
        return "null"
    if field.code in categorical or _PLAIN.fullmatch(top.text):
        return f"'{top.text}'"
    return "one value"
