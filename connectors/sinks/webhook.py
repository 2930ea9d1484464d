"""Alerts to an address of one's own, signed.

    POST, Content-Type: application/json
    X-Cdc-Delivery:  <alert_id>.<version>      the same delivery has the same id, however often it is tried
    X-Cdc-Timestamp: <seconds since 1970>
    X-Cdc-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>

https only, but for loopback; the name is resolved once for each connection and the address it is connected to is
the one that was checked; private ranges are refused unless they are listed; redirects are not followed
(reliability.md, "Security").
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from cdc.errors import BadArgument, RetryLater, SettingsError
from cdc.ports.clock import Clock
from connectors.sinks.told import told

TIMEOUT_S = 10.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class WebhookSink:
    """`secret` gives the key each time, so that a rotated one is used. Errors: RetryLater, BadArgument (refused)."""

    def __init__(
        self,
        url: str,
        secret: Callable[[], str],
        *,
        networks: Sequence[str] = (),
        masked: Collection[str] = (),
        clock: Clock | None = None,
        trust: Any = True,
    ) -> None:
        self.name = "webhook"
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise SettingsError(
                "the webhook's address is not https", where="alerts.webhook_url", do="use https://"
            )
        self._url = url
        self._secret = secret
        self._masked = frozenset(masked)
        self._clock = clock or Clock()
        self._trust = trust
        allowed = [ipaddress.ip_network(n) for n in networks]
        self._resolver = CheckedResolver(allowed, loopback=is_loopback(host))
        self._literal = _literal(host)
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        body = json.dumps(told(alert, self._masked), ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = str(self._clock.wall_ms() // 1000)
        headers = {
            "Content-Type": "application/json",
            "X-Cdc-Delivery": f"{alert['alert_id']}.{alert['version']}",
            "X-Cdc-Timestamp": timestamp,
            "X-Cdc-Signature": signature(self._secret(), timestamp, body),
        }
        if self._literal is not None:
            self._resolver.check(self._literal)
        session = self._open()
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except _Refused as error:
            raise BadArgument(
                str(error), where=self._url, do="list its range in alerts.webhook_networks"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, _Refused):
                raise BadArgument(str(error.__cause__), where=self._url) from error
            raise RetryLater(
                f"the webhook does not answer: {type(error).__name__}", where=self._url
            ) from error
        if status in (408, 425, 429) or status >= 500:
            raise RetryLater(f"the webhook answers {status}", where=self._url)
        if status >= 300:
            raise BadArgument(f"the webhook refuses the alert with {status}", where=self._url)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver, ssl=self._trust, use_dns_cache=False, force_close=True
            )
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
            )
        return self._session


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a receiver compares with, in constant time."""
    made = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={made.hexdigest()}"


class _Refused(OSError):
    """The name leads to an address that may not be reached."""


class CheckedResolver(AbstractResolver):
    """Gives only addresses that may be reached: what is connected to is what was checked."""

    def __init__(self, allowed: Sequence[Network], *, loopback: bool) -> None:
        self._allowed = allowed
        self._loopback = loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        out: list[ResolveResult] = []
        for kind, _, protocol, _, place in found:
            self.check(ipaddress.ip_address(place[0]))
            out.append(
                {
                    "hostname": host,
                    "host": str(place[0]),
                    "port": port,
                    "family": kind,
                    "proto": protocol,
                    "flags": socket.AI_NUMERICHOST,
                }
            )
        return out

    def check(self, address: Address) -> None:
        """Raise for an address that is not public, not allowed, and not our own loopback."""
        seen = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        address = seen or address
        if address.is_loopback and self._loopback:
            return
        if any(address.version == n.version and address in n for n in self._allowed):
            return
        if not address.is_global or address.is_multicast:
            raise _Refused(f"the webhook's name leads to {address}, which is not a public address")

    async def close(self) -> None:
        """Nothing is held."""
        return


def is_loopback(host: str) -> bool:
    found = _literal(host)
    return host == "localhost" or (found is not None and found.is_loopback)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
