"""The broker is away for a while under load: lag grows, memory does not, and then everything is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.integration.living import running, simulated_org, until, write_settings

AWAY_S = float(os.environ.get("CDC_TEST_BROKER_AWAY_S", "20"))
RATE = int(os.environ.get("CDC_TEST_RATE", "300"))
GROWTH_MAX = 1.5  # memory while the broker is away, against before: queues are bounded, heaps breathe


@pytest.mark.slow
def test_a_broker_that_is_away_under_load_costs_lag_and_not_memory(broker: Broker, tmp_path: Path) -> None:
    with simulated_org(tmp_path, 'knobs = "kind"\nrecords = 1000\n') as org:
        settings = write_settings(tmp_path, org, broker.address, '[metrics]\nlisten = "127.0.0.1:0"\n')
        with running(settings, tmp_path) as recorder:
            until("the API answers", lambda: recorder.rows("status"))
            until(
                "it is live",
                lambda: recorder.sql("SELECT count(*) FROM coverage WHERE status = 'live'")[0][0],
            )
            org.post("/simulator/drip", {"rate": RATE, "seconds": AWAY_S + 15})
            until("records", lambda: recorder.sql(f"SELECT count(*) > {RATE * 4} FROM changes")[0][0])
            assert recorder.process is not None
            before = resident_mb(recorder.process.pid)
            broker.down()
            most, began = before, time.monotonic()
            while time.monotonic() - began < AWAY_S:
                time.sleep(0.5)
                most = max(most, resident_mb(recorder.process.pid))
            held_while_away = recorder.sql("SELECT count(*) FROM changes WHERE source = 'pubsub'")[0][0]
            published_meanwhile = len(org.pairs())
            broker.up()
            until("the load has ended", lambda: not org.get("/simulator/status")["dripping"], AWAY_S + 60)
            expected = org.pairs()
            until("the journal has caught up", lambda: len(recorder.held()) >= len(expected), 180)
            held = recorder.held()
            assert set(held) == expected
            assert {pair for pair, times in held.items() if times > 1} == set()
            assert published_meanwhile > held_while_away + RATE * AWAY_S / 3, "there was no lag to speak of"
            assert most < before * GROWTH_MAX, f"{before:.0f} MB grew to {most:.0f} MB"
            print(f"broker away {AWAY_S:.0f} s at {RATE}/s: {before:.0f} MB before, {most:.0f} MB at most")


def resident_mb(pid: int) -> float:
    """What the process holds in memory, from the system."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")
