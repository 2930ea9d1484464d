"""Which part of a divided journal a record of the log belongs to, and what a part has to know of the others' records.

Every part reads the whole log in its order and keeps what is its own: all of a record is in one part, and the order
of everything, the running commit times and the numbers of rows are known in each.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final
from zlib import crc32

import numpy as np

from cdc.avro.own import RECORD_STATE_SCHEMA_ID
from cdc.change.names import entity_of_topic
from cdc.ports.columns import ColumnBatch, Elsewhere
from cdc.ports.log import CONTROL_TOPICS, LogBatch, LogRecord

TOGETHER: Final = frozenset({"setup", "UserChangeEvent"})
"""Topics that stay whole, in the first part: a change of the set-up is told by comparing many of its records."""


def shard_of(topic: str, key: str, shards: int) -> int:
    """The part that keeps the changes of a record, 0 to `shards` - 1."""
    return 0 if topic in TOGETHER else crc32(key.encode()) % shards


def shared_out(batch: LogBatch, shard: int, shards: int) -> tuple[LogBatch, Elsewhere | None]:
    """The part of a batch that is this shard's, control records included, and what is known of the rest."""
    if shards == 1:
        return batch, None
    own: list[LogRecord] = []
    other: list[LogRecord] = []
    for record in batch.records:
        topic = record[0]
        is_own = topic in CONTROL_TOPICS or shard_of(topic, record[1], shards) == shard
        (own if is_own else other).append(record)
    events: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    scanned: dict[str, list[int]] = defaultdict(list)
    entities = {topic: entity_of_topic(topic) or "" for topic in {record[0] for record in other}}
    for topic, _, _, ordinal, committed_at, channel, event_id, _, schema_id, _, _ in other:
        if schema_id == RECORD_STATE_SCHEMA_ID:
            scanned[event_id].append(ordinal)
        elif entities[topic]:
            events[channel, entities[topic]].append((ordinal, committed_at))
    pairs = {key: np.array(found, np.int64) for key, found in events.items()}
    elsewhere = Elsewhere(
        np.array([record[3] for record in other], np.int64),
        {key: (table[:, 0], table[:, 1]) for key, table in pairs.items()},
        {scan: np.array(ordinals, np.int64) for scan, ordinals in scanned.items()},
    )
    return replace(batch, records=own), elsewhere


def with_elsewhere(columns: ColumnBatch, elsewhere: Elsewhere | None) -> ColumnBatch:
    """The columns of a part, with what is known of the rest."""
    return replace(columns, elsewhere=elsewhere)
