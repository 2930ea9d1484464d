"""The clients of the Streaming API: who has shaken hands, what each listens to, and when it is forgotten.

A client lives from its handshake until it disconnects, is refused for good, or does not connect again within
the time the service allows. What it has not fetched by then is not kept for it: whoever comes back
subscribes anew, from a replay id.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.simulator.errors import BusError
from connectors.simulator.model import Cursor
from connectors.simulator.wire.cometd_errors import REFUSALS, BayeuxError
from connectors.simulator.wire.cometd_events import EventTexts
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session

NEW_EVENTS = -1
ALL_EVENTS = -2
EVENTS_AT_ONCE_MAX = 200
ANSWER_BYTES_MAX = 1_000_000
LOOK_AGAIN_S = 0.25  # faults and the clock are looked at this often while a connect is held

_BUS_ERRORS = {
    "topic.not.found": "channel_unknown",
    "topic.validation.empty": "channel_missing",
    "subscription.topic.cannot.subscribe": "cdc_permission",
    "subscription.fetch.replayid.corrupted": "replay_invalid",
    "subscription.fetch.replayid.validation.failed": "replay_invalid",
}


@dataclass(slots=True)
class CometdClient:
    """One client; `deadline_s` is when it is forgotten unless a connect is being held."""

    client_id: str
    cookie: str
    login: Session
    version: float
    replays: bool
    deadline_s: float
    cursors: dict[str, Cursor] = field(default_factory=dict)
    connects: int = 0
    holds: int = 0
    stirred: asyncio.Event = field(default_factory=asyncio.Event)


class CometdClients:
    """Every client of the org's Streaming API."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._clients: dict[str, CometdClient] = {}
        self._texts = EventTexts(wire.org)
        wire.sessions.when_revoked(self._stir_all)

    def __len__(self) -> int:
        self._forget()
        return len(self._clients)

    def open(self, login: Session, version: float, *, replays: bool) -> CometdClient:
        """A new client. Raises BayeuxError clients_limit."""
        if len(self) >= self._wire.options.cometd_clients_max:
            raise BayeuxError("clients_limit")
        client = CometdClient(
            secrets.token_hex(14), secrets.token_hex(8), login, version, replays, self._deadline()
        )
        self._clients[client.client_id] = client
        return client

    def find(self, client_id: Any, cookie: str, login: Session) -> CometdClient:
        """The client of a message. Raises BayeuxError."""
        if not client_id:
            raise BayeuxError("handshake_first")
        self._forget()
        client = self._clients.get(str(client_id))
        if client is None:
            raise BayeuxError("unknown_client")
        if client.cookie not in cookie:
            raise BayeuxError("cookie_missing")
        if client.login.user_id != login.user_id:
            raise BayeuxError("user_mismatch")
        client.login = login
        return client

    def check_fault(self, on: str) -> None:
        """Raises the BayeuxError that the fault `cometd_error` asks for."""
        fault = self._wire.org.faults.take("cometd_error", on=on)
        if fault is not None:
            name = str(fault.parameters.get("error", ""))
            raise BayeuxError(name if name in REFUSALS else "unknown_client", "0")

    def close(self, client: CometdClient) -> None:
        """Forget a client, and end the connect that is held for it."""
        self._clients.pop(client.client_id, None)
        client.stirred.set()

    def subscribe(self, client: CometdClient, channel: str, replay: Any) -> None:
        """Listen to a channel from a replay id. Raises BayeuxError."""
        if not channel:
            raise BayeuxError("channel_missing")
        if not channel.startswith("/"):
            raise BayeuxError("channel_slash", channel)
        topic = channel.partition("?")[0]
        if topic.startswith(("/meta/", "/service/")) or "*" in topic:
            raise BayeuxError("channel_restricted", channel)
        if isinstance(replay, bool) or not isinstance(replay, int | None):
            raise BayeuxError("replay_invalid", str(replay))
        try:
            client.cursors[topic] = self._cursor(topic, NEW_EVENTS if replay is None else replay)
        except BusError as error:
            name = _BUS_ERRORS.get(error.code, "server_busy")
            raise BayeuxError(name, str(replay) if name == "replay_invalid" else channel) from None
        client.stirred.set()

    async def connect(self, client: CometdClient, timeout_s: float) -> list[dict[str, Any]]:
        """Events for a client, as soon as there are any; none after the time the service holds a connect."""
        client.connects += 1
        mine = client.connects
        client.holds += 1
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while True:
                client.stirred.clear()
                self._check(client)
                messages = self._take(client)
                if messages or loop.time() >= deadline or client.connects != mine:
                    return messages
                await self._wait(client, min(LOOK_AGAIN_S, deadline - loop.time()))
        finally:
            client.holds -= 1
            client.deadline_s = self._deadline()

    def _check(self, client: CometdClient) -> None:
        self.check_fault("connect")  # a session is dropped while its connect is held, too
        self._wire.apply_revocation()
        if client.client_id not in self._clients:
            raise BayeuxError("unknown_client")
        if client.login.revoked:
            self.close(client)
            raise BayeuxError("authentication_invalid")
        if self._wire.delivery_left <= 0 or self._wire.org.faults.take("delivery_limit") is not None:
            self.close(client)
            raise BayeuxError("daily_limit")

    def _take(self, client: CometdClient) -> list[dict[str, Any]]:
        """The next events of every channel; positions move past what is given."""
        out: list[dict[str, Any]] = []
        size = 0
        faults = self._wire.org.faults
        if faults.active("keepalive_only") is not None:
            return out
        for topic, cursor in list(client.cursors.items()):
            room = min(EVENTS_AT_ONCE_MAX - len(out), self._wire.delivery_left)
            if room <= 0 or size >= ANSWER_BYTES_MAX:
                break
            if faults.active("cometd_silent", channel=topic) is not None:
                continue
            try:
                events, client.cursors[topic] = self._wire.org.bus.read(cursor, room)
            except BusError:
                continue  # permissions are not looked at again while a subscription lasts
            self._wire.count_delivered(events)
            out += [self._texts.message(topic, event, client.version) for event in events]
            size += sum(len(event.payload) for event in events)
        return out

    async def _wait(self, client: CometdClient, timeout_s: float) -> None:
        bus = self._wire.org.bus
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(client.stirred.wait())}
        waits |= {asyncio.ensure_future(bus.wait(c, timeout_s)) for c in self._waiting(client)}
        _, still = await asyncio.wait(waits, timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)
        for wait in still:
            wait.cancel()

    def _waiting(self, client: CometdClient) -> Iterator[Cursor]:
        faults = self._wire.org.faults
        for topic, cursor in client.cursors.items():
            if faults.active("cometd_silent", channel=topic) is None and not faults.active("keepalive_only"):
                yield cursor

    def _cursor(self, topic: str, replay: int) -> Cursor:
        bus = self._wire.org.bus
        if replay == NEW_EVENTS:
            return bus.resolve(topic, "latest")
        if replay == ALL_EVENTS:
            return bus.resolve(topic, "earliest")
        if not 0 <= replay < 1 << 63:
            raise BusError("subscription.fetch.replayid.corrupted", "no replay id")
        return bus.resolve(topic, "custom", replay.to_bytes(8, "big") + bytes(2))

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        for client in [c for c in self._clients.values() if not c.holds and c.deadline_s < now]:
            self.close(client)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._wire.options.cometd_away_s

    def _stir_all(self) -> None:
        for client in self._clients.values():
            client.stirred.set()
