"""Events that could not be read when they came, read when their schema is at hand.

They take the place they always had: the ordinal they were put aside under, and a time between those of their
neighbours on the channel. What they hid is known from then on; the raw row stays, with the time at which it
was decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from cdc.avro.columns import decode_batch
from cdc.avro.framing import frame_prefix, unframe
from cdc.avro.schema import EventSchema
from cdc.avro.split import split
from cdc.avro.store import SchemaStore
from cdc.errors import Undecodable
from cdc.journal.control import SchemaText
from cdc.journal.rows import MILLIS_MAX, Rows, new_rows, times
from cdc.journal.statements import statement
from cdc.journal.tables import moment
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal

EVENTS_PER_SCHEMA_MAX: Final = 10_000
"""Of one schema, when it is told: the rest waits for the next time. Each is decoded alone."""


class Late:
    """Finds what a schema makes readable. The caller writes the rows, inside its transaction."""

    def __init__(self, connection: Any, org: str) -> None:
        self._connection = connection
        self._org = org

    def readable(self, text: SchemaText, after: int, upto: int) -> list[tuple[Rows, ColumnBatch]]:
        """For each event with an ordinal in (after, upto] that is readable with the schema, its changes."""
        found = self._connection.execute(
            statement("unread_of_schema"),
            {"schema_id": text.schema_id, "after": after, "upto": upto, "limit": EVENTS_PER_SCHEMA_MAX},
        ).fetchall()
        if not found:
            return []
        try:
            schema = EventSchema.parse(text.schema_id, text.text)
        except Undecodable:
            return []
        if not schema.is_change_event:
            return []
        store = SchemaStore(lambda schema_id: text.text if schema_id == text.schema_id else None)
        read = (self._read(schema, store, *row) for row in found)
        return [one for one in read if one is not None]

    def mark(self, seqs: Sequence[int], place: int, at_ms: int) -> None:
        """These are decoded: their raw rows say since when, and their stretches are closed."""
        given = {"seqs": list(seqs), "at": moment(at_ms) or 0, "place": place}
        self._connection.execute(statement("mark_decoded"), {"seqs": given["seqs"], "at": given["at"]})
        self._connection.execute(statement("repair_decoded"), given)

    def _read(
        self,
        schema: EventSchema,
        store: SchemaStore,
        seq: int,
        channel: str,
        event_id: str,
        replay_id: bytes,
        received_ms: int,
        payload: bytes,
    ) -> tuple[Rows, ColumnBatch] | None:
        for body in _bodies(payload):
            try:
                parts = split(body, schema)
            except Undecodable:
                continue
            records = [
                LogRecord(
                    schema.name, record_id, frame_prefix(schema.json_text) + part, seq, 0, channel, event_id,
                    (replay_id or b"").hex(), schema.schema_id, appended_at=received_ms,
                )
                for record_id, part in parts
            ]  # fmt: skip
            batch = decode_batch(LogBatch(records, Checkpoint({}, Ordinal(seq))), store)
            if not batch.bad and batch.changes.num_rows == len(records):
                return self._placed(batch, seq, channel), batch
        return None

    def _placed(self, batch: ColumnBatch, seq: int, channel: str) -> Rows:
        """Times of the channel run forward only, and a late event does not change those of others."""
        before_ms, after_ms = self._connection.execute(
            statement("times_around"), {"channel": channel, "seq": seq}
        ).fetchone()
        rows = new_rows(batch, Ordinal(seq - 1), {channel: before_ms or 0})
        effective = np.minimum(rows.effective_ms, MILLIS_MAX if after_ms is None else after_ms)
        at = rows.changes.schema.get_field_index("effective_at")
        changes = rows.changes.set_column(at, "effective_at", times(effective))
        return replace(rows, changes=changes, effective_ms=effective)


def _bodies(payload: bytes) -> list[bytes]:
    """What capture put aside is a body; what the journal could not read has its frame still."""
    try:
        return [payload, unframe(payload)]
    except Undecodable:
        return [payload]
