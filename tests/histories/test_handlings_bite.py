"""Each handling turned off, one at a time: the promise breaks, in a history whose seed is known to need it.

A handling whose absence nothing notices would be one that nothing tests. The first half is about what is recorded, in
lives of a recorder and its journal; the second about what is claimed of a past moment.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

import cdc.capture.channel as channel_module
import cdc.journal.rows as rows_module
import cdc.journal.transaction as transaction_module
from cdc.capture.channel import Channel
from cdc.capture.options import SEEN_PAIRS_MAX
from cdc.capture.positions import Seen
from cdc.capture.records import Built, RecordBuilder
from cdc.capture.writer import Writer
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import Fenced, StopProcess
from cdc.log.embedded import EmbeddedLog
from cdc.ports.log import LogRecord, Positions
from cdc.ports.source import Start
from cdc.ports.types import Ordinal
from tests.histories.test_seeded_histories import History, live
from tests.unit.answer.histories import history
from tests.unit.answer.model import ABSENT, FULL_STATE, Item, Journal, Moment, state
from tests.unit.answer.test_answer_rule import wrong_claims
from tests.unit.journal.batches import Change, batch
from tests.unit.journal.held import opened

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Handling:
    """How it is turned off, a seed that needs it, and how the promise is then broken."""

    off: Callable[[Patch], None]
    seed: int
    broken: str


def no_memory_of_repeats(patch: Patch) -> None:
    patch.setattr(Seen, "add", lambda *_: True)


def no_taking_back(patch: Patch) -> None:
    """A batch that was not written: its events stay known, and are dropped when they come again."""

    def undo(self: RecordBuilder, _: Built, first: Ordinal) -> None:
        self.next_ordinal = first

    patch.setattr(RecordBuilder, "undo", undo)


def no_memory_after_a_restart(patch: Patch) -> None:
    whole = Writer.open

    def open_(self: Writer, owner: str, recent: Sequence[tuple[str, str]] = ()) -> Positions:
        positions = whole(self, owner, recent)
        self.builder.seen = Seen(SEEN_PAIRS_MAX)
        return positions

    patch.setattr(Writer, "open", open_)


def always_from_the_tip(patch: Patch) -> None:
    patch.setattr(Channel, "_start", lambda _: Start.LATEST)


def at_the_tip_after_a_lost_position(patch: Patch) -> None:
    whole = Channel._start

    def start(self: Channel) -> Any:
        found = whole(self)
        return Start.LATEST if self._from_oldest and found is Start.EARLIEST else found

    patch.setattr(Channel, "_start", start)


def a_lost_position_is_not_told(patch: Patch) -> None:
    whole = channel_module.coverage_record
    patch.setattr(
        channel_module, "coverage_record", lambda told: whole({**told, "status": "unknown", "entity": None})
    )


def read_again_counts_again(patch: Patch) -> None:
    patch.setattr(rows_module, "_beyond", lambda batch, _: (batch.changes, batch.fields))


def unreadable_events_are_dropped(patch: Patch) -> None:
    patch.setattr(transaction_module, "write_quarantine", lambda *_: None)


RECORDED: dict[str, Handling] = {
    "repeats are dropped": Handling(no_memory_of_repeats, 1, "twice"),
    "a batch not written is taken back": Handling(no_taking_back, 9, "lost"),
    "repeats are known after a restart": Handling(no_memory_after_a_restart, 1, "twice"),
    "reading goes on at the stored position": Handling(always_from_the_tip, 1, "lost"),
    "after a lost position at the oldest retained": Handling(at_the_tip_after_a_lost_position, 3, "lost"),
    "a lost position is told": Handling(a_lost_position_is_not_told, 3, "a loss that nobody tells"),
    "what is held is not written again": Handling(read_again_counts_again, 14, "twice"),
    "what cannot be read is kept": Handling(unreadable_events_are_dropped, 1, "ordinals have a hole"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_without_it_the_promise_of_what_is_recorded_breaks(
    name: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    handling = RECORDED[name]
    handling.off(monkeypatch)
    with pytest.raises(AssertionError, match=handling.broken):
        live(History(handling.seed, tmp_path), monkeypatch)


def test_without_fencing_two_recorders_give_the_same_numbers(tmp_path: Path, monkeypatch: Patch) -> None:
    def both_write() -> None:
        logs = [EmbeddedLog("acme", tmp_path / "log.sqlite") for _ in range(2)]
        for log in logs:
            log.open("test")
        record = LogRecord("CaseChangeEvent", "r", b"", 1)
        try:
            for log in logs:
                log.append([record], Positions("acme", Ordinal(2)))
        finally:
            for log in logs:
                log.close()

    with pytest.raises(Fenced):
        both_write()
    monkeypatch.setattr(EmbeddedLog, "_check_owner", lambda *_: None)
    both_write()
    with sqlite3.connect(tmp_path / "log.sqlite") as file:
        given = file.execute("SELECT ordinal FROM records WHERE topic = 'CaseChangeEvent'").fetchall()
    assert given == [(1,), (1,)]


def test_without_the_check_of_ordinals_a_batch_lost_on_the_way_is_lost_in_silence(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    def lose_one(folder: Path) -> Ordinal:
        folder.mkdir()
        with opened(folder) as journal:
            journal.commit(batch([Change(1)])).result(30)
            return journal.commit(batch([Change(3)])).result(30).ordinal

    with pytest.raises(StopProcess, match="ordinal 2 is not in the log's batch"):
        lose_one(tmp_path / "with")
    monkeypatch.setattr(
        transaction_module, "next_ordinal_held", lambda batch, _: Ordinal(batch.checkpoint.ordinal)
    )
    assert lose_one(tmp_path / "without") == 3


# -- what is claimed ------------------------------------------------------------------------------------------


def items(change: Callable[[Item], Item | None]) -> Callable[[Journal], Journal]:
    def without(journal: Journal) -> Journal:
        kept = [one for one in map(change, journal.items) if one is not None]
        return replace(journal, items=kept)

    return without


def but(dropped: Callable[[Item], bool]) -> Callable[[Journal], Journal]:
    return items(lambda item: None if dropped(item) else item)


CLAIMED: dict[str, tuple[Callable[[Journal], Journal], int]] = {
    "gap events": (but(lambda i: i.kind in ("GAP_CREATE", "GAP_UPDATE", "GAP_UNDELETE")), 6),
    "gap deletes": (but(lambda i: i.kind == "GAP_DELETE"), 5),
    "overflows and wildcards": (but(lambda i: i.is_many), 5),
    "lost stretches": (lambda j: replace(j, stretches=[s for s in j.stretches if not s.is_range]), 62),
    "events that cannot be read": (lambda j: replace(j, stretches=[s for s in j.stretches if s.is_range]), 1),
    "what a full state may hold already": (
        items(lambda i: replace(i, read_to=i.effective_at) if i.fold_rank else i),
        3,
    ),
    "commit times that run backwards": (
        items(lambda i: i if i.fold_rank else replace(i, effective_at=i.committed_at)),
        0,
    ),
    "values this user may not see": (
        items(lambda i: replace(i, said={name: (value, True) for name, (value, _) in i.said.items()})),
        0,
    ),
}
"""How each is left out of what was recorded, and a history in which something wrong is claimed then."""


@pytest.mark.parametrize("name", CLAIMED)
def test_without_it_something_is_claimed_that_was_not_so(name: str) -> None:
    without, seed = CLAIMED[name]
    assert not list(wrong_claims(seed, READ_MARGIN_MS, Counter(), moments=12))
    assert list(wrong_claims(seed, READ_MARGIN_MS, Counter(), moments=12, without=without))


REPAIRS: dict[str, tuple[Callable[[Item], bool], int]] = {
    "records found gone": (lambda i: i.fold_rank == ABSENT, 63),
    "records found in the Recycle Bin": (lambda i: i.fold_rank == FULL_STATE and i.kind == "DELETE", 70),
    "records read again": (lambda i: i.fold_rank == FULL_STATE and i.kind != "DELETE", 2),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_without_it_what_a_repair_would_tell_stays_unknown(name: str) -> None:
    dropped, seed = REPAIRS[name]
    whole = history(Random(seed), margin=READ_MARGIN_MS).journal
    assert unknown(whole) < unknown(but(dropped)(whole))


def unknown(journal: Journal) -> int:
    """Records and fields of which nothing is known now; a record nobody has heard of counts as one."""
    known = state(journal, Moment(), READ_MARGIN_MS)
    ever = {i.record_id for i in journal.items if not i.is_many}
    return sum(
        (said.status == "unknown") + (said.status != "deleted") * (3 - len(said.fields))
        for said in known.values()
    ) + 4 * len(ever - known.keys())
