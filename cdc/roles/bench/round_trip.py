"""`cdc bench round-trip`: how near one stream comes to the 100 events a round trip that the service allows."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from cdc.roles.bench import stages
from cdc.roles.bench.events import make_events
from cdc.roles.bench.surroundings import open_log, serving
from connectors.salesforce.pubsub import CREDIT_MAX

ROUND_TRIPS_MS: Final = (20, 50)
SECONDS: Final = 6
"""Of events at the most that the round trip allows."""


def run_round_trip(output: str | None, log: str) -> None:
    """Measure with each round trip, and print."""
    table = Table(title="One stream, against 100 events a round trip", title_justify="left")
    for column in ("round trip, ms", "allowed, changes/s", "reached, changes/s", "of what is allowed"):
        table.add_column(column, justify="right")
    told = []
    for round_trip_ms in ROUND_TRIPS_MS:
        allowed = CREDIT_MAX * 1000 / round_trip_ms
        events = make_events(int(allowed * SECONDS))
        with tempfile.TemporaryDirectory(prefix="cdc-bench-") as name:
            unique = log if log == "embedded" else f"{log}/round-trip-{round_trip_ms}"
            road = open_log(unique, Path(name))
            try:
                with serving(Path(name), events, "--round-trip-ms", str(round_trip_ms)) as address:
                    figure = asyncio.run(stages.capture(road, address, len(events.payloads)))
            finally:
                road.close()
        share = figure.rate / allowed
        table.add_row(str(round_trip_ms), f"{allowed:,.0f}", f"{figure.rate:,.0f}", f"{share:.0%}")
        told.append({"round_trip_ms": round_trip_ms, "allowed": allowed, "rate": figure.rate, "ratio": share})
    Console().print(table)
    if output:
        Path(output).write_text(json.dumps(told, indent=2) + "\n")
