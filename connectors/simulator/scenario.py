"""What a scenario is, one run of it, and who acts in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.simulator.org import SimulatedOrg


@dataclass(slots=True)
class ScenarioRun:
    """One run of a scenario. `records` counts the records changed so far; times are org time.

    `transaction_keys` are the transactions that go wrong, `edit_keys` those of people who work on meanwhile,
    `automations` the names of triggers it left active in the org.
    """

    name: str
    parameters: Mapping[str, Any]
    user_id: str
    started_at: int
    ended_at: int | None = None
    records: int = 0
    transactions: int = 0
    transaction_keys: list[str] = field(default_factory=list)
    edit_keys: list[str] = field(default_factory=list)
    automations: list[str] = field(default_factory=list)
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


def find_user(org: SimulatedOrg, wanted: str) -> str:
    """A user's id by id, name or role (the first of that role). Raises ValueError."""
    for user in org.users:
        if wanted in (user["id"], user["name"], user["id"][:15]):
            return str(user["id"])
    for user in org.users:
        if user["role"] == wanted:
            return str(user["id"])
    raise ValueError(f"no user {wanted!r} in the org")
