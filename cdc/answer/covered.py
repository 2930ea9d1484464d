"""`cdc coverage`: the story of what is known since when, in sentences, with the stretches as rows.

Read during an incident: first what is missing, then what each entity's knowledge rests on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.answer.answers import Answer, dicts_of, rows_of
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named

FIELDS_NAMED_MAX = 12
POLLED = "/poll/"


def coverage(reader: Any, entity: str | None = None) -> Answer:
    """Stretches of time, live, lost, repaired or unknown: of the journal, or of one entity. Errors: NotFound."""
    name = entity_named(reader, entity) if entity else None
    columns, rows = rows_of(reader.execute(sql("coverage"), {"entity": name}))
    stretches = [dict(zip(columns, row, strict=True)) for row in rows]
    reasons = [missing_sentence(*row) for row in missing_rows(reader, name)]
    notes = [
        _story(reader, facts, stretches)
        for facts in dicts_of(reader.execute(sql("coverage_facts"), {"entity": name}))
    ]
    return Answer(columns=columns, rows=rows, complete=not reasons, reasons=reasons, notes=notes)


def missing_rows(reader: Any, entity: str | None = None) -> list[Sequence[Any]]:
    """What is missing and not repaired, of everything or of what concerns one entity."""
    found: list[Sequence[Any]] = reader.execute(sql("missing")).fetchall()
    return [row for row in found if entity is None or row[0] in (None, entity)]


def missing_sentence(
    entity: str | None, channel: str | None, from_at: Any, to_at: Any, what: str, reason: str, stretches: int
) -> str:
    """`Account: lost from … to …, the position expired`."""
    where = entity or channel or "everything"
    until = f"to {_time(to_at)}" if to_at else "still"
    more = f", and {stretches - 1} more" if stretches > 1 else ""
    return f"{where}: {what} from {_time(from_at)} {until}, {reason.rstrip('.')}{more}"


def _story(reader: Any, facts: Mapping[str, Any], stretches: Sequence[Mapping[str, Any]]) -> str:
    """One entity in a few sentences."""
    entity = facts["entity"]
    streams = dicts_of(reader.execute(sql("coverage_streams"), {"entity": entity}))
    channels = {stream["channel"] for stream in streams}
    mine = [
        s for s in stretches
        if s["status"] != "live" and (s["entity"] == entity or (s["entity"] is None and s["channel"] in {*channels, None}))
    ]  # fmt: skip
    said = [
        _read(facts),
        *(_stream(stream) for stream in streams),
        _verified(facts),
        *_holes(mine, facts["open_jobs"]),
    ]
    hidden, unstreamed = facts["hidden"] or (), json.loads(facts["unstreamed"] or "[]")
    if hidden:
        said.append(f"this user may not read {_some(hidden)}, so they are unknown")
    if unstreamed:
        said.append(f"no event carries {_some(unstreamed)}, so they are not recorded")
    return f"{entity}: " + "; ".join(part for part in said if part) + "."


def _read(facts: Mapping[str, Any]) -> str:
    if facts["first_read_at"] is None:
        return "never read in full: what it said before its first event is unknown"
    return f"read in full first at {_time(facts['first_read_at'])}, {facts['rows']} records at {_time(facts['last_read_at'])}"


def _stream(stream: Mapping[str, Any]) -> str:
    channel, live_from, passed_to = stream["channel"], stream["live_from"], stream["passed_to"]
    if channel.startswith(POLLED):
        return (
            f"read by query at intervals up to {_time(passed_to)}: of several changes between two readings only the"
            " last is seen, and not by whom"
        )
    if live_from is None:
        return f"not live on {channel} yet"
    return f"live on {channel} from {_time(live_from)}, up to {_time(passed_to)}"


def _verified(facts: Mapping[str, Any]) -> str:
    if facts["verified_at"] is None:
        return "never held against the org"
    how = {"counts": " by counts", "ids": " by ids and stamps", "fields": " field by field"}.get(
        facts["verified_by"], ""
    )
    return f"held against the org{how} at {_time(facts['verified_at'])}: {facts['verified']}"


def _holes(mine: Sequence[Mapping[str, Any]], open_jobs: int | None) -> list[str]:
    said = []
    for stretch in mine:
        until = f"to {_time(stretch['to_at'])}" if stretch["to_at"] else "on"
        who = "" if stretch["records"] is None else f" of {_count(stretch['records'], 'record')}"
        reason = stretch["reason"].rstrip(".")
        if stretch["status"] == "repaired":
            said.append(
                f"what happened{who} from {_time(stretch['from_at'])} {until} was read again at "
                f"{_time(stretch['repaired_at'])}, the values in between stay unknown ({reason})"
            )
        else:
            said.append(f"{stretch['status']}{who} from {_time(stretch['from_at'])} {until} ({reason})")
    if any(stretch["status"] != "repaired" for stretch in mine):
        said.append(
            f"{_count(open_jobs, 'read')} under way to repair it"
            if open_jobs
            else "no read is under way for it"
        )
    return said or ["no hole is known"]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - FIELDS_NAMED_MAX} more" if len(names) > FIELDS_NAMED_MAX else ""
    return ", ".join(names[:FIELDS_NAMED_MAX]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _time(moment: Any) -> str:
    return "?" if moment is None else f"{moment.isoformat(timespec='seconds')}Z"
