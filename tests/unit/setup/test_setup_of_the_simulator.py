"""The simulated org's set-up: versions of flows, rows of permissions, the audit trail, and the truth of a moment."""

from __future__ import annotations

import pytest

from connectors.simulator import scenarios
from connectors.simulator.clock import SimClock
from connectors.simulator.errors import OrgError
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.workload import Workload


def lived_in() -> SimulatedOrg:
    org = SimulatedOrg(seed=3, clock=SimClock(speed=0))
    Workload(org, users=60, records=1_000).populate()
    return org


def test_an_older_version_of_a_flow_comes_back_when_it_is_activated() -> None:
    org = lived_in()
    scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=20))
    status = "SELECT VersionNumber, Status FROM Flow ORDER BY VersionNumber"
    assert [row["Status"] for row in org.tooling_query(status).all()] == ["Obsolete", "Active"]
    org.setup.activate("Opportunity_Delivery_Sync", 1)
    assert [row["Status"] for row in org.tooling_query(status).all()] == ["Active", "Obsolete"]
    assert org.automation.rules["Opportunity_Delivery_Sync"].condition == "Amount < 0"  # type: ignore[union-attr]
    with pytest.raises(OrgError, match="no version 9"):
        org.setup.activate("Opportunity_Delivery_Sync", 9)


def test_metadata_is_given_of_one_row_at_a_time() -> None:
    org = lived_in()
    scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=20))
    with pytest.raises(OrgError, match="no more than one row"):
        org.tooling_query("SELECT Id, Metadata FROM Flow")
    [row] = org.tooling_query("SELECT Metadata FROM Flow WHERE VersionNumber = 2").all()
    assert row["Metadata"]["start"]["object"] == "Opportunity"


def test_every_change_of_rights_is_in_the_audit_trail_and_in_the_truth() -> None:
    org = lived_in()
    before = org.clock.now_ms()
    scenarios.play(org, scenarios.start(org, "widened_access", users=5))
    assert org.query("SELECT COUNT() FROM SetupAuditTrail").total == 8
    assert "ObjectPermissions" in org.setup.state(before)
    assert "PermissionSetAssignment" not in org.setup.state(before)
    assert len(org.setup.state(org.clock.now_ms())["PermissionSetAssignment"]) == 5
    [named] = [row["Id"] for row in org.setup.rows("PermissionSet") if row["Name"] == "Sales_Operations"]
    org.setup.drop("PermissionSet", named)
    assert org.setup.state(org.clock.now_ms())["PermissionSetAssignment"] == {}
