"""`cdc bench lake`: what each of 1, 2 and 4 workers of a journal in DuckLake pays, beside a single file.

The same batches go to every part in turn, in this process: CPU seconds a million changes of the whole stream, from the
log's records to committed rows. What a worker of several saves is the decoding and writing of the others' records; what all
pay is looking at each record's place. Rates are those of a core of its own for each worker: the cores here are shared.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.framing import frame_prefix
from cdc.avro.sharing import shared_out, with_elsewhere
from cdc.avro.store import SchemaStore
from cdc.errors import StopProcess
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake
from cdc.journal.shard import LakeShard
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal
from cdc.roles.bench import stages
from cdc.roles.bench.events import BEGIN_MS, CHANNEL, RECORDS, SCHEMA_ID, make_events, schema_json
from cdc.roles.bench.measure import Figure, measured
from cdc.roles.bench.past import CACHE, cluster

WORKERS: Final = (1, 2, 4)
BATCH: Final = 10_000


def run_lake(changes: int, output: str | None) -> None:
    """Measure and print. Errors: StopProcess without PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise StopProcess("PostgreSQL was not found", do="install the Debian package postgresql")
    CACHE.mkdir(parents=True, exist_ok=True)
    batches = _batches(changes)
    done = [("a single file", 1, _single(batches, changes))]
    with (
        cluster(found[-1].parent) as server,
        tempfile.TemporaryDirectory(prefix="cdc-bench-lake-") as folder,
    ):
        for workers in WORKERS:
            slowest = max(
                _parts(server.address, folder, workers, batches, changes),
                key=lambda figure: figure.cpu_per_million,
            )
            done.append((f"DuckLake, each of {workers}", workers, slowest))
    table = Table(title="A journal of several workers, for the whole stream", title_justify="left")
    for column in ("journal", "a worker's CPU s per million", "changes/s with a core each"):
        table.add_column(column, justify="left" if column == "journal" else "right")
    for name, _, figure in done:
        table.add_row(name, f"{figure.cpu_per_million:.1f}", f"{1e6 / figure.cpu_per_million:,.0f}")
    Console().print(table)
    if output:
        told = [{"journal": n, "workers": w, "cpu_per_million": f.cpu_per_million} for n, w, f in done]
        Path(output).write_text(json.dumps(told, indent=2) + "\n")


def _batches(changes: int) -> list[LogBatch]:
    events, prefix = make_events(changes), frame_prefix(schema_json())
    records = [
        LogRecord(
            "AccountChangeEvent", f"001{n % RECORDS:015d}", prefix + payload, n + 1, BEGIN_MS + n * 20, CHANNEL,
            events.event_ids[n], events.replay_ids[n].hex(), SCHEMA_ID, "", BEGIN_MS,
        )
        for n, payload in enumerate(events.payloads)
    ]  # fmt: skip
    parts = [records[at : at + BATCH] for at in range(0, changes, BATCH)]
    return [
        LogBatch(part, Checkpoint({"log/0": part[-1].ordinal}, Ordinal(part[-1].ordinal))) for part in parts
    ]


def _single(batches: list[LogBatch], changes: int) -> Figure:
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        journal = DuckJournal(
            f"{folder}/journal.duckdb", stages.ORG, definitions=definitions(), seal_records=2**62, threads=1,
            schema_text=lambda _: schema_json(),
        )  # fmt: skip
        journal.open()
        schemas = SchemaStore(lambda _: schema_json())
        figure = _fill(journal, lambda batch: decode_batch(batch, schemas), batches, changes)
        journal.close()
    return figure


def _parts(address: str, folder: str, shards: int, batches: list[LogBatch], changes: int) -> list[Figure]:
    lake = Lake(
        f"ducklake:postgres:{address}", f"{stages.ORG}-{shards}", folder=folder, shards=shards, threads=1,
        definitions=definitions(),
    )  # fmt: skip
    schemas, figures = SchemaStore(lambda _: schema_json()), []
    lake.open()
    try:
        for part in range(shards):

            def decode(batch: LogBatch, part: int = part) -> ColumnBatch:
                own, elsewhere = shared_out(batch, part, shards)
                return with_elsewhere(decode_batch(own, schemas), elsewhere)

            shard = LakeShard(lake, part, schema_text=lambda _: schema_json())
            shard.open()
            figures.append(_fill(shard, decode, batches, changes))
            shard.close()
        with lake.reader() as cursor:
            row: Any = cursor.execute("SELECT count(*) FROM main.changes").fetchone()
        if row[0] != changes:
            raise StopProcess(f"the lake holds {row[0]:,} of {changes:,} changes", where="bench")
    finally:
        lake.close()
    return figures


def _fill(
    journal: DuckJournal, decode: Callable[[LogBatch], ColumnBatch], batches: list[LogBatch], changes: int
) -> Figure:
    with measured("lake", changes) as figure:
        done = [journal.commit(decode(batch)) for batch in batches]
        for one in done:
            one.result()
    return figure
