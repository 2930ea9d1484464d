"""The journal as a process of its own: its lock, its version, kill -9, a full disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from cdc.errors import DiskFull, JournalLocked, JournalTooNew, SettingsError, StopProcess
from cdc.journal.journal import DuckJournal
from cdc.log.embedded import EmbeddedLog
from cdc.ports.log import Checkpoint, LogRecord, Positions
from cdc.ports.types import Ordinal
from cdc.roles.live import record_behind
from tests.unit.journal.batches import ORG, Change, batch
from tests.unit.journal.held import PATIENCE_S, ask, commit, opened

BATCH_RECORDS = 500
KILLS = 4

WRITER = """
import sys
from cdc.journal.journal import DuckJournal
from tests.unit.journal.batches import ORG, Change, batch

journal = DuckJournal(sys.argv[1], ORG, threads=1, memory_limit="512MB")
ordinal = journal.open().ordinal
records = int(sys.argv[2])
print("open", flush=True)
while records:
    changes = [Change(ordinal + n, n, said={"Name": "A" * 50, "Industry": None}) for n in range(1, records + 1)]
    ordinal += records
    print(journal.commit(batch(changes)).result().ordinal, flush=True)
sys.stdin.read()
"""


@contextmanager
def writing(path: Path, records: int = BATCH_RECORDS) -> Iterator[subprocess.Popen[str]]:
    """A process that commits without end, and says each ordinal that was acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path), str(records)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_kill_9_in_the_middle_of_writing_leaves_rows_and_checkpoint_agreeing(tmp_path: Path) -> None:
    path = tmp_path / "journal.duckdb"
    draw = random.Random(7)
    for _ in range(KILLS):
        with writing(path) as process:
            assert process.stdout is not None
            acknowledged = int(process.stdout.readline())
            deadline = time.monotonic() + draw.uniform(0.05, 0.6)
            while time.monotonic() < deadline:
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            process.wait()
        with opened(tmp_path) as journal:
            held = journal.checkpoint
            assert held.ordinal >= acknowledged
            assert held.offsets == {"log/0": held.ordinal}
            counted = ask(journal, "SELECT count(*), min(seq), max(seq), count(DISTINCT seq) FROM changes")
            assert counted == [(held.ordinal, 1, held.ordinal, held.ordinal)]
            assert ask(journal, "SELECT count(*), count(DISTINCT (seq, field)) FROM field_changes") == [
                (2 * held.ordinal, 2 * held.ordinal)
            ]


def test_a_second_writer_is_refused_with_the_process_that_has_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.duckdb"
    with writing(path, records=0) as process, pytest.raises(JournalLocked) as refused:
        DuckJournal(str(path), ORG).open()
    assert f"the journal is open in process {process.pid}" in refused.value.sentence()
    assert str(path) in refused.value.sentence()


def test_a_second_journal_in_the_same_process_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for threads in (1, 2):
            twin = DuckJournal(journal.path, ORG, threads=threads, memory_limit="512MB")
            with pytest.raises(JournalLocked, match="open in this process already"):
                twin.open()
        commit(journal, batch([Change(1)]))
        assert ask(journal, "SELECT count(*) FROM changes") == [(1,)]


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        path = journal.path
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE store.meta SET value = '9999' WHERE key = 'version'")
    with pytest.raises(JournalTooNew, match="version 9999"):
        DuckJournal(path, ORG).open()


def test_the_journal_of_another_org_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        path = journal.path
    with pytest.raises(SettingsError, match=f"of org {ORG}, and the settings say other"):
        DuckJournal(path, "other").open()


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "journal.duckdb"
    text.write_text("not a database\n" * 1000)
    with pytest.raises(StopProcess, match="not a DuckDB file"):
        DuckJournal(str(text), ORG).open()
    assert text.read_text() == "not a database\n" * 1000
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS one")
    with pytest.raises(StopProcess, match="tables of something else"):
        DuckJournal(str(other), ORG).open()


FULL = """
import resource, signal, sys
from cdc.errors import DiskFull
from cdc.journal.journal import DuckJournal
from tests.unit.journal.batches import ORG, Change, batch

fatal = []
journal = DuckJournal(sys.argv[1], ORG, threads=1, memory_limit="512MB", on_fatal=fatal.append)
journal.open()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
ordinal = 0
try:
    while True:
        changes = [Change(ordinal + n, n, said={"Name": f"{ordinal + n:0200}"}) for n in range(1, 2001)]
        acknowledged = journal.commit(batch(changes)).result().ordinal
        ordinal += 2000
        print(acknowledged, flush=True)
except DiskFull as error:
    assert fatal == [error], fatal
    print(error.sentence(), flush=True)
"""


def test_no_room_left_stops_the_journal_with_the_remedy_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.duckdb"
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(4_000_000)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 4,
    )
    *acknowledged, sentence = run.stdout.splitlines() or [run.stderr]
    assert "no room is left on its disk" in sentence, run.stderr
    assert "make room and start again" in sentence
    with opened(tmp_path) as journal:
        held = journal.checkpoint.ordinal
        assert held >= int(acknowledged[-1])
        assert ask(journal, "SELECT count(*), max(seq) FROM changes") == [(held, held)]
        commit(journal, batch([Change(held + 1)]))


def test_a_write_ahead_log_cut_anywhere_opens_with_whole_transactions_or_says_what_to_do(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.duckdb"
    with writing(path, records=50) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
    wal = Path(f"{path}.wal")
    kept_file, kept_wal = path.read_bytes(), wal.read_bytes()
    draw = random.Random(3)
    for length in [draw.randrange(1, len(kept_wal)) for _ in range(6)]:
        path.write_bytes(kept_file)
        wal.write_bytes(kept_wal[:length])
        refused: list[StopProcess] = []
        try:
            with opened(tmp_path) as journal:
                held = journal.checkpoint.ordinal
                assert held % 50 == 0
                assert ask(journal, "SELECT count(*), coalesce(max(seq), 0) FROM changes") == [(held, held)]
        except StopProcess as error:
            refused.append(error)
        assert all("cdc journal --rebuild" in error.sentence() for error in refused)
        assert not any(isinstance(error, DiskFull) for error in refused)


def test_the_file_is_released_at_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, batch([Change(1)]))
        path = journal.path
    assert not os.path.exists(f"{path}.wal")
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchall() == [(1,)]


def test_the_bytes_of_a_record_are_found_again_in_the_log_by_its_number(tmp_path: Path) -> None:
    """What the store refuses is kept raw: the columns have no bytes any more, the log has."""
    log = EmbeddedLog("acme", tmp_path / "log.sqlite")
    log.open("test")
    written = [LogRecord("AccountChangeEvent", f"r{n}", f"body {n}".encode(), n) for n in range(1, 6)]
    log.append(written[:3], Positions("acme", Ordinal(4)))
    log.append(written[3:], Positions("acme", Ordinal(6)))
    found = record_behind(log, Checkpoint({}, Ordinal(0)), Ordinal(4))
    assert found is not None
    assert (found.key, found.value) == ("r4", b"body 4")
    assert record_behind(log, Checkpoint({}, Ordinal(0)), Ordinal(9)) is None
    log.close()
