"""Events over the Pub/Sub API: several channels on one gRPC connection.

Credit. A stream owes its client at most 100 events (Pub/Sub API guide, "Flow control"). The first request asks
for 100; when half of what is owed has come, the next request fills it up again, sent as a delivery is handed
over, so that the network works while the caller does. A caller that stops taking deliveries therefore stops
the flow: no request goes out, and at most 100 events wait unread. If it stays away for more than a minute the
service, with nothing left to send against, closes the stream (it wants a request within 60 s); the next step
of the iterator then raises SourceUnavailable, and the caller resumes from its stored position. Nothing is
lost by that, and no credit is ever asked for on behalf of a caller that does not read.

States of a subscription: *checked* (GetTopic allows it), *open* (owed > 0, events or keepalives come), *ended*
(an error was raised; the caller decides where to go on). Reading order: `PubSubSource.deliveries`, `_Stream`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio

from cdc.errors import AuthExpired, CdcError, ChannelStopped, PositionLost, SourceUnavailable, Undecodable
from cdc.ports.clock import Clock
from cdc.ports.source import COMETD_POSITION, TRANSPORT_CHANGED, Delivery, SourceEvent, Start
from cdc.ports.types import ReplayId, SchemaId
from connectors.salesforce.connection import Connection
from connectors.salesforce.error_codes import TRAILER, translate
from connectors.salesforce.session import Token
from connectors.salesforce.trust import checked_endpoint
from schemas.eventbus.v1 import pubsub_pb2 as pb

CREDIT_MAX = 100  # the service counts more as 100
CREDIT_REFILL = 50  # ask again when half is used
DEAD_AFTER_S = 300.0  # keepalives come within 270 s (proto); longer silence is a dead stream
CALL_TIMEOUT_S = 30.0
SCHEMAS_MAX = 2000  # of about 10 kB; immutable, the least recently used goes

_PRESET = {Start.LATEST: pb.LATEST, Start.EARLIEST: pb.EARLIEST}
_Answer = TypeVar("_Answer")


class Tokens(Protocol):
    """What the source needs of a session."""

    async def token(self) -> Token: ...

    async def refresh(self, stale_token: Token) -> Token: ...


@dataclass(frozen=True, slots=True)
class PubSubOptions:
    """Where the service is and when a silent stream counts as dead; `tls` may be off for a loopback address."""

    endpoint: str = "api.pubsub.salesforce.com:7443"
    tls: bool = True
    ca_file: str | Path = ""
    dead_after_s: float = DEAD_AFTER_S
    call_timeout_s: float = CALL_TIMEOUT_S


class PubSubSource:
    """A `Source` over the Pub/Sub API. Errors of gRPC are those of `error_codes`."""

    def __init__(self, session: Tokens, options: PubSubOptions, *, clock: Clock | None = None) -> None:
        self._session = session
        self._options = options
        self._clock = clock or Clock()
        self._endpoint = checked_endpoint(options.endpoint, tls=options.tls)
        self._connection: Connection | None = None
        self._schemas: OrderedDict[SchemaId, str] = OrderedDict()
        self._schema_lock = asyncio.Lock()

    async def open(self) -> None:
        """Log in and make the connection ready; it connects with the first call."""
        await self._session.token()
        if self._connection is None:
            self._connection = self._connect()

    def _connect(self) -> Connection:
        return Connection.to(self._endpoint, tls=self._options.tls, ca_file=self._options.ca_file)

    async def deliveries(self, channel: str, after: ReplayId | Start) -> AsyncIterator[Delivery]:
        """Deliveries strictly after a position, without end; an empty one is a keepalive.

        Errors: as `Source` says; SourceUnavailable also after `dead_after_s` without event or keepalive. A session
        refused at the start is renewed and the subscription made once more; refused later, it is renewed and
        AuthExpired raised, since only the caller knows where to resume.
        """
        if not isinstance(after, Start) and after.startswith(COMETD_POSITION):
            raise PositionLost(
                "the stored position is of CometD, which Pub/Sub cannot resume from",
                where=channel,
                do="reading resumes at the tip, the stretch between is lost, and every entity of the channel is read anew",
                code=TRANSPORT_CHANGED,
            )
        await self.check(channel)
        token = await self._session.token()
        renewed = False
        delivered = False
        while True:
            stream = _Stream(self, channel, after, token)
            try:
                await stream.start()
                while True:
                    delivery = await stream.next()
                    delivered = True
                    yield delivery
            except AuthExpired:
                if renewed and not delivered:
                    raise
                token = await self._session.refresh(token)
                renewed = True
                if delivered:
                    raise
            finally:
                await stream.cancel()

    async def schema(self, schema_id: SchemaId) -> str:
        """The schema's JSON text, fetched once per id. Errors: SourceUnavailable, AuthExpired, Undecodable."""
        known = self._schemas.get(schema_id)
        if known is not None:
            self._schemas.move_to_end(schema_id)
            return known
        async with self._schema_lock:
            if schema_id in self._schemas:
                return self._schemas[schema_id]
            try:
                info = await self._call(
                    "GetSchema", pb.SchemaRequest(schema_id=schema_id), f"schema {schema_id}"
                )
            except ChannelStopped as error:
                raise Undecodable(error.what, where=error.where, do=error.do) from error
            if not info.schema_json:
                raise Undecodable("the org gave an empty schema", where=f"schema {schema_id}")
            self._schemas[schema_id] = info.schema_json
            if len(self._schemas) > SCHEMAS_MAX:
                self._schemas.popitem(last=False)
            return cast(str, info.schema_json)

    async def close(self) -> None:
        """End every subscription (their iterators raise SourceUnavailable) and the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def reconnect(self, silent: Connection) -> None:
        """The other side of this connection says nothing any more: what comes next goes over a new one."""
        if self._connection is silent:
            self._connection = self._connect()
            await silent.retire()

    async def check(self, channel: str) -> None:
        """A channel that does not exist or may not be read is told apart from a quiet one before subscribing.

        A service that cannot look topics up leaves it to the subscription.
        """
        try:
            info = await self._call("GetTopic", pb.TopicRequest(topic_name=channel), channel)
        except ChannelStopped as error:
            if error.code:
                raise
            return
        if not info.can_subscribe:
            raise ChannelStopped(
                "the user may not subscribe to this channel",
                where=channel,
                do="give the user View All Records on its entities (View All Users for User), or View All Data",
                code="subscription.topic.cannot.subscribe",
            )

    async def _call(self, name: str, request: Any, where: str) -> Any:
        """One unary call; a session refused is renewed once and the call repeated."""

        async def with_token(token: Token) -> Any:
            connection = self.connection(where)
            method: Callable[..., Awaitable[Any]] = getattr(connection.stub, name)
            try:
                return await method(request, metadata=metadata(token), timeout=self._options.call_timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    await self.reconnect(connection)
                raise translated(error, where) from None
            except (grpc.aio.UsageError, asyncio.CancelledError) as error:
                raise self.ended(error, where) from None

        token = await self._session.token()
        try:
            return await with_token(token)
        except AuthExpired:
            return await with_token(await self._session.refresh(token))

    def connection(self, where: str) -> Connection:
        if self._connection is None:
            raise SourceUnavailable("the event source is not open", where=where, do="open it first")
        return self._connection

    def ended(self, error: BaseException, where: str) -> BaseException:
        """What a cancelled call means: the caller's own cancellation stays one, a closed connection is said."""
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            return error
        if self._connection is None:
            return SourceUnavailable("the event source was closed", where=where, do="open it again")
        return SourceUnavailable("the call was cancelled", where=where, do="it resumes by itself")

    @property
    def options(self) -> PubSubOptions:
        return self._options

    @property
    def clock(self) -> Clock:
        return self._clock


class _Stream:
    """One Subscribe call: asks for events as they are taken, and watches for silence."""

    def __init__(self, source: PubSubSource, channel: str, after: ReplayId | Start, token: Token) -> None:
        self._source = source
        self._channel = channel
        self._first = _first_request(channel, after)
        self._connection = source.connection(channel)
        self._connection.streams += 1
        self._call: Any = self._connection.stub.Subscribe(metadata=metadata(token))
        self._owed = 0
        self._tells_pending = False  # not every service fills pending_num_requested in

    async def start(self) -> None:
        await self._ask(self._first)

    async def next(self) -> Delivery:
        """The next response as a delivery; asks for more when half of what was owed has come."""
        response = await self._read()
        # One tuple an event and nothing else. Reaching into a message is what costs: the inner event is looked
        # up once, and the tuple made without the class's own constructor.
        new = tuple.__new__
        events = [
            # An event without an id is known by its place: else two of one record would be taken for a repeat.
            new(
                SourceEvent,
                (inner.id or outer.replay_id.hex(), outer.replay_id, inner.schema_id, inner.payload),
            )
            for outer in response.events
            for inner in (outer.event,)
        ]
        self._owed = max(0, self._owed - len(events))
        self._tells_pending = self._tells_pending or response.pending_num_requested > 0
        if not events and self._tells_pending:
            # On a quiet stream nothing is under way: credit the service does not know of is lost, and asked for anew.
            self._owed = max(0, min(self._owed, response.pending_num_requested))
        if self._owed <= CREDIT_REFILL:
            await self._ask(pb.FetchRequest(num_requested=CREDIT_MAX - self._owed))
        return Delivery(
            self._channel, events, ReplayId(response.latest_replay_id), self._source.clock.wall_ms()
        )

    async def cancel(self) -> None:
        self._call.cancel()
        await self._connection.release()

    async def _ask(self, request: pb.FetchRequest) -> None:
        try:
            async with asyncio.timeout(self._source.options.dead_after_s):
                await self._call.write(request)
        except TimeoutError:
            raise await self._dead() from None
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream has ended; what it sent before is still to be read, and then why it ended
        except (grpc.aio.UsageError, asyncio.CancelledError) as error:
            raise self._source.ended(error, self._channel) from None
        self._owed += request.num_requested

    async def _read(self) -> Any:
        limit = self._source.options.dead_after_s
        try:
            async with asyncio.timeout(limit):
                response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise translated(error, self._channel) from None
        except TimeoutError:
            raise await self._dead() from None
        except (grpc.aio.UsageError, asyncio.CancelledError) as error:
            raise self._source.ended(error, self._channel) from None
        if response is grpc.aio.EOF:
            raise SourceUnavailable(
                "the event service ended the stream",
                where=self._channel,
                do="it resumes by itself from the stored position",
            )
        return response

    async def _dead(self) -> SourceUnavailable:
        await self._source.reconnect(self._connection)
        return SourceUnavailable(
            f"the stream is dead: neither event nor keepalive for {self._source.options.dead_after_s:g} s",
            where=self._channel,
            do="it resumes by itself from the stored position",
            code="dead",
        )


def _first_request(channel: str, after: ReplayId | Start) -> pb.FetchRequest:
    if isinstance(after, Start):
        return pb.FetchRequest(topic_name=channel, replay_preset=_PRESET[after], num_requested=CREDIT_MAX)
    return pb.FetchRequest(
        topic_name=channel, replay_preset=pb.CUSTOM, replay_id=after, num_requested=CREDIT_MAX
    )


def metadata(token: Token) -> tuple[tuple[str, str], ...]:
    """What every call carries; gRPC wants the keys in lower case."""
    return (
        ("accesstoken", token.access_token),
        ("instanceurl", token.instance_url),
        ("tenantid", token.org_id),
    )


def translated(error: grpc.aio.AioRpcError, where: str) -> CdcError:
    """A failed call as one of our errors, by its `error-code` trailer."""
    code = ""
    for key, value in error.trailing_metadata() or ():
        if key == TRAILER:
            code = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return translate(error.code(), error.details() or "", code, where=where)
