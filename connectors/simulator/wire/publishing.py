"""Publishing platform events: Publish and PublishStream (protocol section 1.9)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from connectors.simulator.errors import BusError
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session
from schemas.eventbus.v1 import pubsub_pb2 as pb

EVENT_BYTES_MAX = 1_000_000  # a bigger one fails by itself; the others of its request go through
LOOK_AGAIN_S = 0.5


class Publisher:
    """Puts clients' own payloads on the bus; the service does not look into them beyond size and schema."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def publish(self, request: pb.PublishRequest, session: Session, rpc_id: str) -> pb.PublishResponse:
        """One result for each event, in order. Raises BusError for the request as a whole."""
        name = self._event_name(request.topic_name)
        if not request.events:
            raise BusError("publish.event.count.invalid", "The request has no events.")
        results = [self._one(name, event, session) for event in request.events]
        return pb.PublishResponse(
            results=results, schema_id=self._wire.org.current_schema(name), rpc_id=rpc_id
        )

    async def stream(
        self, requests: AsyncIterator[pb.PublishRequest], context: Any, session: Session, rpc_id: str
    ) -> None:
        """Publish request by request. Raises BusError when none comes for too long, or the topic changes."""
        topic = ""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(anext(requests, None))
        loop = asyncio.get_running_loop()
        idle_since = loop.time()
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=LOOK_AGAIN_S)
                self._check(session)
                if not done:
                    if loop.time() - idle_since >= self._wire.options.publish_idle_s:
                        raise BusError("publish.stream.sweeper.timeout", "No valid request came in time.")
                    continue
                request = waiting.result()
                if request is None:
                    return
                topic = topic or request.topic_name
                if request.topic_name and request.topic_name != topic:
                    raise BusError("publish.topic.mismatch", f"This stream is for {topic}.")
                request.topic_name = topic
                await context.write(self.publish(request, session, rpc_id))
                idle_since = loop.time()
                waiting = asyncio.ensure_future(anext(requests, None))
        finally:
            waiting.cancel()

    def _check(self, session: Session) -> None:
        self._wire.apply_revocation()
        if session.revoked:
            raise BusError("service.auth.error", "The session has been revoked.")
        self._wire.check_stream_service()

    def _event_name(self, topic: str) -> str:
        if not topic:
            raise BusError("publish.topic.validation.empty", "The topic name is blank.")
        channels = self._wire.org.bus.channels
        found = channels.topic(topic)
        entity = next(iter(found.members), "") if found.single else ""
        if entity not in channels.platform_events or self._wire.org.platform_events[entity].monitoring:
            raise BusError("topic.meta.permission", f"{topic} cannot be published to.")
        return entity

    def _one(self, name: str, event: pb.ProducerEvent, session: Session) -> pb.PublishResult:
        org = self._wire.org
        refused = ""
        if event.schema_id != org.current_schema(name):
            refused = f"The schema ID {event.schema_id!r} is not one of {name}."
        elif not event.payload:
            refused = "The payload is empty."
        elif len(event.payload) > EVENT_BYTES_MAX:
            refused = f"The event is larger than {EVENT_BYTES_MAX} bytes."
        if refused:
            error = pb.Error(code=pb.PUBLISH, msg=refused)
            return pb.PublishResult(error=error, correlation_key=event.id)
        event_id = event.id or str(uuid.uuid4())
        org.publish_raw(name, event.schema_id, event.payload, event_id=event_id, kind="CREATE")
        return pb.PublishResult(replay_id=org.bus.newest_replay_id(), correlation_key=event.id)
