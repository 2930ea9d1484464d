"""A restore alerts nobody, whatever the org makes of the client's name; a stranger under our name does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.living import until
from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

RECORDS = 700


def alerts_of(one: World, user_id: str) -> list[str]:
    """Titles of what was alerted of a user."""
    rows = one.run.rows("alerts", limit=1000)
    return [a["title"] for a in rows if any(actor["user_id"] == user_id for actor in a["actors"])]


@pytest.mark.parametrize("echo", ["on", "off", "SomebodyElse"])
def test_a_restore_alerts_nobody_and_a_stranger_under_our_name_does(tmp_path: Path, echo: str) -> None:
    with world(tmp_path, records=3_000, days=8) as one:
        one.org.post("/simulator/knobs", {"client_echo": echo})
        played = one.play("runaway_flow", records=RECORDS, chunk=100)
        until("the runaway is alerted", lambda: alerts_of(one, played["user_id"]))
        plan = one.plan(one.open(users=[played["user_id"]], from_at=played["started_at"]))
        assert plan["records"] > 400
        assert one.apply(plan)["state"] == "applied"
        assert one.verify(plan)["own_changes"] == plan["records"]
        one.org.post("/simulator/clock", {"advance_ms": 20 * 60_000})
        assert alerts_of(one, plan["user_id"]) == []

        one.org.post("/simulator/knobs", {"client_echo": "on"})
        stranger = one.play(
            "runaway_flow",
            records=RECORDS,
            chunk=100,
            user="marketing",
            client=f"sf-cdc-restore/{plan['restore_id']}",
        )
        until("the stranger is alerted", lambda: alerts_of(one, stranger["user_id"]))
