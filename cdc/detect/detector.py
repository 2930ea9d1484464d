"""The detector: changes in order go in, versions of alerts come out, and nothing else decides.

A batch is walked key by key, but what is shared (what has been learned, what is known to exist) is read and
changed only at *moments*: an episode reaches a step of its ladder and is judged, or it is over and is
learned from. Moments are kept in a heap and taken in stream order, so that the cut of the stream into
batches decides nothing: state and alerts are equal for batches of one change and of ten thousand.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cdc.detect.alert import Moment
from cdc.detect.arrange import Arranged, FieldNames, Memory, StreamClock, arrange
from cdc.detect.baselines import Baselines
from cdc.detect.batch import DetectBatch, from_columns
from cdc.detect.episode import FIRST_STEP_OF_FEW, GAP_MS, RECORD_ID_BYTES, Episode, Key
from cdc.detect.facts import SENSITIVE
from cdc.detect.hashing import hash_texts
from cdc.detect.judge import Judge, Version
from cdc.detect.slices import Ended, Slices
from cdc.detect.state import pack, unpack
from cdc.detect.templates import Window
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint
from cdc.ports.types import Ordinal

ROWS_MAX = 16_384
"""Rows walked at once; larger batches are taken in parts."""

OPEN_MAX = 20_000
"""Open episodes; beyond it the one longest without a change is dropped unlearned, and counted."""


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of the state, the budget of alerts, and channels to leave out."""

    rows_max: int = ROWS_MAX
    open_max: int = OPEN_MAX
    pages_per_week: float = 1
    digests_per_week: float = 5
    without: frozenset[str] = frozenset()


class Timer(NamedTuple):
    """When an episode may be over, unless it went on meanwhile."""

    at: int
    number: int
    key: Key
    first: int  # the change with which the episode began: one timer an episode


ENDED_BEFORE, CLOSE, JUDGE, ENDED_WITH = -1, 0, 1, 2


class Detector:
    """The detector of one org. `taken` counts input rows; `checkpoint` is the last batch's."""

    def __init__(self, org: str, options: Options | None = None) -> None:
        self.org = org
        self.options = options or Options()
        self.taken = 0
        self.evictions = 0
        self.checkpoint = Checkpoint()
        self._names = FieldNames()
        self._clock = StreamClock()
        self._memory = Memory()
        self._slices = Slices()
        self._judge = self._new_judge()
        self._open: dict[Key, Episode] = {}
        self._timers: list[Timer] = []

    @property
    def time(self) -> int:
        """The event time that the stream has reached, epoch ms."""
        return self._clock.seen

    @property
    def usual(self) -> Baselines:
        """What has been learned of sizes, by key and parent."""
        return self._judge.burst.baselines

    @property
    def keys(self) -> int:
        """Keys with a baseline."""
        return len(self._judge.burst.baselines.kept)

    @property
    def evicted(self) -> int:
        """Episodes and keys dropped to stay within the limits."""
        return self.evictions + self._judge.burst.baselines.evictions

    def take(self, batch: ColumnBatch | DetectBatch) -> list[Version]:
        """New versions of alerts, in the order decided: dicts as `schemas/alert.avsc` has them."""
        given = from_columns(batch) if isinstance(batch, ColumnBatch) else batch
        found: list[Version] = []
        for start in range(0, given.rows, self.options.rows_max):
            self._take(given.part(start, min(given.rows, start + self.options.rows_max)), found)
        if isinstance(batch, ColumnBatch):
            self.checkpoint = batch.checkpoint
        return found

    def tick(self, org_time: int) -> list[Version]:
        """The org's time has come to this (epoch ms) without a change: episodes that are over are closed."""
        self._clock.seen = max(self._clock.seen, org_time)
        found: list[Version] = []
        over = [self._open[timer.key] for timer in self._over(self._clock.seen)]
        moment = Moment(self.taken, 0, self._clock.seen)
        for episode in sorted(over, key=lambda e: (e.last_seen, e.last_number)):
            del self._open[episode.key]
            found += self._judge.close(episode, moment)
        ended = self._slices.pass_time(self._clock.seen)
        if ended is not None:
            found += self._judge.slice(ended, moment)
        return found + self._judge.pass_time(moment)

    def acknowledge(self, alert_id: str) -> None:
        """Somebody said that this alert is all right: it is learned, and its volume no longer counts."""
        self._judge.acknowledge(alert_id)

    def unacknowledge(self, alert_id: str) -> None:
        """The acknowledgement of an alert is taken back: its job is news again."""
        self._judge.withdraw(alert_id)

    def announce(self, window: Window) -> None:
        """A time in which volume is no news."""
        self._judge.said.announce(window)

    def restoring(self, user: str, entity: str, kind: str, record_ids: Sequence[str], at: int) -> None:
        """This system is about to write these records as this user: no alert is made of it."""
        ids, _ = hash_texts(pa.array(record_ids, pa.string()), RECORD_ID_BYTES)
        self._judge.said.restoring(user, entity, kind, ids.tolist(), at)

    def _new_judge(self) -> Judge:
        given = self.options
        return Judge(
            self.org,
            self._names.names,
            pages_per_week=given.pages_per_week,
            digests_per_week=given.digests_per_week,
            without=given.without,
        )

    # -- one part of a batch --------------------------------------------------------------------------------

    def _take(self, batch: DetectBatch, found: list[Version]) -> None:
        if batch.rows > 1 and len(self._open) + batch.rows > self.options.open_max:
            # Only row by row is it the same in any batch who has to make room; halves, until it cannot matter.
            keys = len(np.unique(_row_keys(batch)))
            if len(self._open) + keys > self.options.open_max:
                half = batch.rows // 2
                self._take(batch.part(0, half), found)
                self._take(batch.part(half, batch.rows), found)
                return
        evidence = np.flatnonzero(~batch.full_state)
        if len(evidence):
            self._judge.begin(int(batch.committed_at[evidence[0]]))
        arranged = arrange(batch, self._clock, self._names, self._memory, self._judge.across)
        ended = self._slices.cut(arranged.written, arranged.seen_by_row)
        _Walk(self, arranged, ended, found).run()
        self._slices.settle()
        self.taken += batch.rows

    def _over(self, seen: int) -> list[Timer]:
        """Take the timers of episodes whose time has come; those that went on are set anew."""
        over = []
        while self._timers and self._timers[0].at <= seen:
            timer = heappop(self._timers)
            episode = self._open.get(timer.key)
            if episode is None or episode.first.number != timer.first:
                continue
            if episode.last_seen + GAP_MS > seen:
                self.set_timer(episode)
            else:
                over.append(timer)
        return over

    def set_timer(self, episode: Episode) -> None:
        heappush(
            self._timers,
            Timer(episode.last_seen + GAP_MS, episode.last_number, episode.key, episode.first.number),
        )

    def make_room(self) -> None:
        """Drop the episode longest without a change."""
        while len(self._open) >= self.options.open_max:
            timer = heappop(self._timers)
            episode = self._open.get(timer.key)
            if episode is None or episode.first.number != timer.first:
                continue
            if (episode.last_seen + GAP_MS, episode.last_number) != timer[:2]:
                self.set_timer(episode)
                continue
            del self._open[timer.key]
            self.evictions += 1

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Everything learned and every open episode; equal after equal input, however it was cut."""
        episodes = sorted(self._open.values(), key=lambda e: e.first.number)
        return pack(
            {
                "org": self.org,
                "taken": self.taken,
                "evictions": self.evictions,
                "offsets": dict(self.checkpoint.offsets),
                "ordinal": int(self.checkpoint.ordinal),
                "names": self._names.names,
                "seen": self._clock.seen,
                "entities": dict(sorted(self._clock.entities.items())),
                "memory": self._memory.state(),
                "slice": self._slices.state(),
                "judge": self._judge.state(),
                "open": [episode.state() for episode in episodes],
            }
        )

    @classmethod
    def restore(cls, state: bytes, options: Options | None = None) -> Detector:
        """The detector that gave this state. BadArgument where the bytes are no state."""
        kept: Any = unpack(state)
        made = cls(kept["org"], options)
        made.taken, made.evictions = kept["taken"], kept["evictions"]
        made.checkpoint = Checkpoint(kept["offsets"], Ordinal(kept["ordinal"]))
        made._names = FieldNames(kept["names"])
        made._clock.seen, made._clock.entities = kept["seen"], kept["entities"]
        made._memory.restore(kept["memory"])
        made._slices.restore(kept["slice"])
        made._judge = made._new_judge()
        made._judge.restore(kept["judge"])
        for one in kept["open"]:
            episode = Episode.restored(one)
            if one["alert"] is not None:
                incident = made._judge.incidents.open[one["alert"]]
                episode.alert = incident
                incident.live[episode.first.number] = episode
            made._open[episode.key] = episode
            made.set_timer(episode)
        return made


class _Walk:
    """One arranged batch on its way through the open episodes."""

    def __init__(
        self, detector: Detector, arranged: Arranged, ended: list[Ended], found: list[Version]
    ) -> None:
        self.detector = detector
        self.judge = detector._judge
        self.open = detector._open
        self.a = arranged
        self.found = found
        self.ended = ended
        # row, phase, number, episode, place, stop; of a slice its place in `ended`, and no episode
        self.moments: list[tuple[int, int, int, Episode | None, int, int]] = [
            (one.row, one.phase, at, None, at, 0) for at, one in enumerate(ended)
        ]
        heapify(self.moments)
        self.stock_next = 0

    def run(self) -> None:
        touched = {group.key for group in self.a.groups}
        if len(self.a.seen_by_row):
            self._close_untouched(touched)
        for group in self.a.groups:
            self._go(group.key, group.start, group.stop)
        while self.moments:
            row, phase, _, episode, place, stop = heappop(self.moments)
            self._learn_stock(row)
            moment = self._moment(row)
            if episode is None:
                self.found += self.judge.slice(self.ended[place], moment)
            elif phase == CLOSE:
                self.found += self.judge.close(episode, moment)
            else:
                self.found += self.judge.judge(episode, moment)
                episode.climb()
                self._on(episode, place, stop)
        self._learn_stock(self.a.batch.rows)

    def _close_untouched(self, touched: set[Key]) -> None:
        """Episodes that nobody continues in this batch, and whose pause ends in it."""
        for timer in self.detector._over(int(self.a.seen_by_row[-1])):
            episode = self.open[timer.key]
            if timer.key in touched:
                self.detector.set_timer(episode)
            else:
                self._close(episode, self.a.batch.rows)

    def _go(self, key: Key, place: int, stop: int) -> None:
        """Changes `place` … `stop` of one key: continue its episode, or close it and begin one."""
        episode = self.open.get(key)
        if episode is not None:
            step = self.a.times[place] - episode.last_at
            waited = self.a.seen[place] - episode.last_seen
            if step >= GAP_MS or step < 0 or waited >= GAP_MS:
                self._close(episode, self.a.rows[place])
                episode = None
        if episode is None:
            episode = self._begin(key, place)
        self._on(episode, place, stop)

    def _begin(self, key: Key, place: int) -> Episode:
        if len(self.open) >= self.detector.options.open_max:
            self.detector.make_room()
        a = self.a
        first = a.beginning(place, self.detector.taken)
        episode = self.open[key] = Episode(key, first, a.times[place], a.seen[place], first.number)
        if key.entity in SENSITIVE:
            episode.next_records = FIRST_STEP_OF_FEW
        self.detector.set_timer(episode)
        return episode

    def _on(self, episode: Episode, place: int, stop: int) -> None:
        """Count an episode's changes up to the next moment, or to the end of what the batch has of its key."""
        a = self.a
        while place < stop:
            if episode.changes and self._is_break(place):
                self._close(episode, a.rows[place])
                episode = self._begin(episode.key, place)
            end = self._segment_end(place, stop)
            over = bisect_left(a.times, episode.ends_at(), place, end)
            if over == place:
                self._close(episode, a.rows[place])
                episode = self._begin(episode.key, place)
                continue
            named = bisect_left(a.special, place)
            all_named = named < len(a.special) and a.special[named] < over
            until = a.special[named] + 1 if all_named else over
            reached_at, judged = self._count(episode, place, until)
            if all_named and reached_at == until:
                judged = judged or not episode.names_all
                episode.names_all = True
            if judged:
                row = a.rows[reached_at - 1]
                heappush(self.moments, (row, JUDGE, row, episode, reached_at, stop))
                return
            place = reached_at
        self._close_if_over(episode)

    def _is_break(self, place: int) -> bool:
        at = bisect_left(self.a.breaks, place)
        return at < len(self.a.breaks) and self.a.breaks[at] == place

    def _segment_end(self, place: int, stop: int) -> int:
        """Where the next pause is, after `place`."""
        at = bisect_left(self.a.breaks, place + 1)
        return min(stop, self.a.breaks[at]) if at < len(self.a.breaks) else stop

    def _count(self, episode: Episode, place: int, stop: int) -> tuple[int, bool]:
        a = self.a
        stop = min(stop, place + episode.room())
        end, reached = episode.advance(a.ids, a.times, place, stop)
        episode.transactions.add(a.transactions[place:end])
        episode.absorb(a.record_ids, a.fields, a.offsets, place, end)
        episode.last_at, episode.last_seen = a.times[end - 1], a.seen[end - 1]
        episode.last_number = self.detector.taken + a.rows[end - 1] + 1
        return end, reached or episode.run_grew

    def _close(self, episode: Episode, row: int) -> None:
        """Close at this row of the batch, or before it where the stream's time has passed the pause earlier."""
        passed = int(np.searchsorted(self.a.seen_by_row, episode.last_seen + GAP_MS, "left"))
        row = min(row, passed)
        heappush(self.moments, (row, CLOSE, episode.last_number, episode, 0, 0))
        if self.open.get(episode.key) is episode:
            del self.open[episode.key]

    def _close_if_over(self, episode: Episode) -> None:
        if self.open.get(episode.key) is episode and episode.last_seen + GAP_MS <= int(
            self.a.seen_by_row[-1]
        ):
            self._close(episode, self.a.batch.rows)

    def _learn_stock(self, before: int) -> None:
        """Take the full states that stand before this row."""
        if not self.a.stock or self.stock_next >= before:
            return
        for stock in self.a.stock:
            low, high = np.searchsorted(stock.rows, [self.stock_next, before]).tolist()
            fields = stock.fields
            first, last = np.searchsorted(fields["row"], [self.stock_next, before]).tolist()
            self.judge.stock(stock.entity, stock.ids[low:high].tolist(), fields[first:last])
        self.stock_next = before

    def _moment(self, row: int) -> Moment:
        """The change that decides. Its time is the stream's: a moment never lies before an earlier one."""
        ordinal = int(self.a.batch.ordinal[row])
        return Moment(self.detector.taken + row + 1, ordinal, int(self.a.seen_by_row[row]))


def _row_keys(batch: DetectBatch) -> Any:
    codes = batch.user.codes.astype(np.int64)
    for texts in (batch.origin, batch.client, batch.entity, batch.kind):
        codes = codes * len(texts.names) + texts.codes
    return codes
