"""An alert as `schemas/alert.avsc` has it: what happened, against what is usual, and what to run next."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cdc.change.kinds import Kind
from cdc.detect.baselines import Baselines
from cdc.detect.episode import Beginning, Episode, Key
from cdc.detect.facts import ONE_GO, WEEK_MS, Facts, FieldFacts
from cdc.detect.incident import Incident, Total
from cdc.detect.tallies import KNOWN, NULL, TEXT_BYTES, TopValue

TARGETS_MAX = 5
ACTORS_MAX = 5
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


def body_of(
    episode: Episode, facts: Facts, lines: list[dict[str, Any]], usual: str, categorical: frozenset[int]
) -> dict[str, Any]:
    """What an alert says in the words of one episode: title, evidence, samples, usual, what to run next."""
    targets = targets_of(facts, lines)
    return {
        "title": title_of(facts, targets, episode.first, categorical),
        "samples": samples_of(episode, targets),
        "evidence": lines,
        "usual": usual,
        "next": next_of(episode),
    }


def shown_targets(facts: Facts, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields an episode writes, as an alert has them; one without a field for creates and deletes."""
    return [target_of(facts, t) for t in targets_of(facts, lines)] or [whole_target(facts)]


def version_of(org: str, incident: Incident, name: str, moment: Moment) -> dict[str, Any]:
    """The next version of an alert, complete. `name`: open, growing, closed, or merged:ID."""
    total = incident.total()
    incident.version += 1
    incident.said = total.records
    state, _, merged_into = name.partition(":")
    changes = max(1, total.changes)
    actors = sorted(total.actors.items(), key=lambda one: (-one[1], one[0]))[:ACTORS_MAX]
    return {
        "alert_id": incident.alert_id,
        "version": incident.version,
        "org": org,
        "severity": incident.severity.value,
        "state": state,
        "merged_into": merged_into or None,
        "decided_at": moment.at,
        "at_change": moment.number,
        "at_ordinal": moment.ordinal,
        "first_change_at": incident.first_at,
        "last_change_at": incident.last_at,
        "records": total.records,
        "changes": total.changes,
        "kinds": total.kinds,
        "actors": [
            {
                "user_id": user,
                "user_name": None,
                "origin": origin,
                "client": client,
                "share": round(count / changes, 4),
            }
            for (user, origin, client), count in actors
        ],
        "targets": incident.targets[:TARGETS_MAX],
        "transactions": len(total.transactions),
        "setup_before": None,
        "coverage": "",
        **incident.body,
        "title": incident.body["title"] + _together(total, incident),
    }


def _together(total: Total, incident: Incident) -> str:
    """What the title adds where an alert is more than its largest episode."""
    if incident.sum is not None or total.records <= incident.lead_records:
        return ""
    users = len({user for user, _, _ in total.actors})
    by = f" by {users} users" if users > 1 else ""
    return f"; {total.records:,} records in all{by}"


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
