"""Things that go wrong in an org, by name. A scenario is steps in org time: played at once, or live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from connectors.simulator.incidents import INCIDENTS
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.scenario import Scenario, ScenarioRun, find_user
from connectors.simulator.setup_scenarios import SETUP_INCIDENTS

__all__ = ["SCENARIOS", "Scenario", "ScenarioRun", "find_user", "live", "play", "start"]

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in (*INCIDENTS, *SETUP_INCIDENTS)}


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
