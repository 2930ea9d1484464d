"""Managed subscriptions: the service keeps the position, the client commits it (protocol section 1.7).

One is a record of the Tooling API (ManagedEventSubscription), RUN or STOP. It has at most one consumer. It
starts after the committed position; without one at its default; at its recovery place when the committed
position has expired.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.simulator.errors import BusError, OrgError
from connectors.simulator.ids import record_id
from connectors.simulator.model import Cursor
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session
from connectors.simulator.wire.stream import Stream, first_request, whole_position
from schemas.eventbus.v1 import pubsub_pb2 as pb

KEY_PREFIX = "18x"
SUBSCRIPTIONS_MAX = 200  # of an org
RUN, STOP = "RUN", "STOP"
_CODE = "managed.subscription."


@dataclass(slots=True)
class ManagedSubscription:
    """One record: where it reads, where it starts, and the position committed last (b"": none yet)."""

    id: str
    developer_name: str
    topic_name: str
    default_replay: str = "LATEST"
    error_recovery_replay: str = "LATEST"
    state: str = RUN
    committed: bytes = b""
    active: bool = False

    def row(self) -> dict[str, Any]:
        """As the Tooling API shows it."""
        metadata = {
            "defaultReplay": self.default_replay,
            "errorRecoveryReplay": self.error_recovery_replay,
            "label": self.developer_name,
            "state": self.state,
            "topicName": self.topic_name,
        }
        return {"Id": self.id, "DeveloperName": self.developer_name, "Metadata": metadata}


class ManagedSubscriptions:
    """Every managed subscription of the org, and the call that reads one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._by_id: dict[str, ManagedSubscription] = {}

    def rows(self) -> list[dict[str, Any]]:
        """All of them, for Tooling queries."""
        return [subscription.row() for subscription in self._by_id.values()]

    def create(self, body: Mapping[str, Any]) -> str:
        """A new one from a Tooling body {FullName, Metadata}; returns its id. Raises OrgError."""
        metadata = body.get("Metadata") or {}
        name, topic = str(body.get("FullName") or ""), str(metadata.get("topicName") or "")
        if not name or not topic:
            raise OrgError("REQUIRED_FIELD_MISSING", "FullName and Metadata.topicName are required")
        if len(self._by_id) >= SUBSCRIPTIONS_MAX:
            raise OrgError("LIMIT_EXCEEDED", f"At most {SUBSCRIPTIONS_MAX} managed event subscriptions")
        if any(subscription.developer_name == name for subscription in self._by_id.values()):
            raise OrgError("DUPLICATE_DEVELOPER_NAME", f"{name} is already used")
        try:
            self._wire.org.bus.channels.topic(topic)
        except BusError as error:
            raise OrgError("INVALID_INPUT", error.message) from None
        made = ManagedSubscription(
            record_id(KEY_PREFIX, self._wire.org.org_id[3:7], len(self._by_id) + 1),
            name,
            topic,
            str(metadata.get("defaultReplay") or "LATEST"),
            str(metadata.get("errorRecoveryReplay") or "LATEST"),
            str(metadata.get("state") or RUN),
        )
        self._by_id[made.id] = made
        return made.id

    def update(self, subscription_id: str, body: Mapping[str, Any]) -> None:
        """Change state or replay. Raises OrgError NOT_FOUND."""
        found = self._by_id.get(subscription_id)
        if found is None:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        metadata = body.get("Metadata") or {}
        found.state = str(metadata.get("state") or found.state)
        found.default_replay = str(metadata.get("defaultReplay") or found.default_replay)
        found.error_recovery_replay = str(metadata.get("errorRecoveryReplay") or found.error_recovery_replay)

    def delete(self, subscription_id: str) -> None:
        """Raises OrgError NOT_FOUND."""
        if self._by_id.pop(subscription_id, None) is None:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)

    async def serve(self, session: Session, context: Any, requests: AsyncIterator[Any], rpc_id: str) -> None:
        """One ManagedSubscribe call, to its end. Raises BusError, StreamReset."""
        first = await first_request(self._wire, requests)
        if first is None:
            return
        subscription = self._named(first)
        if subscription.active:
            raise BusError(_CODE + "already.active", f"{subscription.developer_name} has a consumer already.")
        self._wire.check_delivery()
        reader = _Reader(self, subscription, rpc_id)
        stream = Stream(
            self._wire,
            session,
            context,
            self._start(subscription),
            respond=reader.respond,
            take=lambda request: reader.take(request, stream),
            check=lambda: self._check_state(subscription),
        )
        stream.credit(first.num_requested, least=0)
        subscription.active = True
        try:
            await stream.serve(requests)
        finally:
            subscription.active = False

    def _named(self, first: pb.ManagedFetchRequest) -> ManagedSubscription:
        if bool(first.subscription_id) == bool(first.developer_name):
            raise BusError(
                _CODE + "id.or.developer.name.empty", "Give either subscription_id or developer_name."
            )
        if first.HasField("commit_replay_id_request"):
            raise BusError(
                _CODE + "fetch.request.commit.request.restricted",
                "The first request of a stream must not commit.",
            )
        if first.subscription_id:
            if len(first.subscription_id) not in (15, 18):
                raise BusError(_CODE + "subscription.id.invalid", "The subscription id is invalid.")
            for found in self._by_id.values():
                if found.id[:15] == first.subscription_id[:15]:
                    self._check_state(found)
                    return found
            raise BusError(_CODE + "subscription.id.not.found", "There is no such managed subscription.")
        for found in self._by_id.values():
            if found.developer_name == first.developer_name:
                self._check_state(found)
                return found
        raise BusError(_CODE + "developer.name.not.found", "There is no such managed subscription.")

    def _check_state(self, subscription: ManagedSubscription) -> None:
        if subscription.id not in self._by_id:
            raise BusError(_CODE + "config.deleted", f"{subscription.developer_name} has been deleted.")
        if subscription.state != RUN:
            raise BusError(_CODE + "config.stopped", f"{subscription.developer_name} is stopped.")

    def _start(self, subscription: ManagedSubscription) -> Cursor:
        bus = self._wire.org.bus
        if not subscription.committed:
            return bus.resolve(subscription.topic_name, subscription.default_replay.lower())
        try:
            return bus.resolve(subscription.topic_name, "custom", subscription.committed)
        except BusError as error:
            if "replayid" not in error.code:
                raise
            return bus.resolve(subscription.topic_name, subscription.error_recovery_replay.lower())

    def commit(
        self, subscription: ManagedSubscription, request: pb.CommitReplayRequest, passed: bytes
    ) -> pb.CommitReplayResponse:
        """Store a position; a refusal is in the answer and does not end the stream."""
        response = pb.CommitReplayResponse(
            commit_request_id=request.commit_request_id,
            replay_id=request.replay_id,
            process_time=self._wire.org.clock.now_ms(),
        )
        refused = self._refused(subscription, bytes(request.replay_id), passed)
        if refused:
            response.error.code = pb.COMMIT
            response.error.msg = refused
        else:
            subscription.committed = whole_position(request.replay_id)
        return response

    def _refused(self, subscription: ManagedSubscription, replay_id: bytes, passed: bytes) -> str:
        if not replay_id:
            return "The replay ID is missing."
        position = whole_position(replay_id)
        if position > passed:
            return "The replay ID has not been delivered yet."
        if position < subscription.committed:
            return "The replay ID is older than the one committed last."
        try:
            self._wire.org.bus.resolve(subscription.topic_name, "custom", position)
        except BusError as error:
            return error.message
        return ""


class _Reader:
    """What the requests of one stream do to its subscription."""

    def __init__(self, owner: ManagedSubscriptions, subscription: ManagedSubscription, rpc_id: str) -> None:
        self._owner = owner
        self._subscription = subscription
        self._rpc_id = rpc_id

    def respond(self, events: Any, position: bytes, owed: int) -> pb.ManagedFetchResponse:
        return pb.ManagedFetchResponse(
            events=events, latest_replay_id=position, rpc_id=self._rpc_id, pending_num_requested=owed
        )

    def take(self, request: pb.ManagedFetchRequest, stream: Stream) -> None:
        if request.num_requested < 0:
            raise BusError(
                _CODE + "fetch.request.events.invalid", "The number of events must not be negative."
            )
        if request.HasField("commit_replay_id_request"):
            answer = self._owner.commit(
                self._subscription, request.commit_replay_id_request, stream.last_position
            )
            response = self.respond((), stream.position(), stream.owed)
            response.commit_response.CopyFrom(answer)
            stream.reply(response)
        if request.num_requested:
            stream.credit(request.num_requested)
