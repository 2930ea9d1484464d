"""An incident: which changes are meant, since when, and what has been said of it.

States: open, closed. Every alert is an incident under its own id without anybody opening it; the first thing
said of it makes it one of its own. One by hand is opened with filters. Each change is a new version.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdc.answer.answers import dicts_of
from cdc.errors import BadArgument, NotFound
from cdc.recover.scope import Filter, Scope
from cdc.recover.statements import sql

CLOSED = "closed"
TITLE_CHARS_MAX = 120
MARGIN_MS = 2_000
"""Commit times may run backwards by a second or two, and an alert goes by their maximum so far."""
ALL_ACTORS_SHARE = 0.99
MOSTLY_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Incident:
    """Times are epoch ms of org time; `version` 0: nobody has said anything of this alert yet."""

    incident_id: str
    title: str
    scope: Scope
    opened_at: int
    version: int = 0
    alert_id: str = ""
    state: str = "open"
    by: str = ""
    note: str = ""
    contained_at: int | None = None

    def next(self, **changed: Any) -> Incident:
        """The next version of it."""
        return replace(self, version=self.version + 1, **changed)

    def detail(self) -> dict[str, Any]:
        """As `schemas/README.md` has it."""
        return {
            "incident_id": self.incident_id,
            "version": self.version,
            "alert_id": self.alert_id,
            "title": self.title,
            "state": self.state,
            "scope": self.scope.as_json(),
            "opened_at": self.opened_at,
            "note": self.note,
            "contained_at": self.contained_at,
        }


def find(reader: Any, incident_id: str) -> Incident:
    """The incident, or the alert of that id as one. Errors: NotFound."""
    rows = dicts_of(reader.execute(sql("incident"), {"incident_id": incident_id}))
    if rows:
        row = rows[0]
        return Incident(
            incident_id=row["incident_id"],
            title=row["title"],
            scope=Scope.from_json(json.loads(row["scope"])),
            opened_at=row["opened_at"],
            version=row["version"],
            alert_id=row["alert_id"] or "",
            state=row["state"],
            by=row["by_whom"] or "",
            note=row["note"] or "",
            contained_at=row["contained_at"],
        )
    alert = alert_of(reader, incident_id)
    if alert is None:
        raise NotFound(
            "there is no incident or alert of this id", where=incident_id[:60], do="see `cdc incident list`"
        )
    if alert["merged_into"]:
        return find(reader, alert["merged_into"])
    return of_alert(alert)


def alert_of(reader: Any, alert_id: str) -> dict[str, Any] | None:
    """An alert's latest version, its JSON read; None where there is none."""
    rows = dicts_of(reader.execute(sql("alert_of_incident"), {"alert_id": alert_id}))
    if not rows:
        return None
    return {**rows[0], **{name: json.loads(rows[0][name]) for name in ("kinds", "actors", "targets")}}


def of_alert(alert: Mapping[str, Any]) -> Incident:
    """What an alert means, as filters: its users through its programs, on its entities, in its time.

    Updates are meant if they touch a field the alert names; an update's other fields are meant with it. An
    alert that is still open means whatever comes. An alert lists its largest actors: where they are not all of
    them (many users, one automation), it is what was written that is meant, whoever wrote it.
    """
    entities = tuple(dict.fromkeys(t["entity"] for t in alert["targets"]))
    are_all = sum(a["share"] for a in alert["actors"]) >= ALL_ACTORS_SHARE
    common = Filter(
        from_at=alert["first_change_at"] - MARGIN_MS,
        to_at=alert["last_change_at"] + MARGIN_MS if alert["state"] == CLOSED else None,
        users=tuple(dict.fromkeys(a["user_id"] for a in alert["actors"])) if are_all else (),
        origins=tuple(dict.fromkeys(a["origin"] for a in alert["actors"])),
        clients=tuple(dict.fromkeys(a["client"] for a in alert["actors"])),
        entities=entities,
    )
    include: list[Filter] = []
    for kind in sorted(alert["kinds"]):
        if kind == "UPDATE":
            for entity in entities:
                targets = [t for t in alert["targets"] if t["entity"] == entity and t.get("field")]
                named = tuple(t["field"] for t in targets)
                values = () if are_all else _usual_values(targets)
                include.append(
                    replace(common, kinds=(kind,), entities=(entity,), touching=named, values=values)
                )
        elif not kind.startswith("GAP_"):
            include.append(replace(common, kinds=(kind,)))
    return Incident(
        incident_id=alert["alert_id"],
        title=alert["title"],
        scope=Scope(include=tuple(include)),
        opened_at=alert["decided_at"] or alert["first_change_at"],
        alert_id=alert["alert_id"],
    )


def _usual_values(targets: Sequence[Mapping[str, Any]]) -> tuple[str | None, ...]:
    """What the alerted fields were mostly set to; nothing where they were set to many things."""
    return tuple(
        dict.fromkeys(v["value"] for t in targets for v in t["top_values"] if v["share"] >= MOSTLY_SHARE)
    )


def by_hand(filters: Sequence[Filter], *, title: str, fields: Sequence[str], opened_at: int) -> Incident:
    """A new incident. Errors: BadArgument where nothing narrows it down."""
    if not filters or any(f == Filter() for f in filters):
        raise BadArgument(
            "an incident by hand needs at least one filter",
            do="say which changes are meant: --from, --user, --client, --transaction, --entity, --field …",
        )
    return Incident(
        incident_id=f"i-{secrets.token_hex(4)}",
        title=title or f"by hand: {filters[0].words()}"[:TITLE_CHARS_MAX],
        scope=Scope(include=tuple(filters), fields=tuple(fields)),
        opened_at=opened_at,
        version=1,
    )


def narrowed(incident: Incident, only: Sequence[Filter], without: Sequence[Filter]) -> Incident:
    """Less is meant: only what `only` matches too, and nothing that `without` does."""
    scope = incident.scope
    return incident.next(
        scope=replace(
            scope,
            within=(*scope.within, *only),
            without=(*scope.without, *without),
        )
    )


def widened(incident: Incident, more: Sequence[Filter]) -> Incident:
    """More is meant: what `more` matches too, inside what it was narrowed to."""
    return incident.next(scope=replace(incident.scope, include=(*incident.scope.include, *more)))
