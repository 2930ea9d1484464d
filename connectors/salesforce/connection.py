"""One gRPC connection to the event bus, replaced when it turns out to be dead.

A connection whose other side has gone without a word stays open for a quarter of an hour, and every call on
it only runs into its time limit. So after such a silence the next call goes over a new one; streams that
still live on the old one keep it until they end. Pings are not used: a service that allows none but rarely
answers them by closing the connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from connectors.salesforce.trust import pem_roots
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

RECEIVE_BYTES_MAX = 112 * 1024 * 1024  # a response holds at most 100 events of at most 1 MB

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 1000),  # at most one connection attempt a second
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 15_000),
    ("grpc.primary_user_agent", "sf-cdc"),
    ("grpc.use_local_subchannel_pool", 1),  # else the next connection would be this one again
)


@dataclass(slots=True)
class Connection:
    """`streams` counts who uses it; a `retired` one is closed by the last of them."""

    channel: grpc.aio.Channel
    stub: Any
    streams: int = 0
    retired: bool = False

    @classmethod
    def to(cls, endpoint: str, *, tls: bool, ca_file: str | Path) -> Connection:
        """It connects with the first call."""
        if tls:
            roots = grpc.ssl_channel_credentials(root_certificates=pem_roots(ca_file))
            channel = grpc.aio.secure_channel(endpoint, roots, options=_OPTIONS)
        else:
            channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
        return cls(channel, stubs.PubSubStub(channel))  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        await self.channel.close(grace=None)

    async def retire(self) -> None:
        """No new calls go over it."""
        self.retired = True
        await self._close_if_unused()

    async def release(self) -> None:
        """A stream has ended."""
        self.streams -= 1
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if self.retired and self.streams <= 0:
            await asyncio.shield(self.close())
