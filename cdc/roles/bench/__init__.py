"""`cdc bench`: capture, journal and detector beside the raw parts they stand on, in one run."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cdc.errors import BadArgument
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.ports.log import Log
from cdc.roles.bench import limits, stages
from cdc.roles.bench.events import Events, make_events
from cdc.roles.bench.measure import Figure, in_series, show
from cdc.roles.bench.scenarios import run_scenarios

DAY_MS = 86_400_000
STAGES = ("all", "capture", "journal", "detect")
SCENARIOS = "scenarios"


def run_bench(what: str, changes: int, output: str | None, log: str = "embedded") -> None:
    """Measure and print. `log` is `embedded` or `kafka:HOST:PORT`. Errors: BadArgument."""
    if what == SCENARIOS:
        run_scenarios()
        return
    if what not in STAGES:
        raise BadArgument(f"{what!r} is no stage", do=f"use {', '.join((*STAGES, SCENARIOS))}")
    events = make_events(changes)
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="cdc-bench-")))
        road = _log(log, folder)
        parts.callback(road.close)
        address = parts.enter_context(_server(folder, events))
        measured, raw = _run(what, road, log, address, events)
    size = sum(map(len, events.payloads)) / changes
    about = (
        f"{changes:,} events of one record with 60 fields, 6 of them changed, {size:,.0f} bytes each; "
        f"log: {'Kafka' if log.startswith('kafka:') else 'embedded (SQLite)'}"
    )
    show(measured, raw, about, output)


def _run(what: str, road: Log, log: str, address: str, events: Events) -> tuple[list[Figure], list[Figure]]:
    count = len(events.payloads)
    received = asyncio.run(limits.grpc_receive(address, count))
    captured = asyncio.run(stages.capture(road, address, count))
    # Kafka and the embedded log hand out changes in one order; reading it is part of what journal and detector pay.
    reading, batches, records = stages.read(road, count)
    raw = [received]
    if log.startswith("kafka:"):
        servers = log.removeprefix("kafka:")
        produced = limits.kafka_produce(servers, records)
        consumed = limits.kafka_consume(servers, f"salesforce.{stages.ORG}.AccountChangeEvent", count)
        raw += [produced, consumed]
        captured.limit, captured.limit_rate = "Kafka produce of the same bytes", produced.rate
    else:
        consumed = reading
        captured.limit, captured.limit_rate = "gRPC receive", received.rate
    done = [captured]
    if what == "capture":
        return done, raw
    decoding, columns = stages.decode(road, batches, count)
    decoded = limits.arrow_decode(events)
    inserted = limits.duckdb_insert(columns, count)
    raw += [reading, decoding, decoded, inserted]
    if what in ("all", "journal"):
        figure, sealing = stages.journal(road, count)
        figure.limit, figure.limit_rate = (
            "consume + Arrow decode + insert in series",
            in_series([consumed, decoded, inserted]),
        )
        done += [figure, sealing]
    if what in ("all", "detect"):
        for figure in (stages.detector(columns, count), stages.detector_day(count)):
            figure.limit, figure.limit_rate = "Arrow decode", decoded.rate
            done.append(figure)
    return done, raw


def _log(log: str, folder: Path) -> Log:
    if log == "embedded":
        return EmbeddedLog(stages.ORG, str(folder / "log.sqlite"), 14 * DAY_MS)
    if log.startswith("kafka:"):
        return KafkaLog(stages.ORG, KafkaLogOptions(bootstrap_servers=log.removeprefix("kafka:")))
    raise BadArgument(f"{log!r} is not a log", do="use embedded or kafka:HOST:PORT")


@contextlib.contextmanager
def _server(folder: Path, events: Events) -> Iterator[str]:
    path = folder / "events.pickle"
    path.write_bytes(pickle.dumps(events))
    command = [sys.executable, "-m", "cdc.roles.bench.server", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
