"""One consumer over all partitions a reader needs: assigned by hand, found as they appear."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from cdc.errors import LogUnavailable
from cdc.log.kafka_errors import error_of, translated
from cdc.log.kafka_options import KafkaLogOptions, consumer_config
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.topics import is_numbered

FETCH_RECORDS_MAX = 200  # small enough to stay in the processor's cache while it is decoded

READ_TO_END_TIMEOUT_S = 30.0
STEP_S = 0.05


@dataclass(slots=True)
class Partition:
    """`reached` is the offset up to which everything committed was read (an end seen, or a record taken)."""

    topic: str
    full_name: str
    number: int
    key: str
    numbered: bool
    reached: int = -1
    paused: bool = False


Fetched = tuple[Any, Partition, int]
"""A message, where it came from, and the offset behind it."""


class KafkaPartitions:
    """Partitions of the topics chosen, each read on from the offset given for it, else from its beginning."""

    def __init__(
        self,
        options: KafkaLogOptions,
        topics: KafkaTopics,
        wanted: Callable[[str], bool],
        offsets: Mapping[str, int],
        *,
        short: bool = False,
    ) -> None:
        self.topics = topics
        self.by_name: dict[str, list[Partition]] = {}
        self._where = options.bootstrap_servers
        self._wanted = wanted
        self._offsets = offsets
        self._failed: KafkaError | None = None
        self._discovered_s = -math.inf
        config = {**consumer_config(options, topics.prefix, short=short), "error_cb": self._on_error}
        try:
            self._consumer = Consumer(config)
        except KafkaException as e:
            raise translated(error_of(e), "the Kafka client refuses its settings", self._where) from e

    def all(self) -> list[Partition]:
        return [partition for partitions in self.by_name.values() for partition in partitions]

    def discover(self, interval_s: float) -> None:
        """Assign topics and partitions that have appeared, unless that was done less than `interval_s` ago."""
        now = time.monotonic()
        if now < self._discovered_s + interval_s:
            return
        self._discovered_s = now
        # Asked over a connection of its own: on the consumer's the answer would wait behind a fetch that the
        # broker holds open for up to half a second.
        if not self._has_new(self.topics.partition_counts()):
            return
        found = []
        for topic, count in self.topics.partition_counts(self._consumer).items():
            if self._wanted(topic):
                full = self.topics.full_name(topic)
                known = self.by_name.setdefault(full, [])
                for number in range(len(known), count):
                    partition = Partition(topic, full, number, f"{topic}/{number}", is_numbered(topic))
                    known.append(partition)
                    # An offset that retention has passed means the earliest one left (auto.offset.reset).
                    start = self._offsets.get(partition.key, 0)
                    found.append(TopicPartition(full, number, start))
        if found:
            self._guard("partitions cannot be assigned", self._consumer.incremental_assign, found)

    def _has_new(self, counts: Mapping[str, int]) -> bool:
        return any(
            count > len(self.by_name.get(self.topics.full_name(topic), ()))
            for topic, count in counts.items()
            if self._wanted(topic)
        )

    def fetch(self, wait_s: float) -> list[Fetched]:
        """Messages that are here, or the first one within `wait_s`. LogUnavailable when no broker answers."""
        try:
            messages = self._consumer.consume(FETCH_RECORDS_MAX, 0)
            if not messages and wait_s > 0:
                # The client counts whole milliseconds, and less than one is none.
                messages = self._consumer.consume(1, max(wait_s, 0.001))
        except KafkaException as e:
            raise translated(error_of(e), "Kafka gives no records", self._where) from e
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise translated(failed, "Kafka gives no records", self._where)
        by_name = self.by_name
        result = []
        for message in messages:
            if message.error() is not None:
                self._on_message_error(message)
                continue
            partition = by_name[message.topic()][message.partition()]
            partition.reached = next_offset = message.offset() + 1
            result.append((message, partition, next_offset))
        return result

    def ends(self) -> dict[str, int]:
        """The offset behind everything written so far, committed or not yet, of each partition."""
        ends = self.topics.ends([(one.full_name, one.number) for one in self.all()])
        return {one.key: ends[one.full_name, one.number] for one in self.all()}

    def read_to_end(self, take: Callable[[Any, Partition], None]) -> None:
        """Give `take` everything written before this call and committed; waits for transactions that are open."""
        ends_by_key = self.ends()
        ends = [(one, ends_by_key[one.key]) for one in self.all()]
        deadline = time.monotonic() + READ_TO_END_TIMEOUT_S
        while any(max(one.reached, self._offsets.get(one.key, 0)) < end for one, end in ends):
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"{self.topics.prefix} could not be read to its end in {READ_TO_END_TIMEOUT_S:.0f} s",
                    where=self._where,
                    do="check the broker; an open transaction holds readers back until it times out",
                )
            for message, partition, _ in self.fetch(STEP_S):
                take(message, partition)

    def pause(self, partitions: list[Partition]) -> None:
        for one in partitions:
            one.paused = True
        self._guard("partitions cannot be paused", self._consumer.pause, _places(partitions))

    def resume(self, partitions: list[Partition]) -> None:
        for one in partitions:
            one.paused = False
        self._guard("partitions cannot be resumed", self._consumer.resume, _places(partitions))

    def close(self) -> None:
        self._consumer.close()

    def _on_message_error(self, message: Any) -> None:
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            partition = self.by_name[message.topic()][message.partition()]
            partition.reached = max(partition.reached, message.offset())
            return
        if error.retriable():
            return  # the client tries again by itself
        raise translated(error, "Kafka gives no records", f"topic {message.topic()}")

    def _on_error(self, error: KafkaError) -> None:
        """Called inside consume(); other errors are of one connection, and the client goes on by itself."""
        if error.fatal() or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION):
            self._failed = error

    def _guard(
        self, what: str, call: Callable[[list[TopicPartition]], Any], places: list[TopicPartition]
    ) -> None:
        if places:
            try:
                call(places)
            except KafkaException as e:
                raise translated(error_of(e), what, self._where) from e


def _places(partitions: list[Partition]) -> list[TopicPartition]:
    return [TopicPartition(one.full_name, one.number) for one in partitions]
