"""The event bus: published events in commit order, replay ids, cursors, delivery.

All topics share one sequence. A replay id is an 8-byte big-endian counter and two zero bytes; the counter
runs with org time (the real bus carries other orgs too), so ids are not contiguous and the newest position
moves ahead on a quiet channel. Bodies are encoded when they are read.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from connectors.simulator.channels import Channels, Member, Topic
from connectors.simulator.clock import SimClock
from connectors.simulator.errors import BusError
from connectors.simulator.faults import Faults
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Cursor, Delivered, Published

COUNTER_BASE = 1_500_000
COUNTER_STEP_MS = 250
"""The counter grows by at least one in so much org time."""
COUNTER_GAP_MAX = 4

EVENTS_KEPT_MAX = 1_000_000
"""Older ones are dropped; readers that are still there by then have lost them, as in the real bus."""
EVENTS_DROPPED_AT_ONCE = 100_000

DUPLICATE_AFTER_MAX = 5
"""A duplicate comes so many transactions later at most."""

SCAN_MAX = 20_000
"""Events of other topics passed over in one read, so that a read stays short."""

_ENRICHED_KINDS = frozenset({"UPDATE", "DELETE"})

Look = Callable[[str, str], Mapping[str, Any]]
"""(entity, record id) -> the record's values now: for enrichment and filters."""


class EventBus:
    """Publish order is commit order. Used from one thread; `wait` from that thread's event loop."""

    def __init__(
        self,
        clock: SimClock,
        channels: Channels,
        faults: Faults,
        random: Random,
        *,
        knobs: Callable[[], Knobs],
        hidden: Callable[[str], frozenset[str]],
        look: Look,
        duplicated: set[str],
    ) -> None:
        self.channels = channels
        self._clock = clock
        self._faults = faults
        self._random = random
        self._knobs = knobs
        self._hidden = hidden
        self._look = look
        self._duplicated = duplicated
        self._started_at = clock.now_ms()
        self._events: list[Published] = []
        self._counters = array("q")
        self._available = array("q")
        self._indexes: defaultdict[str, list[int]] = defaultdict(list)  # entity -> absolute indexes
        self._dropped = 0
        self._readable = 0  # absolute: events before it are available
        self._duplicates: list[tuple[int, Published]] = []
        self._transactions = 0
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        clock.when_moved(self._wake)

    # Publishing

    def publish(self, events: Sequence[Published]) -> None:
        """Put a transaction's events on the bus, and the duplicates that are due."""
        if not events:
            return
        knobs = self._knobs()
        at = events[0].published_at
        available_at = at
        if knobs.delivery_lag_share and self._random.random() < knobs.delivery_lag_share:
            available_at += int(self._random.random() * knobs.delivery_lag_max_ms)
        if self._available:
            available_at = max(available_at, self._available[-1])
        for event in events:
            self._append(event, at, available_at)
        self._transactions += 1
        if self._duplicates and self._duplicates[0][0] <= self._transactions:
            due = [event for after, event in self._duplicates if after <= self._transactions]
            self._duplicates = [entry for entry in self._duplicates if entry[0] > self._transactions]
            for event in due:
                self._append(event, at, available_at)
                self._duplicated.add(event.event_id)
        if knobs.duplicate_share:
            for event in events:
                if self._random.random() < knobs.duplicate_share:
                    after = self._transactions + self._random.randint(1, DUPLICATE_AFTER_MAX)
                    self._duplicates.append((after, event))
            self._duplicates.sort(key=lambda entry: entry[0])
        self._drop_old()
        self._wake()

    def _append(self, event: Published, at: int, available_at: int) -> None:
        self._indexes[event.entity].append(self._dropped + len(self._events))
        last = self._counters[-1] if self._counters else COUNTER_BASE
        gap = 1 if self._random.random() < 0.9 else self._random.randint(2, COUNTER_GAP_MAX)
        self._events.append(event)
        self._counters.append(max(last + gap, self._counter_at(at)))
        self._available.append(available_at)

    def _counter_at(self, at_ms: int) -> int:
        return COUNTER_BASE + max(0, at_ms - self._started_at) // COUNTER_STEP_MS

    def _drop_old(self) -> None:
        if len(self._events) < EVENTS_KEPT_MAX + EVENTS_DROPPED_AT_ONCE:
            return
        del self._events[:EVENTS_DROPPED_AT_ONCE]
        del self._counters[:EVENTS_DROPPED_AT_ONCE]
        del self._available[:EVENTS_DROPPED_AT_ONCE]
        self._dropped += EVENTS_DROPPED_AT_ONCE
        for indexes in self._indexes.values():
            del indexes[: bisect_left(indexes, self._dropped)]

    # Positions

    def resolve(self, topic: str, preset: str = "latest", replay_id: bytes | None = None) -> Cursor:
        """A cursor on a topic: `latest`, `earliest`, or `custom` with a replay id (strictly after it).

        Errors (BusError): topic.not.found, topic.validation.empty, subscription.topic.cannot.subscribe,
        subscription.fetch.replayid.validation.failed, subscription.fetch.replayid.corrupted.
        """
        self._permitted(self.channels.topic(topic))
        preset = preset.lower()
        if preset == "custom":
            return Cursor(topic, self._after(replay_id))
        if preset == "earliest":
            oldest = self._clock.now_ms() - self._knobs().retention_ms
            index = bisect_left(self._events, oldest, key=lambda event: event.published_at)
            return Cursor(topic, self._dropped + index)
        return Cursor(topic, self._readable_end())

    def latest_replay_id(self, cursor: Cursor) -> bytes:
        """Everything up to this position has passed the cursor; it may lie ahead of every event seen.

        After a group was cut it is the group's own id, and resuming from it loses the group's rest.
        """
        end = self._readable_end()
        at = max(cursor.at - self._dropped, 0)
        if cursor.within:
            return _replay_id(self._counters[at])
        if cursor.at < end:
            return _replay_id(self._counters[at] - 1)
        if end < self._dropped + len(self._events):
            return _replay_id(self._counters[end - self._dropped] - 1)
        return _replay_id(self._head())

    def newest_replay_id(self) -> bytes:
        """The position of what was published last, readable already or not."""
        return _replay_id(self._counters[-1] if self._counters else COUNTER_BASE)

    def _after(self, replay_id: bytes | None) -> int:
        if not replay_id:
            raise BusError(
                "subscription.fetch.replayid.validation.failed",
                "A replay ID is required with the CUSTOM preset.",
            )
        corrupted = BusError(
            "subscription.fetch.replayid.corrupted",
            "The Replay ID validation failed. Ensure that the Replay ID is valid and within the retention.",
        )
        if self._faults.take("replay_expired") is not None:
            raise corrupted
        if len(replay_id) != 10 or replay_id[8:] != b"\x00\x00":
            raise corrupted
        counter = int.from_bytes(replay_id[:8], "big")
        if not COUNTER_BASE <= counter <= self._head() or self._expired(counter):
            raise corrupted
        return self._dropped + bisect_right(self._counters, counter)

    def _head(self) -> int:
        """The newest position: no event published from now on gets it or one before it."""
        last = self._counters[-1] if self._counters else COUNTER_BASE
        return max(last, self._counter_at(self._clock.now_ms()) - 1)

    def _expired(self, counter: int) -> bool:
        index = bisect_right(self._counters, counter)
        if index == 0 and self._dropped:
            return True
        passed_at = self._started_at + (counter - COUNTER_BASE + 1) * COUNTER_STEP_MS
        if index < len(self._events):
            passed_at = min(passed_at, self._events[index].published_at)
        if index:
            passed_at = max(passed_at, self._events[index - 1].published_at)
        return passed_at < self._clock.now_ms() - self._knobs().retention_ms

    def _readable_end(self) -> int:
        now = self._clock.now_ms()
        at = max(self._readable - self._dropped, 0)
        while at < len(self._available) and self._available[at] <= now:
            at += 1
        self._readable = self._dropped + at
        return self._readable

    # Reading

    def read(self, cursor: Cursor, events_max: int) -> tuple[list[Delivered], Cursor]:
        """Up to `events_max` events after the cursor, in order, and the cursor behind them.

        Raises BusError if the topic is gone or may no longer be read.
        """
        topic = self.channels.topic(cursor.topic)
        self._permitted(topic)
        end = self._readable_end()
        out: list[Delivered] = []
        index, within = max(cursor.at, self._dropped), cursor.within
        scan_end = min(end, index + SCAN_MAX)
        if topic.single:
            return self._read_single(topic, cursor, events_max, end)
        while index < scan_end and len(out) < events_max:
            event = self._events[index - self._dropped]
            member = topic.members.get(event.entity)
            if member is not None and self._faults.active("no_permission", entity=event.entity) is None:
                group = self._deliveries(event, index, member)
                room = events_max - len(out)
                rest = group[within:]
                if len(rest) > room and not self._knobs().cut_groups and out:
                    break
                out.extend(rest[:room])
                if len(rest) > room:
                    return out, Cursor(cursor.topic, index, within + room)
            index, within = index + 1, 0
        return out, Cursor(cursor.topic, index, within)

    def _read_single(
        self, topic: Topic, cursor: Cursor, events_max: int, end: int
    ) -> tuple[list[Delivered], Cursor]:
        out: list[Delivered] = []
        for entity, member in topic.members.items():
            indexes = self._indexes[entity]
            at = bisect_left(indexes, cursor.at)
            while at < len(indexes) and indexes[at] < end and len(out) < events_max:
                index = indexes[at]
                out.extend(self._deliveries(self._events[index - self._dropped], index, member))
                at += 1
            if at < len(indexes) and indexes[at] < end:
                return out, Cursor(cursor.topic, indexes[at])
        return out, Cursor(cursor.topic, max(end, cursor.at))

    def _deliveries(self, event: Published, index: int, member: Member) -> list[Delivered]:
        """The event as the channel shows it: one, or an enriched group of one a record, or none."""
        if member.accepts is not None and not self._accepted(event, member):
            return []
        if event.raw is None and member.enriched and event.kind in _ENRICHED_KINDS:
            return [self._delivered(event, index, member, record_id) for record_id in event.record_ids]
        return [self._delivered(event, index, member, "")]

    def _delivered(self, event: Published, index: int, member: Member, record_id: str) -> Delivered:
        if event.raw is not None:
            payload = event.raw[1]
        elif event.layout is not None:
            enrichment = None
            if record_id:
                now = self._look(event.entity, record_id)
                hidden = self._hidden(event.entity)
                enrichment = {
                    path: now.get(path)
                    for path in member.enriched
                    if path in event.layout and path not in hidden
                }
            payload = event.layout.encode(
                event,
                hidden=self._hidden(event.entity),
                record_ids=(record_id,) if record_id else (),
                enrichment=enrichment,
            )
        else:
            payload = b""
        cut = self._faults.take("payload_cut", entity=event.entity)
        if cut is not None:
            payload = payload[: int(cut.parameters.get("keep", len(payload) // 2))]
        at = index - self._dropped
        return Delivered(
            event.event_id,
            _replay_id(self._counters[at]),
            event.schema_id,
            payload,
            event.entity,
            event.published_at,
            self._available[at],
        )

    def _accepted(self, event: Published, member: Member) -> bool:
        header = {
            "ChangeEventHeader.changeType": event.kind,
            "ChangeEventHeader.entityName": event.entity,
            "ChangeEventHeader.commitUser": event.transaction.user_id,
            "ChangeEventHeader.changeOrigin": event.transaction.change_origin,
        }
        assert member.accepts is not None
        return any(
            member.accepts({**self._look(event.entity, record_id), **header})
            for record_id in event.record_ids
        )

    def _permitted(self, topic: Topic) -> None:
        if not topic.single:
            return
        entity = self.channels.entity_of(topic.name) or ""
        if self._faults.active("no_permission", entity=entity) is not None:
            raise BusError(
                "subscription.topic.cannot.subscribe",
                f"You don't have permission to subscribe to {topic.name}.",
            )

    # Waiting

    def pending(self, cursor: Cursor) -> bool:
        """Whether a read would move the cursor."""
        return cursor.at < self._readable_end()

    async def wait(self, cursor: Cursor, timeout_s: float) -> bool:
        """Until a read would move the cursor, or the timeout in real seconds is over; says which."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not self.pending(cursor):
            left = deadline - loop.time()
            if left <= 0:
                return False
            waiter = (loop, asyncio.Event())
            self._waiters.add(waiter)
            try:
                await asyncio.wait_for(waiter[1].wait(), min(left, self._lag_s(left)))
            except TimeoutError:
                pass
            finally:
                self._waiters.discard(waiter)
        return True

    def _lag_s(self, otherwise: float) -> float:
        """Real seconds until the next published event becomes readable."""
        at = self._readable_end() - self._dropped
        if at >= len(self._available):
            return otherwise
        seconds = self._clock.real_seconds_until(self._available[at])
        return otherwise if seconds is None else max(seconds, 0.001)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for loop, event in waiters:
            loop.call_soon_threadsafe(event.set)


def _replay_id(counter: int) -> bytes:
    return counter.to_bytes(8, "big") + b"\x00\x00"
