"""`cdc bench scale`: what a change costs as events get wider, records fewer or more, and the journal older.

One thing is varied at a time. The figure is CPU seconds of this process a million changes, from the log's bytes to
committed rows; the exponent says how the whole cost grows with what is varied (1: as the input does, 0: not at all).
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.framing import frame_prefix
from cdc.avro.store import SchemaStore
from cdc.journal.journal import DuckJournal
from cdc.ports.log import Checkpoint, LogBatch, LogRecord
from cdc.ports.types import Ordinal
from cdc.roles.bench import stages
from cdc.roles.bench.events import BEGIN_MS, CHANNEL, RECORDS, SCHEMA_ID, Events, make_events, schema_json
from cdc.roles.bench.measure import measured

CHANGES: Final = 60_000
BATCH: Final = 10_000
FIELDS: Final = (15, 60, 240, 480)
FILLED: Final = (2, 6, 24, 96)
DISTINCT: Final = (10, 1_000, 100_000)
HISTORY: Final = (60_000, 180_000, 540_000)
ENTITIES: Final = (1, 8, 64)
BAR: Final = 40


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: what was varied, its value, CPU seconds a million changes."""

    curve: str
    value: int
    cpu_per_million: float


def run_scale(output: str | None) -> None:
    """Measure every curve and draw it."""
    points: list[Point] = []
    for fields in FIELDS:
        points.append(Point("fields in an event, 6 changed", fields, _cost(CHANGES, fields=fields)))
    for changed in FILLED:
        points.append(Point("fields changed, of 240", changed, _cost(CHANGES, fields=240, changed=changed)))
    for distinct in DISTINCT:
        points.append(Point("distinct records", distinct, _cost(CHANGES, distinct=distinct)))
    for entities in ENTITIES:
        points.append(Point("entities", entities, _cost(CHANGES, entities=entities)))
    points += [Point("changes held before", held, cost) for held, cost in _history(HISTORY)]
    _draw(points)
    if output:
        Path(output).write_text(json.dumps([asdict(p) for p in points], indent=2) + "\n")


def _cost(
    changes: int, *, fields: int = 60, changed: int = 6, distinct: int = RECORDS, entities: int = 1
) -> float:
    events = make_events(changes, fields=fields, changed=changed, distinct=distinct)
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        journal, schemas = _journal(folder, fields), SchemaStore(lambda _: schema_json(fields))
        with measured("scale", changes) as figure:
            _fill(journal, schemas, events, fields, entities, 0)
            journal.close()
    return figure.cpu_per_million


def _history(sizes: Sequence[int]) -> list[tuple[int, float]]:
    """The same number of changes, into a journal that is older each time."""
    out, held = [], 0
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        journal, schemas = _journal(folder, 60), SchemaStore(lambda _: schema_json())
        for size in sizes:
            if size > held:
                _fill(journal, schemas, make_events(size - held, seed=size), 60, 1, held)
                held = size
            with measured("scale", CHANGES) as figure:
                _fill(journal, schemas, make_events(CHANGES, seed=size + 1), 60, 1, held)
            held += CHANGES
            out.append((size, figure.cpu_per_million))
        journal.close()
    return out


def _journal(folder: str, fields: int) -> DuckJournal:
    journal = DuckJournal(
        f"{folder}/journal.duckdb", stages.ORG, definitions=definitions(), seal_records=2**62,
        schema_text=lambda _: schema_json(fields),
    )  # fmt: skip
    journal.open()
    return journal


def _fill(
    journal: DuckJournal, schemas: SchemaStore, events: Events, fields: int, entities: int, after: int
) -> None:
    """Each entity has a schema of its own, as in an org; events of all of them come mixed."""
    prefix = frame_prefix(schema_json(fields))
    done: list[Any] = []
    for begin in range(0, len(events.payloads), BATCH):
        records = [
            LogRecord(
                "AccountChangeEvent", str(n), prefix + events.payloads[n], after + n + 1, BEGIN_MS + n * 20, CHANNEL,
                f"{after}-{events.event_ids[n]}", events.replay_ids[n].hex(), f"{SCHEMA_ID}-{n % entities}", "", BEGIN_MS,
            )
            for n in range(begin, min(begin + BATCH, len(events.payloads)))
        ]  # fmt: skip
        last = records[-1].ordinal
        batch = LogBatch(records, Checkpoint({"AccountChangeEvent/0": last}, Ordinal(last)))
        done.append(journal.commit(decode_batch(batch, schemas)))
    for one in done:
        one.result()


def _draw(points: Sequence[Point]) -> None:
    """A bar a point, and the exponent of each curve, from its first point to its last."""
    most = max(p.cpu_per_million for p in points)
    table = Table(title="Cost of a change: bytes of the log to committed rows", title_justify="left")
    table.add_column("varied")
    for column in ("value", "CPU s per million"):
        table.add_column(column, justify="right")
    table.add_column("")
    for curve in dict.fromkeys(p.curve for p in points):
        of_one = [p for p in points if p.curve == curve]
        first, last = of_one[0], of_one[-1]
        grows = math.log(last.cpu_per_million / first.cpu_per_million) / math.log(last.value / first.value)
        for p in of_one:
            bar = "█" * max(1, round(p.cpu_per_million / most * BAR))
            table.add_row(curve if p is first else "", f"{p.value:,}", f"{p.cpu_per_million:.1f}", bar)
        table.add_row("", "", f"exponent {grows:.2f}", "")
    Console().print(table)
