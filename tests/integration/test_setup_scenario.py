"""A flow's new version goes live and writes into one record after the other: alert, cause, lines, rollback, restore.

`cdc run` as a process, the verbs as a person types them. By default on the embedded log and until some hundred
records are changed; CDC_TEST_SETUP_BURST=3000 lets so many change, CDC_TEST_SETUP_KAFKA=1 takes a broker.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdc.cli.act import act
from tests.integration.living import until
from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

BURST = int(os.environ.get("CDC_TEST_SETUP_BURST", "400"))
FLOW = "Opportunity_Delivery_Sync"
POLL = '\n[poll]\nsetup_interval = "2s"\nmetadata_interval = "1h"\n'


@pytest.fixture
def road(request: pytest.FixtureRequest) -> str:
    """A broker's address, or "" for the embedded log."""
    return str(request.getfixturevalue("kafka")) if os.environ.get("CDC_TEST_SETUP_KAFKA") else ""


def verb(one: World, *words: str) -> str:
    """What a verb prints. It has to end well."""
    command = [sys.executable, "-m", "cdc.cli", "--config", str(one.folder / "cdc.toml"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode} {done.stderr[-2000:]}"
    return done.stdout


def flow_is_read(one: World, words: str, times: int) -> bool:
    """Whether the flow's source, with so many of these words, is in the journal."""
    held = one.run.rows("setup_state", kind="MetadataComponent", about=f"Flow:{FLOW}")
    return bool(held) and held[0]["fields"]["Source"].count(words) == times


def changed(one: World) -> int:
    rows = one.run.sql(
        "SELECT count(DISTINCT record_id) FROM opportunity WHERE \"Delivery_Status__c\" = 'Completed'"
    )
    return int(rows[0][0])


def test_the_cause_of_a_burst_is_found_rolled_back_and_its_data_restored(tmp_path: Path, road: str) -> None:
    with world(tmp_path, records=max(2_500, BURST * 10), days=7, more=POLL, kafka=road) as one:
        asked = {"records": BURST * 3, "chunk": max(40, BURST // 10), "interval_ms": 5_000}
        one.org.post("/simulator/scenario", {"name": "deploy_with_side_effect", "live": True, **asked})
        until("the harmless version is read", lambda: flow_is_read(one, "filterFormula", 2))
        before = one.org.get("/simulator/clock")["now_ms"]
        one.org.post("/simulator/clock", {"advance_ms": 600_000})
        until("the new version is read", lambda: flow_is_read(one, "filterFormula", 0))
        one.org.post("/simulator/clock", {"advance_ms": 90_000})

        def alerted() -> dict[str, Any] | None:
            rows = [
                a
                for a in one.run.rows("alerts", limit=50)
                if any(t["field"] == "Delivery_Status__c" for t in a["targets"])
            ]
            return rows[0] if rows else None

        alert = until("the burst is alerted", alerted)
        assert alert["setup_before"][0].startswith(f"Likely cause: Flow {FLOW}-2 was created by 005")
        assert "it acts on Opportunity and names Delivery_Status__c" in alert["setup_before"][0]
        until("enough records are changed", lambda: changed(one) >= BURST)

        lines = verb(
            one, "setup", "diff", "--from", iso(before), "--about", f"Flow:{FLOW}", "--format", "csv"
        )
        assert "-        <filterFormula>Amount &lt; 0</filterFormula>" in lines
        shown = verb(one, "setup", "rollback", "--at", iso(before), "--component", f"Flow:{FLOW}")
        assert "+        <filterFormula>Amount &lt; 0</filterFormula>" in shown
        assert "the org would take it" in shown
        restore_id, hash_ = re.findall(r"plan (r-\w+):", shown)[0], re.findall(r"hash (\w+)", shown)[0]
        assert "dry run" not in shown
        verb(one, "setup", "rollback", "--apply", restore_id, "--hash", hash_)
        verb(one, "setup", "rollback", "--verify", restore_id)

        def ended() -> dict[str, Any] | None:
            runs = one.org.get("/simulator/scenarios")
            return next((run for run in runs if run["ended_at"] is not None), None)

        run = until("the burst stops", ended)
        assert BURST <= run["records"] < asked["records"]
        one.caught_up()

        incident = act(one.settings, "open_incident", alert_id=alert["alert_id"])["incident_id"]
        act(one.settings, "contain_incident", incident_id=incident)
        plan = one.plan(incident)
        assert one.apply(plan)["state"] == "applied"
        assert one.verify(plan)["good"]
        keys = [*run["transaction_keys"], *one.restore_keys(str(plan["restore_id"]))]
        assert one.differences(keys) == []
        until("the rollback itself is in the log", lambda: one.run.rows("setup", about="DeployRequest"))
        kept = one.run.rows("restores")
        assert {(row["kind"], row["state"]) for row in kept} == {
            ("setup", "verified"),
            ("incident", "verified"),
        }
        print(
            f"\n{run['records']:,} of {asked['records']:,} records changed before the flow was rolled back; "
            f"{plan['records']:,} put back; nothing else in the org differs"
        )


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
