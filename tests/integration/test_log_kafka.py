"""What is true of the log on Kafka alone: topics, headers, doubt about a commit, a broker that goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from cdc.errors import Fenced, LogRefused, LogUnavailable
from cdc.log import kafka_options, kafka_reader, kafka_tail, kafka_topics, kafka_writer
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogRecord, Positions
from cdc.ports.types import Ordinal

DEADLINE_S = 60.0
ORG = "acme"
ACCOUNT = "AccountChangeEvent"


@pytest.fixture
def options(kafka: str, topic_prefix: str) -> KafkaLogOptions:
    return KafkaLogOptions(kafka, topic_prefix, partitions=3)


@pytest.fixture
def log(options: KafkaLogOptions) -> Iterator[KafkaLog]:
    log = KafkaLog(ORG, options)
    log.open("test")
    yield log
    log.close()


def change(ordinal: int, topic: str = ACCOUNT, key: str = "") -> LogRecord:
    key = key or f"00100000000000{ordinal % 7:04d}"
    return LogRecord(
        topic, key, b"v", ordinal, 1_763_892_000_000, "/data/X", f"e{ordinal}", "0a0b", "sid", ""
    )


def upto(next_ordinal: int) -> Positions:
    return Positions(ORG, Ordinal(next_ordinal))


def ordinals(log: KafkaLog, last: int, after: Checkpoint | None = None) -> list[int]:
    """Ordinals of the changes up to one, as a reader gets them; no hole on the way."""
    found: list[int] = []
    deadline = time.monotonic() + DEADLINE_S
    batches: Any = log.batches(after or Checkpoint(), idle_s=0.05)
    for batch in batches:
        assert batch.missing is None
        assert time.monotonic() < deadline, found
        found += [r.ordinal for r in batch.records if r.topic not in CONTROL_TOPICS]
        if found and found[-1] >= last:
            break
    batches.close()
    return found


def raw_messages(options: KafkaLogOptions, topic: str) -> list[Any]:
    consumer = Consumer(
        {"bootstrap.servers": options.bootstrap_servers, "group.id": "raw", "enable.partition.eof": True}
    )
    name = f"{options.topic_prefix}.{topic}"
    count = len(consumer.list_topics(name).topics[name].partitions)
    consumer.assign([TopicPartition(name, number, 0) for number in range(count)])
    messages, ends = [], 0
    while ends < count:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ends += 1
        else:
            messages.append(message)
    consumer.close()
    return messages


class Troubled:
    """A producer of whose calls one goes wrong in a given way, once."""

    def __init__(self, producer: Any, name: str, trouble: Callable[[Callable[..., Any]], Any]) -> None:
        self._producer = producer
        self._name = name
        self._trouble: Callable[[Callable[..., Any]], Any] | None = trouble

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._producer, name)
        if name == self._name and self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            return lambda *args: trouble(lambda: real(*args))
        return real


def lost_answer(call: Callable[..., Any]) -> None:
    call()
    raise KafkaException(KafkaError(KafkaError._TRANSPORT, "the answer was lost", True))


def never_sent(_call: Callable[..., Any]) -> None:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT, "the connection broke", True))


def test_changes_carry_the_headers_of_the_contract_as_text(log: KafkaLog, options: KafkaLogOptions) -> None:
    log.append([change(1, key="001"), change(2, key="001")._replace(part="2/20")], upto(3))
    first, second = raw_messages(options, ACCOUNT)
    assert first.headers() == [
        ("ordinal", b"1"),
        ("committed_at", b"1763892000000"),
        ("channel", b"/data/X"),
        ("event_id", b"e1"),
        ("replay_id", b"0a0b"),
        ("schema_id", b"sid"),
    ]
    assert second.headers()[-1] == ("part", b"2/20")
    assert (first.key(), first.value()) == (b"001", b"v")


def test_a_key_goes_to_the_partition_a_java_client_would_choose(
    log: KafkaLog, options: KafkaLogOptions
) -> None:
    keys = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    log.append([change(n, key=key) for n, key in enumerate(keys, 1)], upto(4))
    chosen = {message.key().decode(): message.partition() for message in raw_messages(options, ACCOUNT)}
    assert chosen == {key: (murmur2 & 0x7FFFFFFF) % 3 for key, murmur2 in keys.items()}


def test_topics_are_made_with_their_own_policy(log: KafkaLog, options: KafkaLogOptions) -> None:
    log.append([change(1)], upto(2))
    admin = AdminClient({"bootstrap.servers": options.bootstrap_servers})

    def config(topic: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, f"{options.topic_prefix}.{topic}")
        entries = admin.describe_configs([resource])[resource].result()
        return {name: entry.value for name, entry in entries.items()}

    account, positions = config(ACCOUNT), config("positions")
    assert account["message.timestamp.type"] == positions["message.timestamp.type"] == "LogAppendTime"
    assert (account["cleanup.policy"], positions["cleanup.policy"]) == ("delete", "compact")
    assert account["retention.ms"] == str(14 * 24 * 3_600_000)


def test_a_live_topic_with_another_number_of_partitions_is_refused(options: KafkaLogOptions) -> None:
    name = f"{options.topic_prefix}.{ACCOUNT}"
    admin = AdminClient({"bootstrap.servers": options.bootstrap_servers})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result()
    log = KafkaLog(ORG, options)
    log.open("test")
    with pytest.raises(LogRefused, match=rf"2 partitions.*topic {name}.*partitions = 2"):
        log.append([change(1)], upto(2))
    log.append([change(1, "ContactChangeEvent")], upto(2))
    assert ordinals(log, 1) == [1]
    log.close()


def test_a_topic_that_may_not_be_made_is_named(kafka: str, topic_prefix: str) -> None:
    log = KafkaLog(ORG, KafkaLogOptions(kafka, topic_prefix, replication_factor=3))
    with pytest.raises(LogRefused, match=rf"could not be created.*topic {topic_prefix}\."):
        log.open("test")
    log.close()


def test_an_absent_broker_is_said_with_its_address(
    monkeypatch: pytest.MonkeyPatch, topic_prefix: str
) -> None:
    monkeypatch.setattr(kafka_topics, "REQUEST_TIMEOUT_S", 1.0)
    log = KafkaLog(ORG, KafkaLogOptions("127.0.0.1:1", topic_prefix))
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        log.open("test")
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        next(log.batches(Checkpoint()))
    log.close()


def test_a_property_the_client_does_not_know_is_named(kafka: str, topic_prefix: str) -> None:
    log = KafkaLog(ORG, KafkaLogOptions(kafka, topic_prefix, properties={"no.such.property": "1"}))
    with pytest.raises(LogRefused, match=r"no\.such\.property"):
        log.open("test")


def test_topics_of_another_org_are_not_taken_over(log: KafkaLog, options: KafkaLogOptions) -> None:
    log.append([change(1)], upto(2))
    other = KafkaLog("other", options)
    with pytest.raises(LogRefused, match="belong to the org acme"):
        other.open("test")
    other.close()


@pytest.mark.parametrize(("trouble", "written"), [(lost_answer, True), (never_sent, False)])
def test_the_same_append_after_doubt_is_written_once(
    log: KafkaLog, trouble: Callable[..., Any], written: bool
) -> None:
    log.append([change(1)], upto(2))
    writer = log._writer
    writer._producer = Troubled(writer._producer, "commit_transaction", trouble)  # type: ignore[assignment]
    with pytest.raises(LogUnavailable):
        log.append([change(2), change(3)], upto(4))
    log.append([change(2), change(3)], upto(4))
    log.append([change(4)], upto(5))
    assert ordinals(log, 4) == [1, 2, 3, 4]


def test_after_doubt_another_append_is_told_to_begin_from_the_stored_positions(log: KafkaLog) -> None:
    writer = log._writer
    writer._producer = Troubled(writer._producer, "commit_transaction", lost_answer)  # type: ignore[assignment]
    with pytest.raises(LogUnavailable):
        log.append([change(1)], upto(2))
    with pytest.raises(LogRefused, match=r"where 2 comes next.*open the log again"):
        log.append([change(1), change(2)], upto(3))
    assert log.open("again").next_ordinal == 2
    log.append([change(2)], upto(3))
    assert ordinals(log, 2) == [1, 2]


def test_who_was_in_doubt_while_another_took_over_stays_out(log: KafkaLog, options: KafkaLogOptions) -> None:
    writer = log._writer
    writer._producer = Troubled(writer._producer, "commit_transaction", never_sent)  # type: ignore[assignment]
    with pytest.raises(LogUnavailable):
        log.append([change(1)], upto(2))
    other = KafkaLog(ORG, options)
    other.open("other")
    other.append([change(1, key="other")], upto(2))
    with pytest.raises(Fenced):
        log.append([change(1)], upto(2))
    other.append([change(2)], upto(3))  # and did not fence the one that owns it
    assert ordinals(other, 2) == [1, 2]
    other.close()


def test_a_writer_that_stood_still_for_too_long_goes_on_when_nobody_took_its_place(
    options: KafkaLogOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker aborts a transaction that stays open too long, and knows a later epoch from then on."""
    monkeypatch.setattr(kafka_options, "MESSAGE_TIMEOUT_MS", 900)
    monkeypatch.setattr(kafka_options, "TRANSACTION_TIMEOUT_MS", 1000)
    monkeypatch.setattr(kafka_writer, "TWIN_CLAIMS_WITHIN_S", 0.3)
    log = KafkaLog(ORG, options)
    log.open("sleeper")
    log.append([change(1)], upto(2))
    produce = kafka_writer.KafkaWriter._produce_positions
    asleep = [True]

    def falling_asleep(self: kafka_writer.KafkaWriter, producer: Producer, made: Any) -> None:
        if asleep.pop() if asleep else False:
            producer.flush(10)
            time.sleep(12)  # the broker looks every ten seconds
        produce(self, producer, made)

    monkeypatch.setattr(kafka_writer.KafkaWriter, "_produce_positions", falling_asleep)
    for attempt in range(20):
        try:
            log.append([change(2)], upto(3))
            break
        except LogUnavailable:
            assert attempt < 19
            time.sleep(0.2)
    assert ordinals(log, 2) == [1, 2]
    log.close()


def test_of_two_writers_the_later_one_stays_and_the_first_is_told(options: KafkaLogOptions) -> None:
    first, second = KafkaLog(ORG, options), KafkaLog(ORG, options)
    first.open("first")
    first.append([change(1)], upto(2))
    assert second.open("second").next_ordinal == 2
    with pytest.raises(Fenced, match="another instance"):
        first.append([change(2, key="lost")], upto(3))
    second.append([change(2)], upto(3))
    assert ordinals(second, 2) == [1, 2]
    first.close()
    second.close()


def test_an_aborted_append_gives_its_ordinals_back(log: KafkaLog, options: KafkaLogOptions) -> None:
    writer = log._writer
    producer = writer._producer

    def purged(call: Callable[..., Any]) -> None:
        producer.purge(in_flight=False)  # type: ignore[union-attr]
        call()

    writer._producer = Troubled(producer, "commit_transaction", purged)  # type: ignore[assignment]
    with pytest.raises(LogUnavailable, match="not written"):
        log.append([change(n) for n in range(1, 200)], upto(200))
    log.append([change(1), change(2)], upto(3))
    assert ordinals(log, 2) == [1, 2]


def test_positions_are_found_behind_a_long_run_of_aborted_transactions(
    log: KafkaLog, options: KafkaLogOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([change(1)], upto(2))
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap_servers,
            "transactional.id": f"{options.topic_prefix}.aborted",
        }
    )
    producer.init_transactions()
    for _ in range(10):
        producer.begin_transaction()
        producer.produce(f"{options.topic_prefix}.positions", b"never committed", ORG)
        producer.flush()
        producer.abort_transaction()
    monkeypatch.setattr(kafka_tail, "TAIL_OFFSETS", 2)
    assert log.open("again").next_ordinal == 2


def test_control_records_that_retention_took_hold_nobody_back(
    log: KafkaLog, options: KafkaLogOptions
) -> None:
    log.append([change(1), LogRecord("coverage", "c", b"x"), change(2)], upto(3))
    place = TopicPartition(f"{options.topic_prefix}.coverage", 0, -1)
    admin = AdminClient({"bootstrap.servers": options.bootstrap_servers})
    for future in admin.delete_records([place]).values():
        future.result()
    assert ordinals(log, 2) == [1, 2]


def test_partitions_far_ahead_wait_and_the_order_holds(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reader, "WAITING_RECORDS_MAX", 100)
    following = 1
    for number in range(6):
        topic = (ACCOUNT, "ContactChangeEvent")[number % 2]
        log.append([change(n, topic) for n in range(following, following + 1000)], upto(following + 1000))
        following += 1000
    assert ordinals(log, 6000) == list(range(1, 6001))


def test_recent_names_the_newest_events_oldest_first(log: KafkaLog) -> None:
    quarantined = change(4, "quarantine", key="e4")
    scanned = change(5)._replace(channel="")
    log.append([change(1), change(2, "ContactChangeEvent"), change(3), quarantined, scanned], upto(6))
    assert list(log.recent(3)) == [(f"e{n}", change(n).key) for n in (2, 3)] + [("e4", "")]


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back_loses_nothing(
    broker: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_topics, "REQUEST_TIMEOUT_S", 3.0)
    monkeypatch.setattr(kafka_writer, "COMMIT_TIMEOUT_S", 3.0)
    log = KafkaLog(ORG, KafkaLogOptions(broker.address, topic_prefix, partitions=2))
    log.open("test")
    stop = threading.Event()
    refused = threading.Event()
    appended = 0

    def write() -> None:
        nonlocal appended
        following = 1
        while not stop.is_set():
            records = [change(n) for n in range(following, following + 10)]
            try:
                log.append(records, upto(following + 10))
            except LogUnavailable:
                refused.set()
                stop.wait(0.1)
                continue
            following += 10
            appended = following - 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_for(lambda: appended >= 100)
        broker.down()
        assert refused.wait(DEADLINE_S)
        broker.up()
        before = appended
        wait_for(lambda: appended >= before + 100)
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert ordinals(log, appended) == list(range(1, appended + 1))
    log.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
