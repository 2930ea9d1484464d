"""A plain client of the simulated org for tests: HTTP with a token, gRPC calls with metadata. No code of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import grpc.aio

from connectors.simulator.command import running_simulator
from connectors.simulator.plan import Plan
from connectors.simulator.server import Simulator
from connectors.simulator.wire.context import WireOptions
from schemas.eventbus.v1 import pubsub_pb2 as pb
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

PATIENCE_S = 10.0
CHANGES = "/data/ChangeEvents"
ACCOUNTS = "/data/AccountChangeEvent"
PREFIX = "sfdc.platform.eventbus.grpc."


class Client:
    """Logged in by client credentials; `http` and `call` go where the simulator says."""

    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession, channel: Any, token: str) -> None:
        self.simulator = simulator
        self.org = simulator.org
        self.session = http
        self.token = token
        self.stub = stubs.PubSubStub(channel)

    @property
    def url(self) -> str:
        return str(self.simulator.ready["http"])

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("accesstoken", self.token), ("instanceurl", self.url), ("tenantid", self.org.org_id))

    async def send(self, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
        """Status, headers, JSON (or None)."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        url = path if path.startswith("http") else self.url + path
        async with self.session.request(method, url, headers=headers, **more) as answer:
            body = await answer.read()
            return answer.status, answer.headers, await answer.json() if body else None

    async def get(self, path: str, **more: Any) -> Any:
        """The JSON of an answer that has to be good."""
        status, _, body = await self.send("GET", path, **more)
        assert status == 200, body
        return body

    async def control(self, path: str, body: Any) -> Any:
        status, _, answer = await self.send("POST", f"/simulator/{path}", json=body)
        assert status == 200, answer
        return answer

    def subscribe(self, topic: str = ACCOUNTS, credit: int = 100, **start: Any) -> Stream:
        """A stream that has asked for `credit` events; from the oldest unless told otherwise."""
        start = start or {"replay_preset": pb.EARLIEST}
        stream = Stream(self.stub.Subscribe(metadata=self.metadata))
        stream.asking = asyncio.ensure_future(
            stream.ask(pb.FetchRequest(topic_name=topic, num_requested=credit, **start))
        )
        return stream


class Stream:
    """A subscription as the client sees it."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._writing = asyncio.Lock()
        self.asking: asyncio.Future[None] | None = None

    async def ask(self, request: Any) -> None:
        """Send a request, after those before it: a call takes one write at a time."""
        async with self._writing:
            await self.call.write(request)

    async def more(self, credit: int, topic: str = "") -> None:
        await self.ask(pb.FetchRequest(topic_name=topic, num_requested=credit))

    async def read(self) -> Any:
        """The next response, or EOF."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.call.read()

    async def events(self, count: int) -> list[Any]:
        """So many events, over as many responses as they come in."""
        found: list[Any] = []
        while len(found) < count:
            response = await self.read()
            assert response is not grpc.aio.EOF, "the stream ended"
            found.extend(response.events)
        return found

    async def failure(self) -> Failure:
        """How the stream ends, after whatever it still delivers."""
        try:
            while await self.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return Failure(error)
        raise AssertionError("the stream ended without an error")


class Failure:
    """Status, error code without its prefix, text."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.status = error.code()
        trailers = {key: str(value) for key, value in error.trailing_metadata() or ()}
        self.code = trailers.get("error-code", "").removeprefix(PREFIX)
        self.text = error.details() or ""


async def failing(call: Any) -> Failure:
    """How a unary call fails."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return Failure(error)
    raise AssertionError("the call did not fail")


@asynccontextmanager
async def simulated(**options: Any) -> AsyncIterator[Client]:
    """A small org on free ports, and a client that is logged in."""
    wire = WireOptions(**{"keepalive_s": 0.3, "idle_close_s": 0.5, **options.pop("times", {})})
    options.setdefault("plan", Plan(users=8, records=60))
    async with running_simulator(wire=wire, **options) as simulator, aiohttp.ClientSession() as http:
        token = (await login(http, simulator))["access_token"]
        async with grpc.aio.insecure_channel(simulator.ready["pubsub"]) as channel:
            yield Client(simulator, http, channel, token)


async def login(http: aiohttp.ClientSession, simulator: Simulator, **form: str) -> dict[str, Any]:
    """The answer of the token endpoint, by client credentials unless told otherwise."""
    form = form or {
        "grant_type": "client_credentials",
        "client_id": simulator.wire.app.client_id,
        "client_secret": simulator.wire.app.client_secret,
    }
    async with http.post(simulator.wire.instance_url + "/services/oauth2/token", data=form) as answer:
        body: dict[str, Any] = await answer.json()
        return {**body, "status": answer.status}


async def until(look: Callable[[], Any]) -> Any:
    """The first true value of `look`."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := look()):
            await asyncio.sleep(0.01)
        return found


def touch(client: Client, count: int, entity: str = "Account", field: str = "Phone") -> list[str]:
    """`count` transactions of one record each; returns the record ids."""
    from connectors.simulator.model import Change, Op

    touched = []
    record_ids = client.org.entities[entity].records.live_ids()
    for number in range(count):
        record_id = record_ids[number % len(record_ids)]
        client.org.commit(
            [Change(entity, Op.UPDATE, record_id, {field: f"+44 {len(client.org.truth)} {number}"})],
            user_id=client.org.administrator_id,
        )
        touched.append(record_id)
    return touched
