"""The Streaming API: Bayeux over long polling at /cometd/<version> (protocol section 3).

A request is an array of messages, and so is its answer: one reply a message in their order, the events before
the reply to /meta/connect. Clients that put the kind of message behind the address are served too. Events are
handed out when an answer is made, and are gone with it if it does not arrive: there is no acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from connectors.simulator.wire.answers import json_answer
from connectors.simulator.wire.cometd_errors import BayeuxError, refused
from connectors.simulator.wire.cometd_sessions import CometdClient, CometdClients
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session

COOKIE = "BAYEUX_BROWSER"
OLDEST_VERSION = 37.0
REQUEST_BYTES_MAX = 32_768
HTML = (
    "<html><head><title>Down For Maintenance</title></head>"
    "<body><h1>We are down for maintenance.</h1></body></html>"
)


class Cometd:
    """The endpoint of one org."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._clients = CometdClients(wire)

    def routes(self) -> list[web.RouteDef]:
        """Where it lives."""
        return [web.post("/cometd", self.handle), web.post("/cometd/{tail:.*}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of a client."""
        try:
            version = _version(request.match_info.get("tail", ""))
            messages = await _messages(request)
            login = self._login(request)
        except BayeuxError as error:
            return json_answer([refused({}, error)], status=error.refusal.status)
        html = self._html(messages)
        if html is not None:
            return html
        cookies: list[str] = []
        replies: dict[int, list[dict[str, Any]]] = {}
        # A connect may be held: whatever else is in the request is done before.
        for at in sorted(range(len(messages)), key=lambda i: messages[i].get("channel") == "/meta/connect"):
            replies[at] = await self._reply(request, messages[at], login, version, cookies)
        if any(m.get("channel") == "/meta/connect" for m in messages):
            await self._trouble(request)
        response = json_answer([one for at in sorted(replies) for one in replies[at]])
        for value in cookies:
            response.set_cookie(COOKIE, value, path="/", httponly=True, secure=request.secure)
        return response

    async def _reply(
        self,
        request: web.Request,
        message: dict[str, Any],
        login: Session | None,
        version: float,
        cookies: list[str],
    ) -> list[dict[str, Any]]:
        channel = str(message.get("channel") or "")
        client: CometdClient | None = None
        try:
            if channel == "/meta/handshake":
                self._clients.check_fault("handshake")
                return [self._handshake(message, login, version, cookies)]
            if login is None:
                raise BayeuxError("authentication_invalid")
            cookie = request.headers.get("Cookie", "")
            client = self._clients.find(message.get("clientId"), cookie, login)
            self._clients.check_fault(channel.removeprefix("/meta/"))
            return await self._meta(channel, message, client)
        except BayeuxError as error:
            if client is not None and error.refusal.ends:
                self._clients.close(client)
            return [refused(message, error)]

    async def _meta(
        self, channel: str, message: dict[str, Any], client: CometdClient
    ) -> list[dict[str, Any]]:
        reply = {"channel": channel, "clientId": client.client_id, "successful": True}
        if message.get("id") is not None:
            reply["id"] = message["id"]
        if channel == "/meta/connect":
            return [*await self._clients.connect(client, self._hold_s(message, client)), reply]
        if channel == "/meta/disconnect":
            self._clients.close(client)
            return [reply]
        wanted = message.get("subscription")
        names = wanted if isinstance(wanted, list) else [wanted or ""]
        reply["subscription"] = wanted
        if channel == "/meta/subscribe":
            replay = ((message.get("ext") or {}).get("replay") or {}) if client.replays else {}
            for name in names:
                self._clients.subscribe(client, str(name), replay.get(str(name).partition("?")[0]))
        elif channel == "/meta/unsubscribe":
            for name in names:
                client.cursors.pop(str(name).partition("?")[0], None)
        else:
            raise BayeuxError(
                "channel_create" if not channel.startswith("/meta/") else "channel_restricted", channel
            )
        return [reply]

    def _handshake(
        self, message: dict[str, Any], login: Session | None, version: float, cookies: list[str]
    ) -> dict[str, Any]:
        if login is None:
            raise BayeuxError("authentication_invalid")
        if self._wire.org.faults.take("unavailable") is not None:
            raise BayeuxError("server_busy")
        replays = bool((message.get("ext") or {}).get("replay", True))
        client = self._clients.open(login, version, replays=replays)
        cookies.append(client.cookie)
        reply = {
            "channel": "/meta/handshake",
            "version": "1.0",
            "minimumVersion": "1.0",
            "supportedConnectionTypes": ["long-polling"],
            "clientId": client.client_id,
            "successful": True,
            "ext": {"replay": True, "payload.format": True},
            "advice": {
                "reconnect": "retry",
                "interval": 0,
                "timeout": int(self._wire.options.cometd_hold_s * 1000),
            },
        }
        if message.get("id") is not None:
            reply["id"] = message["id"]
        return reply

    def _hold_s(self, message: dict[str, Any], client: CometdClient) -> float:
        """The first connect is answered at once; a client may ask for less patience."""
        wanted = (message.get("advice") or {}).get("timeout")
        most = self._wire.options.cometd_hold_s if client.connects else 0.0
        return min(most, float(wanted) / 1000) if isinstance(wanted, int | float) else most

    def _login(self, request: web.Request) -> Session | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "oauth") or not token:
            raise BayeuxError("authentication_required")
        return self._wire.session(token)

    # Faults

    def _html(self, messages: list[dict[str, Any]]) -> web.Response | None:
        kinds = {str(m.get("channel", "")).removeprefix("/meta/") for m in messages}
        fault = next(
            (f for kind in kinds if (f := self._wire.org.faults.take("cometd_html", on=kind)) is not None),
            None,
        )
        if fault is None:
            return None
        return web.Response(
            text=HTML, content_type="text/html", status=int(fault.parameters.get("status", 200))
        )

    async def _trouble(self, request: web.Request) -> None:
        """What goes wrong with the answer to a connect."""
        faults = self._wire.org.faults
        late = faults.take("cometd_slow_connect")
        if late is not None:
            await asyncio.sleep(float(late.parameters.get("ms", 1000)) / 1000)
        if faults.take("cometd_cut") is not None or faults.take("stream_reset") is not None:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPServiceUnavailable


def _version(tail: str) -> float:
    number = tail.partition("/")[0]
    if not number:
        raise BayeuxError("version_missing")
    try:
        version = float(number)
    except ValueError:
        raise BayeuxError("version_missing") from None
    if version < OLDEST_VERSION:
        raise BayeuxError("version_unsupported", number)
    return version


async def _messages(request: web.Request) -> list[dict[str, Any]]:
    body = await request.content.read(REQUEST_BYTES_MAX + 1)
    while len(body) <= REQUEST_BYTES_MAX and (more := await request.content.read(REQUEST_BYTES_MAX)):
        body += more
    if len(body) > REQUEST_BYTES_MAX:
        raise BayeuxError("request_size")
    try:
        messages = json.loads(body)
    except (ValueError, UnicodeDecodeError):
        raise BayeuxError("malformed") from None
    if isinstance(messages, dict):
        messages = [messages]
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise BayeuxError("malformed")
    return messages
