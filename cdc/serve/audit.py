"""Who did what through the API: a row before anything is done, and what became of it behind.

Both are decisions in the log (`schemas/README.md`, kind `call`), so that they outlive the journal; where the log
cannot take the first, nothing is done. What a call was given is kept as far as it is nobody's data: no ids of
records, no conditions, no tokens. The token itself is known by the first characters of its SHA-256.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import CdcError
from cdc.recover.ledger import Ledger
from cdc.serve.auth import Role, token_of
from cdc.serve.problems import status_of

KIND = "call"
TEXT_MAX = 200
READING_EVERY_MS = 3_600_000
READERS_MAX = 10_000

KEPT = frozenset(
    {
        "alert_id", "asked_by", "at", "before", "checkpoint", "children", "delete_created", "entities", "entity",
        "folder", "force", "hash", "incident_id", "note", "parents", "preview", "reason", "restore_id", "sandbox",
        "title",
    }
)  # fmt: skip
"""Parameters whose value is kept; of a list of others its length is."""


@dataclass(slots=True)
class Call:
    """One call, while it runs; `status` is what it was answered."""

    call_id: str
    what: str
    role: Role
    token: str
    by: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None

    def detail(self) -> dict[str, Any]:
        return {
            "call_id": self.call_id,
            "what": self.what,
            "role": self.role.name.lower(),
            "token": self.token,
            "given": self.given,
            **({} if self.status is None else {"status": self.status}),
        }


def call_of(what: str, role: Role, authorization: str | None, given: Mapping[str, Any]) -> Call:
    """A call that begins; `given` are its parameters, of which only some are kept."""
    digest = hashlib.sha256(token_of(authorization)).hexdigest()
    by = given.get("by") or ""
    return Call(secrets.token_hex(8), what, role, digest[:8], str(by)[:TEXT_MAX], _kept(given))


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name == "confirm":
            kept["confirmed"] = bool(value)
        elif name in KEPT:
            kept[name] = value[:TEXT_MAX] if isinstance(value, str | list) else value
        elif isinstance(value, list):
            kept[f"{name}_count"] = len(value)
    return kept


@dataclass(slots=True)
class Audit:
    """Tells the log. `seen` remembers who read what was masked for others, so that an hour's looks are one row."""

    ledger: Ledger
    seen: dict[tuple[str, str, str], int] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, call: Call) -> AsyncIterator[Call]:
        """Told before and behind. Errors: LogUnavailable where it cannot be told before."""
        await self._tell(call)
        try:
            yield call
        except Exception as error:
            call.status = status_of(error)
            raise
        else:
            call.status = 200
        finally:
            with contextlib.suppress(CdcError):  # it is done or not, whether or not that can be told
                await self._tell(call)

    async def refused(self, call: Call) -> None:
        """One row for what was not allowed."""
        await self._tell(call)

    async def reading(self, call: Call) -> None:
        """A look at fields that others see masked: a row for each token, question and entity in an hour."""
        now = self.ledger.clock.wall_ms()
        key = (call.token, call.what, str(call.given.get("entity", "")))
        if now - self.seen.get(key, -READING_EVERY_MS) < READING_EVERY_MS:
            return
        if len(self.seen) >= READERS_MAX:
            self.seen.clear()
        self.seen[key] = now
        await self._tell(call)

    async def _tell(self, call: Call) -> None:
        await asyncio.to_thread(self.ledger.tell, KIND, call.call_id, call.detail(), by=call.by)
