"""The report: five questions an executive or an auditor asks, each answered with evidence from the journal.

Who owns recovery; recovery point and time, and when that was last tested; the last successful restore; controlled
change and rollback; the blast radius of each incident. What was never done is said plainly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cdc.answer.answers import Answer, dicts_of, json_value
from cdc.answer.times import newest_org_time, parse_time
from cdc.errors import CdcError
from cdc.recover.blast import totals_of
from cdc.recover.incidents import find
from cdc.recover.statements import sql

NEVER_TESTED = "never tested"
NOT_NAMED = "not named: set restore.owner"
DAYS_DEFAULT = 90
BLASTS_MAX = 20


@dataclass(frozen=True, slots=True)
class ReportAnswer(Answer):
    """A row a question, with its answer in a sentence; `report` has the evidence."""

    report: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {**super(ReportAnswer, self).as_json(), "report": self.report}


def report(reader: Any, from_time: str = "", to_time: str = "", owner: str = "") -> Answer:
    """The five answers about a stretch of time (without one, the last 90 days). Errors: BadArgument."""
    newest = newest_org_time(reader) or datetime(1970, 1, 1)
    until = (parse_time(to_time, newest) if to_time else None) or newest
    since = (parse_time(from_time, newest) if from_time else None) or until - timedelta(days=DAYS_DEFAULT)
    span = {"from_at": since, "to_at": until + timedelta(days=1)}
    drills = dicts_of(reader.execute(sql("report_drills")))
    restores = dicts_of(reader.execute(sql("report_restores"), span))
    incidents = dicts_of(reader.execute(sql("report_incidents"), span))
    control = dicts_of(reader.execute(sql("report_control"), span))[0]
    for incident in incidents[:BLASTS_MAX]:
        incident["blast"] = _blast(reader, incident["incident_id"])
    answers = (
        ("Who owns recovery?", _owner(owner, restores)),
        ("What are recovery point and recovery time, and when were they last tested?", _tested(drills)),
        ("When was the last successful restore?", _last(restores)),
        ("Is change controlled, and can it be rolled back?", _control(control, restores)),
        ("What was the blast radius of each incident?", _incidents(incidents)),
    )
    body = {
        "from": since,
        "to": until,
        "questions": [{"question": q, "answer": a} for q, a in answers],
        "owner": owner,
        "drills": drills,
        "restores": restores,
        "incidents": incidents,
        "control": control,
    }
    return ReportAnswer(columns=("question", "answer"), rows=answers, report=json_value(body))


def _owner(owner: str, restores: list[dict[str, Any]]) -> str:
    people = sorted({r["requested_by"] for r in restores if r["requested_by"]})
    done = f" Restores were asked for by {', '.join(people)}." if people else ""
    return f"{owner or NOT_NAMED}.{done}"


def _tested(drills: list[dict[str, Any]]) -> str:
    good = [d for d in drills if d["last_good_at"] is not None]
    if not good:
        failed = f"; {sum(d['drills'] for d in drills)} drills failed" if drills else ""
        return f"Recovery was {NEVER_TESTED}{failed}: run `cdc drill`."
    last = good[0]
    return (
        f"Measured by the {last['kind']} drill of {last['last_good_at']:%Y-%m-%d %H:%M} UTC: "
        f"recovery time {_seconds(last['rto_from_detection_ms'])} from detection, "
        f"{_seconds(last['rto_from_decision_ms'])} from the decision; recovery point {_seconds(last['rpo_ms'])}; "
        f"{last['equal']:,} of {last['records']:,} records were equal afterwards."
    )


def _last(restores: list[dict[str, Any]]) -> str:
    good = next((r for r in restores if r["state"] == "verified" and r["kind"] != "setup"), None)
    if good is None:
        applied = f"; {len(restores)} were written and not verified" if restores else ""
        return f"There was no verified restore in this time{applied}."
    return (
        f"{good['finished_at']:%Y-%m-%d %H:%M} UTC: {good['restore_id']} of incident {good['incident_id']}, "
        f"{good['restored']:,} records put back, {good['not_restored']:,} left, verified field by field."
    )


def _control(control: Mapping[str, Any], restores: list[dict[str, Any]]) -> str:
    since = control["recorded_since"]
    recorded = (
        f"every change is recorded since {since:%Y-%m-%d %H:%M} UTC" if since else "nothing is recorded yet"
    )
    seals = (
        f"{control['seals']:,} seals, the last of {control['last_sealed_at']:%Y-%m-%d}"
        if control["seals"]
        else "no seals yet"
    )
    return (
        f"{_count(control['changes'], 'change')} in this time; {recorded}; "
        f"{_count(control['setup_changes'], 'setup change')}; {seals}; "
        f"{_count(len(restores), 'restore')}, each from a plan known by its hash; "
        f"stretches lost or unknown: {control['stretches_lost_or_unknown']:,}."
    )


def _incidents(incidents: list[dict[str, Any]]) -> str:
    if not incidents:
        return "There was no incident in this time."
    records = sum(i["blast"]["records"] for i in incidents if i.get("blast"))
    still = sum(i["state"] not in ("closed", "merged") for i in incidents)
    return f"{_count(len(incidents), 'incident')} touched {_count(records, 'record')}; still open: {still:,}."


def _blast(reader: Any, incident_id: str) -> dict[str, Any] | None:
    """The incident in numbers; None where nothing is meant, or it cannot be told."""
    try:
        totals = totals_of(reader, find(reader, incident_id))
    except CdcError:
        return None
    return {name: totals[name] for name in ("records", "changes", "transactions", "first_at", "last_at")}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _seconds(millis: int | None) -> str:
    if millis is None:
        return "not measured"
    return f"{millis / 1000:.1f} s" if millis < 120_000 else f"{millis / 60_000:.1f} minutes"
