"""Events over CometD, for orgs whose way to the Pub/Sub API is blocked: the same `Source`, with weaker promises.

Every subscription is a client of its own, so that channels do not disturb each other. Its JSON is encoded to
the bytes that Pub/Sub would have sent, with the event's COMPACT schema, so that nothing behind it knows.

What CometD cannot do, and what is done instead:

* There are no keepalives with a position. A connect answered without events gives an empty delivery *without*
  position: somebody is there, but nothing is known to have been passed.
* A session can answer for hours and deliver nothing. After `probe_after_s` without an event the channel is
  subscribed anew, from before the last event: only if that event comes again, and nothing behind it, has the
  channel been quiet, and that is a keepalive with a position. If it does not come, or nothing can be
  asked for because no event was ever seen, SourceSilent is raised, at the latest after `silent_after_s`.
* A replay id ages out on a quiet channel. One that was proved quiet gets a position that does not
  (`cometd_position.py`).

Reading order: `CometDSource.deliveries`, `_Course`; then `cometd_listener.py`, `cometd_client.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cdc.avro.schema import EventSchema
from cdc.errors import (
    BadArgument,
    ChannelStopped,
    NotFound,
    OrgUnavailable,
    PositionLost,
    SourceSilent,
    SourceUnavailable,
    Undecodable,
)
from cdc.ports.clock import Clock
from cdc.ports.source import Delivery, SourceEvent, Start
from cdc.ports.types import ReplayId, SchemaId
from connectors.salesforce.cometd_client import NotBayeux, Tokens
from connectors.salesforce.cometd_events import EventEncoder
from connectors.salesforce.cometd_listener import Listener
from connectors.salesforce.cometd_position import (
    ALL_EVENTS,
    NEW_EVENTS,
    RETENTION_MS,
    after_event,
    nothing_since,
    place_of,
)
from connectors.salesforce.rest import Rest
from connectors.salesforce.trust import tls_context

EVENTS_MAX = 100  # of one delivery, as with Pub/Sub
SCHEMAS_MAX = 2_000
PROBE_ANSWERS_MAX = 3  # connects answered without the event that has to come again
OLD_POSITION_MS = RETENTION_MS // 3 * 2
UNREADABLE = "json:"  # before the schema id of an event whose JSON could not be encoded

NO_POSITION = ReplayId(b"")


@dataclass(frozen=True, slots=True)
class CometDOptions:
    """The version in the endpoint's address, an extra trust root, and when silence counts as what."""

    api_version: str = "66.0"
    ca_file: str | Path = ""
    handshake_timeout_s: float = 40.0
    probe_after_s: float = 900.0
    silent_after_s: float = 1_800.0


class CometDSource:
    """A `Source` over CometD. `rest` is asked for event schemas."""

    def __init__(
        self, session: Tokens, rest: Rest, options: CometDOptions, *, clock: Clock | None = None
    ) -> None:
        self._session = session
        self._rest = rest
        self._options = options
        self._clock = clock or Clock()
        self._listeners: set[Listener] = set()
        self._schemas: OrderedDict[str, str] = OrderedDict()
        self._encoders: OrderedDict[str, EventEncoder] = OrderedDict()
        self._open = False

    async def open(self) -> None:
        """Log in; each subscription connects by itself."""
        await self._session.token()
        self._open = True

    async def deliveries(self, channel: str, after: ReplayId | Start) -> AsyncIterator[Delivery]:
        """Deliveries strictly after a position, without end; one without a position says only that somebody is there."""
        place = place_of(after, channel, self._clock.wall_ms())
        course = _Course(channel, place.replay if place.known else None, self._options, self._clock)
        started_at = self._clock.wall_ms()
        listener = await self._listen(channel, place.replay)
        try:
            if place.replay == NEW_EVENTS:
                yield Delivery(channel, (), nothing_since(started_at), started_at)
            fresh = place.replay == ALL_EVENTS and after is Start.EARLIEST
            while True:
                messages = await listener.take(EVENTS_MAX)
                now = self._clock.wall_ms()
                if messages:
                    fresh = False
                    events = [await self._event(course, message) for message in messages]
                    yield Delivery(channel, events, events[-1].replay_id, now)
                    continue
                position = nothing_since(started_at) if fresh else course.answered()
                fresh = False
                yield Delivery(channel, (), position, now)
                if course.probe_from is not None:
                    listener = await self._probe(course, listener)
        except NotBayeux:
            await self._session.refresh(await self._session.token())
            raise
        finally:
            await self._leave(listener)

    async def check(self, channel: str) -> None:
        """Whether the channel may be subscribed to, by doing so for a moment. Errors: as `deliveries`."""
        await self._leave(await self._listen(channel, NEW_EVENTS))

    async def schema(self, schema_id: SchemaId) -> str:
        """The schema's JSON text as Pub/Sub gives it. Errors: SourceUnavailable, AuthExpired, Undecodable."""
        known = self._schemas.get(schema_id)
        if known is not None:
            self._schemas.move_to_end(schema_id)
            return known
        where = f"schema {schema_id}"
        if schema_id.startswith(UNREADABLE) or not schema_id.replace("-", "").replace("_", "").isalnum():
            raise Undecodable("the event's JSON does not fit its schema, or it has none", where=where)
        path = (
            f"/services/data/v{self._options.api_version}/event/eventSchema/{schema_id}?payloadFormat=COMPACT"
        )
        try:
            answer = await self._rest.call("GET", path, where=where)
        except (NotFound, BadArgument) as error:
            raise Undecodable(error.what, where=where, do=error.do) from error
        except OrgUnavailable as error:
            raise SourceUnavailable(
                error.what, where=where, do=error.do, retry_after_s=error.retry_after_s
            ) from error
        text = _text_of(answer.body)
        self._schemas[schema_id] = text
        if len(self._schemas) > SCHEMAS_MAX:
            self._schemas.popitem(last=False)
        return text

    async def close(self) -> None:
        """End every subscription; their iterators raise SourceUnavailable."""
        self._open = False
        for listener in list(self._listeners):
            await self._leave(listener)

    async def _listen(self, channel: str, replay: int) -> Listener:
        if not self._open:
            raise SourceUnavailable("the event source is not open", where=channel, do="open it first")
        http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls_context(self._options.ca_file)),
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # an address without a name keeps its cookies too
            trust_env=False,
        )
        listener = Listener(
            self._session,
            http,
            channel=channel,
            replay=replay,
            api_version=self._options.api_version,
            clock=self._clock,
            handshake_timeout_s=self._options.handshake_timeout_s,
        )
        self._listeners.add(listener)
        try:
            await listener.start()
        except BaseException:
            await self._leave(listener)
            raise
        return listener

    async def _probe(self, course: _Course, listener: Listener) -> Listener:
        """Subscribe anew from before the last event, beside the subscription there is, which ends when that worked."""
        assert course.probe_from is not None
        try:
            probe = await self._listen(course.channel, course.probe_from)
        except PositionLost:
            course.cannot_be_probed()  # the event before the last has aged out, which loses nothing
            return listener
        course.probing()
        await self._leave(listener)
        return probe

    async def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        await listener.close()

    async def _event(self, course: _Course, message: dict[str, Any]) -> SourceEvent:
        """The message as Pub/Sub would have sent it; one that cannot be encoded is kept as its own JSON."""
        about = message.get("data")
        data: dict[str, Any] = about if isinstance(about, dict) else {}
        inner = data.get("event")
        event: dict[str, Any] = inner if isinstance(inner, dict) else {}
        number = event.get("replayId")
        schema_id, payload = str(data.get("schema") or ""), data.get("payload")
        if isinstance(number, bool) or not isinstance(number, int):
            number, schema_id = course.last(), ""  # kept where it came; a channel without replay ids is none
        course.passed(number)
        event_id = str(event.get("EventUuid") or _own_id(course.channel, number, payload))
        try:
            body = (await self._encoder(schema_id)).encode(payload)
        except Undecodable:
            raw = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
            return SourceEvent(event_id, after_event(number), SchemaId(UNREADABLE + schema_id), raw)
        return SourceEvent(event_id, after_event(number), SchemaId(schema_id), body)

    async def _encoder(self, schema_id: str) -> EventEncoder:
        encoder = self._encoders.get(schema_id)
        if encoder is None:
            text = await self.schema(SchemaId(schema_id))
            try:
                encoder = EventEncoder(EventSchema.parse(schema_id, text))
            except ValueError as error:
                raise Undecodable(
                    f"the schema cannot be used: {error}", where=f"schema {schema_id}"
                ) from error
            self._encoders[schema_id] = encoder
            if len(self._encoders) > SCHEMAS_MAX:
                self._encoders.popitem(last=False)
        return encoder


class _Course:
    """How a channel has gone: its last two replay ids, when it last made progress, and whether it is being probed.

    States: *running* (events come), *quiet* (none, for less than `probe_after_s`), *probing* (`_wanted` has to
    come again), *proved* (it came; the next empty answer proves the quiet).
    """

    def __init__(self, channel: str, known: int | None, options: CometDOptions, clock: Clock) -> None:
        self.channel = channel
        self.probe_from: int | None = None
        self._options = options
        self._clock = clock
        self._before: int | None = None
        self._last: int | None = known
        self._last_at = clock.wall_ms()
        self._progress_s = clock.monotonic_s()
        self._wanted: int | None = None
        self._proved = False
        self._answers = 0

    def last(self) -> int:
        """The newest replay id. Errors: ChannelStopped when the channel never had one."""
        if self._last is None:
            raise ChannelStopped(
                "its events have no replay ids, so that nothing could be resumed",
                where=self.channel,
                do="name a channel of change events or of platform events",
            )
        return self._last

    def passed(self, number: int) -> None:
        """An event came. Errors: SourceUnavailable when the bus stepped back."""
        if self._last is not None and number < self._last:
            raise SourceUnavailable(
                "the bus stepped back to an earlier position",
                where=self.channel,
                do="it resumes by itself from the stored position",
            )
        if self._last is None or number > self._last:
            self._before, self._last = self._last, number
            self._last_at = self._clock.wall_ms()
        if self._wanted is not None:
            self._wanted, self._proved = None, True
        self._progress_s = self._clock.monotonic_s()

    def probing(self) -> None:
        """The subscription was made anew, from before the last event."""
        self.probe_from, self._wanted, self._answers = None, self._last, 0

    def cannot_be_probed(self) -> None:
        """There is no place before the last event to read from any more."""
        self.probe_from = self._before = None

    def answered(self) -> ReplayId:
        """A connect was answered without events: what position that proves. Errors: SourceSilent."""
        quiet_s = self._clock.monotonic_s() - self._progress_s
        if self._proved:
            assert self._last is not None
            self._proved = False
            self._progress_s = self._clock.monotonic_s()
            return self._quiet_position(self._last)
        if self._wanted is not None:
            self._answers += 1
            if self._answers >= PROBE_ANSWERS_MAX:
                raise self._silent(quiet_s, "and the last one, asked for again, does not come")
        elif quiet_s >= self._options.probe_after_s and self._before is not None:
            self.probe_from = self._before
        elif quiet_s >= self._options.silent_after_s:
            raise self._silent(quiet_s, "and none is known that could be asked for again")
        return NO_POSITION

    def _quiet_position(self, last: int) -> ReplayId:
        """Behind the last event, unless that one ages out soon."""
        now = self._clock.wall_ms()
        return nothing_since(now) if now - self._last_at > OLD_POSITION_MS else after_event(last)

    def _silent(self, quiet_s: float, more: str) -> SourceSilent:
        return SourceSilent(
            f"the channel has delivered no event for {quiet_s:.0f} s, {more}: quiet and dead look the same over CometD",
            where=self.channel,
            do="it subscribes anew by itself; compare with the org by `cdc verify --against-org`, or use Pub/Sub",
        )


def _own_id(channel: str, number: int, payload: Any) -> str:
    """An id for an event the service did not name (versions before 52): the same in every delivery of it."""
    header = payload.get("ChangeEventHeader") if isinstance(payload, dict) else None
    if not isinstance(header, dict):
        return f"{channel}@{number}.{_hash(payload)}"
    records = _hash(header.get("recordIds"))
    return (
        f"{header.get('transactionKey')}.{header.get('sequenceNumber')}.{header.get('entityName')}.{records}"
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _text_of(body: Any) -> str:
    """The schema's text without the property that only REST adds."""
    if not isinstance(body, dict):
        raise Undecodable("the org gave no schema")
    return json.dumps({k: v for k, v in body.items() if k != "uuid"}, separators=(",", ":"))
