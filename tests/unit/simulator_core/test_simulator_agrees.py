"""The truth and the org agree after any history of writes: nothing happens to a record that the truth does not tell."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs
from connectors.simulator.merging import merge_changes
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SYSTEM, SimulatedOrg
from connectors.simulator.saving import Caller
from connectors.simulator.standard_automation import add_standard
from connectors.simulator.truth import canonical_text
from connectors.simulator.workload import Workload
from tests.unit.simulator_core.org_reader import quiet_org

ENTITIES = ("Account", "Contact", "Opportunity", "Case", "Lead", "Shipment__c")
STEPS = 250
HISTORIES = int(os.environ.get("CDC_TEST_HISTORIES", "12"))


class Life:
    """One seeded history of writes by every way there is."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        knobs = replace(
            Knobs.cruel(), hidden_fields=(), lookups_cleared=self.random.random() < 0.5, lock_share=0.05
        )
        self.org: SimulatedOrg = quiet_org(knobs, seed)
        Workload(self.org, users=8, records=300).populate()
        add_standard(self.org)
        self.org.automation.add(
            "trigger",
            {"name": "Chain", "entity": "Contact", "on": ["CREATE", "UPDATE", "DELETE"],
             "effects": [{"to": "parent:AccountId", "set": {"NumberOfEmployees": {"add": 1}}}]},
        )  # fmt: skip

    def step(self) -> None:
        self.org.clock.advance(self.random.randrange(2_000))
        try:
            getattr(
                self, self.random.choice(("save", "save", "save", "merge", "all_or_none", "tree", "wait"))
            )()
        except OrgError:
            pass

    def ids(self, entity: str, *, deleted: bool) -> list[str]:
        return sorted(one.id for one in self.org.entities[entity].records if one.deleted == deleted)

    def change(self) -> Change:
        entity = self.random.choice(ENTITIES)
        op = self.random.choice([*Op, Op.UPDATE, Op.UPDATE, Op.UNDELETE])
        if op is Op.CREATE:
            required: dict[str, dict[str, Any]] = {
                "Account": {"Name": "New"},
                "Contact": {"Name.LastName": "New"},
                "Lead": {"Name.LastName": "New", "Company": "New"},
                "Opportunity": {"Name": "New", "StageName": "Prospecting", "CloseDate": 0},
            }
            return Change(entity, op, None, {**required.get(entity, {}), **self.reference(entity)})
        ids = self.ids(entity, deleted=op is Op.UNDELETE)
        record_id = self.random.choice(ids) if ids else "001000000000000AAA"
        values = self.reference(entity) if op is Op.UPDATE else {}
        if op is Op.UPDATE and self.random.random() < 0.5:
            text = {"Account": "Phone", "Opportunity": "NextStep", "Case": "Subject"}.get(
                entity, "LastModifiedById"
            )
            values = {**values, **({text: str(self.random.random())} if text != "LastModifiedById" else {})}
        return Change(entity, op, record_id, values)

    def reference(self, entity: str) -> dict[str, Any]:
        path = {
            "Contact": "AccountId",
            "Opportunity": "AccountId",
            "Case": "AccountId",
            "Shipment__c": "Account__c",
        }
        if entity not in path or self.random.random() < 0.3:
            return {}
        accounts = self.ids("Account", deleted=False)
        return {path[entity]: self.random.choice([*accounts[:5], None]) if accounts else None}

    def save(self) -> None:
        changes = [self.change() for _ in range(self.random.randint(1, 6))]
        self.org.saver.save(
            changes, Caller(self.org.administrator_id), all_or_none=self.random.random() < 0.3
        )

    def merge(self) -> None:
        ids = self.ids("Account", deleted=False)
        master, loser = self.random.sample(ids, 2)
        changes = merge_changes(self.org, "Account", master, [loser], {"Phone": "merged"})
        self.org.commit(changes, user_id=self.org.administrator_id)

    def all_or_none(self) -> None:
        """Several transactions that are taken back, or are not."""
        with self.org.held_back() as undo:
            for _ in range(3):
                self.save()
            if self.random.random() < 0.6:
                undo.take_back()

    def tree(self) -> None:
        account = self.org.new_id("Account")
        children = [Change("Contact", Op.CREATE, None, {"Name.LastName": "Kid", "AccountId": account})]
        self.org.commit(
            [Change("Account", Op.CREATE, account, {"Name": "Tree"}), *children],
            user_id=self.org.administrator_id,
        )

    def wait(self) -> None:
        self.org.clock.advance(self.random.choice((60_000, DAY_MS)))


def check(org: SimulatedOrg) -> None:
    """Every record's values, deletion, and what is found by reference."""
    for name in ENTITIES:
        entity = org.entities[name]
        paths = org.live_paths(name)
        truth = org.truth.state(name)
        present = {one for one, state in truth.items() if state.status == "present"}
        assert present == set(entity.records.live_ids()), name
        for record_id in present:
            record = entity.records.get(record_id)
            assert record is not None
            person = "Name.LastName" in record.values
            for path in paths:
                if person and path == "Name":
                    continue
                leaf = entity.leaves[path]
                have = canonical_text(leaf.described, leaf.avro, record.values.get(path))
                assert have == truth[record_id].fields[path], (name, record_id, path)
    contacts = org.entities["Contact"].records
    for account in org.entities["Account"].records.live_ids():
        by_scan = sorted(
            one.id for one in contacts if not one.deleted and one.values.get("AccountId") == account
        )
        assert contacts.referring("AccountId", account) == by_scan
    rows = org.query("SELECT Id FROM Contact", as_user=SYSTEM)
    assert rows.total == len(contacts)


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_truth_and_the_org_agree_after_any_history(seed: int) -> None:
    life = Life(seed)
    for _ in range(STEPS):
        life.step()
    check(life.org)
