"""The capacity page's disk figures against a month that was played and measured."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "ops" / "capacity.md"
RECORDS = int(os.environ.get("CDC_TEST_CAPACITY_RECORDS", "6000"))
DAYS = 30
WITHIN = 0.15


def figures(row: str) -> tuple[int, int]:
    """(bytes a change, bytes a record read) of a row of the page's table."""
    found = re.search(
        rf"^\| {row} \| ([\d,]+) bytes a change, ([\d,]+) bytes a record", PAGE.read_text(), re.M
    )
    assert found is not None, row
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def bytes_of_log(folder: Path) -> int:
    """The log's file once all of it is in it."""
    with sqlite3.connect(folder / "log.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "log.sqlite").stat().st_size


def seal(one: World) -> None:
    command = [sys.executable, "-m", "cdc.cli", "--config", str(one.folder / "cdc.toml"), "seal"]
    assert subprocess.run(command, capture_output=True, timeout=180).returncode == 0


def test_a_month_takes_the_disk_that_the_page_says(tmp_path: Path) -> None:
    with world(tmp_path, records=RECORDS, days=0) as one:
        [[read]] = one.run.sql("SELECT count(*) FROM changes")
        one.org.post("/simulator/play", {"days": DAYS})
        one.caught_up()
        [[changes]] = one.run.sql("SELECT count(*) FROM changes WHERE source IN ('pubsub', 'cometd')")
        seal(one)
        assert one.run.stop() == 0
        sealed = sum(f.stat().st_size for f in (tmp_path / "segments").rglob("*") if f.is_file())
        log = bytes_of_log(tmp_path)
    print(f"\n{DAYS} days, {changes:,} changes, {read:,} records read: sealed {sealed:,}, log {log:,} bytes")
    for row, measured in (("journal, sealed", sealed), ("log, embedded", log)):
        a_change, a_record = figures(row)
        said = a_change * changes + a_record * read
        assert abs(measured / said - 1) < WITHIN, (row, measured, said)
        print(f"{row}: the page says {said:,}, measured {measured:,} ({measured / said - 1:+.0%})")
