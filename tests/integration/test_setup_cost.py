"""What reading the set-up costs an org of many users and components, by its own count and by the org's.

CDC_TEST_SETUP_USERS=3000 and CDC_TEST_SETUP_COMPONENTS=5000 are the long form.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cdc.answer.overview import status
from cdc.change.setup_kinds import METADATA, SETUP_KINDS
from connectors.salesforce.budget import SHARE_DEFAULT
from tests.integration import scanning
from tests.integration.scanning import World, recorded
from tests.integration.test_setup_history import TYPES, read_again

USERS = int(os.environ.get("CDC_TEST_SETUP_USERS", "60"))
COMPONENTS = int(os.environ.get("CDC_TEST_SETUP_COMPONENTS", "400"))
PERMISSIONS = 4_200
"""More than two pages of field permissions: they are counted before they are read."""
READ = "SELECT count(DISTINCT record_id) FROM changes WHERE entity = 'MetadataComponent'"
DAY_S, FACTS_S, SOURCE_S = 86_400, 300, 900
"""The intervals of the settings; the test reads more often."""


async def test_reading_the_set_up_stays_within_the_share_of_the_org_s_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "PATIENCE_S", 900.0)
    async with recorded(
        tmp_path,
        members=("Account",),
        users=USERS,
        started=False,
        setup_interval_s=0.5,
        metadata_types=TYPES,
        metadata_interval_s=1.0,
    ) as world:
        org, setup = world.org, world.org.setup
        made = setup.put("PermissionSet", {"Name": "Wide", "Label": "Wide"})
        for n in range(COMPONENTS):
            setup.put("ApexClass", {"Name": f"Class_{n}", "Body": f"public class Class_{n} {{}}"})
        for n in range(PERMISSIONS):
            field = {"SobjectType": "Account", "Field": f"Account.F{n}__c", "PermissionsRead": True}
            setup.put("FieldPermissions", {"ParentId": made, **field})
        for user in org.users:
            setup.put("PermissionSetAssignment", {"AssigneeId": user["id"], "PermissionSetId": made})
        await world.start()
        try:
            await world.until("source is read", lambda: world.sql(READ)[0][0] > COMPONENTS)
            first = calls(world)
            for _ in range(4):  # nothing moves from here on, as on most of a day
                await read_again(world)
            spent, costs = calls(world) - first, a_reading(world)
            with world.journal.reader() as reader:
                rows = status(reader).rows
            [said] = [row[4] for row in rows if row[0] == "setup"]
            assert {row[1] for row in rows if row[0] == "entity"} == {"Account"}
        finally:
            await world.stop()
        a_day = sum(
            each * DAY_S / (SOURCE_S if kind == METADATA else FACTS_S) for kind, each in costs.items()
        )
        allowed = org.knobs.api_calls_max * SHARE_DEFAULT
        print(
            f"\n{USERS:,} users, {COMPONENTS:,} components: {first:,} calls for the first reading; then "
            f"{sum(costs.values()):.0f} a reading of everything, {a_day:,.0f} a day at the intervals of the settings; "
            f"{allowed:,.0f} are this program's share"
        )
        assert set(costs) == {*(kind.name for kind in SETUP_KINDS), METADATA}
        assert a_day < allowed / 2
        assert re.search(r"about \d+ API calls a day at this pace", said)
        # What it says it spends is what the org has counted, within a reading begun or not yet ended.
        assert 2 * sum(costs.values()) < spent < 12 * sum(costs.values())


def calls(world: World) -> int:
    """Calls that the org has counted."""
    return int(world.org.usage.api_usage.removeprefix("api-usage=").partition("/")[0])


def a_reading(world: World) -> dict[str, float]:
    """Calls of a reading by kind, as they stand beside its position."""
    rows = world.sql(
        "SELECT substr(channel, 7), trouble FROM store.channels WHERE starts_with(channel, '/poll/')"
    )
    return {kind: float(re.findall(r"([\d.]+) API calls a reading", said)[0]) for kind, said in rows}
