"""Every sink away for ten minutes, and a kill -9 meanwhile: nothing is lost, nothing comes under another id."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cdc.detect.reader import record_of
from cdc.log.embedded import EmbeddedLog
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.roles.notify import notifying
from cdc.roles.process import Life
from cdc.settings import Settings
from connectors.sinks.webhook import signature
from tests.conftest import free_ports
from tests.unit.sinks.test_terminal import ALERT

AWAY_S = 600.0
ALIVE_S = 60.0
SECRET = "made for this test"


class Receiver:
    """A program that takes webhooks and what an Alertmanager is told; `got` is what came, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any, dict[str, str]]] = []

    @contextmanager
    def at(self, port: int) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, body, dict(self.headers)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        server = HTTPServer(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Skipped:
    """Sleeping takes no time; `passed_s` is how long it would have been, `told` is called at each."""

    def __init__(self, told: Any = lambda passed_s: None) -> None:
        self.passed_s = 0.0
        self._told = told

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        self._told(self.passed_s)
        await asyncio.sleep(0)

    def clock(self) -> Clock:
        return Clock(sleep=self.sleep)


def settings(folder: Path, port: int) -> Settings:
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    return Settings.model_validate(
        {
            "org": {"alias": "acme"},
            "salesforce": {
                "login_url": "https://acme.my.salesforce.com",
                "auth": "access_token",
                "org_id": "00D000000000001AAA",
                "instance_url": "https://acme.my.salesforce.com",
                "access_token_file": str(folder / "secret"),
            },
            "alerts": {
                "webhook_url": f"http://127.0.0.1:{port}/hook",
                "webhook_secret_file": str(folder / "secret"),
                "alertmanager_url": f"http://127.0.0.1:{port}",
                "positions": str(folder / "positions"),
            },
        }
    )


def version(alert_id: str, number: int, state: str) -> dict[str, Any]:
    return {**ALERT, "alert_id": alert_id, "version": number, "state": state}


ALERTS = [
    version(f"a{n}", number, state) for n in range(3) for number, state in ((1, "open"), (2, "growing"))
]


async def notify(folder: Path, port: int, clock: Clock, until: Any) -> None:
    log, life = EmbeddedLog("acme", folder / "log.sqlite"), Life()
    async with notifying(settings(folder, port), log, Metrics(), clock, life):
        while not until():
            await asyncio.sleep(0.01)
    log.close()


def killed_when_ten_minutes_had_passed(folder: Path, port: int) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = [False]

            def told(passed_s: float) -> None:
                if passed_s >= 2 * AWAY_S and not said[0]:  # two sinks wait, each its own ten minutes
                    said[0] = True
                    os.write(write, b".")

            asyncio.run(notify(folder, port, Skipped(told).clock(), lambda: False))
        finally:
            os._exit(1)
    os.close(write)
    ready, _, _ = select.select([read], [], [], ALIVE_S)
    came = os.read(read, 1) if ready else b""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    assert came == b"."


def test_all_sinks_down_ten_minutes_and_a_kill_lose_nothing_and_rename_nothing(tmp_path: Path) -> None:
    [port] = free_ports(1)
    log = EmbeddedLog("acme", tmp_path / "log.sqlite")
    log.open("test")
    log.publish([record_of(alert) for alert in ALERTS])
    killed_when_ten_minutes_had_passed(tmp_path, port)
    closed = version("a0", 3, "closed")
    log.publish([record_of(closed)])
    log.close()

    receiver = Receiver()
    newest = {"a0": 3, "a1": 2, "a2": 2}

    def hooks() -> list[str]:
        return [headers["X-Cdc-Delivery"] for path, _, headers in receiver.got if path == "/hook"]

    def told_all() -> bool:
        managed = [a for path, body, _ in receiver.got if path != "/hook" for a in json.loads(body)]
        ids = {a["labels"]["alert_id"] for a in managed}
        return len(hooks()) >= len(newest) and ids == set(newest)

    with receiver.at(port):
        asyncio.run(notify(tmp_path, port, Clock(), told_all))
        first = hooks()
        asyncio.run(notify(tmp_path, port, Clock(), lambda: (tmp_path / "positions.webhook").exists()))
    assert sorted(first) == [f"{alert_id}.{number}" for alert_id, number in newest.items()]
    assert hooks() == first
    for path, body, headers in receiver.got:
        if path == "/hook":
            assert headers["X-Cdc-Signature"] == signature(SECRET, headers["X-Cdc-Timestamp"], body)


def test_a_kill_between_delivery_and_position_sends_the_same_id_again(tmp_path: Path) -> None:
    [port] = free_ports(1)
    log = EmbeddedLog("acme", tmp_path / "log.sqlite")
    log.open("test")
    log.publish([record_of(version("a0", 1, "open"))])
    log.close()
    receiver = Receiver()
    with receiver.at(port):
        for _ in range(2):
            seen = len(receiver.got)
            asyncio.run(notify(tmp_path, port, Clock(), lambda seen=seen: len(receiver.got) >= seen + 2))
            for position in tmp_path.glob("positions.*"):  # as a kill leaves it: told, and not yet noted
                position.unlink()
    sent = [headers["X-Cdc-Delivery"] for path, _, headers in receiver.got if path == "/hook"]
    assert sent == ["a0.1", "a0.1"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
