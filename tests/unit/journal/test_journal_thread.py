"""One writer, a bounded queue, readers beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdc.errors import StopProcess
from cdc.journal.journal import DuckJournal
from tests.unit.journal.batches import ORG, Change, batch, schema_record
from tests.unit.journal.held import PATIENCE_S, ask, commit, opened


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Gate:
    """Holds the writer inside a transaction: it asks for the text of a schema, and waits."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def schema_text(self, _: str) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)


def test_commit_waits_while_the_queue_is_full_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    gate = Gate()
    with opened(tmp_path, schema_text=gate.schema_text, queue_records_max=5) as journal:
        first = journal.commit(batch([Change(1, schema_id="s")]))
        assert gate.reached.wait(PATIENCE_S)
        waiting = [
            journal.commit(batch([Change(2), Change(3)])),
            journal.commit(batch([Change(4), Change(5)])),
        ]
        assert journal.metrics.queue_records == 4
        last: list[Any] = []
        thread = threading.Thread(target=lambda: last.append(journal.commit(batch([Change(6), Change(7)]))))
        thread.start()
        assert not first.done()
        assert not last
        gate.opened.set()
        thread.join(PATIENCE_S)
        ordinals = [f.result(PATIENCE_S).ordinal for f in (first, *waiting, *last)]
        assert ordinals[0] == 1
        assert journal.checkpoint.ordinal == 7
        assert journal.metrics.queue_records == 0


def test_batches_that_wait_are_written_in_one_transaction(tmp_path: Path) -> None:
    gate = Gate()
    with opened(tmp_path, schema_text=gate.schema_text) as journal:
        journal.commit(batch([Change(1, schema_id="s")]))
        assert gate.reached.wait(PATIENCE_S)
        waiting = [journal.commit(batch([Change(n)])) for n in range(2, 12)]
        gate.opened.set()
        assert {f.result(PATIENCE_S).ordinal for f in waiting} == {11}
        assert (journal.metrics.commits, journal.metrics.rows) == (2, 11)


def test_a_bad_batch_among_waiting_ones_costs_none_of_those_before_it(tmp_path: Path) -> None:
    gate = Gate()
    with opened(tmp_path, schema_text=gate.schema_text) as journal:
        journal.commit(batch([Change(1, schema_id="s")]))
        assert gate.reached.wait(PATIENCE_S)
        good, bad, behind = (journal.commit(batch([Change(n)])) for n in (2, 4, 5))
        gate.opened.set()
        assert good.result(PATIENCE_S).ordinal == 2
        for refused in (bad, behind):
            with pytest.raises(StopProcess, match="ordinal 3 is not"):
                refused.result(PATIENCE_S)


def test_what_a_rolled_back_transaction_learnt_is_learnt_again(tmp_path: Path) -> None:
    text = '{"type": "record", "name": "Order__e", "fields": [{"name": "CreatedDate", "type": "long"}]}'
    gate = Gate()
    with opened(tmp_path, schema_text=gate.schema_text) as journal:
        journal.commit(batch([Change(1, schema_id="s")]))
        assert gate.reached.wait(PATIENCE_S)
        good = journal.commit(batch([Change(2)], control=[schema_record(1, "new", text)]))
        journal.commit(batch([Change(4)]))
        gate.opened.set()
        good.result(PATIENCE_S)
        assert ask(journal, "SELECT schema_id, name FROM schemas") == [("new", "Order__e")]


def test_close_finishes_what_is_queued(tmp_path: Path) -> None:
    journal = DuckJournal(str(tmp_path / "journal.duckdb"), ORG, threads=1, memory_limit="512MB")
    journal.open()
    waiting = [journal.commit(batch([Change(n)])) for n in range(1, 30)]
    journal.close()
    assert all(f.done() for f in waiting)
    with opened(tmp_path) as again:
        assert again.checkpoint.ordinal == 29
    with pytest.raises(StopProcess, match="the journal is closed"):
        journal.commit(batch([Change(30)]))
    with pytest.raises(StopProcess, match="the journal is closed"), journal.reader():
        pass


def test_readers_in_many_threads_see_whole_transactions_while_the_writer_writes(tmp_path: Path) -> None:
    done = threading.Event()
    seen: list[int] = []
    failed: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                [(rows, fields, ordinal)] = ask(
                    journal,
                    "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM field_changes), max(ordinal)"
                    " FROM store.checkpoint",
                )
                assert (rows, fields) == (ordinal or 0, 2 * (ordinal or 0))
                seen.append(rows)
        except BaseException as error:
            failed.append(error)

    with opened(tmp_path) as journal:
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(20):
            changes = [Change(10 * n + i, said={"Name": "A", "Industry": None}) for i in range(1, 11)]
            commit(journal, batch(changes))
        until(lambda: bool(failed) or (bool(seen) and seen[-1] == 200))
        done.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert failed == []


def test_a_reader_can_be_interrupted_and_the_journal_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, journal.reader() as reader:
        stopped: list[BaseException] = []

        def endless() -> None:
            try:
                reader.execute("SELECT count(*) FROM range(10000000000) a, range(10000000000) b").fetchall()
            except duckdb.InterruptException as error:
                stopped.append(error)

        thread = threading.Thread(target=endless)
        thread.start()
        while thread.is_alive():
            reader.interrupt()
            thread.join(0.01)
        assert stopped
        commit(journal, batch([Change(1)]))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "SET threads = 7",
        "SET enable_external_access = true",
        "SELECT * FROM secret",
    ],
)
def test_a_reader_reaches_nothing_but_the_journal(tmp_path: Path, sql: str) -> None:
    with opened(tmp_path) as journal, journal.reader() as reader:
        secret = reader.execute("SELECT 1 AS one").to_arrow_table()
        assert secret.num_rows == 1
        with pytest.raises(duckdb.Error):
            reader.execute(sql)


def test_definitions_are_run_behind_our_own_views_at_every_open(tmp_path: Path) -> None:
    for number in (1, 2):
        definitions = [
            f"CREATE OR REPLACE MACRO one() AS {number}",
            "CREATE OR REPLACE VIEW v AS FROM changes",
        ]
        with opened(tmp_path, definitions=definitions) as journal:
            assert ask(journal, "SELECT one()") == [(number,)]
            assert ask(journal, "SELECT count(*) FROM v") == [(0,)]
