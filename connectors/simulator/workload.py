"""Ordinary days, and load in real time. The seed decides every one of them.

`play` moves the clock ahead through whole days of a company at work: people in office hours, an ERP and a
marketing system around the clock, a bulk job at night, a scheduled flow in the morning and in the evening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from connectors.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS
from connectors.simulator.habits import Habits
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.population import Actor, Population, Staff, hire

DEFAULT_USERS = 40
DEFAULT_RECORDS = 3_000
DEFAULT_CHANGES_PER_DAY = 1_200

WEEKEND_FROM = 5
"""Monday is 0."""


@dataclass(frozen=True, slots=True)
class Share:
    """Who makes how much of a day's changes; `per_action` is what one action changes on average."""

    of_day: float
    per_action: float
    on_weekend: float


PEOPLE = Share(0.62, 1.3, 0.05)
ERP = Share(0.13, 2.1, 0.6)
HUB = Share(0.1, 4.4, 0.5)
LOADER = Share(0.09, 1.0, 1.0)
FLOW = Share(0.06, 1.0, 1.0)

LOADER_AT_MS = 1 * HOUR_MS + 10 * MINUTE_MS
FLOW_AT_MS = (6 * HOUR_MS, 18 * HOUR_MS + 30 * MINUTE_MS)

DRIP_TICK_S = 0.005
DRIP_BURST_MAX = 50
"""Commits between two turns of the event loop."""

PLAYED_AT_ONCE = 20
"""Actions between two turns of the event loop while days are played beside a running server."""

_Do = Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Planned:
    at_ms: int
    order: int
    do: _Do


class Workload:
    """One org's ordinary life. Make one for each org, and `populate` it before anything is committed."""

    def __init__(
        self,
        org: SimulatedOrg,
        *,
        users: int = DEFAULT_USERS,
        records: int = DEFAULT_RECORDS,
        changes_per_day: int = DEFAULT_CHANGES_PER_DAY,
    ) -> None:
        self.org = org
        self.changes_per_day = changes_per_day
        self.changes = 0
        self._records = records
        self.staff: Staff = hire(org, users)
        self._random = Random(f"workload-{org.seed}")  # noqa: S311 - a seed is the point
        self._habits = Habits(org, self.staff, self._random)

    def populate(self) -> None:
        """Give the org its records, from the time before the first commit."""
        Population(self.org, self.staff, self._random).fill(self._records)

    def play(self, days: float) -> int:
        """Live so many days at once; returns how many records were changed. The clock ends where they end."""
        return sum(self._steps(days))

    async def play_beside(self, days: float) -> int:
        """As `play`, giving way to whatever else runs in the event loop."""
        changed = 0
        for count, step in enumerate(self._steps(days)):
            changed += step
            if count % PLAYED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return changed

    async def drip(self, seconds: float, rate: float, *, until: Callable[[], bool] | None = None) -> int:
        """Changes in real time, `rate` a second, each a transaction of one record; returns how many.

        Stops early when `until` says so.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        actors = self.staff.people
        changed = 0
        while (passed := loop.time() - started) < seconds and not (until is not None and until()):
            due = int(passed * rate)
            burst = min(due - changed, DRIP_BURST_MAX)
            for _ in range(burst):
                changed += max(1, self._habits.act(self._random.choice(actors), "load"))
            await asyncio.sleep(0 if due > changed else DRIP_TICK_S)
        self.changes += changed
        return changed

    def _steps(self, days: float) -> Iterator[int]:
        """The actions of some days in order; yields what each changed."""
        clock = self.org.clock
        with clock.held():
            start = clock.now_ms()
            end = start + int(days * DAY_MS)
            for day in range(start // DAY_MS, (end - 1) // DAY_MS + 1):
                for planned in self._day(day):
                    if start <= planned.at_ms < end:
                        clock.advance_to(planned.at_ms)
                        changed = planned.do()
                        self.changes += changed
                        yield changed
            clock.advance_to(end)

    def _day(self, day: int) -> list[_Planned]:
        """What will be done on one day, in order."""
        random = Random(f"day-{self.org.seed}-{day}")  # noqa: S311 - a seed is the point
        midnight = day * DAY_MS
        weekend = (day + 3) % 7 >= WEEKEND_FROM  # 1970-01-01 was a Thursday
        planned: list[tuple[int, _Do]] = []
        staff, habits = self.staff, self._habits
        for _ in range(self._actions(PEOPLE, weekend)):
            at = midnight + _office_time(random)
            planned.append((at, _acting(habits, random.choice(staff.people))))
        for share, actor, role in ((ERP, staff.erp, "erp"), (HUB, staff.marketing_hub, "marketing_hub")):
            for _ in range(self._actions(share, weekend)):
                planned.append((midnight + random.randrange(DAY_MS), _acting(habits, actor, role)))
        figures = self._actions(LOADER, weekend)
        planned.append(
            (
                midnight + LOADER_AT_MS + random.randrange(5 * MINUTE_MS),
                lambda: habits.load_figures(
                    staff.loader, random.randint(figures * 9 // 10, figures * 11 // 10)
                ),
            )
        )
        flagged = max(1, self._actions(FLOW, weekend) // len(FLOW_AT_MS))
        for at in FLOW_AT_MS:
            planned.append(
                (
                    midnight + at + random.randrange(MINUTE_MS),
                    lambda: habits.flag_overdue(
                        staff.automation, random.randint(flagged // 2, flagged * 3 // 2)
                    ),
                )
            )
        in_order = sorted(range(len(planned)), key=lambda order: (planned[order][0], order))
        return [_Planned(planned[order][0], order, planned[order][1]) for order in in_order]

    def _actions(self, share: Share, weekend: bool) -> int:
        changes = self.changes_per_day * share.of_day * (share.on_weekend if weekend else 1)
        return round(changes / share.per_action)


def _acting(habits: Habits, actor: Actor, role: str = "") -> _Do:
    return lambda: habits.act(actor, role or actor.role)


def _office_time(random: Random) -> int:
    """Milliseconds of the day: two humps around lunch, a few early and late."""
    draw = random.random()
    if draw < 0.04:
        return random.randrange(DAY_MS)
    centre = 10.2 if draw < 0.53 else 15.1
    hours = min(max(random.gauss(centre, 1.3), 6.5), 20.5)
    return int(hours * HOUR_MS)
