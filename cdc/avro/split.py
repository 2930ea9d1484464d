"""A merged event, one for each of its records, made by rewriting its record ids in the bytes.

Nothing behind the ids is decoded or encoded again, so what Salesforce sent stays as it was. The header is
the first field of an event, `entityName` its first field and `recordIds` its second.
"""

from __future__ import annotations

from cdc.avro.schema import EventSchema
from cdc.avro.wire import read_long, string_end, write_long
from cdc.errors import Undecodable

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
