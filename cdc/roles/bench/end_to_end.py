"""`cdc bench end-to-end`: from Pub/Sub to queryable rows, with broker, load and all stages on the same cores.

Two parts. As fast as it goes, for `seconds`: the rate, what each stage takes of the processor, and its memory on the
way. Then 5,000 changes a second: how long after the org sent an event its row can be asked for, and the detector has judged it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from rich.console import Console
from rich.table import Table

from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.metrics import Metrics
from cdc.ports.log import Log
from cdc.ports.org import Org
from cdc.ports.source import Start
from cdc.roles.bench import stages
from cdc.roles.bench.events import CHANNEL, BenchOrg, make_events
from cdc.roles.bench.follower import TAKEN, memory_mb
from cdc.roles.bench.measure import Stopwatch
from cdc.roles.bench.server import SENT
from cdc.roles.bench.surroundings import open_log, serving
from cdc.roles.process import calm_the_collector
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource

DISTINCT_EVENTS: Final = 600_000
"""More than the pairs remembered against repeats, so that events may come again as new ones."""

WARM_UP_S: Final = 3.0
STEADY_RATE: Final = 5_000
STEADY_S: Final = 20.0
ENDLESS: Final = 10**12
CATCH_UP_S: Final = 60.0


@dataclass(slots=True)
class Flow:
    """One part's figures: rates a second, CPU seconds a million changes, memory in MB at the quarters of the way."""

    rate: float = 0.0
    seconds: float = 0.0
    changes: int = 0
    capture_cpu: float = 0.0
    followers_cpu: float = 0.0
    capture_memory: list[float] = field(default_factory=list)
    followers_memory: list[float] = field(default_factory=list)
    row_p50_s: float = 0.0
    row_p99_s: float = 0.0
    decision_p50_s: float = 0.0
    decision_p99_s: float = 0.0


def run_end_to_end(seconds: float, output: str | None, log: str) -> None:
    """Measure both parts and print them."""
    fast = _part(log, seconds, rate=0)
    steady = _part(log, STEADY_S, rate=STEADY_RATE)
    console = Console()
    table = Table(title="End to end, everything on the same cores", title_justify="left")
    for column in ("", "as fast as it goes", f"{STEADY_RATE:,} changes/s"):
        table.add_column(column, justify="left" if not column else "right")
    rows: Sequence[tuple[str, Any]] = (
        ("changes/s to queryable rows", lambda f: f"{f.rate:,.0f}"),
        ("seconds measured", lambda f: f"{f.seconds:,.0f}"),
        ("capture, CPU s per million", lambda f: f"{f.capture_cpu:.1f}"),
        ("journal and detector, CPU s per million", lambda f: f"{f.followers_cpu:.1f}"),
        ("capture, MB at each quarter", lambda f: " ".join(f"{m:,.0f}" for m in f.capture_memory)),
        (
            "journal and detector, MB at each quarter",
            lambda f: " ".join(f"{m:,.0f}" for m in f.followers_memory),
        ),
        ("sent to queryable row, p50 / p99, s", lambda f: f"{f.row_p50_s:.2f} / {f.row_p99_s:.2f}"),
        ("sent to decision, p50 / p99, s", lambda f: f"{f.decision_p50_s:.2f} / {f.decision_p99_s:.2f}"),
    )
    for name, shown in rows:
        table.add_row(name, shown(fast), shown(steady))
    console.print(table)
    load = os.getloadavg()[0]
    console.print(
        f"Load of the machine at the end: {load:.1f}. As fast as it goes, times are those of a queue that is full."
    )
    if output:
        Path(output).write_text(json.dumps({"fast": asdict(fast), "steady": asdict(steady)}, indent=2) + "\n")


def _part(log_name: str, seconds: float, rate: int) -> Flow:
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as name:
        folder = Path(name)
        events = make_events(DISTINCT_EVENTS if not rate else 2 * int(rate * seconds))
        sent = folder / "sent"
        arguments = ["--sent", str(sent), "--total", str(ENDLESS)]
        if rate:
            arguments += ["--rate", str(rate)]
        unique = log_name if log_name == "embedded" else f"{log_name}/{os.getpid()}-{rate}"
        with serving(folder, events, *arguments) as address, _follower(unique, folder) as follower:
            road = open_log(unique, folder)
            try:
                flow = asyncio.run(_measure(road, address, seconds, follower))
            finally:
                road.close()
        _latencies(flow, sent, folder / "taken")
    return flow


class Follower:
    """The other process, and what it told last."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: dict[str, float] = {"committed": 0, "decided": 0, "cpu_s": 0.0, "memory_mb": 0.0}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told = json.loads(line)


@contextlib.contextmanager
def _follower(log_name: str, folder: Path) -> Iterator[Follower]:
    command = [sys.executable, "-m", "cdc.roles.bench.follower", log_name, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Follower(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(120)


async def _measure(road: Log, address: str, seconds: float, follower: Follower) -> Flow:
    source = PubSubSource(stages.OneToken(), PubSubOptions(endpoint=address, tls=False))
    options = CaptureOptions(
        org=stages.ORG, owner="bench", channels=(CHANNEL,), start=Start.EARLIEST, baseline=False
    )
    recorder = Recorder(options, road, source, cast(Org, BenchOrg()), Metrics())
    stop = asyncio.Event()
    running = asyncio.create_task(recorder.run(stop))
    calm_the_collector()
    async with asyncio.timeout(stages.PATIENCE_S):
        while not follower.told["committed"] and not running.done():  # noqa: ASYNC110  another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(WARM_UP_S)
    flow, watch, began = Flow(), Stopwatch(), dict(follower.told)
    captured = int(recorder.last_ordinal())
    began_s = time.monotonic()
    for _ in range(4):
        await asyncio.sleep(seconds / 4)
        flow.capture_memory.append(round(memory_mb(os.getpid()), 1))
        flow.followers_memory.append(round(follower.told["memory_mb"], 1))
    ended = dict(follower.told)
    flow.seconds = time.monotonic() - began_s
    flow.changes = int(ended["committed"] - began["committed"])
    flow.rate = flow.changes / flow.seconds
    millions = max(flow.changes, 1) / 1e6
    flow.capture_cpu = watch.read()[1] * 1e6 / max(1, int(recorder.last_ordinal()) - captured)
    flow.followers_cpu = (ended["cpu_s"] - began["cpu_s"]) / millions
    stop.set()
    await running
    last, deadline = int(recorder.last_ordinal()), time.monotonic() + CATCH_UP_S
    while follower.told["committed"] < last and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return flow


def _latencies(flow: Flow, sent: Path, taken: Path) -> None:
    """From the clock at which the server sent an event to that at which its ordinal was committed, and judged."""
    out = np.frombuffer(sent.read_bytes(), np.dtype([("n", "<i8"), ("at", "<f8")]))
    body = taken.read_bytes()
    found = np.frombuffer(
        body[: len(body) // TAKEN.size * TAKEN.size],
        np.dtype([("what", "S1"), ("n", "<i8"), ("at", "<f8")]),
    )
    assert SENT.size == out.dtype.itemsize
    for what in (b"r", b"d"):
        marks = found[found["what"] == what]
        marks = marks[np.argsort(marks["n"], kind="stable")]
        place = np.searchsorted(marks["n"], out["n"])
        known = place < len(marks)
        took = marks["at"][place[known]] - out["at"][known]
        if not len(took):
            continue
        p50, p99 = float(np.quantile(took, 0.5)), float(np.quantile(took, 0.99))
        if what == b"r":
            flow.row_p50_s, flow.row_p99_s = p50, p99
        else:
            flow.decision_p50_s, flow.decision_p99_s = p50, p99
