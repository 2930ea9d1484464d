"""What recovery tells, durable in the log before anything follows from it, and read back from the journal.

Incidents, restores, what a restore will write and what became of it, drills: records of the topic `decisions`
(`schemas/README.md`), which the journal keeps and the detector reads in order.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import RetryLater
from cdc.ports.clock import Clock
from cdc.ports.log import LogRecord
from cdc.recover.statements import sql
from schemas import own

TOPIC = "decisions"
READ_BACK_S = 60.0
"""How long the journal may take to read what was just told; it is seconds behind on a busy day."""
LOOK_EVERY_S = 0.05


@dataclass(slots=True)
class Ledger:
    """`publish` makes records durable before it returns; `reader` gives a cursor on the journal."""

    publish: Callable[[Sequence[LogRecord]], None]
    reader: Callable[[], AbstractContextManager[Any]]
    clock: Clock = field(default_factory=Clock)

    def tell(
        self,
        kind: str,
        key: str,
        detail: Mapping[str, Any],
        *,
        by: str = "",
        at: int | None = None,
        alert_id: str = "",
    ) -> None:
        """One record. Errors: LogUnavailable."""
        at_ms = self.clock.wall_ms() if at is None else at
        self.publish([record(kind, key, detail, by=by, at=at_ms, alert_id=alert_id)])

    async def org_now(self) -> int:
        """The newest org time the journal knows, epoch ms: facts go by event time."""

        def look() -> int:
            with self.reader() as reader:
                row = reader.execute(sql("newest")).fetchone()
            return int(row[0] or 0) if row else 0

        return await asyncio.to_thread(look) or self.clock.wall_ms()

    async def tell_now(self, kind: str, key: str, detail: Mapping[str, Any], *, by: str) -> None:
        """One record, of the newest org time. Errors: LogUnavailable."""
        at = await self.org_now()
        await asyncio.to_thread(self.tell, kind, key, detail, by=by, at=at)

    async def restore_read_back(self, restore_id: str, version: int) -> None:
        """Wait until the journal has this version of a restore. Errors: RetryLater after a minute."""
        await self.read_back("restore_version", {"restore_id": restore_id, "version": version})

    async def read_back(self, question: str, parameters: Mapping[str, Any]) -> Any:
        """Wait until the journal answers `sql/<question>.sql` with something. Errors: RetryLater after a minute."""
        give_up_s = self.clock.monotonic_s() + READ_BACK_S
        while True:
            with self.reader() as reader:
                row = reader.execute(sql(question), dict(parameters)).fetchone()
            if row is not None and row[0] is not None:
                return row[0]
            if self.clock.monotonic_s() > give_up_s:
                raise RetryLater(
                    f"the journal did not read what was told within {READ_BACK_S:.0f} s",
                    where=str(dict(parameters)),
                    do="look at `cdc status`: the journal may lag; then ask again",
                )
            await self.clock.sleep(LOOK_EVERY_S)


def record(
    kind: str, key: str, detail: Mapping[str, Any], *, by: str = "", at: int, alert_id: str = ""
) -> LogRecord:
    """A record of the topic `decisions`."""
    text = json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
    value = own.encode("decision", {"kind": kind, "at": at, "by": by, "alert_id": alert_id, "detail": text})
    return LogRecord(topic=TOPIC, key=key, value=value)
