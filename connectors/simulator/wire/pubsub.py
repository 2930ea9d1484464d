"""The Pub/Sub API (eventbus.v1.PubSub): who may call, and what each call does.

Every call is checked, refused by `error-code`, and answered with an id of its own. Subscribing is in `stream`,
managed subscriptions in `managed`, publishing in `publishing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from connectors.simulator.errors import BusError
from connectors.simulator.model import Cursor
from connectors.simulator.wire import stream_accidents as accidents
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.managed import ManagedSubscriptions
from connectors.simulator.wire.publishing import Publisher
from connectors.simulator.wire.refusals import StreamReset, new_rpc_id, refuse
from connectors.simulator.wire.sessions import Session
from connectors.simulator.wire.stream import Stream, first_request, whole_position
from connectors.simulator.wire.tls import Tls
from schemas.eventbus.v1 import pubsub_pb2 as pb
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

ID_CHARS = 15  # of an org id; three more carry only which letters are capitals
STREAMS_MAX = 1_000  # of one connection
REQUEST_BYTES_MAX = 4 * 1024 * 1024

_PRESETS = {pb.LATEST: "latest", pb.EARLIEST: "earliest", pb.CUSTOM: "custom"}
_Answer = TypeVar("_Answer")


def pubsub_server(
    wire: Wire, managed: ManagedSubscriptions, tls: Tls | None, address: str
) -> tuple[Any, int]:
    """A gRPC server that is not started yet, and the port it is bound to (0: the address cannot be had)."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", STREAMS_MAX),
            ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
    )
    stubs.add_PubSubServicer_to_server(  # type: ignore[no-untyped-call]
        PubSub(wire, managed), server
    )
    try:
        if tls is None:
            return server, server.add_insecure_port(address)
        credentials = grpc.ssl_server_credentials([(tls.key, tls.certificate + tls.ca)])
        return server, server.add_secure_port(address, credentials)
    except RuntimeError:
        return server, 0


class PubSub(stubs.PubSubServicer):
    """The six calls."""

    def __init__(self, wire: Wire, managed: ManagedSubscriptions) -> None:
        self._wire = wire
        self._managed = managed
        self._publisher = Publisher(wire)

    async def GetTopic(self, request: pb.TopicRequest, context: Any) -> pb.TopicInfo:
        """Who may do what on a topic; the schema id where it has exactly one."""

        async def answer(session: Session, rpc_id: str) -> pb.TopicInfo:
            accidents.check_call(self._wire.org.faults, "GetTopic")
            return self._topic(request.topic_name, rpc_id)

        return await self._unary(context, answer)

    async def GetSchema(self, request: pb.SchemaRequest, context: Any) -> pb.SchemaInfo:
        """A schema by its id; it never changes."""

        async def answer(session: Session, rpc_id: str) -> pb.SchemaInfo:
            if not request.schema_id:
                raise BusError("schema.validation.failed", "The schema ID is blank.")
            org = self._wire.org
            accidents.check_call(org.faults, "GetSchema")
            schema = org.schema(request.schema_id)
            if schema is None or org.faults.take("schema_unknown", schema_id=request.schema_id) is not None:
                raise BusError("schema.validation.failed", "The schema ID is not known.")
            text = accidents.schema_text(org.faults, schema)
            return pb.SchemaInfo(schema_json=text, schema_id=request.schema_id, rpc_id=rpc_id)

        return await self._unary(context, answer)

    async def Publish(self, request: pb.PublishRequest, context: Any) -> pb.PublishResponse:
        """Platform events, one result each."""

        async def answer(session: Session, rpc_id: str) -> pb.PublishResponse:
            return self._publisher.publish(request, session, rpc_id)

        return await self._unary(context, answer)

    async def Subscribe(self, request_iterator: AsyncIterator[pb.FetchRequest], context: Any) -> None:
        """Events of a topic against credit; see `stream`."""

        async def serve(session: Session, rpc_id: str) -> None:
            first = await first_request(self._wire, request_iterator)
            if first is None:
                return
            self._wire.check_delivery()

            def respond(events: Any, position: bytes, owed: int) -> pb.FetchResponse:
                return pb.FetchResponse(
                    events=events, latest_replay_id=position, rpc_id=rpc_id, pending_num_requested=owed
                )

            def take(request: pb.FetchRequest) -> None:
                if request.topic_name and request.topic_name != first.topic_name:
                    raise BusError(
                        "subscription.fetch.topic.mismatch",
                        f"This stream is for {first.topic_name}, not for {request.topic_name}.",
                    )
                stream.credit(request.num_requested)

            stream = Stream(self._wire, session, context, self._start(first), respond=respond, take=take)
            take(first)
            await stream.serve(request_iterator)

        await self._streaming(context, serve)

    async def ManagedSubscribe(
        self, request_iterator: AsyncIterator[pb.ManagedFetchRequest], context: Any
    ) -> None:
        """As Subscribe, from a position the service keeps; see `managed`."""

        async def serve(session: Session, rpc_id: str) -> None:
            await self._managed.serve(session, context, request_iterator, rpc_id)

        await self._streaming(context, serve)

    async def PublishStream(self, request_iterator: AsyncIterator[pb.PublishRequest], context: Any) -> None:
        """Publish, request by request, until none comes for a while."""

        async def serve(session: Session, rpc_id: str) -> None:
            await self._publisher.stream(request_iterator, context, session, rpc_id)

        await self._streaming(context, serve)

    def _topic(self, name: str, rpc_id: str) -> pb.TopicInfo:
        org = self._wire.org
        topic = org.bus.channels.topic(name)
        entity = next(iter(topic.members), "") if topic.single else ""
        permitted = not entity or org.faults.active("no_permission", entity=entity) is None
        return pb.TopicInfo(
            topic_name=name,
            tenant_guid=f"core/simulated/{org.org_id}",
            can_publish=entity in org.platform_events and not org.platform_events[entity].monitoring,
            can_subscribe=permitted,
            schema_id=org.current_schema(entity) if entity else "",
            rpc_id=rpc_id,
        )

    def _start(self, first: pb.FetchRequest) -> Cursor:
        preset = _PRESETS.get(first.replay_preset)
        if preset is None:
            raise BusError("subscription.fetch.request.invalid", "The replay preset is not known.")
        return self._wire.org.bus.resolve(first.topic_name, preset, whole_position(first.replay_id) or None)

    async def _unary(self, context: Any, answer: Callable[[Session, str], Awaitable[_Answer]]) -> _Answer:
        rpc_id = new_rpc_id()
        try:
            session = await self._admitted(context)
            return await answer(session, rpc_id)
        except (BusError, StreamReset) as error:
            await refuse(context, error, rpc_id, self._wire.org.faults)

    async def _streaming(self, context: Any, serve: Callable[[Session, str], Awaitable[None]]) -> None:
        rpc_id = new_rpc_id()
        try:
            session = await self._admitted(context)
            await serve(session, rpc_id)
        except (BusError, StreamReset) as error:
            await refuse(context, error, rpc_id, self._wire.org.faults)

    async def _admitted(self, context: Any) -> Session:
        """The caller's session. Raises BusError."""
        self._wire.check_stream_service()
        slowness = self._wire.slowness_s()
        if slowness:
            await asyncio.sleep(slowness)
        given = {key: str(value) for key, value in context.invocation_metadata() or ()}
        for key in ("accesstoken", "instanceurl", "tenantid"):
            if not given.get(key, "").strip():
                raise BusError("service.auth.headers.invalid", f"The {key} header is blank or missing.")
        if not given["instanceurl"].startswith(("https://", "http://")):
            raise BusError("service.auth.headers.invalid", "The instanceurl header is not a URL.")
        if given["tenantid"][:ID_CHARS] != self._wire.org.org_id[:ID_CHARS]:
            raise BusError("service.auth.headers.invalid", "The tenantid header is not this org's.")
        session = self._wire.session(given["accesstoken"])
        if session is None:
            raise BusError("service.auth.error", "The session is invalid or has expired.")
        return session
