"""Topics on the broker: made when first written to, checked when they are there already."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from cdc.errors import LogRefused
from cdc.log import topics
from cdc.log.kafka_errors import SETTLING, error_of, translated
from cdc.log.kafka_options import KafkaLogOptions, admin_config

REQUEST_TIMEOUT_S = 10.0  # an answer of the cluster about its topics
SETTLING_STEP_S = 0.05


class KafkaTopics:
    """The topics of one prefix. Safe in several threads."""

    def __init__(self, options: KafkaLogOptions, prefix: str) -> None:
        self._options = options
        self.prefix = prefix
        self._lock = threading.Lock()
        self._admin: AdminClient | None = None
        self._known: set[str] = set()

    def full_name(self, topic: str) -> str:
        return f"{self.prefix}.{topic}"

    def admin(self) -> AdminClient:
        if self._admin is None:
            try:
                self._admin = AdminClient(admin_config(self._options))
            except KafkaException as e:
                raise translated(error_of(e), "the Kafka client refuses its settings", self._where()) from e
        return self._admin

    def partition_counts(self, client: Consumer | None = None) -> dict[str, int]:
        """Topics of this prefix as the cluster lists them now: short name -> number of partitions.

        Asked by the consumer that will read them, it knows their leaders as well and begins at once.
        """
        try:
            listed = (client or self.admin()).list_topics(timeout=REQUEST_TIMEOUT_S).topics
        except KafkaException as e:
            raise translated(error_of(e), "Kafka does not list its topics", self._where()) from e
        return {
            short: len(listed[full].partitions)
            for short, full in topics.own(listed, self.prefix).items()
            if listed[full].error is None
        }

    def ends(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The offset behind everything written so far, committed or not yet, by full topic name and partition."""
        deadline = time.monotonic() + REQUEST_TIMEOUT_S
        while True:
            try:
                return self._ask_ends(places)
            except KafkaException as e:
                error = error_of(e)
                if error.code() not in SETTLING or time.monotonic() > deadline:
                    raise translated(error, "Kafka does not say how far its topics go", self._where()) from e
            time.sleep(SETTLING_STEP_S)

    def ensure(self, names: Iterable[str]) -> None:
        """Every one of these topics is there, with the right number of partitions, when this returns.

        LogRefused names the topic that may not be made, or that has another number of partitions.
        """
        with self._lock:
            new = set(names) - self._known
            if not new:
                return
            counts = self.partition_counts()
            for name in sorted(new & counts.keys()):
                self._check_count(name, counts[name])
            self._create(sorted(new - counts.keys()))
            self._known |= new

    def _ask_ends(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        asked = {TopicPartition(name, number): OffsetSpec.latest() for name, number in places}
        futures = self.admin().list_offsets(
            asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_TIMEOUT_S
        )
        return {(item.topic, item.partition): future.result().offset for item, future in futures.items()}

    def _check_count(self, name: str, count: int) -> None:
        if topics.is_numbered(name) and count != self._options.partitions:
            raise LogRefused(
                f"the topic has {count} partitions and the settings say {self._options.partitions}, "
                "but the changes of a record must stay in one partition",
                where=f"topic {self.full_name(name)}",
                do=f"set log.kafka.partitions = {count}",
            )

    def _create(self, names: list[str]) -> None:
        if not names:
            return
        wanted = [
            NewTopic(
                self.full_name(name),
                num_partitions=topics.partitions(name, self._options.partitions),
                replication_factor=self._options.replication_factor,
                config=topics.kafka_config(name, self._options.retention_ms),
            )
            for name in names
        ]
        futures = self.admin().create_topics(
            wanted, operation_timeout=REQUEST_TIMEOUT_S, request_timeout=REQUEST_TIMEOUT_S
        )
        for full, future in futures.items():
            try:
                future.result()
            except KafkaException as e:
                error = error_of(e)
                if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise translated(error, "the topic could not be created", f"topic {full}") from e

    def _where(self) -> str:
        return self._options.bootstrap_servers
