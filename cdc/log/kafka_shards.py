"""Which parts of a divided journal a worker keeps: a Kafka consumer group shares them out among those that are alive.

The group's topic has a partition for each part and holds no records: a partition assigned is a part owned. A worker
that dies, or stands still for longer than `SESSION_TIMEOUT_MS`, loses its parts to the others. That two workers can
believe for a moment that a part is theirs does no harm: the part's epoch lets one of them commit (`cdc/journal/shard.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from cdc.errors import LogRefused, LogUnavailable
from cdc.log.kafka_errors import error_of, translated
from cdc.log.kafka_options import KafkaLogOptions, admin_config
from cdc.log.kafka_topics import REQUEST_TIMEOUT_S, KafkaTopics

SESSION_TIMEOUT_MS: Final = 10_000
"""How long a worker may be silent before its parts go to others."""

STAND_STILL_MAX_MS: Final = 300_000
"""How long giving up parts may take: what is queued is written first."""

POLL_S: Final = 0.25


class KafkaShards:
    """One member of the group. `taken` and `given_up` are called on the thread that runs it, with numbers of parts;
    after `given_up` has returned another worker may have them."""

    def __init__(
        self,
        options: KafkaLogOptions,
        org: str,
        shards: int,
        taken: Callable[[list[int]], None],
        given_up: Callable[[list[int]], None],
    ) -> None:
        self._options = options
        self._topics = KafkaTopics(options, options.prefix(org))
        self._shards = shards
        self._taken = taken
        self._given_up = given_up
        # Beside the topics of the prefix, not among them: who reads the log does not read it.
        self.topic = f"{self._topics.prefix}-journal"

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Errors: LogUnavailable, LogRefused; those of `taken` and `given_up`."""
        self._make_topic()
        failures: list[KafkaError] = []
        consumer = Consumer(
            {
                **admin_config(self._options),
                "group.id": f"{self._topics.prefix}.journal",
                "enable.auto.commit": False,
                "partition.assignment.strategy": "roundrobin",
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 5,
                "max.poll.interval.ms": STAND_STILL_MAX_MS,
                "error_cb": lambda error: failures.append(error) if error.fatal() else None,
            }
        )
        held: set[int] = set()

        def assigned(_: Any, partitions: list[Any]) -> None:
            parts = sorted(p.partition for p in partitions)
            consumer.assign(partitions)
            held.update(parts)
            self._taken(parts)

        def revoked(_: Any, partitions: list[Any]) -> None:
            parts = sorted(p.partition for p in partitions)
            self._given_up(parts)
            held.difference_update(parts)
            consumer.unassign()

        try:
            consumer.subscribe([self.topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
            while not stop.is_set():
                consumer.poll(POLL_S)
                if failures:
                    raise translated(failures[0], "the group of journal workers failed", self.topic)
        finally:
            if held:
                self._given_up(sorted(held))
                held.clear()
            consumer.close()

    def _make_topic(self) -> None:
        admin = self._topics.admin()
        try:
            listed = admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
            if self.topic in listed:
                self._check(len(listed[self.topic].partitions))
                return
            new = NewTopic(self.topic, self._shards, self._options.replication_factor)
            admin.create_topics([new], operation_timeout=REQUEST_TIMEOUT_S)[self.topic].result()
        except KafkaException as e:
            if error_of(e).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return  # another worker was first
            raise LogUnavailable(
                f"the topic of the journal's workers cannot be made: {error_of(e).str()}",
                where=self.topic,
                do="check the broker, and that this user may create topics",
            ) from e

    def _check(self, partitions: int) -> None:
        if partitions != self._shards:
            raise LogRefused(
                f"the topic has {partitions} partitions and the settings say {self._shards} parts",
                where=self.topic,
                do=f"set journal.shards = {partitions}",
            )
