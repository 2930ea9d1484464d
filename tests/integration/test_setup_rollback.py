"""The set-up put back as it was: planned against the org, validated by it, deployed by the plan's hash, read again."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdc.change.metadata import manifest, zipped
from cdc.errors import BadArgument, NotFound
from cdc.recover.ledger import Ledger
from cdc.recover.planfile import Plan
from cdc.recover.recovery import Connected, Recovery
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.writing import SalesforceWriter
from connectors.simulator import scenarios
from connectors.simulator.metadata_jobs import DeployOptions
from connectors.simulator.standard_automation import add_standard
from tests.integration.scanning import World, recorded
from tests.integration.test_setup_history import TYPES, sources

FLOW = "Opportunity_Delivery_Sync"


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[World, Recovery]]:
    """An org whose source is read, and recovery with a login of its own."""
    async with recorded(
        folder, members=("Account",), setup_interval_s=0.3, metadata_types=TYPES, metadata_interval_s=1.0
    ) as world:
        org = SalesforceOrg(world.session)
        token = await world.session.token()

        @asynccontextmanager
        async def connect() -> AsyncIterator[Connected]:
            writer = SalesforceWriter(org.rest)
            yield Connected(org, writer, token.user_id, token.org_id, None, org.metadata, "66.0")

        ledger = Ledger(world.log.publish, world.journal.reader)
        recovery = Recovery(ledger, folder / "plans", connect, source_types=TYPES)
        add_standard(world.org)
        world.org.setup.put("ApexClass", {"Name": "Prices", "Body": "public class Prices {}\n"})
        await world.until("source is read", lambda: "ApexClass:Prices" in sources(world))
        yield world, recovery
        await recovery.close()


def change(world: World) -> None:
    """A class changed, a trigger gone, a rule off, a permission set new, a field new, a flow new and active."""
    org, setup = world.org, world.org.setup
    [prices] = [one["Id"] for one in setup.rows("ApexClass")]
    setup.put("ApexClass", {"Body": "public class Prices { Integer a; }\n"}, prices)
    org.automation.remove("Account_Phone_To_Contacts")
    org.automation.switch("Amount_Not_Negative", active=False)
    setup.put("PermissionSet", {"Name": "Wide", "Label": "Wide", "PermissionsModifyAllData": True})
    org.change_schema("Account", add=["Extra__c Text"])
    scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=20))


def moment(world: World) -> str:
    """A time that what comes after it is not of."""
    now = world.org.clock.now_ms()
    world.org.clock.advance(5_000)
    return datetime.fromtimestamp(now / 1000, UTC).isoformat()


async def settled(world: World) -> None:
    await world.until("the flow is read", lambda: f"Flow:{FLOW}" in sources(world))


def decisions(plan: Plan) -> dict[str, tuple[str, str]]:
    found = {}
    for row in plan.rows.to_pylist():
        if row["decision"] != "already":
            found[f"{row['entity']}:{row['record_id']}"] = (row["action"], row["decision"])
    return found


def true_sources(world: World) -> dict[str, Any]:
    return {
        f"{kind}:{one.full_name}": (dict(one.values), one.body)
        for kind in TYPES
        for one in world.org.metadata.components(kind)
    }


async def test_everything_is_as_it_was_and_new_fields_are_left_with_their_data(tmp_path: Path) -> None:
    async with watched(tmp_path) as (world, recovery):
        before, at = true_sources(world), moment(world)
        change(world)
        await settled(world)
        plan = await recovery.rollbacks.plan(by="test", at=at)
        assert decisions(plan) == {
            "ApexClass:Prices": ("DEPLOY", "revert"),
            "ApexTrigger:Account_Phone_To_Contacts": ("DEPLOY", "revert"),
            "ValidationRule:Opportunity.Amount_Not_Negative": ("DEPLOY", "revert"),
            "PermissionSet:Wide": ("DELETE", "revert"),
            "CustomField:Account.Extra__c": ("DELETE", "left"),
            f"Flow:{FLOW}": ("STOP", "revert"),
            f"Flow:{FLOW}-1": ("DELETE", "revert"),
            f"Flow:{FLOW}-2": ("DELETE", "revert"),
        }
        assert plan.facts["validation"]["success"], plan.facts["validation"]
        with zipfile.ZipFile(plan.facts["package"]) as package:
            assert "destructiveChangesPost.xml" in package.namelist()
        assert "Account_Phone_To_Contacts" not in world.org.automation.rules, "a plan changes nothing"
        with pytest.raises(BadArgument, match="not the plan's hash"):
            await recovery.rollbacks.apply(plan.restore_id, "0" * 12, by="test")
        with pytest.raises(BadArgument, match="of the set-up, not of data"):
            await recovery.apply(plan.restore_id, plan.token, by="test")
        done = await recovery.rollbacks.apply(plan.restore_id, plan.token, by="test")
        assert (done.state, done.counts["differs"]) == ("verified", [])
        after = true_sources(world)
        assert after.pop("CustomField:Account.Extra__c")
        assert {name: after[name][0] for name in after} == {name: before[name][0] for name in before}
        assert (await recovery.rollbacks.verify(plan.restore_id, by="test"))["good"]
        kept = world.sql(
            "SELECT kind, state, requested_by FROM restores WHERE restore_id = ?", plan.restore_id
        )
        assert kept == [("setup", "verified", "test")]


async def test_only_named_components_are_put_back_and_what_moved_since_is_not_overwritten(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as (world, recovery):
        at = moment(world)
        change(world)
        await settled(world)
        plan = await recovery.rollbacks.plan(by="test", at=at, names=["ApexClass:*"])
        assert decisions(plan) == {"ApexClass:Prices": ("DEPLOY", "revert")}
        [prices] = [one["Id"] for one in world.org.setup.rows("ApexClass")]
        world.org.setup.put("ApexClass", {"Body": "public class Prices { /* mended */ }\n"}, prices)
        with pytest.raises(BadArgument, match="ApexClass:Prices changed since the plan was made"):
            await recovery.rollbacks.apply(plan.restore_id, plan.token, by="test")
        assert "mended" in world.org.setup.rows("ApexClass")[0]["Body"]


async def test_what_the_org_would_refuse_is_said_with_its_reasons_and_is_not_deployed(tmp_path: Path) -> None:
    async with watched(tmp_path) as (world, recovery):
        org = world.org
        # A set that was there needs a field that somebody has taken away since.
        extra = "<CustomObject xmlns='http://soap.sforce.com/2006/04/metadata'><fields><fullName>Tier__c</fullName><label>Tier</label><type>Text</type></fields></CustomObject>"
        package = zipped(
            {
                "objects/Account.object": extra,
                "permissionsets/Tiers.permissionset": '<PermissionSet xmlns="http://soap.sforce.com/2006/04/metadata"><label>Tiers</label>'
                "<fieldPermissions><editable>true</editable><field>Account.Tier__c</field><readable>true</readable></fieldPermissions></PermissionSet>",
                "package.xml": manifest(
                    {"CustomField": ["Account.Tier__c"], "PermissionSet": ["Tiers"]}, "66.0"
                ),
            }
        )
        deploy = org.deployments.begin(package, DeployOptions(), org.administrator_id)
        org.deployments.run(deploy)
        assert deploy.status == "Succeeded"
        await world.until("it is read", lambda: "PermissionSet:Tiers" in sources(world))
        at = moment(world)
        org.setup.drop(
            "PermissionSet", next(r["Id"] for r in org.setup.rows("PermissionSet") if r["Name"] == "Tiers")
        )
        org.change_schema("Account", remove=["Tier__c"])
        await world.until("it is gone", lambda: "PermissionSet:Tiers" not in sources(world))
        plan = await recovery.rollbacks.plan(by="test", at=at, names=["PermissionSet:*"])
        assert not plan.facts["validation"]["success"]
        assert plan.facts["validation"]["errors"] == [
            "PermissionSet:Tiers: In field: field - no CustomField named Account.Tier__c found"
        ]
        with pytest.raises(BadArgument, match=r"would refuse it: PermissionSet:Tiers: .*Tier__c"):
            await recovery.rollbacks.apply(plan.restore_id, plan.token, by="test")
        done = await recovery.rollbacks.apply(plan.restore_id, plan.token, by="test", force=True)
        assert done.state == "planned"
        assert "the org refused it" in done.reason
        whole = await recovery.rollbacks.plan(by="test", at=at)
        assert whole.facts["validation"]["success"], "with its field it can be put back"


async def test_a_moment_before_anything_was_read_says_so(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, recovery):
        with pytest.raises(BadArgument, match="first read at"):
            await recovery.rollbacks.plan(by="test", at="2001-01-01")
        with pytest.raises(BadArgument, match="needs the moment"):
            await recovery.rollbacks.plan(by="test")
        with pytest.raises(NotFound, match="no restore"):
            await recovery.rollbacks.verify("r-0000000000", by="test")
