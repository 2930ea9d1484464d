"""Incidents that begin in set-up: a flow version that goes live, and rights that grow."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.population import UI_CLIENT, UI_ORIGIN
from connectors.simulator.scenario import Scenario, ScenarioRun, find_user

HARMLESS = "Amount < 0"


def _deploy_with_side_effect(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """A flow's second version goes live; its scheduled path saves one record after the other, and the version writes
    into each. It goes on for as long as that version is the active one."""
    wanted = run.parameters
    name, entity = str(wanted["flow"]), org.entity(str(wanted["entity"]))
    path = str(wanted["field"])
    if path not in entity.leaves:
        raise ValueError(f"{entity.name} has no field {path}")
    flow = {"name": name, "entity": entity.name, "on": ["UPDATE"], "kind": "flow"}
    effects = [{"to": "self", "set": {path: wanted["value"]}}]
    with org.setup.acting(run.user_id):
        org.automation.add("trigger", {**flow, "effects": effects, "condition": HARMLESS})
    run.automations.append(name)
    yield int(wanted["between_ms"])
    with org.setup.acting(run.user_id):
        org.automation.add("trigger", {**flow, "effects": effects})
    version = org.setup.versions[name][-1][0]["VersionNumber"]
    yield int(wanted["after_ms"])
    record_ids = entity.records.live_ids()
    Random(f"deploy-{org.seed}").shuffle(record_ids)  # noqa: S311 - a seed is the point
    record_ids = record_ids[: int(wanted["records"])]
    writer, chunk = find_user(org, str(wanted["writer"])), int(wanted["chunk"])
    for at in range(0, len(record_ids), chunk):
        if not any(
            row["VersionNumber"] == version and row["Status"] == "Active"
            for row, _ in org.setup.versions.get(name, ())
        ):
            return
        some = [
            one
            for one in record_ids[at : at + chunk]
            if (record := entity.records.get(one)) is not None and not record.deleted
        ]
        committed = org.commit(
            [Change(entity.name, Op.UPDATE, one, {}) for one in some],
            user_id=writer,
            origin=UI_ORIGIN,
            client=UI_CLIENT,
        )
        run.records += len(some)
        run.transactions += 1
        run.transaction_keys.append(committed.transaction.key)
        yield int(wanted["interval_ms"])


def _widened_access(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """A permission set gains Modify All on an entity and is assigned to many users."""
    wanted = run.parameters
    name, entity = str(wanted["permission_set"]), org.entity(str(wanted["entity"])).name
    setup = org.setup
    with setup.acting(run.user_id):
        sets = [row["Id"] for row in setup.rows("PermissionSet") if row["Name"] == name]
        set_id = sets[0] if sets else setup.put("PermissionSet", {"Name": name, "Label": name})
        granted = {"ParentId": set_id, "SobjectType": entity, "PermissionsRead": True}
        object_id = next(
            (
                row["Id"]
                for row in setup.rows("ObjectPermissions")
                if row["ParentId"] == set_id and row["SobjectType"] == entity
            ),
            "",
        ) or setup.put("ObjectPermissions", granted)
    yield int(wanted["before_ms"])
    everything = {
        f"Permissions{one}": True
        for one in ("Create", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")
    }
    with setup.acting(run.user_id):
        setup.put("ObjectPermissions", everything, object_id)
    held = {
        row["AssigneeId"] for row in setup.rows("PermissionSetAssignment") if row["PermissionSetId"] == set_id
    }
    users = [one["id"] for one in org.users if one["id"] not in held and one["role"] != "administrator"]
    for user_id in users[: int(wanted["users"])]:
        with setup.acting(run.user_id):
            setup.put("PermissionSetAssignment", {"AssigneeId": user_id, "PermissionSetId": set_id})
        run.records += 1
        yield int(wanted["interval_ms"])


SETUP_INCIDENTS = (
    Scenario(
        "deploy_with_side_effect",
        "a flow's new version goes live, and 90 s later it writes into 3,000 opportunities",
        {
            "flow": "Opportunity_Delivery_Sync",
            "entity": "Opportunity",
            "field": "Delivery_Status__c",
            "value": "Completed",
            "records": 3_000,
            "chunk": 50,
            "between_ms": 600_000,
            "after_ms": 90_000,
            "interval_ms": 2_000,
            "user": "administrator",
            "writer": "integration",
        },
        _deploy_with_side_effect,
    ),
    Scenario(
        "widened_access",
        "a permission set gains Modify All and is assigned to 40 users",
        {
            "permission_set": "Sales_Operations",
            "entity": "Account",
            "users": 40,
            "before_ms": 600_000,
            "interval_ms": 1_000,
            "user": "administrator",
        },
        _widened_access,
    ),
)
