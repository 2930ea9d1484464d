"""A plain Bayeux client for tests: HTTP and JSON only, no code of ours and no library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.integration.simulator_client import Client, simulated

PATIENCE_S = 10.0


class Bayeux:
    """One client of /cometd; it keeps its cookies unless told otherwise."""

    def __init__(self, client: Client, http: aiohttp.ClientSession, version: str) -> None:
        self.client = client
        self.http = http
        self.url = f"{client.url}/cometd/{version}"
        self.token = client.token
        self.client_id = ""

    async def post(self, *messages: Any) -> tuple[int, list[dict[str, Any]]]:
        """Status and replies to an array of messages."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with (
            asyncio.timeout(PATIENCE_S),
            self.http.post(self.url, json=list(messages), headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def send(self, channel: str, **more: Any) -> dict[str, Any]:
        """The reply to one message of this client."""
        message = {"channel": channel, "id": "1", "clientId": self.client_id, **more}
        _, replies = await self.post(message)
        return replies[-1]

    async def handshake(self) -> dict[str, Any]:
        reply = await self.send(
            "/meta/handshake",
            version="1.0",
            supportedConnectionTypes=["long-polling"],
            ext={"replay": True},
        )
        self.client_id = reply.get("clientId", "")
        return reply

    async def subscribe(self, channel: str, replay: int = -1) -> dict[str, Any]:
        return await self.send("/meta/subscribe", subscription=channel, ext={"replay": {channel: replay}})

    async def connect(self, **more: Any) -> list[dict[str, Any]]:
        """Events and, last, the reply."""
        message = {"channel": "/meta/connect", "clientId": self.client_id, "connectionType": "long-polling"}
        return (await self.post({**message, **more}))[1]

    async def events(self, count: int) -> list[dict[str, Any]]:
        """So many events, over as many connects as they take."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                *events, reply = await self.connect()
                assert reply["successful"], reply
                found += events
        return found


@asynccontextmanager
async def listening(version: str = "66.0", **options: Any) -> AsyncIterator[Bayeux]:
    """A small org, and a client that has shaken hands."""
    times = {"cometd_hold_s": 0.3, "cometd_away_s": 5.0, **options.pop("times", {})}
    async with simulated(times=times, **options) as client, jar() as http:
        bayeux = Bayeux(client, http, version)
        assert (await bayeux.handshake())["successful"]
        yield bayeux


def jar() -> aiohttp.ClientSession:
    """Keeps cookies of an address without a name too."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
