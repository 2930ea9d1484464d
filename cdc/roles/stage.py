"""A simulated org and a recorder on it, as processes of their own: the stage of the demo and of drills.

What is done there is done as a person would: the org's control API makes things happen, the journal's HTTP API
answers and acts. Nothing goes past the real path.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from cdc import settings as settings_module
from cdc.errors import CdcError, StopProcess
from cdc.serve.actions import ACTIONS
from cdc.serve.client import act_running, ask_running
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings

STEP_TIMEOUT_S = 180.0
LOOK_EVERY_S = 0.25

Say = Callable[[str], None]


@dataclass(slots=True)
class Simulator:
    """Addresses and credentials of the simulated org, and its control API."""

    http: str
    pubsub: str
    client_id: str
    client_secret: str

    def get(self, path: str) -> Any:
        return json.loads(self._send("GET", path))

    def lines(self, path: str) -> Iterator[Any]:
        for line in self._send("GET", path).splitlines():
            if line.strip():
                yield json.loads(line)

    def post(self, path: str, body: Any) -> Any:
        text = self._send("POST", path, json.dumps(body))
        return json.loads(text) if text else {}

    def _send(self, method: str, path: str, body: str | None = None) -> str:
        host, _, port = self.http.removeprefix("http://").rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=STEP_TIMEOUT_S)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise StopProcess(f"the simulator answered {answer.status}: {text[:200]}", where=path)
        return text


@dataclass(slots=True)
class Stage:
    """The org, the recorder's settings, and `say`, which prints one line."""

    folder: Path
    simulator: Simulator
    settings: Settings
    say: Say
    step: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def headline(self, text: str) -> None:
        self.step += 1
        self.say(f"\n{self.step}. {text}")

    def act(self, name: str, **given: Any) -> dict[str, Any]:
        """By the running journal's API, as any verb does; a long action to its end."""
        return act_running(self.settings, ACTIONS[name], given)

    def ask(self, name: str, **parameters: Any) -> dict[str, Any]:
        """By the running journal's API, as any verb does."""
        return ask_running(self.settings, QUESTIONS[name], parameters)

    def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self.ask(name, **parameters)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]

    def sql(self, sql: str) -> list[list[Any]]:
        rows: list[list[Any]] = self.ask("query", sql=sql)["rows"]
        return rows

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """Wait for a fact; it is the fact's first true value. Errors: StopProcess with what was waited for."""
        deadline = time.monotonic() + STEP_TIMEOUT_S
        trouble = ""
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except (OSError, CdcError) as error:
                trouble = str(error)
            time.sleep(LOOK_EVERY_S)
        raise StopProcess(f"waited {STEP_TIMEOUT_S:.0f} s in vain until {what}", where=trouble)

    def ready(self) -> bool:
        return bool(self.rows("status"))

    def baselines(self) -> int:
        entities = {m["entity"] for m in self.simulator.get("/simulator/status")["members"]}
        rows = self.sql(
            "SELECT entity, max(rows) FROM baselines WHERE finished_at IS NOT NULL GROUP BY entity"
        )
        done: dict[str, int] = {row[0]: row[1] for row in rows}
        return sum(done.values()) if entities <= set(done) else 0

    def caught_up(self) -> int:
        """The number of streamed changes, once it is what the org published."""
        return int(self.until("the journal has caught up", self.all_there))

    def all_there(self) -> int:
        published = self.simulator.get("/simulator/status")["pairs_published"]
        held = self.sql("SELECT count(*) FROM changes WHERE source = 'pubsub'")[0][0]
        return int(held) if held >= published else 0


# -- the processes ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def simulator_process(folder: Path, records: int) -> Iterator[Simulator]:
    workload = folder / "workload.toml"
    workload.write_text(f"records = {records}\n")
    command = [
        *_cdc(),
        "simulator",
        *("--listen", "127.0.0.1:0", "--pubsub-listen", "127.0.0.1:0", "--seed", "7"),
        *("--keepalive-s", "1", "--workload", str(workload), "--ready-json"),
    ]
    with _process(command, folder / "simulator.log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise StopProcess("the simulator did not start", where=_tail(folder / "simulator.log"))
        ready = json.loads(line)
        yield Simulator(ready["http"], ready["pubsub"], ready["client_id"], ready["client_secret"])


@contextlib.contextmanager
def recorder_process(folder: Path, settings: Settings) -> Iterator[None]:
    command = [*_cdc(), "--config", str(folder / "cdc.toml"), "run"]
    with _process(command, folder / "run.log") as process:
        deadline = time.monotonic() + 30
        while not Path(settings.api.token_file).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StopProcess("cdc run did not start", where=_tail(folder / "run.log"))
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def _process(command: list[str], log: Path, **more: Any) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        process = subprocess.Popen(command, stderr=errors, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cdc() -> list[str]:
    return [sys.executable, "-m", "cdc.cli"]


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path.exists() else []
    return lines[-1][:500] if lines else ""


def stage_settings(folder: Path, simulator: Simulator, log: str) -> Settings:
    """The demo's settings file, as a person would write it."""
    kafka = log.removeprefix("kafka:") if log.startswith("kafka:") else ""
    secret = folder / "client_secret"
    secret.write_text(simulator.client_secret)
    text = f"""
[org]
alias = "demo"

[salesforce]
login_url = "{simulator.http}"
client_id = "{simulator.client_id}"
client_secret_file = "{secret}"
pubsub_endpoint = "{simulator.pubsub}"
pubsub_tls = false

[restore]
auth = "client_credentials"
client_id = "{simulator.client_id}"
client_secret_file = "{secret}"
folder = "plans"

[poll]
setup_interval = "15s"

[log]
kind = "{"kafka" if kafka else "embedded"}"
[log.kafka]
bootstrap_servers = "{kafka or "localhost:9092"}"
topic_prefix = "demo.{os.getpid()}"

[api]
listen = "127.0.0.1:{_free_port()}"
"""
    (folder / "cdc.toml").write_text(text)
    return settings_module.load(folder / "cdc.toml", {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
