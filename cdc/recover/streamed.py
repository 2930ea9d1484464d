"""Whether the journal holds what a restore wrote: what is written comes back through capture, a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cdc.recover.ledger import Ledger
from cdc.recover.statements import sql

LOOK_EVERY_S = 0.25


async def has_streamed(
    ledger: Ledger,
    restore_id: str,
    wait_s: float,
    *,
    say: Callable[[int, int], None] = lambda _came, _of: None,
) -> bool:
    """Wait until all of it came, or the stream has got past the restore's end; False where it has not in `wait_s`.

    `say` gets how many changes came, and of how many.
    """
    give_up_s = ledger.clock.monotonic_s() + wait_s

    def look() -> Any:
        with ledger.reader() as reader:
            return reader.execute(sql("streamed"), {"restore_id": restore_id}).fetchone()

    while True:
        came, written, is_past = await asyncio.to_thread(look)
        say(came, written)
        if came >= written or is_past:
            return True
        if ledger.clock.monotonic_s() > give_up_s:
            return False
        await ledger.clock.sleep(LOOK_EVERY_S)
