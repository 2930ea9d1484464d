"""One actor doing one kind of thing to one entity, without a pause: the unit that is judged.

An episode ends after 15 minutes without a change; one that was not alerted also after an hour, so that a
stream that never pauses is judged and learned in pieces; an alerted one after a day. Everything an episode
holds is a function of its changes in order, and bounded.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdc.detect.distinct import Distinct
from cdc.detect.pace import BASE_MS, Pace
from cdc.detect.tallies import FIELD_ROWS, FieldRows, FieldTally, Tallies, fold, join

GAP_MS = 15 * 60_000
"""A pause that ends an episode."""

QUIET_LENGTH_MS = 3_600_000
"""The longest an episode lasts that was not alerted."""

ALERTED_LENGTH_MS = 86_400_000
"""The longest an alerted episode lasts."""

IDS_MAX = 4096
"""Record ids counted exactly; beyond it by a sample, to about 2 %."""

TRANSACTIONS_MAX = 1024
CHUNK_CHANGES = 128
"""Changes whose values are held as they came, before they are folded into tallies."""

RUN_SHARE = 0.9
RUN_BEFORE = 0.75
RUN_AFTER_CHUNKS = 2
RUN_MIXED = 0.8
"""A chunk in which one value has this share begins a run, where that value had less than the second share
before, in at least two chunks, nearly all of which were mixed: a file sorted by the field is no run."""

COPIED_AGAIN, COPIED_NEW = 1, -4
"""What a created record adds to the sum of copies in a row: that it stands above nothing takes four copies in five."""

LOOP_CHANGES = 4
"""A record changed so often within one episode is looped."""

BULK = 32
"""Distinct records from which an episode counts as bulk, and teaches as such."""

FIRST_STEPS = (17, 25, 50)
FIRST_STEP_OF_FEW = 12
"""The first of them for an entity of which there are few records, each of which weighs as many."""

FIRST_JUDGED = 100
"""Distinct records at which an episode is weighed, before the ladder of steps that grow with it."""

FIRST_LOOPED = 125
"""Changes at which it is first weighed when its records are fewer."""

LADDER_STEP_PERCENT = 12
"""An episode is weighed again when it has grown by so much, and at `GUARDED` exactly."""

GUARDED = 200
"""Distinct records at which the guards begin to look (detection.md, D0)."""

RECORD_ID_BYTES = 40
ROW_IDS = np.dtype(f"S{RECORD_ID_BYTES}")


class Key(NamedTuple):
    """Who does what to what. `origin` is the class (api without version, client), empty where not said."""

    user: str
    origin: str
    entity: str
    kind: str


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first change of an episode, as its header says it. `number` counts input rows."""

    number: int
    ordinal: int
    at: int
    transaction: str
    origin: str
    client: str


@dataclass(slots=True)
class Episode:
    """See the module. Times: `last_at` is of the entity's own stream, `last_seen` of the whole stream."""

    key: Key
    first: Beginning
    last_at: int
    last_seen: int
    last_number: int
    changes: int = 0
    looped: int = 0
    next_records: int = FIRST_STEPS[0]
    next_changes: int = FIRST_LOOPED
    names_all: bool = False  # a wildcard or overflow id was among its records
    acknowledged: bool = False
    score: float = 0.0  # the most that its evidence has passed the bounds by
    alert: Any = None  # cdc.detect.incident.Incident
    ids: Distinct = field(default_factory=lambda: Distinct(IDS_MAX))
    transactions: Distinct = field(default_factory=lambda: Distinct(TRANSACTIONS_MAX))
    pace: Pace = field(default_factory=Pace)
    tallies: Tallies = field(default_factory=dict)
    runs: dict[int, list[int]] = field(default_factory=dict)  # field -> value, changes in a row
    mixed: dict[int, list[int]] = field(default_factory=dict)  # field -> chunks not of one value, chunks
    run_grew: bool = False
    copied: dict[int, int] = field(default_factory=dict)  # field -> sum of copies in a row
    pending: list[FieldRows] = field(default_factory=list)
    pending_ids: list[npt.NDArray[np.bytes_]] = field(default_factory=list)
    pending_changes: int = 0

    @property
    def records(self) -> int:
        """Distinct records so far."""
        return len(self.ids)

    def ends_at(self) -> int:
        """The time of the entity's stream from which a change belongs to the next episode."""
        return self.first.at + (ALERTED_LENGTH_MS if self.alert is not None else QUIET_LENGTH_MS)

    def advance(self, ids: list[int], times: list[int], start: int, stop: int) -> tuple[int, bool]:
        """Count changes `start` … until one reaches the next step of the ladder, or all are counted.

        Returns the place after the last change counted, and whether that one reached a step.
        """
        counts, limit, level = self.ids.counts, self.ids.limit, self.ids.level
        pace = self.pace
        budget = min(stop, start + max(1, self.next_changes - self.changes))
        at = start
        reached = False
        for at in range(start, budget):
            one = ids[at]
            if one >= limit:
                continue
            seen = counts.get(one)
            if seen is not None:
                counts[one] = seen + 1
                if seen == LOOP_CHANGES - 1:
                    self.looped += 1 << level
                continue
            counts[one] = 1
            base = times[at] // BASE_MS
            if base != pace.base:
                pace.step(base)
            pace.count(1 << level)
            if len(counts) > IDS_MAX:
                self.ids.thin()
                counts, limit, level = self.ids.counts, self.ids.limit, self.ids.level
                self.looped = self.ids.repeated(LOOP_CHANGES)
            if len(counts) << level >= self.next_records:
                reached = True
                break
        end = at + 1
        self.changes += end - start
        return end, reached or self.changes >= self.next_changes

    def absorb(
        self,
        ids: npt.NDArray[np.bytes_],
        rows: FieldRows,
        offsets: npt.NDArray[np.int64],
        start: int,
        stop: int,
    ) -> None:
        """Hold the record ids and field rows of changes `start` … `stop`; `offsets[i]` is where row i's begin."""
        written = rows[offsets[start] : offsets[stop]].copy()
        written["row"] += self.pending_changes - start
        self.pending.append(written)
        self.pending_ids.append(ids[start:stop].copy())
        self.pending_changes += stop - start

    def room(self) -> int:
        """Make room for changes to be held; how many there is room for: one, when a run has just grown."""
        if self.pending_changes == CHUNK_CHANGES:
            self._fold()
        return 1 if self.run_grew else CHUNK_CHANGES - self.pending_changes

    def climb(self) -> None:
        """Set the next steps at which the episode is weighed."""
        reached = max(self.records, self.next_records - 1)
        early = next((step for step in FIRST_STEPS if step > reached), 0)
        self.next_records = early or max(FIRST_JUDGED, _step(reached))
        self.run_grew = False
        self.next_changes = max(FIRST_LOOPED, _step(self.changes))

    def written(self) -> Tallies:
        """Tallies of all changes so far."""
        tallies = {code: tally.copy() for code, tally in self.tallies.items()}
        fold(tallies, self.held())
        return tallies

    def copies(self) -> dict[int, int]:
        """By field, how many created records in a row, of late, had what another record has."""
        return _copied(self.copied, self.held())

    def held(self) -> FieldRows:
        """Field rows of the changes not yet folded, at most the last `CHUNK_CHANGES`."""
        if len(self.pending) != 1:
            self.pending = [join(self.pending)]
        return self.pending[0]

    def held_ids(self) -> npt.NDArray[np.bytes_]:
        """Record ids of the changes not yet folded."""
        if len(self.pending_ids) != 1:
            self.pending_ids = [
                np.concatenate(self.pending_ids) if self.pending_ids else np.zeros(0, ROW_IDS)
            ]
        return self.pending_ids[0]

    def _fold(self) -> None:
        chunk: Tallies = {}
        fold(chunk, self.held())
        runs = {}
        for code, tally in chunk.items():
            known = self.tallies.setdefault(code, tally)
            value, writes = tally.most()
            run, mixed = self.runs.get(code), self.mixed.setdefault(code, [0, 0])
            alike = writes >= RUN_SHARE * max(1, tally.writes) and 2 * tally.writes >= CHUNK_CHANGES
            if alike and run is not None and run[0] == value:
                runs[code] = [value, run[1] + CHUNK_CHANGES]
            elif alike and _varied_before(mixed) and known.share_of(value) <= RUN_BEFORE:
                runs[code] = [value, CHUNK_CHANGES]
            mixed[0] += not alike
            mixed[1] += 1
            if known is not tally:
                known.add(tally)
        self.copied = _copied(self.copied, self.held())
        self.run_grew = any(changes <= 2 * CHUNK_CHANGES for _, changes in runs.values())
        self.runs = runs
        self.pending, self.pending_ids, self.pending_changes = [], [], 0

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        first = self.first
        return {
            "key": list(self.key),
            "first": [first.number, first.ordinal, first.at, first.transaction, first.origin, first.client],
            "last": [self.last_at, self.last_seen, self.last_number],
            "counts": [self.changes, self.looped, self.next_records, self.next_changes],
            "flags": [self.names_all, self.acknowledged, self.run_grew, self.score],
            "runs": list(self.runs.items()),
            "copied": list(self.copied.items()),
            "mixed": list(self.mixed.items()),
            "alert": self.alert.alert_id if self.alert is not None else None,
            "ids": self.ids.state(),
            "transactions": self.transactions.state(),
            "pace": self.pace.state(),
            "tallies": [[code, tally.state()] for code, tally in self.tallies.items()],
            "held": b64encode(self.held().tobytes()).decode(),
            "held_ids": b64encode(self.held_ids().tobytes()).decode(),
            "held_changes": self.pending_changes,
        }

    @classmethod
    def restored(cls, state: Any) -> Episode:
        """Without its alert, which the caller restores."""
        made = cls(Key(*state["key"]), Beginning(*state["first"]), *state["last"])
        made.changes, made.looped, made.next_records, made.next_changes = state["counts"]
        made.names_all, made.acknowledged, made.run_grew, made.score = state["flags"]
        made.runs = {code: list(run) for code, run in state["runs"]}
        made.copied = dict(state["copied"])
        made.mixed = {code: list(mixed) for code, mixed in state["mixed"]}
        made.ids = Distinct.restored(state["ids"])
        made.transactions = Distinct.restored(state["transactions"])
        made.pace = Pace.restored(state["pace"])
        made.tallies = {code: FieldTally.restored(tally) for code, tally in state["tallies"]}
        made.pending = [np.frombuffer(b64decode(state["held"]), FIELD_ROWS).copy()]
        made.pending_ids = [np.frombuffer(b64decode(state["held_ids"]), ROW_IDS).copy()]
        made.pending_changes = state["held_changes"]
        return made


def _copied(before: dict[int, int], rows: FieldRows) -> dict[int, int]:
    """The sums after these rows: each is a cumulative sum that never falls below nothing."""
    if not before and not rows["again"].any():
        return {}
    found = {}
    for code in np.unique(rows["field"]).tolist():
        again = rows["again"][rows["field"] == code] > 0
        steps = np.cumsum(np.where(again, COPIED_AGAIN, COPIED_NEW)) + before.get(code, 0)
        reached = int(steps[-1] - min(0, int(steps.min())))
        if reached:
            found[code] = reached
    return {**{code: n for code, n in before.items() if not (rows["field"] == code).any()}, **found}


def _varied_before(mixed: list[int]) -> bool:
    return mixed[0] >= max(RUN_AFTER_CHUNKS, RUN_MIXED * mixed[1])


def _step(reached: int) -> int:
    """The next step of a ladder that does not depend on where it is entered: 100, 112, 125 …"""
    step = FIRST_JUDGED
    while step <= reached:
        step += step * LADDER_STEP_PERCENT // 100
    return GUARDED if reached < GUARDED < step else step
