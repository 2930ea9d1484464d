"""Batches of the log as columns, written by hand: what the journal is given in its tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

import schemas.own as own
from cdc.ports.columns import CHANGE_SCHEMA, FIELD_SCHEMA, PLATFORM_EVENT_SCHEMA, Bad, ColumnBatch
from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Ordinal

ORG = "acme"
CHANNEL = "/data/ChangeEvents"
SECOND = 1000
T0 = 1_795_000_000_000
"""A moment in November 2026, epoch ms."""


def record_id(number: int) -> str:
    return f"001{number:012d}AAA"


@dataclass(frozen=True)
class Change:
    """One change with its fields: name -> value, or UNKNOWN."""

    ordinal: int
    record: int | str = 1
    kind: str = "UPDATE"
    said: Mapping[str, Any] = field(default_factory=dict)
    at: int = T0
    entity: str = "Account"
    channel: str | None = CHANNEL
    schema_id: str | None = None
    diff_fields: Sequence[str] = ()
    scan_id: str | None = None
    after_ordinal: int | None = None
    anchor_at: int | None = None
    read_to: int | None = None
    event_id: str | None = None

    @property
    def id(self) -> str:
        return self.record if isinstance(self.record, str) else record_id(self.record)


UNKNOWN = object()
"""In place of a value: changed, and not known."""


def full_state(
    ordinal: int, record: int, scan: str, after: int, said: Mapping[str, Any], **more: Any
) -> Change:
    given = {"kind": "BASELINE", "anchor_at": T0, "read_to": T0 + SECOND, "channel": None} | more
    return Change(ordinal, record, said=said, scan_id=scan, after_ordinal=after, **given)


def batch(
    changes: Iterable[Change] = (),
    *,
    control: Sequence[LogRecord] = (),
    bad: Sequence[Bad] = (),
    platform_events: Sequence[Mapping[str, Any]] = (),
    missing: tuple[int, int] | None = None,
    upto: int | None = None,
    offset: int | None = None,
) -> ColumnBatch:
    """One batch; its checkpoint is at its greatest ordinal, or `upto`."""
    rows = list(changes)
    numbers = (
        [c.ordinal for c in rows] + [b.record.ordinal for b in bad] + [e["ordinal"] for e in platform_events]
    )
    reached = max(numbers, default=0) if upto is None else upto
    return ColumnBatch(
        _changes(rows),
        _fields(rows),
        pa.Table.from_pylist(list(platform_events), schema=PLATFORM_EVENT_SCHEMA),
        list(control),
        list(bad),
        Checkpoint({"log/0": reached if offset is None else offset}, Ordinal(reached)),
        None if missing is None else (Ordinal(missing[0]), Ordinal(missing[1])),
    )


def _changes(rows: Sequence[Change]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "ordinal": c.ordinal,
                "entity": c.entity,
                "record_id": c.id,
                "kind": c.kind,
                "committed_at": c.at,
                "transaction_key": f"transaction{c.ordinal}",
                "sequence_number": 1,
                "commit_number": c.ordinal,
                "user_id": "005000000000001AAA",
                "origin": "com/salesforce/api/rest/66.0",
                "client": "loader",
                "event_id": c.event_id or f"event{c.ordinal}",
                "replay_id": c.ordinal.to_bytes(10, "big"),
                "schema_id": c.schema_id,
                "channel": c.channel,
                "source": "baseline" if c.scan_id else "pubsub",
                "changed_fields": list(c.said) if c.kind == "UPDATE" else [],
                "nulled_fields": [f for f, v in c.said.items() if v is None and c.kind == "UPDATE"],
                "diff_fields": list(c.diff_fields),
                "received_at": c.at + 500,
                "scan_id": c.scan_id,
                "after_ordinal": c.after_ordinal,
                "anchor_at": c.anchor_at,
                "read_to": c.read_to,
            }
            for c in rows
        ],
        schema=CHANGE_SCHEMA,
    )


def _fields(rows: Sequence[Change]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "row": row,
                "field": name,
                "value": None if value is UNKNOWN else value,
                "known": value is not UNKNOWN,
            }
            for row, change in enumerate(rows)
            for name, value in change.said.items()
        ],
        schema=FIELD_SCHEMA,
    )


# -- control records ------------------------------------------------------------------------------------------


def position(place: int, passed_to: int, live_from: int = 0, channel: str = CHANNEL) -> LogRecord:
    channels = [
        {
            "channel": channel,
            "replay_id": b"0123456789",
            "beyond": [],
            "passed_to": passed_to,
            "stored_at": passed_to + 700,
            "live_from": live_from,
        }
    ]
    value = own.encode("positions", {"org": ORG, "next_ordinal": place + 1, "channels": channels})
    return LogRecord("positions", ORG, value, place, appended_at=passed_to)


def job(place: int, job_id: str, state: str, **said: Any) -> LogRecord:
    values = {
        "job_id": job_id,
        "kind": "baseline",
        "entity": "Account",
        "record_ids": [],
        "reason": "a test reads it",
        "requested_by": "capture",
        "requested_at": T0,
        "anchor_at": T0,
        "state": state,
        "after_ordinal": 0,
        "read_to": T0 + SECOND if state == "ended" else 0,
        "cursor": "",
        "rows": 0,
        "rows_total": -1,
        "started_at": T0 if state != "requested" else 0,
        "finished_at": T0 + SECOND if state == "ended" else 0,
        "error": "",
    } | said
    return LogRecord("jobs", job_id, own.encode("job", values), place, appended_at=T0)


def lost(place: int, stretch_id: str, from_at: int, to_at: int | None, **said: Any) -> LogRecord:
    values = {
        "stretch_id": stretch_id,
        "channel": CHANNEL,
        "from_at": from_at,
        "to_at": to_at,
        "status": "lost",
        "reason": "the position was lost",
        "evidence": "code",
        "from_ordinal": place,
    } | said
    return LogRecord("coverage", CHANNEL, own.encode("coverage", values), place)


def description(place: int, entity: str, paths: Sequence[str]) -> LogRecord:
    fields = [{"name": p.replace(".", ""), "path": p, "type": "string", "reference_to": []} for p in paths]
    body = {"entity": entity, "key_prefix": "001", "org_time": T0 + place, "fields": fields}
    key = f"describe/{entity}"
    return LogRecord("schemas", key, json.dumps(body).encode(), place, schema_id=key)


def schema_record(place: int, schema_id: str, text: str) -> LogRecord:
    return LogRecord("schemas", schema_id, text.encode(), place, schema_id=schema_id)


def alert(alert_id: str, version: int, state: str = "open", **said: Any) -> LogRecord:
    values = {
        "alert_id": alert_id,
        "version": version,
        "org": ORG,
        "severity": "page",
        "state": state,
        "title": "One user sets Industry of many accounts to null",
        "first_change_at": T0,
        "last_change_at": T0 + version * SECOND,
        "decided_at": T0 + SECOND,
        "at_change": 40,
        "at_ordinal": 40,
        "records": 40 * version,
        "changes": 40 * version,
        "kinds": {"UPDATE": 40},
        "actors": [{"user_id": "005", "origin": "", "client": "flow", "share": 1.0}],
        "targets": [
            {
                "entity": "Account",
                "field": "Industry",
                "null_share": 1.0,
                "share": 1.0,
                "top_values": [{"value": None, "share": 1.0}],
            }
        ],
        "transactions": 1,
        "samples": [{"record_id": record_id(1), "field": "Industry", "before": "Energy", "after": None}],
        "evidence": [{"channel": "D1", "sentence": "40 records in a minute", "weight": 1.2}],
        "usual": "4 a day",
        "next": "cdc incident show",
    } | said
    return LogRecord("alerts", alert_id, own.encode("alert", values))


def decision(kind: str, alert_id: str, by: str, at: int) -> LogRecord:
    value = own.encode("decision", {"kind": kind, "at": at, "alert_id": alert_id, "by": by})
    return LogRecord("decisions", alert_id, value)


def in_two(one: ColumnBatch, at: int) -> tuple[ColumnBatch, ColumnBatch]:
    """The batch cut behind an ordinal, control records in their place."""
    is_first = [o <= at for o in one.changes["ordinal"].to_pylist()]
    count = sum(is_first)
    rows = one.fields["row"].to_pylist()
    cut = sum(1 for r in rows if r < count)
    later = one.fields.slice(cut)
    later = later.set_column(0, FIELD_SCHEMA.field(0), pa.array([r - count for r in rows[cut:]], pa.int64()))
    first = replace(
        one,
        changes=one.changes.slice(0, count),
        fields=one.fields.slice(0, cut),
        control=[c for c in one.control if c.ordinal <= at],
        bad=[b for b in one.bad if b.record.ordinal <= at],
        checkpoint=Checkpoint({"log/0": at}, Ordinal(at)),
    )
    second = replace(
        one,
        changes=one.changes.slice(count),
        fields=later,
        control=[c for c in one.control if c.ordinal > at],
        bad=[b for b in one.bad if b.record.ordinal > at],
    )
    return first, second
