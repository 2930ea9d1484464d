"""Capture, journal and detector as they run live, each alone on the machine with what it reads from."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.capture.options import CaptureOptions
from cdc.capture.recorder import Recorder
from cdc.detect.detector import Detector
from cdc.detect.reader import DetectorFollower
from cdc.journal.journal import DuckJournal
from cdc.log.follow import StoreFollower, follow
from cdc.metrics import Metrics
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, Log, LogBatch, LogRecord
from cdc.ports.org import Org
from cdc.ports.source import Start
from cdc.ports.types import Millis, SchemaId
from cdc.roles.bench import day
from cdc.roles.bench.events import CHANNEL, BenchOrg
from cdc.roles.bench.measure import Figure, Stopwatch, measured
from cdc.roles.process import calm_the_collector
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.session import Token

ORG = "bench"
LOOK_EVERY_S = 0.005
PATIENCE_S = 600.0


class OneToken:
    """A session that never ends."""

    async def token(self) -> Token:
        return Token("bench", "http://127.0.0.1", "00D000000000000AAA", "005000000000000AAA", Millis(0))

    async def refresh(self, stale_token: Token) -> Token:
        return stale_token


async def capture(log: Log, address: str, count: int) -> Figure:
    """From the first committed change to the last: source, numbering, framing, transactions."""
    source = PubSubSource(OneToken(), PubSubOptions(endpoint=address, tls=False))
    options = CaptureOptions(
        org=ORG, owner="bench", channels=(CHANNEL,), start=Start.EARLIEST, baseline=False
    )
    recorder = Recorder(options, log, source, cast(Org, BenchOrg()), Metrics())
    stop = asyncio.Event()
    running = asyncio.create_task(recorder.run(stop))
    figure = Figure("capture")

    async def reach(ordinal: int) -> None:
        while recorder.last_ordinal() < ordinal and not running.done():  # noqa: ASYNC110  the recorder as it is
            await asyncio.sleep(LOOK_EVERY_S)

    calm_the_collector()
    async with asyncio.timeout(PATIENCE_S):
        await reach(1)
        watch, first = Stopwatch(), int(recorder.last_ordinal())
        await reach(count)
        figure.wall_s, figure.cpu_s = watch.read()
    figure.changes = int(recorder.last_ordinal()) - first
    stop.set()
    await running
    return figure


@dataclass(slots=True)
class Kept:
    """A follower that keeps what it is given, and says when it has it all."""

    last_ordinal: int
    stop: threading.Event
    batches: list[ColumnBatch] = field(default_factory=list)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def take(self, batch: ColumnBatch) -> None:
        self.batches.append(batch)
        self.checkpoint = batch.checkpoint
        if batch.checkpoint.ordinal >= self.last_ordinal:
            self.stop.set()


def read(log: Log, count: int) -> tuple[Figure, list[LogBatch], list[LogRecord]]:
    """Read the log as the followers do, without looking at what it holds."""
    batches: list[LogBatch] = []
    with measured("reading the log in order", count) as figure:
        for batch in log.batches(Checkpoint()):
            batches.append(batch)
            if batch.checkpoint.ordinal >= count:
                break
    return figure, batches, [r for b in batches for r in b.records if r.event_id]


def decode(log: Log, batches: Sequence[LogBatch], count: int) -> tuple[Figure, list[ColumnBatch]]:
    """Bytes to columns, once for all who follow."""
    schemas = SchemaStore(lambda schema_id: log.schema(SchemaId(schema_id)))
    with measured("columns from the log's bytes", count) as figure:
        columns = [decode_batch(batch, schemas) for batch in batches]
    return figure, columns


def journal(log: Log, count: int) -> tuple[Figure, Figure]:
    """From the log's bytes to committed rows, in the file; and the sealing of those rows, which live runs beside it."""
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        path = str(Path(folder) / "journal.duckdb")
        given: dict[str, Any] = {
            "definitions": definitions(),
            "schema_text": _text(log),
            "seal_records": 2**62,
        }
        store = DuckJournal(path, ORG, **given)
        checkpoint = store.open()
        stop = threading.Event()
        with measured("journal", count) as figure:
            _follow(log, [StoreFollower(store, checkpoint), Kept(count, stop)], stop)
            store.close()
        figure.bytes_kept = sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file())
        store = DuckJournal(path, ORG, **given)
        store.open()
        with measured("sealing, beside the journal", count) as sealing:
            store.seal()
        store.close()
    return figure, sealing


def detector(columns: Sequence[ColumnBatch], count: int) -> Figure:
    """From columns to alerts; the columns are made once and shared with the journal."""
    alerts: list[LogRecord] = []
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        follower = DetectorFollower(ORG, Path(folder) / "detector.state", alerts.extend)
        with measured("detector, on columns", count) as figure:
            for batch in columns:
                follower.take(batch)
    return figure


def detector_day(count: int) -> Figure:
    """The detector on so many changes of one ordinary day of 3,000 users, and how large its state is then."""
    batches, judge = list(day.ordinary_day(count)), Detector(ORG)
    said: set[str] = set()
    with measured("detector, a day of 3,000 users", count) as figure:
        for batch in batches:
            said |= {str(version["alert_id"]) for version in judge.take(batch)}
    size = len(judge.state()) / 1e6
    figure.note = f"{size:.1f} MB of state after it, {judge.keys:,} keys, {len(said)} alerts"
    return figure


def _follow(log: Log, followers: list[Any], stop: threading.Event) -> None:
    schemas = SchemaStore(_text(log))
    follow(log, Checkpoint(), lambda batch: decode_batch(batch, schemas), followers, stop)


def _text(log: Log) -> Any:
    return lambda schema_id: log.schema(SchemaId(schema_id))
