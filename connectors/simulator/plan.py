"""The workload file: how big the org is, what it has lived through, and what happens to it while it runs.

TOML or JSON, every key optional:

    users = 40                     # people
    records = 3000                 # at the start, over all entities
    changes_per_day = 1200
    days = 7                       # ordinary days played before it answers
    drip = 5.0                     # changes a second from then on, in real time
    speed = 1.0                    # org seconds a real second
    start_ms = 1788134400000       # org time at the start; left out: a fixed Monday less the days
    knobs = "cruel"                # kind, cruel, or a table of single ones over kind

    automation = "standard"        # rules and flows of a lived-in org, or [[automation]] tables: kind, name, entity, …

    [[scenarios]]
    name = "runaway_flow"
    after_s = 30                   # real seconds after the org answers; 0: at once
    records = 500                  # and any other parameter of the scenario
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.errors import SettingsError
from connectors.simulator.knobs import Knobs
from connectors.simulator.scenarios import SCENARIOS
from connectors.simulator.workload import DEFAULT_CHANGES_PER_DAY, DEFAULT_RECORDS, DEFAULT_USERS


@dataclass(frozen=True, slots=True)
class PlannedScenario:
    """A scenario that starts by itself, so many real seconds after the org answers."""

    name: str
    after_s: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a workload file says."""

    users: int = DEFAULT_USERS
    records: int = DEFAULT_RECORDS
    changes_per_day: int = DEFAULT_CHANGES_PER_DAY
    days: float = 0.0
    drip: float = 0.0
    speed: float = 1.0
    start_ms: int | None = None
    knobs: Knobs = field(default_factory=Knobs.kind)
    scenarios: tuple[PlannedScenario, ...] = ()
    automation: tuple[Mapping[str, Any], ...] | str = ()


def read_plan(path: str | Path) -> Plan:
    """Read a workload file. Errors: SettingsError naming what cannot be used."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        body = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise _unusable(f"cannot be read: {error.strerror}", file) from None
    except ValueError as error:
        raise _unusable(f"is neither TOML nor, as .json, JSON: {error}", file) from None
    try:
        return plan_of(body)
    except (TypeError, ValueError) as error:
        raise _unusable(str(error), file) from None


def plan_of(body: Mapping[str, Any]) -> Plan:
    """A plan from a parsed file. Raises ValueError for an unknown key or a value of the wrong kind."""
    kinds: dict[str, type] = {
        "users": int, "records": int, "changes_per_day": int, "days": float, "drip": float, "speed": float,
        "start_ms": int,
    }  # fmt: skip
    given: dict[str, Any] = {}
    for key, value in body.items():
        if key == "knobs":
            given[key] = _knobs(value)
        elif key == "scenarios":
            given[key] = tuple(_scenario(one) for one in value)
        elif key == "automation":
            given[key] = _automation(value)
        elif key in kinds:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{key} = {value!r} is not a number of 0 or more")
            given[key] = kinds[key](value)
        else:
            raise ValueError(
                f"unknown key {key!r}; known: {', '.join((*kinds, 'knobs', 'scenarios', 'automation'))}"
            )
    return Plan(**given)


def _knobs(value: Any) -> Knobs:
    if value in ("kind", "cruel"):
        return Knobs.cruel() if value == "cruel" else Knobs.kind()
    if not isinstance(value, dict):
        raise ValueError(f"knobs = {value!r} is neither kind, nor cruel, nor a table")
    known = {one.name for one in dataclasses.fields(Knobs)}
    unknown = set(value) - known
    if unknown:
        raise ValueError(f"unknown knob {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in value.items()}
    return dataclasses.replace(Knobs.kind(), **given)


def _automation(value: Any) -> tuple[Mapping[str, Any], ...] | str:
    if value == "standard":
        return "standard"
    if not isinstance(value, list) or not all(isinstance(one, dict) and "kind" in one for one in value):
        raise ValueError('automation is "standard", or tables that each have a kind')
    return tuple(value)


def _scenario(body: Any) -> PlannedScenario:
    parameters = dict(body)
    name = str(parameters.pop("name", ""))
    if name not in SCENARIOS:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(sorted(SCENARIOS))}")
    after_s = float(parameters.pop("after_s", 0))
    unknown = set(parameters) - set(SCENARIOS[name].defaults)
    if unknown:
        raise ValueError(f"scenario {name} has no parameter {', '.join(sorted(unknown))}")
    return PlannedScenario(name, after_s, parameters)


def _unusable(why: str, file: Path) -> SettingsError:
    return SettingsError(
        f"the workload file cannot be used: {why}",
        where=f"--workload {file}",
        do="see connectors/simulator/plan.py for its keys",
    )
