"""What is true of the embedded log alone: its file, its upkeep, its threads."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import DiskFull, LogRefused
from cdc.log import embedded_reader
from cdc.log.embedded import EmbeddedLog
from cdc.log.embedded_sql import sql
from cdc.log.embedded_upkeep import Upkeep
from cdc.ports.log import CONTROL_TOPICS, Checkpoint, LogRecord, Positions
from cdc.ports.types import Millis, Ordinal, SchemaId

DEADLINE_S = 30.0
ORG = "acme"
ACCOUNT = "AccountChangeEvent"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)


def change(ordinal: int, size: int = 10) -> LogRecord:
    return LogRecord(
        ACCOUNT, f"k{ordinal % 3}", bytes(size), ordinal, 5, "/data/X", f"e{ordinal}", "0a", "s", ""
    )


def upto(next_ordinal: int) -> Positions:
    return Positions(ORG, Ordinal(next_ordinal))


def ordinals(log: EmbeddedLog, last: int) -> list[int]:
    found: list[int] = []
    batches: Any = log.batches(Checkpoint(), idle_s=0.01)
    for batch in batches:
        found += [r.ordinal for r in batch.records if r.topic not in CONTROL_TOPICS]
        if batch.checkpoint.ordinal >= last:
            break
    batches.close()
    return found


def rows(path: Path, where: str = "1") -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM records WHERE {where}").fetchone()[0])


def test_a_file_that_is_no_log_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at as one " * 20)
    with pytest.raises(LogRefused, match=r"notes\.txt.*choose another log\.path"):
        EmbeddedLog(ORG, path).open("test")
    assert path.read_text().startswith("not a database")


def test_a_folder_that_is_not_there_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match="make the folder"):
        EmbeddedLog(ORG, tmp_path / "no" / "log.sqlite").open("test")


def test_a_log_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    EmbeddedLog(ORG, path).open("test")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(LogRefused, match="newer version"):
        EmbeddedLog(ORG, path).open("test")


def test_a_log_of_another_org_is_refused_and_its_owner_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    owner = EmbeddedLog(ORG, path)
    owner.open("test")
    with pytest.raises(LogRefused, match="belongs to the org acme"):
        EmbeddedLog("other", path).open("test")
    owner.append([change(1)], upto(2))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    EmbeddedLog(ORG, path).open("test")
    path.chmod(0o400)
    with pytest.raises(LogRefused, match="right to write"):
        EmbeddedLog(ORG, path).open("test")


def test_a_full_disk_keeps_what_was_acknowledged_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = EmbeddedLog(ORG, path)
    log.open("test")
    connection = log._connected()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 40}")
    following = 1

    def append_until_refused() -> None:
        nonlocal following
        while True:
            log.append([change(n, 1000) for n in range(following, following + 20)], upto(following + 20))
            following += 20

    with pytest.raises(DiskFull, match="no room"):
        append_until_refused()
    assert following > 1
    assert ordinals(log, following - 1) == list(range(1, following))

    connection.execute("PRAGMA max_page_count=1000000")
    log.append([change(following)], upto(following + 1))
    assert ordinals(log, following) == list(range(1, following + 1))
    log.close()


def test_an_append_waits_for_the_disk(tmp_path: Path) -> None:
    log = EmbeddedLog(ORG, tmp_path / "log.sqlite")
    log.open("test")
    assert log._connected().execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert log._connected().execute("PRAGMA journal_mode").fetchone() == ("wal",)
    log.close()


def test_old_changes_go_in_small_steps_and_the_newest_of_each_key_stays(tmp_path: Path) -> None:
    path, clock = tmp_path / "log.sqlite", Clock()
    log = EmbeddedLog(
        ORG, path, 60_000, clock=clock, upkeep=Upkeep(interval_s=0, rows_max=50, compact_behind_rows=0)
    )
    log.open("test")
    log.append([LogRecord("schemas", "s1", b"{}"), LogRecord("coverage", "c", b"")], upto(1))
    for n in range(1, 301, 10):
        log.append([change(i) for i in range(n, n + 10)], upto(n + 10))
    assert rows(path, f"topic = '{ACCOUNT}'") == 300

    clock.now += 61_000
    left = [300]
    for n in range(301, 320):
        log.append([change(n)], upto(n + 1))
        left.append(rows(path, f"topic = '{ACCOUNT}' AND ordinal <= 300"))
    assert left[-1] == 0
    assert max(before - after for before, after in pairwise(left)) <= 50
    assert rows(path, "topic = 'coverage'") == 0
    assert log.schema(SchemaId("s1")) == "{}"
    assert rows(path, "topic = 'positions'") <= 2
    assert ordinals(log, 319) == list(range(301, 320))
    log.close()


def test_replaced_records_of_compacted_topics_go_and_the_newest_stay(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = EmbeddedLog(ORG, path, upkeep=Upkeep(interval_s=0, compact_behind_rows=3))
    log.open("test")
    for n in range(1, 50):
        log.append([LogRecord("jobs", f"job{n % 2}", b"%d" % n), change(n)], upto(n + 1))
    with sqlite3.connect(path) as connection:
        jobs = connection.execute("SELECT value FROM records WHERE topic = 'jobs' ORDER BY seq").fetchall()
    assert jobs[-2:] == [(b"48",), (b"49",)]
    assert len(jobs) <= 4
    assert EmbeddedLog(ORG, path).open("again").next_ordinal == 50
    log.close()


def test_one_log_serves_many_threads(tmp_path: Path) -> None:
    log = EmbeddedLog(ORG, tmp_path / "log.sqlite")
    log.open("test")
    results: dict[int, list[int]] = {}

    def reader(number: int) -> None:
        results[number] = ordinals(log, 400)

    def publisher() -> None:
        for n in range(20):
            log.publish([LogRecord("jobs", f"j{n}", b"x")])
            log.schema(SchemaId("none"))

    threads = [threading.Thread(target=reader, args=(n,)) for n in range(3)]
    threads.append(threading.Thread(target=publisher))
    for thread in threads:
        thread.start()
    for n in range(1, 401, 8):
        log.append([change(i) for i in range(n, n + 8)], upto(n + 8))
    for thread in threads:
        thread.join(DEADLINE_S)
    assert all(results[n] == list(range(1, 401)) for n in range(3))
    assert len(next(log.batches(Checkpoint(), topics=frozenset({"jobs"}))).records) == 20
    log.close()


def test_a_reader_is_woken_by_an_append_of_the_same_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_reader, "POLL_S", 3600.0)
    log = EmbeddedLog(ORG, tmp_path / "log.sqlite")
    log.open("test")
    waiting = threading.Event()
    monkeypatch.setattr(log, "_wait", lambda s, wait=log._wait: (waiting.set(), wait(s)))
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.extend(
            r.ordinal for r in next(log.batches(Checkpoint(), idle_s=3600.0)).records if r.topic == ACCOUNT
        )
    )
    thread.start()
    assert waiting.wait(DEADLINE_S)
    deadline = time.monotonic() + DEADLINE_S
    following = 1
    while thread.is_alive():  # an append may fall just between the look and the wait: the next one wakes
        assert time.monotonic() < deadline
        log.append([change(following)], upto(following + 1))
        following += 1
        thread.join(0.05)
    assert found[0] == 1
    log.close()


def test_every_statement_of_the_file_is_valid(tmp_path: Path) -> None:
    log = EmbeddedLog(ORG, tmp_path / "log.sqlite")
    log.open("test")
    plan = log._connected().execute(
        f"EXPLAIN QUERY PLAN {sql('read_control')}", {"topics": '["jobs"]', "from": 1, "limit": 1}
    )
    assert "control_records" in str(plan.fetchall())  # not a walk over all changes
    log.close()
