"""A journal in DuckLake, kept by several workers: the same answers as the single file, with workers killed again and again."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc import settings as settings_module
from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake
from cdc.journal.verify import verify
from cdc.log.follow import StoreFollower, follow
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Log
from cdc.ports.types import SchemaId
from cdc.roles.build import make_log
from cdc.settings import Settings
from tests.conftest import free_ports
from tests.integration.living import PATIENCE_S, Running, running, simulated_org, until, write_settings
from tests.integration.postgres import postgres

pytestmark = pytest.mark.kafka

WORKERS = tuple(int(n) for n in os.environ.get("CDC_TEST_WORKERS", "2").split(","))
KILLS = int(os.environ.get("CDC_TEST_LAKE_KILLS", "2"))
QUIET_BATCHES = 6
RATE = int(os.environ.get("CDC_TEST_LAKE_RATE", "200"))

COMPARED = {
    "changes": "* EXCLUDE (received_at)",
    "field_changes": "*",
    "coverage": "* EXCLUDE (reason, evidence)",
    "baselines": "*",
    "quarantine": "* EXCLUDE (received_at, decoded_at)",
    "schema_fields": "* EXCLUDE (schema_ids)",
    "setup_changes": "*",
    "positions": "*",
}
"""View -> columns that must be the same."""


class Following:
    """Ends the reading when nothing more has come for a while."""

    def __init__(self, journal: DuckJournal, stop: threading.Event) -> None:
        self._journal = StoreFollower(journal, journal.checkpoint)
        self._stop = stop
        self._quiet = 0

    @property
    def checkpoint(self) -> Any:
        return self._journal.checkpoint

    def take(self, batch: ColumnBatch) -> None:
        self._journal.take(batch)
        self._quiet = 0 if batch.changes.num_rows or batch.control else self._quiet + 1
        if self._quiet >= QUIET_BATCHES:
            self._stop.set()


def single_file(log: Log, path: Path) -> DuckJournal:
    """The journal that one writer makes of the whole log; nothing is asked of the org for it."""

    def text(schema_id: str) -> str | None:
        return log.schema(SchemaId(schema_id))

    journal = DuckJournal(str(path), "test", definitions=definitions(), schema_text=text, seal_records=2**62)
    journal.open()
    stop, schemas = threading.Event(), SchemaStore(text)
    last = log.open("the test").next_ordinal - 1  # capture has ended
    threading.Thread(
        target=lambda: until("all is in", lambda: _ended(journal, last, stop)), daemon=True
    ).start()
    follow(log, journal.checkpoint, lambda b: decode_batch(b, schemas), [Following(journal, stop)], stop)
    journal.errand(lambda _: None).result()  # behind all that was handed over
    return journal


def _ended(journal: DuckJournal, last: int, stop: threading.Event) -> bool:
    """Everything is committed, and what may stand behind the last change has had its time."""
    if journal.checkpoint.ordinal < last:
        return False
    stop.wait(3.0)
    stop.set()
    return True


def worker_settings(folder: Path, base: Settings, lake: str, shards: int, parquet: Path) -> Settings:
    """Settings of one worker: the same org, log and lake; an API of its own."""
    folder.mkdir()
    port, metrics = free_ports(2)
    text = (Path(base.salesforce.client_secret_file).parent / "cdc.toml").read_text()
    text = text.replace(f'listen = "{base.api.listen}"', f'listen = "127.0.0.1:{port}"')
    text = text.replace('"secret"', f'"{base.salesforce.client_secret_file}"')
    text = text.partition("[metrics]")[0]
    text += f'[metrics]\nlisten = "127.0.0.1:{metrics}"\n[journal]\npath = "ducklake:postgres:{lake}"\n'
    text += f'shards = {shards}\nsegments = "{parquet}"\nthreads = 1\n'
    (folder / "cdc.toml").write_text(text)
    return settings_module.load(folder / "cdc.toml", {})


def rows(reader: Any, view: str, columns: str) -> list[tuple[Any, ...]]:
    found = reader.execute(f"SELECT {columns} FROM main.{view}").fetchall()
    return sorted(found, key=repr)


def differences(one: Any, other: Any) -> dict[str, Any]:
    """By view the first rows that one has and the other has not."""
    out = {}
    for view, columns in COMPARED.items():
        mine, theirs = rows(one, view, columns), rows(other, view, columns)
        if mine != theirs:
            only = (
                [repr(r) for r in mine if r not in theirs][:3],
                [repr(r) for r in theirs if r not in mine][:3],
            )
            out[view] = (len(mine), len(theirs), *only)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
def test_workers_killed_again_and_again_answer_as_a_single_file_does(
    workers: int, tmp_path: Path, kafka: str
) -> None:
    draw = random.Random(workers)
    (metrics,) = free_ports(1)
    with (
        postgres(tmp_path) as server,
        simulated_org(tmp_path, 'knobs = "cruel"\nrecords = 400\n') as org,
    ):
        extra = f'[metrics]\nlisten = "127.0.0.1:{metrics}"\n'
        base = write_settings(tmp_path, org, kafka, extra)
        log = make_log(base)
        parts = [
            Running(worker_settings(tmp_path / f"w{n}", base, server, workers, tmp_path / "lake"), tmp_path / f"w{n}", "journal")
            for n in range(workers)
        ]  # fmt: skip
        try:
            with running(base, tmp_path, "capture"):
                for part in parts:
                    part.start()
                live = "SELECT count(*) FROM coverage WHERE status = 'live' AND record_id IS NULL"
                until("the channel is live", lambda: any_rows(parts, live)[0][0])
                org.post("/simulator/drip", {"rate": RATE, "seconds": KILLS * 5})
                for _ in range(KILLS):
                    time.sleep(draw.uniform(2.0, 5.0))
                    victim = draw.choice(parts)
                    victim.kill()
                    victim.start()
                until("the load has ended", lambda: not org.get("/simulator/status")["dripping"])
                expected = len(org.pairs())
                streamed = "SELECT count(*) FROM changes WHERE source = 'pubsub'"
                until("the lake has it all", lambda: any_rows(parts, streamed)[0][0] >= expected)
            compare(log, tmp_path, f"ducklake:postgres:{server}", workers)
        finally:
            codes = stopped(parts)
            log.close()
        assert codes == [0] * workers, parts[0].log_tail()


def stopped(parts: Sequence[Running]) -> list[int]:
    """All asked to end at once, as one would a deployment; their exit codes."""
    processes = [part.process for part in parts if part.process is not None]
    for process in processes:
        process.terminate()
    try:
        return [process.wait(PATIENCE_S) for process in processes]
    finally:
        for process in processes:
            process.kill()


def any_rows(parts: Sequence[Running], sql: str) -> list[list[Any]]:
    """The answer of the first worker that is up."""
    for part in parts:
        try:
            return part.sql(sql)
        except Exception:
            continue
    raise OSError("no worker answers")


def compare(log: Log, folder: Path, path: str, shards: int) -> None:
    """Every part comes to the end of the log, and the views hold the same rows as the single file's."""
    journal = single_file(log, folder / "single.duckdb")
    lake = Lake(path, "test", folder=str(folder / "lake"), shards=shards, definitions=definitions())
    lake.open()
    try:
        last = journal.checkpoint.ordinal
        until("every part is at the end of the log", lambda: lake.checkpoint.ordinal == last)
        with lake.reader() as theirs, journal.reader() as mine:
            # The last positions may stand behind the last change, where an ordinal does not tell.
            until("positions agree", lambda: "positions" not in differences(mine, theirs))
            assert differences(mine, theirs) == {}
            assert verify(theirs, str(folder / "none"), "test", held=int(last)).facts
            for entity in ("Account", "Contact"):
                sql = f"SELECT * FROM state_at('{entity}', TIMESTAMP '2100-01-01') ORDER BY record_id"
                assert theirs.execute(sql).fetchall() == mine.execute(sql).fetchall()
    finally:
        lake.close()
        journal.close()
