"""Events and records that could not be read: kept raw, with the reason and with whom they concern."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import schemas.own as own
from cdc.avro.own import RECORD_STATE_SCHEMA_ID
from cdc.change.ids import is_record_id
from cdc.journal.tables import QUARANTINE, append, moment
from cdc.ports.columns import Bad
from cdc.ports.log import CONTROL_TOPICS, LogRecord

PLATFORM_SUFFIX: Final = "__e"
QUARANTINE_TOPIC: Final = "quarantine"
"""Where capture puts what it cannot read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One row of `quarantine`. `hides_changes`: it may have been a change, so what it concerns is not known.

    `committed_ms` is 0 where nobody could tell.
    """

    seq: int
    channel: str
    event_id: str
    replay_id: bytes
    schema_id: str
    received_ms: int
    committed_ms: int
    reason: str
    payload: bytes
    entity: str
    record_ids: tuple[str, ...]
    hides_changes: bool


def unread(bad: Bad, entity_of_schema: Callable[[str, int], str | None]) -> Unread:
    """What is known of a record that could not be read, by capture or by us."""
    record = bad.record
    kept = _kept_by_capture(record)
    entity = bad.entity or kept.get("entity") or entity_of_schema(record.schema_id, record.ordinal) or ""
    named = tuple(bad.record_ids or kept.get("record_ids") or ())
    return Unread(
        seq=record.ordinal,
        channel=record.channel,
        event_id=record.event_id or record.key,
        replay_id=kept.get("replay_id") or _bytes(record.replay_id),
        schema_id=record.schema_id,
        received_ms=kept.get("received_at") or record.appended_at,
        committed_ms=record.committed_at,
        reason=bad.reason,
        payload=kept.get("payload", record.value),
        entity=entity,
        record_ids=named if all(is_record_id(r) for r in named) else (),
        hides_changes=_may_be_a_change(record),
    )


def write_quarantine(connection: Any, org: str, events: Sequence[Unread]) -> None:
    """Rows of `store.quarantine`, inside the caller's transaction."""
    rows = [
        {
            "seq": event.seq,
            "org": org,
            "channel": event.channel or None,
            "event_id": event.event_id or None,
            "replay_id": event.replay_id or None,
            "schema_id": event.schema_id or None,
            "received_at": moment(event.received_ms),
            "reason": event.reason,
            "payload": event.payload,
            "entity": event.entity or None,
            "record_ids": list(event.record_ids),
        }
        for event in events
    ]
    append(connection, "quarantine", QUARANTINE, rows)


def _kept_by_capture(record: LogRecord) -> dict[str, Any]:
    if record.topic != QUARANTINE_TOPIC:
        return {}
    try:
        return own.decode(QUARANTINE_TOPIC, record.value)
    except ValueError:
        return {}  # the reason says so; the bytes are kept as they are


def _may_be_a_change(record: LogRecord) -> bool:
    """A platform event or a row of a scan hides no change, nor does a control record."""
    if record.topic in CONTROL_TOPICS or record.schema_id == RECORD_STATE_SCHEMA_ID:
        return False
    return not (record.topic.endswith(PLATFORM_SUFFIX) or record.channel.startswith("/event/"))


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
