"""The set-up of the org, read at intervals: what changed, when and by whom, and how it was at any reading."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.answer.setup_cause import setup_before
from cdc.answer.setup_diff import PEOPLE, differences, setup_diff
from cdc.answer.setup_rows import Setup, setup_at, setup_log
from cdc.answer.setup_source import read_tree, setup_of, sources_of
from cdc.answer.setup_tree import all_sources, tree_of
from cdc.change.metadata import Source, manifest, package_files, zipped
from cdc.change.setup_kinds import SETUP_KINDS
from cdc.ports.log import LogRecord
from cdc.roles.access_watch import AccessWatch
from connectors.simulator import scenarios
from connectors.simulator.knobs import Knobs
from connectors.simulator.metadata_jobs import DeployOptions
from schemas import own
from tests.integration.scanning import World, recorded

TYPES = ("ApexClass", "ApexTrigger", "CustomField", "Flow", "PermissionSet", "ValidationRule")
APEX = '<ApexClass xmlns="http://soap.sforce.com/2006/04/metadata"><apiVersion>66.0</apiVersion><status>Active</status></ApexClass>'


async def read_again(world: World) -> None:
    """A reading of every kind that began after now has ended and is in the journal."""
    now = world.org.clock.now_ms() + 2 * 2_000
    kinds = [f"/poll/{kind.name}" for kind in SETUP_KINDS]
    read = "SELECT count(*) FROM store.channels WHERE list_contains(?, channel) AND epoch_ms(passed_to) > ?"
    await world.until("the set-up was read again", lambda: world.sql(read, kinds, now) == [(len(kinds),)])
    await world.until(
        "the journal has it", lambda: world.journal.checkpoint.ordinal == world.recorder.last_ordinal()
    )


def rows(world: World, at_ms: int | None = None) -> dict[str, Any]:
    at = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    with world.journal.reader() as reader:
        return {kind: dict(found) for kind, found in setup_at(reader, at).rows.items()}


def different(world: World, at_ms: int) -> list[str]:
    """Where the journal's set-up at a time is not the org's; users and the profiles' own assignments aside."""
    held, true = rows(world, at_ms), world.org.setup.state(at_ms)
    wrong = []
    for kind in sorted({*held, *true} - {"User", "MetadataComponent"}):
        mine = {one: row for one, row in held.get(kind, {}).items() if not one.startswith("0PaSm01")}
        if mine.keys() != true.get(kind, {}).keys():
            wrong.append(f"{kind}: {sorted(mine.keys() ^ true.get(kind, {}).keys())[:3]}")
        for one, row in mine.items():
            for name, value in true.get(kind, {}).get(one, {}).items():
                if (
                    name in row
                    and isinstance(value, bool | str)
                    and str(value).lower() != str(row[name]).lower()
                ):
                    wrong.append(f"{kind} {one} {name}: {row[name]!r} is {value!r}")
    return wrong


async def test_every_change_of_the_set_up_is_in_the_log_and_in_the_state_of_its_time(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        setup, org = world.org.setup, world.org
        moments = [org.clock.now_ms()]
        org.clock.advance(5_000)
        someone = org.users[1]["id"]
        with setup.acting(someone):
            made = setup.put("PermissionSet", {"Name": "Sales", "Label": "Sales"})
        await read_again(world)
        moments.append(org.clock.advance(5_000))
        org.clock.advance(5_000)
        over = setup.put(
            "ObjectPermissions", {"ParentId": made, "SobjectType": "Account", "PermissionsRead": True}
        )
        setup.put("PermissionSetAssignment", {"AssigneeId": someone, "PermissionSetId": made})
        await read_again(world)
        moments.append(org.clock.advance(5_000))
        org.clock.advance(5_000)
        setup.put("ObjectPermissions", {"PermissionsModifyAllRecords": True}, over)
        scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=5))
        await read_again(world)
        moments.append(org.clock.advance(5_000))
        org.clock.advance(5_000)
        setup.drop("PermissionSet", made)
        await read_again(world)
        moments.append(org.clock.advance(5_000))
        org.clock.advance(5_000)
        for at_ms in moments:
            assert different(world, at_ms) == [], at_ms
        with world.journal.reader() as reader:
            log = setup_log(reader, limit=1000).dicts()
            lines = setup_diff(reader, "-30d", "now", "Flow:").dicts()
        told = {(row["component"], row["action"]): row for row in log if row["source"] == "compared"}
        assert told["PermissionSet:Sales", "created"]["user_id"] == someone
        assert not [component for component, _ in told if component.startswith("User:")]
        assert (
            "PermissionsModifyAllRecords false -> true"
            in told["ObjectPermissions:Sales.Account", "changed"]["display"]
        )
        assert ("Flow:Opportunity_Delivery_Sync-2", "created") in told
        assert ("PermissionSet:Sales", "deleted") in told
        trail = [row for row in log if row["source"] == "audit trail"]
        assert len(trail) == len(org.setup_changes)
        assert any("Opportunity_Delivery_Sync-2" in line["component"] for line in lines)


async def test_a_reading_that_finds_nothing_new_writes_nothing_also_after_a_restart(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        count = "SELECT count(*) FROM changes WHERE source = 'setup'"
        before = world.sql(count)
        await read_again(world)
        await world.restart()
        await read_again(world)
        assert world.sql(count) == before
        world.org.setup.put("UserRole", {"Name": "Boss", "DeveloperName": "Boss"})
        await read_again(world)
        assert world.sql(count)[0][0] == before[0][0] + 2  # the role, and its line of the audit trail
        await asyncio.sleep(0)


async def test_a_widening_of_rights_is_one_alert_with_users_objects_and_records(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await world.until("the accounts are read", lambda: world.baselines() >= 1)
        await read_again(world)
        published: list[LogRecord] = []
        watch = AccessWatch("acme", world.journal.reader, published.extend)
        assert not watch.look()
        scenarios.play(world.org, scenarios.start(world.org, "widened_access", users=40))
        await read_again(world)
        assert [watch.look() for _ in range(3)] == [False, True, False]
        alert = own.decode("alert", published[0].value)
        assigned = [
            r for r in world.org.setup.rows("PermissionSetAssignment") if not r["Id"].startswith("0PaSm01")
        ]
        assert alert["severity"] == "page"
        assert f"{len(assigned)} users gained ModifyAllRecords on Account" in alert["title"]
        assert f"({len(world.ids()):,} records known) by Sales_Operations" in alert["title"]
        assert alert["records"] == len(world.ids())


async def test_an_alert_about_access_grows_survives_a_restart_and_closes_when_rights_are_taken_back(
    tmp_path: Path,
) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        setup, users = world.org.setup, [one["id"] for one in world.org.users]
        watch = watching(world)
        assert told(world, watch) == []
        made = setup.put("PermissionSet", {"Name": "Wide", "Label": "Wide"})
        over = {"ParentId": made, "PermissionsRead": True, "PermissionsModifyAllRecords": True}
        setup.put("ObjectPermissions", {**over, "SobjectType": "Account"})
        setup.put("PermissionSetAssignment", {"AssigneeId": users[2], "PermissionSetId": made})
        await read_again(world)
        [opened] = told(world, watch)
        assert (opened["state"], opened["version"]) == ("open", 1)
        assert "gained ModifyAllRecords on Account" in opened["title"]
        setup.put("ObjectPermissions", {**over, "SobjectType": "Contact"})
        await read_again(world)
        [grown] = told(world, watch)
        assert (grown["state"], grown["version"], grown["alert_id"]) == ("growing", 2, opened["alert_id"])
        assert {one["entity"] for one in grown["targets"]} == {"Account", "Contact"}
        again = watching(world)  # another process
        assert told(world, again) == []
        setup.put("PermissionSetAssignment", {"AssigneeId": users[3], "PermissionSetId": made})
        await read_again(world)
        [more] = told(world, again)
        assert (more["version"], more["alert_id"]) == (3, opened["alert_id"])
        assert "2 users gained ModifyAllRecords" in more["title"]
        setup.drop("PermissionSet", made)
        await read_again(world)
        [closed] = told(world, again)
        assert (closed["state"], closed["version"]) == ("closed", 4)
        assert closed["evidence"][-1]["sentence"] == "The rights were taken back."
        assert told(world, watching(world)) == []


async def test_an_alert_about_access_closes_when_nothing_more_is_gained(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        watch = watching(world)
        assert told(world, watch) == []
        scenarios.play(world.org, scenarios.start(world.org, "widened_access", users=3))
        await read_again(world)
        [opened] = told(world, watch)
        world.org.clock.advance(16 * 60_000)
        await read_again(world)
        [closed] = told(world, watch)
        assert (closed["state"], closed["alert_id"]) == ("closed", opened["alert_id"])
        assert told(world, watch) == []
        [made] = [r["Id"] for r in world.org.setup.rows("PermissionSet") if r["Name"] == "Sales_Operations"]
        world.org.setup.put(
            "ObjectPermissions", {"ParentId": made, "SobjectType": "Case", "PermissionsViewAllRecords": True}
        )
        await read_again(world)
        [fresh] = told(world, watch)
        assert (fresh["state"], fresh["version"]) == ("open", 1)
        assert fresh["alert_id"] != opened["alert_id"]


async def test_the_first_reading_widens_nobody_s_access_however_early_it_is_looked_at(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        watch, alerts = watching(world), 0
        world.org.setup.put("UserRole", {"Name": "First", "DeveloperName": "First"})

        async def look_on() -> int:
            seen = 0
            while True:
                seen += watch.look()
                await asyncio.sleep(0.02)
                if len(world.sql("SELECT 1 FROM store.channels WHERE starts_with(channel, '/poll/')")) == len(
                    SETUP_KINDS
                ):
                    return seen

        alerts += await look_on()
        world.org.setup.put("UserRole", {"Name": "Second", "DeveloperName": "Second"})
        await read_again(world)
        assert alerts + sum(watch.look() for _ in range(3)) == 0
        assert watch.judged


def watching(world: World) -> AccessWatch:
    return AccessWatch("acme", world.journal.reader, world.log.publish)


def told(world: World, watch: AccessWatch) -> list[dict[str, Any]]:
    """What is told of the readings so far; it is in the journal afterwards."""
    before = world.sql("SELECT alert_id, version FROM store.alerts")
    count = sum(watch.look() for _ in range(3))
    deadline = time.monotonic() + 30
    while len(world.sql("SELECT 1 FROM store.alerts")) < len(before) + count and time.monotonic() < deadline:
        time.sleep(0.02)
    with world.journal.reader() as reader:
        found = reader.execute(
            "SELECT alert_id, version, state, title, targets, evidence FROM store.alerts"
            " WHERE (alert_id, version) NOT IN (SELECT (unnest(?::VARCHAR[]), unnest(?::INTEGER[]))) ORDER BY version",
            [[one for one, _ in before], [version for _, version in before]],
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [
        {**row, "targets": json.loads(row["targets"]), "evidence": json.loads(row["evidence"])}
        for row in rows
    ]


async def test_the_likely_cause_of_an_alert_is_the_flow_that_acts_on_what_was_changed(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        run = scenarios.play(world.org, scenarios.start(world.org, "deploy_with_side_effect", records=60))
        world.org.setup.put("UserRole", {"Name": "Nearer", "DeveloperName": "Nearer"})
        await read_again(world)
        activated = next(
            fact.at for fact in world.org.setup.history if fact.row and fact.row.get("VersionNumber") == 2
        )
        first = datetime.fromtimestamp(activated / 1000 + 90, UTC).replace(tzinfo=None)
        target = {"entity": "Opportunity", "field": "Delivery_Status__c"}
        with world.journal.reader() as reader:
            sentences = setup_before(
                reader, {"first_change_at": first, "targets": [target], "actors": [{"user_id": run.user_id}]}
            )
        assert sentences is not None
        assert sentences[0].startswith("Likely cause: Flow Opportunity_Delivery_Sync-2 was created by ")
        assert sentences[0].endswith("90 s before; it acts on Opportunity and names Delivery_Status__c.")


async def test_two_orgs_differ_exactly_where_they_were_made_to(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        recorded(tmp_path / "one", members=("Account",), setup_interval_s=0.3) as one,
        recorded(tmp_path / "two", members=("Account",), setup_interval_s=0.3, seed=8) as two,
    ):
        one.org.setup.put("UserRole", {"Name": "Left", "DeveloperName": "Left"})
        two.org.setup.put("PermissionSet", {"Name": "Right", "Label": "Right"})
        one.org.setup.put("ApexClass", {"Name": "Both", "Body": "first\nsecond\n"})
        two.org.setup.put("ApexClass", {"Name": "Both", "Body": "first\nother\n"})
        sides = []
        for world in (one, two):
            await read_again(world)
            held = rows(world)
            sides.append(Setup({kind: found for kind, found in held.items() if kind not in PEOPLE}))
        found = list(differences(*sides))
    assert {row[:2] for row in found} == {
        ("ApexClass:Both", "changed"),
        ("PermissionSet:Right", "added"),
        ("UserRole:Left", "removed"),
    }
    assert [row[3] for row in found if row[0] == "ApexClass:Both"][1:] == [" first", "-second", "+other"]


def sources(world: World, at_ms: int | None = None) -> dict[str, Source]:
    at = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    with world.journal.reader() as reader:
        return sources_of(setup_at(reader, at))


async def test_source_is_read_once_and_again_where_it_moved_and_is_known_of_any_time(tmp_path: Path) -> None:
    async with recorded(
        tmp_path, members=("Account",), setup_interval_s=0.3, metadata_types=TYPES, metadata_interval_s=3600.0
    ) as world:
        org = world.org
        org.setup.put("ApexClass", {"Name": "Prices", "Body": "public class Prices {}\n"})
        large = "public class Large {\n" + "".join(f"    // {n}\n" for n in range(40_000)) + "}\n"
        org.setup.put("ApexClass", {"Name": "Large", "Body": large})
        scenarios.play(org, scenarios.start(org, "deploy_with_side_effect", records=20))
        await read_again(world)
        await world.until("source is read", lambda: len(sources(world)) > 5)
        held, at = sources(world), org.clock.now_ms()
        assert held["ApexClass:Large"].source == large
        assert held["Flow:Opportunity_Delivery_Sync"].source.count("Completed") == 1
        assert "CustomField:Account.SLA__c" in held
        count = "SELECT count(*) FROM changes WHERE entity = 'MetadataComponent'"
        before = world.sql(count)
        org.clock.advance(5_000)
        someone = org.users[1]["id"]
        with org.setup.acting(someone):
            [prices] = [one["Id"] for one in org.setup.rows("ApexClass") if one["Name"] == "Prices"]
            org.setup.put("ApexClass", {"Body": "public class Prices { Integer a; }\n"}, prices)
        # The audit trail has a new line: source is looked for at once, not in an hour.
        await world.until(
            "the class was read", lambda: "Integer" in sources(world)["ApexClass:Prices"].source
        )
        assert world.sql(count)[0][0] == before[0][0] + 1
        assert sources(world, at) == held
        assert world.sql("SELECT count(*) FROM changes WHERE entity = 'MetadataFile'") == [(3,)]
        [by] = world.sql(
            "SELECT user_id FROM changes WHERE record_id = 'ApexClass:Prices' ORDER BY seq DESC LIMIT 1"
        )
        assert by == (someone,)
        org.setup.drop("ApexClass", prices)
        await world.until("the class is gone", lambda: "ApexClass:Prices" not in sources(world))


async def test_a_retrieve_that_is_too_much_for_the_org_is_asked_for_in_halves(tmp_path: Path) -> None:
    knobs = replace(Knobs.cruel(), retrieve_files_max=7)
    async with recorded(
        tmp_path, members=("Account",), knobs=knobs, setup_interval_s=0.3, metadata_types=("CustomField",)
    ) as world:
        wanted = {f"CustomField:{one.full_name}" for one in world.org.metadata.components("CustomField")}
        assert len(wanted) > 30
        await world.until("every field is read", lambda: set(sources(world)) == wanted)


async def test_a_deploy_is_in_the_log_with_its_components_and_who(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.3) as world:
        await read_again(world)
        org, someone = world.org, world.org.users[1]["id"]
        files = package_files([Source("ApexClass", "Prices", "public class Prices {}", APEX)])
        package = zipped({**files, "package.xml": manifest({"ApexClass": ["Prices"]}, "66.0")})
        deploy = org.deployments.begin(package, DeployOptions(), someone)
        org.deployments.run(deploy)
        await read_again(world)
        with world.journal.reader() as reader:
            log = setup_log(reader, limit=1_000).dicts()
        [row] = [row for row in log if row["component"] == f"DeployRequest:{deploy.id}"]
        assert row["user_id"] == someone
        assert row["display"] == "deployed 1 components, succeeded: created ApexClass:Prices"


async def test_two_orgs_and_a_source_tree_differ_where_their_files_say_something_else(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    given: dict[str, Any] = {"members": ("Account",), "setup_interval_s": 0.3, "metadata_types": TYPES}
    async with (
        recorded(tmp_path / "one", **given) as one,
        recorded(tmp_path / "two", **given, seed=8) as two,
    ):
        one.org.setup.put("ApexClass", {"Name": "Both", "Body": "public class Both {\n  // first\n}\n"})
        two.org.setup.put("ApexClass", {"Name": "Both", "Body": "public class Both {\n  // other\n}\n"})
        scenarios.play(one.org, scenarios.start(one.org, "deploy_with_side_effect", records=1))
        two.org.change_schema("Account", add=["Extra__c Text"])
        for world in (one, two):
            await read_again(world)
            await world.until("source is read", lambda world=world: "ApexClass:Both" in sources(world))
        await one.until("the flow is read", lambda: "Flow:Opportunity_Delivery_Sync" in sources(one))
        await two.until("the field is read", lambda: "CustomField:Account.Extra__c" in sources(two))
        sides = [Setup({k: found for k, found in rows(w).items() if k not in PEOPLE}) for w in (one, two)]
        tree = tree_of(sides[0])
    found = list(differences(*sides))
    assert {row[:2] for row in found} == {
        ("ApexClass:Both", "changed"),
        ("CustomField:Account.Extra__c", "added"),
        ("Flow:Opportunity_Delivery_Sync", "removed"),
        ("Flow:Opportunity_Delivery_Sync-1", "removed"),
        ("Flow:Opportunity_Delivery_Sync-2", "removed"),
        ("FlowDefinition:Opportunity_Delivery_Sync", "removed"),
    }
    lines = [row[2:] for row in found if row[0] == "ApexClass:Both"]
    assert lines[1:] == [
        ("classes/Both.cls", " public class Both {"),
        ("classes/Both.cls", "-  // first"),
        ("classes/Both.cls", "+  // other"),
        ("classes/Both.cls", " }"),
    ]
    folder = tmp_path / "tree" / "force-app" / "main" / "default"
    for path, text in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    held = setup_of(all_sources(sides[0]).values())
    assert list(differences(held, setup_of(read_tree(tmp_path / "tree").values()))) == []
    (folder / "classes/Both.cls").write_text("public class Both {\n  // mine\n}\n")
    (folder / "flows/Opportunity_Delivery_Sync.flow-meta.xml").unlink()
    found = list(differences(held, setup_of(read_tree(tmp_path / "tree").values())))
    assert {row[:2] for row in found} == {
        ("ApexClass:Both", "changed"),
        ("Flow:Opportunity_Delivery_Sync", "removed"),
    }
    assert [row[3] for row in found if row[0] == "ApexClass:Both"][2:4] == ["-  // first", "+  // mine"]
