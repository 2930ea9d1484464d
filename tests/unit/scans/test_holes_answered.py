"""What the journal writes of a hole is what its answers go by: the two rooms together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdc.answer.definitions import definitions
from cdc.answer.questions import state
from cdc.change.ids import OVERFLOW_ID
from cdc.journal.journal import DuckJournal
from cdc.ports.columns import Bad
from cdc.ports.log import LogRecord
from tests.unit.journal.batches import (
    CHANNEL,
    SECOND,
    T0,
    Change,
    batch,
    description,
    full_state,
    job,
    lost,
    position,
    record_id,
)
from tests.unit.journal.held import commit, opened

LATER = T0 + 3_600 * SECOND


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[DuckJournal]:
    with opened(tmp_path, definitions=definitions()) as journal:
        commit(
            journal,
            batch(control=[position(0, T0 - SECOND, T0 - SECOND), description(0, "Account", ["Name"])]),
        )
        yield journal


def states(journal: DuckJournal, at_ms: int | None = None) -> dict[str, dict[str, Any]]:
    """Rows of the answer by record, at a time of the org."""
    at = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    with journal.reader() as reader:
        return {row["record_id"]: row for row in state(reader, "Account", at=at).dicts()}


def passed(place: int, at_ms: int = LATER) -> LogRecord:
    return position(place, at_ms, T0 - SECOND)


def test_an_unread_event_right_behind_another_one_hides_its_record(journal: DuckJournal) -> None:
    """Its stretch is known by its own ordinal, whatever stands before it."""
    raw = LogRecord(
        "AccountChangeEvent",
        record_id(1),
        b"raw",
        2,
        T0 + 60 * SECOND,
        CHANNEL,
        event_id="e2",
        replay_id="0a",
    )
    bad = Bad(raw, "cut short", "Account", (record_id(1),))
    commit(
        journal,
        batch([Change(1, 1, "CREATE", {"Name": "A"})], bad=[bad], control=[passed(2)]),
    )
    assert states(journal, T0 + 30 * SECOND)[record_id(1)]["complete"]
    hidden = states(journal, T0 + 61 * SECOND)[record_id(1)]
    assert (hidden["status"], hidden["fields"], hidden["complete"]) == ("unknown", {}, False)


def test_a_scan_that_began_before_an_unread_event_says_nothing_of_it(journal: DuckJournal) -> None:
    raw = LogRecord(
        "AccountChangeEvent",
        record_id(1),
        b"raw",
        2,
        T0 + 60 * SECOND,
        CHANNEL,
        event_id="e2",
        replay_id="0a",
    )
    bad = Bad(raw, "cut short", "Account", (record_id(1),))
    times = {"anchor_at": T0 + 60 * SECOND, "read_to": T0 + 90 * SECOND, "kind": "REREAD"}
    commit(journal, batch([Change(1, 1, "CREATE", {"Name": "A"})], bad=[bad], upto=2))
    commit(journal, batch([full_state(3, 1, "early", 1, {"Name": "B"}, **times)], control=[passed(3)]))
    assert states(journal)[record_id(1)]["status"] == "unknown"
    commit(journal, batch([full_state(4, 1, "late", 3, {"Name": "B"}, **times)], control=[passed(4)]))
    known = states(journal)[record_id(1)]
    assert (known["status"], known["fields"], known["complete"]) == ("present", {"Name": "B"}, True)


def test_behind_ordinals_the_log_no_longer_had_only_what_was_read_after_them_is_known(
    journal: DuckJournal,
) -> None:
    commit(journal, batch([Change(1, 1, "CREATE", {"Name": "A"})], control=[passed(1, T0 + SECOND)]))
    commit(journal, batch([Change(9, 2, "CREATE", {"Name": "C"}, at=T0 + 60 * SECOND)], missing=(2, 8)))
    commit(journal, batch(control=[passed(9)], upto=9))
    found = states(journal)
    assert (found[record_id(1)]["status"], found[record_id(2)]["fields"]) == ("unknown", {"Name": "C"})
    times = {"anchor_at": T0 + SECOND, "read_to": T0 + 70 * SECOND, "kind": "REREAD"}
    rows = [full_state(10, 1, "reread-Account-8", 9, {"Name": "B"}, **times)]
    rows += [full_state(11, 2, "reread-Account-8", 9, {"Name": "C"}, **times)]
    ended = job(
        11, "reread-Account-8", "ended", kind="reread", after_ordinal=9, rows=2, read_to=T0 + 70 * SECOND
    )
    commit(journal, batch(rows, control=[ended, passed(11)]))
    assert states(journal)[record_id(1)]["fields"] == {"Name": "B"}
    assert not states(journal, T0 + 30 * SECOND)[record_id(1)]["complete"]


def test_what_a_verification_found_is_unknown_between_the_last_good_look_and_its_own(
    journal: DuckJournal,
) -> None:
    """Events inside the stretch do not help: what was lost may lie behind them."""
    created = Change(1, 1, "CREATE", {"Name": "A"})
    renamed = Change(2, 1, said={"Name": "B"}, at=T0 + 60 * SECOND)
    found = lost(
        3, "verify-1", T0 + 30 * SECOND, T0 + 120 * SECOND, channel="", entity="Account", record_id=record_id(1),
        from_ordinal=1, to_ordinal=3,
    )  # fmt: skip
    other = Change(3, 2, "CREATE", {"Name": "Z"}, at=T0 + 70 * SECOND)
    commit(journal, batch([created, renamed, other], control=[found, passed(3)]))
    assert states(journal, T0 + 10 * SECOND)[record_id(1)]["fields"] == {"Name": "A"}
    inside = states(journal, T0 + 80 * SECOND)
    assert (inside[record_id(1)]["fields"], inside[record_id(2)]["fields"]) == ({}, {"Name": "Z"})
    read = full_state(
        4,
        1,
        "repair-1",
        3,
        {"Name": "C"},
        anchor_at=T0 + 30 * SECOND,
        read_to=T0 + 130 * SECOND,
        kind="REREAD",
    )
    commit(journal, batch([read], control=[passed(4)]))
    assert states(journal, T0 + 80 * SECOND)[record_id(1)]["status"] == "unknown"
    assert states(journal, T0 + 140 * SECOND)[record_id(1)]["fields"] == {"Name": "C"}
    with journal.reader() as reader:
        assert reader.execute(
            "SELECT status FROM store.coverage_now WHERE stretch_id = 'verify-1'"
        ).fetchall() == [("repaired",)]


@pytest.mark.parametrize(("who", "kind"), [(OVERFLOW_ID, "GAP_OVERFLOW"), ("001*", "GAP_UPDATE")])
def test_an_overflow_or_a_wildcard_leaves_every_record_unknown_until_the_scan(
    journal: DuckJournal, who: str, kind: str
) -> None:
    changes = [Change(n, n, "CREATE", {"Name": "A"}) for n in (1, 2)]
    commit(journal, batch([*changes, Change(3, who, kind, at=T0 + 60 * SECOND)], control=[passed(3)]))
    assert not any(row["complete"] for row in states(journal).values())
    times = {"anchor_at": T0 + 60 * SECOND, "read_to": T0 + 70 * SECOND, "kind": "REREAD"}
    scan = "reread-Account-3"
    ended = job(4, scan, "ended", kind="reread", after_ordinal=3, rows=1, anchor_at=T0 + 60 * SECOND)
    commit(journal, batch([full_state(4, 1, scan, 3, {"Name": "B"}, **times)], control=[ended, passed(4)]))
    found = states(journal)
    assert (found[record_id(1)]["fields"], found[record_id(2)]["status"]) == ({"Name": "B"}, "deleted")
    assert found[record_id(1)]["complete"]  # of the one that is gone, the last values stay unknown
    before = states(journal, T0 + 30 * SECOND)
    assert [row["fields"] for row in before.values()] == [{"Name": "A"}] * 2
