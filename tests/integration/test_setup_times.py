"""A random script of set-up changes: the state of fifty random times is the truth, and each is in the log with who and when.

Times between a delete and the reading that found it are left out: nobody tells of a delete but the readings.
"""

from __future__ import annotations

import bisect
import os
from pathlib import Path
from random import Random
from typing import Any

from connectors.simulator.automation import Trigger
from connectors.simulator.model import Op
from connectors.simulator.setup_facts import Fact
from tests.integration.scanning import World, recorded
from tests.integration.test_setup_history import different, read_again

STEPS = int(os.environ.get("CDC_TEST_SETUP_STEPS", "12"))
TIMES = 50
NEAR_MS = 2_500
"""Times of the set-up have whole seconds, and those of a row may be a second off its own."""
IGNORED = frozenset({"LastModifiedDate", "LastModifiedById", "CreatedDate", "SystemModstamp", "Metadata"})


class Script:
    """Administrators at work. No row is changed twice in a step: of two changes only the last would be seen."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.org, self.setup = world, world.org, world.org.setup
        self.random = Random(seed)
        self.people = [one["id"] for one in world.org.users]
        self.touched: set[str] = set()
        self.number = 0

    def step(self) -> None:
        self.touched = set()
        for _ in range(self.random.randint(4, 8)):
            self.org.clock.advance(self.random.randint(3_000, 9_000))
            with self.setup.acting(self.random.choice(self.people)):
                self.random.choice((self.add, self.add, self.change, self.change, self.drop, self.automate))()

    def add(self) -> None:
        self.number += 1
        name = f"Made_{self.number}"
        sets = [row["Id"] for row in self.setup.rows("PermissionSet") if not row["IsOwnedByProfile"]]
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("PermissionSet", {"Name": name, "Label": name}),
            ("UserRole", {"Name": name, "DeveloperName": name}),
            ("Group", {"Name": name, "DeveloperName": name}),
            ("ApexClass", {"Name": name, "Body": f"public class {name} {{}}"}),
        ]
        for set_id in sets:
            taken = {
                r["SobjectType"] for r in self.setup.rows("ObjectPermissions") if r["ParentId"] == set_id
            }
            free = sorted({"Account", "Contact", "Case", "Lead"} - taken)
            if free:
                kinds.append(
                    (
                        "ObjectPermissions",
                        {"ParentId": set_id, "SobjectType": free[0], "PermissionsRead": True},
                    )
                )
            holders = {
                r["AssigneeId"]
                for r in self.setup.rows("PermissionSetAssignment")
                if r["PermissionSetId"] == set_id
            }
            others = sorted(set(self.people) - holders)
            if others:
                kinds.append(
                    ("PermissionSetAssignment", {"AssigneeId": others[0], "PermissionSetId": set_id})
                )
        self.touched.add(self.setup.put(*self.random.choice(kinds)))

    def change(self) -> None:
        kind, column, value = self.random.choice(
            (
                ("PermissionSet", "Label", f"Label {self.random.random()}"),
                ("UserRole", "Name", f"Role {self.random.random()}"),
                ("ApexClass", "Body", f"public class X {{ /* {self.random.random()} */ }}"),
                ("ObjectPermissions", "PermissionsEdit", self.random.random() < 0.5),
            )
        )
        found = self._free(kind)
        if found and found[column] != value:
            self.touched.add(found["Id"])
            self.setup.put(kind, {column: value}, found["Id"])

    def drop(self) -> None:
        kind = self.random.choice(
            ("PermissionSet", "UserRole", "ApexClass", "ObjectPermissions", "PermissionSetAssignment")
        )
        found = self._free(kind)
        below = {
            r["Id"]
            for k in ("ObjectPermissions", "PermissionSetAssignment")
            for r in self.setup.rows(k)
            if found and found["Id"] in (r.get("ParentId"), r.get("PermissionSetId"))
        }
        if found and not below & self.touched:
            self.touched |= {found["Id"], *below}
            self.setup.drop(kind, found["Id"])

    def automate(self) -> None:
        name = self.random.choice(("Flow_A", "Flow_B"))
        if name in self.touched:
            return
        self.touched.add(name)
        effects = ({"to": "self", "set": {"Rating": f"R{self.random.randint(1, 4)}"}},)
        self.org.automation.put(
            Trigger(name, "Account", effects, on=(Op.UPDATE,), active=self.random.random() < 0.7)
        )

    def _free(self, kind: str) -> dict[str, Any] | None:
        rows = [
            row
            for row in self.setup.rows(kind)
            if row["Id"] not in self.touched
            and row.get("ParentId") not in self.touched
            and not row.get("IsOwnedByProfile")
            and not row["Id"].startswith("0PaSm01")
            and row.get("ParentId") not in self._of_profiles()
        ]
        return self.random.choice(rows) if rows else None

    def _of_profiles(self) -> set[str]:
        return {row["Id"] for row in self.setup.rows("PermissionSet") if row["IsOwnedByProfile"]}


async def test_fifty_random_times_and_every_change_in_the_log(tmp_path: Path) -> None:
    async with recorded(tmp_path, members=("Account",), setup_interval_s=0.2) as world:
        await read_again(world)
        org, random = world.org, Random(23)
        script = Script(world, seed=23)
        begun, started = org.clock.now_ms(), len(org.setup.history)
        readings: list[int] = []
        steps: list[list[Fact]] = []
        for _ in range(STEPS):
            first = len(org.setup.history)
            script.step()
            await read_again(world)
            readings.append(org.clock.now_ms())
            steps.append(org.setup.history[first:])
            org.clock.advance(random.randint(30_000, 600_000))
        history = org.setup.history[started:]
        assert len(history) > 3 * STEPS
        assert any(fact.row is None for fact in history)
        times: list[int] = []
        while len(times) < TIMES:
            at = random.randint(begun, readings[-1])
            if not _unseen(at, history, readings):
                times.append(at)
        for at in times:
            assert different(world, at) == [], at
        _check_log(world, steps)


def _unseen(at: int, history: list[Fact], readings: list[int]) -> bool:
    """Whether a delete had happened at a time that no reading had found yet, or a change is too near."""
    for fact in history:
        if abs(fact.at - at) < NEAR_MS:
            return True
        found_by = readings[bisect.bisect_left(readings, fact.at)]
        if fact.row is None and fact.at <= at <= found_by:
            return True
    return False


def _check_log(world: World, steps: list[list[Fact]]) -> None:
    logged: dict[tuple[str, str, str], list[tuple[str | None, int]]] = {}
    asked = (
        'SELECT c.entity, c.record_id, s.action, s.user_id, epoch_ms(s."at") FROM setup_changes s'
        " JOIN changes c USING (seq) WHERE s.source = 'compared'"
    )
    for kind, record_id, action, user_id, at in world.sql(asked):
        logged.setdefault((kind, record_id, action), []).append((user_id, at))
    before: dict[str, dict[str, Any] | None] = {}
    checked = 0
    for facts in steps:
        for fact in {(one.kind, one.id): one for one in facts}.values():  # the last of a step
            earlier = before.get(fact.id)
            now = None if fact.row is None else {k: v for k, v in fact.row.items() if k not in IGNORED}
            before[fact.id] = now
            if now == earlier:
                continue
            action = "deleted" if now is None else "created" if earlier is None else "changed"
            entries = logged.get((fact.kind, fact.id, action), [])
            near = [(user, at) for user, at in entries if abs(at - fact.at) < NEAR_MS]
            assert near, (fact, action, entries)
            assert {user for user, _ in near} == {fact.user_id}, (fact, near)
            checked += 1
    assert checked > 2 * len(steps)
