"""Holes, what is asked for because of them, how they close, and what an ended scan proves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import schemas.own as own
from cdc.change.ids import OVERFLOW_ID
from cdc.errors import LogUnavailable
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
from tests.unit.journal.held import ask, commit, opened


@pytest.fixture
def requested() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def journal(tmp_path: Path, requested: list[dict[str, Any]]) -> Iterator[DuckJournal]:
    with opened(tmp_path, on_requests=requested.extend) as journal:
        yield journal


def at(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC).replace(tzinfo=None)


def stretches(journal: DuckJournal, columns: str = "entity, record_id, from_at, to_at, status") -> list[Any]:
    return ask(journal, f"SELECT {columns} FROM store.coverage_now ORDER BY stretch_id")


def absent(journal: DuckJournal) -> list[str]:
    return [
        r for (r,) in ask(journal, "SELECT record_id FROM changes WHERE kind = 'ABSENT' ORDER BY record_id")
    ]


# -- live ---------------------------------------------------------------------------------------------------


def test_a_channel_is_live_from_its_first_stored_position_on(journal: DuckJournal) -> None:
    commit(journal, batch(control=[position(0, T0)]))
    assert stretches(journal) == []
    commit(
        journal, batch([Change(1)], control=[position(1, T0 + SECOND, T0), position(1, T0 + 2 * SECOND, T0)])
    )
    assert stretches(journal) == [(None, None, at(T0), None, "live")]


def test_a_channel_that_begins_anew_ends_its_live_stretch_and_opens_another(journal: DuckJournal) -> None:
    began_anew = [position(1, T0 + SECOND), position(1, T0 + 5 * SECOND, T0 + 4 * SECOND)]
    commit(journal, batch([Change(1)], control=[position(1, T0 + SECOND, T0), *began_anew]))
    assert stretches(journal) == [
        (None, None, at(T0), at(T0 + SECOND), "live"),
        (None, None, at(T0 + 4 * SECOND), None, "live"),
    ]


# -- gaps ---------------------------------------------------------------------------------------------------


def test_a_gap_hides_its_record_and_asks_for_it_until_it_is_read_again(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    commit(
        journal, batch([Change(1, 5), Change(2, 7, "GAP_UPDATE", at=T0 + SECOND), Change(3, 8, "GAP_DELETE")])
    )
    assert stretches(journal) == [("Account", record_id(7), at(T0 + SECOND), None, "unknown")]
    assert [(j["job_id"], j["record_ids"], j["anchor_at"]) for j in requested] == [
        ("reread-Account-2", [record_id(7)], T0 + SECOND)
    ]
    read = full_state(4, 7, "reread-Account-2", 3, {"Name": "A"}, kind="REREAD", read_to=T0 + 9 * SECOND)
    commit(journal, batch([read]))
    assert stretches(journal, "status, to_at, repaired_at") == [
        ("repaired", at(T0 + 9 * SECOND), at(T0 + 9 * SECOND))
    ]


def test_a_full_state_read_before_the_gap_repairs_nothing(journal: DuckJournal) -> None:
    commit(
        journal, batch([Change(1), Change(2, 7, "GAP_UPDATE"), full_state(3, 7, "scan", 1, {"Name": "A"})])
    )
    assert stretches(journal, "status") == [("unknown",)]


def test_many_gaps_are_asked_for_two_hundred_records_at_a_time(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    gaps = [Change(n, n, "GAP_UPDATE", at=T0 + n * SECOND) for n in range(1, 451)]
    commit(journal, batch([*gaps, Change(451, 1, "GAP_UPDATE", at=T0 + 451 * SECOND)]))
    assert [(j["job_id"], len(j["record_ids"])) for j in requested] == [
        ("reread-Account-1", 200),
        ("reread-Account-201", 200),
        ("reread-Account-401", 50),
    ]
    assert [j["anchor_at"] for j in requested] == [T0 + n * SECOND for n in (1, 201, 401)]


@pytest.mark.parametrize(
    ("who", "kind"), [(OVERFLOW_ID, "GAP_OVERFLOW"), ("001*", "UPDATE"), ("001*", "GAP_UPDATE")]
)
def test_an_overflow_or_a_wildcard_hides_the_whole_entity_until_a_scan_of_it_ends(
    journal: DuckJournal, requested: list[dict[str, Any]], who: str, kind: str
) -> None:
    commit(journal, batch([Change(1, 1), Change(2, who, kind), Change(3, who, kind)]))
    assert stretches(journal) == [("Account", None, at(T0), None, "unknown")] * 2
    assert [(j["job_id"], j["record_ids"]) for j in requested] == [("reread-Account-2", [])]
    scan = "reread-Account-2"
    read = full_state(4, 1, scan, 3, {"Name": "A"}, kind="REREAD")
    commit(journal, batch([read]))
    assert stretches(journal, "status") == [("unknown",)] * 2
    commit(journal, batch(control=[job(4, scan, "ended", kind="reread", after_ordinal=3, rows=1)], upto=4))
    assert stretches(journal, "status, repaired_at") == [("repaired", at(T0 + SECOND))] * 2


def test_a_request_the_log_did_not_take_is_sent_with_the_next_one(tmp_path: Path) -> None:
    answers: list[Any] = [LogUnavailable("the log is away"), None]
    sent: list[list[str]] = []

    def publish(jobs: list[dict[str, Any]]) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer
        sent.append([j["job_id"] for j in jobs])

    with opened(tmp_path, on_requests=publish) as journal:
        commit(journal, batch([Change(1, 1, "GAP_UPDATE")]), batch([Change(2, 2, "GAP_UPDATE")]))
    assert sent == [["reread-Account-1", "reread-Account-2"]]


def test_what_was_not_asked_for_before_a_kill_is_asked_for_at_the_next_open(tmp_path: Path) -> None:
    def refuse(_: list[dict[str, Any]]) -> None:
        raise LogUnavailable("the log is away")

    gaps = [Change(n, n, "GAP_UPDATE") for n in (1, 2, 3)]
    control = [job(3, "other", "requested", kind="reread", record_ids=[record_id(2)])]
    with opened(tmp_path, on_requests=refuse) as journal:
        commit(journal, batch(gaps, control=control))
        commit(journal, batch([full_state(4, 3, "other", 3, {"Name": "A"}, kind="REREAD")]))
    sent: list[dict[str, Any]] = []
    with opened(tmp_path, on_requests=sent.extend):
        pass
    assert [(j["job_id"], j["record_ids"]) for j in sent] == [("reread-Account-1", [record_id(1)])]
    assert set(sent[0]) == set(own.decode("job", job(0, "j", "requested").value))


# -- quarantine ---------------------------------------------------------------------------------------------


def unread(ordinal: int, topic: str = "AccountChangeEvent", **said: Any) -> LogRecord:
    given = {
        "channel": CHANNEL,
        "event_id": f"event{ordinal}",
        "replay_id": "0a",
        "appended_at": T0 + 9 * SECOND,
    } | said
    return LogRecord(topic, record_id(ordinal), b"raw", ordinal, **given)


def test_an_event_that_cannot_be_read_is_kept_raw_and_hides_the_records_it_names(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    bad = Bad(unread(2, committed_at=T0 + 2 * SECOND), "cut short", "Account", (record_id(7), record_id(8)))
    commit(journal, batch([Change(1)], bad=[bad]))
    assert ask(
        journal, "SELECT event_id, reason, payload, entity, record_ids, decoded_at FROM quarantine"
    ) == [("event2", "cut short", b"raw", "Account", [record_id(7), record_id(8)], None)]
    assert stretches(journal) == [
        ("Account", record_id(7), at(T0 + 2 * SECOND), None, "unknown"),
        ("Account", record_id(8), at(T0 + 2 * SECOND), None, "unknown"),
    ]
    assert [j["record_ids"] for j in requested] == [[record_id(7), record_id(8)]]


def test_an_unreadable_header_hides_the_channel_from_its_place_on_the_bus(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    kept = own.encode(
        "quarantine",
        {
            "channel": CHANNEL,
            "event_id": "e",
            "replay_id": b"1",
            "schema_id": "?",
            "received_at": T0 + 30 * SECOND,
            "reason": "unknown schema",
            "payload": b"as it came",
            "entity": "",
            "record_ids": [],
        },
    )
    record = unread(2, "quarantine")._replace(value=kept)
    changes = [Change(1, at=T0 + SECOND), Change(3, at=T0 + 5 * SECOND)]
    commit(journal, batch(changes, bad=[Bad(record, "unknown schema")]))
    assert stretches(journal) == [(None, None, at(T0 + SECOND), None, "unknown")]
    assert ask(journal, "SELECT payload, received_at FROM quarantine") == [
        (b"as it came", at(T0 + 30 * SECOND))
    ]
    assert requested == []


@pytest.mark.parametrize(
    "record",
    [
        unread(1, "Order__e"),
        unread(1, schema_id="sfcdc.record_state"),
        unread(1, "X__e", channel="/event/X__e"),
    ],
)
def test_what_is_no_change_event_hides_nothing(journal: DuckJournal, record: LogRecord) -> None:
    commit(journal, batch(bad=[Bad(record, "cut short")]))
    assert ask(journal, "SELECT count(*) FROM quarantine") == [(1,)]
    assert stretches(journal) == []


def test_a_control_record_that_cannot_be_read_is_kept_and_the_rest_goes_on(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1)], control=[LogRecord("jobs", "j", b"?", 1), position(1, T0)]))
    assert ask(journal, "SELECT payload FROM quarantine") == [(b"?",)]
    assert ask(journal, "SELECT count(*) FROM positions") == [(1,)]


# -- ordinals that can no longer come -------------------------------------------------------------------------


def test_ordinals_the_log_no_longer_has_are_a_lost_stretch_and_every_entity_is_read_again(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    commit(journal, batch([Change(1), Change(2, 1, entity="Case")], control=[position(2, T0 + SECOND, T0)]))
    commit(journal, batch([Change(9, at=T0 + 60 * SECOND)], missing=(3, 8)))
    assert stretches(journal, "status, from_at, to_at, reason")[1:] == [
        ("lost", at(T0 + SECOND), at(T0 + 60 * SECOND + 500), "ordinals 3 to 8 were no longer in the log")
    ]
    assert [(j["entity"], j["record_ids"], j["anchor_at"]) for j in requested] == [
        ("Account", [], T0 + SECOND),
        ("Case", [], T0 + SECOND),
    ]


# -- stretches told by capture ---------------------------------------------------------------------------------


def test_a_stretch_is_shown_in_its_latest_version_and_told_twice_is_held_once(journal: DuckJournal) -> None:
    first, second = lost(0, "s", T0, None), lost(1, "s", T0, T0 + SECOND, status="unknown")
    commit(journal, batch([Change(1)], control=[first, second, second]), batch(control=[first], upto=1))
    assert stretches(journal) == [(None, None, at(T0), at(T0 + SECOND), "unknown")]
    assert ask(journal, "SELECT count(*) FROM store.coverage") == [(2,)]


def test_a_lost_stretch_of_a_channel_closes_entity_by_entity(journal: DuckJournal) -> None:
    described = [description(0, "Account", ["Name"]), description(0, "Case", ["Subject"])]
    hole = lost(1, "hole", T0, T0 + 60 * SECOND)
    commit(journal, batch([Change(1)], control=[*described, hole]))
    ended = {"kind": "reread", "after_ordinal": 1, "anchor_at": T0}
    read = full_state(2, 1, "repair-a", 1, {})
    commit(journal, batch([read], control=[job(2, "repair-a", "ended", rows=1, **ended)]))
    parts = stretches(journal, "stretch_id, entity, status")
    assert parts == [("hole", None, "lost"), ("hole/Account", "Account", "repaired")]
    commit(journal, batch(control=[job(2, "repair-c", "ended", entity="Case", **ended)], upto=2))
    assert stretches(journal, "stretch_id, status") == [
        ("hole", "repaired"),
        ("hole/Account", "repaired"),
        ("hole/Case", "repaired"),
    ]


@pytest.mark.parametrize(
    ("what", "hole", "said"),
    [
        ("is still open", lost(1, "hole", T0, None), {"anchor_at": T0}),
        ("was read into", lost(1, "hole", T0, T0 + 60 * SECOND), {"anchor_at": T0 + SECOND}),
        ("began behind it", lost(2, "hole", T0, T0 + 60 * SECOND), {"anchor_at": T0}),
    ],
)
def test_a_scan_does_not_close_a_hole_that(
    journal: DuckJournal, what: str, hole: LogRecord, said: Any
) -> None:
    commit(journal, batch([Change(1), Change(2)], control=[description(0, "Account", []), hole]))
    read = full_state(3, 1, "repair-a", 1, {})
    ended = job(3, "repair-a", "ended", kind="reread", after_ordinal=1, rows=1, **said)
    commit(journal, batch([read], control=[ended]))
    assert stretches(journal, "status") == [("lost",)], what


def test_any_scan_that_began_surely_after_a_lost_stretch_closes_it(journal: DuckJournal) -> None:
    hole = lost(1, "hole", T0, T0 + SECOND)
    commit(journal, batch([Change(1), Change(2)], control=[description(0, "Account", []), hole]))
    for number, started_at in ((3, T0 + 4 * SECOND), (4, T0 + 5 * SECOND)):
        scan = f"baseline-{number}"
        said = {"started_at": started_at, "anchor_at": started_at, "after_ordinal": 2, "rows": 1}
        read = full_state(number, 1, scan, 2, {})
        commit(journal, batch([read], control=[job(number, scan, "ended", **said)]))
        closed = started_at == T0 + 5 * SECOND  # the clocks may be apart by the margin
        assert [s for (s,) in stretches(journal, "status") if s == "lost"] == ([] if closed else ["lost"])


# -- judging ---------------------------------------------------------------------------------------------------


def test_records_known_before_a_scan_and_not_in_it_are_absent_at_its_anchor(journal: DuckJournal) -> None:
    before = [Change(n, n, "CREATE", {"Name": "A"}) for n in (1, 2, 3, 4)]
    before += [Change(5, 4, "DELETE"), Change(6, "001*", "UPDATE"), Change(7, 5, entity="Case")]
    during = [Change(8, 3), full_state(9, 1, "scan", 7, {"Name": "A"}), Change(10, 9, "CREATE")]
    ended = job(10, "scan", "ended", after_ordinal=7, rows=1, anchor_at=T0 + SECOND, read_to=T0 + 5 * SECOND)
    commit(journal, batch([*before, *during], control=[ended]))
    assert absent(journal) == [record_id(2)]
    assert ask(
        journal,
        "SELECT seq, committed_at, effective_at, fold_seq, fold_rank, read_to, scan_id, source FROM store.changes"
        " WHERE kind = 'ABSENT'",
    ) == [(10, None, at(T0 + SECOND), 7, 2, at(T0 + 5 * SECOND), "scan", "baseline")]
    assert ask(journal, "SELECT entity, rows, position FROM baselines") == [("Account", 1, 7)]


def test_a_record_absent_once_is_not_absent_again(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, 1), Change(2, 2)]))
    for n, scan in ((3, "first"), (4, "second")):
        control = [job(n, scan, "ended", after_ordinal=n - 1, rows=1)]
        commit(journal, batch([full_state(n, 1, scan, n - 1, {})], control=control))
    assert absent(journal) == [record_id(2)]


def test_a_scan_that_found_a_record_in_the_recycle_bin_found_it(journal: DuckJournal) -> None:
    binned = full_state(2, 1, "scan", 1, {"Name": "A"}, kind="DELETE")
    commit(journal, batch([Change(1, 1), binned], control=[job(2, "scan", "ended", after_ordinal=1, rows=1)]))
    assert absent(journal) == []


def test_a_reread_of_some_records_judges_those_alone(journal: DuckJournal) -> None:
    gaps = [Change(1, 1, "GAP_UPDATE"), Change(2, 2, "GAP_UPDATE"), Change(3, 3, "GAP_UPDATE")]
    commit(journal, batch(gaps))
    ids = [record_id(1), record_id(2)]
    read = full_state(4, 1, "r", 3, {"Name": "A"}, kind="REREAD")
    commit(
        journal,
        batch([read], control=[job(4, "r", "ended", kind="reread", record_ids=ids, after_ordinal=3, rows=1)]),
    )
    assert absent(journal) == [record_id(2)]
    assert stretches(journal, "record_id, status") == [
        (record_id(1), "repaired"),
        (record_id(2), "repaired"),
        (record_id(3), "unknown"),
    ]
    assert ask(journal, "SELECT count(*) FROM baselines") == [(0,)]


def test_a_scan_whose_rows_are_not_all_here_proves_nothing(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, 1), Change(2, OVERFLOW_ID, "GAP_OVERFLOW")]))
    commit(journal, batch(control=[job(2, "scan", "ended", after_ordinal=2, rows=1)], upto=2))
    assert absent(journal) == []
    assert stretches(journal, "status") == [("unknown",)]


def test_a_full_read_that_finds_nothing_of_many_records_says_so_and_declares_nobody_gone(
    journal: DuckJournal,
) -> None:
    """A user who lost the permission to see records sees none; the next read that finds some closes it."""
    commit(journal, batch([Change(n, n, "CREATE") for n in range(1, 31)]))
    commit(journal, batch(control=[job(30, "blind", "ended", after_ordinal=30)], upto=30))
    assert absent(journal) == []
    assert stretches(journal, "status, reason") == [
        ("unknown", "a full read found none of 30 records: may the user still see them?")
    ]
    read = [full_state(30 + n, n, "seeing", 30, {}) for n in range(1, 30)]
    ended = job(59, "seeing", "ended", after_ordinal=31, rows=29)
    commit(journal, batch(read, control=[ended]))
    assert absent(journal) == [record_id(30)]
    assert stretches(journal, "status") == [("repaired",)]


def test_a_poll_reads_only_what_changed_so_what_it_did_not_find_is_not_gone(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, 1)], control=[job(1, "p", "ended", kind="poll", after_ordinal=1)]))
    assert absent(journal) == []


def test_a_job_that_has_not_begun_has_no_time_of_its_beginning(journal: DuckJournal) -> None:
    commit(
        journal,
        batch(control=[job(0, "j", "requested"), job(0, "j", "running"), job(0, "j", "running", rows=5)]),
    )
    assert ask(journal, "SELECT version, state, started_at, rows FROM store.jobs ORDER BY version") == [
        (1, "requested", None, 0),
        (2, "running", at(T0), 0),
        (3, "running", at(T0), 5),
    ]
