"""A Salesforce of its own, with faults: event bus and REST, made from the documents alone.

It shares nothing with the simulator. Each subscription, and each call over HTTP, takes the next mood of a list;
when the list is empty it behaves. What it published is `published`, what its table holds is `rows`.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from aiohttp import web

from schemas.eventbus.v1 import pubsub_pb2 as pb
from tests.unit.capture.test_records import SCHEMA, body

ORG_ID = "00D7Q00000FauLtUAJ"
USER_ID = "0057Q00000FauLtQAJ"
SCHEMA_ID = "fAuLtYsChEmA_-0123456A"
CHANNEL = "/data/ChangeEvents"
API = "/services/data/v66.0"
UNKNOWN_FIELDS = b"\xfa\x01\x03new\xf8\x03\x07"  # fields 31 (bytes) and 63 (a number): a newer protocol
NEVER = 3600.0

Say = Callable[[bytes], Any]


@dataclass
class Mood:
    """How one subscription goes: `behaves(org, after, credit, say)` until it returns or ends the call."""

    name: str
    batch: int = 3
    dies_after: int = 0  # events; 0: it lives
    status: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    trailers: tuple[tuple[str, str | bytes], ...] = ()
    details: str = "upstream connect error"
    half_closes: bool = False
    keepalives: int = 0  # before every batch
    keepalive_position: bytes | None = None  # None: the true one
    pending: int | None = None  # None: the true one
    no_ids: bool = False
    repeats: bool = False  # each event once more, under another position
    again: bool = False  # what was delivered before the position comes first
    extra_fields: bool = False
    ignores_credit: bool = False


@dataclass
class FaultyOrg:
    """Moods and contents are set by the test; `url` and `endpoint` are there while it runs."""

    moods: deque[Mood] = field(default_factory=deque)
    answers: deque[Callable[[web.Request], Any]] = field(default_factory=deque)
    well: Mood = field(default_factory=lambda: Mood("well"))
    schema_failures: int = 0
    topics_known: bool = True
    bus: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    published: list[tuple[str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    logins: int = 0
    url: str = ""
    endpoint: str = ""
    server: Any = None
    bulk_states: deque[dict[str, Any]] = field(default_factory=deque)
    bulk_page_rows: int = 4
    bulk_bytes: Callable[[bytes], bytes] = bytes
    bulk_headers: Callable[[dict[str, str]], dict[str, str]] = dict
    _grown: asyncio.Event = field(default_factory=asyncio.Event)
    _counter: int = 1000

    # -- what it holds --------------------------------------------------------------------------------------

    def publish(self, *record_ids: str, subject: str = "x") -> None:
        """One change event; replay ids grow by steps of their own, and are not ten bytes long."""
        self._counter += 7
        event_id = f"ev-{self._counter}"
        payload = body(*record_ids, committed_at=1_795_000_000_000 + self._counter, subject=subject)
        self.bus.append((self._position(self._counter), event_id, payload))
        self.published += [(event_id, one) for one in record_ids]
        self._grown.set()

    @staticmethod
    def _position(number: int) -> bytes:
        return b"\x00\xff" + number.to_bytes(9, "big") + b"\x01"

    # -- the event bus --------------------------------------------------------------------------------------

    async def subscribe(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self.calls["Subscribe"] += 1
        mood = self.moods.popleft() if self.moods else self.well
        first = pb.FetchRequest.FromString(await anext(requests))
        credit = first.num_requested
        at = self._begin(first)
        if mood.again:
            at = max(0, at - 4)
        more = asyncio.create_task(self._credit(requests))
        sent = 0
        try:
            while True:
                for _ in range(mood.keepalives):
                    yield self._response([], mood, at, credit)
                self._grown.clear()
                while at < len(self.bus) and (credit > 0 or mood.ignores_credit):
                    chunk = self.bus[
                        at : at + (mood.batch if mood.ignores_credit else min(mood.batch, credit))
                    ]
                    at += len(chunk)
                    credit -= len(chunk)
                    sent += len(chunk)
                    yield self._response(chunk, mood, at, credit)
                    if mood.repeats:
                        yield self._response(
                            [(p[:-1] + b"\x02", e, b) for p, e, b in chunk], mood, at, credit
                        )
                    if mood.dies_after and sent >= mood.dies_after:
                        await self._end(mood, context)
                        return
                waiting = asyncio.create_task(self._grown.wait())
                done, _ = await asyncio.wait(
                    {waiting, more}, timeout=0.1, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
                if more in done:
                    asked = more.result()
                    if asked is None:
                        return
                    credit += asked
                    more = asyncio.create_task(self._credit(requests))
                if not done:
                    yield self._response([], mood, at, credit)
        finally:
            more.cancel()

    @staticmethod
    async def _credit(requests: AsyncIterator[bytes]) -> int | None:
        async for request in requests:
            return pb.FetchRequest.FromString(request).num_requested
        return None

    def _begin(self, first: Any) -> int:
        if first.replay_preset == pb.EARLIEST:
            return 0
        if first.replay_preset == pb.CUSTOM:
            return next(
                (n for n, (position, _, _) in enumerate(self.bus) if position > first.replay_id),
                len(self.bus),
            )
        return len(self.bus)

    def _response(self, chunk: list[tuple[bytes, str, bytes]], mood: Mood, at: int, credit: int) -> bytes:
        position = self.bus[at - 1][0] if at else b""
        events = [
            pb.ConsumerEvent(
                replay_id=replay_id,
                event=pb.ProducerEvent(
                    id="" if mood.no_ids else event_id, schema_id=SCHEMA_ID, payload=payload
                ),
            )
            for replay_id, event_id, payload in chunk
        ]
        if not chunk and mood.keepalive_position is not None:
            position = mood.keepalive_position
        answer = pb.FetchResponse(
            events=events,
            latest_replay_id=position,
            rpc_id="",
            pending_num_requested=max(0, credit) if mood.pending is None else mood.pending,
        )
        return answer.SerializeToString() + (UNKNOWN_FIELDS if mood.extra_fields else b"")

    async def _end(self, mood: Mood, context: Any) -> None:
        if mood.half_closes:
            return
        context.set_trailing_metadata(mood.trailers)
        await context.abort(mood.status, mood.details)

    async def topic(self, request: bytes, context: Any) -> bytes:
        if not self.topics_known:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        name = pb.TopicRequest.FromString(request).topic_name
        return pb.TopicInfo(topic_name=name, can_subscribe=True).SerializeToString() + UNKNOWN_FIELDS

    async def schema(self, request: bytes, context: Any) -> bytes:
        self.calls["GetSchema"] += 1
        if self.schema_failures:
            self.schema_failures -= 1
            await context.abort(grpc.StatusCode.INTERNAL, "")
        asked = pb.SchemaRequest.FromString(request).schema_id
        # Spaces, keys nobody has seen, and no schema_id in the answer.
        text = json.dumps({"x-new": [1, None], **json.loads(SCHEMA)}, indent=3)
        assert asked == SCHEMA_ID
        return pb.SchemaInfo(schema_json=text).SerializeToString()

    # -- REST -----------------------------------------------------------------------------------------------

    async def http(self, request: web.Request) -> web.StreamResponse:
        self.calls[f"{request.method} {request.path}"] += 1
        if request.path == "/services/oauth2/token":
            self.logins += 1
            return said({
                "access_token": f"{ORG_ID}!token{self.logins}", "instance_url": self.url + "/",
                "id": f"{self.url}/id/{ORG_ID}/{USER_ID}?version=latest", "token_type": "Bearer", "scope": None,
                "issued_at": None, "signature": "", "sfdc_community_id": [],
            })  # fmt: skip
        if self.answers:
            answer = self.answers.popleft()(request)
            if answer is not None:
                return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[no-any-return]
        return self._rest(request)

    def _rest(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(API)
        if path == "/sobjects/Case/describe":
            names = ("Id", "Subject", "IsDeleted", "SystemModstamp")
            types = ("id", "string", "boolean", "datetime")
            # Only what a description cannot do without, and what nobody has seen yet.
            fields = [{"name": n, "type": t, "novel": {}} for n, t in zip(names, types, strict=True)]
            return said({"name": "Case", "fields": fields, "childRelationships": None, "keyPrefix": None})
        if path == "/tooling/query":
            if "PlatformEventChannelMember" not in request.query["q"]:
                return said([{"errorCode": "INVALID_TYPE", "message": "sObject type is not supported."}], 400)
            member = {"EventChannel": "ChangeEvents", "SelectedEntity": "CaseChangeEvent"}
            return said({"size": 1, "totalSize": 1, "done": True, "records": [member], "queryLocator": None})
        if path == "/limits":
            return said({"DailyApiRequests": None, "New": {"Max": "many"}})
        if path == "/limits/recordCount":
            return said({"sObjects": [{"name": "Case", "count": len(self.rows)}, {"name": "Odd"}][:1]})
        if path in ("/queryAll", "/query"):
            return self._page(0)
        if path.startswith("/query/"):
            return self._page(int(path.rpartition("-")[2]))
        if path.startswith("/jobs/query"):
            return self._bulk(request, path)
        return said([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)

    def _page(self, at: int) -> web.StreamResponse:
        page, end = self.rows[at : at + 3], at + 3
        done = end >= len(self.rows)
        answer = {"totalSize": len(self.rows), "done": done, "records": page}
        if not done:  # some servers name the whole address
            answer["nextRecordsUrl"] = f"{self.url}{API}/query/0r8FAULTY00000001-{end}"
        return said(answer)

    def _bulk(self, request: web.Request, path: str) -> web.StreamResponse:
        job = "7507Q00000FauLtQAJ"
        if request.method == "POST":
            return said({"id": job, "state": "UploadComplete", "object": None})
        if path.endswith("/resultPages"):
            return said([{"errorCode": "NOT_FOUND", "message": ""}], 404)
        if path.endswith("/results"):
            at = int(request.query.get("locator") or 0)
            end = at + self.bulk_page_rows
            out = io.StringIO(newline="")
            writer = csv.DictWriter(out, list(self.rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(self.rows[at:end])
            more = str(end) if end < len(self.rows) else "null"
            headers = {"Sforce-Locator": more, "Sforce-NumberOfRecords": str(len(self.rows[at:end]))}
            return web.Response(
                body=self.bulk_bytes(out.getvalue().encode()),
                headers={"Content-Type": "text/csv; charset=UTF-8", **self.bulk_headers(headers)},
            )
        if request.method == "DELETE":
            return web.Response(status=204)
        told = self.bulk_states.popleft() if self.bulk_states else {"state": "JobComplete"}
        return said({"id": job, "numberRecordsProcessed": None, **told})


def said(content: Any, status: int = 200, **headers: str) -> web.Response:
    """JSON, with header names in lower case."""
    return web.Response(
        status=status,
        body=json.dumps(content).encode(),
        headers={"content-type": "application/json;charset=utf-8", **headers},
    )


@asynccontextmanager
async def faulty_org(org: FaultyOrg) -> AsyncIterator[FaultyOrg]:
    """The org on ephemeral loopback ports."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", org.http)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    org.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await serve_bus(org, "127.0.0.1:0")
    try:
        yield org
    finally:
        await org.server.stop(None)
        await runner.cleanup()


async def serve_bus(org: FaultyOrg, address: str) -> None:
    """The event bus; requests and answers are bytes, so that they may be anything."""
    server = grpc.aio.server()
    handlers = {
        "Subscribe": grpc.stream_stream_rpc_method_handler(org.subscribe),
        "GetTopic": grpc.unary_unary_rpc_method_handler(org.topic),
        "GetSchema": grpc.unary_unary_rpc_method_handler(org.schema),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("eventbus.v1.PubSub", handlers),))
    port = server.add_insecure_port(address)
    org.endpoint, org.server = f"127.0.0.1:{port}", server
    await server.start()


async def hangs(_: web.Request) -> web.StreamResponse:
    """No answer."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(NEVER)
    return web.Response()
