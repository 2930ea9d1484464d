"""The four archetypes, from the incident to an org that equals its truth as it would be without it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow

RECORDS = int(os.environ.get("CDC_TEST_RUNAWAY", "300"))
"""5,000 in the long form."""
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


def expected_conflicts(one: World, played: dict[str, Any], entity: str, path: str) -> set[str]:
    """Records of which somebody changed the field after the incident's last write of it, and not back to what it was.

    From the org's own list of changes, in the order of their commits.
    """
    wrong, first = set(played["transaction_keys"]), 0
    before: dict[str, str | None] = {}
    now: dict[str, str | None] = {}
    corrected: dict[str, bool] = {}
    for change in one.org.lines("/simulator/truth/changes"):
        if change["entity"] != entity or path not in change["changed"]:
            continue
        record_id, value = change["record_id"], change["changed"][path]
        if change["transaction_key"] in wrong:
            first = first or change["index"]
            before[record_id] = now.get(record_id)
            corrected[record_id] = False
        else:
            corrected[record_id] = record_id in corrected
            now[record_id] = value
    loaded = one.org.lines(f"/simulator/truth/state?entity={entity}&at_index={first - 1}")
    at_first = {r["record_id"]: r["fields"][path] for r in loaded}
    return {
        r
        for r, is_corrected in corrected.items()
        if is_corrected and r in before and now[r] != (before[r] if before[r] is not None else at_first[r])
    }


def test_a_runaway_flow_is_undone_and_what_people_did_meanwhile_is_kept(tmp_path: Path) -> None:
    with world(tmp_path, records=max(1_500, RECORDS * 4)) as one:
        played = one.play("flow_while_editing", records=RECORDS, edits=40, chunk=min(200, RECORDS // 3))
        incident = one.open(users=[played["user_id"]], from_at=played["started_at"], entities=["Opportunity"])
        expected = expected_conflicts(one, played, "Opportunity", "Delivery_Status__c")
        assert len(expected) >= 3  # people did correct some of it
        plan = put_right(one, incident)
        keys = played["transaction_keys"] + one.restore_keys(str(plan["restore_id"]))
        assert one.differences(keys) == []
        conflicts = one.plan_rows(str(plan["restore_id"]), "conflict")
        assert {(r["record_id"], r["field"]) for r in conflicts} == {
            (r, "Delivery_Status__c") for r in expected
        }
        assert one.run.rows("incident", incident_id=incident)[0]["state"] == "verified"
        print(
            f"\n{RECORDS:,} records, {len(played['edit_keys']):,} edits meanwhile: {plan['records']:,} put back, "
            f"{len(expected)} conflicts, each expected; nothing else in the org differs"
        )


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
