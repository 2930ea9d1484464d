"""A backlog of three days is caught up in one go: the rate holds, and memory has a limit it does not pass.

CDC_TEST_BACKLOG=n events (20,000 unless told); it prints the rate of each quarter, and the greatest memory of each.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import CdcError
from schemas.eventbus.v1 import pubsub_pb2 as pb
from tests.integration.faulty_org import FaultyOrg, Mood, faulty_org
from tests.integration.living import Org, Running, write_settings
from tests.unit.capture.test_records import body

EVENTS = int(os.environ.get("CDC_TEST_BACKLOG", "20000"))
RECORDS = 200_000
BEGAN_MS = 1_795_000_000_000
THREE_DAYS_MS = 72 * 3_600_000
SLOWEST_RATE = 100  # events a second that even a busy machine records
JOURNAL_MEMORY = "256MB"
GROWTH_BYTES_MAX = 300 * 1024 * 1024
"""From the middle to the end: the journal's own memory and the memory of repeats reach their limits meanwhile."""


@dataclass(frozen=True)
class Events:
    """The bus as a sequence, each event made when it is asked for: a server that holds millions would be the measure."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(self.count))]
        at_ms = BEGAN_MS + place * THREE_DAYS_MS // self.count
        record_id = f"500{place * 7919 % RECORDS:012d}AAA"
        return (
            (place + 1).to_bytes(10, "big"),
            f"e{place}",
            body(record_id, committed_at=at_ms, subject=f"s{place}"),
        )


class Backlog(FaultyOrg):
    """Behaves; answers hold as many events as it is asked for."""

    def _begin(self, first: Any) -> int:
        return int.from_bytes(first.replay_id, "big") if first.replay_preset == pb.CUSTOM else 0


def resident_bytes(part: Running) -> int:
    assert part.process is not None
    status = Path(f"/proc/{part.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def held(part: Running) -> int:
    try:
        return int(part.sql("SELECT coalesce(max(seq), 0) FROM changes")[0][0])
    except (OSError, CdcError):
        return 0


@pytest.mark.slow
async def test_a_backlog_is_caught_up_at_a_steady_rate_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = Backlog(well=Mood("well", batch=100))
    org.bus = Events(EVENTS)  # type: ignore[assignment]
    for key, value in (("SALESFORCE__START", "earliest"), ("SALESFORCE__BASELINE", "off")):
        monkeypatch.setenv(f"CDC__{key}", value)
    monkeypatch.setenv("CDC__JOURNAL__MEMORY_LIMIT", JOURNAL_MEMORY)
    async with faulty_org(org):
        login = {"http": org.url, "pubsub": org.endpoint, "client_id": "client", "client_secret": "secret"}
        part = Running(write_settings(tmp_path, Org(login, None)), tmp_path)  # type: ignore[arg-type]
        part.start()
        try:
            samples = await watched(part, time.monotonic() + 120 + EVENTS / SLOWEST_RATE)
            counts = "SELECT count(*), count(DISTINCT event_id), min(seq), max(seq) FROM changes"
            assert await asyncio.to_thread(part.sql, counts) == [[EVENTS, EVENTS, 1, EVENTS]]
        finally:
            await asyncio.to_thread(part.stop)
    quarters = [[s for s in samples if lo < s[1] <= hi] for lo, hi in _quarters()]
    print(*(said(quarter) for quarter in quarters if len(quarter) > 1), sep="\n")
    middle = max(memory for _, count, memory in samples if count <= EVENTS / 2)
    assert max(memory for *_, memory in samples) - middle < GROWTH_BYTES_MAX


async def watched(part: Running, until_s: float) -> list[tuple[float, int, int]]:
    """(time, events held, resident bytes), until all are held."""
    samples: list[tuple[float, int, int]] = []
    while not samples or samples[-1][1] < EVENTS:
        assert time.monotonic() < until_s, part.log_tail()
        await asyncio.sleep(0.5)
        count = await asyncio.to_thread(held, part)
        samples.append((time.monotonic(), count, resident_bytes(part)))
    return samples


def _quarters() -> list[tuple[int, int]]:
    return [(EVENTS * n // 4, EVENTS * (n + 1) // 4) for n in range(4)]


def said(samples: list[tuple[float, int, int]]) -> str:
    (began_s, first, _), (ended_s, last, _) = samples[0], samples[-1]
    most = max(memory for *_, memory in samples)
    return f"{last:>10,} events held: {(last - first) / (ended_s - began_s):8,.0f}/s, {most / 2**20:6,.0f} MB at most"
