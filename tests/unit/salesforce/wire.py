"""Real servers on loopback that speak Salesforce's wire as a test scripts it: a gRPC event bus, an HTTP org."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from aiohttp import web

from connectors.salesforce.error_codes import PREFIX
from schemas.eventbus.v1 import pubsub_pb2 as pb
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

ORG_ID = "00D000000000001AAA"
USER_ID = "005000000000001AAA"


class Bus(stubs.PubSubServicer):
    """The Pub/Sub API over lists in memory; remembers what it was asked."""

    def __init__(self) -> None:
        self.topics: dict[str, list[tuple[bytes, pb.ConsumerEvent | None]]] = {}
        self.schemas: dict[str, str] = {}
        self.subscribable = True
        self.good_tokens: set[str] | None = None
        self.calls: list[str] = []
        self.metadata: list[dict[str, str]] = []
        self.fetches: dict[str, list[pb.FetchRequest]] = defaultdict(list)
        self.sent: dict[str, int] = defaultdict(int)
        self.owed_most = 0
        self._failures: dict[str, list[tuple[grpc.StatusCode, str, str]]] = defaultdict(list)
        self._changed = asyncio.Condition()

    async def publish(self, topic: str, *events: tuple[str, bytes, str, bytes]) -> None:
        """Events as (event id, replay id, schema id, payload)."""
        rows = [
            (replay, pb.ConsumerEvent(event=pb.ProducerEvent(id=i, schema_id=s, payload=p), replay_id=replay))
            for i, replay, s, p in events
        ]
        async with self._changed:
            self.topics[topic] += rows
            self._changed.notify_all()

    async def keepalive(self, topic: str, position: bytes) -> None:
        async with self._changed:
            self.topics[topic].append((position, None))
            self._changed.notify_all()

    async def fail(
        self, topic: str, status: grpc.StatusCode, code: str = "", details: str = "scripted"
    ) -> None:
        async with self._changed:
            self._failures[topic].append((status, code, details))
            self._changed.notify_all()

    async def GetTopic(self, request: pb.TopicRequest, context: Any) -> pb.TopicInfo:
        await self._admit("GetTopic", context)
        if request.topic_name not in self.topics:
            await self._refuse(context, grpc.StatusCode.NOT_FOUND, "topic.not.found", "no such topic")
        return pb.TopicInfo(topic_name=request.topic_name, can_subscribe=self.subscribable)

    async def GetSchema(self, request: pb.SchemaRequest, context: Any) -> pb.SchemaInfo:
        await self._admit("GetSchema", context)
        if request.schema_id not in self.schemas:
            await self._refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, "schema.validation.failed", "no such schema"
            )
        return pb.SchemaInfo(schema_json=self.schemas[request.schema_id], schema_id=request.schema_id)

    async def Subscribe(
        self, requests: AsyncIterator[pb.FetchRequest], context: Any
    ) -> AsyncIterator[pb.FetchResponse]:
        await self._admit("Subscribe", context)
        first = await anext(requests)
        topic, credit = first.topic_name, [first.num_requested]
        self.fetches[topic].append(first)
        rows = self.topics[topic]
        at = await self._start(first, rows, context)
        self.owed_most = max(self.owed_most, credit[0])
        reader = asyncio.create_task(self._credit(topic, requests, credit))
        try:
            while True:
                async with self._changed:
                    while not (
                        self._failures[topic] or (at < len(rows) and (credit[0] or rows[at][1] is None))
                    ):
                        await self._changed.wait()
                if self._failures[topic]:
                    await self._refuse(context, *self._failures[topic].pop(0))
                position, event = rows[at]
                response = pb.FetchResponse(latest_replay_id=position)
                at += event is None
                while at < len(rows) and event is not None and credit[0]:
                    position, event = rows[at]
                    if event is not None:
                        response.events.append(event)
                        response.latest_replay_id = position
                        credit[0] -= 1
                        at += 1
                response.pending_num_requested = credit[0]
                self.sent[topic] += len(response.events)
                yield response
        finally:
            reader.cancel()

    async def _credit(self, topic: str, requests: AsyncIterator[pb.FetchRequest], credit: list[int]) -> None:
        async for request in requests:
            async with self._changed:
                self.fetches[topic].append(request)
                credit[0] += request.num_requested
                self.owed_most = max(self.owed_most, credit[0])
                self._changed.notify_all()

    async def _start(self, first: pb.FetchRequest, rows: list[Any], context: Any) -> int:
        if first.replay_preset == pb.EARLIEST:
            return 0
        if first.replay_preset == pb.LATEST:
            return len(rows)
        for index in range(len(rows) - 1, -1, -1):
            if rows[index][0] == first.replay_id:
                return index + 1
        await self._refuse(
            context,
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.replayid.corrupted",
            "The Replay ID validation failed",
        )
        return 0

    async def _admit(self, call: str, context: Any) -> None:
        self.calls.append(call)
        given = dict(context.invocation_metadata())
        self.metadata.append(given)
        if self.good_tokens is not None and given.get("accesstoken") not in self.good_tokens:
            await self._refuse(
                context, grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", "session expired"
            )

    async def _refuse(self, context: Any, status: grpc.StatusCode, code: str, details: str) -> None:
        if code:
            context.set_trailing_metadata((("error-code", PREFIX + code),))
        await context.abort(status, details)


@asynccontextmanager
async def serving(bus: Bus, credentials: Any = None) -> AsyncIterator[str]:
    """The bus on a port of its own; yields HOST:PORT."""
    server = grpc.aio.server()
    stubs.add_PubSubServicer_to_server(bus, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    try:
        yield f"{'localhost' if credentials else '127.0.0.1'}:{port}"
    finally:
        await server.stop(grace=None)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Org:
    """An HTTP org: `script` answers by method and path; every request is remembered."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.url = ""

    def script(self, method: str, path: str, *answers: Answer) -> None:
        """Answers in turn; the last one stays."""
        self.answers[method, path] += answers

    def seen(self, path: str) -> list[tuple[str, str, dict[str, str], str]]:
        return [request for request in self.requests if request[1] == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append((request.method, request.path, {**request.query, **request.headers}, body))
        waiting = self.answers[request.method, request.path]
        if not waiting:
            return said(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return await answer(request)


@asynccontextmanager
async def running(org: Org, tls: Any = None) -> AsyncIterator[Org]:
    """The org on a port of its own."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", org.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    org.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield org
    finally:
        await runner.cleanup()


def said(status: int, body: Any, at: float = 1_795_428_120.0, **headers: str) -> web.Response:
    """A JSON answer with the org's time."""
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/json",
        headers={"Date": formatdate(at, usegmt=True), **headers},
    )


def answer(status: int, body: Any, at: float = 1_795_428_120.0, **headers: str) -> Answer:
    async def give(_: web.Request) -> web.StreamResponse:
        return said(status, body, at, **headers)

    return give


def token_body(org: Org, token: str = "token-1", **more: str) -> dict[str, str]:
    return {
        "access_token": token,
        "instance_url": org.url,
        "id": f"{org.url}/id/{ORG_ID}/{USER_ID}",
        "token_type": "Bearer",
        "issued_at": "1795428120000",
        **more,
    }


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
