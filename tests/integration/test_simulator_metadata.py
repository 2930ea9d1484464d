"""The simulator's Metadata API, used by jsforce unchanged: what is retrieved can be deployed, and then acts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from connectors.simulator.automation import Trigger
from connectors.simulator.command import running_simulator
from connectors.simulator.metadata_xml import package_xml
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from tests.integration.test_simulator_clients import modules, run_node

__all__ = ["modules"]

pytestmark = [pytest.mark.node, pytest.mark.slow]

FLOW = """<?xml version="1.0" encoding="UTF-8"?>
<Flow xmlns="http://soap.sforce.com/2006/04/metadata">
    <apiVersion>66.0</apiVersion>
    <label>Rating Sync</label>
    <processType>AutoLaunchedFlow</processType>
    <recordUpdates>
        <name>Set_Rating</name>
        <label>Set rating</label>
        <inputAssignments>
            <field>Rating</field>
            <value><stringValue>%s</stringValue></value>
        </inputAssignments>
        <inputReference>$Record</inputReference>
    </recordUpdates>
    <start>
        <connector><targetReference>Set_Rating</targetReference></connector>
        <object>Account</object>
        <recordTriggerType>Update</recordTriggerType>
        <triggerType>RecordBeforeSave</triggerType>
    </start>
    <status>Active</status>
</Flow>
"""


def zipped(folder: Path, name: str, files: dict[str, str], **members: list[str]) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("package.xml", package_xml(members, "66.0"))
        for file, text in files.items():
            made.writestr(file, text)
    return path


async def test_jsforce_retrieves_validates_and_deploys_and_the_flow_acts(
    modules: Path, tmp_path: Path
) -> None:
    async with running_simulator(plan=Plan(users=5, records=60), tls_dir=tmp_path / "tls") as simulator:
        org = simulator.org
        effects = ({"to": "self", "set": {"Rating": "Warm"}},)
        org.automation.put(
            Trigger("Rating_Sync", "Account", effects, on=(Op.UPDATE,), condition="NumberOfEmployees < 0")
        )
        apex = "trigger Guard on Contact (before update) {\n    // nothing yet\n}\n"
        meta = '<ApexTrigger xmlns="http://soap.sforce.com/2006/04/metadata"><apiVersion>66.0</apiVersion><status>Active</status></ApexTrigger>'
        files = {
            "flows/Rating_Sync.flow": FLOW % "Hot",
            "triggers/Guard.trigger": apex,
            "triggers/Guard.trigger-meta.xml": meta,
        }
        good = zipped(tmp_path, "good.zip", files, Flow=["Rating_Sync"], ApexTrigger=["Guard"])
        wrong = {**files, "triggers/Guard.trigger": apex.replace("Contact", "Nowhere")}
        bad = zipped(tmp_path, "bad.zip", wrong, Flow=["Rating_Sync"], ApexTrigger=["Guard"])
        session = simulator.wire.sessions.open(org.administrator_id, "test")
        [seen] = await run_node(
            simulator,
            "simulator_jsforce_metadata.mjs",
            str(modules / "jsforce/index.js"),
            simulator.ready["http"],
            session.access_token,
            str(good),
            str(bad),
            str(tmp_path / "out.zip"),
        )
        assert {"Flow", "ApexTrigger", "PermissionSet", "CustomObject"} <= set(seen["types"])
        assert seen["listed"] == [["Flow", "Rating_Sync", "flows/Rating_Sync.flow"]]
        assert seen["read"] == ["Rating_Sync", "Active", "Account"]
        assert seen["retrieved"] == ["Succeeded", ["unpackaged/flows/Rating_Sync.flow"]]
        with zipfile.ZipFile(io.BytesIO((tmp_path / "out.zip").read_bytes())) as held:
            assert "unpackaged/package.xml" in held.namelist()
            assert b"<stringValue>Warm</stringValue>" in held.read("unpackaged/flows/Rating_Sync.flow")
        assert seen["refused"] == [False, "Failed", [["Guard", "Invalid type: Nowhere"]]]
        assert seen["checked"] == [True, True, 2]
        assert seen["deployed"][:2] == [True, "Succeeded"]
        assert ["Flow", "Rating_Sync", True] in seen["deployed"][2]
        assert seen["rest"] == [True, "Succeeded"]
        states = [["Failed", False], ["Succeeded", True], ["Succeeded", False], ["Succeeded", False]]
        assert seen["requests"] == states
        [record_id, *_] = org.entities["Account"].records.live_ids()
        org.commit([Change("Account", Op.UPDATE, record_id, {"Phone": "1"})], user_id=org.administrator_id)
        assert org.entities["Account"].records.get(record_id).values["Rating"] == "Hot"
        assert [row["Status"] for row, _ in org.setup.versions["Rating_Sync"]] == ["Obsolete", "Active"]
