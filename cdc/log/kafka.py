"""The log on Kafka."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from cdc.errors import LogRefused
from cdc.log.kafka_options import KafkaLogOptions
from cdc.log.kafka_publisher import KafkaPublisher
from cdc.log.kafka_reader import ordered_batches, plain_batches
from cdc.log.kafka_recent import read_recent
from cdc.log.kafka_schemas import KafkaSchemas
from cdc.log.kafka_tail import read_tail
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.kafka_writer import KafkaWriter
from cdc.log.topics import POSITIONS
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogBatch, LogRecord, Positions
from cdc.ports.types import Ordinal, SchemaId

__all__ = ["KafkaLog", "KafkaLogOptions"]


class KafkaLog:
    """`cdc.ports.log.Log` over one topic prefix. Its methods may be called from several threads.

    After LogUnavailable from `append`, append the same records and positions again (they are written once,
    whatever happened to the first try), or call `open` again and go on from the positions it gives.
    """

    def __init__(self, org: str, options: KafkaLogOptions) -> None:
        self._options = options
        self._topics = KafkaTopics(options, options.prefix(org))
        self._writer = KafkaWriter(org, options, self._topics)
        self._writing = threading.Lock()
        self._publisher = KafkaPublisher(options, self._topics)
        self._schemas = KafkaSchemas(options, self._topics)

    def open(self, owner: str) -> Positions:
        with self._writing:
            return self._writer.open(owner)

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        with self._writing:
            self._writer.append(records, positions)

    def publish(self, records: Sequence[LogRecord]) -> None:
        if records:
            self._publisher.publish(records)

    def batches(
        self, after: Checkpoint, *, topics: frozenset[str] | None = None, idle_s: float = 0.5
    ) -> Iterator[LogBatch]:
        if topics is None:
            return ordered_batches(self._options, self._topics, after, idle_s)
        if not topics or not topics <= CONTROL_TOPICS:
            raise LogRefused(
                "only control topics can be read by name",
                where=", ".join(sorted(topics)) or "no topic at all",
            )
        return plain_batches(self._options, self._topics, after, topics, idle_s)

    def recent(self, records_max: int) -> Sequence[tuple[str, str]]:
        return read_recent(self._options, self._topics, records_max)

    def reached(self) -> Ordinal:
        if POSITIONS not in self._topics.partition_counts():
            return Ordinal(0)
        return Ordinal(read_tail(self._options, self._topics).next_ordinal - 1)

    def schema(self, schema_id: SchemaId) -> str | None:
        return self._schemas.get(schema_id)

    def close(self) -> None:
        with self._writing:
            self._writer.close()
        self._publisher.close()
