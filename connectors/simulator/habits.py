"""What people and integrations do in an org on ordinary days: one method, one action, one or a few transactions.

Each action returns how many records it changed. They are drawn by weight (`HABITS`), by role.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Any

from connectors.simulator.clock import DAY_MS, SECOND_MS
from connectors.simulator.derived import STAGES
from connectors.simulator.entities import Entity, Record
from connectors.simulator.errors import OrgError
from connectors.simulator.invented import Inventor
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.population import (
    Actor,
    Staff,
    account_values,
    case_values,
    contact_values,
    lead_values,
    opportunity_values,
    shipment_values,
)

_OPEN_STAGES = tuple(name for name, stage in STAGES.items() if not stage.closed)
_TRIES_MAX = 12

Action = Callable[[Actor], int]

HABITS: dict[str, dict[str, int]] = {
    "sales": {
        "progress_opportunity": 26,
        "edit_opportunity": 26,
        "create_opportunity": 5,
        "edit_list": 1,
        "create_contact": 4,
        "edit_contact": 14,
        "create_account": 1,
        "edit_account": 12,
        "move_account": 3,
        "log_activity": 10,
        "convert_lead": 2,
    },
    "service": {
        "create_case": 18,
        "work_case": 40,
        "close_case": 20,
        "reopen_case": 3,
        "escalate_case": 4,
        "edit_contact": 10,
        "log_activity": 10,
    },
    "marketing": {"create_lead": 12, "edit_lead": 26, "mark_campaign": 2, "edit_contact": 6},
    "operations": {
        "reassign_accounts": 3,
        "delete_record": 8,
        "undelete_record": 3,
        "edit_account": 10,
        "edit_user": 2,
        "edit_lead": 6,
    },
    "erp": {"sync_shipments": 6, "create_shipment": 2, "sync_credit": 2},
    "marketing_hub": {"score_leads": 3, "create_lead": 4, "edit_contact": 1},
    "load": {
        "change_anything": 90,
        "create_lead": 5,
        "create_case": 3,
        "delete_record": 1,
        "undelete_record": 1,
    },
}
"""Role -> action -> weight."""


class Habits:
    """The actions. `random` decides everything; the clock stands where the action happens."""

    def __init__(self, org: SimulatedOrg, staff: Staff, random: Random) -> None:
        self._org = org
        self._staff = staff
        self.random = random
        self._invent = Inventor(random)
        self._recently_deleted: list[tuple[str, str]] = []
        self._entity_of = {entity.key_prefix: name for name, entity in org.entities.items()}
        self._writable = {name: _writable_paths(entity) for name, entity in org.entities.items()}
        self.by_role: dict[str, tuple[tuple[Action, ...], tuple[int, ...]]] = {
            role: (tuple(getattr(self, name) for name in names), tuple(accumulate(names.values())))
            for role, names in HABITS.items()
        }

    def act(self, actor: Actor, role: str) -> int:
        """One action of a role, drawn by weight. What a trigger refuses is given up."""
        actions, weights = self.by_role[role]
        try:
            return self.random.choices(actions, cum_weights=weights)[0](actor)
        except OrgError:
            return 0

    # Sales

    def progress_opportunity(self, actor: Actor) -> int:
        record = self._find("Opportunity", lambda one: one.values.get("StageName") in _OPEN_STAGES)
        if record is None:
            return self.create_opportunity(actor)
        at = _OPEN_STAGES.index(record.values["StageName"])
        if at + 1 < len(_OPEN_STAGES) and self.random.random() < 0.8:
            values: dict[str, Any] = {"StageName": _OPEN_STAGES[at + 1]}
        else:
            values = {"StageName": "Closed Won" if self.random.random() < 0.45 else "Closed Lost"}
            values["CloseDate"] = self._today()
            values["NextStep"] = None
        if self.random.random() < 0.3:
            values["Amount"] = self._invent.money(1_000, 400_000)
        return self._update(actor, record, values)

    def edit_opportunity(self, actor: Actor) -> int:
        record = self._find("Opportunity", lambda one: not one.values.get("IsClosed"))
        if record is None:
            return 0
        values: dict[str, Any] = {"NextStep": self._invent.sentence()}
        draw = self.random.random()
        if draw < 0.4:
            values["CloseDate"] = self._invent.day(self._now(), 5, 120)
        elif draw < 0.7:
            values["Amount"] = self._invent.money(1_000, 400_000)
        elif draw < 0.8:
            values["Margin__c"] = round(self.random.uniform(5, 60), 1)
        elif draw < 0.9:
            values["Competitor__c"] = self._invent.company() if self.random.random() < 0.7 else None
        return self._update(actor, record, values)

    def create_opportunity(self, actor: Actor) -> int:
        values = opportunity_values(self._org, self._invent, self._now())
        values["AccountId"] = self._id("Account")
        return self._create(actor, "Opportunity", values)

    def edit_list(self, actor: Actor) -> int:
        """A list view: one value for several opportunities at once."""
        records = [
            record
            for record in self._sample("Opportunity", self.random.randint(4, 22))
            if not record.values.get("IsClosed")
        ]
        return self._update_all(
            actor, records, {"Delivery_Status__c": self._pick("Opportunity", "Delivery_Status__c")}
        )

    def create_contact(self, actor: Actor) -> int:
        values = contact_values(self._org, self._invent, self._now())
        return self._create(actor, "Contact", {**values, "AccountId": self._id("Account")})

    def edit_contact(self, actor: Actor) -> int:
        record = self._any("Contact")
        if record is None:
            return 0
        choices: tuple[dict[str, Any], ...] = (
            {"Phone": self._invent.phone(), "Title": self._invent.title()},
            {"Email": self._invent.email()},
            {"Department": self._invent.department(), "Level__c": self._pick("Contact", "Level__c")},
            {"HasOptedOutOfEmail": not record.values.get("HasOptedOutOfEmail", False)},
            {"MobilePhone": None, "DoNotCall": True},
            {"Description": self._invent.sentence(), "Languages__c": "English;French"},
        )
        return self._update(actor, record, self.random.choice(choices))

    def create_account(self, actor: Actor) -> int:
        """An account with its first contact, in one transaction."""
        account_id = self._org.new_id("Account")
        contact = {**contact_values(self._org, self._invent, self._now()), "AccountId": account_id}
        return self._commit(
            actor,
            [
                Change(
                    "Account", Op.CREATE, account_id, account_values(self._org, self._invent, self._now())
                ),
                Change("Contact", Op.CREATE, None, contact),
            ],
        )

    def edit_account(self, actor: Actor) -> int:
        record = self._any("Account")
        if record is None:
            return 0
        if "Name.LastName" in record.values:
            return self._edit_person(actor, record)
        choices: tuple[dict[str, Any], ...] = (
            {"Industry": self._pick("Account", "Industry")},
            {"Rating": self._pick("Account", "Rating"), "Customer_Priority__c": "High"},
            {"Phone": self._invent.phone(), "Fax": None},
            {"Type": self._pick("Account", "Type"), "SLA__c": self._pick("Account", "SLA__c")},
            {"Description": self._invent.sentence(), "Site": None},
            {"Renewal_Date__c": self._invent.day(self._now(), 30, 700), "Active__c": True},
            {"Products__c": "Core;Analytics", "Health_Score__c": round(self.random.uniform(10, 100), 1)},
            {"Name": self._invent.company()},
        )
        return self._update(actor, record, self.random.choice(choices))

    def _edit_person(self, actor: Actor, account: Record) -> int:
        """A person account is two records: both change in one transaction (protocol 2.8)."""
        email = self._invent.email()
        contact_id = account.values.get("PersonContactId", "")
        contact = self._org.entities["Contact"].records.get(contact_id)
        changes = [Change("Account", Op.UPDATE, account.id, {"PersonEmail": email})]
        if contact is not None and not contact.deleted:
            changes.append(Change("Contact", Op.UPDATE, contact.id, {"Email": email}))
        return self._commit(actor, changes)

    def move_account(self, actor: Actor) -> int:
        """A new address, and a little later the geocoding of it by another user without a stamp."""
        record = self._any("Account")
        if record is None:
            return 0
        changed = self._update(actor, record, self._invent.address("BillingAddress"))
        self._org.clock.advance(self.random.randint(1, 9) * SECOND_MS)
        latitude, longitude = self._invent.coordinates()
        geocoded = {"BillingAddress.Latitude": latitude, "BillingAddress.Longitude": longitude}
        geocoder = self._staff.geocoder
        self._org.commit(
            [Change("Account", Op.UPDATE, record.id, geocoded)], user_id=geocoder.user_id, stamped=False
        )
        return changed + 1

    def log_activity(self, actor: Actor) -> int:
        """A call or a meeting: moves LastActivityDate and a formula, which publish nothing."""
        if self._org.knobs.silent_values:
            for entity in ("Account", "Contact", "Opportunity"):
                record = self._any(entity)
                if record is not None:
                    values: dict[str, Any] = {"LastActivityDate": self._today()}
                    if entity == "Account":
                        values["Open_Days__c"] = float(self.random.randint(0, 400))
                    self._org.set_silently(entity, record.id, values)
        return 0

    def convert_lead(self, actor: Actor) -> int:
        """Account, contact and opportunity come, the lead changes: four events of one transaction."""
        lead = self._find("Lead", lambda one: not one.values.get("IsConverted"))
        if lead is None:
            return 0
        new_ids = {entity: self._org.new_id(entity) for entity in ("Account", "Contact", "Opportunity")}
        name = {
            path: lead.values.get(path) for path in ("Name.Salutation", "Name.FirstName", "Name.LastName")
        }
        opportunity = {
            **opportunity_values(self._org, self._invent, self._now()),
            "AccountId": new_ids["Account"],
            "ContactId": new_ids["Contact"],
        }
        contact = {**name, "AccountId": new_ids["Account"], "Email": lead.values.get("Email")}
        converted = {
            "Status": "Closed - Converted",
            "IsConverted": True,
            "ConvertedDate": self._today(),
            "ConvertedAccountId": new_ids["Account"],
            "ConvertedContactId": new_ids["Contact"],
            "ConvertedOpportunityId": new_ids["Opportunity"],
        }
        return self._commit(
            actor,
            [
                Change("Account", Op.CREATE, new_ids["Account"], {"Name": lead.values.get("Company")}),
                Change("Contact", Op.CREATE, new_ids["Contact"], contact),
                Change("Opportunity", Op.CREATE, new_ids["Opportunity"], opportunity),
                Change("Lead", Op.UPDATE, lead.id, converted),
            ],
        )

    # Service

    def create_case(self, actor: Actor) -> int:
        refers = {"AccountId": self._id("Account"), "ContactId": self._id("Contact")}
        return self._create(actor, "Case", {**case_values(self._org, self._invent), **refers})

    def work_case(self, actor: Actor) -> int:
        record = self._find("Case", lambda one: not one.values.get("IsClosed"))
        if record is None:
            return self.create_case(actor)
        values: dict[str, Any] = {"Status": self.random.choice(("Working", "Waiting on Customer", "Working"))}
        draw = self.random.random()
        if draw < 0.3:
            values["Comments"] = self._invent.sentence()
        elif draw < 0.5:
            values["Priority"] = self._pick("Case", "Priority")
        elif draw < 0.6:
            values["First_Response__c"] = self._now() % DAY_MS // SECOND_MS * SECOND_MS
        return self._update(actor, record, values)

    def close_case(self, actor: Actor) -> int:
        record = self._find("Case", lambda one: not one.values.get("IsClosed"))
        if record is None:
            return 0
        return self._update(actor, record, {"Status": "Closed", "Reason": self._pick("Case", "Reason")})

    def reopen_case(self, actor: Actor) -> int:
        record = self._find("Case", lambda one: bool(one.values.get("IsClosed")))
        return 0 if record is None else self._update(actor, record, {"Status": "Working"})

    def escalate_case(self, actor: Actor) -> int:
        record = self._find("Case", lambda one: not one.values.get("IsEscalated"))
        if record is None:
            return 0
        return self._update(actor, record, {"IsEscalated": True, "Status": "Escalated", "Priority": "High"})

    # Marketing

    def create_lead(self, actor: Actor) -> int:
        return self._create(actor, "Lead", lead_values(self._org, self._invent))

    def edit_lead(self, actor: Actor) -> int:
        record = self._find("Lead", lambda one: not one.values.get("IsConverted"))
        if record is None:
            return 0
        values: dict[str, Any] = {"Status": "Working - Contacted", "IsUnreadByOwner": False}
        if self.random.random() < 0.4:
            values["Rating"] = self._pick("Lead", "Rating")
        return self._update(actor, record, values)

    def mark_campaign(self, actor: Actor) -> int:
        code = f"C-{self._invent.number():04d}"
        records = self._sample("Lead", self.random.randint(6, 34))
        return self._update_all(actor, records, {"Campaign_Code__c": code})

    # Operations

    def reassign_accounts(self, actor: Actor) -> int:
        owner = self.random.choice(self._staff.with_role("sales"))
        records = self._sample("Account", self.random.randint(2, 26))
        return self._update_all(actor, records, {"OwnerId": owner.user_id})

    def delete_record(self, actor: Actor) -> int:
        entity = self.random.choice(("Lead", "Lead", "Contact", "Opportunity", "Shipment__c", "Account"))
        record = self._any(entity)
        if record is None:
            return 0
        self._recently_deleted.append((entity, record.id))
        del self._recently_deleted[:-50]
        return self._commit(actor, [Change(entity, Op.DELETE, record.id)])

    def undelete_record(self, actor: Actor) -> int:
        while self._recently_deleted:
            at = self.random.randrange(len(self._recently_deleted))
            entity, record_id = self._recently_deleted.pop(at)
            record = self._org.entities[entity].records.get(record_id)
            if record is not None and record.deleted:
                return self._commit(actor, [Change(entity, Op.UNDELETE, record_id)])
        return 0

    def edit_user(self, actor: Actor) -> int:
        record = self._any("User")
        values = {"Title": self._invent.title(), "Division": self._invent.department()}
        return 0 if record is None else self._update(actor, record, values)

    # Integrations

    def sync_shipments(self, actor: Actor) -> int:
        """Some shipments move on; each has a status of its own, so no two merge by accident."""
        changes = []
        for record in self._sample("Shipment__c", self.random.randint(1, 5)):
            values: dict[str, Any] = {"Status__c": self._pick("Shipment__c", "Status__c")}
            if values["Status__c"] == "Delivered":
                values["Delivered_At__c"] = self._now() // SECOND_MS * SECOND_MS
            elif self.random.random() < 0.3:
                latitude, longitude = self._invent.coordinates()
                values["Destination__c.Latitude"] = latitude
                values["Destination__c.Longitude"] = longitude
            changes.append(Change("Shipment__c", Op.UPDATE, record.id, values))
        return self._commit(actor, changes)

    def create_shipment(self, actor: Actor) -> int:
        values = shipment_values(self._org, self._invent, self._now())
        return self._create(actor, "Shipment__c", {**values, "Account__c": self._id("Account")})

    def sync_credit(self, actor: Actor) -> int:
        record = self._any("Account")
        if record is None:
            return 0
        values = {
            "Credit_Limit__c": self._invent.money(1_000, 500_000),
            "Erp_Number__c": f"E{self._invent.number():08d}",
        }
        return self._update(actor, record, values)

    def score_leads(self, actor: Actor) -> int:
        records = self._sample("Lead", self.random.randint(3, 18))
        return self._commit(
            actor,
            [
                Change("Lead", Op.UPDATE, record.id, {"Score__c": float(self.random.randint(0, 100))})
                for record in records
            ],
        )

    def load_figures(self, actor: Actor, records: int = 100, chunk: int = 200) -> int:
        """The nightly job: figures of many accounts, in chunks of one transaction each."""
        changed = 0
        chosen = self._sample("Account", records)
        for start in range(0, len(chosen), chunk):
            changed += self._commit(
                actor,
                [
                    Change(
                        "Account",
                        Op.UPDATE,
                        record.id,
                        {
                            "AnnualRevenue": self._invent.money(50_000, 90_000_000),
                            "NumberOfEmployees": self.random.randint(3, 9_000),
                        },
                    )
                    for record in chosen[start : start + chunk]
                ],
            )
            self._org.clock.advance(self.random.randint(1, 4) * SECOND_MS)
        return changed

    def flag_overdue(self, actor: Actor, records: int = 30) -> int:
        """The scheduled flow: one flag on several cases."""
        chosen = self._sample("Case", records)
        return self._update_all(actor, chosen, {"Sla_Violation__c": self.random.random() < 0.6})

    def change_anything(self, actor: Actor) -> int:
        """One record and a handful of its fields, whatever they are: for load."""
        entity = self._org.entities[
            self.random.choice(("Account", "Account", "Contact", "Lead", "Opportunity", "Case"))
        ]
        record = entity.records.pick(self.random)
        if record is None:
            return 0
        paths = self._writable[entity.name]
        now = self._now()
        values = {
            path: None
            if self.random.random() < 0.05
            else self._invent.value(entity, entity.leaves[path], now)
            for path in self.random.sample(paths, 5)
        }
        return self._update(actor, record, values)

    # How

    def _now(self) -> int:
        return self._org.clock.now_ms()

    def _today(self) -> int:
        return self._now() // DAY_MS * DAY_MS

    def _pick(self, entity: str, path: str) -> str:
        return self._invent.pick(self._org.entities[entity], path)

    def _any(self, entity: str) -> Record | None:
        return self._org.entities[entity].records.pick(self.random)

    def _id(self, entity: str) -> str | None:
        record = self._any(entity)
        return record.id if record is not None else None

    def _find(self, entity: str, fits: Callable[[Record], bool]) -> Record | None:
        """Some record that fits, or none after a few tries."""
        for _ in range(_TRIES_MAX):
            record = self._any(entity)
            if record is not None and fits(record):
                return record
        return None

    def _sample(self, entity: str, count: int) -> list[Record]:
        return self._org.entities[entity].records.sample(self.random, count)

    def _create(self, actor: Actor, entity: str, values: dict[str, Any]) -> int:
        return self._commit(actor, [Change(entity, Op.CREATE, None, values)])

    def _update(self, actor: Actor, record: Record, values: dict[str, Any]) -> int:
        return self._commit(actor, [Change(self._entity_of[record.id[:3]], Op.UPDATE, record.id, values)])

    def _update_all(self, actor: Actor, records: Sequence[Record], values: dict[str, Any]) -> int:
        if not records:
            return 0
        entity = self._entity_of[records[0].id[:3]]
        return self._commit(actor, [Change(entity, Op.UPDATE, record.id, values) for record in records])

    def _commit(self, actor: Actor, changes: list[Change]) -> int:
        if not changes:
            return 0
        committed = self._org.commit(changes, user_id=actor.user_id, origin=actor.origin, client=actor.client)
        return len(committed.record_ids)


def _writable_paths(entity: Entity) -> tuple[str, ...]:
    """Fields that nothing else follows from: what a load may set to anything."""
    return tuple(
        path
        for path, leaf in entity.leaves.items()
        if leaf.field.updateable
        and leaf.field.in_events
        and not leaf.field.required
        and not leaf.field.parts
        and leaf.described not in ("reference", "boolean")
        and leaf.avro != "names"
        and leaf.field.name not in ("Status", "Amount", "Probability", "ForecastCategoryName")
    )
