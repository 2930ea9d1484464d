"""From deliveries to numbered, framed records of the log: split, keyed, duplicates dropped.

The one place that gives ordinals. It holds no position and does no I/O; a batch that could not be written is
taken back with `undo`, so that its ordinals are given again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import schemas.own as own
from cdc.avro.framing import frame_prefix
from cdc.avro.headers import HeaderColumns, decode_headers
from cdc.avro.schema import EventSchema
from cdc.avro.split import Named, named, split
from cdc.capture.positions import Seen
from cdc.errors import Undecodable
from cdc.log.topics import VALUE_BYTES_MAX, is_name
from cdc.ports.log import CONTROL_TOPICS, LogRecord
from cdc.ports.source import Delivery, SourceEvent
from cdc.ports.types import Millis, Ordinal, ReplayId

CHANGE_CHANNELS = "/data/"

Prefix = Callable[[str, str], bytes]
"""(topic, schema JSON) -> the bytes before each body of that schema in that topic."""


def single_object(_topic: str, schema_json: str) -> bytes:
    """Without a registry: Avro's single-object encoding, the same in every topic."""
    return frame_prefix(schema_json)


QUARANTINE = "quarantine"

PLATFORM_EVENT = "EVENT"
"""What a platform event counts as where changes count by kind."""

REASON_CHARS_MAX = 300

EVENT_BYTES_MAX = VALUE_BYTES_MAX - 64 * 1024
"""Salesforce sends at most 1 MB; what the log would not take is kept by its reason alone."""


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A schema with what every record of it carries: the topic's name and the bytes before the body."""

    schema: EventSchema
    topic: str
    prefix: bytes

    @staticmethod
    def of(schema: EventSchema) -> KnownSchema:
        """Errors: Undecodable for a schema whose name is no topic of events."""
        if not is_name(schema.name) or schema.name in CONTROL_TOPICS or schema.name == QUARANTINE:
            raise Undecodable(
                f"the schema's name {schema.name!r:.80} cannot be a topic", where=f"schema {schema.schema_id}"
            )
        return KnownSchema(schema, schema.name, frame_prefix(schema.json_text))


@dataclass(slots=True)
class Built:
    """One batch on its way into the log."""

    records: list[LogRecord] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)  # by channel
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)  # changes by channel and kind
    quarantined: int = 0
    tails: list[Tail] = field(default_factory=list)

    def repeated(self, channel: str) -> None:
        self.duplicates[channel] = self.duplicates.get(channel, 0) + 1

    def counted(self, channel: str, kind: str, changes: int) -> None:
        if changes:
            self.kinds[channel, kind] = self.kinds.get((channel, kind), 0) + changes


@dataclass(frozen=True, slots=True)
class Tail:
    """What one delivery means for its channel's position: the last replay groups, and the newest commit."""

    channel: str
    groups: Sequence[tuple[ReplayId, tuple[tuple[str, str], ...]]]
    committed_max: Millis
    received_at: Millis
    events: int


@dataclass(slots=True)
class RecordBuilder:
    """Gives each change its number and its bytes.

    `known` maps schema ids to schemas; an id whose schema could not be had maps to the reason (text).
    """

    seen: Seen
    next_ordinal: Ordinal = Ordinal(1)

    def build(self, deliveries: Sequence[Delivery], known: Mapping[str, KnownSchema | str]) -> Built:
        """Records of the deliveries in their order, which is bus order within each channel."""
        built = Built()
        for delivery, rows in zip(deliveries, _read_headers(deliveries, known), strict=True):
            self._deliver(built, delivery, rows, known)
        return built

    def undo(self, built: Built, first: Ordinal) -> None:
        """The batch was not written: its ordinals are given back, its events are new again."""
        self.seen.forget(built.pairs)
        self.next_ordinal = first

    def number(self, count: int) -> Ordinal:
        """Reserve numbers for records made elsewhere (rows of scans); returns the first."""
        first = self.next_ordinal
        self.next_ordinal = Ordinal(first + count)
        return first

    def _deliver(
        self, built: Built, delivery: Delivery, rows: list[_Row], known: Mapping[str, KnownSchema | str]
    ) -> None:
        events, channel = delivery.events, delivery.channel
        if not events:
            return
        tail_from = _last_group(events)
        tail: list[tuple[ReplayId, tuple[tuple[str, str], ...]]] = []
        if tail_from:
            tail.append((events[tail_from - 1].replay_id, ()))
        committed_max = 0
        add, add_pair = built.records.append, built.pairs.append
        new = self.seen.add
        ordinal: int = self.next_ordinal
        for index, (event, row) in enumerate(zip(events, rows, strict=True)):
            count, record_id, committed_at, kind, reason = row
            found = known.get(event.schema_id)
            before = ordinal
            pairs: tuple[tuple[str, str], ...]
            parts: list[tuple[str, bytes]] = []
            if not reason and count > 1 and isinstance(found, KnownSchema):
                parts, reason = _parts(event, found)
            if reason or not isinstance(found, KnownSchema):
                pairs = ((event.event_id, ""),)
                if new(pairs[0]):
                    add_pair(pairs[0])
                    why = reason or (found if isinstance(found, str) else "its schema is not known")
                    entity = found.schema.entity if isinstance(found, KnownSchema) else ""
                    add(_quarantined(event, delivery, why, entity, Ordinal(ordinal)))
                    ordinal += 1
                    built.quarantined += 1
                else:
                    built.repeated(channel)
            elif count == 1:
                pair = (event.event_id, record_id)
                pairs = (pair,)
                if new(pair):
                    add_pair(pair)
                    add(
                        LogRecord(
                            found.topic,
                            record_id,
                            found.prefix + event.payload,
                            ordinal,
                            committed_at,
                            channel,
                            event.event_id,
                            event.replay_id.hex(),
                            event.schema_id,
                        )
                    )
                    ordinal += 1
                else:
                    built.repeated(channel)
            else:
                pairs, ordinal = self._split(built, delivery, event, found, parts, committed_at, ordinal)
            if kind:
                built.counted(channel, kind, ordinal - before)
            committed_max = max(committed_max, committed_at)
            if index >= tail_from:
                tail.append((event.replay_id, pairs))
        self.next_ordinal = Ordinal(ordinal)
        built.tails.append(Tail(channel, tail, Millis(committed_max), delivery.received_at, len(events)))

    def _split(
        self,
        built: Built,
        delivery: Delivery,
        event: SourceEvent,
        found: KnownSchema,
        ids_and_bodies: list[tuple[str, bytes]],
        committed_at: int,
        ordinal: int,
    ) -> tuple[tuple[tuple[str, str], ...], int]:
        """One record per id of a merged event, in the order of the ids (contract.md, header `part`)."""
        total = len(ids_and_bodies)
        pairs = tuple((event.event_id, record_id) for record_id, _ in ids_and_bodies)
        for number, ((record_id, body), pair) in enumerate(zip(ids_and_bodies, pairs, strict=True), 1):
            if not self.seen.add(pair):
                built.repeated(delivery.channel)
                continue
            built.pairs.append(pair)
            built.records.append(
                LogRecord(
                    found.topic,
                    record_id,
                    found.prefix + body,
                    ordinal,
                    committed_at,
                    delivery.channel,
                    event.event_id,
                    event.replay_id.hex(),
                    event.schema_id,
                    f"{number}/{total}",
                )
            )
            ordinal += 1
        return pairs, ordinal


_Row = tuple[
    int, str, int, str, str
]  # number of record ids, the first of them, commit time, kind, reason it is unreadable


def _read_headers(deliveries: Sequence[Delivery], known: Mapping[str, KnownSchema | str]) -> list[list[_Row]]:
    """For each delivery a row per event; headers of one schema are decoded at once, whatever delivery they are in."""
    places: dict[str, list[tuple[int, int]]] = {}
    out: list[list[_Row]] = []
    for d, delivery in enumerate(deliveries):
        out.append([(0, "", 0, "", "")] * len(delivery.events))
        for e, event in enumerate(delivery.events):
            places.setdefault(event.schema_id, []).append((d, e))
    for schema_id, where in places.items():
        found = known.get(schema_id)
        if not isinstance(found, KnownSchema):
            continue
        payloads = [deliveries[d].events[e].payload for d, e in where]
        try:
            columns: HeaderColumns = decode_headers(payloads, found.schema)
        except (
            Exception
        ) as error:  # whatever a schema nobody has seen yet does to the decoder, the stream goes on
            reason = f"its header cannot be decoded: {type(error).__name__}: {error}"[:REASON_CHARS_MAX]
            for d, e in where:
                out[d][e] = (0, "", 0, "", reason)
            continue
        platform = not found.schema.is_change_event
        rows = zip(
            where, columns.id_counts, columns.first_ids, columns.committed_at, columns.kinds, strict=True
        )
        for (d, e), count, first_id, committed_at, kind in rows:
            # A platform event has no record: it is keyed by its own id.
            key = deliveries[d].events[e].event_id if platform else first_id
            reason = "" if count else "its header names no record"
            out[d][e] = (count, key, committed_at, kind or (PLATFORM_EVENT if platform else ""), reason)
        for i, reason in columns.reasons.items():
            d, e = where[i]
            out[d][e] = (0, "", 0, "", reason)
        for (d, e), payload in zip(where, payloads, strict=True):
            if len(payload) > EVENT_BYTES_MAX:
                out[d][e] = (0, "", 0, "", f"its {len(payload)} bytes are more than the log takes")
    return out


def _parts(event: SourceEvent, found: KnownSchema) -> tuple[list[tuple[str, bytes]], str]:
    """A merged event, one for each record id; or the reason why it cannot be split."""
    try:
        return split(event.payload, found.schema), ""
    except Undecodable as error:
        return [], error.what


def _last_group(events: Sequence[SourceEvent]) -> int:
    """Index of the first event of the last run of equal replay ids."""
    last = events[-1].replay_id
    index = len(events) - 1
    while index > 0 and events[index - 1].replay_id == last:
        index -= 1
    return index


def _quarantined(
    event: SourceEvent, delivery: Delivery, reason: str, entity: str, ordinal: Ordinal
) -> LogRecord:
    whom = named(event.payload) if delivery.channel.startswith(CHANGE_CHANNELS) else Named()
    value = own.encode(
        "quarantine",
        {
            "channel": delivery.channel,
            "event_id": event.event_id,
            "replay_id": event.replay_id,
            "schema_id": event.schema_id,
            "received_at": delivery.received_at,
            "reason": reason,
            "payload": event.payload if len(event.payload) <= EVENT_BYTES_MAX else b"",
            "entity": whom.entity or entity,
            "record_ids": list(whom.record_ids),
        },
    )
    return LogRecord(
        QUARANTINE,
        event.event_id,
        value,
        ordinal,
        whom.committed_at,
        delivery.channel,
        event.event_id,
        event.replay_id.hex(),
        event.schema_id,
    )
