"""The same log gives the same rows, however it is cut into batches and however often parts of it come again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.change.ids import OVERFLOW_ID
from cdc.ports.columns import Bad, ColumnBatch
from cdc.ports.log import LogRecord
from tests.unit.journal.batches import (
    CHANNEL,
    SECOND,
    T0,
    UNKNOWN,
    Change,
    batch,
    decision,
    description,
    full_state,
    job,
    lost,
    position,
    record_id,
    schema_record,
)
from tests.unit.journal.held import commit, everything, opened
from tests.unit.journal.test_journal_rows import ACCOUNT
from tests.unit.journal.test_journal_texts import FIRST, TO_SECOND, TO_THIRD

Item = Change | Bad | LogRecord

ENTITIES = ("Account", "Case")
OTHER = "/data/CaseChangeEvent"


@dataclass
class Story:
    """A log being written: items in their order, with a scan that may be under way."""

    draw: Any
    items: list[Item] = field(default_factory=list)
    ordinal: int = 0
    scan: str = ""
    after: int = 0
    entity: str = ""
    record_ids: list[str] = field(default_factory=list)
    rows: int = 0
    scans: int = 0

    def moment(self) -> int:
        return T0 + self.ordinal * SECOND + self.draw(st.integers(-3, 3)) * SECOND

    def change(self) -> None:
        kind = self.draw(
            st.sampled_from(["UPDATE"] * 4 + ["CREATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_DELETE"])
        )
        said: dict[str, Any] = {}
        diffs: list[str] = []
        if not kind.startswith("GAP_") and kind != "DELETE":
            said = self.draw(
                st.dictionaries(st.sampled_from(["Name", "Industry", "Notes"]), VALUES, max_size=3)
            )
            if kind == "UPDATE" and said.get("Notes") in (TO_SECOND, TO_THIRD):
                diffs = ["Notes"]
        self.ordinal += 1
        entity = self.draw(st.sampled_from(ENTITIES))
        channel = OTHER if entity == "Case" else CHANNEL
        self.items.append(
            Change(
                self.ordinal, self.draw(st.integers(1, 4)), kind, said, self.moment(), entity, channel,
                "s1" if entity == "Account" else None, diffs,
            )
        )  # fmt: skip

    def many(self) -> None:
        self.ordinal += 1
        who, kind = self.draw(st.sampled_from([("001*", "UPDATE"), (OVERFLOW_ID, "GAP_OVERFLOW")]))
        self.items.append(Change(self.ordinal, who, kind, at=self.moment()))

    def unread(self) -> None:
        self.ordinal += 1
        named = self.draw(st.sampled_from([("Account", (record_id(2),)), ("Account", ()), ("", ())]))
        record = LogRecord(
            "AccountChangeEvent", record_id(2), b"?", self.ordinal, channel=CHANNEL, appended_at=T0
        )
        self.items.append(Bad(record, "cut short", *named))

    def begin_scan(self) -> None:
        self.scans += 1
        self.scan, self.after, self.rows = f"scan{self.scans}", self.ordinal, 0
        self.entity = self.draw(st.sampled_from(ENTITIES))
        self.record_ids = self.draw(st.sampled_from([[], [record_id(1), record_id(2)]]))
        self._job("running")

    def scan_row(self) -> None:
        if not self.scan:
            return self.begin_scan()
        self.ordinal += 1
        self.rows += 1
        who = self.draw(st.integers(1, 4))
        said = {"Name": "A", "Notes": self.draw(st.sampled_from([FIRST, None]))}
        self.items.append(
            full_state(self.ordinal, who, self.scan, self.after, said, entity=self.entity, at=self.moment())
        )
        self._job("running")
        return None

    def end_scan(self) -> None:
        if self.scan:
            self._job("ended")
            self.scan = ""

    def _job(self, state: str) -> None:
        said = {"kind": "reread", "entity": self.entity, "record_ids": self.record_ids}
        said |= {"after_ordinal": self.after, "rows": self.rows}
        self.items.append(job(self.ordinal, self.scan, state, **said))

    def control(self) -> None:
        what = self.draw(st.sampled_from(["position", "begin anew", "lost", "describe", "ack"]))
        if what == "position":
            self.items.append(position(self.ordinal, T0 + len(self.items) * SECOND, T0))
        elif what == "begin anew":
            self.items.append(position(self.ordinal, T0 + len(self.items) * SECOND, 0))
        elif what == "lost":
            channel = self.draw(st.sampled_from([CHANNEL, OTHER]))
            self.items.append(
                lost(self.ordinal, f"hole{len(self.items) % 3}", T0, T0 + SECOND, channel=channel)
            )
        elif what == "describe":
            paths = self.draw(st.sampled_from([["Name"], ["Name", "Industry"], ["Industry", "Rating"]]))
            self.items.append(description(self.ordinal, "Account", paths))
        else:
            self.items.append(decision("ack", "a", "ops", T0 + len(self.items)))


VALUES = st.sampled_from(["Energy", None, UNKNOWN, FIRST, TO_SECOND, TO_THIRD])
STEPS = ["change"] * 6 + ["scan_row"] * 3 + ["end_scan", "begin_scan", "many", "unread", "control", "control"]


@st.composite
def stories(draw: Any) -> list[Item]:
    story = Story(draw, [schema_record(0, "s1", ACCOUNT)])
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=30)):
        getattr(story, step)()
    return story.items


def cut(items: Sequence[Item], cuts: Sequence[int]) -> list[ColumnBatch]:
    """The log in batches that end behind these items; the place in the list is the log's offset."""
    batches = []
    ordinal = 0
    for begin, end in zip([0, *cuts], [*cuts, len(items)], strict=True):
        part = items[begin:end]
        changes = [i for i in part if isinstance(i, Change)]
        bad = [i for i in part if isinstance(i, Bad)]
        ordinal = max([ordinal, *(c.ordinal for c in changes), *(b.record.ordinal for b in bad)])
        control = [i for i in part if isinstance(i, LogRecord)]
        batches.append(batch(changes, bad=bad, control=control, upto=ordinal, offset=end))
    return batches


def rows_of(batches: Sequence[ColumnBatch], reopen_behind: int = -1) -> dict[str, list[tuple[Any, ...]]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = len(batches) if reopen_behind < 0 else reopen_behind
        with opened(folder) as journal:
            commit(journal, *batches[:first])
            if first == len(batches):
                return everything(journal)
        with opened(folder) as journal:
            commit(journal, *batches[first:])
            return everything(journal)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data())
def test_two_journals_fed_the_same_log_in_other_batches_hold_the_same_rows(data: st.DataObject) -> None:
    items = data.draw(stories())
    cuts = sorted(data.draw(st.sets(st.integers(0, len(items)), max_size=6)))
    whole = rows_of(cut(items, []))
    parts = cut(items, cuts)
    assert rows_of(parts, data.draw(st.integers(-1, len(parts) - 1))) == whole


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data())
def test_what_comes_again_changes_nothing(data: st.DataObject) -> None:
    items = data.draw(stories())
    at = data.draw(st.integers(0, len(items)))
    whole, (first, _) = cut(items, []), cut(items, [at])
    assert rows_of([first, *whole]) == rows_of(whole)
