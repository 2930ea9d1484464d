"""Small tables from Python rows: control records, of which there are few. Changes and fields never come this way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from cdc.journal.rows import MILLIS_MAX, MILLIS_MIN

_TEXT, _LONG, _INT, _TIME = pa.string(), pa.int64(), pa.int32(), pa.timestamp("us")
_TEXTS, _BYTES, _TRUTH = pa.list_(pa.string()), pa.binary(), pa.bool_()

COVERAGE: Final = pa.schema(
    {
        "stretch_id": _TEXT,
        "version": _LONG,
        "seq": _LONG,
        "org": _TEXT,
        "channel": _TEXT,
        "entity": _TEXT,
        "record_id": _TEXT,
        "from_at": _TIME,
        "to_at": _TIME,
        "status": _TEXT,
        "reason": _TEXT,
        "evidence": _TEXT,
        "from_ordinal": _LONG,
        "repaired_at": _TIME,
        "to_ordinal": _LONG,
    }
)
JOBS: Final = pa.schema(
    {
        "job_id": _TEXT,
        "version": _LONG,
        "seq": _LONG,
        "org": _TEXT,
        "kind": _TEXT,
        "entity": _TEXT,
        "record_ids": _TEXTS,
        "reason": _TEXT,
        "requested_by": _TEXT,
        "requested_at": _TIME,
        "anchor_at": _TIME,
        "state": _TEXT,
        "after_ordinal": _LONG,
        "read_to": _TIME,
        "cursor": _TEXT,
        "rows": _LONG,
        "rows_total": _LONG,
        "started_at": _TIME,
        "finished_at": _TIME,
        "error": _TEXT,
    }
)
QUARANTINE: Final = pa.schema(
    {
        "seq": _LONG,
        "org": _TEXT,
        "channel": _TEXT,
        "event_id": _TEXT,
        "replay_id": _BYTES,
        "schema_id": _TEXT,
        "received_at": _TIME,
        "reason": _TEXT,
        "payload": _BYTES,
        "entity": _TEXT,
        "record_ids": _TEXTS,
    }
)
CHANNELS: Final = pa.schema(
    {
        "channel": _TEXT,
        "org": _TEXT,
        "replay_id": _BYTES,
        "passed_to": _TIME,
        "live_from": _TIME,
        "stored_at": _TIME,
        "max_committed": _TIME,
        "at_seq": _LONG,
        "heard_at": _TIME,
        "standing": _TEXT,
        "trouble": _TEXT,
    }
)
NEEDS: Final = pa.schema(
    {"seq": _LONG, "entity": _TEXT, "record_id": _TEXT, "anchor_at": _TIME, "reason": _TEXT}
)
SCHEMAS: Final = pa.schema(
    {"schema_id": _TEXT, "at_seq": _LONG, "org": _TEXT, "name": _TEXT, "entity": _TEXT, "body": _TEXT}
)
SCHEMA_FIELDS: Final = pa.schema({"schema_id": _TEXT, "path": _TEXT, "type": _TEXT, "is_alternative": _TRUTH})
DESCRIPTIONS: Final = pa.schema({"entity": _TEXT, "at_seq": _LONG, "fields": _TEXT, "unstreamed": _TEXT})
READABLE_FIELDS: Final = pa.schema({"entity": _TEXT, "at_seq": _LONG, "path": _TEXT})
ALERTS: Final = pa.schema(
    {
        "alert_id": _TEXT,
        "version": _INT,
        "org": _TEXT,
        "severity": _TEXT,
        "state": _TEXT,
        "merged_into": _TEXT,
        "title": _TEXT,
        "first_change_at": _TIME,
        "last_change_at": _TIME,
        "decided_at": _TIME,
        "at_change": _LONG,
        "at_ordinal": _LONG,
        "records": _LONG,
        "changes": _LONG,
        "kinds": _TEXT,
        "actors": _TEXT,
        "targets": _TEXT,
        "transactions": _LONG,
        "samples": _TEXT,
        "evidence": _TEXT,
        "usual": _TEXT,
        "setup_before": _TEXT,
        "coverage": _TEXT,
        "next": _TEXT,
    }
)
DECISIONS: Final = pa.schema(
    {"seq": _LONG, "kind": _TEXT, "at": _TIME, "alert_id": _TEXT, "by_whom": _TEXT, "detail": _TEXT}
)


def append(connection: Any, name: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows into `store.<name>`: columns not given are null, times are epoch microseconds (see `moment`)."""
    if rows:
        with registered(connection, new_rows=pa.Table.from_pylist(list(rows), schema=schema)):
            connection.execute(f"INSERT INTO store.{name} BY NAME FROM new_rows")


@contextmanager
def registered(connection: Any, **tables: pa.Table) -> Iterator[None]:
    """The tables by name for statements of this connection."""
    for name, table in tables.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            connection.unregister(name)


def moment(millis: int | None) -> int | None:
    """Epoch ms as the stored microseconds; 0 and None are a time that is not known."""
    return known_moment(millis) if millis else None


def known_moment(millis: int) -> int:
    """Epoch ms as the stored microseconds, where 0 is a time like any other."""
    return min(max(millis, MILLIS_MIN), MILLIS_MAX) * 1000


def as_json(value: Any) -> str:
    """A nested value as it stands in a JSON column."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
