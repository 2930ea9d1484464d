"""A merged event, one for each of its records, made by rewriting its record ids in the bytes.

Nothing behind the ids is decoded or encoded again, so what Salesforce sent stays as it was. The header is
the first field of an event, `entityName` its first field and `recordIds` its second. So an event that cannot be
read in full may still tell whom it concerns (`named`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdc.avro.schema import EventSchema
from cdc.avro.wire import read_long, string_end, write_long
from cdc.change.ids import is_record_id
from cdc.errors import Undecodable

_ENTITY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_CENTURY_MS = (946_684_800_000, 4_102_444_800_000)

RECORD_IDS_MAX = 1_000_000
"""More ids than an event of 1 MB can hold: a count beyond it is damage."""


def split(payload: bytes, schema: EventSchema) -> list[tuple[str, bytes]]:
    """(record id, event with that one id), in the order of the ids.

    An event of one id comes back as the same bytes object, and so, with id "", does one that has none or
    is no change event. Undecodable when the ids cannot be read.
    """
    if not schema.is_change_event:
        return [("", payload)]
    _, begin = string_end(payload, 0)
    ids, end = _read_ids(payload, begin)
    if not ids:
        return [("", payload)]
    try:
        if len(ids) == 1:
            return [(ids[0].decode(), payload)]
        before, after = payload[:begin], payload[end:]
        return [(i.decode(), b"".join((before, b"\x02", write_long(len(i)), i, b"\x00", after))) for i in ids]
    except UnicodeDecodeError:
        raise Undecodable("a record id is not text") from None


@dataclass(frozen=True, slots=True)
class Named:
    """Whom an event concerns, as far as its first bytes tell without a schema; a time of 0 is not known."""

    entity: str = ""
    record_ids: tuple[str, ...] = ()
    committed_at: int = 0


def named(payload: bytes) -> Named:
    """Entity and records of an event whose schema nobody has, or whose body is damaged.

    The header comes first in every change event, and its fields have one order (Change Data Capture Developer
    Guide, "Change Event Fields"). Nothing is told that does not look as it should: ids that are no ids of
    records, names that are no names, times outside of this century.
    """
    try:
        begin, at = string_end(payload, 0)
        entity = payload[begin:at].decode()
        ids, at = _read_ids(payload, at)
        record_ids = tuple(one.decode() for one in ids)
    except (Undecodable, UnicodeDecodeError):
        return Named()
    if not _ENTITY_NAME.fullmatch(entity) or not record_ids:
        return Named()
    if not all(is_record_id(one) for one in record_ids):
        record_ids = ()
    return Named(entity, record_ids, _commit_time(payload, at))


def _commit_time(payload: bytes, at: int) -> int:
    """Behind the ids: changeType, changeOrigin, transactionKey, sequenceNumber, commitTimestamp."""
    try:
        _, at = read_long(payload, at)
        for _ in range(2):
            _, at = string_end(payload, at)
        _, at = read_long(payload, at)
        committed_at, _ = read_long(payload, at)
    except Undecodable:
        return 0
    return committed_at if _CENTURY_MS[0] <= committed_at < _CENTURY_MS[1] else 0


def _read_ids(payload: bytes, at: int) -> tuple[list[bytes], int]:
    """The array's strings over all its blocks; a negative count is followed by the block's size in bytes."""
    ids: list[bytes] = []
    while True:
        count, at = read_long(payload, at)
        if count == 0:
            return ids, at
        if count < 0:
            count = -count
            _, at = read_long(payload, at)
        if len(ids) + count > RECORD_IDS_MAX:
            raise Undecodable(f"the event claims to have {len(ids) + count} record ids")
        for _ in range(count):
            begin, at = string_end(payload, at)
            ids.append(payload[begin:at])
