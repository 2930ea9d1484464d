"""Two captures of one org on one log: one of them stops and says why, and nothing is recorded twice."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cdc.troubles import beside
from tests.integration.living import Running, running, simulated_org, until, write_settings


@pytest.mark.parametrize("road", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_the_later_capture_stays_and_the_first_ends_with_a_sentence(
    road: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kafka = request.getfixturevalue("kafka") if road == "kafka" else ""
    with simulated_org(tmp_path, 'knobs = "kind"\nrecords = 300\n') as org:
        settings = write_settings(tmp_path, org, kafka, '[metrics]\nlisten = "127.0.0.1:0"\n')
        with (
            running(settings, tmp_path, "journal") as journal,
            running(settings, tmp_path, "capture") as first,
        ):
            until("the API answers", lambda: journal.rows("status"))
            until(
                "it is live", lambda: journal.sql("SELECT count(*) FROM coverage WHERE status = 'live'")[0][0]
            )
            org.post("/simulator/drip", {"rate": 50, "seconds": 14})
            until("the first records", lambda: journal.sql("SELECT count(*) > 50 FROM changes")[0][0])
            second = Running(settings, tmp_path, "capture")
            second.start()
            try:
                assert first.process is not None
                assert first.process.wait(60) == 1
                said = (tmp_path / "capture.log").read_text()
                assert "another instance" in said, said[-4000:]
                assert json.loads(beside(settings.journal.path).read_text())["kind"] == "Fenced"
                until("the load has ended", lambda: not org.get("/simulator/status")["dripping"], 60)
                expected = org.pairs()
                until("the journal has caught up", lambda: len(journal.held()) >= len(expected))
                held = journal.held()
                assert set(held) == expected
                assert {pair for pair, times in held.items() if times > 1} == set()
            finally:
                second.stop()


def test_the_sentence_of_the_one_that_ended_stands_in_status(tmp_path: Path) -> None:
    with simulated_org(tmp_path, 'knobs = "kind"\nrecords = 100\n') as org:
        settings = write_settings(tmp_path, org, "", '[metrics]\nlisten = "127.0.0.1:0"\n')
        with running(settings, tmp_path, "capture") as first:
            deadline = time.monotonic() + 60
            while "step=fenced" not in first.log_tail() and '"fenced"' not in first.log_tail():
                assert time.monotonic() < deadline, first.log_tail()
                time.sleep(0.1)
            with running(settings, tmp_path, "capture"):
                assert first.process is not None
                # Nothing is written yet, so it is the next record that tells it.
                org.post("/simulator/drip", {"rate": 20, "seconds": 3})
                assert first.process.wait(60) == 1
                with running(settings, tmp_path, "journal") as journal:
                    until("the API answers", lambda: journal.rows("status"))
                    reasons = journal.ask("status")["reasons"]
                    assert any("another instance" in reason for reason in reasons), reasons
