"""What looks like a runaway and is none: must not page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tests.scenario.blocks import (
    DAY,
    ERP,
    FLOW,
    HOUR,
    LOADER,
    MINUTE,
    NEWCOMER,
    PRIVACY,
    RESTORE,
    SECOND,
    UI,
    Block,
    constant,
    picked,
)
from tests.scenario.incidents import Case


def first_import(c: Case) -> list[Block]:
    """A department's records come over, with what an import always has: a few columns with one value."""
    org, blocks, at = c.org, [], c.at
    for entity, alike in (("Account", "Industry"), ("Contact", "Title")):
        n = int(0.5 * org.count[entity])
        values = {**org.whole(entity), alike: constant("Retail"), "Source__c": constant("Merger")}
        times = at + np.arange(n) // 200 * 3 * SECOND
        blocks.append(
            org.block(
                entity, "CREATE", times, org.made(entity, n), org.special["shared"], LOADER, values, chunk=200
            )
        )
        at = int(times[-1]) + 20 * MINUTE
    return blocks


def territory_realignment(c: Case) -> list[Block]:
    """Accounts and opportunities are dealt to other owners, region by region."""
    org, blocks = c.org, []
    for entity in ("Account", "Opportunity"):
        n = int(0.4 * org.count[entity])
        owners = org.owners(max(8, org.people // 20))
        records = org.some(entity, n)
        values = {
            "OwnerId": lambda k, o=owners: org.user_ids.take(pa.array(org.random.choice(o, k))),
            "Territory__c": picked(org.random, [f"T{i}" for i in range(12)], [1.0] * 12),
        }
        at = c.at + np.arange(len(records)) // 200 * 4 * SECOND
        blocks.append(
            org.block(entity, "UPDATE", at, records, org.special["admin"], LOADER, values, chunk=200)
        )
    return blocks


def new_integration(c: Case) -> list[Block]:
    """A program's first day: it writes its key and what it knows to every asset."""
    org = c.org
    n = int(0.8 * org.alive["Asset__c"].sum())
    values = {
        "ShipmentId__c": lambda k: org._number(10**6, 10**7)(k),
        "State__c": org.fields["Asset__c"]["State__c"],
        "ShipmentSystem__c": constant("HUB"),
    }
    at = c.at + np.arange(n) // 50 * 2 * SECOND
    return [
        org.block(
            "Asset__c",
            "UPDATE",
            at,
            org.some("Asset__c", n),
            org.special["newcomer"],
            NEWCOMER,
            values,
            chunk=50,
        )
    ]


def package_backfill(c: Case) -> list[Block]:
    """A package was installed and gives its new field a value everywhere."""
    org = c.org
    n = int(0.95 * org.alive["Contact"].sum())
    at = c.at + np.arange(n) // 200 * 2 * SECOND
    return [
        org.block(
            "Contact",
            "UPDATE",
            at,
            org.some("Contact", n),
            org.special["automation"],
            FLOW,
            {"pkg__Consent__c": constant("Unknown")},
            chunk=200,
        )
    ]


def dedupe_campaign(c: Case) -> list[Block]:
    """Two people merge duplicates for two days: one survives with the better values, one is deleted."""
    org, r, blocks = c.org, c.org.random, []
    for person in r.choice(org.people, 2, replace=False):
        for day in range(2):
            n = int(r.integers(250, 450))
            at = c.at + day * DAY + np.sort(r.integers(0, 6 * HOUR, n))
            kept, gone = org.some("Lead", n), org.some("Lead", n)
            n = min(n, len(gone), len(kept))
            org.gone("Lead", gone)
            values = {f: org.fields["Lead"][f] for f in ("Email", "Phone")}
            update = org.block("Lead", "UPDATE", at[:n], kept[:n], person, UI, values)
            delete = org.block("Lead", "DELETE", at[:n], gone[:n], person, UI)
            delete.transaction = update.transaction
            blocks += [update, delete]
    return blocks


def own_restore(c: Case) -> list[Block]:
    """This system puts back what an incident had taken."""
    org = c.org
    n = int(0.5 * org.alive["Contact"].sum())
    at = c.at + np.arange(n) // 200 * 3 * SECOND
    values = {"Phone": org.fields["Contact"]["Phone"], "Title": org.fields["Contact"]["Title"]}
    return [
        org.block(
            "Contact",
            "UPDATE",
            at,
            org.some("Contact", n),
            org.special["migration"],
            RESTORE,
            values,
            chunk=200,
        )
    ]


def picklist_rename(c: Case) -> list[Block]:
    """A value of a picklist is replaced by its new name, on every record that has it."""
    org = c.org
    old, new = ("Retail", "Retail & Wholesale") if c.number % 2 else ("Banking", "Financial Services")
    records = org.holding("Account", "Industry", old)
    at = c.at + np.arange(len(records)) // 200 * 2 * SECOND
    return [
        org.block(
            "Account",
            "UPDATE",
            at,
            records,
            org.special["admin"],
            LOADER,
            {"Industry": constant(new)},
            chunk=200,
        )
    ]


def privacy_deletions(c: Case) -> list[Block]:
    """The privacy tool has a larger week than usual."""
    org = c.org
    n = int(230 * (org.count["Lead"] / 2200) ** 0.6 * 1.4)
    gone = org.some("Lead", n)
    org.gone("Lead", gone)
    return [
        org.block(
            "Lead", "DELETE", c.at + np.arange(n) * 600, gone, org.special["privacy"], PRIVACY, chunk=20
        )
    ]


def catch_up_of_a_program(c: Case) -> list[Block]:
    """The accounting system was away for six hours and sends all of it at once."""
    org = c.org
    n = int(7 * 30 * (org.count["Account"] / 900) ** 0.7)
    values = {
        "AnnualRevenue": org.fields["Account"]["AnnualRevenue"],
        "NumberOfEmployees": org.fields["Account"]["NumberOfEmployees"],
        "SyncState__c": picked(org.random, ("OK", "Partial"), (30, 1)),
    }
    return [
        org.block(
            "Account",
            "UPDATE",
            c.at + np.arange(n) * 100,
            org.any("Account", n),
            org.special["erp"],
            ERP,
            values,
            chunk=200,
        )
    ]


def catch_up_of_the_stream(c: Case) -> list[Block]:
    """Nothing of its own: six hours of two entities arrive late, see `Stream`."""
    return []


TWINS: tuple[Callable[[Case], list[Block]], ...] = (
    first_import,
    territory_realignment,
    new_integration,
    package_backfill,
    dedupe_campaign,
    own_restore,
    picklist_rename,
    privacy_deletions,
    catch_up_of_a_program,
    catch_up_of_the_stream,
)
OUTAGE_MS = 6 * HOUR
LATE_ENTITIES = ("Account", "Case")
