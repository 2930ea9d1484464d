"""kill -9 of `cdc run` again and again under load: nothing lost, nothing twice, ordinals contiguous."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.integration.living import PATIENCE_S, Running, simulated_org, until, write_settings

KILLS = int(os.environ.get("CDC_TEST_KILLS", "20"))
RATE = int(os.environ.get("CDC_TEST_RATE", "300"))
SECONDS_BETWEEN = (0.5, 6.0)
SLOWEST_RATE = 500  # changes a second that even a busy machine catches up with


ROADS = ["embedded", "embedded-cometd", pytest.param("kafka", marks=pytest.mark.kafka)]
if "CDC_TEST_KILLS" in os.environ:  # the long form goes every road
    ROADS.append(pytest.param("kafka-cometd", marks=pytest.mark.kafka))


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_twenty_kills_under_load_lose_nothing_and_double_nothing(
    road: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kafka = request.getfixturevalue("kafka") if road.startswith("kafka") else ""
    draw = random.Random(11)
    with simulated_org(tmp_path, 'knobs = "cruel"\nrecords = 1000\n') as org:
        transport = "cometd" if road.endswith("cometd") else "pubsub"
        recorder = Running(write_settings(tmp_path, org, kafka, transport=transport), tmp_path)
        recorder.start()
        try:
            until("the API answers", lambda: recorder.rows("status"))
            until(
                "the channel is live",
                lambda: recorder.sql("SELECT count(*) FROM coverage WHERE status = 'live'")[0][0],
            )
            seconds = KILLS * sum(SECONDS_BETWEEN) / 2 * 1.1
            org.post("/simulator/drip", {"rate": RATE, "seconds": seconds})
            for _ in range(KILLS):
                time.sleep(draw.uniform(*SECONDS_BETWEEN))
                recorder.kill()
                recorder.start()
            until("the load has ended", lambda: not org.get("/simulator/status")["dripping"], seconds + 60)
            expected = org.pairs()
            assert len(expected) > RATE * 10
            streamed = "SELECT count(*) FROM changes WHERE source IN ('pubsub', 'cometd')"
            until(
                "the journal has caught up",
                lambda: recorder.sql(streamed)[0][0] >= len(expected),
                PATIENCE_S + len(expected) / SLOWEST_RATE,
            )
            held = recorder.held()
            assert set(held) == expected
            assert {pair for pair, times in held.items() if times > 1} == set()
            [[least, greatest, count]] = recorder.sql(
                "SELECT min(seq), max(seq), count(DISTINCT seq) FROM changes WHERE kind <> 'ABSENT'"
            )
            assert (least, greatest) == (1, count), recorder.log_tail()
        finally:
            recorder.stop()
