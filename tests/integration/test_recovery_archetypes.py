"""The four archetypes, from the incident to an org that equals its truth as it would be without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("CDC_TEST_CASES", "120"))
"""1,000 in the long form."""


def put_right(one: World, incident_id: str) -> dict[str, object]:
    """Plan, apply, verify; the plan."""
    plan = one.plan(incident_id)
    done = one.apply(plan)
    assert done["state"] == "applied", done
    verdict = one.verify(plan)
    assert verdict["good"], verdict["differs"][:5]
    assert verdict["streamed"]
    assert not verdict["slipped"]
    assert not verdict["strangers"]
    return plan


def test_a_runaway_flow_is_undone_and_what_people_did_meanwhile_is_kept(tmp_path: Path) -> None:
    with world(tmp_path) as one:
        played = one.play("flow_while_editing", records=300, edits=6, chunk=100)
        incident = one.open(users=[played["user_id"]], from_at=played["started_at"], entities=["Opportunity"])
        plan = put_right(one, incident)
        keys = played["transaction_keys"] + one.restore_keys(str(plan["restore_id"]))
        assert one.differences(keys) == []
        corrected = {r["record_id"] for r in one.plan_rows(str(plan["restore_id"]), "conflict")}
        theirs = {
            c["record_id"]
            for c in one.org.lines("/simulator/truth/changes")
            if c["transaction_key"] in played["edit_keys"]
            and c["changed"].get("Delivery_Status__c", "Completed") != "Completed"
        }
        assert corrected <= theirs
        assert one.run.rows("incident", incident_id=incident)[0]["state"] == "verified"


def test_a_companion_field_reset_by_every_save_is_put_back_and_the_saves_stay(tmp_path: Path) -> None:
    with world(tmp_path) as one:
        played = one.play("deployment", saves=120)
        one.org.post("/simulator/automation", {"name": played["automations"][0], "active": False})
        incident = one.open(
            touching=["NextStep"],
            values=[None],
            entities=["Opportunity"],
            from_at=played["started_at"],
            fields=["NextStep"],
        )
        plan = put_right(one, incident)
        keys = played["transaction_keys"] + one.restore_keys(str(plan["restore_id"]))
        assert one.differences(keys, fields=["Opportunity.NextStep"]) == []


def test_records_deleted_by_a_user_with_too_much_access_come_back(tmp_path: Path) -> None:
    with world(tmp_path, records=max(1_500, CASES * 9)) as one:
        one.org.post("/simulator/automation", {"standard": True})
        before = one.org.get("/simulator/effects")
        played = one.play("access_mistake", records=CASES)
        incident = one.open(users=[played["user_id"]], kinds=["DELETE"], from_at=played["started_at"])
        plan = put_right(one, incident)
        keys = played["transaction_keys"] + one.restore_keys(str(plan["restore_id"]))
        assert one.differences(keys) == []
        assert (
            one.org.get("/simulator/effects") == before
        )  # nobody was mailed, nothing given to another owner


def test_a_cascade_over_three_entities_is_undone_in_all_of_them(tmp_path: Path) -> None:
    with world(tmp_path) as one:
        played = one.play("cascade", records=120)
        one.org.post("/simulator/automation", {"name": played["automations"][0], "active": False})
        incident = one.open(users=[played["user_id"]], from_at=played["started_at"])
        plan = put_right(one, incident)
        assert {c["entity"] for c in plan["counts"]} >= {"Account", "Contact", "Opportunity"}  # type: ignore[attr-defined]
        keys = played["transaction_keys"] + one.restore_keys(str(plan["restore_id"]))
        assert one.differences(keys) == []
