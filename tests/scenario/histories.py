"""A second kind of stream, made apart from the first: public edit histories, as of an encyclopedia, a map, a tracker.

No full reads, no transactions to speak of, thousands of occasional editors by a power law, new ones every week,
bots that edit in bulk by right and change their task, people who tag hundreds of things alike, maintainers who
move milestones, edit wars, vandals who are reverted. Used to see what the detector does where it was not tuned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cdc.detect.ndjson import table_of

Row = dict[str, Any]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WEEK = 7 * DAY
BEGIN = 1_767_571_200_000  # 2026-01-05, a Monday
WEEKS, LEARNING = 12, 4
SURFACES = ("asphalt", "gravel", "concrete", "paved", "ground", "grass", "sand")
KINDS = ("residential", "service", "track", "footway", "path", "primary", "tertiary")
STATES = ("open", "triaged", "in progress", "resolved", "closed", "wontfix")
MANUAL, BOT, IMPORT = ("", "web"), ("", "bot/3"), ("", "josm/18")


@dataclass
class Truth:
    """An incident: its rows are those with its number."""

    number: int
    name: str
    user: str
    entity: str
    fields: tuple[str, ...]


@dataclass
class Histories:
    """`tables()` gives a table a week with a column `label`; `truths` what is wrong in them."""

    seed: int
    users: int = 3000
    edits_per_day: int = 900
    truths: list[Truth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.ids = {e: [f"{e[:1].lower()}{n}" for n in range(4000)] for e in ("Article", "Way", "Issue")}
        self.newest = self.users
        self.bots = [f"Bot{n}" for n in range(9)]
        self.task = {bot: self._new_task() for bot in self.bots}

    def tables(self) -> Iterator[pa.Table]:
        planned = self._incidents()
        for week in range(WEEKS):
            rows = [row for day in range(7) for row in self._day(week * 7 + day)]
            rows += [row for at, make in planned if at // WEEK == week for row in make(BEGIN + at)]
            rows.sort(key=lambda row: int(row["committed_at"]))
            labels = pa.array([row.pop("label", 0) for row in rows], pa.int32())
            yield table_of(rows).append_column("label", labels)
            self.newest += 60
            for bot in self.random.sample(self.bots, 1):
                self.task[bot] = self._new_task()

    # -- ordinary -------------------------------------------------------------------------------------------

    def _day(self, day: int) -> Iterator[Row]:
        r, start = self.random, BEGIN + day * DAY
        for _ in range(int(r.gauss(self.edits_per_day, 120))):
            at = start + int(r.betavariate(3, 2) * DAY)
            user = f"u{min(self.newest - 1, int(r.paretovariate(0.9)) - 1)}"
            if r.random() < 0.06:
                yield from self._session(at, user)
            else:
                yield self._edit(at, user, MANUAL)
        for bot in self.bots:
            if r.random() < 0.6:
                yield from self._bot(start + r.randrange(DAY), bot)
        if r.random() < 0.35:
            yield from self._tagging(start + r.randrange(DAY))
        if day % 14 == 9:
            yield from self._milestone(start + 10 * HOUR)
        if r.random() < 0.2:
            yield from self._war(start + 12 * HOUR)

    def _session(self, at: int, user: str) -> Iterator[Row]:
        """A person who works through a list."""
        for _ in range(self.random.randint(5, 60)):
            at += self.random.randint(5_000, 90_000)
            yield self._edit(at, user, MANUAL)

    def _edit(self, at: int, user: str, origin: tuple[str, str]) -> Row:
        r = self.random
        entity = r.choice(tuple(self.ids))
        chance = r.random()
        if chance < 0.07:
            self.ids[entity].append(f"{entity[:1].lower()}{len(self.ids[entity]) + 10_000}")
            values = {f: make() for f, make in self.fields(entity).items()}
            return self.row(at, "CREATE", entity, self.ids[entity][-1], user, origin, values)
        record = r.choice(self.ids[entity][-2000:] if r.random() < 0.5 else self.ids[entity])
        if chance < 0.08:
            return self.row(at, "DELETE", entity, record, user, origin, {})
        fields = self.fields(entity)
        values = {
            f: fields[f]() if r.random() > 0.03 else None for f in r.sample(list(fields), r.choice((1, 1, 2)))
        }
        return self.row(at, "UPDATE", entity, record, user, origin, values)

    def _new_task(self) -> tuple[str, dict[str, Callable[[], str | None]], int]:
        """Entity, what is written, and about how many at once: a bot's job, by right."""
        r = self.random
        surface, source = r.choice(SURFACES), f"survey {r.randrange(50)}"
        tasks: list[tuple[str, dict[str, Callable[[], str | None]], int]] = [
            ("Article", {"Category": lambda: f"Category {r.randrange(300)}"}, 300),
            ("Article", {"Text": lambda: f"tidied {r.random()}", "Checked": lambda: "yes"}, 800),
            ("Way", {"Source": lambda: source, "Name": lambda: f"Street {r.randrange(20000)}"}, 500),
            ("Way", {"Surface": lambda: surface, "Lanes": lambda: str(r.randint(1, 4))}, 250),
            ("Issue", {"Labels": lambda: "stale", "State": lambda: "closed"}, 60),
            ("Article", {"Rating": lambda: str(r.randint(1, 100))}, 2000),
        ]
        return r.choice(tasks)

    def _bot(self, at: int, bot: str) -> Iterator[Row]:
        entity, fields, size = self.task[bot]
        pause = self.random.choice((300, 2_000, 10_000))
        for record in self._some(entity, int(size * self.random.uniform(0.3, 1.6))):
            at += pause
            yield self.row(at, "UPDATE", entity, record, bot, BOT, {f: make() for f, make in fields.items()})

    def _tagging(self, at: int) -> Iterator[Row]:
        """A person gives many things a new tag, or corrects one spelling of a name into another."""
        r, user = self.random, f"u{self.random.randrange(300)}"
        values: dict[str, str | None] = {r.choice(("Survey", "Ref", "Operator")): f"x{r.randrange(1000)}"}
        for record in self._some("Way", r.randint(100, 700)):
            at += 400
            yield self.row(at, "UPDATE", "Way", record, user, IMPORT, values)

    def _milestone(self, at: int) -> Iterator[Row]:
        value = f"v{self.random.randint(1, 40)}"
        for record in self._some("Issue", self.random.randint(60, 180)):
            at += 1_500
            yield self.row(at, "UPDATE", "Issue", record, "u1", MANUAL, {"Milestone": value})

    def _war(self, at: int) -> Iterator[Row]:
        """Two people who undo each other on one article."""
        record = self.random.choice(self.ids["Article"])
        for turn in range(self.random.randint(4, 14)):
            at += self.random.randint(2, 20) * MINUTE
            yield self.row(
                at, "UPDATE", "Article", record, f"u{5 + turn % 2}", MANUAL, {"Text": f"version {turn % 2}"}
            )

    # -- what goes wrong ------------------------------------------------------------------------------------

    def _incidents(self) -> list[tuple[int, Callable[[int], list[Row]]]]:
        r = self.random
        wrong: list[tuple[str, str, str, dict[str, Callable[[], str | None]], str]] = [
            ("one value", "u42", "Way", {"Kind": lambda: "residential"}, "UPDATE"),
            ("bot gone bad", "Bot0", "Article", {"Text": lambda: ""}, "UPDATE"),
            ("nulled", "Bot1", "Issue", {"Assignee": lambda: None}, "UPDATE"),
            ("mass delete", "u77", "Way", {}, "DELETE"),
            (
                "column shift",
                "u90",
                "Way",
                {"Name": lambda: str(r.randint(1, 4)), "Lanes": lambda: f"Street {r.randrange(9999)}"},
                "UPDATE",
            ),
            (
                "duplicates",
                "u91",
                "Issue",
                {"Title": lambda: f"Report {r.randrange(90)}", "State": lambda: "open"},
                "CREATE",
            ),
        ]
        days = sorted(r.sample(range(LEARNING * 7, WEEKS * 7 - 1), len(wrong)))
        planned = []
        for number, (day, what) in enumerate(zip(days, r.sample(wrong, len(wrong)), strict=True), 1):
            name, user, entity, fields, kind = what
            self.truths.append(Truth(number, name, user, entity, tuple(fields)))
            planned.append((day * DAY + 13 * HOUR, self._wrong(number, user, entity, fields, kind)))
        return planned

    def _wrong(
        self, number: int, user: str, entity: str, fields: dict[str, Callable[[], str | None]], kind: str
    ) -> Callable[[int], list[Row]]:
        def make(at: int) -> list[Row]:
            records = self._some(entity, 1500)
            if kind == "CREATE":
                records = [f"{entity[:1].lower()}d{number}x{n}" for n in range(1500)]
            rows = []
            for n, record in enumerate(records):
                values = {f: value() for f, value in fields.items()}
                rows.append(
                    {**self.row(at + n * 700, kind, entity, record, user, IMPORT, values), "label": number}
                )
            return rows

        return make

    # -- rows -----------------------------------------------------------------------------------------------

    def fields(self, entity: str) -> dict[str, Callable[[], str]]:
        r = self.random
        return {
            "Article": {
                "Title": lambda: f"Article {r.randrange(10**6)}",
                "Text": lambda: f"text of {r.randint(50, 9999)} bytes, {r.random()}",
                "Category": lambda: f"Category {int(r.paretovariate(0.8)) % 300}",
            },
            "Way": {
                "Kind": lambda: r.choice(KINDS),
                "Surface": lambda: r.choice(SURFACES),
                "Name": lambda: f"Street {r.randrange(20000)}",
                "Lanes": lambda: str(r.randint(1, 4)),
            },
            "Issue": {
                "Title": lambda: f"Problem with {r.randrange(10**6)}",
                "State": lambda: r.choice(STATES),
                "Assignee": lambda: f"u{int(r.paretovariate(1.0)) % 200}",
                "Milestone": lambda: f"v{r.randint(1, 40)}",
            },
        }[entity]

    def _some(self, entity: str, n: int) -> list[str]:
        return self.random.sample(self.ids[entity], min(n, len(self.ids[entity])))

    def row(
        self,
        at: int,
        kind: str,
        entity: str,
        record: str,
        user: str,
        origin: tuple[str, str],
        values: dict[str, Any],
    ) -> Row:
        update = kind == "UPDATE"
        return {
            "entity": entity,
            "record_id": record,
            "kind": kind,
            "committed_at": at,
            "transaction_key": f"{user}-{at}",
            "user_id": user,
            "origin": origin[0],
            "client": origin[1],
            "changed_fields": list(values) if update else None,
            "nulled_fields": [f for f, v in values.items() if v is None] if update else None,
            "values": {f: v for f, v in values.items() if v is not None},
        }
