"""`cdc bench`: capture, journal and detector beside the raw parts they stand on, in one run."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from cdc.errors import BadArgument
from cdc.ports.log import Log
from cdc.roles.bench import limits, stages
from cdc.roles.bench import rivals as usual
from cdc.roles.bench.compare import run_compare
from cdc.roles.bench.events import Events, make_events
from cdc.roles.bench.lake import run_lake
from cdc.roles.bench.measure import Figure, in_series, show
from cdc.roles.bench.past import run_past
from cdc.roles.bench.round_trip import run_round_trip
from cdc.roles.bench.scale import run_scale
from cdc.roles.bench.scenarios import run_scenarios
from cdc.roles.bench.surroundings import open_log, serving

Measured = tuple[list[Figure], list[Figure], list[tuple[Figure, Figure]]]
"""Stages, raw parts, and the usual ways each with the stage of ours that does its work."""

STAGES = ("all", "capture", "journal", "detect")


def run_bench(
    what: str,
    given: int | None,
    output: str | None,
    log: str = "embedded",
    *,
    seconds: float = 30.0,
    compare: str | None = None,
) -> None:
    """Measure and print. `log` is `embedded` or `kafka:HOST:PORT`. Errors: BadArgument."""
    # These start modules of this package as programs, which must not be loaded here before.
    from cdc.roles.bench.end_to_end import run_end_to_end
    from cdc.roles.bench.memory import run_memory

    others: dict[str, Callable[[], None]] = {
        "end-to-end": lambda: run_end_to_end(seconds, output, log),
        "round-trip": lambda: run_round_trip(output, log),
        "memory": lambda: run_memory(given or 5_000_000, output, log),
        "scale": lambda: run_scale(output),
        "lake": lambda: run_lake(given or 100_000, output),
        "past": lambda: run_past(given or 5_000_000, output),
        "scenarios": run_scenarios,
    }
    changes = given or 200_000
    if what in others and compare is None:
        others[what]()
        return
    if what not in STAGES:
        raise BadArgument(f"{what!r} is no stage", do=f"use {', '.join((*STAGES, *others))}")
    if compare is not None:
        run_compare(what, changes, compare, output, log)
        return
    events = make_events(changes)
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="cdc-bench-")))
        road = open_log(log, folder)
        parts.callback(road.close)
        address = parts.enter_context(serving(folder, events))
        measured, raw, rivals = _run(what, road, log, address, events)
    size = sum(map(len, events.payloads)) / changes
    about = (
        f"{changes:,} events of one record with 60 fields, 6 of them changed, {size:,.0f} bytes each; "
        f"log: {'Kafka' if log.startswith('kafka:') else 'embedded (SQLite)'}"
    )
    show(measured, raw, about, output, rivals)


def _run(what: str, road: Log, log: str, address: str, events: Events) -> Measured:
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
    servers = log.removeprefix("kafka:") if log.startswith("kafka:") else ""
    rivals: list[tuple[Figure, Figure]] = []
    if what in ("all", "capture"):
        rivals.append((asyncio.run(usual.subscriber(address, count, servers)), captured))
    if what == "capture":
        return done, raw, rivals
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
        rivals.append((usual.arrow_loop(events), figure))
    if what in ("all", "detect"):
        for figure in (stages.detector(columns, count), stages.detector_day(count)):
            figure.limit, figure.limit_rate = "Arrow decode", decoded.rate
            done.append(figure)
    return done, raw, rivals
