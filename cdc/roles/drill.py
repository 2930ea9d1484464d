"""`cdc drill`: a rehearsal, timed. On a simulated org of its own, or on the org of the settings if it is a sandbox.

On the simulated org the whole road is walked: baseline, an ordinary day, a flow that runs away while people go
on editing, the alert, plan, apply, verify; and the org is compared with what it would be had it never happened.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cdc.errors import CdcError, DifferenceFound
from cdc.recover.drill import Drill, new_drill_id
from cdc.roles.put_right import as_if_never, put_right
from cdc.roles.stage import Stage, recorder_process, simulator_process, stage_settings

ORG_RECORDS = 3_000
RUNAWAY_RECORDS = 1_000
DAYS = 7
"""Ordinary days before the incident, so that the detector knows the org a little."""

Say = Callable[[str], None]


def simulated_drill(say: Say) -> Drill:
    """One drill on a simulated org. What goes wrong is its `problem`; what cannot even begin is raised."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-drill-"))
    try:
        with contextlib.ExitStack() as parts:
            simulator = parts.enter_context(simulator_process(folder, ORG_RECORDS))
            stage = Stage(folder, simulator, stage_settings(folder, simulator, "embedded"), say)
            parts.enter_context(recorder_process(folder, stage.settings))
            drill = Drill(new_drill_id(), "simulated", int(time.time() * 1000))
            try:
                _rehearse(stage, drill)
            except CdcError as error:
                drill.problem = error.sentence()
            return drill
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rehearse(stage: Stage, drill: Drill) -> None:
    stage.headline("the recorder reads a simulated org, and an ordinary week passes")
    stage.until("the API answers", stage.ready)
    stage.until("every entity has a baseline", stage.baselines)
    stage.simulator.post("/simulator/play", {"days": DAYS})
    stage.caught_up()
    drill.rpo_ms = _recovery_point_ms(stage)
    stage.headline("a flow runs away while people go on editing")
    before = {row["alert_id"] for row in stage.rows("alerts", limit=1000)}
    run = stage.simulator.post(
        "/simulator/scenario",
        {"name": "flow_while_editing", "records": RUNAWAY_RECORDS, "edits": 4, "interval_ms": 400},
    )
    alert = stage.until("the detector says something", lambda: _alert(stage, before, run["user_id"]))
    detected_s = time.monotonic()
    stage.say(f"   {alert['severity']}: {alert['title']}")
    stage.until("the flow has ended", lambda: not stage.simulator.get("/simulator/status")["running"])
    stage.caught_up()
    decided_s = time.monotonic()
    verdict = put_right(stage, alert["alert_id"])
    ended_s = time.monotonic()
    drill.rto_from_detection_ms = round((ended_s - detected_s) * 1000)
    drill.rto_from_decision_ms = round((ended_s - decided_s) * 1000)
    _compare(stage, drill, run, verdict)


def _alert(stage: Stage, before: set[str], user_id: str) -> dict[str, Any] | None:
    new = [
        a
        for a in stage.rows("alerts", limit=1000)
        if a["alert_id"] not in before and any(actor["user_id"] == user_id for actor in a["actors"])
    ]
    return new[0] if new else None


def _recovery_point_ms(stage: Stage) -> int:
    """The longest of three: from the commit of a change until the journal holds it."""
    record = next(iter(stage.simulator.lines("/simulator/truth/state?entity=Account")))["record_id"]
    longest = 0.0
    for number in range(3):
        began_s = time.monotonic()
        change = {
            "entity": "Account",
            "op": "UPDATE",
            "record_id": record,
            "values": {"Site": f"marked {number}"},
        }
        done = stage.simulator.post("/simulator/commit", {"changes": [change]})
        sql = f"SELECT count(*) FROM changes WHERE transaction_key = '{done['transaction_key']}'"
        stage.until("the marked change is recorded", partial(_is_held, stage, sql))
        longest = max(longest, time.monotonic() - began_s)
    return round(longest * 1000)


def _is_held(stage: Stage, sql: str) -> bool:
    return bool(stage.sql(sql)[0][0])


def _compare(stage: Stage, drill: Drill, run: dict[str, Any], verdict: dict[str, Any]) -> None:
    """Errors: DifferenceFound where a record is not as it would be without the incident."""
    keys = {
        c["transaction_key"]
        for c in stage.simulator.lines("/simulator/truth/changes")
        if c["user_id"] == run["user_id"]
        and c["happened_at"] >= run["started_at"]
        and c["changed"].get("Delivery_Status__c") == "Completed"
    }
    drill.equal, differences = as_if_never(stage, "Opportunity", keys, verdict["restore_id"])
    wrong = {d.split(".")[0].split(" is ")[0] for d in differences}
    drill.records = drill.equal + len(wrong)
    if differences:
        raise DifferenceFound(
            f"{len(wrong)} records are not as they would be without the incident: {differences[0]}"
        )
