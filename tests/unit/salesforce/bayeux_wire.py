"""A Bayeux server on loopback that says what a test scripts: channels with chosen replay ids, answers, refusals."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session

ORG_ID = "00D000000000001AAA"
HOLD_S = 30.0

Reply = Callable[[dict[str, Any]], "dict[str, Any] | None"]


class Streaming:
    """/cometd and /event/eventSchema over lists in memory; remembers what it was asked."""

    def __init__(self) -> None:
        self.topics: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.schemas: dict[str, str] = {}
        self.advice: dict[str, Any] = {"reconnect": "retry", "interval": 0, "timeout": 110_000}
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.failures: dict[str, list[Any]] = defaultdict(
            list
        )  # by meta channel: error text, a message besides the reply, or a response
        self.url = ""
        self.holds_first = False  # the first connect too, which most services answer at once
        self.leaves_out_ids = False
        self.patience_s = 0.0  # how long every answer waits
        self._at: dict[str, dict[str, int]] = {}
        self._answer_now: set[str] = set()
        self._connected: set[str] = set()
        self._changed = asyncio.Condition()
        self._ids = 0

    def subscriptions(self, channel: str) -> list[int]:
        """The replay ids that were asked for on a channel."""
        return [
            message["ext"]["replay"][channel]
            for message in self.asked
            if message["channel"] == "/meta/subscribe" and message["subscription"] == channel
        ]

    def is_followed(self, channel: str) -> bool:
        """Whether somebody listens to it now."""
        return any(channel in at for at in self._at.values())

    async def publish(self, channel: str, *messages: tuple[int, dict[str, Any]]) -> None:
        async with self._changed:
            self.topics[channel] += messages
            self._changed.notify_all()

    async def answer(self) -> None:
        """Answer every connect that is held, without events."""
        await self._until_held()
        async with self._changed:
            self._answer_now = set(self._at)
            self._changed.notify_all()

    async def answer_always(self) -> None:
        """Answer every connect soon, without events."""
        while True:
            await self.answer()
            await asyncio.sleep(0.005)

    async def fail(self, meta: str, failure: Any) -> None:
        """Refuse the next message on this meta channel, or the connect that is held."""
        async with self._changed:
            self.failures[meta].append(failure)
            self._changed.notify_all()

    async def forget(self, channel: str) -> None:
        """Stop delivering a channel without a word to whoever listens."""
        async with self._changed:
            for at in self._at.values():
                at.pop(channel, None)

    async def _until_held(self) -> None:
        async with asyncio.timeout(10):
            while not self._connected:
                await asyncio.sleep(0.005)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.patience_s)
        self.tokens.append(request.headers.get("Authorization", ""))
        out: list[dict[str, Any]] = []
        for message in json.loads(await request.read()):
            self.asked.append(message)
            kind = message["channel"]
            if kind == "/meta/connect":
                events = await self._held(message)
                if isinstance(events, web.StreamResponse):
                    return events
                out += events
                continue
            failure = self.failures[kind].pop(0) if self.failures[kind] else None
            if isinstance(failure, web.StreamResponse):
                return failure
            out.append(_refused(message, failure) if failure else self._meta(message))
        if self.leaves_out_ids:
            out = [{key: value for key, value in one.items() if key != "id"} for one in out]
        return web.json_response(out)

    async def schema(self, request: web.Request) -> web.Response:
        text = self.schemas.get(request.match_info["schema_id"])
        if text is None:
            return web.json_response([{"errorCode": "NOT_FOUND", "message": "no such schema"}], status=404)
        body = {**json.loads(text), "uuid": request.match_info["schema_id"]}
        return web.json_response(body, headers={"Date": "Tue, 24 Nov 2026 10:00:00 GMT"})

    def _meta(self, message: dict[str, Any]) -> dict[str, Any]:
        reply = {"channel": message["channel"], "id": message["id"], "successful": True}
        if message["channel"] == "/meta/handshake":
            self._ids += 1
            self._at[f"client-{self._ids}"] = {}
            return {
                **reply,
                "clientId": f"client-{self._ids}",
                "supportedConnectionTypes": ["long-polling"],
                "advice": self.advice,
            }
        client = message["clientId"]
        if message["channel"] == "/meta/disconnect":
            self._at.pop(client, None)
            return reply
        channel = message["subscription"]
        reply["subscription"] = channel
        if message["channel"] == "/meta/unsubscribe":
            self._at[client].pop(channel, None)
            return reply
        if channel not in self.topics:
            return _refused(
                message, f"400::The channel {channel} you requested to subscribe to does not exist"
            )
        replay = message["ext"]["replay"][channel]
        numbers = [number for number, _ in self.topics[channel]]
        if replay >= 0 and replay not in numbers:
            return _refused(message, f"400::The replayId {{{replay}}} you provided was invalid.")
        starts = {-2: 0, -1: len(numbers)}
        self._at[client][channel] = starts[replay] if replay < 0 else _behind(numbers, replay)
        return reply

    async def _held(self, message: dict[str, Any]) -> list[dict[str, Any]] | web.StreamResponse:
        client = message["clientId"]
        reply = {"channel": "/meta/connect", "id": message["id"], "successful": True, "clientId": client}
        first = (
            not self.holds_first
            and sum(m["channel"] == "/meta/connect" and m["clientId"] == client for m in self.asked) == 1
        )
        self._connected.add(client)
        try:
            async with self._changed, asyncio.timeout(HOLD_S):
                while True:
                    if client not in self._at:
                        return [_refused(message, "403::Unknown client")]
                    if self.failures["/meta/connect"] and not first:
                        failure = self.failures["/meta/connect"].pop(0)
                        if isinstance(failure, web.StreamResponse):
                            return failure
                        if isinstance(failure, dict):
                            return [failure, reply]
                        self._at.pop(client, None)
                        return [_refused(message, failure)]
                    events = self._events(client)
                    if events or first or client in self._answer_now:
                        self._answer_now.discard(client)
                        return [*events, reply]
                    await self._changed.wait()
        finally:
            self._connected.discard(client)

    def _events(self, client: str) -> list[dict[str, Any]]:
        out = []
        for channel, at in self._at.get(client, {}).items():
            rows = self.topics[channel]
            out += [{"channel": channel, "data": data} for _, data in rows[at:]]
            self._at[client][channel] = len(rows)
        return out


def _behind(numbers: list[int], replay: int) -> int:
    return max(index for index, number in enumerate(numbers) if number == replay) + 1


def _refused(message: dict[str, Any], error: str) -> dict[str, Any]:
    reply = {"channel": message["channel"], "id": message["id"], "successful": False, "error": error}
    advice = "handshake" if "Unknown client" in error else "none"
    return {**reply, "advice": {"reconnect": advice, "interval": 0}}


@asynccontextmanager
async def streaming_org() -> AsyncIterator[tuple[Streaming, Session]]:
    """The server, and a session that is logged in to it."""
    server = Streaming()
    app = web.Application()
    app.router.add_post("/cometd/{version}", server.handle)
    app.router.add_get("/services/data/{version}/event/eventSchema/{schema_id}", server.schema)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    credentials = Credentials(
        method=AuthMethod.ACCESS_TOKEN,
        access_token=Secret("access_token", value="first-token"),
        instance_url=server.url,
        org_id=ORG_ID,
    )
    try:
        async with Session(credentials) as session:
            yield server, session
    finally:
        await runner.cleanup()
