"""The newest positions record: what the last transaction made true."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import LogRefused, LogUnavailable
from cdc.log import positions_codec
from cdc.log.headers import APPEND, CONTROL, CONTROLS, RecordReader, last_numbers
from cdc.log.kafka_options import KafkaLogOptions
from cdc.log.kafka_partitions import KafkaPartitions, Partition
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.topics import POSITIONS
from cdc.ports.log import Positions

TAIL_OFFSETS = 64
"""How far before the end is looked first; a transaction takes two offsets, an aborted one as well."""


LISTED_TIMEOUT_S = 15.0  # a topic just made may not be listed at once
LISTED_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Tail:
    """`value` is None where nothing was ever written. The rest is in its headers (`headers.py`)."""

    value: bytes | None = None
    append: str = ""
    next_ordinal: int = 1
    control: int = 0
    last_numbers: Mapping[str, int] = field(default_factory=dict)

    def positions(self, org: str) -> Positions:
        return Positions(org) if self.value is None else positions_codec.decode(self.value)


def read_tail(options: KafkaLogOptions, topics: KafkaTopics) -> Tail:
    """Reads from near the end, further back each time nothing committed is found, so that length does not matter."""
    count = _listed(topics)
    behind = TAIL_OFFSETS
    while True:
        tail, length = _read(options, topics, count, behind)
        if tail.value is not None or length <= behind:
            return tail
        behind *= 32


def _listed(topics: KafkaTopics) -> int:
    """Number of partitions. To take an existing topic for an empty one would begin the numbering again."""
    deadline = time.monotonic() + LISTED_TIMEOUT_S
    while True:
        count = topics.partition_counts().get(POSITIONS)
        if count:
            return count
        if time.monotonic() > deadline:
            raise LogUnavailable(
                "the topic is not listed by the broker",
                where=f"topic {topics.full_name(POSITIONS)}",
                do="check the cluster's health",
            )
        time.sleep(LISTED_STEP_S)


def _read(options: KafkaLogOptions, topics: KafkaTopics, count: int, behind: int) -> tuple[Tail, int]:
    """The newest record within `behind` offsets of the end, and how long the topic is."""
    full = topics.full_name(POSITIONS)
    ends = topics.ends([(full, number) for number in range(count)])
    start = {f"{POSITIONS}/{number}": max(0, end - behind) for (_, number), end in ends.items()}
    partitions = KafkaPartitions(options, topics, POSITIONS.__eq__, start, short=True)
    newest = Tail()

    def take(message: Any, partition: Partition) -> None:
        nonlocal newest
        record, headers = RecordReader().any(message, partition.topic)
        newest = Tail(
            record.value,
            headers.get(APPEND, ""),
            positions_codec.decode(record.value).next_ordinal,
            int(headers.get(CONTROL) or 0),
            last_numbers(headers.get(CONTROLS, "")),
        )

    try:
        partitions.discover(0.0)
        partitions.read_to_end(take)
        return newest, max(ends.values())
    except ValueError as e:
        raise LogRefused(
            f"a positions record cannot be read: {e}",
            where=f"topic {full}",
            do="nothing else may write to the topics of this prefix",
        ) from e
    finally:
        partitions.close()
