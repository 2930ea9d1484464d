"""A replay into Kafka: one transaction for each portion, keyed by record, in order.

The place a portion reaches travels in the headers of its messages, so that the topic itself says how far a replay
came: a killed one is aborted by the next, which reads the newest place from the tails of the partitions and goes on
behind it. Read with `isolation.level=read_committed`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from cdc.errors import BadArgument, LogUnavailable
from cdc.log.kafka_errors import SETTLING, error_of, translated
from cdc.log.kafka_options import KafkaLogOptions, admin_config, consumer_config, producer_config
from cdc.replay.envelope import Message, as_line
from cdc.replay.stream import START, Place
from cdc.replay.target import Identity, place_of, place_text

TAIL_OFFSETS = 2_000
"""How far before the end of a partition the newest place is looked for first; then from its beginning."""

TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_MS = 60_000
ENTITY = "{entity}"


@dataclass(frozen=True, slots=True)
class KafkaReplay:
    """`topic` may hold `{entity}`. `commit_timestamps` gives records their commit time as timestamp."""

    topic: str
    options: KafkaLogOptions
    commit_timestamps: bool = False


class KafkaTarget:
    """See `cdc/replay/target.py`."""

    def __init__(
        self, replay: KafkaReplay, identity: Identity, moments: Mapping[str, Any], entities: Sequence[str]
    ) -> None:
        self.moments = moments
        self._replay, self._identity = replay, identity
        self._topics = sorted({replay.topic.replace(ENTITY, entity) for entity in entities})
        self._producer: Producer | None = None
        self.has_tombstones = True

    def begin(self) -> Place:
        self._ensure_topics()
        config = producer_config(self._replay.options) | {
            "client.id": "cdc replay",
            "transactional.id": f"cdc-replay-{self._identity.id}",
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        }
        try:
            self._producer = Producer(config)
            self._producer.init_transactions(TIMEOUT_S)
        except KafkaException as error:
            raise self._told(error, "the replay could not begin") from error
        return self._newest_place()

    def write(self, messages: Sequence[Message], behind: Place) -> None:
        producer = self._producer
        assert producer is not None
        try:
            producer.begin_transaction()
            for message in messages:
                self._produce(producer, message)
            producer.commit_transaction(TIMEOUT_S)
        except KafkaException as error:
            self._abort(producer)
            raise self._told(error, "a portion was not written and was taken back") from error

    def end(self) -> None:
        return

    def close(self) -> None:
        self._producer = None

    def _produce(self, producer: Producer, message: Message) -> None:
        more: dict[str, Any] = {}
        if self._replay.commit_timestamps and message.committed_ms is not None:
            more["timestamp"] = message.committed_ms
        arguments = {
            "topic": self._replay.topic.replace(ENTITY, message.entity),
            "key": None if message.key is None else as_line(message.key),
            "value": None if message.value is None else as_line(message.value),
            "headers": self._headers(message),
            **more,
        }
        while True:
            try:
                producer.produce(**arguments)
                return
            except BufferError:
                producer.poll(0.1)

    def _headers(self, message: Message) -> list[tuple[str, bytes]]:
        committed = "" if message.committed_ms is None else str(message.committed_ms)
        values = {
            "replay": self._identity.id,
            "place": place_text(message.place),
            "entity": message.entity,
            "kind": message.kind,
            "committed_at": committed,
        }
        return [(name, value.encode()) for name, value in values.items()]

    def _abort(self, producer: Producer) -> None:
        try:
            producer.abort_transaction(TIMEOUT_S)
        except KafkaException:
            return  # the broker takes it back when its time is over; the next run begins with doing so

    # -- the topics, and how far they hold this replay

    def _ensure_topics(self) -> None:
        options = self._replay.options
        admin = AdminClient(admin_config(options))
        try:
            there = admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise self._told(error, "Kafka could not be asked for its topics") from error
        # A record whose timestamp is its commit time would be old at once, and time retention would delete it.
        config = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
        new = [
            NewTopic(
                name,
                num_partitions=options.partitions,
                replication_factor=options.replication_factor,
                config=config if self._replay.commit_timestamps else {},
            )
            for name in self._topics
            if name not in there
        ]
        for name, future in (admin.create_topics(new, request_timeout=TIMEOUT_S) if new else {}).items():
            try:
                future.result()
            except KafkaException as error:
                if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise translated(
                        error_of(error), "the topic could not be created", f"topic {name}"
                    ) from error
        old = [name for name in self._topics if name in there]
        if self._replay.commit_timestamps and old:
            self._refuse_append_time(admin, old)

    def _refuse_append_time(self, admin: AdminClient, names: Sequence[str]) -> None:
        for resource, future in admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        ).items():
            if future.result(TIMEOUT_S)["message.timestamp.type"].value == "LogAppendTime":
                raise BadArgument(
                    "the topic gives records the time of their arrival",
                    where=f"topic {resource.name}",
                    do="set its message.timestamp.type to CreateTime, or leave --timestamp out",
                )

    def _newest_place(self) -> Place:
        consumer = Consumer(consumer_config(self._replay.options, "cdc-replay", short=True))
        try:
            partitions = self._partitions(consumer)
            for offsets in (TAIL_OFFSETS, None):
                places = [self._last_in(consumer, partition, offsets) for partition in partitions]
                if found := [place for place in places if place is not None]:
                    return max(found)
            return START
        except KafkaException as error:
            raise self._told(error, "the topic could not be read") from error
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            listed = consumer.list_topics(timeout=TIMEOUT_S).topics
            if all(name in listed and listed[name].partitions for name in self._topics):
                return [
                    TopicPartition(name, number)
                    for name in self._topics
                    for number in listed[name].partitions
                ]
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    "a topic that was just made is not listed", where=", ".join(self._topics)
                )
            time.sleep(0.1)

    def _last_in(self, consumer: Consumer, partition: TopicPartition, offsets: int | None) -> Place | None:
        low, high = self._watermarks(consumer, partition)
        partition.offset = low if offsets is None else max(low, high - offsets)
        consumer.assign([partition])
        found: Place | None = None
        while partition.offset < high:
            message = consumer.poll(TIMEOUT_S)
            if message is None:
                raise LogUnavailable("Kafka did not answer in time", where=partition.topic)
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    break
                raise KafkaException(message.error())
            headers = dict(message.headers() or ())
            if headers.get("replay") == self._identity.id.encode():
                place = place_of(headers["place"].decode())
                found = place if found is None else max(found, place)
        return found

    def _watermarks(self, consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                low, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
                return int(low), int(high)
            except KafkaException as error:
                if error_of(error).code() not in SETTLING or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _told(self, error: KafkaException, what: str) -> Exception:
        where = f"{', '.join(self._topics)[:200]} at {self._replay.options.bootstrap_servers}"
        return translated(error_of(error), what, where)
