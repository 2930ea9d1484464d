"""A small seeded org's ordinary weeks, and what may go wrong in them, as rows of a recorded stream."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from cdc.detect.batch import DetectBatch
from cdc.detect.ndjson import table_of
from cdc.detect.recorded import batch_of

Row = dict[str, Any]
MINUTE, HOUR, DAY, WEEK = 60_000, 3_600_000, 86_400_000, 7 * 86_400_000
BEGIN = int(datetime(2026, 9, 7, tzinfo=UTC).timestamp() * 1000)  # a Monday
UI = ("com/salesforce/api/soap/66.0", "SfdcInternalAPI/")
LOADER = ("com/salesforce/api/bulkapi/66.0", "Dataloader/66.0")
ERP = ("com/salesforce/api/rest/65.0", "erp-sync")
FLOW = ("", "")
STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
STATUSES = ("New", "Working", "Escalated", "Closed")
PREFIXES = {"Account": "001", "Contact": "003", "Opportunity": "006", "Lead": "00Q", "Case": "500"}
SIZES = {"Account": 2000, "Contact": 3000, "Opportunity": 3000, "Lead": 1200, "Case": 2000}


class SmallOrg:
    """`rows` is the stream so far, in order of commit."""

    def __init__(self, seed: int, users: int = 25) -> None:
        self.random = random.Random(seed)
        self.users = [f"005{n:012d}AAA" for n in range(users)]
        self.admin, self.integration, self.automation = "005A", "005I", "005S"
        self.ids = {e: [f"{p}{n:012d}AAA" for n in range(SIZES[e])] for e, p in PREFIXES.items()}
        self.transactions = 0
        self.made = 0

    # -- what exists ----------------------------------------------------------------------------------------

    def baseline(self) -> Iterator[Row]:
        for entity, ids in self.ids.items():
            for record_id in ids:
                values = {f: make() for f, make in self._fields(entity).items()}
                yield self._row("BASELINE", entity, record_id, BEGIN - 400 * DAY, "", FLOW, values)

    # -- ordinary life --------------------------------------------------------------------------------------

    def weeks(self, first: int, count: int) -> list[Row]:
        rows: list[Row] = []
        for day in range(first * 7, (first + count) * 7):
            rows += self._day(BEGIN + day * DAY, day)
        return sorted(rows, key=lambda row: row["committed_at"])

    def _day(self, at: int, day: int) -> list[Row]:
        rows: list[Row] = []
        weekday = day % 7 < 5
        for user in self.users:
            for _ in range(self.random.randint(3, 8) if weekday else self.random.random() < 0.1):
                rows += self._session(user, at + self.random.randint(8 * HOUR, 18 * HOUR))
        if weekday and self.random.random() < 0.15:
            rows += self._list_view(self.random.choice(self.users), at + 11 * HOUR)
        for hour in range(24):
            rows += self._sync(at + hour * HOUR + self.random.randint(0, 20) * MINUTE)
        rows += self._scoring(at + 2 * HOUR + self.random.randint(0, 5 * MINUTE))
        if day % 30 in (27, 28):
            for user in self.users:
                rows += self._month_end(user, at + self.random.randint(9 * HOUR, 17 * HOUR))
        if day % 9 == 8:
            rows += self.created_leads(self.random.randint(200, 900), at + 14 * HOUR)
        return rows

    def _session(self, user: str, at: int) -> list[Row]:
        rows = []
        for _ in range(min(20, int(self.random.expovariate(0.4)) + 1)):
            entity = self.random.choice(list(PREFIXES))
            at += self.random.randint(5_000, 4 * MINUTE)
            if self.random.random() < 0.1:
                values = {f: make() for f, make in self._fields(entity).items()}
                rows.append(self._row("CREATE", entity, self._new(entity), at, user, UI, values))
            elif self.random.random() < 0.02:
                record_id = self.random.choice(self.ids[entity])
                rows.append(self._row("DELETE", entity, record_id, at, user, UI, {}))
            else:
                fields = self._fields(entity)
                picked = self.random.sample(list(fields), self.random.randint(1, 3))
                values = {f: fields[f]() if self.random.random() > 0.04 else None for f in picked}
                values["LastModifiedDate"] = str(at)
                rows.append(
                    self._row("UPDATE", entity, self.random.choice(self.ids[entity]), at, user, UI, values)
                )
        return rows

    def _list_view(self, user: str, at: int) -> list[Row]:
        ids = self.random.sample(self.ids["Case"], self.random.randint(15, 90))
        return self.bulk("Case", ids, at, user, UI, lambda: {"Status": "Closed"}, step_ms=50)

    def _sync(self, at: int) -> list[Row]:
        ids = self.random.sample(self.ids["Account"], self.random.randint(5, 60))
        return self.bulk(
            "Account",
            ids,
            at,
            self.integration,
            ERP,
            lambda: {"Revenue__c": str(self.random.randint(1, 10**6)), "Sync_Status__c": "OK"},
            step_ms=300,
        )

    def _scoring(self, at: int) -> list[Row]:
        ids = self.random.sample(self.ids["Opportunity"], 600 + self.random.randint(-20, 20))
        day = str(at // DAY)
        return self.bulk(
            "Opportunity",
            ids,
            at,
            self.automation,
            FLOW,
            lambda: {"Score__c": str(self.random.randint(0, 100)), "Scored_On__c": day},
        )

    def _month_end(self, user: str, at: int) -> list[Row]:
        ids = self.random.sample(self.ids["Opportunity"], self.random.randint(10, 45))
        return self.bulk(
            "Opportunity",
            ids,
            at,
            user,
            UI,
            lambda: {"StageName": self.random.choice(STAGES[3:]), "CloseDate": "2026-09-30"},
            step_ms=20_000,
            chunk=1,
        )

    def created_leads(self, count: int, at: int, user: str = "") -> list[Row]:
        rows = []
        for n in range(count):
            values = {
                **{f: make() for f, make in self._fields("Lead").items()},
                "LeadSource": "Fair",
                "Status": "New",
            }
            if n % 200 == 0:
                self.transactions += 1
            rows.append(
                self._row(
                    "CREATE", "Lead", self._new("Lead"), at + n * 40, user or self.admin, LOADER, values
                )
            )
        return rows

    # -- what may go wrong, and everything else in bulk ----------------------------------------------------------

    def bulk(
        self,
        entity: str,
        ids: list[str],
        at: int,
        user: str,
        origin: tuple[str, str],
        values: Callable[[], dict[str, str | None]],
        *,
        kind: str = "UPDATE",
        step_ms: int = 20,
        chunk: int = 200,
    ) -> list[Row]:
        rows = []
        for n, record_id in enumerate(ids):
            if n % chunk == 0:
                self.transactions += 1
            rows.append(
                self._row(kind, entity, record_id, at + n * step_ms, user, origin, values(), same=True)
            )
        return rows

    def some(self, entity: str, count: int) -> list[str]:
        ids = self.ids[entity]
        return self.random.sample(ids, min(count, len(ids)))

    def _fields(self, entity: str) -> dict[str, Callable[[], str]]:
        r = self.random
        common: dict[str, Callable[[], str]] = {
            "Name": lambda: f"{entity} {r.randint(0, 10**9)}",
            "OwnerId": lambda: r.choice(self.users),
            "Phone": lambda: f"+49 {r.randint(10**6, 10**9)}",
        }
        special: dict[str, dict[str, Callable[[], str]]] = {
            "Opportunity": {
                "StageName": lambda: r.choice(STAGES),
                "Amount": lambda: str(r.randint(10, 10**6)),
                "CloseDate": lambda: f"2026-{r.randint(9, 12):02d}-{r.randint(1, 28):02d}",
            },
            "Case": {"Status": lambda: r.choice(STATUSES), "Subject": lambda: f"Case {r.random()}"},
            "Lead": {
                "Status": lambda: r.choice(("New", "Open", "Qualified", "Lost")),
                "LeadSource": lambda: r.choice(("Web", "Fair", "Partner", "Phone")),
                "Email": lambda: f"{r.randint(0, 10**9)}@example.com",
            },
            "Account": {
                "Industry": lambda: r.choice(("Retail", "Banking", "Energy", "Media", "Health")),
                "BillingAddress.City": lambda: f"City {r.randint(0, 300)}",
            },
        }
        return {**common, **special.get(entity, {})}

    def _new(self, entity: str) -> str:
        record_id = f"{PREFIXES[entity]}N{len(self.ids[entity]):011d}AAA"
        self.ids[entity].append(record_id)
        return record_id

    def _row(
        self,
        kind: str,
        entity: str,
        record_id: str,
        at: int,
        user: str,
        origin: tuple[str, str],
        values: dict[str, Any],
        *,
        same: bool = False,
    ) -> Row:
        self.made += 1
        if not same:
            self.transactions += 1
        update = kind == "UPDATE"
        return {
            "entity": entity,
            "record_id": record_id,
            "kind": kind,
            "committed_at": at // 1000 * 1000,
            "transaction_key": f"t{self.transactions}",
            "user_id": user,
            "origin": origin[0],
            "client": origin[1],
            "changed_fields": list(values) if update else [],
            "nulled_fields": [f for f, v in values.items() if v is None] if update else [],
            "values": {f: v for f, v in values.items() if v is not None},
            "event_id": f"e{self.made}",
        }


def as_batch(rows: list[Row], before: int = 0) -> DetectBatch:
    return batch_of(table_of(rows), before, "rows")
