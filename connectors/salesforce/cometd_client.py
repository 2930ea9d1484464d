"""aiosfstream-ng with its defects guarded: one client, one channel, one life.

The library connects for ever and hides what fails. Here the first failure ends the client, and the caller
subscribes anew from the position that is stored. That is not only simpler: the Streaming API has no
acknowledgement, so events in an answer that was lost are gone for the session, and only replay brings them.

Guards (reliability.md, "CometD"), each where it is made:
  nothing waits in `receive()`, which loses a message when it is cancelled    `_consume_message`
  positions are given by the caller, never stored by the library              `Places`
  no silent re-subscription after `403::Unknown client`                       `_connect_done`
  tokens are the session's, a moved instance is honoured, nothing in repr     `OrgAuthenticator`
  a fresh token only where the token was refused                              `_send_payload_with_auth`
  an answer that is not JSON is an error                                      `_send_final_payload`, `_messages`
  advice intervals are milliseconds                                           `_follow_advice`
  a slow caller slows `/meta/connect`, and never stops it                     `_connect`
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import aiohttp
from aiocometd_ng.constants import ConnectionType, TransportState
from aiocometd_ng.transports.long_polling import LongPollingTransport
from aiocometd_ng.utils import is_event_message
from aiosfstream_ng import Client, ReplayMarker, ReplayMarkerStorage, ReplayMarkerStoragePolicy
from aiosfstream_ng.auth import AuthenticatorBase

from cdc.errors import CdcError, OrgUnavailable, SourceUnavailable
from connectors.salesforce.cometd_errors import is_about_the_session, translate
from connectors.salesforce.session import Token, bounded_body, unreachable

ANSWER_BYTES_MAX = 64 * 1024 * 1024
REQUEST_TIMEOUT_S = 30.0  # for everything but a connect, which the service holds
HOLD_S = 110.0  # until the service says how long it holds a connect
HOLD_MARGIN_S = 20.0
INTERVAL_MAX_S = 30.0  # the service forgets a client that stays away for 40 s
CLOSE_TIMEOUT_S = 3.0

_CONNECT = "/meta/connect"
_HANDSHAKE = "/meta/handshake"


class NotBayeux(SourceUnavailable):
    """An answer was no JSON of the protocol: a login or maintenance page, mostly. The token may be the reason."""


class Tokens(Protocol):
    """What a client needs of a session."""

    async def token(self) -> Token: ...

    async def refresh(self, stale_token: Token) -> Token: ...


class Sink(Protocol):
    """Where a client's events and its end go; called in the event loop, in the order of the bus."""

    def event(self, message: dict[str, Any], size: int) -> None: ...

    def answered(self) -> None:
        """An answer to /meta/connect came, and all its events have been handed over."""
        ...

    def broke(self, error: CdcError) -> None:
        """The client has ended; it does nothing more by itself."""
        ...

    async def room(self) -> None:
        """Returns when more may be asked for."""
        ...


class OrgAuthenticator(AuthenticatorBase):  # type: ignore[misc]
    """Gives the library the session's token, and a fresh one only where the service refused it."""

    def __init__(self, session: Tokens) -> None:
        super().__init__()
        self._session = session
        self._token: Token | None = None

    def __repr__(self) -> str:
        return f"OrgAuthenticator({self.instance_url or 'no token yet'})"

    async def _authenticate(self) -> tuple[int, Any]:
        """Errors: those of the session; SourceUnavailable when the org has moved, so that the client begins anew."""
        if self._token is None:
            token = await self._session.token()
        else:
            token = await self._session.refresh(self._token)
        if self._token is not None and token.instance_url != self._token.instance_url:
            raise SourceUnavailable(
                "the org has moved to another instance",
                where=token.instance_url,
                do="it resumes there by itself from the stored position",
            )
        self._token = token
        return 200, {
            "access_token": token.access_token,
            "token_type": "Bearer",
            "instance_url": token.instance_url,
        }


class Places(ReplayMarkerStorage):  # type: ignore[misc]
    """Where to subscribe, as the caller said it. Nothing the library sees is stored here."""

    def __init__(self, replay: int) -> None:
        super().__init__()
        self._replay = replay

    async def outgoing(self, payload: Any, headers: Any) -> None:
        for message in payload:
            if message["channel"] == _HANDSHAKE:
                message["ext"] = {**message.get("ext", {}), "replay": True}
        await super().outgoing(payload, headers)

    async def get_replay_marker(self, subscription: str) -> ReplayMarker:
        return ReplayMarker(date="", replay_id=self._replay)

    async def set_replay_marker(self, subscription: str, replay_marker: ReplayMarker) -> None:
        return None


class GuardedTransport(LongPollingTransport):  # type: ignore[misc]
    """Long polling that ends with its first failure."""

    def __init__(self, sink: Sink, channel: str, **more: Any) -> None:
        super().__init__(**more)
        self._sink = sink
        self._channel = channel
        self._hold_s = HOLD_S
        self._size = 0

    async def _send_payload_with_auth(self, payload: Any) -> Any:
        """A fresh token where the token was refused. The library takes every 403 for that, and asks again in vain."""
        reply = await self._send_payload(payload)
        if not is_about_the_session(reply):
            return reply
        await self._auth.authenticate()
        return await self._send_payload(payload)

    async def _send_final_payload(self, payload: Any, *, headers: Any) -> Any:
        held = any(message["channel"] == _CONNECT for message in payload)
        limit_s = self._hold_s + HOLD_MARGIN_S if held else REQUEST_TIMEOUT_S
        try:
            async with (
                self._http_semaphore,
                self._http_session.post(
                    self._url,
                    json=payload,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=limit_s),
                    allow_redirects=False,
                ) as answer,
            ):
                raw = await bounded_body(answer, ANSWER_BYTES_MAX, self._channel)
        except (aiohttp.ClientError, TimeoutError, OSError, OrgUnavailable) as error:
            raise self._unreachable(error) from None
        messages = _messages(raw, answer.status, self._channel)
        self._learn_hold(messages)
        self._size = len(raw) // max(1, len(messages))
        reply = await self._consume_payload(messages, headers=answer.headers, find_response_for=payload[0])
        if reply is None:  # a service may leave out the id, which the library goes by
            asked = payload[0]["channel"]
            reply = next((m for m in messages if m["channel"] == asked and "successful" in m), None)
        if reply is None:
            # A request that is refused as a whole is answered by a message that is a reply to none of its own.
            refusal: dict[str, Any] = next((m for m in messages if m.get("error")), {})
            return {**refusal, "channel": payload[0]["channel"], "successful": False}
        return reply

    async def _consume_message(self, response_message: Any) -> None:
        """Events go to our own queue at once; the library's is not used, so nothing waits in `receive`."""
        if is_event_message(response_message):
            self._sink.event(response_message, self._size)

    async def _connect(self) -> Any:
        await self._sink.room()
        return await super()._connect()

    def _connect_done(self, future: asyncio.Future[Any]) -> None:
        """Go on after a good answer; after anything else say what it was, and stop."""
        if future.cancelled() or self.state == TransportState.DISCONNECTING:
            return
        error = future.exception()
        reply = {} if error is not None else future.result()
        if error is None and reply.get("successful"):
            self._state = TransportState.CONNECTED
            self._sink.answered()
            self._follow_advice("retry", self.reconnect_advice.get("interval"))
            return
        self._state = TransportState.SERVER_DISCONNECTED
        if error is None:
            self._sink.broke(translate(reply, self._channel))
        else:
            self._sink.broke(foreign(error, self._channel))

    def _follow_advice(self, reconnect_advice: str, reconnect_timeout: Any) -> None:
        """The service gives milliseconds, the library waits that many seconds."""
        wait_s = reconnect_timeout / 1000 if isinstance(reconnect_timeout, int | float) else 0
        super()._follow_advice(reconnect_advice, min(max(0.0, wait_s), INTERVAL_MAX_S))

    def _learn_hold(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            timeout = message["advice"].get("timeout") if "advice" in message else None
            if isinstance(timeout, int | float) and timeout > 0:
                self._hold_s = float(timeout) / 1000

    def _unreachable(self, error: BaseException) -> SourceUnavailable:
        if isinstance(error, OrgUnavailable):
            return SourceUnavailable(error.what, where=self._channel, do=error.do)
        told = unreachable(error, where=self._channel)
        return SourceUnavailable(told.what, where=told.where, do=told.do)


class GuardedClient(Client):  # type: ignore[misc]
    """One CometD client for one channel. `open`, `subscribe`, `close`; events and failures go to the sink."""

    def __init__(
        self,
        session: Tokens,
        http: aiohttp.ClientSession,
        sink: Sink,
        *,
        channel: str,
        replay: int,
        api_version: str,
    ) -> None:
        super().__init__(
            OrgAuthenticator(session),
            replay=Places(replay),
            replay_fallback=None,
            replay_storage_policy=ReplayMarkerStoragePolicy.MANUAL,
            connection_timeout=0,
            loop=asyncio.get_running_loop(),
        )
        self._sink = sink
        self._channel = channel
        self._api_version = api_version
        self._http_session = http

    async def open(self) -> None:
        """Shake hands and connect. It does not wait for the first connect to be answered, which a service may hold."""
        await self.auth.authenticate()
        self.url = self.get_cometd_url(str(self.auth.instance_url))
        self._transport = await self._negotiate_transport()
        self._connecting = asyncio.ensure_future(self._transport.connect())
        self._connecting.add_done_callback(_taken)
        self._closed = False
        await asyncio.sleep(0)  # the transport is connecting as soon as that has begun

    def get_cometd_url(self, instance_url: str) -> str:
        return f"{instance_url}/cometd/{self._api_version}"

    async def _negotiate_transport(self) -> GuardedTransport:
        self._incoming_queue: asyncio.Queue[Any] = asyncio.Queue()
        transport = GuardedTransport(
            self._sink,
            self._channel,
            url=self.url,
            incoming_queue=self._incoming_queue,
            http_session=self._http_session,
            extensions=self.extensions,
            auth=self.auth,
            loop=self._loop,
        )
        self._verify_response(await transport.handshake([ConnectionType.LONG_POLLING]))
        return transport

    async def close(self) -> None:
        """Say goodbye if somebody listens, and close the connections. It does not wait long."""
        try:
            if self._transport is not None:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._transport.disconnect()
        except (TimeoutError, CdcError):
            return  # the service forgets the client by itself
        finally:
            self._closed = True
            await self._http_session.close()


async def translated(work: Awaitable[Any], channel: str) -> Any:
    """The result of a call of the library, its errors as ours."""
    try:
        return await work
    except Exception as error:
        raise foreign(error, channel) from None


def foreign(error: BaseException, channel: str) -> CdcError:
    """The one place where errors of the library become ours."""
    if isinstance(error, CdcError):
        return error
    reply = next((part for part in error.args if isinstance(part, Mapping) and part.get("error")), None)
    if reply is not None:
        return translate(reply, channel)
    return SourceUnavailable(
        f"the CometD client failed: {type(error).__name__}",
        where=channel,
        do="it resumes by itself from the stored position",
    )


def _taken(connecting: asyncio.Future[Any]) -> None:
    """A failure of the first connect is told by the transport, like that of any other."""
    if not connecting.cancelled():
        connecting.exception()


def _messages(raw: bytes, status: int, channel: str) -> list[dict[str, Any]]:
    """The messages of an answer, made safe for the library. Errors: NotBayeux."""
    try:
        answer = json.loads(raw)
    except (ValueError, UnicodeDecodeError, RecursionError):
        answer = None
    is_bayeux = isinstance(answer, list) and all(
        isinstance(one, dict) and isinstance(one.get("channel", ""), str) for one in answer
    )
    # REST's own errors are JSON arrays too: without a Bayeux error a refusal is none of this protocol.
    if not is_bayeux or (status >= 400 and not any(one.get("error") for one in answer)):
        raise NotBayeux(
            f"the Streaming API's answer is not JSON of the Bayeux protocol (HTTP {status})",
            where=channel,
            do="look for a proxy or a maintenance page; it logs in and resumes by itself from the stored position",
        )
    messages: list[dict[str, Any]] = answer
    for message in messages:
        message.setdefault("channel", "")
        if message["channel"].startswith("/meta/"):
            message["successful"] = message.get("successful") is True
        if not isinstance(message.get("subscription", ""), str):
            del message["subscription"]
        if not isinstance(message.get("advice", {}), dict):
            del message["advice"]
        if message["channel"] in ("/meta/subscribe", "/meta/unsubscribe"):
            message.setdefault("subscription", channel)
    return messages
