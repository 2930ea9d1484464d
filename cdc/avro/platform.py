"""Platform events to their few columns, the payload as JSON."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import fastavro

from cdc.avro.schema import EventSchema
from cdc.avro.texts import as_json
from cdc.errors import Undecodable


class PlatformEvent(NamedTuple):
    """`created_at` epoch ms and `created_by` are null where the event has no such fields."""

    name: str
    created_at: int | None
    created_by: str | None
    payload: str


def decode_platform_event(body: bytes, schema: EventSchema) -> PlatformEvent:
    """From a body without its frame. Undecodable when it is cut short, too long or of another schema."""
    buffer = BytesIO(body)
    try:
        fields: Any = fastavro.schemaless_reader(buffer, schema.reader, None)
        payload = as_json(fields)
    except (EOFError, IndexError, KeyError, ValueError, OverflowError, TypeError, StopIteration) as e:
        raise Undecodable(f"it cannot be read: {str(e) or 'it is cut short'}") from e
    if buffer.tell() != len(body):
        raise Undecodable("there are bytes after its end, so it is of another schema")
    created_at, created_by = fields.get("CreatedDate"), fields.get("CreatedById")
    return PlatformEvent(
        schema.name,
        created_at if isinstance(created_at, int) else None,
        created_by if isinstance(created_by, str) else None,
        payload,
    )
