"""Which topics there are, and how each is kept."""

from __future__ import annotations

from collections.abc import Iterable

from cdc.ports.log import CONTROL_TOPICS

POSITIONS = "positions"
SCHEMAS = "schemas"

COMPACTED = frozenset({POSITIONS, "jobs", SCHEMAS})
"""The newest record of each key is kept for ever; of every other topic all records are kept for a time."""

VALUE_BYTES_MAX = 4 * 1024 * 1024
"""Salesforce events have at most 1 MB; our own records of many ids may be larger."""

POSITIONS_SEGMENT_BYTES = 8 * 1024 * 1024
"""A small segment closes soon, and only closed segments are compacted."""

HOUR_MS = 3_600_000


def is_numbered(topic: str) -> bool:
    """True when every record of the topic has an ordinal of its own."""
    return topic not in CONTROL_TOPICS


def is_name(topic: str) -> bool:
    """A name without prefix: letters, digits, `_` and `-`, so that the prefix ends at the last dot."""
    return 0 < len(topic) <= 200 and topic.replace("_", "a").replace("-", "a").isalnum() and topic.isascii()


def partitions(topic: str, settings_partitions: int) -> int:
    """Control topics have one partition: their order is one order, and few records go there."""
    return settings_partitions if is_numbered(topic) else 1


def kafka_config(topic: str, retention_ms: int) -> dict[str, str]:
    """The topic's configuration on Kafka, given when it is created and left alone afterwards."""
    config = {
        # With the commit time as record time, retention would delete a baseline of old records at once.
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(VALUE_BYTES_MAX + 64 * 1024),
    }
    if topic in COMPACTED:
        return config | {
            "cleanup.policy": "compact",
            "segment.ms": str(24 * HOUR_MS),
            "segment.bytes": str(POSITIONS_SEGMENT_BYTES),
            "min.cleanable.dirty.ratio": "0.1",
        }
    return config | {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        # Only closed segments age out: about a day more than asked for at most.
        "segment.ms": str(max(HOUR_MS, min(24 * HOUR_MS, retention_ms // 4))),
    }


def own(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Of all topics of a cluster those under a prefix: short name -> full name."""
    start = prefix + "."
    return {
        name[len(start) :]: name for name in names if name.startswith(start) and is_name(name[len(start) :])
    }
