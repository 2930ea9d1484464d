"""What is retrieved from the simulated org can be deployed again, and a deploy changes how the org behaves."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from connectors.simulator import scenarios
from connectors.simulator.clock import SimClock
from connectors.simulator.metadata_files import TYPES
from connectors.simulator.metadata_jobs import Deploy, DeployOptions
from connectors.simulator.metadata_xml import package_xml
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.standard_automation import add_standard
from connectors.simulator.workload import Workload

FLOW = "Opportunity_Delivery_Sync"


def lived_in() -> SimulatedOrg:
    org = SimulatedOrg(seed=3, clock=SimClock(speed=0))
    Workload(org, users=20, records=200).populate()
    add_standard(org)
    scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=20))
    scenarios.play(org, scenarios.start(org, "widened_access", users=3))
    org.setup.put("ApexClass", {"Name": "Prices", "Body": "public class Prices {\n}\n"})
    return org


def deployed(org: SimulatedOrg, content: bytes, **options: Any) -> Deploy:
    deploy = org.deployments.begin(content, DeployOptions(**options), org.administrator_id)
    org.deployments.run(deploy)
    return deploy


def zipped(
    files: dict[str, str], members: dict[str, list[str]], destroyed: dict[str, list[str]] | None = None
) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("package.xml", package_xml(members, "66.0"))
        if destroyed:
            made.writestr("destructiveChanges.xml", package_xml(destroyed, "66.0"))
        for path, text in files.items():
            made.writestr(path, text)
    return packed.getvalue()


def files_of(org: SimulatedOrg, kind: str, name: str) -> dict[str, str]:
    content, _, problems = org.metadata.package({kind: [name]}, "66.0", top="")
    assert not problems
    with zipfile.ZipFile(io.BytesIO(content)) as held:
        return {one: held.read(one).decode() for one in held.namelist() if one != "package.xml"}


def saved(org: SimulatedOrg, **values: Any) -> dict[str, Any]:
    [record_id, *_] = org.entities["Opportunity"].records.live_ids()
    org.commit([Change("Opportunity", Op.UPDATE, record_id, values)], user_id=org.administrator_id)
    return dict(org.entities["Opportunity"].records.get(record_id).values)  # type: ignore[union-attr]


def test_everything_retrieved_is_deployed_again_and_changes_nothing() -> None:
    org = lived_in()
    members = {kind: [one.full_name for one in org.metadata.components(kind)] for kind in TYPES}
    content, components, problems = org.metadata.package(members, "66.0")
    assert len(components) > 40
    assert not problems
    deploy = deployed(org, content)
    assert deploy.status == "Succeeded", deploy.failures
    assert not [one for one in deploy.outcomes if one.changed]
    assert org.metadata.package(members, "66.0")[0] == content


def test_a_deployed_flow_is_a_version_that_acts_and_a_definition_of_zero_stops_it() -> None:
    org = lived_in()
    assert saved(org, Probability=1.0)["Delivery_Status__c"] == "Completed"
    files = files_of(org, "Flow", FLOW)
    [(path, text)] = files.items()
    late = {path: text.replace("Completed", "Late")}
    assert deployed(org, zipped(late, {"Flow": [FLOW]})).status == "Succeeded"
    assert saved(org, Probability=2.0)["Delivery_Status__c"] == "Late"
    assert [row["Status"] for row, _ in org.setup.versions[FLOW]] == ["Obsolete", "Obsolete", "Active"]
    off = '<FlowDefinition xmlns="http://soap.sforce.com/2006/04/metadata"><activeVersionNumber>0</activeVersionNumber></FlowDefinition>'
    stop = zipped({f"flowDefinitions/{FLOW}.flowDefinition": off}, {"FlowDefinition": [FLOW]})
    assert deployed(org, stop).status == "Succeeded"
    assert saved(org, Probability=3.0, Delivery_Status__c="Mine")["Delivery_Status__c"] == "Mine"


def test_a_draft_leaves_the_active_version_alone() -> None:
    org = lived_in()
    [(path, text)] = files_of(org, "Flow", FLOW).items()
    draft = text.replace("Completed", "Late").replace("Active", "Draft")
    assert deployed(org, zipped({path: draft}, {"Flow": [FLOW]})).status == "Succeeded"
    assert [row["Status"] for row, _ in org.setup.versions[FLOW]] == ["Obsolete", "Active", "Draft"]
    assert saved(org, Probability=1.0)["Delivery_Status__c"] == "Completed"


def test_one_error_leaves_the_org_as_it_was_unless_part_of_it_may_stand() -> None:
    org = lived_in()
    files = {
        "classes/Prices.cls": "public class Prices { Integer a; }",
        "classes/Prices.cls-meta.xml": '<ApexClass xmlns="http://soap.sforce.com/2006/04/metadata"><apiVersion>66.0</apiVersion><status>Active</status></ApexClass>',
        "triggers/Broken.trigger": "trigger Broken on Account (after update) {",
        "triggers/Broken.trigger-meta.xml": '<ApexTrigger xmlns="http://soap.sforce.com/2006/04/metadata"><status>Active</status></ApexTrigger>',
    }
    content = zipped(files, {"ApexClass": ["Prices"], "ApexTrigger": ["Broken"]})
    deploy = deployed(org, content)
    assert [(one.full_name, one.problem) for one in deploy.failures] == [
        ("Broken", "Missing or extra '}' at the end of the trigger")
    ]
    assert deploy.status == "Failed"
    assert "Integer" not in org.setup.rows("ApexClass")[0]["Body"]
    assert deployed(org, content, check_only=True, rollback_on_error=False).status == "SucceededPartial"
    assert "Integer" not in org.setup.rows("ApexClass")[0]["Body"]
    assert deployed(org, content, rollback_on_error=False).status == "SucceededPartial"
    assert "Integer" in org.setup.rows("ApexClass")[0]["Body"]


def test_fields_rules_and_sets_come_and_go_with_a_package() -> None:
    org = lived_in()
    added = """<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata">
        <fields><fullName>Tier__c</fullName><label>Tier</label><type>Text</type><length>20</length></fields>
        <validationRules><fullName>Tier_Needed</fullName><active>true</active>
            <errorConditionFormula>Tier__c = null</errorConditionFormula><errorMessage>Say which tier.</errorMessage>
        </validationRules></CustomObject>"""
    allowed = """<PermissionSet xmlns="http://soap.sforce.com/2006/04/metadata"><label>Tiers</label>
        <description>who sees tiers</description><fieldPermissions><editable>false</editable><field>Account.Tier__c</field>
        <readable>true</readable></fieldPermissions></PermissionSet>"""
    names = {
        "CustomField": ["Account.Tier__c"],
        "ValidationRule": ["Account.Tier_Needed"],
        "PermissionSet": ["Tiers"],
    }
    files = {"objects/Account.object": added, "permissionsets/Tiers.permissionset": allowed}
    deploy = deployed(org, zipped(files, names))
    assert deploy.status == "Succeeded", deploy.failures
    assert "Tier__c" in org.entities["Account"].leaves
    assert "who sees tiers" in files_of(org, "PermissionSet", "Tiers")["permissionsets/Tiers.permissionset"]
    refused = deployed(org, zipped({}, {}, {"CustomField": ["Account.Tier__c"]}))
    assert "referenced elsewhere" in refused.failures[0].problem
    assert deployed(org, zipped({}, {}, names)).status == "Succeeded"
    assert "Tier__c" not in org.entities["Account"].leaves
    assert not [row for row in org.setup.rows("PermissionSet") if row["Name"] == "Tiers"]
    who = {(one.action, one.user_id) for one in org.setup_changes if "CF" in one.action}
    assert who == {("createdCF", org.administrator_id), ("deletedCF", org.administrator_id)}


def test_an_active_version_is_not_deleted_and_a_flow_goes_version_by_version() -> None:
    org = lived_in()
    assert "active" in deployed(org, zipped({}, {}, {"Flow": [f"{FLOW}-2"]})).failures[0].problem
    assert "version by version" in deployed(org, zipped({}, {}, {"Flow": [FLOW]})).failures[0].problem
    off = '<FlowDefinition xmlns="http://soap.sforce.com/2006/04/metadata"><activeVersionNumber>0</activeVersionNumber></FlowDefinition>'
    gone = zipped(
        {f"flowDefinitions/{FLOW}.flowDefinition": off},
        {"FlowDefinition": [FLOW]},
        {"Flow": [f"{FLOW}-1", f"{FLOW}-2"]},
    )
    deploy = deployed(org, gone)
    assert deploy.status == "Succeeded", deploy.failures
    assert FLOW not in org.automation.rules
    assert org.setup.rows("FlowDefinition") == []


@pytest.mark.parametrize("content", [b"", b"no zip", zipped({}, {})[:40]], ids=["empty", "text", "cut"])
def test_what_is_no_package_is_refused_in_words(content: bytes) -> None:
    deploy = deployed(lived_in(), content)
    assert deploy.status == "Failed"
    assert deploy.error
