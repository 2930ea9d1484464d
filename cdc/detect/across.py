"""What happens to a field across all who write it: the many small edits that no single actor's episode shows.

A *cell* is (entity, kind, field). Each hour its writes are counted, at most `PER_HOUR` of each actor and entity,
so that what one actor does in bulk is left to that actor's episodes. For null and for the most frequent value of
the hour a one-sided cumulative sum (Page 1954) adds what is beyond the usual of this hour of the day, and
falls back to nothing when it is not kept up. The stream comes in *slices* of ten minutes or 1,024 field rows,
whichever ends first, so that nothing depends on how it was cut into batches.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log2, sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdc.change.kinds import Kind
from cdc.detect.baselines import slot_of
from cdc.detect.calendar import is_month_end
from cdc.detect.derived import COMPANION_SHARE
from cdc.detect.distinct import Distinct
from cdc.detect.facts import DAY_MS, HOUR_MS, WEEK_MS
from cdc.detect.tallies import NULL, TEXT_BYTES, UNKNOWN

SLICE_MS = 10 * 60_000
SLICE_ROWS = 1024
HOUR_ROWS_MAX = 32_768
"""Field rows held of one hour; beyond it the hour is counted in parts."""

PER_HOUR = 30
"""Changes of one actor to one entity that count in one hour."""

CELLS_MAX = 6000
ACTORS_MAX = 20_000
SUMS_MAX = 4
VOCABULARY_MAX = 12
USERS_MAX = 12
RECORDS_MAX = 512
SAMPLES_MAX = 5

LEAN = 64
"""A quarter of a write: no cell is taken to get nothing at all."""

KEPT_PER_WEEK = 215
KEPT_SHARE = KEPT_PER_WEEK / 256
"""Of 256; as in `cdc.detect.histogram`."""

LEARNED_MS = 2 * WEEK_MS
LEARNED_WRITES = 24
REFERENCE = 1.5
"""A rate below so many times the usual one lets a sum fall."""

SUM_MIN = 40.0
SUM_PER_DEVIATION = 3.0
SPREAD_MAX = 0.5
"""More than this from one actor in one hour is a bulk edit, and no drip."""

OTHERS_SHARE = 0.5
OTHERS_MIN = 5
VOLUME_MAX = 2.0
VOLUME_SPARED = 10
"""An automation that acts whenever anybody saves leaves few changes without its field, and makes no more of
them; people who do the same thing on the same day, as at the end of a month, make many more."""

QUIET_MS = 2 * DAY_MS
"""A sum that nothing was added to for so long is over."""

WHOLE = -1
"""In place of a field: the change as such."""

ROWS = np.dtype(
    [
        ("cell", "<i4"),
        ("who", "<i4"),
        ("value", "<u8"),
        ("record", "<u8"),
        ("flag", "u1"),
        ("text", f"S{TEXT_BYTES}"),
        ("id", "S40"),
    ]
)
Rows = npt.NDArray[Any]


class Who(NamedTuple):
    user: str
    origin: str
    client: str


class Cell(NamedTuple):
    entity: str
    kind: str
    field: int


@dataclass(slots=True)
class Usual:
    """What a cell gets: writes by hour of the day and kind of day, and by value, all times 256 and fading."""

    first_at: int
    week: int
    hours: dict[int, int] = field(default_factory=dict)
    days: list[int] = field(default_factory=lambda: [0, 0])  # working days, weekends
    writes: int = 0
    values: dict[int, int] = field(default_factory=dict)

    def share(self, value: int) -> float:
        """Of a value among the writes; a value never seen counts as seen half a time."""
        return (self.values.get(value, 0) / 256 + 0.5) / (self.writes / 256 + 1)

    def rate(self, slot: int, at: int) -> float:
        """Writes an hour at this hour of the day, leaning on the mean of all hours of such days."""
        weekend, hour = divmod(slot, 24)
        days = self._weeks(at) * (2 if weekend else 5)
        mean = (self.days[weekend] + LEAN) / (24 * days * 256 + LEAN)
        hours, base = self.hours, weekend * 24
        near = (
            hours.get(base + (hour - 1) % 24, 0) + hours.get(slot, 0) + hours.get(base + (hour + 1) % 24, 0)
        )
        return (near + 256 * mean) / (3 * days * 256 + 256)

    def a_day(self, at: int) -> float:
        """Writes a working day."""
        return self.days[0] / 256 / (self._weeks(at) * 5)

    def learn(self, slot: int, week: int, writes: int, values: dict[int, int]) -> None:
        if week > self.week:
            self._forget(week)
        self.hours[slot] = self.hours.get(slot, 0) + 256 * writes
        self.days[slot // 24] += 256 * writes
        self.writes += 256 * writes
        for value, count in values.items():
            if value in self.values or len(self.values) < VOCABULARY_MAX:
                self.values[value] = self.values.get(value, 0) + 256 * count
            else:
                least = min(self.values, key=lambda one: (self.values[one], one))
                if self.values[least] < 256 * count:
                    del self.values[least]
                    self.values[value] = 256 * count

    def _weeks(self, at: int) -> float:
        """Weeks since the first write, each counting less the longer ago it is."""
        return float((1 - KEPT_SHARE ** max(1.0, (at - self.first_at) / WEEK_MS)) / (1 - KEPT_SHARE))

    def _forget(self, week: int) -> None:
        for _ in range(min(week - self.week, 60)):
            self.writes = self.writes * KEPT_PER_WEEK >> 8
            self.days = [n * KEPT_PER_WEEK >> 8 for n in self.days]
            self.values = {v: left for v, n in self.values.items() if (left := n * KEPT_PER_WEEK >> 8)}
            self.hours = {s: left for s, n in self.hours.items() if (left := n * KEPT_PER_WEEK >> 8)}
        self.week = week

    def state(self) -> Any:
        plain = [self.first_at, self.week, list(self.hours.items()), self.days]
        return [*plain, self.writes, list(self.values.items())]

    @classmethod
    def restored(cls, state: Any) -> Usual:
        first_at, week, hours, days, writes, values = state
        return cls(first_at, week, dict(hours), list(days), writes, dict(values))


@dataclass(slots=True)
class Sum:
    """A cumulative sum that stands above nothing: since when, who, what, and how many records.

    `millis` is the sum in thousandths, `most` the largest part of one actor in one hour, `all_writes` and
    `all_changes` what the cell and its entity got meanwhile, `others_usual` and `changes_usual` the thousandths of changes
    without the field, and of all changes, that usually come in such a time. `alert` as in an episode; `told`: a page
    of other evidence has said it, and until the sum has fallen to nothing it needs no other.
    """

    cell: int
    value: int
    text: str | None
    started_at: int
    started_number: int
    millis: int = 0
    writes: int = 0
    all_writes: int = 0
    all_changes: int = 0
    most: int = 0
    last_at: int = 0
    others_usual: int = 0
    hours: int = 0
    changes_usual: int = 0
    told: int = 0
    users: dict[int, int] = field(default_factory=dict)
    records: Distinct = field(default_factory=lambda: Distinct(RECORDS_MAX))
    samples: list[str] = field(default_factory=list)
    alert: Any = None

    def state(self) -> Any:
        plain = [getattr(self, name) for name in _PLAIN]
        alert = self.alert.alert_id if self.alert is not None else None
        return [*plain, list(self.users.items()), self.records.state(), self.samples, alert]

    @classmethod
    def restored(cls, state: Any) -> Sum:
        """Without its alert, which the caller restores."""
        plain, (users, records, samples, _) = state[: len(_PLAIN)], state[len(_PLAIN) :]
        made = cls(*plain)
        made.users, made.records, made.samples = dict(users), Distinct.restored(records), list(samples)
        return made


_PLAIN = (
    "cell",
    "value",
    "text",
    "started_at",
    "started_number",
    "millis",
    "writes",
    "all_writes",
    "all_changes",
    "most",
    "last_at",
    "others_usual",
    "hours",
    "changes_usual",
    "told",
)


@dataclass(frozen=True, slots=True)
class Risen:
    """A sum that has passed its bound: how far (1: just), against which usual share and usual rate a day."""

    sum: Sum
    cell: Cell
    height: float
    usual_share: float
    usual_day: float
    share: float
    companion: float  # how many times more often than usual the field rides along in changes of its entity
    weeks: int
    spread: bool
    rides: bool  # whether changes of the entity without the field have become few
    beside: frozenset[int] = frozenset()  # fields of the entity that were written as often in this hour


class Across:
    """All cells of an org. `slice` takes rows in order; what has risen comes back."""

    def __init__(self) -> None:
        self.refused = 0
        self.cells: list[Cell] = []
        self.actors: list[Who] = []
        self._cells: dict[Cell, int] = {}
        self._actors: dict[Who, int] = {}
        self.usual: dict[int, Usual] = {}
        self.sums: dict[tuple[int, int], Sum] = {}
        self._hour = -1
        self._part = 0
        self._rows: list[Rows] = []
        self._held = 0
        self._seen: dict[tuple[int, int], int] = {}  # (cell of the whole, who) -> changes in this hour
        self._steps: dict[int, int] = {}  # cell -> writes of this hour at which it is next looked at
        self._counts: dict[int, int] = {}
        self._looked: set[tuple[int, int]] = set()

    def cell_code(self, cell: Cell) -> int:
        """A number for the cell; -1 beyond the cap."""
        code = self._cells.get(cell)
        if code is None:
            if len(self.cells) >= CELLS_MAX:
                self.refused += 1
                return -1
            code = self._cells[cell] = len(self.cells)
            self.cells.append(cell)
        return code

    def actor_code(self, who: Who) -> int:
        code = self._actors.get(who)
        if code is None:
            if len(self.actors) >= ACTORS_MAX:
                return ACTORS_MAX
            code = self._actors[who] = len(self.actors)
            self.actors.append(who)
        return code

    def slice(self, rows: Rows, whole: npt.NDArray[np.int32], at: int, number: int) -> list[Risen]:
        """Field rows of one slice in stream order, each with its change's whole cell (its own row is the first).

        `at` is the slice's time, `number` the input rows read with it.
        """
        hour = at // HOUR_MS
        found: list[Risen] = []
        if hour != self._hour:
            found += self._end_hour(at, number)
            self._hour, self._part = hour, 0
        kept = self._capped(rows, whole)
        if not len(kept):
            return found
        self._rows.append(kept)
        self._held += len(kept)
        cells, counts = np.unique(kept["cell"], return_counts=True)
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
            reached = self._counts[cell] = self._counts.get(cell, 0) + count
            if self.cells[cell].field != WHOLE and reached >= self._steps.get(cell, 16):
                self._steps[cell] = reached + max(8, reached // 4)
                found += self._look(cell, at, number)
        if self._held >= HOUR_ROWS_MAX:
            found += self._end_hour(at, number)
            self._hour, self._part = hour, self._part + 1
        return found

    def over(self, at: int) -> list[Sum]:
        """Alerted sums that nothing was added to for two days: taken out."""
        ended = [key for key, one in self.sums.items() if at - one.last_at >= QUIET_MS]
        return [one for one in (self.sums.pop(key) for key in ended) if one.alert is not None]

    # -- one hour -------------------------------------------------------------------------------------------

    def _capped(self, rows: Rows, whole: npt.NDArray[np.int32]) -> Rows:
        """Rows of changes that are within their actor's share of the hour."""
        firsts = np.flatnonzero((rows["cell"] == whole) & (whole >= 0))
        if not len(firsts):
            return rows[:0]
        taken = np.ones(len(firsts), bool)
        seen = self._seen
        for at, key in enumerate(zip(whole[firsts].tolist(), rows["who"][firsts].tolist(), strict=True)):
            count = seen.get(key, 0) + 1
            seen[key] = count
            if count > PER_HOUR:
                taken[at] = False
        lengths = np.diff(np.append(firsts, len(rows)))
        keep = np.repeat(taken, lengths)
        keep = np.concatenate((np.zeros(firsts[0], bool), keep)) & (rows["cell"] >= 0)
        return rows[keep]

    def _look(self, cell: int, at: int, number: int) -> list[Risen]:
        """Before the hour is over: has a sum passed its bound with what came so far?"""
        usual = self.usual.get(cell)
        if usual is None or not self._learned(usual, at):
            return []
        mine = self._mine(cell)
        found = []
        for value, count in _candidates(mine):
            one = self.sums.get((cell, value))
            if (cell, value) in self._looked or (one is not None and one.alert is not None):
                continue
            expected = REFERENCE * usual.rate(slot_of(at), at) * usual.share(value)
            millis = (one.millis if one is not None else 0) + int(1000 * (count - expected))
            if millis < 1000 * self._bound(usual, value, at):
                continue
            trial = self._copy(one, cell, value, at, number)
            self._add(trial, mine, value, count, at, (at % HOUR_MS + SLICE_MS) / HOUR_MS)
            trial.millis = millis
            found.append(self._risen(trial, usual))
            self.sums[cell, value] = trial
            self._looked.add((cell, value))
        return found

    def _end_hour(self, at: int, number: int) -> list[Risen]:
        """Count the hour that is over: sums rise or fall, and what is usual is learned."""
        found: list[Risen] = []
        if self._rows:
            ended = self._hour * HOUR_MS
            rows = np.concatenate(self._rows) if len(self._rows) > 1 else self._rows[0]
            rows = rows[np.argsort(rows["cell"], kind="stable")]
            starts = np.flatnonzero(np.concatenate(([True], rows["cell"][1:] != rows["cell"][:-1])))
            ends = np.append(starts[1:], len(rows))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                found += self._end_cell(rows[start:end], ended, number)
        self._fall(self._hour)
        self._rows, self._held, self._seen, self._steps, self._counts = [], 0, {}, {}, {}
        self._looked = set()
        return found

    def _end_cell(self, mine: Rows, at: int, number: int) -> list[Risen]:
        code = int(mine["cell"][0])
        usual = self.usual.get(code)
        if usual is None:
            usual = self.usual[code] = Usual(at, at // WEEK_MS)
        found: list[Risen] = []
        alarmed: set[int] = set()
        values: dict[int, int] = {}
        if self.cells[code].field != WHOLE:
            for value, count in _counted(mine):
                values[value] = count
            if self._learned(usual, at):
                found, alarmed = self._end_sums(mine, code, usual, at, number)
        if not is_month_end(at) or code not in self.usual:
            slot, week = slot_of(at), at // WEEK_MS
            spared = sum(count for value, count in values.items() if value in alarmed)
            left = {value: count for value, count in values.items() if value not in alarmed}
            usual.learn(slot, week, len(mine) - spared, left)
        return found

    def _end_sums(
        self, mine: Rows, code: int, usual: Usual, at: int, number: int
    ) -> tuple[list[Risen], set[int]]:
        found, alarmed = [], set()
        rate = usual.rate(slot_of(at), at)
        for value, count in _candidates(mine):
            expected = REFERENCE * rate * usual.share(value)
            one = self.sums.get((code, value))
            if (code, value) in self._looked and one is not None:
                alarmed.add(value)
                one.millis = max(one.millis, int(1000 * (count - expected)))
                continue
            millis = (one.millis if one is not None else 0) + int(1000 * (count - expected))
            if millis <= 0:
                continue
            if one is None:
                if not self._room(code, millis):
                    continue
                one = self.sums[code, value] = Sum(code, value, _text(mine, value), at, number)
            self._add(one, mine, value, count, at)
            one.millis = millis
            if millis >= 500 * self._bound(usual, value, at):
                alarmed.add(value)
            if millis >= 1000 * self._bound(usual, value, at):
                found.append(self._risen(one, usual))
        return found, alarmed

    def _room(self, code: int, millis: int) -> bool:
        """Whether one more value of a cell may be followed: the lowest makes room for a higher one."""
        kept = [(one.millis, key) for key, one in self.sums.items() if key[0] == code and one.alert is None]
        if len(kept) < SUMS_MAX:
            return True
        least, key = min(kept)
        if least >= millis:
            return False
        del self.sums[key]
        return True

    def _fall(self, hour: int) -> None:
        """Sums whose value did not come in the hour that is over."""
        at = hour * HOUR_MS
        for key, one in list(self.sums.items()):
            if one.last_at >= at:
                continue
            usual = self.usual[key[0]]
            one.millis -= int(1000 * REFERENCE * usual.rate(slot_of(at), at) * usual.share(key[1])) + 20
            if one.millis <= 0 and one.alert is None:
                del self.sums[key]

    # -- sums -----------------------------------------------------------------------------------------------

    def _learned(self, usual: Usual, at: int) -> bool:
        return at - usual.first_at >= LEARNED_MS and usual.writes >= 256 * LEARNED_WRITES

    def _bound(self, usual: Usual, value: int, at: int) -> float:
        a_day = usual.a_day(at) * usual.share(value)
        return SUM_MIN + SUM_PER_DEVIATION * sqrt(a_day) * 2

    def _copy(self, one: Sum | None, cell: int, value: int, at: int, number: int) -> Sum:
        if one is not None:
            return one
        return Sum(cell, value, _text(self._mine(cell), value), at // HOUR_MS * HOUR_MS, number)

    def _add(self, one: Sum, mine: Rows, value: int, count: int, at: int, elapsed: float = 1.0) -> None:
        """Count an hour's writes of the value to its sum; of the hour this part has passed."""
        rows = mine[mine["value"] == np.uint64(value)]
        one.writes += count
        one.all_writes += len(mine)
        one.all_changes += max(len(mine), self._changes(one.cell))
        one.hours += at // HOUR_MS > one.last_at // HOUR_MS
        one.last_at = at
        whole = self._whole(one.cell)
        if whole is not None:
            slot = slot_of(at)
            others = max(0.0, whole.rate(slot, at) - self.usual[one.cell].rate(slot, at))
            one.others_usual += int(1000 * elapsed * others)
            one.changes_usual += int(1000 * elapsed * whole.rate(slot, at))
        who, counts = np.unique(rows["who"], return_counts=True)
        one.most = max(one.most, int(counts.max()))
        for user, times in zip(who.tolist(), counts.tolist(), strict=True):
            if user in one.users or len(one.users) < USERS_MAX:
                one.users[user] = one.users.get(user, 0) + times
        one.records.add(rows["record"].tolist())
        shown = [bytes(i).decode("utf-8", "ignore") for i in rows["id"][-SAMPLES_MAX:]]
        one.samples = [*one.samples, *shown][-SAMPLES_MAX:]

    def _whole(self, cell: int) -> Usual | None:
        """What is usual of changes of the entity as such."""
        entity, kind, _ = self.cells[cell]
        return self.usual.get(self._cells.get(Cell(entity, kind, WHOLE), -1))

    def _changes(self, cell: int) -> int:
        entity, kind, _ = self.cells[cell]
        whole = self._cells.get(Cell(entity, kind, WHOLE), -1)
        return self._counts.get(whole, 0)

    def _risen(self, one: Sum, usual: Usual) -> Risen:
        cell = self.cells[one.cell]
        whole = self._whole(one.cell)
        others = one.all_changes - one.all_writes
        few = one.others_usual >= OTHERS_MIN * 1000 and others <= OTHERS_SHARE * one.others_usual / 1000
        rides = (usual.writes + 128) / (whole.writes + 256) if whole is not None and whole.writes else 1.0
        return Risen(
            sum=one,
            cell=cell,
            height=one.millis / 1000 / self._bound(usual, one.value, one.last_at),
            usual_share=usual.share(one.value),
            usual_day=usual.a_day(one.last_at) * usual.share(one.value),
            share=one.writes / max(1, one.all_writes),
            companion=one.all_writes / max(1, one.all_changes) / max(0.005, min(1.0, rides)),
            weeks=max(1, usual.week - usual.first_at // WEEK_MS + 1),
            spread=one.most <= SPREAD_MAX * one.writes,
            rides=few and one.all_changes <= VOLUME_MAX * one.changes_usual / 1000 + VOLUME_SPARED,
            beside=self._beside(one.cell),
        )

    def _beside(self, code: int) -> frozenset[int]:
        cell, least = self.cells[code], COMPANION_SHARE * self._counts.get(code, 0)
        others = ((self.cells[other], count) for other, count in self._counts.items() if other != code)
        return frozenset(c.field for c, count in others if c[:2] == cell[:2] and count >= least)

    def _mine(self, cell: int) -> Rows:
        rows = np.concatenate(self._rows) if len(self._rows) > 1 else self._rows[0]
        self._rows = [rows]
        mine: Rows = rows[rows["cell"] == cell]
        return mine

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        rows = np.concatenate(self._rows) if self._rows else np.zeros(0, ROWS)
        return {
            "refused": self.refused,
            "cells": [list(cell) for cell in self.cells],
            "actors": [list(who) for who in self.actors],
            "usual": [[code, usual.state()] for code, usual in self.usual.items()],
            "sums": [one.state() for one in self.sums.values()],
            "hour": [self._hour, self._part, self._held],
            "rows": b64encode(rows.tobytes()).decode(),
            "seen": [[*key, count] for key, count in self._seen.items()],
            "steps": list(self._steps.items()),
            "counts": list(self._counts.items()),
            "looked": sorted(list(key) for key in self._looked),
        }

    def restore(self, state: Any) -> None:
        self.refused = state["refused"]
        self.cells = [Cell(*cell) for cell in state["cells"]]
        self.actors = [Who(*who) for who in state["actors"]]
        self._cells = {cell: code for code, cell in enumerate(self.cells)}
        self._actors = {who: code for code, who in enumerate(self.actors)}
        self.usual = {code: Usual.restored(kept) for code, kept in state["usual"]}
        self.sums = {(one[0], one[1]): Sum.restored(one) for one in state["sums"]}
        self._hour, self._part, self._held = state["hour"]
        rows = np.frombuffer(b64decode(state["rows"]), ROWS).copy()
        self._rows = [rows] if len(rows) else []
        self._seen = {(cell, who): count for cell, who, count in state["seen"]}
        self._steps, self._counts = dict(state["steps"]), dict(state["counts"])
        self._looked = {(cell, value) for cell, value in state["looked"]}


def _counted(mine: Rows) -> Iterator[tuple[int, int]]:
    """Values of a cell's hour with their counts, the most frequent first; unknown ones are none."""
    values, counts = np.unique(mine["value"][mine["flag"] != UNKNOWN], return_counts=True)
    order = np.lexsort((values, -counts))[: VOCABULARY_MAX + 1]
    yield from zip(values[order].tolist(), counts[order].tolist(), strict=True)


def _candidates(mine: Rows) -> list[tuple[int, int]]:
    """Null and the most frequent value."""
    found = []
    nulls = int((mine["flag"] == NULL).sum())
    if nulls:
        found.append((0, nulls))
    for value, count in _counted(mine):
        if value != 0:
            found.append((value, count))
            break
    return found


def _text(mine: Rows, value: int) -> str | None:
    if value == 0:
        return None
    at = int(np.argmax(mine["value"] == np.uint64(value)))
    return bytes(mine["text"][at]).decode("utf-8", "ignore")


def weight_of(risen: Risen) -> tuple[float, float, float]:
    """(D5, D4, D7): how far it has risen, how much of the field it is, and how much more often it rides along."""
    value = max(0.0, log2(max(risen.share, 1e-6) / max(risen.usual_share, 0.003))) / 1.5
    rides = max(0.0, log2(max(1e-6, risen.companion))) / 1.5 if risen.share >= 0.4 else 0.0
    return min(2.0, risen.height), min(2.0, value), min(1.5, rides)


__all__ = ["ROWS", "SLICE_MS", "SLICE_ROWS", "Across", "Cell", "Kind", "Risen", "Sum", "Who", "weight_of"]
