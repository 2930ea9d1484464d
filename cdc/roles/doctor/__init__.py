"""`cdc doctor`: every outside thing the recorder needs, each with a verdict and the remedy.

Nothing is changed by it: no position, no journal row, no record in the org. It may run beside `cdc run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from cdc.errors import CdcError
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.roles.doctor import org, road, sinks, store
from cdc.roles.doctor.finding import FAIL, Finding
from cdc.settings import Settings

__all__ = ["Finding", "diagnose"]

CHECK_TIMEOUT_S = 45.0

Check = Callable[[Settings, Clock, Metrics], Awaitable[list[Finding]]]

CHECKS: dict[str, Check] = {
    "salesforce": org.check,
    "restore": org.check_restore,
    "log": road.check,
    "journal": store.check,
    "api": store.check_api,
    "sinks": sinks.check,
}
"""In the order they are shown; each looks at one thing and says all it can about it."""


async def diagnose(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Finding]:
    """Findings as they are made. A check that cannot go on says why; the others are made all the same."""
    clock, metrics = clock or Clock(), Metrics()
    for name, check in CHECKS.items():
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                findings = await check(settings, clock, metrics)
        except CdcError as error:
            findings = [
                Finding(name, FAIL, error.what + (f" ({error.where})" if error.where else ""), error.do)
            ]
        except TimeoutError:
            what = f"no answer within {CHECK_TIMEOUT_S:.0f} s"
            findings = [Finding(name, FAIL, what, "look at the network between here and there")]
        for finding in findings:
            yield finding
