"""The people, integrations and records an org has before anything happens."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from connectors.simulator.clock import DAY_MS
from connectors.simulator.derived import derived
from connectors.simulator.invented import BUSINESS_RECORD_TYPE, PERSON_RECORD_TYPE, Inventor
from connectors.simulator.org import SimulatedOrg

UI_ORIGIN = "com/salesforce/api/soap/66.0"
UI_CLIENT = "SfdcInternalAPI/"
REST_ORIGIN = "com/salesforce/api/rest/66.0"
BULK_ORIGIN = "com/salesforce/api/bulkapi/66.0"

PEOPLE = (("sales", 0.5), ("service", 0.32), ("marketing", 0.1), ("operations", 0.08))
"""Roles of people and their share of the users."""

RECORD_SHARES = (
    ("Account", 0.2),
    ("Contact", 0.22),
    ("Lead", 0.1),
    ("Opportunity", 0.28),
    ("Case", 0.11),
    ("Shipment__c", 0.09),
)
PERSON_ACCOUNT_SHARE = 0.04

HISTORY_DAYS = 700
"""The oldest record was made so long ago."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and through what."""

    user_id: str
    name: str
    role: str
    origin: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class Staff:
    """Everybody who changes something in an org."""

    people: tuple[Actor, ...]
    erp: Actor
    marketing_hub: Actor
    loader: Actor
    automation: Actor
    geocoder: Actor

    def with_role(self, role: str) -> tuple[Actor, ...]:
        return tuple(actor for actor in self.people if actor.role == role)

    def everyone(self) -> tuple[Actor, ...]:
        machines = (self.erp, self.marketing_hub, self.loader, self.automation, self.geocoder)
        return (*self.people, *machines)


def hire(org: SimulatedOrg, users: int) -> Staff:
    """Users of every role, `users` in all, and the integrations among them."""
    machines = {
        "erp": _machine(org, "ERP Integration", "integration", REST_ORIGIN, "ErpSync/4.2"),
        "marketing_hub": _machine(org, "Marketing Hub", "integration", REST_ORIGIN, "MarketingHub"),
        "loader": _machine(org, "Warehouse Loader", "integration", BULK_ORIGIN, "WarehouseLoader"),
        "automation": _machine(org, "Automated Process", "automation", "", ""),
        "geocoder": _machine(org, "Data Integration", "automation", "", ""),
    }
    left = max(len(PEOPLE), users - len(org.users))
    people: list[Actor] = []
    for role, share in PEOPLE:
        for count in range(1, max(1, round(left * share)) + 1):
            name = f"{role.title()} User {count:02d}"
            people.append(Actor(org.add_user(name, role=role), name, role, UI_ORIGIN, UI_CLIENT))
    return Staff(people=tuple(people), **machines)


def _machine(org: SimulatedOrg, name: str, role: str, origin: str, client: str) -> Actor:
    return Actor(org.add_user(name, role=role, profile="Integration"), name, role, origin, client)


class Population:
    """Fills an org with records that refer to each other."""

    def __init__(self, org: SimulatedOrg, staff: Staff, random: Random) -> None:
        self._org = org
        self._staff = staff
        self._random = random
        self._invent = Inventor(random)

    def fill(self, records: int) -> None:
        """About `records` records besides the users."""
        for entity, share in RECORD_SHARES:
            make = getattr(self, f"_{entity.removesuffix('__c').lower()}")
            for _ in range(round(records * share)):
                role = "service" if entity == "Case" else "sales"
                owner = self._random.choice(self._staff.with_role(role))
                at_ms = self._org.started_at - int(self._random.random() * HISTORY_DAYS * DAY_MS)
                make(owner, at_ms - at_ms % 1000)

    def _load(
        self, entity: str, values: dict[str, Any], owner: Actor, at_ms: int, record_id: str = ""
    ) -> str:
        values = {**values, "OwnerId": owner.user_id}
        values.update(derived(entity, {}, values, at_ms))
        return self._org.load(entity, values, at_ms=at_ms, user_id=owner.user_id, record_id=record_id)

    def _some(self, entity: str) -> str | None:
        record = self._org.entities[entity].records.pick(self._random)
        return record.id if record is not None else None

    def _account(self, owner: Actor, at_ms: int) -> None:
        if self._random.random() < PERSON_ACCOUNT_SHARE:
            self._person_account(owner, at_ms)
            return
        self._load("Account", account_values(self._org, self._invent, at_ms), owner, at_ms)

    def _person_account(self, owner: Actor, at_ms: int) -> None:
        account_id, contact_id = self._org.new_id("Account"), self._org.new_id("Contact")
        name = self._invent.contact_name("Customer")
        email = self._invent.email()
        account = {
            **name,
            **self._invent.address("BillingAddress", geocoded=True),
            "RecordTypeId": PERSON_RECORD_TYPE,
            "PersonContactId": contact_id,
            "PersonEmail": email,
            "Phone": self._invent.phone(),
        }
        self._load("Account", account, owner, at_ms, account_id)
        self._load("Contact", {**name, "AccountId": account_id, "Email": email}, owner, at_ms, contact_id)

    def _contact(self, owner: Actor, at_ms: int) -> None:
        values = contact_values(self._org, self._invent, at_ms)
        self._load("Contact", {**values, "AccountId": self._some("Account")}, owner, at_ms)

    def _lead(self, owner: Actor, at_ms: int) -> None:
        self._load("Lead", lead_values(self._org, self._invent), owner, at_ms)

    def _opportunity(self, owner: Actor, at_ms: int) -> None:
        values = opportunity_values(self._org, self._invent, at_ms)
        values["StageName"] = self._invent.pick(self._org.entities["Opportunity"], "StageName")
        self._load("Opportunity", {**values, "AccountId": self._some("Account")}, owner, at_ms)

    def _case(self, owner: Actor, at_ms: int) -> None:
        values = case_values(self._org, self._invent)
        values["Status"] = self._invent.pick(self._org.entities["Case"], "Status")
        values["CaseNumber"] = f"{self._invent.number():08d}"
        refers = {"AccountId": self._some("Account"), "ContactId": self._some("Contact")}
        self._load("Case", {**values, **refers}, owner, at_ms)

    def _shipment(self, owner: Actor, at_ms: int) -> None:
        values = shipment_values(self._org, self._invent, at_ms)
        self._load("Shipment__c", {**values, "Account__c": self._some("Account")}, owner, at_ms)


def account_values(org: SimulatedOrg, invent: Inventor, now_ms: int) -> dict[str, Any]:
    """Values of a new business account."""
    entity = org.entities["Account"]
    return {
        "Name": invent.company(),
        "RecordTypeId": BUSINESS_RECORD_TYPE,
        "Type": invent.pick(entity, "Type"),
        "Industry": invent.pick(entity, "Industry"),
        "Phone": invent.phone(),
        "AccountNumber": f"A-{invent.number():06d}",
        "Website": f"https://www.example.com/{invent.number()}",
        "AnnualRevenue": invent.money(50_000, 90_000_000),
        "NumberOfEmployees": invent.random.randint(3, 9_000),
        "Rating": invent.pick(entity, "Rating"),
        "Segment__c": invent.pick(entity, "Segment__c"),
        "SLA__c": invent.pick(entity, "SLA__c"),
        "Active__c": invent.random.random() < 0.8,
        "Credit_Limit__c": invent.money(1_000, 500_000),
        "Health_Score__c": round(invent.random.uniform(10, 100), 1),
        "Renewal_Date__c": invent.day(now_ms, 30, 700),
        "Products__c": "Core;Support" if invent.random.random() < 0.5 else "Core",
        "Erp_Number__c": f"E{invent.number():08d}",
        "Description": invent.sentence(),
        **invent.address("BillingAddress", geocoded=True),
    }


def contact_values(org: SimulatedOrg, invent: Inventor, now_ms: int) -> dict[str, Any]:
    """Values of a new contact."""
    entity = org.entities["Contact"]
    return {
        **invent.contact_name(),
        "Email": invent.email(),
        "Phone": invent.phone(),
        "MobilePhone": invent.phone(),
        "Title": invent.title(),
        "Department": invent.department(),
        "LeadSource": invent.pick(entity, "LeadSource"),
        "Level__c": invent.pick(entity, "Level__c"),
        "Languages__c": "English;German" if invent.random.random() < 0.3 else "English",
        "Birthdate": invent.day(now_ms, -22_000, -8_000),
        **invent.address("MailingAddress"),
    }


def lead_values(org: SimulatedOrg, invent: Inventor) -> dict[str, Any]:
    """Values of a new lead."""
    entity = org.entities["Lead"]
    return {
        **invent.contact_name("Prospect"),
        "Company": invent.company(),
        "Title": invent.title(),
        "Email": invent.email(),
        "Phone": invent.phone(),
        "LeadSource": invent.pick(entity, "LeadSource"),
        "Status": "Open - Not Contacted",
        "Industry": invent.pick(entity, "Industry"),
        "Score__c": float(invent.random.randint(0, 100)),
        "IsUnreadByOwner": True,
        **invent.address("Address"),
    }


def opportunity_values(org: SimulatedOrg, invent: Inventor, now_ms: int) -> dict[str, Any]:
    """Values of a new opportunity."""
    entity = org.entities["Opportunity"]
    return {
        "Name": invent.sentence(),
        "StageName": "Prospecting",
        "Amount": invent.money(1_000, 400_000),
        "CloseDate": invent.day(now_ms, 10, 180),
        "Type": invent.pick(entity, "Type"),
        "LeadSource": invent.pick(entity, "LeadSource"),
        "NextStep": invent.sentence(),
        "TotalOpportunityQuantity": float(invent.random.randint(1, 500)),
        "Margin__c": round(invent.random.uniform(5, 60), 1),
    }


def case_values(org: SimulatedOrg, invent: Inventor) -> dict[str, Any]:
    """Values of a new case."""
    entity = org.entities["Case"]
    return {
        "Subject": invent.sentence(),
        "Status": "New",
        "Origin": invent.pick(entity, "Origin"),
        "Priority": invent.pick(entity, "Priority"),
        "Type": invent.pick(entity, "Type"),
        "Reason": invent.pick(entity, "Reason"),
        "Product__c": invent.pick(entity, "Product__c"),
        "Description": f"{invent.sentence()}.\r\n{invent.sentence()}.",
    }


def shipment_values(org: SimulatedOrg, invent: Inventor, now_ms: int) -> dict[str, Any]:
    """Values of a new shipment."""
    entity = org.entities["Shipment__c"]
    latitude, longitude = invent.coordinates()
    return {
        "Name": f"S-{invent.number():06d}",
        "Status__c": "Planned",
        "Weight__c": round(invent.random.uniform(1, 4_000), 1),
        "Freight__c": invent.money(20, 9_000),
        "Ship_Date__c": invent.day(now_ms, 0, 14),
        "Cutoff__c": invent.random.randrange(20) * 3_600_000,
        "Depot__c.Latitude": latitude,
        "Depot__c.Longitude": longitude,
        "Carrier__c": invent.pick(entity, "Carrier__c"),
        "Handling__c": invent.value(entity, entity.leaves["Handling__c"], now_ms),
        "Tracking_Url__c": f"https://www.example.com/track/{invent.number()}",
        "Insured__c": invent.random.random() < 0.3,
        "Erp_Key__c": f"K{invent.number():08d}",
    }
