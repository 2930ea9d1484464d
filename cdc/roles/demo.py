"""`cdc demo`: the whole thread on a simulated org, through the real path only.

A simulator process and a `cdc run` process are started; the demo then does what a person would: it makes
things happen in the org by the simulator's control API, and asks by the journal's HTTP API. The last step
compares the journal with what the simulator knows to be true, change by change and record by record.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from cdc import settings as settings_module
from cdc.errors import CdcError, DifferenceFound, StopProcess
from cdc.roles.compare import Comparison, compare
from cdc.serve.client import ask_running
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings

STEP_TIMEOUT_S = 180.0
LOOK_EVERY_S = 0.25
RUNAWAY_RECORDS = 3_000
RUNAWAY_CHUNK = 200
ORG_RECORDS = 6_000

Say = Callable[[str], None]


def run_demo(*, log: str, broker: str, keep: bool, days: int, say: Say) -> None:
    """Run it all. Errors: DifferenceFound when journal and org differ; StopProcess when a part does not come up."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-demo-"))
    started = time.monotonic()
    try:
        with contextlib.ExitStack() as parts:
            simulator = parts.enter_context(_simulator(folder))
            settings = _settings(folder, simulator, log)
            demo = Demo(folder, simulator, settings, say)
            demo.open(log, broker)
            parts.enter_context(_recorder(folder, settings))
            alert = demo.story(days)
            comparison = demo.proof()
            demo.summary(alert, comparison, time.monotonic() - started)
            if keep:
                demo.keep()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
class Demo:
    """The story, step by step; `say` prints one line."""

    folder: Path
    simulator: Simulator
    settings: Settings
    say: Say
    step: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def open(self, log: str, broker: str) -> None:
        road = f"{broker} at {log.removeprefix('kafka:')}" if log != "embedded" else "embedded log (SQLite)"
        self.say(f"log: {road}")
        self.say(f"org: simulated, REST at {self.simulator.http}, Pub/Sub at {self.simulator.pubsub}")

    def story(self, days: int) -> dict[str, Any]:
        self._headline("the recorder starts, and reads the whole org once (baseline)")
        self._until("the API answers", self._ready)
        records = self._until("every entity has a baseline", self._baselines)
        self.say(f"   records in the baseline: {records:,}")
        if days:
            self._headline(f"{days} ordinary days pass in the org")
            played = self.simulator.post("/simulator/play", {"days": days})
            self.facts["played"] = played
            events = self._caught_up()
            self.say(f"   events captured: {events:,}")
        self._headline("a flow runs away")
        before = {row["alert_id"] for row in self._rows("alerts", limit=1000)}
        scenario = self.simulator.post(
            "/simulator/scenario",
            {
                "name": "runaway_flow",
                "entity": "Opportunity",
                "field": "StageName",
                "value": "Closed Lost",
                "records": RUNAWAY_RECORDS,
                "chunk": RUNAWAY_CHUNK,
            },
        )
        self.facts["scenario"] = scenario
        alert: dict[str, Any] = self._until("the detector pages", lambda: self._page(before))
        self._show(alert)
        self._caught_up()
        self._one_record(alert)
        return alert

    def proof(self) -> Comparison:
        self._headline("the proof: the journal against what the org knows to be true")
        self._until("the stream has passed the last full read", self._settled)
        comparison = compare(self.simulator, self.ask)
        self.say(
            f"   journal equals org: {comparison.records_equal:,} of {comparison.records:,} records, "
            f"{comparison.changes_equal:,} of {comparison.changes:,} changes"
        )
        for difference in comparison.differences[:10]:
            self.say(f"   differs: {difference}")
        if comparison.differences:
            raise DifferenceFound(
                f"{len(comparison.differences)} differences between journal and org", do="see the lines above"
            )
        return comparison

    def summary(self, alert: dict[str, Any], comparison: Comparison, seconds: float) -> None:
        self.say("")
        self.say("summary")
        self.say(
            f"  changes recorded      {comparison.changes:,}, none lost, none twice, ordinals contiguous"
        )
        self.say(f"  runaway seen after    {alert['records']:,} of {RUNAWAY_RECORDS:,} records")
        self.say(
            f"  state before it       answered for {alert['targets'][0]['entity']} by `cdc state --before`"
        )
        self.say(f"  took                  {seconds:.0f} s")

    def keep(self) -> None:
        self.say(
            f"running: API at http://{self.settings.api.listen}, settings {self.folder / 'cdc.toml'}; Ctrl-C ends it"
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()

    # -- asking -----------------------------------------------------------------------------------------

    def ask(self, name: str, **parameters: Any) -> dict[str, Any]:
        """By the running journal's API, as any verb does."""
        return ask_running(self.settings, QUESTIONS[name], parameters)

    def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self.ask(name, **parameters)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]

    def _sql(self, sql: str) -> list[list[Any]]:
        rows: list[list[Any]] = self.ask("query", sql=sql)["rows"]
        return rows

    def _until(self, what: str, look: Callable[[], Any]) -> Any:
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

    def _ready(self) -> bool:
        return bool(self._rows("status"))

    def _baselines(self) -> int:
        entities = {m["entity"] for m in self.simulator.get("/simulator/status")["members"]}
        rows = self._sql(
            "SELECT entity, max(rows) FROM baselines WHERE finished_at IS NOT NULL GROUP BY entity"
        )
        done: dict[str, int] = {row[0]: row[1] for row in rows}
        return sum(done.values()) if entities <= set(done) else 0

    def _caught_up(self) -> int:
        """The number of streamed changes, once it is what the org published."""
        return int(self._until("the journal has caught up", self._all_there))

    def _all_there(self) -> int:
        published = self.simulator.get("/simulator/status")["pairs_published"]
        held = self._sql("SELECT count(*) FROM changes WHERE source = 'pubsub'")[0][0]
        return int(held) if held >= published else 0

    def _page(self, before: set[str]) -> dict[str, Any] | None:
        pages = [
            a
            for a in self._rows("alerts", limit=1000)
            if a["severity"] == "page" and a["alert_id"] not in before
        ]
        return pages[0] if pages else None

    def _settled(self) -> bool:
        """True when every full state counts: the stream has passed the last reading."""
        answer = self.ask("state", entity="Account", limit=1)
        return bool(answer["complete"]) or not any("settled" in reason for reason in answer["reasons"])

    # -- showing ----------------------------------------------------------------------------------------

    def _headline(self, text: str) -> None:
        self.step += 1
        self.say(f"\n{self.step}. {text}")

    def _show(self, alert: dict[str, Any]) -> None:
        actor, target = alert["actors"][0], alert["targets"][0]
        values = ", ".join(f"{v['value']!r} {v['share']:.0%}" for v in target["top_values"][:3])
        self.say(f"   alert {alert['alert_id']} ({alert['severity']}, {alert['state']}): {alert['title']}")
        self.say(
            f"   who: {actor['user_id']} through {actor['origin'] or 'no API (automation)'} {actor['client']}".rstrip()
        )
        self.say(f"   what: {target['entity']}.{target['field']} to {values}")
        self.say(f"   when raised: {alert['records']:,} records had changed, {alert['changes']:,} changes")
        for line in alert["evidence"]:
            self.say(f"   evidence {line['channel']}: {line['sentence']}")
        self.say(f"   usual: {alert['usual']}")

    def _one_record(self, alert: dict[str, Any]) -> None:
        """One record of the alert just before it was touched, and now."""
        sample, target = alert["samples"][0], alert["targets"][0]
        entity, field_name = target["entity"], target["field"]
        [[seq, transaction]] = self._sql(
            "SELECT seq, transaction_key FROM changes WHERE record_id = "
            f"'{sample['record_id']}' AND list_contains(changed_fields, '{field_name}') "
            f"AND committed_at >= TIMESTAMP '{alert['first_change_at'].rstrip('Z')}' ORDER BY seq LIMIT 1"
        )
        then = self._field(entity, sample["record_id"], field_name, before=str(seq))
        now = self._field(entity, sample["record_id"], field_name)
        self.say(
            f"   record {sample['record_id']}: {field_name} was {then!r} before transaction {transaction}, is {now!r}"
        )

    def _field(self, entity: str, record_id: str, name: str, **when: Any) -> Any:
        for row in self._rows("record", entity=entity, record_id=record_id, **when):
            if row["field"] == name:
                return row["value"] if row.get("known", True) else "unknown"
        return "unknown"


# -- the processes ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[Simulator]:
    workload = folder / "workload.toml"
    workload.write_text(f"records = {ORG_RECORDS}\n")
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
def _recorder(folder: Path, settings: Settings) -> Iterator[None]:
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


def _settings(folder: Path, simulator: Simulator, log: str) -> Settings:
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
