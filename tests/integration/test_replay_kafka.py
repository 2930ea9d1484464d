"""A replay into real Kafka: everything once and in order whatever is killed, and taken by Debezium's own parts."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cdc import settings as settings_module
from cdc.answer.definitions import definitions
from cdc.answer.entity_views import refresh_entity_views
from cdc.journal.journal import DuckJournal
from cdc.roles.replay import Order, run_replay
from cdc.settings import Settings
from tests.unit.answer import recorded
from tests.unit.answer.told import Told
from tests.unit.journal.batches import ORG, Change, batch, description
from tests.unit.replay.test_replay_images import asking

HERE = Path(__file__).resolve().parent
DEBEZIUM = "2.7.4.Final"
KAFKA = "3.9.1"
BRING_S = 300
CHANGES = 400

POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>unwrap</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.debezium</groupId><artifactId>debezium-core</artifactId><version>{DEBEZIUM}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>connect-json</artifactId><version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>connect-transforms</artifactId><version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def settings_of(folder: Path, kafka: str) -> Settings:
    (folder / "cdc.toml").write_text(
        f"""
[org]
alias = "{ORG}"
[salesforce]
login_url = "http://127.0.0.1:1"
client_id = "x"
client_secret_file = "secret"
[log]
kind = "kafka"
[log.kafka]
bootstrap_servers = "{kafka}"
partitions = 3
[api]
listen = "127.0.0.1:1"
"""
    )
    (folder / "secret").write_text("x")
    return settings_module.load(folder / "cdc.toml", {})


def messages(kafka: str, topic: str) -> list[Any]:
    """Every committed message, partition by partition."""
    config = {"bootstrap.servers": kafka, "group.id": "test", "isolation.level": "read_committed"}
    found = []
    with closing(
        Consumer(config | {"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    ) as consumer:
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, number, 0)])
            while True:
                message = consumer.poll(30)
                assert message is not None
                if message.error():
                    break
                found.append(message)
    return found


@pytest.fixture
def unwrap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program, with Debezium's transform and Kafka Connect's converter beside it."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} was not found on PATH")
    folder = tmp_path_factory.mktemp("unwrap")
    (folder / "pom.xml").write_text(POM)
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'jars'}"]
    brought = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BRING_S)
    if brought.returncode:
        pytest.skip(f"Maven could not bring Debezium: {brought.stdout.strip().splitlines()[0]}")
    source = str(HERE / "DebeziumUnwrap.java")
    compiled = subprocess.run(
        ["javac", "-cp", f"{folder / 'jars'}/*", "-d", str(folder), source], capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stderr
    return folder


def a_day(seed: int = 7) -> Told:
    """Creates, updates, nulls, deletes and undeletes of forty records."""
    chance, told = random.Random(seed), Told()
    alive: dict[str, bool] = {}
    for n in range(600):
        record_id = f"001{chance.randrange(40):012d}AAA"
        values = {
            "Name": f"name {n} – é",
            "Amount": chance.choice([None, "12.5", "-3", "1e+21"]),
            "IsWon": chance.choice(["true", "false"]),
            "CloseDate": chance.choice([None, "2026-11-23"]),
            "CreatedDate": "2026-11-23T10:02:00.000Z",
            "BillingAddress__City": chance.choice([None, "Oslo"]),
        }
        if record_id not in alive:
            told.event("CREATE", 1 + n, record_id, **values)
        elif not alive[record_id]:
            told.event("UNDELETE", 1 + n, record_id, **values)
        elif chance.random() < 0.1:
            told.event("DELETE", 1 + n, record_id)
            alive[record_id] = False
            continue
        else:
            named = chance.sample(sorted(values), 2)
            told.event("UPDATE", 1 + n, record_id, **{name: values[name] for name in named})
        alive[record_id] = True
    return told


KINDS = {"Amount": "currency", "IsWon": "boolean", "CloseDate": "date", "CreatedDate": "datetime"}


@pytest.mark.slow
@pytest.mark.parametrize("part", ["whole", "a part with its snapshot"])
def test_debeziums_own_transform_gives_the_state_at_the_end(
    kafka: str, topic_prefix: str, tmp_path: Path, unwrap: Path, part: str
) -> None:
    connection = a_day().opened()
    described = [{"name": n, "path": n, "type": KINDS.get(n, "string")} for n in ("Name", *KINDS)]
    described.append({"name": "BillingCity", "path": "BillingAddress.City", "type": "string"})
    rows = [{"entity": "Account", "at_seq": 0, "fields": json.dumps(described)}]
    recorded.insert(connection, "descriptions", rows)
    ask, topic = asking(connection), f"{topic_prefix}.debezium"
    more = {"from_before": "300"} if part != "whole" else {}
    run_replay(settings_of(tmp_path, kafka), ask, Order(f"kafka:{topic}", envelope="debezium", **more))

    program = ["java", "-cp", f"{unwrap}:{unwrap / 'jars'}/*", "DebeziumUnwrap", kafka, topic]
    told = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr[-2000:]
    loaded = {}
    for line in told.stdout.splitlines():
        record_id, *cells = line.split("\t")
        loaded[record_id] = dict(cell.split("=", 1) for cell in cells)
    assert loaded == {
        row[0]: {"Id": row[0], **{_name(path): _loaded(path, value) for path, value in row[2].items()}}
        for row in ask("state", entity="Account", limit=1000)["rows"]
        if row[1] == "present"
    }


def _name(path: str) -> str:
    return {"BillingAddress.City": "BillingCity"}.get(path, path)


def _loaded(path: str, value: str | None) -> str:
    """A value of the state as the Java program prints it."""
    if value is None:
        return "null"
    if path == "Amount":
        return {"12.5": "12.5", "-3": "-3.0", "1e+21": "1.0E21"}[value]
    return "20780" if path == "CloseDate" else value


@pytest.fixture
def journal_folder(kafka: str, tmp_path: Path) -> Path:
    """A journal that nobody has open, beside its settings."""
    settings_of(tmp_path, kafka)
    journal = DuckJournal(
        str(tmp_path / "journal.duckdb"), ORG, definitions=definitions(), on_fields=refresh_entity_views
    )
    journal.open()
    changes = [
        Change(n, n % 20, kind="CREATE" if n <= 20 else "UPDATE", said={"Name": f"{n}"})
        for n in range(1, CHANGES + 1)
    ]
    journal.commit(batch(changes, control=[description(0, "Account", ["Name"])])).result()
    journal.close()
    return tmp_path


@pytest.mark.slow
def test_a_replay_killed_again_and_again_is_whole_and_doubles_nothing(
    kafka: str, topic_prefix: str, journal_folder: Path
) -> None:
    topic = f"{topic_prefix}.killed"
    command = [sys.executable, "-m", "cdc.cli", "replay", "--to", f"kafka:{topic}", "--envelope", "change"]
    options: dict[str, Any] = {"cwd": journal_folder, "env": {**os.environ, "PYTHONPATH": os.getcwd()}}
    for seconds in (0.8, 0.4):
        process = subprocess.Popen([*command, "--rate", "150"], stderr=subprocess.PIPE, text=True, **options)
        assert process.stderr is not None
        assert "the replay" in process.stderr.readline()
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    assert "goes on behind ordinal" in done.stderr
    found = messages(kafka, topic)
    bodies = [json.loads(m.value()) for m in found]
    assert sorted(b["seq"] for b in bodies) == list(range(1, CHANGES + 1))
    by_record: dict[str, list[int]] = {}
    for message, body in zip(found, bodies, strict=True):
        assert message.key().decode() == body["record_id"]
        by_record.setdefault(body["record_id"], []).append(body["seq"])
    assert all(seqs == sorted(seqs) for seqs in by_record.values())
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert "0 messages" in again.stderr
    assert len(messages(kafka, topic)) == CHANGES


def test_the_commit_time_is_a_header_and_if_asked_the_timestamp(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    ask, settings = asking(told.opened()), settings_of(tmp_path, kafka)
    for commit, topic in ((False, "now"), (True, "commit")):
        name = f"{topic_prefix}.{topic}.{{entity}}"
        run_replay(settings, ask, Order(f"kafka:{name}", commit_timestamps=commit))
        [message] = messages(kafka, name.replace("{entity}", "Account"))
        assert dict(message.headers())["committed_at"] == b"60000"
        assert (message.timestamp()[1] == 60_000) == commit
