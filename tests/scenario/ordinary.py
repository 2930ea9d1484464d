"""Ordinary life of an org, a week at a time: people, list views, loads, integrations, jobs, month-ends."""

from __future__ import annotations

import numpy as np

from tests.scenario.blocks import (
    DAY,
    ERP,
    FLOW,
    HOUR,
    I64,
    LOADER,
    MARKETING,
    MINUTE,
    PRIVACY,
    SECOND,
    UI,
    WEEK,
    Block,
    Written,
    constant,
    picked,
)
from tests.scenario.org import STAGES, Org

EDITED = ("Account", "Contact", "Opportunity", "Lead", "Case", "Task", "Asset__c")
HOURS = np.array([0.1] * 6 + [0.5, 2, 6, 9, 10, 9, 6, 8, 9, 9, 8, 5, 2, 1, 0.6, 0.4, 0.2, 0.1])
WEEKDAYS = np.array([1.0, 1.05, 1.05, 1.0, 0.85, 0.06, 0.04])


class Life:
    """Makes the blocks of a week. `changes` is a mean per person and working day; `dst_week` shifts by an hour."""

    def __init__(self, org: Org, begin: int, changes: float, scale: int, dst_week: int) -> None:
        self.org, self.begin, self.changes, self.scale, self.dst_week = org, begin, changes, scale, dst_week
        self.random = org.random

    def week(self, number: int) -> list[Block]:
        start = self.begin + number * WEEK
        shift = -HOUR if number >= self.dst_week else 0
        blocks = self._people(start, shift)
        blocks += self._list_views(start, shift)
        for day in range(7):
            at = start + day * DAY + shift
            blocks += self._integrations(at)
            blocks += self._jobs(at, day)
            if self._is_month_end(start + day * DAY):
                blocks += self._month_end(at, start + day * DAY)
        blocks += self._loads(start, shift)
        return [b for b in blocks if len(b)]

    # -- people ---------------------------------------------------------------------------------------------

    def _moments(self, start: int, shift: int, n: int) -> I64:
        r = self.random
        day = r.choice(7, n, p=WEEKDAYS / WEEKDAYS.sum())
        hour = r.choice(24, n, p=HOURS / HOURS.sum())
        return start + shift + day * DAY + hour * HOUR + r.integers(0, HOUR, n)

    def _people(self, start: int, shift: int) -> list[Block]:
        org, r = self.org, self.random
        n = int(r.poisson(org.people * self.changes * 5))
        at = self._moments(start, shift, n)
        user = r.choice(org.people, n, p=org.activity)
        entity = (org.taste[user].cumsum(axis=1) > r.random(n)[:, None]).argmax(axis=1)
        what = r.random(n)
        blocks = []
        for number, name in enumerate(EDITED):
            mine = entity == number
            blocks += self._edits(name, at[mine & (what < 0.86)], user[mine & (what < 0.86)])
            created = mine & (what >= 0.86) & (what < 0.975)
            if created.any():
                made = org.made(name, int(created.sum()))
                blocks.append(
                    org.block(name, "CREATE", np.sort(at[created]), made, user[created], UI, org.whole(name))
                )
            deleted = mine & (what >= 0.975)
            records = org.any(name, int(deleted.sum()))
            blocks.append(org.block(name, "DELETE", at[deleted], records, user[deleted], UI))
        changed = max(1, org.people // 100)
        users = r.choice(org.people, changed)
        blocks.append(
            org.block(
                "User",
                "UPDATE",
                self._moments(start, shift, changed),
                users,
                org.special["admin"],
                UI,
                {"ProfileId": org.fields["User"]["ProfileId"]},
            )
        )
        return blocks

    def _edits(self, entity: str, at: I64, user: I64) -> list[Block]:
        """Edits of one to three fields, each field by how often it is touched."""
        org, r = self.org, self.random
        n = len(at)
        block = org.block(entity, "UPDATE", at, org.any(entity, n), user, UI)
        names = list(org.fields[entity])
        first = r.choice(len(names), n, p=org.favour[entity])
        chance = np.minimum(0.9, org.favour[entity] * 0.8)
        also = r.random((n, len(names))) < chance
        also[np.arange(n), first] = True
        for number, name in enumerate(names):
            rows = np.flatnonzero(also[:, number])
            if len(rows):
                values = org.fields[entity][name](len(rows))
                emptied = r.random(len(rows)) < 0.03
                if emptied.any():
                    import pyarrow as pa
                    import pyarrow.compute as pc

                    values = pc.if_else(pa.array(emptied), pa.scalar(None, pa.string()), values)
                block.fields.append(Written(name, rows, values))
        return [block]

    def _list_views(self, start: int, shift: int) -> list[Block]:
        """People who change a page of a list at once: one value for 5 to 200 records."""
        org, r, blocks = self.org, self.random, []
        for _ in range(int(r.poisson(2 + org.people / 25))):
            at = int(self._moments(start, shift, 1)[0])
            entity, field = [
                ("Case", "Status"),
                ("Lead", "Status"),
                ("Task", "Status"),
                ("Opportunity", "StageName"),
                ("Lead", "OwnerId"),
                ("Case", "OwnerId"),
            ][int(r.integers(0, 6))]
            n = int(min(200, 5 + r.exponential(35)))
            one = org.fields[entity][field](1)[0].as_py()
            times = at + np.arange(n) * int(r.integers(20, 200))
            user = int(r.choice(org.people, p=org.activity))
            blocks.append(
                org.block(
                    entity,
                    "UPDATE",
                    times,
                    org.some(entity, n),
                    user,
                    UI,
                    {field: constant(one)},
                    chunk=int(r.choice([1, 200])),
                )
            )
        return blocks

    # -- programs -------------------------------------------------------------------------------------------

    def _integrations(self, at: int) -> list[Block]:
        org, r, blocks = self.org, self.random, []
        for hour in range(24):
            n = int(r.poisson(12 * self.scale**0.7 * (1 + HOURS[hour] / 4)))
            begin = at + hour * HOUR + int(r.integers(0, 4 * MINUTE))
            values = {
                "AnnualRevenue": org.fields["Account"]["AnnualRevenue"],
                "NumberOfEmployees": org.fields["Account"]["NumberOfEmployees"],
                "SyncState__c": picked(r, ("OK", "Partial"), (30, 1)),
            }
            blocks.append(
                org.block(
                    "Account",
                    "UPDATE",
                    begin + np.arange(n) * 150,
                    org.any("Account", n),
                    org.special["erp"],
                    ERP,
                    values,
                    chunk=50,
                )
            )
            if hour % 3 == 1:
                m = int(r.poisson(25 * self.scale**0.7))
                values = {"Score__c": org.fields["Lead"]["Score__c"], "Status": org.fields["Lead"]["Status"]}
                blocks.append(
                    org.block(
                        "Lead",
                        "UPDATE",
                        begin + np.arange(m) * 400,
                        org.any("Lead", m),
                        org.special["marketing"],
                        MARKETING,
                        values,
                        chunk=25,
                    )
                )
        return blocks

    def _jobs(self, at: int, day: int) -> list[Block]:
        org, r = self.org, self.random
        n = int(250 * self.scale**0.8 * r.uniform(0.9, 1.1))
        night = at + 2 * HOUR + int(r.integers(0, 10 * MINUTE))
        date = str(np.datetime64(at // DAY, "D"))
        values = {
            "Probability__c": org._number(0, 100),
            "ScoredOn__c": constant(date),
            "ForecastCategory": org.fields["Opportunity"]["ForecastCategory"],
        }
        blocks = [
            org.block(
                "Opportunity",
                "UPDATE",
                night + np.arange(n) // 200 * 4 * SECOND,
                org.some("Opportunity", n),
                org.special["automation"],
                FLOW,
                values,
                chunk=200,
            )
        ]
        m = int(r.poisson(15 * self.scale**0.7))
        blocks.append(
            org.block(
                "Case",
                "UPDATE",
                at + 6 * HOUR + np.arange(m) * 20,
                org.any("Case", m),
                org.special["automation"],
                FLOW,
                {"Status": constant("Escalated"), "Priority": constant("High")},
                chunk=200,
            )
        )
        if day == 5:
            k = int(320 * self.scale**0.7 * r.uniform(0.85, 1.15))
            gone = org.some("Task", k)
            org.gone("Task", gone)
            blocks.append(
                org.block(
                    "Task",
                    "DELETE",
                    at + 3 * HOUR + np.arange(k) // 200 * 5 * SECOND,
                    gone,
                    org.special["automation"],
                    FLOW,
                    chunk=200,
                )
            )
        if day == 2:
            k = int(230 * self.scale**0.6 * r.uniform(0.9, 1.1))
            gone = org.some("Lead", k)
            org.gone("Lead", gone)
            blocks.append(
                org.block(
                    "Lead",
                    "DELETE",
                    at + 4 * HOUR + np.arange(k) * 600,
                    gone,
                    org.special["privacy"],
                    PRIVACY,
                    chunk=20,
                )
            )
        return blocks

    def _loads(self, start: int, shift: int) -> list[Block]:
        """What an admin loads in a week: varied values, new records."""
        org, r, blocks = self.org, self.random, []
        for _ in range(int(r.poisson(1.2))):
            entity = str(r.choice(["Account", "Contact", "Opportunity", "Asset__c"]))
            n = int(r.integers(120, 900) * self.scale**0.6)
            names = r.choice([f for f in org.fields[entity] if f != "OwnerId"], 3, replace=False)
            at = start + shift + int(r.integers(0, 5)) * DAY + int(r.integers(9, 17)) * HOUR
            records = org.some(entity, n)
            blocks.append(
                org.block(
                    entity,
                    "UPDATE",
                    at + np.arange(len(records)) // 200 * 2 * SECOND,
                    records,
                    org.special["admin"],
                    LOADER,
                    {str(f): org.fields[entity][str(f)] for f in names},
                    chunk=200,
                )
            )
        if r.random() < 0.6:
            n = int(r.integers(100, 700) * self.scale**0.5)
            at = start + shift + int(r.integers(0, 5)) * DAY + 11 * HOUR
            values = {**org.whole("Lead"), "LeadSource": constant("Fair"), "Status": constant("Open")}
            blocks.append(
                org.block(
                    "Lead",
                    "CREATE",
                    at + np.arange(n) // 200 * 2 * SECOND,
                    org.made("Lead", n),
                    org.special["admin"],
                    LOADER,
                    values,
                    chunk=200,
                )
            )
        return blocks

    # -- month-end: a benign twin that comes by itself ------------------------------------------------------

    def _is_month_end(self, at: int) -> bool:
        day = np.datetime64(at // DAY, "D")
        return (day + 2).astype("datetime64[M]") != day.astype("datetime64[M]")

    def _month_end(self, at: int, plain: int) -> list[Block]:
        """Many people close many opportunities: the same few values, by hand, within two days."""
        org, r = self.org, self.random
        n = int(org.people * r.uniform(4, 7))
        user = r.choice(org.people, n, p=org.activity)
        times = at + 8 * HOUR + (r.beta(2, 1.5, n) * 10 * HOUR).astype(np.int64)
        date = str(np.datetime64(plain // DAY, "D"))
        values = {
            "StageName": picked(r, STAGES[-3:], (1, 6, 4)),
            "CloseDate": picked(r, (date, None), (20, 1)),
        }
        return [org.block("Opportunity", "UPDATE", times, org.any("Opportunity", n), user, UI, values)]
