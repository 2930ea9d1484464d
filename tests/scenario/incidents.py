"""What goes wrong: fifteen archetypes, each at three sizes and three degrees of stealth, with their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.scenario.blocks import (
    ERP,
    FLOW,
    HOUR,
    I64,
    LOADER,
    MARKETING,
    MINUTE,
    SECOND,
    UI,
    Block,
    Values,
    Written,
    constant,
    joined,
)
from tests.scenario.org import CHILDREN, Org


@dataclass
class Label:
    """What is true of one incident or twin. `users` empty: many people, and none of them meant it."""

    number: int
    name: str
    size: str = ""
    stealth: int = 0
    users: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    transaction_records: int = 200

    @property
    def incident(self) -> bool:
        return self.number > 0


@dataclass
class Case:
    """One incident about to happen."""

    org: Org
    at: int
    number: int
    size: str
    share: float
    least: int
    stealth: int
    patches: list[Patch] = field(default_factory=list)

    def n(self, entity: str, most: float = 0.95) -> int:
        count = int(self.org.alive[entity].sum())
        return int(min(max(self.least, self.share * count), most * count))

    def times(self, n: int) -> tuple[I64, int]:
        """Commit times and chunk: at once, a batch a minute, or a few a minute."""
        chunk, pause = ((200, 3 * SECOND), (200, MINUTE), (40, MINUTE))[self.stealth]
        return self.at + np.arange(n) // chunk * pause, chunk

    def label(
        self,
        name: str,
        user: str | None,
        entities: tuple[str, ...],
        fields: tuple[str, ...],
        chunk: int = 200,
    ) -> Label:
        users = () if user is None else (str(self.org.user_ids[self.org.special[user]]),)
        return Label(self.number, name, self.size, self.stealth, users, entities, fields, chunk)


@dataclass
class Patch:
    """From a moment on, until so many records were hit, changes of others carry one field more."""

    at: int
    entity: str
    user: int | None  # None: people
    field: str
    value: str | None
    left: int
    number: int

    def apply(self, blocks: list[Block], people: int) -> list[Block]:
        made: list[Block] = []
        for block in sorted(blocks, key=lambda b: int(b.at.min())):
            if block.entity != self.entity or block.kind != "UPDATE" or block.label or self.left <= 0:
                made.append(block)
                continue
            mine = block.user < people if self.user is None else block.user == self.user
            hit = np.flatnonzero(mine & (block.at >= self.at))
            hit = hit[np.argsort(block.at[hit], kind="stable")][: self.left]
            hit = np.sort(hit)
            if not len(hit):
                made.append(block)
                continue
            self.left -= len(hit)
            changed = block.part(hit)
            changed.fields = [f for f in changed.fields if f.name != self.field]
            changed.fields.append(Written(self.field, np.arange(len(hit)), constant(self.value)(len(hit))))
            changed.label = self.number
            others = np.setdiff1d(np.arange(len(block)), hit)
            made += [changed, block.part(others)] if len(others) else [changed]
        return made


Made = tuple[list[Block], Label]


def trigger_loop(c: Case) -> Made:
    """A trigger changes a record, which fires it again in the next transaction."""
    m = max(30, c.n("Case") // 20)
    passes, pause = ((40, 20 * SECOND), (24, MINUTE), (14, 4 * MINUTE))[c.stealth]
    records = c.org.some("Case", m)
    at = c.at + np.repeat(np.arange(passes) * pause, len(records))
    values = {"Reason": c.org.fields["Case"]["Reason"], "Due__c": c.org.fields["Case"]["Due__c"]}
    user = ("shared", "shared", "automation")[c.stealth]
    block = c.org.block(
        "Case",
        "UPDATE",
        at,
        np.tile(records, passes),
        c.org.special[user],
        FLOW,
        values,
        chunk=len(records),
        label=c.number,
    )
    return [block], c.label("trigger loop", user, ("Case",), ("Reason", "Due__c"), len(records))


def flow_pair(c: Case) -> Made:
    """Two flows on scheduled paths, each undoing the other."""
    m = max(60, c.n("Opportunity") // 6)
    passes, pause = ((20, 15 * MINUTE), (16, 30 * MINUTE), (14, 60 * MINUTE))[c.stealth]
    records = c.org.some("Opportunity", m)
    blocks = []
    for n in range(passes):
        value = ("Commit", "Best Case")[n % 2]
        at = c.at + n * pause + np.arange(len(records)) // 200 * 2 * SECOND
        blocks.append(
            c.org.block(
                "Opportunity",
                "UPDATE",
                at,
                records,
                c.org.special["automation"],
                FLOW,
                {"ForecastCategory": constant(value)},
                chunk=200,
                label=c.number,
            )
        )
    return blocks, c.label("two flows", "automation", ("Opportunity",), ("ForecastCategory",))


def ping_pong(c: Case) -> Made:
    """Two integrations that each correct what the other wrote."""
    m = max(60, c.n("Lead") // 8)
    passes, pause = ((24, 5 * MINUTE), (20, 10 * MINUTE), (16, 20 * MINUTE))[c.stealth]
    records = c.org.some("Lead", m)
    number = pa.array(c.org.random.integers(10**6, 10**7, len(records)))
    spelled = (joined("+49 30 ", number), joined("004930", number))
    blocks = []
    for n in range(passes):
        user, origin = (("erp", ERP), ("marketing", MARKETING))[n % 2]
        at = c.at + n * pause + np.arange(len(records)) * 20
        blocks.append(
            c.org.block(
                "Lead",
                "UPDATE",
                at,
                records,
                c.org.special[user],
                origin,
                {"Phone": lambda k, n=n: spelled[n % 2][:k]},
                chunk=50,
                label=c.number,
            )
        )
    label = c.label("ping-pong", "erp", ("Lead",), ("Phone",))
    label.users = tuple(str(c.org.user_ids[c.org.special[u]]) for u in ("erp", "marketing"))
    return blocks, label


def owner_change(c: Case) -> Made:
    """All to one owner; the hidden one deals them to three."""
    entity = ("Account", "Lead", "Opportunity")[c.number % 3]
    n = c.n(entity)
    at, chunk = c.times(n)
    owners = c.org.owners(1 if c.stealth < 2 else 3)

    def values(k: int) -> pa.Array:
        return c.org.user_ids.take(pa.array(c.org.random.choice(owners, k)))

    user, origin = (("shared", FLOW), ("admin", LOADER), ("admin", LOADER))[c.stealth]
    block = c.org.block(
        entity,
        "UPDATE",
        at,
        c.org.some(entity, n),
        c.org.special[user],
        origin,
        {"OwnerId": values},
        chunk=chunk,
        label=c.number,
    )
    return [block], c.label("owner change", user, (entity,), ("OwnerId",))


def nulled_by_load(c: Case) -> Made:
    """A load with an empty column; the hidden one empties three of four."""
    entity, lost, others = (
        ("Contact", "Phone", ("Title", "Email")),
        ("Account", "BillingAddress.City", ("AnnualRevenue", "NumberOfEmployees")),
        ("Opportunity", "NextStep", ("Amount",)),
    )[c.number % 3]
    n = c.n(entity)
    at, chunk = c.times(n)
    plain = c.org.fields[entity][lost]

    def some_null(k: int) -> pa.Array:
        empty = c.org.random.random(k) < (1.0, 0.96, 0.75)[c.stealth]
        return pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), plain(k))

    values = {f: c.org.fields[entity][f] for f in others[: 1 + c.stealth]} | {lost: some_null}
    block = c.org.block(
        entity,
        "UPDATE",
        at,
        c.org.some(entity, n),
        c.org.special["admin"],
        LOADER,
        values,
        chunk=chunk,
        label=c.number,
    )
    return [block], c.label("field nulled", "admin", (entity,), (lost,))


def column_shift(c: Case) -> Made:
    """A load whose columns stand one to the right of their headings."""
    entity, names = (
        ("Contact", ("Title", "Email", "Phone", "MailingAddress.City")),
        ("Account", ("BillingAddress.Street", "BillingAddress.City", "Phone", "NumberOfEmployees")),
    )[c.number % 2]
    names = names if c.stealth < 2 else names[1:3]
    n = c.n(entity)
    at, chunk = c.times(n)
    values = {name: c.org.fields[entity][names[(i + 1) % len(names)]] for i, name in enumerate(names)}
    block = c.org.block(
        entity,
        "UPDATE",
        at,
        c.org.some(entity, n),
        c.org.special["admin"],
        LOADER,
        values,
        chunk=chunk,
        label=c.number,
    )
    return [block], c.label("column shift", "admin", (entity,), names)


def mass_delete(c: Case) -> Made:
    """Accounts or contacts deleted, with what hangs on them in the same transactions."""
    entity = ("Account", "Contact")[c.number % 2]
    n = c.n(entity, 0.6) if c.stealth < 2 else max(c.least, int(0.3 * c.n(entity, 0.6)))
    n = min(n, int(c.org.alive[entity].sum()))
    at, chunk = c.times(n)
    user, origin = (("shared", FLOW), ("admin", LOADER), ("admin", UI))[c.stealth]
    gone = c.org.some(entity, n)
    blocks = [
        c.org.block(entity, "DELETE", at, gone, c.org.special[user], origin, chunk=chunk, label=c.number)
    ]
    c.org.gone(entity, gone)
    for child in CHILDREN[entity]:
        k = min(n * 2, int(0.3 * c.org.alive[child].sum()))
        children = c.org.some(child, k)
        c.org.gone(child, children)
        parent = np.sort(c.org.random.integers(0, n, len(children)))
        block = c.org.block(
            child, "DELETE", at[parent], children, c.org.special[user], origin, label=c.number
        )
        block.transaction = blocks[0].transaction[parent]
        blocks.append(block)
    return blocks, c.label("mass delete", user, (entity, *CHILDREN[entity]), ())


def duplicate_inserts(c: Case) -> Made:
    """A retry without a key: the same people are created again; the hidden one writes them a little otherwise."""
    entity, named = (("Lead", ("Name.LastName", "Email")), ("Contact", ("Name.LastName", "Email")))[
        c.number % 2
    ]
    n = c.n(entity)
    copies = (5, 2, 2)[c.stealth]
    kinds = max(1, n // copies)
    made = {f: make(kinds) for f, make in c.org.whole(entity).items()}
    times, chunk = c.times(kinds * copies)
    blocks = []
    for again in range(copies):
        at = times[:kinds] if c.stealth == 0 else times[again * kinds : (again + 1) * kinds]
        at = at + again * 7 * SECOND
        values: dict[str, Values] = {}
        for name, column in made.items():
            text = pc.utf8_upper(column) if again and c.stealth == 2 and name in named else column
            values[name] = lambda k, text=text: text[:k]
        user, origin = (("shared", FLOW), ("marketing", MARKETING), ("admin", LOADER))[c.stealth]
        blocks.append(
            c.org.block(
                entity,
                "CREATE",
                at,
                c.org.made(entity, kinds),
                c.org.special[user],
                origin,
                values,
                chunk=chunk,
                label=c.number,
            )
        )
    return blocks, c.label("duplicate inserts", user, (entity,), named)


def nightly_job(c: Case) -> Made:
    """The nightly job, at its hour and its size, writes rubbish: one number, nulls for most, one category."""
    n = min(c.n("Opportunity"), int(250 * (c.org.count["Opportunity"] / 2600) ** 0.8))
    day = c.at // (24 * HOUR) * 24 * HOUR
    at = day + 2 * HOUR + 14 * MINUTE + np.arange(n) // 200 * 4 * SECOND
    number, category = c.org._number(0, 100), c.org.fields["Opportunity"]["ForecastCategory"]

    def mostly_null(k: int) -> pa.Array:
        return pc.if_else(pa.array(c.org.random.random(k) < 0.7), pa.scalar(None, pa.string()), number(k))

    values: dict[str, Values] = {
        "Probability__c": (constant("0"), mostly_null, number)[c.stealth],
        "ScoredOn__c": constant(str(np.datetime64(day // (24 * HOUR), "D"))),
    }
    values["ForecastCategory"] = constant("Omitted") if c.stealth == 2 else category
    wrong = "ForecastCategory" if c.stealth == 2 else "Probability__c"
    block = c.org.block(
        "Opportunity",
        "UPDATE",
        at,
        c.org.some("Opportunity", n),
        c.org.special["automation"],
        FLOW,
        values,
        chunk=200,
        label=c.number,
    )
    return [block], c.label("nightly job", "automation", ("Opportunity",), (wrong,))


def drip(c: Case) -> Made:
    """A time-based action that harms a few records an hour, for weeks."""
    entity, name, value = (
        ("Contact", "Phone", None),
        ("Case", "Priority", "Low"),
        ("Lead", "OwnerId", str(c.org.user_ids[3])),
    )[c.number % 3]
    n = min(c.n(entity), 30000)
    hours = (9 * 24, 12 * 24, 16 * 24)[c.stealth]
    at = np.sort(c.at + c.org.random.integers(0, hours, n) * HOUR + c.org.random.integers(0, 5 * MINUTE, n))
    block = c.org.block(
        entity,
        "UPDATE",
        at,
        c.org.some(entity, n),
        c.org.special["automation"],
        FLOW,
        {name: constant(value)},
        label=c.number,
    )
    return [block], c.label("drip", "automation", (entity,), (name,), 1)


def companion(c: Case) -> Made:
    """The synchronisation that always ran now also resets a field it never touched."""
    name, value = (("Rating", None), ("Industry", "Public"), ("BillingAddress.City", "City 1"))[c.stealth]
    c.patches.append(Patch(c.at, "Account", c.org.special["erp"], name, value, c.n("Account"), c.number))
    return [], c.label("companion field", "erp", ("Account",), (name,), 50)


def lossy_conversion(c: Case) -> Made:
    """A field's type is changed: cents, the time of day or the end of the text are lost."""
    entity, name = (("Opportunity", "Amount"), ("Asset__c", "Price__c"), ("Opportunity", "NextStep"))[
        c.number % 3
    ]
    n = c.n(entity)
    plain = c.org.fields[entity][name]

    def lost(k: int) -> pa.Array:
        if name == "NextStep":
            return pc.utf8_slice_codeunits(plain(k), 0, 20)
        return pc.list_element(pc.split_pattern(plain(k), "."), 0)

    at, chunk = c.times(n)
    user, origin = (("shared", FLOW), ("admin", LOADER), ("admin", LOADER))[c.stealth]
    block = c.org.block(
        entity,
        "UPDATE",
        at,
        c.org.some(entity, n),
        c.org.special[user],
        origin,
        {name: lost},
        chunk=chunk,
        label=c.number,
    )
    return [block], c.label("lossy conversion", user, (entity,), (name,))


def burst_in_migration(c: Case) -> Made:
    """A rightful migration, in the midst of which one stretch of rows lost a field."""
    entity, lost, others = (
        ("Contact", "MailingAddress.City", ("Title", "Phone", "Email")),
        ("Asset__c", "State__c", ("Serial__c", "Price__c", "Name")),
    )[c.number % 2]
    whole = c.n(entity)
    n = max(300, int(whole * (0.5, 0.35, 0.25)[c.stealth]))
    n = min(n, whole // 2)
    records = c.org.some(entity, whole)
    at = c.at + np.arange(len(records)) // 200 * 4 * SECOND
    first = (len(records) - n) // 2
    middle = slice(first, first + n)
    good = {f: c.org.fields[entity][f] for f in (*others, lost)}
    bad: dict[str, Values] = {**good, lost: constant(None if c.stealth != 1 else good[lost](1)[0].as_py())}
    user = c.org.special["migration"]
    blocks = [
        c.org.block(entity, "UPDATE", at[:first], records[:first], user, LOADER, good, chunk=200),
        c.org.block(
            entity, "UPDATE", at[middle], records[middle], user, LOADER, bad, chunk=200, label=c.number
        ),
        c.org.block(entity, "UPDATE", at[first + n :], records[first + n :], user, LOADER, good, chunk=200),
    ]
    return blocks, c.label("burst in a migration", "migration", (entity,), (lost,))


def many_users(c: Case) -> Made:
    """A record-triggered automation: whoever saves a record also resets a field of it."""
    entity, name, value = (
        ("Opportunity", "Discount__c", "0"),
        ("Case", "Priority", "Low"),
        ("Contact", "Title", None),
    )[c.number % 3]
    c.patches.append(Patch(c.at, entity, None, name, value, c.n(entity), c.number))
    return [], c.label("many users", None, (entity,), (name,), 1)


def user_rights(c: Case) -> Made:
    """Profiles or roles of users changed in one go."""
    name = ("ProfileId", "UserRoleId")[c.number % 2]
    n = min(c.org.people, max(20, int(c.share * c.org.people)))
    at, _ = c.times(n)
    one = c.org.fields["User"][name](1)[0].as_py()
    user, origin = (("shared", FLOW), ("admin", LOADER), ("admin", UI))[c.stealth]
    block = c.org.block(
        "User",
        "UPDATE",
        at,
        c.org.random.choice(c.org.people, n, replace=False),
        c.org.special[user],
        origin,
        {name: constant(one)},
        chunk=50,
        label=c.number,
    )
    return [block], c.label("user rights", user, ("User",), (name,), 50)


INCIDENTS: tuple[Callable[[Case], Made], ...] = (
    trigger_loop,
    flow_pair,
    ping_pong,
    owner_change,
    nulled_by_load,
    column_shift,
    mass_delete,
    duplicate_inserts,
    nightly_job,
    drip,
    companion,
    lossy_conversion,
    burst_in_migration,
    many_users,
    user_rights,
)
HARD = ("column shift", "nightly job", "many users", "drip")
