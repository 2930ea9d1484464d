"""Random short histories of one entity: what the org did, and what a journal recorded of it.

The org is not kind (reliability.md, under the fault table): changes are made up to ten minutes before their
commit and SystemModstamp says when they were made, commit times are off by up to a second and floored to
one, the org's servers differ by up to two seconds, delivery lags, scans read pages that are no snapshot,
some fields are hidden, some events come without values, without ids or not at all. Truth is the order of
commits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from tests.unit.answer.model import ABSENT, FULL_STATE, Item, Journal, Stretch

FIELDS = ("Name", "Phone", "Address.City", "Secret")
HIDDEN = "Secret"
SERVERS_APART_MS = 2_000
JITTER_MS = 1_000
RESOLUTION_MS = 1_000
MADE_BEFORE_COMMIT_MS_MAX = 600_000
DAY_MS = 86_400_000

Fields = Mapping[str, str | None]


@dataclass(frozen=True)
class Row:
    """A record as the org holds it; a purged one is in no query any more."""

    status: str
    fields: Fields
    modstamp: int
    purged: bool = False


Org = Mapping[str, Row]


@dataclass(frozen=True)
class Commit:
    """One change: what it did, and how it is recorded (`seen`: event, gap, overflow, unreadable or lost)."""

    real: int
    stamp: int
    kind: str
    record_id: str
    changed: Fields
    after: Org
    seen: str = "event"


@dataclass(frozen=True)
class History:
    """The journal as it stood at some moment, and the truth to hold it against."""

    journal: Journal
    before: Org
    commits: tuple[Commit, ...]
    ordinals: tuple[int | None, ...]
    """Per commit the ordinal it was recorded under; None where it was not, or not yet."""
    effective: tuple[int, ...]
    """Per commit the running maximum of what was recorded, which is the time it counts from."""

    def times(self) -> list[int]:
        """Times worth asking about: where something counts from, and a little around it."""
        known = [i.effective_at for i in self.journal.items] + [
            i.read_to for i in self.journal.items if i.read_to
        ]
        return sorted({t + d for t in known for d in (-4001, -1000, -1, 0, 1, 999, 3000, 4000)})

    def truths_at(self, at: int, margin: int) -> Iterator[Org]:
        """Every state of the org that may have been its state at a time: more than one only inside a hole."""
        last = max((n for n, o in enumerate(self.ordinals) if o and self.effective[n] <= at), default=-1)
        for hole in self.journal.stretches:
            if hole.is_range and not hole.is_open and hole.ends_at(margin) <= at:
                last = max([last, *self._lost_behind(hole.from_ordinal)])
        yield self._after(last)
        while last + 1 < len(self.commits) and self.commits[last + 1].seen == "lost":
            ranges = [h for h in self.journal.stretches if h.is_range and not h.is_open]
            inside = [h for h in ranges if h.starts_at(margin) <= at]
            if not inside:
                return
            last += 1
            yield self._after(last)

    def ordinals_given(self) -> list[int]:
        return [o for o in self.ordinals if o is not None]

    def truth_before(self, cut: int) -> Org:
        """The state before the commit recorded under an ordinal."""
        return self._after(self.ordinals.index(cut) - 1)

    def _lost_behind(self, ordinal: int) -> list[int]:
        reached = max((n for n, o in enumerate(self.ordinals) if o and o <= ordinal), default=-1)
        lost = []
        while reached + 1 < len(self.commits) and self.commits[reached + 1].seen == "lost":
            reached += 1
            lost.append(reached)
        return lost

    def _after(self, commit: int) -> Org:
        return self.commits[commit].after if commit >= 0 else self.before


def history(random: Random, *, margin: int, start: int = DAY_MS) -> History:
    """A history and a moment in its recording; the same random numbers give the same history."""
    before = {
        f"00{n}": Row("present", {f: _value(random) for f in FIELDS}, start - random.randrange(DAY_MS))
        for n in range(random.randint(1, 3))
    }
    commits = _commits(random, before, start)
    recording = _Recording(random, margin, before, commits, start)
    return recording.played()


def _value(random: Random) -> str | None:
    return random.choice([None, "a", "b", "c", "d", "e", "f"])


def _commits(random: Random, before: Org, start: int) -> list[Commit]:
    commits: list[Commit] = []
    org, real = dict(before), start
    lost_from = random.randrange(40) if random.random() < 0.25 else 99
    lost = range(lost_from, lost_from + random.randint(1, 4))
    for n in range(random.randint(3, 25)):
        real += random.choice([0, 0, 1, 300, 900, 2000, 4000, 9000, 60_000])
        stamp = real + random.randint(0, SERVERS_APART_MS) + random.randint(-JITTER_MS, JITTER_MS)
        stamp -= stamp % RESOLUTION_MS
        modstamp = real - random.choice([0, 0, 500, 20_000, random.randrange(MADE_BEFORE_COMMIT_MS_MAX)])
        kind, record_id, changed = _change(random, org)
        seen = random.choices(["event", "gap", "overflow", "unreadable"], [30, 3, 1, 1])[0]
        if n in lost:
            seen = "lost"
        if record_id == "*":
            seen = seen if seen == "lost" else "event"
            for other, row in org.items():
                org[other] = replace(row, fields={**row.fields, **changed})
        else:
            row = org.get(record_id)
            status = {"CREATE": "present", "UNDELETE": "present", "DELETE": "deleted"}.get(kind, "present")
            fields = {**(row.fields if row else dict.fromkeys(FIELDS)), **changed}
            moves = kind != "UPDATE" or random.random() < 0.8 or row is None
            org[record_id] = Row(status, fields, modstamp if moves or row is None else row.modstamp)
        commits.append(Commit(real, stamp, kind, record_id, changed, dict(org), seen))
        if kind == "DELETE" and random.random() < 0.4:
            org[record_id] = replace(org[record_id], purged=True)
    return commits


def _change(random: Random, org: Org) -> tuple[str, str, Fields]:
    gone = [i for i, row in org.items() if row.status == "deleted" and not row.purged]
    here = [i for i, row in org.items() if row.status == "present"]
    draw = random.random()
    if not here or draw < 0.1:
        return "CREATE", f"00{len(org)}", {f: _value(random) for f in FIELDS}
    if gone and draw < 0.3:
        return "UNDELETE", random.choice(gone), {}
    if draw < 0.2:
        return "DELETE", random.choice(here), {}
    if draw < 0.22:
        return "UPDATE", "*", {random.choice(FIELDS): None}
    names = random.sample(FIELDS, random.randint(1, 2))
    return "UPDATE", random.choice(here), {f: _value(random) for f in names}


@dataclass
class _Recording:
    """Capture and journal as they run beside the org, in real time."""

    random: Random
    margin: int
    before: Org
    commits: list[Commit]
    start: int
    items: list[Item] = field(default_factory=list)
    ordinals: list[int | None] = field(default_factory=list)
    effective: list[int] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    scans: dict[str, int] = field(default_factory=dict)
    passed: list[tuple[int, int]] = field(default_factory=list)
    ordinal: int = 0
    reached: int = 0

    def played(self) -> History:
        steps = sorted([*self._deliveries(), *self._scans(), *self._keepalives()], key=lambda step: step[0])
        stop = self.random.choice([len(steps), len(steps), self.random.randint(1, len(steps))])
        self.reached = self.start - 10_000
        for _, action, about in steps[:stop]:
            getattr(self, action)(about)
        self._begin_counting()
        journal = Journal(tuple(self.items), self._passed_to(), tuple(self.stretches), dict(self.scans))
        return History(journal, self.before, tuple(self.commits), tuple(self.ordinals), tuple(self.effective))

    def _begin_counting(self) -> None:
        """Commits that were not recorded (yet) count from where the ones before them do."""
        left = len(self.commits) - len(self.ordinals)
        self.ordinals += [None] * left
        self.effective += [self.reached] * left

    def _passed_to(self) -> int:
        return max([self.start - 10_000, *(p for _, p in self.passed)])

    def _clock(self, real: int) -> int:
        """What some server's clock says, floored to its resolution."""
        at = real + self.random.randint(0, SERVERS_APART_MS)
        return at - at % RESOLUTION_MS

    # -- what happens, and when

    def _deliveries(self) -> list[tuple[int, str, object]]:
        steps: list[tuple[int, str, object]] = []
        at, was_lost = self.start, False
        for n, commit in enumerate(self.commits):
            lag = self.random.choice([0, 10, 500, 5_000, 30_000])
            at = max(at, commit.real + lag)
            if commit.seen == "lost":
                last_lost = n + 1 == len(self.commits) or self.commits[n + 1].seen != "lost"
                steps.append((at, "_lose", (n, was_lost)))
                was_lost = not last_lost
                if last_lost:
                    steps.append((at, "_live_again", at))
            else:
                steps.append((at, "_deliver", n))
        self.delivered_at = [s[0] for s in steps if s[1] in ("_lose", "_deliver")]
        return steps

    def _keepalives(self) -> list[tuple[int, str, object]]:
        end = self.delivered_at[-1] + 20_000
        return [
            (at, "_keepalive", at)
            for at in range(self.start, end, self.random.choice([3_000, 30_000, 270_000]))
        ]

    def _scans(self) -> list[tuple[int, str, object]]:
        """A baseline early, and re-reads at random times: pages read over a while, each at its own moment."""
        steps: list[tuple[int, str, object]] = []
        end = self.commits[-1].real + 10_000
        starts = [self.start + self.random.choice([0, 1000, 30_000])]
        starts += [self.random.randint(self.start, end) for _ in range(self.random.randint(0, 2))]
        for n, at in enumerate(sorted(starts)):
            scan = _Scan(f"scan{n}", "BASELINE" if n == 0 else "REREAD")
            steps.append((at, "_scan_begins", (scan, at)))
            for page in range(2):
                at += self.random.choice([0, 1, 100, 2_000, 20_000])
                steps.append((at, "_scan_reads", (scan, at, page)))
            steps.append((at + 1, "_scan_ends", scan))
        return steps

    # -- what is recorded of it

    def _next(self) -> int:
        self.ordinal += 1
        return self.ordinal

    def _deliver(self, n: object) -> None:
        assert isinstance(n, int)
        commit, seq = self.commits[n], self._next()
        self.ordinals.append(seq)
        if commit.seen == "unreadable":
            self.effective.append(max(self.reached, commit.stamp))
            self.stretches.append(Stretch(seq, commit.stamp, None, False, commit.record_id))
            return
        self.reached = max(self.reached, commit.stamp)
        self.effective.append(self.reached)
        self.passed.append((commit.real, commit.stamp))
        kind, record_id, said = self._event(commit)
        self.items.append(Item(seq, record_id, kind, commit.stamp, self.reached, seq, said=said))

    def _event(self, commit: Commit) -> tuple[str, str, dict[str, tuple[str | None, bool]]]:
        if commit.record_id == "*":
            return "UPDATE", "001*", {}
        if commit.seen == "overflow":
            return "GAP_OVERFLOW", "000000000000000AAA", {}
        if commit.seen == "gap":
            return f"GAP_{commit.kind}", commit.record_id, {}
        if commit.kind == "DELETE":
            return "DELETE", commit.record_id, {}
        if commit.kind == "UPDATE":
            said = {f: (v, True) if f != HIDDEN else (None, False) for f, v in commit.changed.items()}
            return "UPDATE", commit.record_id, said
        fields = commit.after[commit.record_id].fields
        return commit.kind, commit.record_id, {f: (v, True) for f, v in fields.items() if f != HIDDEN}

    def _lose(self, about: object) -> None:
        assert isinstance(about, tuple)
        _, goes_on = about
        if not goes_on:
            self.stretches.append(Stretch(self.ordinal, self._passed_to(), None, True))
        self.ordinals.append(None)
        self.effective.append(self.reached)

    def _live_again(self, at: object) -> None:
        assert isinstance(at, int)
        to_at = self._clock(at)
        self.stretches[-1:] = [replace(self.stretches[-1], to_at=max(to_at, self.stretches[-1].from_at))]
        self.passed.append((at, to_at))

    def _keepalive(self, at: object) -> None:
        assert isinstance(at, int)
        committed = bisect_right([c.real for c in self.commits], at)
        is_hole_open = any(s.is_range and s.to_at is None for s in self.stretches)
        if committed <= len(self.ordinals) and not is_hole_open:
            self.passed.append((at, self._clock(at)))

    def _scan_begins(self, about: object) -> None:
        assert isinstance(about, tuple)
        scan, at = about
        started_at = self._clock(at)
        scan.after_ordinal = self.ordinal
        scan.known = {i.record_id for i in self.items if not i.is_many}
        scan.anchor_at = started_at + self.margin
        repaired = [s for s in self.stretches if s.is_range and s.to_at is not None]
        gaps = [i for i in self.items if i.kind.startswith("GAP_")]
        if repaired and self.random.random() < 0.5:
            scan.anchor_at = repaired[-1].from_at
            scan.scan_id = f"repair-{scan.scan_id}"
        elif gaps and self.random.random() < 0.7:
            scan.anchor_at = gaps[-1].effective_at
        self.scans[scan.scan_id] = started_at

    def _scan_reads(self, about: object) -> None:
        assert isinstance(about, tuple)
        scan, at, page = about
        committed = bisect_right([c.real for c in self.commits], at)
        org = self.commits[committed - 1].after if committed else self.before
        half = 1 + len(org) // 2
        ids = sorted(org)[:half] if page == 0 else [i for i in sorted(org) if i > scan.last_id]
        scan.last_id = max([scan.last_id, *ids])
        scan.read_to = max(scan.read_to, self._clock(at))
        read_to = self._clock(at)
        for record_id in ids:
            row = org[record_id]
            scan.seen.add(record_id)
            if row.purged:
                scan.seen.discard(record_id)
                continue
            kind = "DELETE" if row.status == "deleted" else scan.kind
            said = {f: (v, True) for f, v in row.fields.items() if f != HIDDEN}
            self.items.append(
                Item(
                    self._next(), record_id, kind, row.modstamp, scan.anchor_at, scan.after_ordinal,
                    FULL_STATE, said, read_to, scan.scan_id,
                )
            )  # fmt: skip

    def _scan_ends(self, scan: object) -> None:
        assert isinstance(scan, _Scan)
        after = {i.record_id for i in self.items if i.fold_rank == 0 and i.seq > scan.after_ordinal}
        for record_id in sorted(scan.known - scan.seen - after):
            self.items.append(
                Item(
                    self.ordinal, record_id, "ABSENT", scan.anchor_at, scan.anchor_at, scan.after_ordinal,
                    ABSENT, {}, scan.read_to, scan.scan_id,
                )
            )  # fmt: skip


@dataclass
class _Scan:
    scan_id: str
    kind: str
    after_ordinal: int = 0
    anchor_at: int = 0
    read_to: int = 0
    last_id: str = ""
    known: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
