"""A recorder that is told to stop answers what it was asked, ends its streams, and ends well."""

from __future__ import annotations

import json
import signal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from cdc.settings import Settings
from tests.integration.living import PATIENCE_S, running, simulated_org, until, write_settings

LONG = "SELECT sum((a.range * b.range) % 7) AS total FROM range(20000) a, range(2000) b"
"""Runs for a good part of a second."""
ENDLESS = "SELECT sum((a.range * b.range) % 7) AS total FROM range(1000000) a, range(1000000) b"
"""Runs for longer than a process that has to end may take."""


def connected(settings: Settings, method: str, path: str, body: object = None) -> HTTPConnection:
    """A connection on which that was asked; its answer is still to be read."""
    host, _, port = settings.api.listen.rpartition(":")
    token = Path(settings.api.token_file).read_text().strip()
    connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    return connection


@pytest.mark.slow
def test_sigterm_lets_what_runs_be_answered(tmp_path: Path) -> None:
    with simulated_org(tmp_path, "records = 50\n") as org:
        settings = write_settings(tmp_path, org)
        with running(settings, tmp_path) as run:
            until("it answers", lambda: run.rows("status"))
            stream = connected(settings, "GET", "/api/v1/alerts/stream")
            events = stream.getresponse()
            assert events.readline().startswith(b": quiet")
            asked = connected(settings, "POST", "/api/v1/query", {"sql": LONG})
            # Its connection stands before this one: that this is answered shows that it is being worked on.
            assert connected(settings, "GET", "/healthz").getresponse().status == 200
            assert run.process is not None
            run.process.send_signal(signal.SIGTERM)
            answer = asked.getresponse()
            told = json.load(answer)
            assert answer.status == 200
            assert told["columns"] == ["total"]
            assert len(told["rows"]) == 1
            events.read()  # to its end
            assert run.process.wait(PATIENCE_S) == 0, run.log_tail()
            with pytest.raises(OSError):
                connected(settings, "GET", "/healthz")


@pytest.mark.slow
def test_what_takes_too_long_is_interrupted_and_told_so(tmp_path: Path) -> None:
    with simulated_org(tmp_path, "records = 50\n") as org:
        settings = write_settings(tmp_path, org)
        with running(settings, tmp_path) as run:
            until("it answers", lambda: run.rows("status"))
            asked = [connected(settings, "POST", "/api/v1/query", {"sql": ENDLESS}) for _ in range(6)]
            assert connected(settings, "GET", "/healthz").getresponse().status == 200
            assert run.process is not None
            run.process.send_signal(signal.SIGTERM)
            for one in asked:  # those that run, and those that wait for their turn
                answer = one.getresponse()
                assert answer.status == 503
                assert "being stopped" in json.load(answer)["detail"]
            assert run.process.wait(PATIENCE_S) == 0, run.log_tail()
