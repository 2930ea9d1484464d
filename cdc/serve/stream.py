"""New versions of alerts as server-sent events. However many listen, the journal is looked at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from cdc.change.masking import Masked
from cdc.serve.asking import Asking
from cdc.serve.questions import QUESTIONS

LOOK_EVERY_S = 0.5
ALERTS_MAX = 1_000
DECORATED_MAX = 5


@dataclass(slots=True)
class AlertStream:
    """The newest alerts as they were at the last look."""

    asking: Asking
    stopping: asyncio.Event
    _looked_at: float = float("-inf")
    _newest: list[dict[str, Any]] = field(default_factory=list)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def serve(self, request: web.Request, masked: Masked) -> web.StreamResponse:
        """Every new version of every alert; `since=all` begins with those there are."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        sent: dict[str, int] = {}
        if request.query.get("since") != "all":
            sent = {a["alert_id"]: a["version"] for a in await self._alerts()}
        while not self.stopping.is_set():
            new = [a for a in await self._alerts() if sent.get(a["alert_id"], 0) < a["version"]]
            for alert in reversed(await self._shown(new, masked)):
                sent[alert["alert_id"]] = alert["version"]
                await response.write(f"data: {json.dumps(alert)}\n\n".encode())
            await response.write(b": quiet\n\n")
            await asyncio.sleep(LOOK_EVERY_S)
        return response

    async def _alerts(self) -> list[dict[str, Any]]:
        """All of them, undecorated and shown to nobody: what is new is looked up one by one."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
                self._newest = await self._asked({"limit": ALERTS_MAX, "decorated": False})
                self._looked_at = time.monotonic()
        return self._newest

    async def _shown(self, new: list[dict[str, Any]], masked: Masked) -> list[dict[str, Any]]:
        """With what is known of them; a backlog goes out as it stands in the list."""
        if len(new) > DECORATED_MAX:
            return await self._asked({"limit": ALERTS_MAX, "decorated": False}, masked)
        return [a for one in new for a in await self._asked({"alert_id": one["alert_id"]}, masked)]

    async def _asked(self, given: Mapping[str, Any], masked: Masked | None = None) -> list[dict[str, Any]]:
        answer = await self.asking.ask(lambda reader: QUESTIONS["alerts"].answer(reader, given), "glance")
        if masked:
            answer = masked.answer(answer, None)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
