"""`cdc simulator`: the simulated org as a process of its own."""

from __future__ import annotations

import asyncio
from typing import Any


def run_simulator(**options: Any) -> None:
    """Serve until a signal. Errors: PortTaken, SettingsError (workload, fault)."""
    from connectors.simulator.command import run

    result = run(**options)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
