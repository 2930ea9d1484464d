"""The rule for questions about a moment, in plain Python: slow, one record at a time, no SQL.

A reference to hold the SQL against, written from the rule of full states (architecture.md, "Order, and full
states"), and fast enough to be held against the truth of thousands of random histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

FOREVER = 2**62
EVENT, FULL_STATE, ABSENT = 0, 1, 2
UNREADABLE, LOST, BEHIND_THE_LOST = 1, 5, 6


@dataclass(frozen=True)
class Item:
    """An event, or a full state (`fold_rank` 1, or 2 for ABSENT). Times are milliseconds.

    `effective_at` of an event is the running maximum of its channel, of a full state its anchor. `said`
    maps a field to (value, known).
    """

    seq: int
    record_id: str
    kind: str
    committed_at: int
    effective_at: int
    fold_seq: int
    fold_rank: int = EVENT
    said: Mapping[str, tuple[str | None, bool]] = field(default_factory=dict)
    read_to: int | None = None
    scan_id: str | None = None

    @property
    def is_many(self) -> bool:
        return self.kind == "GAP_OVERFLOW" or "*" in self.record_id

    def names_status(self) -> bool:
        return self.kind != "UPDATE"

    def names_field(self, name: str) -> bool:
        if self.kind == "UPDATE" and not self.is_many:
            return name in self.said
        return self.kind != "DELETE"


@dataclass(frozen=True)
class Stretch:
    """Something is missing: events of a range of time, or (`is_range` false) one event that cannot be read.

    `from_ordinal` is the last ordinal before lost events, and the own one of an unreadable event.
    """

    from_ordinal: int
    from_at: int
    to_at: int | None
    is_range: bool
    record_id: str | None = None

    def starts_at(self, margin: int) -> int:
        return self.from_at - self._slack(margin)

    def ends_at(self, margin: int) -> int:
        end = self.to_at if self.is_range else self.from_at
        assert end is not None
        return end + self._slack(margin)

    def _slack(self, margin: int) -> int:
        return margin if self.is_range else 2 * margin

    @property
    def is_open(self) -> bool:
        """The channel stands still: it may go on without loss, and nothing that is missing counts yet."""
        return self.is_range and self.to_at is None

    @property
    def place(self) -> tuple[int, int, int]:
        return (self.from_ordinal, LOST if self.is_range else UNREADABLE, 0)


@dataclass(frozen=True)
class Journal:
    """What has been recorded so far of one entity on one channel."""

    items: Sequence[Item]
    passed_to: int
    stretches: Sequence[Stretch] = ()
    scans: Mapping[str, int] = field(default_factory=dict)
    """Scan id -> the org time at which it started."""


@dataclass(frozen=True)
class Moment:
    """A time, or exactly before the change with ordinal `cut`."""

    at: int = FOREVER
    cut: int = FOREVER

    def counts(self, item: Item) -> bool:
        return item.effective_at <= self.at and item.fold_seq < self.cut


@dataclass
class Said:
    """What the journal says of one record at a moment."""

    status: str = "unknown"
    fields: dict[str, str | None] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    known_since: int | None = None
    inferred_since: int | None = None
    last_seq: int | None = None
    is_whole: bool = False
    is_unsettled: bool = False


def state(journal: Journal, moment: Moment, margin: int) -> dict[str, Said]:
    """Every record ever known, but those created after the moment."""
    of_record: dict[str, list[Item]] = {}
    for item in journal.items:
        if not item.is_many:
            of_record.setdefault(item.record_id, []).append(item)
    many = [i for i in journal.items if i.is_many]
    answers = {}
    for record_id, items in of_record.items():
        holes = [s for s in journal.stretches if s.record_id in (None, record_id) and not s.is_open]
        answer = _Record(journal, moment, margin, items, many, holes).answer()
        if answer is not None:
            answers[record_id] = answer
    return answers


class _Record:
    def __init__(
        self,
        journal: Journal,
        moment: Moment,
        margin: int,
        items: Iterable[Item],
        many: Iterable[Item],
        holes: Sequence[Stretch],
    ) -> None:
        self.journal, self.moment, self.margin, self.holes = journal, moment, margin, holes
        events = [i for i in items if i.fold_rank == EVENT]
        self.last_event = max((e.seq for e in events), default=0)
        self.events = [e for e in events if moment.counts(e)]
        self.later = [e for e in events if not moment.counts(e)]
        self.many = [e for e in many if moment.counts(e)]
        self.many_later = [e for e in many if not moment.counts(e)]
        self.states = [s for s in items if s.fold_rank != EVENT and self._is_sound(s)]

    def answer(self) -> Said | None:
        counted = [
            s for s in self.states if self._counts_from(s) <= self.moment.at and s.fold_seq < self.moment.cut
        ]
        usable = [s for s in counted if self._is_settled(s)]
        said = Said(is_unsettled=len(usable) < len(counted))
        own_holes = [h for h in self._counted_holes() if h.record_id is not None]
        if not self.events and not counted and not own_holes:
            early = [s for s in self.states if self._is_inferred(s)]
            if early:
                usable = [min(early, key=self._key)]
                said.inferred_since = usable[0].committed_at
            elif any(e.kind == "CREATE" for e in self.later):
                return None
        self._fold(said, usable)
        return said

    def _fold(self, said: Said, usable: list[Item]) -> None:
        since: dict[str, int] = {}
        named: set[str] = set()
        values: dict[str, str | None] = {}
        status_since: int | None = None

        def forget() -> None:
            values.clear()
            since.clear()
            said.is_whole = False

        holes = [(h.place, h) for h in self._counted_holes()]
        timeline: list[tuple[tuple[int, int, int], Item | Stretch]] = [
            *((self._key(i), i) for i in (*self.events, *self.many, *usable)),
            *holes,
        ]
        for _, item in sorted(timeline, key=lambda pair: pair[0]):
            if isinstance(item, Stretch):
                said.status = "unknown"
                if item.record_id is not None:
                    status_since = min(status_since or FOREVER, item.starts_at(self.margin))
                forget()
                continue
            if item.is_many:
                forget()
                if item.kind != "UPDATE":
                    said.status = "unknown"
                continue
            at = self._counts_from(item) if item.fold_rank else item.effective_at
            said.last_seq = item.seq
            if not item.fold_rank or self._says_status(item):
                said.status = _status(item)
                status_since = min(status_since or FOREVER, at)
            if item.fold_rank and not self._says_fields(item):
                continue
            if item.kind.startswith("GAP_"):
                forget()
                continue
            masked = {f for f in item.said if item.fold_rank and self._is_masked(item, f)}
            named |= set(item.said)
            if item.fold_rank or item.kind in ("CREATE", "UNDELETE"):
                said.is_whole = True
                for name in [f for f in values if f not in item.said]:
                    del values[name], since[name]
            for name, (value, known) in item.said.items():
                if name in masked:
                    continue
                if known:
                    values[name] = value
                    since[name] = min(since.get(name, FOREVER), at)
                else:
                    values.pop(name, None)
                    since.pop(name, None)
        said.fields, said.unknown = values, named - set(values)
        if said.inferred_since is None:
            times = [t for t in (status_since, *since.values()) if t is not None]
            said.known_since = max(times, default=None)

    def _is_sound(self, state: Item) -> bool:
        return all(self._read_after(state, h) for h in self.holes if self._began_before(state, h))

    def _began_before(self, state: Item, hole: Stretch) -> bool:
        return hole.starts_at(self.margin) <= self._window(state)

    def _read_after(self, state: Item, hole: Stretch) -> bool:
        if not hole.is_range:
            return state.fold_seq >= hole.from_ordinal
        scan_id = state.scan_id or ""
        is_repair = scan_id.startswith("repair-") and state.effective_at == hole.from_at
        return (
            hole.to_at is not None
            and state.fold_seq >= hole.from_ordinal
            and (is_repair or self.journal.scans.get(scan_id, 0) >= hole.to_at + self.margin)
        )

    def _counts_from(self, state: Item) -> int:
        ends = [h.ends_at(self.margin) for h in self.holes if self._began_before(state, h)]
        return max([state.effective_at, *ends])

    def _counted_holes(self) -> list[Stretch]:
        at, cut = self.moment.at, self.moment.cut
        return [h for h in self.holes if h.starts_at(self.margin) <= at and h.from_ordinal < cut]

    def _window(self, state: Item) -> int:
        assert state.read_to is not None
        return state.read_to + self.margin

    def _is_settled(self, state: Item) -> bool:
        return self.journal.passed_to >= self._window(state)

    def _is_inferred(self, state: Item) -> bool:
        at = self.moment.at
        if self.moment.cut != FOREVER:
            behind = [
                i.effective_at for i in self.journal.items if i.seq >= self.moment.cut and not i.fold_rank
            ]
            at = min([at, *behind])
        return state.fold_rank == FULL_STATE and self._is_settled(state) and state.committed_at <= at

    def _says_fields(self, state: Item) -> bool:
        whole = [e for e in self.later if e.kind not in ("UPDATE", "DELETE")] + self.many_later
        return state.fold_rank == FULL_STATE and all(e.effective_at > self._window(state) for e in whole)

    def _says_status(self, state: Item) -> bool:
        if state.fold_rank == ABSENT and self.last_event > state.fold_seq:
            return False
        later = [e for e in (*self.later, *self.many_later) if e.names_status()]
        return all(e.effective_at > self._window(state) for e in later)

    def _is_masked(self, state: Item, name: str) -> bool:
        return any(e.names_field(name) and e.effective_at <= self._window(state) for e in self.later)

    def _key(self, item: Item) -> tuple[int, int, int]:
        if item.fold_rank == EVENT:
            return (item.seq, 0, item.seq)
        behind = any(
            h.from_ordinal == item.fold_seq and self._read_after(item, h)
            for h in self.holes
            if self._began_before(item, h)
        )
        rank = item.fold_rank + (BEHIND_THE_LOST - 1 if behind else 1)
        return (item.fold_seq, rank, item.seq)


def _status(item: Item) -> str:
    gone = item.fold_rank == ABSENT or item.kind in ("DELETE", "GAP_DELETE")
    return "deleted" if gone else "present"
