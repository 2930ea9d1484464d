"""The compacted `schemas` topic as a lookup, read on only when something is asked for that is not known yet."""

from __future__ import annotations

import threading
from typing import Any

from cdc.log.kafka_options import KafkaLogOptions
from cdc.log.kafka_partitions import KafkaPartitions, Partition
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.topics import SCHEMAS

CHANGING = ("describe/", "setup/", "origin/")
"""Keys under them get newer values; every other key is an immutable id."""


class KafkaSchemas:
    """Safe in several threads."""

    def __init__(self, options: KafkaLogOptions, topics: KafkaTopics) -> None:
        self._options = options
        self._topics = topics
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}
        self._offsets: dict[str, int] = {}

    def get(self, schema_id: str) -> str | None:
        with self._lock:
            if schema_id not in self._texts or schema_id.startswith(CHANGING):
                self._read_on()
            return self._texts.get(schema_id)

    def _read_on(self) -> None:
        partitions = KafkaPartitions(
            self._options, self._topics, SCHEMAS.__eq__, dict(self._offsets), short=True
        )
        try:
            partitions.discover(0.0)
            partitions.read_to_end(self._take)
            self._offsets.update({one.key: one.reached for one in partitions.all() if one.reached >= 0})
        finally:
            partitions.close()

    def _take(self, message: Any, _partition: Partition) -> None:
        key = str(message.key() or b"", "utf-8")
        if message.value():
            self._texts[key] = str(message.value(), "utf-8")
        else:
            self._texts.pop(key, None)
