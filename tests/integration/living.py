"""A simulated org and `cdc run` as processes of their own, for tests that kill them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from cdc import settings as settings_module
from cdc.errors import CdcError
from cdc.serve.client import ask_running
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings

PATIENCE_S = 120.0


def until(what: str, look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """The first true value of `look`, which may fail until then."""
    deadline = time.monotonic() + patience_s
    trouble: Any = None
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
            trouble = found
        except (OSError, CdcError) as error:
            trouble = error
        time.sleep(0.1)
    raise AssertionError(f"waited {patience_s:.0f} s in vain until {what}: {trouble!r}")


@dataclass(slots=True)
class Org:
    """A running simulator."""

    ready: dict[str, Any]
    process: subprocess.Popen[str]

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        host, _, port = self.ready["http"].split("//")[-1].rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text[:300]}"
        if "ndjson" in answer.headers.get("Content-Type", ""):
            return [json.loads(line) for line in text.splitlines() if line]
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def lines(self, path: str) -> Iterator[Any]:
        yield from self.call("GET", path)

    def pairs(self) -> set[tuple[str, str]]:
        """(event id, record id) of everything published to the default channel."""
        return {(p[0], p[1]) for p in self.get("/simulator/truth/pairs?channel=/data/ChangeEvents")}


@contextlib.contextmanager
def simulated_org(folder: Path, workload: str = "", *arguments: str) -> Iterator[Org]:
    """A simulator on ephemeral ports; `workload` is its TOML."""
    file = folder / "workload.toml"
    file.write_text(workload)
    command = [sys.executable, "-m", "cdc.cli", "simulator", "--listen", "127.0.0.1:0"]
    command += ["--pubsub-listen", "127.0.0.1:0", "--workload", str(file), "--keepalive-s", "0.5"]
    with (folder / "simulator.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--ready-json", *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "simulator.log").read_text()[-2000:]
        yield Org(json.loads(line), process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_settings(
    folder: Path,
    org: Org,
    kafka: str = "",
    extra: str = "",
    *,
    transport: str = "",
    channels: Sequence[str] = (),
    platform_events: Sequence[str] = (),
) -> Settings:
    """A settings file beside its journal, as a person would write it; `kafka` is a broker's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = {"transport": transport, "channels": list(channels), "platform_events": list(platform_events)}
    given = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items() if value)
    (folder / "secret").write_text(org.ready["client_secret"])
    (folder / "cdc.toml").write_text(
        f"""
[org]
alias = "test"
[salesforce]
login_url = "{org.ready["http"]}"
client_id = "{org.ready["client_id"]}"
client_secret_file = "secret"
{given}
pubsub_endpoint = "{org.ready["pubsub"]}"
pubsub_tls = false
[log]
kind = "{"kafka" if kafka else "embedded"}"
[log.kafka]
bootstrap_servers = "{kafka or "localhost:9092"}"
topic_prefix = "test.{os.getpid()}.{port}"
[api]
listen = "127.0.0.1:{port}"
{extra}
"""
    )
    return settings_module.load(folder / "cdc.toml", {})


@dataclass(slots=True)
class Running:
    """`cdc run` (or another verb) under test."""

    settings: Settings
    folder: Path
    verb: str = "run"
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with (self.folder / f"{self.verb}.log").open("a") as log:
            command = [sys.executable, "-m", "cdc.cli", "--config", str(self.folder / "cdc.toml"), self.verb]
            self.process = subprocess.Popen(command, stderr=log, text=True)

    def kill(self) -> None:
        """kill -9: nothing is flushed, nothing is said."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def log_tail(self) -> str:
        return (self.folder / f"{self.verb}.log").read_text()[-3000:]

    def ask(self, name: str, **given: Any) -> dict[str, Any]:
        return ask_running(self.settings, QUESTIONS[name], given)

    def rows(self, name: str, **given: Any) -> list[dict[str, Any]]:
        answer = self.ask(name, **given)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]

    def sql(self, sql: str, limit: int = 10_000) -> list[list[Any]]:
        rows: list[list[Any]] = self.ask("query", sql=sql, limit=limit)["rows"]
        return rows

    def held(self) -> dict[tuple[str, str], int]:
        """(event id, record id) of streamed changes in the journal, with how often each is there."""
        out: dict[tuple[str, str], int] = {}
        last = 0
        while True:
            rows = self.sql(
                "SELECT seq, event_id, record_id FROM changes "
                f"WHERE source IN ('pubsub', 'cometd') AND seq > {last} ORDER BY seq"
            )
            for seq, event_id, record_id in rows:
                out[event_id, record_id] = out.get((event_id, record_id), 0) + 1
                last = seq
            if len(rows) < 10_000:
                return out


@contextlib.contextmanager
def running(settings: Settings, folder: Path, verb: str = "run") -> Iterator[Running]:
    """The verb, started; stopped at the end."""
    part = Running(settings, folder, verb)
    part.start()
    try:
        yield part
    finally:
        part.stop()


def live_and_read(part: Running, entities: int) -> bool:
    """True when every entity has its baseline."""
    return (
        part.sql("SELECT count(DISTINCT entity) FROM baselines WHERE finished_at IS NOT NULL")[0][0]
        >= entities
    )
