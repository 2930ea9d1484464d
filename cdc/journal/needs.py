"""What has to be read again, as job records for capture.

Each need is a row of `store.needs`, written with the change that showed it; requests are made from the rows
after the commit. A request's id names the first thing it repairs, so that the same log gives the same ids. A
need that is not met when the journal opens is asked for again: nothing is lost by a kill between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.journal.statements import statement
from cdc.journal.tables import NEEDS, append, known_moment

IDS_PER_REQUEST_MAX: Final = 200
"""One query's list of ids (protocol reference, section 5); capture reads a request in one page."""


@dataclass(frozen=True, slots=True)
class Need:
    """`record_id` is None for a whole entity; `anchor_ms` is the start of the hole."""

    seq: int
    entity: str
    record_id: str | None
    anchor_ms: int
    reason: str


def write_needs(connection: Any, needs: Sequence[Need]) -> None:
    """Rows of `store.needs`, inside the caller's transaction."""
    rows = [
        {
            "seq": need.seq,
            "entity": need.entity,
            "record_id": need.record_id,
            "anchor_at": known_moment(need.anchor_ms),
            "reason": need.reason,
        }
        for need in needs
    ]
    append(connection, "needs", NEEDS, rows)


def needs_between(connection: Any, after: int, upto: int) -> list[Need]:
    """Needs that changes with ordinals in (after, upto] showed."""
    rows = connection.execute(
        "SELECT seq, entity, record_id, epoch_ms(anchor_at), reason FROM store.needs"
        " WHERE seq > ? AND seq <= ? ORDER BY seq, entity, record_id",
        [after, upto],
    ).fetchall()
    return [Need(*row) for row in rows]


def unmet_needs(connection: Any) -> list[Need]:
    """Needs that nothing held has met and no job under way will meet."""
    return [Need(*row) for row in connection.execute(statement("unmet_needs")).fetchall()]


def requests(needs: Iterable[Need], now_ms: Callable[[], int]) -> list[dict[str, Any]]:
    """Job requests (`schemas/job.avsc`) that meet the needs: whole entities once, records in groups."""
    whole: dict[str, list[Need]] = {}
    records: dict[str, dict[str, Need]] = {}
    for need in needs:
        if need.record_id is None:
            whole.setdefault(need.entity, []).append(need)
        else:
            records.setdefault(need.entity, {}).setdefault(need.record_id, need)
    jobs = [_request(group[:1], _earliest(group), [], now_ms()) for group in whole.values()]
    for entity, by_id in records.items():
        if entity in whole:
            continue  # the scan of the entity reads them too
        group = list(by_id.values())
        for begin in range(0, len(group), IDS_PER_REQUEST_MAX):
            part = group[begin : begin + IDS_PER_REQUEST_MAX]
            jobs.append(_request(part, _earliest(part), [n.record_id for n in part if n.record_id], now_ms()))
    return jobs


def schema_requests(
    connection: Any, after: int, upto: int, now_ms: Callable[[], int]
) -> list[dict[str, Any]]:
    """Job requests for the schemas that events with ordinals in (after, upto] were put aside for."""
    found = connection.execute(statement("unknown_schemas"), {"after": after, "upto": upto}).fetchall()
    return [
        _job(
            f"schema-{schema_id}",
            "schema",
            entity,
            [schema_id],
            "events of it could not be read",
            0,
            now_ms(),
        )
        for schema_id, _, entity in found
    ]


def _earliest(group: Sequence[Need]) -> int:
    """One anchor for all: a row says nothing between it and a later gap of its record, whose event names every field."""
    return min(need.anchor_ms for need in group)


def _request(group: Sequence[Need], anchor_ms: int, record_ids: list[str], now_ms: int) -> dict[str, Any]:
    first = group[0]
    job_id = f"reread-{first.entity}-{first.seq}"
    return _job(job_id, "reread", first.entity, record_ids, first.reason, anchor_ms, now_ms)


def _job(
    job_id: str, kind: str, entity: str, ids: list[str], reason: str, anchor_ms: int, now_ms: int
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "kind": kind,
        "entity": entity,
        "record_ids": ids,
        "reason": reason,
        "requested_by": "journal",
        "requested_at": now_ms,
        "anchor_at": anchor_ms,
        "state": "requested",
        "after_ordinal": 0,
        "read_to": 0,
        "cursor": "",
        "rows": 0,
        "rows_total": -1,
        "started_at": 0,
        "finished_at": 0,
        "error": "",
    }
