"""A seeded org: its users, its records, what its fields hold, and the numbers that go on counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tests.scenario.blocks import I64, ORIGINS, Block, Values, Written, joined, picked

PREFIX = {
    "Account": "001",
    "Contact": "003",
    "Opportunity": "006",
    "Lead": "00Q",
    "Case": "500",
    "Task": "00T",
    "Asset__c": "a0A",
    "User": "005",
}
STAGES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal",
    "Negotiation",
    "Closed Won",
    "Closed Lost",
)
SPECIAL = ("admin", "erp", "marketing", "privacy", "automation", "migration", "newcomer", "shared")
CHILDREN = {"Account": ("Contact", "Opportunity", "Case"), "Contact": ("Task",)}


class Org:
    """Numbers, not texts: users are places in `user_ids`, records places in an entity's id space."""

    def __init__(self, seed: int, users: int, records: dict[str, int], scale: int) -> None:
        self.random = np.random.default_rng(seed)
        self.people = users
        self.user_ids = pa.array(
            [f"005{n:012d}AAA" for n in range(users)] + [f"005S{n:011d}AAA" for n in range(len(SPECIAL))]
        )
        self.special = {name: users + at for at, name in enumerate(SPECIAL)}
        self.count = {entity: n * scale for entity, n in records.items()} | {"User": users}
        self.alive = {entity: np.ones(n, bool) for entity, n in self.count.items()}
        self.activity = self._shares(users, 0.7)
        self.taste = self.random.dirichlet(np.ones(7) * 0.6, users)
        self.transactions = 0
        self.stock: dict[tuple[str, str], pa.Array] = {}
        self.fields = {entity: self._fields(entity) for entity in PREFIX}
        self.favour = {e: self.random.permutation(self._shares(len(f), 0.9)) for e, f in self.fields.items()}

    # -- what exists ----------------------------------------------------------------------------------------

    def ids(self, entity: str, record: I64) -> pa.Array:
        prefix = PREFIX[entity]
        if entity == "User":
            return self.user_ids.take(pa.array(record))
        import pyarrow.compute as pc

        number = pc.utf8_lpad(pa.array(record).cast(pa.string()), 12, "0")
        return joined(prefix, number, "AAA")

    def some(self, entity: str, n: int) -> I64:
        """Different records that exist, at most as many as there are, in random order."""
        living = np.flatnonzero(self.alive[entity])
        return self.random.choice(living, min(n, len(living)), replace=False)

    def any(self, entity: str, n: int) -> I64:
        """Records of the entity, recent ones more often; some are chosen several times."""
        count = self.count[entity]
        drawn = count - 1 - (self.random.beta(1.0, 2.5, n) * count).astype(np.int64)
        return np.clip(drawn, 0, count - 1)

    def holding(self, entity: str, field: str, value: str) -> I64:
        """Records that were read with this value in the baseline and still exist."""
        import pyarrow.compute as pc

        found = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(self.stock[entity, field], value), False)))
        return found[self.alive[entity][found]]

    def made(self, entity: str, n: int) -> I64:
        first = self.count[entity]
        self.count[entity] += n
        self.alive[entity] = np.append(self.alive[entity], np.ones(n, bool))
        return np.arange(first, first + n)

    def gone(self, entity: str, records: I64) -> None:
        self.alive[entity][records] = False

    def owners(self, n: int) -> I64:
        return self.random.choice(self.people, n, p=self.activity)

    def new_transactions(self, n: int) -> I64:
        first = self.transactions
        self.transactions += n
        return np.arange(first, first + n)

    # -- blocks ---------------------------------------------------------------------------------------------

    def block(
        self,
        entity: str,
        kind: str,
        at: I64,
        record: I64,
        user: Any,
        origin: tuple[str, str],
        values: dict[str, Values] | None = None,
        *,
        chunk: int = 1,
        label: int = 0,
    ) -> Block:
        """Every row writes every field of `values`; `chunk` rows share a transaction. No more rows than records."""
        n = min(len(at), len(record))
        at = at[:n]
        transaction = np.repeat(self.new_transactions((n + chunk - 1) // chunk), chunk)[:n]
        everywhere = np.arange(n)
        return Block(
            entity,
            kind,
            at.astype(np.int64),
            record.astype(np.int64),
            transaction,
            np.broadcast_to(np.asarray(user, np.int64), n).copy(),
            np.full(n, ORIGINS.index(origin), np.int64),
            [Written(name, everywhere, make(n)) for name, make in (values or {}).items()],
            label,
        )

    def whole(self, entity: str) -> dict[str, Values]:
        """Makers of all fields: what a new or a baseline record holds."""
        return dict(self.fields[entity])

    # -- fields ---------------------------------------------------------------------------------------------

    def _shares(self, n: int, power: float) -> Any:
        weights = 1 / np.arange(1, n + 1) ** power
        return self.random.permutation(weights / weights.sum())

    def _number(self, low: int, high: int) -> Values:
        return lambda n: pa.array(self.random.integers(low, high, n)).cast(pa.string())

    def _money(self) -> Values:
        def make(n: int) -> pa.Array:
            cents = np.exp(self.random.normal(9, 1.6, n)).astype(np.int64) * 100 + self.random.integers(
                0, 100, n
            )
            import pyarrow.compute as pc

            return joined(
                pa.array(cents // 100), ".", pc.utf8_lpad(pa.array(cents % 100).cast(pa.string()), 2, "0")
            )

        return make

    def _date(self, days: int = 120) -> Values:
        def make(n: int) -> pa.Array:
            day = np.datetime64("2026-09-01") + self.random.integers(0, days, n)
            return pa.array(np.datetime_as_string(day).tolist(), pa.string())

        return make

    def _words(self, prefix: str, kinds: int) -> Values:
        return lambda n: joined(prefix, pa.array(self.random.integers(0, kinds, n)))

    def _user(self) -> Values:
        return lambda n: self.user_ids.take(pa.array(self.owners(n)))

    def _text(self) -> Values:
        def make(n: int) -> pa.Array:
            a, b = self.random.integers(0, 4000, n), self.random.integers(0, 100_000, n)
            return joined(
                "about ", pa.array(a), ", see the note of order ", pa.array(b), " and what was agreed"
            )

        return make

    def _fields(self, entity: str) -> dict[str, Values]:
        r = self.random

        def phone(n: int) -> pa.Array:
            number = pa.array(r.integers(10**5, 10**7, n))
            return joined("+49 ", pa.array(r.integers(30, 999, n)), " ", number)

        def email(n: int) -> pa.Array:
            host = pa.array(r.integers(0, 400, n))
            return joined("p", pa.array(r.integers(0, 10**7, n)), "@example", host, ".com")

        name = self._words(f"{entity} ", 10**7)
        common: dict[str, Values] = {"OwnerId": self._user()}
        by_entity: dict[str, dict[str, Values]] = {
            "Account": {
                "Name": name,
                "Industry": picked(
                    r,
                    ("Retail", "Banking", "Energy", "Media", "Health", "Public", None),
                    (5, 4, 3, 2, 2, 1, 1),
                ),
                "Rating": picked(r, ("Hot", "Warm", "Cold", None), (2, 4, 3, 2)),
                "AnnualRevenue": self._money(),
                "BillingAddress.City": self._words("City ", 300),
                "BillingAddress.Street": self._words("Street ", 20000),
                "Phone": phone,
                "NumberOfEmployees": self._number(1, 20000),
            },
            "Contact": {
                "Name.LastName": self._words("Family", 40000),
                "Email": email,
                "Phone": phone,
                "Title": self._words("Title ", 60),
                "AccountId": lambda n: self.ids("Account", r.integers(0, self.count["Account"], n)),
                "HasOptedOutOfEmail": picked(r, ("true", "false"), (1, 8)),
                "MailingAddress.City": self._words("City ", 300),
            },
            "Opportunity": {
                "Name": name,
                "StageName": picked(r, STAGES, (5, 5, 4, 4, 3, 2, 2)),
                "Amount": self._money(),
                "CloseDate": self._date(),
                "NextStep": self._text(),
                "Discount__c": picked(r, ("0", "2.5", "5", "7.5", "10", "15", None), (3, 2, 4, 2, 3, 1, 1)),
                "ForecastCategory": picked(r, ("Pipeline", "Best Case", "Commit", "Omitted"), (5, 3, 2, 1)),
                "AccountId": lambda n: self.ids("Account", r.integers(0, self.count["Account"], n)),
            },
            "Lead": {
                "Name.LastName": self._words("Lead", 10**7),
                "Email": email,
                "Company": self._words("Company ", 50000),
                "Status": picked(
                    r, ("Open", "Working", "Nurturing", "Qualified", "Unqualified"), (4, 3, 2, 2, 1)
                ),
                "LeadSource": picked(r, ("Web", "Fair", "Partner", "Phone", "Other"), (4, 2, 2, 1, 1)),
                "Score__c": self._number(0, 100),
                "Phone": phone,
            },
            "Case": {
                "Subject": self._text(),
                "Status": picked(r, ("New", "Working", "Waiting", "Escalated", "Closed"), (3, 4, 2, 1, 5)),
                "Priority": picked(r, ("Low", "Medium", "High"), (3, 5, 2)),
                "Reason": picked(r, ("Billing", "Outage", "Question", "Return", None), (3, 2, 5, 2, 1)),
                "ContactId": lambda n: self.ids("Contact", r.integers(0, self.count["Contact"], n)),
                "Due__c": self._date(60),
            },
            "Task": {
                "Subject": picked(
                    r, ("Call", "Email", "Meeting", "Send quote", "Follow up"), (5, 4, 2, 1, 3)
                ),
                "Status": picked(r, ("Not Started", "In Progress", "Completed"), (2, 1, 6)),
                "ActivityDate": self._date(90),
                "Priority": picked(r, ("Normal", "High"), (5, 1)),
                "Description": self._text(),
            },
            "Asset__c": {
                "Name": name,
                "Serial__c": lambda n: joined("SN", pa.array(r.integers(10**8, 10**9, n))),
                "State__c": picked(r, ("In use", "Spare", "Repair", "Retired"), (6, 2, 1, 1)),
                "Price__c": self._money(),
                "Bought__c": self._date(400),
            },
            "User": {
                "ProfileId": picked(r, [f"00e{n:012d}AAA" for n in range(6)], (20, 10, 6, 3, 2, 1)),
                "UserRoleId": picked(r, [f"00E{n:012d}AAA" for n in range(14)], [1.0] * 14),
                "IsActive": picked(r, ("true", "false"), (9, 1)),
                "Department": self._words("Department ", 12),
                "Title": self._words("Title ", 40),
            },
        }
        return {**by_entity[entity], **({} if entity == "User" else common)}
