"""Things that go wrong in an org, by name. A scenario is steps in org time: played at once, or live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.population import REST_ORIGIN


@dataclass(slots=True)
class ScenarioRun:
    """One run of a scenario. `records` counts the records changed so far; times are org time."""

    name: str
    parameters: Mapping[str, Any]
    user_id: str
    started_at: int
    ended_at: int | None = None
    records: int = 0
    transactions: int = 0
    transaction_keys: list[str] = field(default_factory=list)
    _steps: Iterator[int] = field(default_factory=lambda: iter(()), repr=False)

    def next_step(self) -> int | None:
        """Do the next step; returns how long to wait before the one after it in org ms, None at the end."""
        return next(self._steps, None)


Steps = Callable[[SimulatedOrg, ScenarioRun], Iterator[int]]
"""Makes the steps; each yields the org milliseconds until the next."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that can be started: its defaults, and what it does."""

    name: str
    about: str
    defaults: Mapping[str, Any]
    steps: Steps


def start(org: SimulatedOrg, name: str, **parameters: Any) -> ScenarioRun:
    """Begin a scenario; nothing happens before its first step. Raises ValueError for a wrong name or parameter."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(sorted(SCENARIOS))}")
    unknown = set(parameters) - set(scenario.defaults)
    if unknown:
        raise ValueError(
            f"scenario {name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(scenario.defaults)}"
        )
    merged = {**scenario.defaults, **parameters}
    run = ScenarioRun(name, merged, find_user(org, merged["user"]), org.clock.now_ms())
    run._steps = scenario.steps(org, run)
    return run


def play(org: SimulatedOrg, run: ScenarioRun) -> ScenarioRun:
    """All of it at once, moving the clock ahead."""
    with org.clock.held():
        while (wait_ms := run.next_step()) is not None:
            org.clock.advance(wait_ms)
    run.ended_at = org.clock.now_ms()
    return run


async def live(org: SimulatedOrg, run: ScenarioRun) -> ScenarioRun:
    """In org time as it passes, beside whatever else runs."""
    while (wait_ms := run.next_step()) is not None:
        await org.clock.sleep_until(org.clock.now_ms() + wait_ms)
        await asyncio.sleep(0)
    run.ended_at = org.clock.now_ms()
    return run


def find_user(org: SimulatedOrg, wanted: str) -> str:
    """A user's id by id, name or role (the first of that role). Raises ValueError."""
    for user in org.users:
        if wanted in (user["id"], user["name"], user["id"][:15]):
            return str(user["id"])
    for user in org.users:
        if user["role"] == wanted:
            return str(user["id"])
    raise ValueError(f"no user {wanted!r} in the org")


def _runaway_flow(org: SimulatedOrg, run: ScenarioRun) -> Iterator[int]:
    """One value into one field, on as many records as there are, a chunk a transaction."""
    wanted = run.parameters
    entity = org.entity(str(wanted["entity"]))
    path = str(wanted["field"])
    if path not in entity.leaves:
        raise ValueError(f"{entity.name} has no field {path}")
    random = Random(f"runaway-{org.seed}-{run.started_at}")  # noqa: S311 - a seed is the point
    record_ids = entity.records.live_ids()
    random.shuffle(record_ids)
    record_ids = record_ids[: int(wanted["records"])]
    chunk = int(wanted["chunk"])
    for at in range(0, len(record_ids), chunk):
        live_ids = [
            record_id
            for record_id in record_ids[at : at + chunk]
            if (record := entity.records.get(record_id)) is not None and not record.deleted
        ]
        committed = org.commit(
            [Change(entity.name, Op.UPDATE, record_id, {path: wanted["value"]}) for record_id in live_ids],
            user_id=run.user_id,
            origin=str(wanted["origin"]),
            client=str(wanted["client"]),
            merge=bool(wanted["merged"]),
        )
        run.records += len(live_ids)
        run.transactions += 1
        run.transaction_keys.append(committed.transaction.key)
        yield int(wanted["interval_ms"])


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "runaway_flow",
            "an automation writes one value into one field of thousands of records, 200 a transaction",
            {
                "entity": "Opportunity",
                "field": "StageName",
                "value": "Closed Lost",
                "records": 2_000,
                "chunk": 200,
                "interval_ms": 5_000,
                "user": "automation",
                "origin": "",
                "client": "",
                "merged": True,
            },
            _runaway_flow,
        ),
        Scenario(
            "runaway_integration",
            "an integration empties one field of thousands of records, 50 a call, single events",
            {
                "entity": "Account",
                "field": "Rating",
                "value": None,
                "records": 2_000,
                "chunk": 50,
                "interval_ms": 2_000,
                "user": "Marketing Hub",
                "origin": REST_ORIGIN,
                "client": "MarketingHub",
                "merged": False,
            },
            _runaway_flow,
        ),
    )
}
