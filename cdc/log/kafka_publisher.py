"""Control records from outside the transactions: job requests, alerts, decisions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from cdc.errors import LogUnavailable
from cdc.log import headers, numbering
from cdc.log.kafka_errors import error_of, translated
from cdc.log.kafka_options import MESSAGE_TIMEOUT_MS, KafkaLogOptions, producer_config
from cdc.log.kafka_topics import KafkaTopics
from cdc.ports.log import LogRecord

FLUSH_TIMEOUT_S = MESSAGE_TIMEOUT_MS / 1000 + 5  # by then every message was delivered or given up


class KafkaPublisher:
    """Safe in several threads; one call at a time."""

    def __init__(self, options: KafkaLogOptions, topics: KafkaTopics) -> None:
        self._options = options
        self._topics = topics
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def publish(self, records: Sequence[LogRecord]) -> None:
        """Durable when it returns. LogUnavailable: none, some or all of them were written; publish them again."""
        records = numbering.unplaced(records)
        names = {record.topic: self._topics.full_name(record.topic) for record in records}
        with self._lock:
            self._topics.ensure(names)
            failures: list[KafkaError] = []

            def delivered(error: KafkaError | None, _message: Any) -> None:
                if error is not None:
                    failures.append(error)

            try:
                producer = self._producer = self._producer or Producer(producer_config(self._options))
                for record in records:
                    producer.produce(
                        names[record.topic],
                        record.value,
                        record.key,
                        headers=headers.of_control(record, 0),
                        on_delivery=delivered,
                    )
                left = producer.flush(FLUSH_TIMEOUT_S)
            except (KafkaException, BufferError) as e:
                self._producer = None
                error = error_of(e) if isinstance(e, KafkaException) else KafkaError(KafkaError._QUEUE_FULL)
                raise translated(error, "the records were not written", self._where()) from e
            if failures:
                self._producer = None
                raise translated(failures[0], "the records were not written", self._where())
            if left:
                self._producer = None
                raise LogUnavailable("Kafka did not take the records in time", where=self._where())

    def close(self) -> None:
        with self._lock:
            self._producer = None

    def _where(self) -> str:
        return f"{self._topics.prefix} at {self._options.bootstrap_servers}"
