"""kill -9 of the detector in mid-stream, again and again: the alerts in the log are those of one quiet run."""

from __future__ import annotations

import os
import random
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from cdc.detect.reader import DetectorFollower
from cdc.log.embedded import EmbeddedLog
from cdc.ports.clock import Clock
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint
from schemas import own
from tests.unit.detect.test_follower import columns
from tests.unit.detect.weeks import BEGIN, DAY, FLOW, HOUR, SmallOrg

KILLS = 20
CHANGES_PER_BATCH = 60
BATCHES_PER_CHECKPOINT = 3
ALIVE_S = 60.0


def stream() -> list[ColumnBatch]:
    """A day of a small org with a runaway, a mass delete and a loop in it, as the log would hand it out."""
    org = SmallOrg(3, users=4)
    rows = [row for row in org.weeks(0, 1) if row["committed_at"] < BEGIN + DAY]
    at, some = BEGIN + 12 * HOUR, org.some("Case", 40)
    rows += org.bulk("Contact", org.some("Contact", 900), at, "005X", FLOW, lambda: {"Phone": None})
    rows += org.bulk("Lead", org.some("Lead", 600), at + HOUR, "005Y", FLOW, dict, kind="DELETE")
    for again in range(30):
        rows += org.bulk("Case", some, at + again * 20_000, "005T", FLOW, lambda: {"Name": str(org.made)})
    rows.sort(key=lambda row: int(row["committed_at"]))
    starts = range(0, len(rows), CHANGES_PER_BATCH)
    return [columns(rows[start : start + CHANGES_PER_BATCH], start + 1) for start in starts]


def follow(folder: Path, batches: list[ColumnBatch], taken: Callable[[], None]) -> None:
    """Take what comes after the checkpoint; every reading of this clock is 21 s after the last."""
    seconds = iter(range(0, 10**9, 60 // BATCHES_PER_CHECKPOINT + 1))
    log = EmbeddedLog("acme", folder / "log.sqlite")
    clock = Clock(monotonic_s=lambda: float(next(seconds)))
    follower = DetectorFollower("acme", folder / "detector.state", log.publish, clock=clock)
    for batch in batches:
        if batch.checkpoint.ordinal > follower.checkpoint.ordinal:
            follower.take(batch)
            taken()
    follower.close()
    log.close()


def said(folder: Path) -> list[bytes]:
    log = EmbeddedLog("acme", folder / "log.sqlite")
    found: list[bytes] = []
    batches: Iterator[object] = log.batches(Checkpoint(), topics=frozenset({"alerts"}), idle_s=0.01)
    for batch in batches:
        if not batch.records:  # type: ignore[attr-defined]
            break
        found += [record.value for record in batch.records]  # type: ignore[attr-defined]
    log.close()
    return found


def killed_after(batches_taken: int, folder: Path, batches: list[ColumnBatch]) -> bool:
    """Run the detector in a process of its own and kill it; whether it had come to the end by itself."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            follow(folder, batches, lambda: os.write(write, b".") and None)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    seen = 0
    while seen < batches_taken and select.select([read], [], [], ALIVE_S)[0]:
        dots = os.read(read, 1)
        if not dots:
            break
        seen += 1
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(read)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status)


def test_twenty_kills_in_mid_stream_change_no_alert_and_lose_none(tmp_path: Path) -> None:
    batches, draw = stream(), random.Random(5)
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    for folder in (quiet, killed):
        folder.mkdir()
        opened = EmbeddedLog("acme", folder / "log.sqlite")
        opened.open("test")
        opened.close()
    follow(quiet, batches, lambda: None)
    kills = 0
    while kills < KILLS and not killed_after(draw.randint(1, BATCHES_PER_CHECKPOINT + 2), killed, batches):
        kills += 1
    follow(killed, batches, lambda: None)

    expected = said(quiet)
    assert {own.decode("alert", value)["state"] for value in expected} >= {"open", "growing"}
    assert len({own.decode("alert", value)["alert_id"] for value in expected}) >= 3
    assert kills == KILLS
    assert list(dict.fromkeys(said(killed))) == expected
    assert (killed / "detector.state").read_bytes() == (quiet / "detector.state").read_bytes()
