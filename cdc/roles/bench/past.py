"""`cdc bench past`: questions about the past of a large journal, beside plain SQL on Parquet and an audit table.

The rivals hold the same field changes: a Parquet file in the order of time, asked by DuckDB, and PostgreSQL with
the table everybody makes (a row a field change, an index on record and time). They answer without the honesty: no
holes, no unknown, no order inside a second.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table

from cdc.answer import questions
from cdc.answer.definitions import NO_CUT
from cdc.answer.differences import diff
from cdc.answer.honesty import read_off_where_all
from cdc.journal.journal import DuckJournal
from cdc.roles.bench import past_journal as seeded
from cdc.roles.bench.sql import statement

FOLDER_VARIABLE: Final = "CDC_BENCH_FOLDER"
CACHE: Final = Path(
    os.environ.get(FOLDER_VARIABLE)
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sf-cdc", "bench")
)
"""Where seeded journals are kept, outside any checkout."""
JOURNALS_MAX: Final = 2
"""Seeded journals that are kept; one of 100 M field changes takes about 4 GB, and as much again for the rivals."""
MIDDLE: Final = "2025-07-01T00:00:00Z"
A_TENTH_LATER: Final = "2025-08-09T00:00:00Z"
"""A tenth of all field changes lies between the two."""
TIMES: Final = 9
"""How often a short question is asked; the median counts."""
_POSTGRES_STARTS_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Took:
    """One question: seconds on the clock and of CPU (of short ones the median), how many rows, and the goal of the
    design where there is one. CPU is of this process: a rival's server is not in it."""

    question: str
    seconds: float
    cpu_s: float
    rows: int
    goal_s: float | None = None


def run_past(field_changes: int, output: str | None, *, rivals: bool = True) -> None:
    """Make or find the journal, ask, and print."""
    _make_room(field_changes)
    journal = seeded.seeded_journal(CACHE, field_changes, _say)
    try:
        took = ours(journal, field_changes)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        others = [
            *(_parquet(journal, field_changes) if rivals else ()),
            *(_postgres(journal, field_changes) if rivals else ()),
        ]
    finally:
        journal.close()
    _show(took, others, peak_mb, field_changes, output)


def ours(journal: DuckJournal, field_changes: int) -> list[Took]:
    """Questions as the verbs ask them, and the state of the whole entity as one statement."""
    entity = seeded.ENTITY
    cold, hot = (_records(journal, field_changes, hot=is_hot) for is_hot in (False, True))
    with journal.reader() as reader:
        return [
            _median(
                "history of a record, all sealed", cold, lambda i: questions.history(reader, entity, i), 0.05
            ),
            _median(
                "history of a record, also hot", hot, lambda i: questions.history(reader, entity, i), 0.5
            ),
            _median("a record field by field", cold, lambda i: questions.record(reader, entity, i)),
            _median("a record at a time", cold, lambda i: questions.state(reader, entity, [i], at=MIDDLE)),
            _statement(reader, "every record at a time, long form", "past_state_long", 10.0),
            _statement(reader, "every record at a time, as lists", "past_state_lists", 10.0),
            _statement(reader, "every record at a time, as maps", "past_state_maps"),
            _statement(reader, "every record now, as lists", "past_state_now", 10.0),
            _median(
                "two times compared, a tenth of the changes between",
                [entity],
                lambda e: _compared(reader, e),
                5.0,
            ),
        ]


def _compared(reader: Any, entity: str) -> questions.Answer:
    return diff(reader, entity, from_time=MIDDLE, to_time=A_TENTH_LATER, by=["user"])


def _make_room(field_changes: int) -> None:
    """Older seeded journals go, with what was made for the rivals, until no more than `JOURNALS_MAX` will be there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    others = [p for p in CACHE.glob("past-*") if not p.name.startswith(f"past-{field_changes}-")]
    for path in sorted(others, key=lambda p: p.stat().st_mtime)[: max(0, len(others) - JOURNALS_MAX + 1)]:
        _say(f"{path} is removed: {JOURNALS_MAX} seeded journals are kept")
        shutil.rmtree(path)
        for file in CACHE.glob(f"rival-{path.name.split('-')[1]}-*"):
            file.unlink(missing_ok=True)


def _records(journal: DuckJournal, field_changes: int, *, hot: bool) -> list[str]:
    """Some records with hot changes, or some without, spread over all."""
    with journal.reader() as reader:
        rows = reader.execute("SELECT DISTINCT record_id FROM store.hot_changes ORDER BY hash(record_id)")
        changed = [row[0] for row in rows.fetchall()]
    if hot:
        return changed[:TIMES]
    count, seen = seeded.records_of(field_changes), set(changed)
    spread = (seeded.record_id(n * 7919 % count) for n in range(count))
    return list(islice((i for i in spread if i not in seen), TIMES))


def _median(
    question: str, asked: list[str], ask: Callable[[str], questions.Answer], goal_s: float | None = None
) -> Took:
    took = [_measured(lambda one=one: len(ask(one).rows)) for one in asked]  # type: ignore[misc]
    if not took:
        return Took(question, 0.0, 0.0, 0, goal_s)
    seconds, cpu_s, rows = zip(*took, strict=True)
    return Took(question, statistics.median(seconds), statistics.median(cpu_s), rows[-1], goal_s)


def _statement(reader: Any, question: str, name: str, goal_s: float | None = None, **given: Any) -> Took:
    text = statement(name).format(**given)
    whole = {"entity": seeded.ENTITY, "t": "infinity" if name.endswith("now") else MIDDLE, "c": NO_CUT}

    def ask() -> int:
        asked = read_off_where_all(reader, text, whole) if "answer.folded(" in text else text
        return int(reader.execute(asked).fetchone()[0])

    return Took(question, *_measured(ask), goal_s)


def _measured(ask: Callable[[], int]) -> tuple[float, float, int]:
    began, cpu = time.perf_counter(), time.process_time()
    rows = ask()
    return time.perf_counter() - began, time.process_time() - cpu, rows


# -- the rivals -----------------------------------------------------------------------------------------------


def _parquet(journal: DuckJournal, field_changes: int) -> Iterator[Took]:
    """The same rows in the order of time, as an export gives them."""
    path = CACHE / f"rival-{field_changes}-v{seeded.VERSION}.parquet"
    if not path.exists():
        _say("the rival's Parquet file is written")
        files = f"{journal.segments}/*/fields.parquet"
        draft = path.with_suffix(".draft")
        with duckdb.connect(
            config={"memory_limit": seeded.MEMORY_LIMIT, "threads": seeded.THREADS}
        ) as database:
            database.execute(f"SET temp_directory = '{path}.tmp'; SET enable_progress_bar = false")
            database.execute(statement("rival_parquet").format(files=files, path=draft))
        draft.rename(path)
    ids = _records(journal, field_changes, hot=False)
    with duckdb.connect(config={"memory_limit": seeded.MEMORY_LIMIT, "threads": seeded.THREADS}) as database:
        database.execute("SET enable_progress_bar = false")
        took = [
            _measured(lambda text=text: len(database.execute(text).fetchall()))  # type: ignore[misc]
            for text in (statement("rival_parquet_record").format(path=path, id=i) for i in ids[:3])
        ]
        yield Took("Parquet in time order: history of a record", *statistics.median_low(took))
        yield _statement(
            database, "Parquet in time order: every record at a time", "rival_parquet_state", path=path
        )


def _postgres(journal: DuckJournal, field_changes: int) -> Iterator[Took]:
    """PostgreSQL of the Debian package, a cluster of this run alone; nothing where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        _say("PostgreSQL is not installed here (Debian package postgresql): its figures are left out")
        return
    ids = _records(journal, field_changes, hot=False)
    with cluster(found[-1].parent) as server:
        sql = server.sql
        sql(statement("rival_postgres_table"))
        _say("PostgreSQL takes the same rows")

        def asked(text: str, rows: int = 0) -> tuple[float, float, int]:
            return _measured(lambda: sql(text) or rows)

        def take() -> int:
            _copy_into(sql, journal)
            sql("CREATE INDEX ON audit (record_id, changed_at); ANALYZE audit")
            return field_changes

        yield Took("PostgreSQL audit table: taking the rows", *_measured(take))
        of_record = "SELECT * FROM audit WHERE record_id = '{}' ORDER BY changed_at, seq"
        took = [asked(of_record.format(i), 1) for i in ids]
        yield Took("PostgreSQL audit table: history of a record", *statistics.median_low(took))
        state = asked(statement("rival_postgres_state"), seeded.records_of(field_changes))
        yield Took("PostgreSQL audit table: every record at a time", *state)


def _copy_into(sql: Any, journal: DuckJournal) -> None:
    files = f"{journal.segments}/*/fields.parquet"
    program = [sys.executable, "-m", "cdc.roles.bench.rival_postgres_copy", files]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as rows:
        sql("COPY audit FROM STDIN (FORMAT csv)", given=rows.stdout)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL at work: a way to run SQL, and its connection string."""

    sql: Callable[..., Any]
    address: str


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A PostgreSQL that listens on a socket in a folder of its own, ended with the block."""
    # As root the server runs as a user of its own, who need not be able to come to root's folders.
    folder = Path(tempfile.mkdtemp(prefix="cdc-bench-pg-", dir=CACHE.absolute() if os.geteuid() else None))
    sockets = Path(tempfile.mkdtemp(prefix="cdc-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        for path in (folder, sockets):
            shutil.chown(path, "postgres")
    try:
        data = folder / "data"
        _run([*as_user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "--no-sync", "-U", "bench"])
        options = (
            f"-k {sockets} -c listen_addresses='' -c fsync=off -c shared_buffers=512MB -c work_mem=512MB"
        )
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
        _run([*control, "-t", f"{_POSTGRES_STARTS_S:.0f}", "-o", options, "-l", str(folder / "log"), "start"])

        def sql(text: str, given: Any = None) -> None:
            psql = [
                str(programs / "psql"),
                "-h",
                str(sockets),
                "-U",
                "bench",
                "-d",
                "postgres",
                "-qAt",
                "-c",
                text,
            ]
            subprocess.run(psql, check=True, stdin=given, stdout=subprocess.DEVNULL)

        try:
            yield Cluster(sql, f"host={sockets} user=bench dbname=postgres")
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


# -- what is shown --------------------------------------------------------------------------------------------


def _show(took: list[Took], others: list[Took], peak_mb: int, field_changes: int, output: str | None) -> None:
    console = Console()
    table = Table(title=f"{field_changes:,} field changes, {seeded.THREADS} threads", title_justify="left")
    for column in ("question", "seconds", "CPU s", "rows", "goal"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for one in (*took, *others):
        goal = "" if one.goal_s is None else f"{one.goal_s:g} s"
        table.add_row(one.question, f"{one.seconds:,.3f}", f"{one.cpu_s:,.3f}", f"{one.rows:,}", goal)
    console.print(table)
    console.print(f"Most memory of this process: {peak_mb:,} MB; DuckDB's limit is {seeded.MEMORY_LIMIT}.")
    if output:
        figures = [asdict(one) for one in (*took, *others)]
        Path(output).write_text(json.dumps({"figures": figures, "peak_mb": peak_mb}, indent=1) + "\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
