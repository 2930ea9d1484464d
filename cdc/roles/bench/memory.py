"""`cdc bench memory`: what a recorder takes when nothing happens, and how soon it is live with a large journal.

The whole `cdc run` beside a simulated org that is quiet; then the opening of the journal that `cdc bench past` keeps,
made if it is not there.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cdc.answer.definitions import definitions
from cdc.errors import StopProcess
from cdc.journal.journal import DuckJournal
from cdc.roles.bench import past_journal as seeded
from cdc.roles.bench.follower import memory_mb
from cdc.roles.bench.past import CACHE

SETTLE_S: Final = 20.0
MEASURED_S: Final = 30.0
LIVE_WITHIN_S: Final = 120.0
RECORDS: Final = 500


def run_memory(field_changes: int, output: str | None, log: str) -> None:
    """Measure and print."""
    said: dict[str, Any] = _quiet(log) | _opening(field_changes)
    table = Table(title="At rest, and at the start", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("memory of a quiet `cdc run`", f"{said['idle_mb']:,.0f} MB")
    table.add_row("processor of a quiet `cdc run`", f"{said['idle_cpu']:.2%} of a core")
    table.add_row(
        f"opening a journal of {field_changes:,} field changes, {said['journal_mb']:,.0f} MB",
        f"{said['open_s']:.2f} s",
    )
    Console().print(table)
    if output:
        Path(output).write_text(json.dumps(said, indent=2) + "\n")


def _quiet(log: str) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="cdc-bench-") as name,
        _simulator(Path(name)) as org,
        _recorder(Path(name), org, log) as process,
    ):
        time.sleep(SETTLE_S)
        before, began = _cpu_s(process.pid), time.monotonic()
        time.sleep(MEASURED_S)
        used, passed = _cpu_s(process.pid) - before, time.monotonic() - began
        return {"idle_mb": memory_mb(process.pid), "idle_cpu": used / passed}


def _opening(field_changes: int) -> dict[str, float]:
    """From nothing to a journal that takes batches: lock, migrations, views, what is held, what is wanted."""
    journal = seeded.seeded_journal(CACHE, field_changes, _say)
    path, segments = journal.path, journal.segments
    journal.close()
    files = [Path(path), *(f for f in Path(segments).rglob("*") if f.is_file())]
    began = time.perf_counter()
    journal = DuckJournal(path, seeded.ORG, definitions=definitions(), segments=segments, seal_records=2**62)
    journal.open()
    took = time.perf_counter() - began
    journal.close()
    return {"open_s": took, "journal_mb": sum(f.stat().st_size for f in files) / 2**20}


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _cpu_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _simulator(folder: Path) -> Iterator[dict[str, Any]]:
    workload = folder / "workload.toml"
    workload.write_text(f"records = {RECORDS}\n")
    command = [sys.executable, "-m", "cdc.cli", "simulator", "--listen", "127.0.0.1:0", "--ready-json"]
    command += ["--pubsub-listen", "127.0.0.1:0", "--workload", str(workload)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _recorder(folder: Path, org: dict[str, Any], log: str) -> Iterator[subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "secret").write_text(org["client_secret"])
    kafka = log.removeprefix("kafka:") if log.startswith("kafka:") else ""
    (folder / "cdc.toml").write_text(
        f"""
[org]
alias = "bench-idle"
[salesforce]
login_url = "{org["http"]}"
client_id = "{org["client_id"]}"
client_secret_file = "secret"
pubsub_endpoint = "{org["pubsub"]}"
pubsub_tls = false
[log]
kind = "{"kafka" if kafka else "embedded"}"
[log.kafka]
bootstrap_servers = "{kafka or "localhost:9092"}"
[api]
listen = "127.0.0.1:{port}"
"""
    )
    command = [sys.executable, "-m", "cdc.cli", "--config", str(folder / "cdc.toml"), "run"]
    with (folder / "run.log").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        _until_live(process, folder)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _until_live(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Its log says that the channel delivers."""
    deadline = time.monotonic() + LIVE_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if "channel.opened" in (folder / "run.log").read_text():
            return
        time.sleep(0.2)
    raise StopProcess("the recorder did not become live", where=(folder / "run.log").read_text()[-400:])
