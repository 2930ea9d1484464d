"""A batch as columns: made once from the bytes, handed to the journal and to the detector alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Ordinal

_TEXTS = pa.list_(pa.string())

CHANGE_SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("record_id", pa.string(), nullable=False),  # wildcard and overflow ids as sent
        pa.field("kind", pa.string(), nullable=False),
        pa.field("committed_at", pa.int64(), nullable=False),  # epoch ms; of a full state: its SystemModstamp
        pa.field("transaction_key", pa.string()),
        pa.field("sequence_number", pa.int32()),
        pa.field("commit_number", pa.int64()),
        pa.field("user_id", pa.string()),
        pa.field("origin", pa.string()),  # com/salesforce/api/rest/66.0, or ""
        pa.field("client", pa.string()),  # what followed ";client=", or ""
        pa.field("event_id", pa.string()),
        pa.field("replay_id", pa.binary()),
        pa.field("schema_id", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("source", pa.string(), nullable=False),  # pubsub cometd baseline reread poll setup
        pa.field(
            "changed_fields", _TEXTS, nullable=False
        ),  # as the event says, nulled ones included; only UPDATE
        pa.field("nulled_fields", _TEXTS, nullable=False),
        pa.field("diff_fields", _TEXTS, nullable=False),
        pa.field("received_at", pa.int64(), nullable=False),  # the log's append time, epoch ms
        pa.field("part", pa.string()),
        # of full states only (BASELINE, REREAD, and DELETE found by a scan), else null
        pa.field("scan_id", pa.string()),
        pa.field("after_ordinal", pa.int64()),
        pa.field("anchor_at", pa.int64()),
        pa.field("read_to", pa.int64()),
    ]
)
"""ChangeColumns: a row is one change of one record."""

FIELD_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # index into the changes of the same batch, ascending
        pa.field("field", pa.string(), nullable=False),  # path in the event: BillingAddress.City
        pa.field("value", pa.string()),  # canonical text; null: set to null
        pa.field("known", pa.bool_(), nullable=False),  # false: changed, but its value is not known
    ]
)
"""FieldColumns, long form: a row is one field given a value (or made unknown) by one change."""

PLATFORM_EVENT_SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("event_id", pa.string()),
        pa.field("replay_id", pa.binary()),
        pa.field("created_at", pa.int64()),
        pa.field("created_by", pa.string()),
        pa.field("payload", pa.string()),  # JSON
        pa.field("schema_id", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("received_at", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Bad:
    """A record of the log whose bytes could not be read, and why; it stays in the log and goes to quarantine."""

    record: LogRecord
    reason: str
    entity: str = ""
    record_ids: tuple[str, ...] = ()


Longs = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a batch holds for other parts of a divided journal: no values, only what the order of all rests on.

    `events` has, by (channel, entity), ordinals and commit times (epoch ms) of change events, ascending by ordinal;
    `scanned` by scan how many rows of it, with the first one's ordinal.
    """

    ordinals: Longs
    events: Mapping[tuple[str, str], tuple[Longs, Longs]] = field(default_factory=dict)
    scanned: Mapping[str, Longs] = field(default_factory=dict)

    def beyond(self, ordinal: int) -> Elsewhere:
        """What of it lies behind an ordinal."""
        return self.only(lambda ordinals: ordinals > ordinal)

    def only(self, wanted: Callable[[Longs], Any]) -> Elsewhere:
        """What of it is wanted, by ordinals."""
        return Elsewhere(
            self.ordinals[wanted(self.ordinals)],
            {key: (o[wanted(o)], at[wanted(o)]) for key, (o, at) in self.events.items()},
            {scan: o[wanted(o)] for scan, o in self.scanned.items()},
        )


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """One log batch as columns. `control` keeps its place by each record's `ordinal`.

    `refused` are control records that a store could not take; what it keeps of them is their bytes and the reason.
    """

    changes: pa.Table
    fields: pa.Table
    platform_events: pa.Table
    control: Sequence[LogRecord]
    bad: Sequence[Bad]
    checkpoint: Checkpoint
    missing: tuple[Ordinal, Ordinal] | None = None
    refused: Sequence[Bad] = ()
    elsewhere: Elsewhere | None = None
