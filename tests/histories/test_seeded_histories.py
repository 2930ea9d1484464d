"""Thousands of short lives of a recorder and its journal, each from a seed, with faults and crashes: the promise after each.

One process owns randomness, clock, source, log and crash points; time is virtual, and a seed is the same history each
time. A history publishes events (several records in
one, repeats under another position, groups that share one, bodies cut short), breaks the stream, takes the log away,
ends the recorder before or after a commit it may not know of, lets a position expire while it is away, and feeds the
journal in pieces, some of them twice. Afterwards:

  every (event id, record id) that the org still had is recorded, none twice, in the order of the bus;
  ordinals go from 1 without a hole; what the org no longer had is told as a lost stretch; the last value stands.

CDC_TEST_HISTORIES=n takes n times as many; CDC_TEST_SEED=s only that one. Seeds that ever failed stand in SEEDS.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.capture import holes
from cdc.errors import AuthExpired, CdcError, LogUnavailable, SourceUnavailable
from cdc.journal.journal import DuckJournal
from cdc.log.embedded import EmbeddedLog
from cdc.ports.log import Checkpoint, LogRecord, Positions
from cdc.ports.source import SourceEvent
from cdc.ports.types import ReplayId, SchemaId
from connectors import scripted
from tests.histories.virtual_loop import VirtualLoop
from tests.unit.capture import recording as rigs
from tests.unit.capture.recording import ALL, Rig, recording, replay
from tests.unit.capture.test_records import body

COUNT = 24 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))
ONE = os.environ.get("CDC_TEST_SEED")
SEEDS: tuple[int, ...] = ()
CASES = 5
PATIENCE_S = 60.0
RECORDED_WITHIN_S = 3600.0  # virtual: pauses of the last life
LOOK_EVERY_S = 5.0
PAUSES_S = (0.0, 0.01, 0.1, 3.0, 100.0)
HARM = 0.4
"""How likely an append goes wrong: the log is away, or the process ends before it or behind it."""

Pair = tuple[str, str]


@cache
def _new_journal() -> bytes:
    """The file of a journal that holds nothing: to make one costs more than all of a history."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.duckdb"
        journal = DuckJournal(str(path), "acme", threads=1)
        journal.open()
        journal.close()
        return path.read_bytes()


class Killed(BaseException):
    """The process ends here: nothing is flushed, nobody is told."""


class BrittleLog(rigs.WeakLog):
    """The embedded log; it goes away, and the process ends around its commits, as drawn."""

    draw: random.Random = random.Random(0)
    harm: float = 0.0

    def append(self, records: Sequence[LogRecord], positions: Positions) -> None:
        fate = self.draw.random() / self.harm if self.harm else 1.0
        if fate < 0.3:
            raise LogUnavailable("the log does not answer", where="history")
        if fate < 0.6:
            raise Killed
        super().append(records, positions)
        if 0.6 <= fate < 1.0:
            raise Killed


@dataclass
class History:
    """What the org published, and what it still had when somebody came for it."""

    seed: int
    folder: Path
    draw: random.Random = field(init=False)
    published: list[Pair] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    last: dict[str, str] = field(default_factory=dict)
    gone: set[Pair] = field(default_factory=set)
    number: int = 0
    expired: bool = False
    is_told: bool = False
    late: set[str] = field(default_factory=set)
    patience_s: float = RECORDED_WITHIN_S

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    # -- the org --------------------------------------------------------------------------------------------

    async def publish(self, rig: Rig) -> None:
        draw = self.draw
        for _ in range(draw.randint(1, 12)):
            self.number += 1
            kind = draw.random()
            if kind < 0.1:
                await rig.source.keepalive(ALL, replay(self.number))
                continue
            if kind < 0.25 and rig.source.published_events:  # once more, with another position
                before = draw.choice(rig.source.published_events)
                events = [before._replace(replay_id=replay(self.number))]
            else:  # now and then a group: several events with one position
                count = draw.choice([1] * 8 + [2, 3, 4])
                events = [self._event(replay(self.number)) for _ in range(count)]
            rig.source.published_events += events
            await rig.source.publish(ALL, *events)

    def _event(self, position: ReplayId) -> SourceEvent:
        draw = self.draw
        ids = draw.sample([f"500{n:012d}AAA" for n in range(CASES)], draw.choice([1, 1, 1, 2, 3]))
        event_id, subject = f"e{len(self.published)}", f"value {len(self.published)}"
        payload = body(*ids, committed_at=1_000_000 + self.number * 1000, subject=subject)
        if draw.random() < 0.03:
            payload = payload[: draw.randint(1, len(payload) - 1)]
            self.unreadable.add(event_id)
            self.published.append((event_id, "?"))
        else:
            for record_id in ids:
                self.published.append((event_id, record_id))
                self.last[record_id] = subject
        return SourceEvent(event_id, position, SchemaId("s1"), payload)

    def expire(self, rig: Rig) -> None:
        """What is old is no longer kept, whole groups at a time; the stored position may mean nothing any more."""
        bus = rig.source._bus[ALL]
        kept = self.draw.randint(1, 4)
        while kept < len(bus) and bus[-kept - 1][0] == bus[-kept][0]:
            kept += 1
        held = self.ids(rig)
        dropped, rig.source._bus[ALL] = bus[:-kept], bus[-kept:]
        still = {event.event_id for _, event in rig.source._bus[ALL] if event}
        lost = {event.event_id for _, event in dropped if event} - held - still
        self.gone |= {pair for pair in self.published if pair[0] in lost}
        self.late |= (still - held) | lost
        # Before a first position is stored nobody can know what came earlier: recording begins with it.
        self.is_told = self.is_told or bool(lost and rig.position().replay_id is not None)
        self.expired = True

    # -- the recorder ---------------------------------------------------------------------------------------

    async def record(self) -> Rig:
        """Lives one after the other until everything is recorded."""
        rig: Rig | None = None
        for life in range(self.draw.randint(2, 4)):
            async with recording(self.folder, rig=rig) as rig:
                if not hasattr(rig.source, "published_events"):
                    rig.source.published_events = []
                rig.log.draw, rig.log.harm = self.draw, HARM
                for _ in range(self.draw.randint(1, 4)):
                    await self.publish(rig)
                    await self._trouble(rig)
                    await asyncio.sleep(self.draw.choice(PAUSES_S))
                    if rig.running is not None and rig.running.done():
                        break
            if life and not self.expired and self.draw.random() < 0.15 and len(rig.source._bus[ALL]) > 6:
                self.expire(rig)
        assert rig is not None
        async with recording(self.folder, rig=rig) as rig:
            await self.publish(rig)
            wanted = self.wanted()
            with suppress(TimeoutError):  # what has not come by then is lost, and the check says so
                await self._until(lambda: wanted <= self.ids(rig))
        return rig

    async def _until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.patience_s):
            while not what():
                await asyncio.sleep(LOOK_EVERY_S)

    async def _trouble(self, rig: Rig) -> None:
        errors: list[CdcError] = [
            SourceUnavailable("the stream was reset", where=ALL),
            AuthExpired("the session is over", where=ALL),
        ]
        if self.draw.random() < 0.3:
            await rig.source.fail(ALL, self.draw.choice(errors))

    def wanted(self) -> set[str]:
        return {event_id for event_id, _ in self.published} - {event_id for event_id, _ in self.gone}

    @staticmethod
    def ids(rig: Rig) -> set[str]:
        return {record.event_id for record in rig.records("CaseChangeEvent", "quarantine", idle_s=0.0)}

    # -- the journal ----------------------------------------------------------------------------------------

    def keep(self) -> list[list[tuple[Any, ...]]]:
        """The log into a journal that is closed and opened again, fed from a checkpoint it has passed."""
        log = EmbeddedLog("acme", str(self.folder / "log.sqlite"), rigs.DAY_MS)
        (self.folder / "journal.duckdb").write_bytes(_new_journal())
        seen: list[Checkpoint] = [Checkpoint()]
        done = False
        while not done:
            journal = DuckJournal(
                str(self.folder / "journal.duckdb"),
                "acme",
                threads=1,
                schema_text=lambda schema_id: log.schema(SchemaId(schema_id)),
            )
            journal.open()
            schemas = SchemaStore(lambda schema_id: log.schema(SchemaId(schema_id)))
            start = self.draw.choice(seen)
            stop_after = self.draw.randint(1, 6)
            batches = log.batches(start, idle_s=0.0)
            for batch in batches:
                if not batch.records:
                    done = True
                    break
                journal.commit(decode_batch(batch, schemas)).result(PATIENCE_S)
                seen.append(batch.checkpoint)
                stop_after -= 1
                if not stop_after and self.draw.random() < 0.5:
                    break
            batches.close()  # type: ignore[attr-defined]
            if done:
                with journal.reader() as reader:
                    answers = [
                        reader.execute(question).fetchall()
                        for question in (
                            "SELECT seq, event_id, record_id FROM changes ORDER BY seq",
                            "SELECT seq, event_id FROM store.quarantine ORDER BY seq",
                            "SELECT record_id, arg_max(value, seq) FROM field_changes WHERE field = 'Subject' GROUP BY ALL",
                            "SELECT status FROM coverage WHERE status IN ('lost', 'repaired')",
                        )
                    ]
            journal.close()
        log.close()
        return answers


def check_promise(history: History, answers: list[list[tuple[Any, ...]]]) -> None:
    changes, kept_raw, values, lost = answers
    pairs = [(event_id, record_id) for _, event_id, record_id in changes]
    expected = [p for p in history.published if p[0] not in history.unreadable and p not in history.gone]
    assert len(pairs) == len(set(pairs)), "twice"
    assert set(pairs) >= set(expected), "lost"
    assert set(pairs) <= set(history.published), "invented"
    order = {pair: n for n, pair in enumerate(history.published)}
    for record_id in {r for _, r in pairs}:
        # An event whose first publication was gone is recorded at the place of its second.
        places = [order[p] for p in pairs if p[1] == record_id and p[0] not in history.late]
        assert places == sorted(places), f"out of order: {record_id}"
    numbers = sorted({seq for seq, *_ in changes} | {seq for seq, _ in kept_raw})
    assert numbers == list(range(1, len(numbers) + 1)), "ordinals have a hole"
    unreadable = {e for e in history.unreadable if (e, "?") not in history.gone}
    assert {event_id for _, event_id in kept_raw} >= unreadable, "not kept raw"
    if history.is_told:
        assert lost, "a loss that nobody tells"
    for record_id, value in values:
        newest = [pair for pair in pairs if pair[1] == record_id][-1]
        assert value == f"value {newest[0].removeprefix('e')}"


def live(history: History, patch: pytest.MonkeyPatch) -> None:
    """The whole of a history, and the promise after it."""
    random.seed(history.seed)  # jitter
    patch.setattr(rigs, "WeakLog", BrittleLog)
    patch.setattr(holes, "QUIET_S", 0.0)
    patch.setattr(scripted, "EVENTS_MAX", history.draw.choice([1, 2, 3, 5, 100]))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        patch.setattr(rigs, "fast_clock", lambda _: loop.clock())
        runner.run(history.record())
    check_promise(history, history.keep())


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else [*SEEDS, *range(1, COUNT + 1)])
def test_whatever_happens_nothing_is_lost_doubled_or_silent(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(History(seed, tmp_path), monkeypatch)
