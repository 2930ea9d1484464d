"""`cdc demo`: the whole thread on a simulated org, through the real path only.

A simulator process and a `cdc run` process are started; the demo then does what a person would, from the first
full read to a runaway flow, its alert, and the data put right. The last step compares the journal with what the
simulator knows to be true, change by change and record by record.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.errors import DifferenceFound
from cdc.roles.compare import Comparison, compare
from cdc.roles.put_right import as_if_never, put_right
from cdc.roles.stage import Say, Stage, recorder_process, simulator_process, stage_settings

RUNAWAY_RECORDS = 3_000
RUNAWAY_CHUNK = 200
RUNAWAY_INTERVAL_MS = 500
ORG_RECORDS = 6_000
SECOND_FLOW: dict[str, Any] = {
    "add": "trigger",
    "name": "Account_Industry_Cleanup",
    "entity": "Account",
    "on": ["CREATE"],
    "kind": "flow",
    "effects": [{"to": "self", "set": {"Industry": None}}],
}
SECOND_RUNAWAY: dict[str, Any] = {
    "name": "runaway_flow",
    "entity": "Account",
    "field": "Industry",
    "value": None,
    "user": "sales",
    "records": RUNAWAY_RECORDS,
    "chunk": RUNAWAY_CHUNK,
    "interval_ms": RUNAWAY_INTERVAL_MS,
}


def run_demo(*, log: str, broker: str, keep: bool, days: int, say: Say) -> None:
    """Run it all. Errors: DifferenceFound when journal and org differ; StopProcess when a part does not come up."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-demo-"))
    started = time.monotonic()
    # A demo that is asked to end takes what it started with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with contextlib.ExitStack() as parts:
            simulator = parts.enter_context(simulator_process(folder, ORG_RECORDS))
            settings = stage_settings(folder, simulator, log)
            demo = Demo(folder, simulator, settings, say)
            demo.open(log, broker)
            parts.enter_context(recorder_process(folder, settings))
            alert = demo.story(days)
            verdict = demo.put_right(alert)
            comparison = demo.proof()
            demo.report()
            demo.summary(alert, verdict, comparison, time.monotonic() - started)
            if keep:
                demo.keep()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Demo(Stage):
    """The story, step by step."""

    def open(self, log: str, broker: str) -> None:
        road = f"{broker} at {log.removeprefix('kafka:')}" if log != "embedded" else "embedded log (SQLite)"
        self.say(f"log: {road}")
        self.say(f"org: simulated, REST at {self.simulator.http}, Pub/Sub at {self.simulator.pubsub}")

    def story(self, days: int) -> dict[str, Any]:
        self.headline("the recorder starts, and reads the whole org once (baseline)")
        self.until("the API answers", self.ready)
        records = self.until("every entity has a baseline", self.baselines)
        self.say(f"   records in the baseline: {records:,}")
        if days:
            self.headline(f"{days} ordinary days pass in the org")
            played = self.simulator.post("/simulator/play", {"days": days})
            self.facts["played"] = played
            events = self.caught_up()
            self.say(f"   events captured: {events:,}")
        self.headline("a flow runs away")
        before = {row["alert_id"] for row in self.rows("alerts", limit=1000)}
        scenario = self.simulator.post(
            "/simulator/scenario",
            {
                "name": "runaway_flow",
                "entity": "Opportunity",
                "field": "StageName",
                "value": "Closed Lost",
                "records": RUNAWAY_RECORDS,
                "chunk": RUNAWAY_CHUNK,
                "interval_ms": RUNAWAY_INTERVAL_MS,
            },
        )
        self.facts["scenario"] = scenario
        alert: dict[str, Any] = self.until("the detector pages", lambda: self._page(before))
        self._show(alert)
        self.caught_up()
        self._one_record(alert)
        return alert

    def put_right(self, alert: dict[str, Any]) -> dict[str, Any]:
        """The restore, and what the org would be had the flow never run."""
        self.until("the flow has ended", self._nothing_runs)
        self.caught_up()
        run = self.facts["scenario"]
        verdict = put_right(self, alert["alert_id"])
        keys = {
            c["transaction_key"]
            for c in self.simulator.lines("/simulator/truth/changes")
            if c["user_id"] == run["user_id"]
            and c["happened_at"] >= run["started_at"]
            and c["changed"].get("StageName") == "Closed Lost"
        }
        equal, differences = as_if_never(self, "Opportunity", keys, verdict["restore_id"])
        self.say(f"   as if it had never happened: {equal:,} opportunities")
        if differences:
            raise DifferenceFound(
                f"{len(differences)} differences from an org in which the flow never ran: {differences[0]}"
            )
        return {**verdict, "as_if_never": equal}

    def _nothing_runs(self) -> bool:
        return not self.simulator.get("/simulator/status")["running"]

    def proof(self) -> Comparison:
        self.headline("the proof: the journal against what the org knows to be true")
        self.until("the stream has passed the last full read", self._settled)
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

    def report(self) -> None:
        self.headline("the report")
        for question in self.rows("report", owner="the demo's responder"):
            self.say(f"   {question['question']}")
            self.say(f"      {question['answer']}")

    def summary(
        self, alert: dict[str, Any], verdict: dict[str, Any], comparison: Comparison, seconds: float
    ) -> None:
        self.say("")
        self.say("summary")
        self.say(
            f"  changes recorded      {comparison.changes:,}, none lost, none twice, ordinals contiguous"
        )
        self.say(f"  runaway seen after    {alert['records']:,} of {RUNAWAY_RECORDS:,} records")
        self.say(
            f"  state before it       answered for {alert['targets'][0]['entity']} by `cdc state --before`"
        )
        self.say(
            f"  put right             {verdict['equal']:,} of {verdict['fields']:,} fields as planned; "
            f"{verdict['as_if_never']:,} opportunities as if it had never happened"
        )
        self.say(f"  took                  {seconds:.0f} s")

    def keep(self) -> None:
        """A second burst, left as it is for whoever looks, and where to look."""
        before = {row["alert_id"] for row in self.rows("alerts", limit=1000)}
        self.headline("another flow runs away, and is left for you to undo")
        self.simulator.post("/simulator/automation", SECOND_FLOW)
        self.until("the flow is in the set-up's log", self._second_flow_is_read)
        # Another user than the first one's: what one actor does in one go is one alert.
        self.simulator.post("/simulator/scenario", SECOND_RUNAWAY)
        alert: dict[str, Any] = self.until("the detector pages", lambda: self._page(before))
        self.say(f"   {alert['title']}")
        token = Path(self.settings.api.token_file).read_text(encoding="utf-8").strip()
        self.say("")
        self.say(f"console: http://{self.settings.api.listen}/#token={token}")
        self.say(f"running: settings {self.folder / 'cdc.toml'}; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()

    def _second_flow_is_read(self) -> bool:
        return bool(self.rows("setup", about=str(SECOND_FLOW["name"]), limit=1))

    def _page(self, before: set[str]) -> dict[str, Any] | None:
        pages = [
            a
            for a in self.rows("alerts", limit=1000)
            if a["severity"] == "page" and a["alert_id"] not in before
        ]
        return pages[0] if pages else None

    def _settled(self) -> bool:
        """True when every full state counts: the stream has passed the last reading."""
        answer = self.ask("state", entity="Account", limit=1)
        return bool(answer["complete"]) or not any("settled" in reason for reason in answer["reasons"])

    # -- showing ----------------------------------------------------------------------------------------

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
        [[seq, transaction]] = self.sql(
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
        for row in self.rows("record", entity=entity, record_id=record_id, **when):
            if row["field"] == name:
                return row["value"] if row.get("known", True) else "unknown"
        return "unknown"
