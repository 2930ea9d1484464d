"""What every log promises, held by both: Kafka (a real broker) and the embedded file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from confluent_kafka import Producer, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.errors import Fenced, LogRefused
from cdc.log import embedded_reader, kafka_reader
from cdc.log.embedded import EmbeddedLog
from cdc.log.embedded_sql import connect, sql
from cdc.log.embedded_upkeep import Upkeep
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.log.kafka_topics import KafkaTopics
from cdc.ports.log import CONTROL_TOPICS, ChannelPosition, Checkpoint, Log, LogBatch, LogRecord, Positions
from cdc.ports.types import Millis, Ordinal, ReplayId, SchemaId

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
ORG = "acme"
ACCOUNT, CONTACT = "AccountChangeEvent", "ContactChangeEvent"


class Place(Protocol):
    """One log, to be opened as often as a test likes."""

    def log(self) -> Log: ...

    def fresh(self) -> Place: ...

    def abort(self, records: list[LogRecord]) -> None: ...

    def lose(self) -> None: ...

    def writer_code(self) -> str: ...


class KafkaPlace:
    def __init__(self, address: str, prefix: str) -> None:
        self.options = KafkaLogOptions(address, prefix, partitions=3)

    def log(self) -> KafkaLog:
        return KafkaLog(ORG, self.options)

    def fresh(self) -> KafkaPlace:
        return KafkaPlace(self.options.bootstrap_servers, f"test.{uuid.uuid4().hex[:12]}")

    def abort(self, records: list[LogRecord]) -> None:
        """A transaction of somebody else that ends in an abort, with its records on disk."""
        prefix = self.options.topic_prefix
        producer = Producer(
            {"bootstrap.servers": self.options.bootstrap_servers, "transactional.id": f"{prefix}.aborted"}
        )
        producer.init_transactions(10)
        producer.begin_transaction()
        for record in records:
            headers = [("ordinal", str(record.ordinal))]
            producer.produce(f"{prefix}.{record.topic}", record.value, record.key, headers=headers)
        producer.flush(10)
        producer.abort_transaction(10)

    def lose(self) -> None:
        """Every change there is now passes out of retention."""
        topics = KafkaTopics(self.options, self.options.topic_prefix)
        ends = [
            TopicPartition(topics.full_name(name), number, -1)
            for name, count in topics.partition_counts().items()
            if name not in CONTROL_TOPICS
            for number in range(count)
        ]
        for future in topics.admin().delete_records(ends).values():
            future.result()

    def writer_code(self) -> str:
        options = self.options
        return (
            "from cdc.log.kafka import KafkaLog, KafkaLogOptions\n"
            f"log = KafkaLog({ORG!r}, KafkaLogOptions({options.bootstrap_servers!r}, {options.topic_prefix!r}, 3))\n"
        )


class EmbeddedPlace:
    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{uuid.uuid4().hex}.sqlite"
        self.now = Millis(1_000_000)

    def log(self) -> EmbeddedLog:
        return EmbeddedLog(ORG, self.path, 60_000, clock=lambda: self.now)

    def fresh(self) -> EmbeddedPlace:
        return EmbeddedPlace(self.path.parent)

    def abort(self, records: list[LogRecord]) -> None:
        connection = connect(self.path)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(sql("append"), [record[:11] for record in records])
        connection.execute("ROLLBACK")
        connection.close()

    def lose(self) -> None:
        connection = connect(self.path)
        connection.execute("BEGIN IMMEDIATE")
        Upkeep().step(connection, self.now + 1)
        connection.execute("COMMIT")
        connection.close()

    def writer_code(self) -> str:
        return f"from cdc.log.embedded import EmbeddedLog\nlog = EmbeddedLog({ORG!r}, {str(self.path)!r})\n"


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def place(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Place:
    if request.param == "kafka":
        return KafkaPlace(request.getfixturevalue("kafka"), topic_prefix)
    return EmbeddedPlace(tmp_path)


@contextmanager
def opened(place: Place, owner: str = "test") -> Iterator[Log]:
    log = place.log()
    try:
        log.open(owner)
        yield log
    finally:
        log.close()


def change(ordinal: int, topic: str = ACCOUNT, key: str | None = None) -> LogRecord:
    return LogRecord(
        topic=topic,
        key=key or f"001{ordinal % 5:015d}",
        value=b"\xc3\x01" + str(ordinal).encode(),
        ordinal=ordinal,
        committed_at=1_763_892_000_000 + ordinal,
        channel="/data/ChangeEvents",
        event_id=f"{ordinal:08x}-0000",
        replay_id=f"{ordinal:020x}",
        schema_id="schema-1",
        part=f"{ordinal % 20 + 1}/20" if ordinal % 2 else "",
    )


def control(topic: str, key: str, place: int = 0) -> LogRecord:
    return LogRecord(topic, key, key.encode(), place)


def upto(next_ordinal: int, **channels: ChannelPosition) -> Positions:
    return Positions(ORG, Ordinal(next_ordinal), channels)


def read(
    log: Log,
    after: Checkpoint,
    until: Callable[[list[LogRecord]], bool],
    topics: frozenset[str] | None = None,
) -> tuple[list[LogRecord], list[LogBatch]]:
    """Records and batches from a checkpoint on, until they satisfy a condition."""
    records: list[LogRecord] = []
    batches = []
    deadline = time.monotonic() + DEADLINE_S
    iterator: Any = log.batches(after, topics=topics, idle_s=0.05)
    try:
        for batch in iterator:
            batches.append(batch)
            records += [record._replace(appended_at=0) for record in batch.records]
            if until(records):
                return records, batches
            assert time.monotonic() < deadline, f"only {[(r.topic, r.ordinal) for r in records]} came"
    finally:
        iterator.close()
    raise AssertionError("batches ended")


def changes_until(last: int) -> Callable[[list[LogRecord]], bool]:
    return lambda records: any(r.topic not in CONTROL_TOPICS and r.ordinal >= last for r in records)


def positions_until(place: int) -> Callable[[list[LogRecord]], bool]:
    return lambda records: any(r.topic == "positions" and r.ordinal >= place for r in records)


def what(records: list[LogRecord]) -> list[tuple[str, int]]:
    return [(record.topic, record.ordinal) for record in records]


def test_a_new_log_begins_at_one_with_no_position(place: Place) -> None:
    log = place.log()
    assert log.open("test") == Positions(ORG, Ordinal(1), {})
    log.close()


def test_how_far_a_log_goes_is_told_to_anybody_also_before_it_is_written(place: Place) -> None:
    reader = place.log()
    assert reader.reached() == 0
    with opened(place) as log:
        log.append([change(1), change(2)], upto(3))
        log.append([control("jobs", "a", 2)], upto(3))
        assert (log.reached(), reader.reached()) == (2, 2)
    reader.close()


def test_changes_of_all_topics_come_in_ordinal_order_as_they_were_written(place: Place) -> None:
    written = [change(n, (ACCOUNT, CONTACT, "Order__e", "quarantine")[n % 4]) for n in range(1, 101)]
    with opened(place) as log:
        log.append(written[:40], upto(41))
        log.append(written[40:], upto(101))
        records, batches = read(log, Checkpoint(), changes_until(100))
    assert [r for r in records if r.topic not in CONTROL_TOPICS] == written
    assert all(batch.missing is None for batch in batches)


def test_every_record_carries_the_logs_own_time(place: Place) -> None:
    with opened(place) as log:
        log.append([change(1), control("jobs", "j1")], upto(2))
        batches = log.batches(Checkpoint())
        batch = next(b for b in batches if b.records)
        batches.close()  # type: ignore[attr-defined]
    assert all(record.appended_at > 0 for record in batch.records)


def test_control_records_stand_in_their_place(place: Place) -> None:
    with opened(place) as log:
        log.append([control("schemas", "s"), change(1), change(2), control("jobs", "j"), change(3)], upto(4))
        log.append([control("coverage", "c")], upto(4))
        log.append([control("jobs", "j"), change(4), control("decisions", "")], upto(5))
        records, _ = read(log, Checkpoint(), positions_until(4))
    assert what(records) == [
        ("schemas", 0),
        (ACCOUNT, 1),
        (ACCOUNT, 2),
        ("jobs", 2),
        (ACCOUNT, 3),
        ("positions", 3),
        ("coverage", 3),
        ("positions", 3),
        ("jobs", 3),
        (ACCOUNT, 4),
        ("decisions", 4),
        ("positions", 4),
    ]


def test_positions_come_back_as_the_last_append_left_them(place: Place) -> None:
    account = ChannelPosition(
        "/data/AccountChangeEvent",
        ReplayId(bytes(range(10))),
        (("e1", "r1"),),
        Millis(5),
        Millis(6),
        Millis(7),
    )
    quiet = ChannelPosition("/event/Order__e")
    reached = Positions(ORG, Ordinal(3), {account.channel: account, quiet.channel: quiet})
    with opened(place) as log:
        log.append([change(1), change(2)], upto(3))
        log.append([], reached)
    again = place.log()
    assert again.open("second") == reached
    again.close()


def test_a_zombie_is_fenced_and_its_records_are_never_read(place: Place) -> None:
    zombie, owner = place.log(), place.log()
    zombie.open("first")
    zombie.append([change(1)], upto(2))
    assert owner.open("second").next_ordinal == 2
    with pytest.raises(Fenced, match="another instance"):
        zombie.append([change(2, key="zombie")], upto(3))
    with pytest.raises(Fenced):
        zombie.append([change(2, key="zombie")], upto(3))
    owner.append([change(2, key="owner")], upto(3))
    records, _ = read(owner, Checkpoint(), changes_until(2))
    assert [r.key for r in records if r.ordinal == 2 and r.topic == ACCOUNT] == ["owner"]
    zombie.close()
    owner.close()


def test_an_aborted_transaction_is_never_read(place: Place) -> None:
    with opened(place) as log:
        log.append([change(1)], upto(2))
        place.abort([change(2, key="aborted"), change(3, key="aborted")])
        log.append([change(2), change(3)], upto(4))
        place.abort([change(4, key="aborted")])
        records, batches = read(log, Checkpoint(), positions_until(3))
    assert [r for r in records if r.topic == ACCOUNT] == [change(1), change(2), change(3)]
    assert all(batch.missing is None for batch in batches)


def test_an_append_out_of_order_is_refused_and_changes_nothing(place: Place) -> None:
    with opened(place) as log:
        log.append([change(1)], upto(2))
        for records, positions in (
            ([change(3)], upto(4)),
            ([change(1)], upto(2)),
            ([change(2)], upto(4)),
            ([change(2), control("jobs", "j", 1)], upto(3)),
            ([control("positions", ORG)], upto(2)),
            ([change(2, topic="Account.ChangeEvent")], upto(3)),
            ([change(2)._replace(value=bytes(5_000_000))], upto(3)),
        ):
            with pytest.raises(LogRefused):
                log.append(records, positions)
        log.append([change(2)], upto(3))
        records, _ = read(log, Checkpoint(), changes_until(2))
    assert [r for r in records if r.topic == ACCOUNT] == [change(1), change(2)]


def test_only_the_writer_appends_and_only_control_topics_are_read_by_name(place: Place) -> None:
    log = place.log()
    with pytest.raises(LogRefused, match="open"):
        log.append([change(1)], upto(2))
    with pytest.raises(LogRefused, match="writer"):
        log.publish([change(1)])
    with pytest.raises(LogRefused, match="control topics"):
        log.batches(Checkpoint(), topics=frozenset({ACCOUNT}))
    log.close()


def test_a_reader_goes_on_from_any_checkpoint(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reader, "BATCH_RECORDS_MAX", 1)
    monkeypatch.setattr(embedded_reader, "BATCH_RECORDS_MAX", 1)
    with opened(place) as log:
        log.append([change(1), change(2, CONTACT), control("jobs", "j"), change(3)], upto(4))
        log.append([control("coverage", "c"), change(4), change(5, CONTACT)], upto(6))
        whole, batches = read(log, Checkpoint(), positions_until(5))
        assert len(whole) == 9
        for batch in batches:
            done = [r._replace(appended_at=0) for b in batches[: batches.index(batch) + 1] for r in b.records]
            if len(done) < len(whole):
                rest, _ = read(log, batch.checkpoint, positions_until(5))
                assert done + rest == whole


def test_a_reader_that_knows_only_its_ordinal_gets_every_change_behind_it(place: Place) -> None:
    """A journal begun from its segments: nothing is told of the place in the log."""
    with opened(place) as log:
        log.append([change(1), change(2, CONTACT), control("jobs", "j"), change(3)], upto(4))
        log.append([change(4), change(5, CONTACT)], upto(6))
        for ordinal in range(1, 6):
            records, batches = read(log, Checkpoint(ordinal=Ordinal(ordinal)), positions_until(5))
            changes = [r.ordinal for r in records if r.topic not in CONTROL_TOPICS]
            assert changes == list(range(ordinal + 1, 6))
            assert all(batch.missing is None for batch in batches)
            assert [r.key for r in records if r.topic == "jobs"] == ["j"]


def test_a_topic_that_appears_later_is_found(place: Place) -> None:
    with opened(place) as log:
        log.append([change(1)], upto(2))
        iterator: Any = log.batches(Checkpoint(), idle_s=0.05)
        records: list[LogRecord] = []
        appended = False
        deadline = time.monotonic() + DEADLINE_S
        for batch in iterator:
            records += batch.records
            assert batch.missing is None
            assert time.monotonic() < deadline
            if not appended and positions_until(1)(records):
                log.append([change(2, "Foo__ChangeEvent"), change(3)], upto(4))
                appended = True
            if positions_until(3)(records):
                break
        iterator.close()
    assert [r.topic for r in records if r.topic not in CONTROL_TOPICS] == [
        ACCOUNT,
        "Foo__ChangeEvent",
        ACCOUNT,
    ]


def test_a_topic_that_appears_while_appends_go_on_is_found_meanwhile(place: Place) -> None:
    found = threading.Event()
    appended = 0

    def write(log: Log) -> None:
        nonlocal appended
        while not found.is_set():
            log.append([change(appended + 1, f"New{appended % 3}__e")], upto(appended + 2))
            appended += 1

    with opened(place) as log:
        log.append([], upto(1))
        iterator: Any = log.batches(Checkpoint(), idle_s=0.05)
        while not next(iterator).records:
            pass
        writer = threading.Thread(target=write, args=(log,))
        writer.start()
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not found.is_set():
                assert time.monotonic() < deadline, f"{appended} appended and none read"
                if changes_until(1)(next(iterator).records):
                    found.set()
        finally:
            found.set()
            writer.join(DEADLINE_S)
            iterator.close()


def test_a_reader_may_come_before_the_writer(place: Place) -> None:
    reader = place.log()
    iterator: Any = reader.batches(Checkpoint(), idle_s=0.05)
    assert next(iterator).records == []
    with opened(place) as log:
        log.append([change(1)], upto(2))
        records: list[LogRecord] = []
        deadline = time.monotonic() + DEADLINE_S
        while not changes_until(1)(records):
            assert time.monotonic() < deadline
            records += next(iterator).records
    iterator.close()
    reader.close()


def test_two_readers_do_not_disturb_each_other(place: Place) -> None:
    with opened(place) as log:
        log.append([change(n) for n in range(1, 11)], upto(11))
        first, _ = read(log, Checkpoint(), changes_until(10))
        second, _ = read(place.log(), Checkpoint(), changes_until(10))
    assert [r for r in first if r.topic == ACCOUNT] == [r for r in second if r.topic == ACCOUNT]


def test_quiet_is_said_by_an_empty_batch(place: Place) -> None:
    with opened(place) as log:
        log.append([change(1)], upto(2))
        _, batches = read(log, Checkpoint(), positions_until(1))
        iterator: Any = log.batches(batches[-1].checkpoint, idle_s=0.01)
        batch = next(iterator)
        assert (list(batch.records), batch.missing, batch.checkpoint) == ([], None, batches[-1].checkpoint)
        iterator.close()


def test_published_records_are_read_by_topic_and_among_the_changes(place: Place) -> None:
    other = place.log()
    with opened(place) as log:
        log.append([change(1)], upto(2))
        other.publish([control("jobs", "request-1"), control("alerts", "a1"), control("jobs", "request-2")])
        jobs, batches = read(log, Checkpoint(), lambda rs: len(rs) >= 2, frozenset({"jobs"}))
        assert [(r.key, r.ordinal) for r in jobs] == [("request-1", 0), ("request-2", 0)]

        other.publish([control("jobs", "request-3")])
        more, _ = read(log, batches[-1].checkpoint, lambda rs: len(rs) >= 1, frozenset({"jobs"}))
        assert [r.key for r in more] == ["request-3"]

        everything, _ = read(log, Checkpoint(), lambda rs: len(rs) >= 6)
        assert {r.key for r in everything} >= {"request-1", "request-2", "request-3", "a1"}
    other.close()


def test_a_hole_left_by_retention_is_reported_once_with_its_ends(place: Place) -> None:
    with opened(place) as log:
        log.append([change(n) for n in range(1, 31)], upto(31))
        place.lose()
        log.append([change(31), change(32, CONTACT)], upto(33))
        records, batches = read(log, Checkpoint(), positions_until(32))
        assert [r.ordinal for r in records if r.topic not in CONTROL_TOPICS] == [31, 32]
        assert [batch.missing for batch in batches if batch.missing] == [(1, 30)]
        assert batches[-1].checkpoint.ordinal == 32

        seen = next(i for i, batch in enumerate(batches) if batch.missing)
        log.append([change(33)], upto(34))
        after, later = read(log, batches[seen].checkpoint, changes_until(33))
        assert [b.missing for b in later if b.missing] == []
        assert [r.ordinal for r in after if r.topic not in CONTROL_TOPICS][-1] == 33


def test_when_everything_is_gone_the_positions_still_tell_how_much(place: Place) -> None:
    with opened(place) as log:
        log.append([change(n) for n in range(1, 11)], upto(11))
        place.lose()
        _, batches = read(log, Checkpoint(), positions_until(10))
    assert [batch.missing for batch in batches if batch.missing] == [(1, 10)]
    assert batches[-1].checkpoint.ordinal == 10


def test_schemas_are_found_by_id_and_the_newest_description_counts(place: Place) -> None:
    other = place.log()
    with opened(place) as log:
        assert other.schema(SchemaId("s1")) is None
        log.append([control("schemas", "s1"), control("schemas", "describe/Account")], upto(1))
        assert other.schema(SchemaId("s1")) == "s1"
        newer = control("schemas", "describe/Account")._replace(
            value='{"entity": "Account", "n": "ö"}'.encode()
        )
        log.append([newer], upto(1))
        assert other.schema(SchemaId("describe/Account")) == '{"entity": "Account", "n": "ö"}'
        assert other.schema(SchemaId("s2")) is None
    other.close()


WRITER = """
import os, sys
from cdc.ports.log import LogRecord, Positions, ChannelPosition
position = log.open("child")
print("open", flush=True)
n = position.next_ordinal
while True:
    size = 1 + n % 37
    records = [
        LogRecord(("AccountChangeEvent", "Foo__ChangeEvent")[i % 2], f"k{i % 11}", b"x" * (i % 700), i)
        for i in range(n, n + size)
    ]
    n += size
    log.append(records, Positions("acme", n, {"c": ChannelPosition("c", str(n).encode())}))
    print(n, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_records_and_positions_agreeing(place: Place) -> None:
    acknowledged = 1
    for round_number in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", place.writer_code() + WRITER],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        for _ in range(5 + 7 * round_number):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in child.stdout if line.endswith("\n"))])
        child.wait()

    log = place.log()
    positions = log.open("after")
    assert positions.next_ordinal >= acknowledged
    assert positions.channels["c"].replay_id == str(positions.next_ordinal).encode()
    last = positions.next_ordinal - 1
    records, batches = read(log, Checkpoint(), positions_until(last))
    assert [r.ordinal for r in records if r.topic not in CONTROL_TOPICS] == list(range(1, last + 1))
    assert all(batch.missing is None for batch in batches)
    log.append([change(last + 1)], upto(last + 2))
    log.close()


STEPS = st.lists(
    st.lists(
        st.sampled_from([ACCOUNT, CONTACT, "Order__e", "quarantine", "jobs", "coverage", "schemas"]),
        max_size=12,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, batch_sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_any_appends_come_back_as_one_contiguous_order(
    place: Place, steps: list[list[str]], batch_sizes: list[int]
) -> None:
    place = place.fresh()
    expected: list[LogRecord] = []
    following = 1
    with opened(place) as log, pytest.MonkeyPatch.context() as patch:
        for step in steps:
            records = []
            for topic in step:
                if topic in CONTROL_TOPICS:
                    records.append(control(topic, f"k{len(expected) + len(records)}", following - 1))
                else:
                    records.append(change(following, topic))
                    following += 1
            log.append(records, upto(following))
            expected += records
        read_records: list[LogRecord] = []
        checkpoint = Checkpoint()
        for size in batch_sizes:  # restarts, each after one batch
            patch.setattr(kafka_reader, "BATCH_RECORDS_MAX", size)
            patch.setattr(embedded_reader, "BATCH_RECORDS_MAX", size)
            records, batches = read(log, checkpoint, lambda rs: bool(rs))
            read_records += records
            checkpoint = batches[-1].checkpoint
            if sum(r.topic == "positions" for r in read_records) == len(steps):
                break
        if sum(r.topic == "positions" for r in read_records) < len(steps):
            left = len(steps) - sum(r.topic == "positions" for r in read_records)
            records, _ = read(log, checkpoint, lambda rs: sum(r.topic == "positions" for r in rs) >= left)
            read_records += records
    assert [r for r in read_records if r.topic != "positions"] == expected
