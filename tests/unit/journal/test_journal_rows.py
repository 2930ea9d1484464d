"""What a batch becomes in the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdc.errors import StopProcess
from cdc.journal.journal import DuckJournal
from cdc.journal.statements import statement
from cdc.ports.log import LogRecord
from tests.unit.journal.batches import (
    CHANNEL,
    SECOND,
    T0,
    UNKNOWN,
    Change,
    alert,
    batch,
    decision,
    description,
    full_state,
    job,
    position,
    record_id,
    schema_record,
)
from tests.unit.journal.held import ask, commit, everything, opened

ACCOUNT = json.dumps(
    {
        "type": "record",
        "name": "AccountChangeEvent",
        "fields": [
            {
                "name": "ChangeEventHeader",
                "type": {
                    "type": "record",
                    "name": "ChangeEventHeader",
                    "fields": [
                        {"name": "entityName", "type": "string"},
                        {"name": "recordIds", "type": {"type": "array", "items": "string"}},
                        {"name": "changeType", "type": {"type": "enum", "name": "T", "symbols": ["CREATE"]}},
                        {"name": "changeOrigin", "type": "string"},
                        {"name": "transactionKey", "type": "string"},
                        {"name": "sequenceNumber", "type": "int"},
                        {"name": "commitTimestamp", "type": "long"},
                        {"name": "commitNumber", "type": "long"},
                        {"name": "commitUser", "type": "string"},
                        {"name": "nulledFields", "type": {"type": "array", "items": "string"}},
                        {"name": "diffFields", "type": {"type": "array", "items": "string"}},
                        {"name": "changedFields", "type": {"type": "array", "items": "string"}},
                    ],
                },
            },
            {
                "name": "Name",
                "type": [
                    "null",
                    "string",
                    {
                        "type": "record",
                        "name": "PersonName",
                        "fields": [
                            {"name": "FirstName", "type": ["null", "string"]},
                            {"name": "LastName", "type": ["null", "string"]},
                        ],
                    },
                ],
            },
            {"name": "Industry", "type": ["null", "string"]},
            {"name": "Rating", "type": ["null", "string"]},
        ],
    }
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[DuckJournal]:
    with opened(tmp_path) as journal:
        yield journal


def at(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC).replace(tzinfo=None)


def test_a_change_and_its_fields_become_rows_with_the_contract_s_columns(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, 7, said={"Industry": "Energy", "Rating": None, "Notes": UNKNOWN})]))
    assert ask(journal, "SELECT seq, org, entity, record_id, kind, source, replay_id FROM changes") == [
        (1, "acme", "Account", record_id(7), "UPDATE", "pubsub", (1).to_bytes(10, "big"))
    ]
    assert ask(journal, "SELECT changed_fields, nulled_fields, received_at FROM changes") == [
        (["Industry", "Rating", "Notes"], ["Rating"], at(T0 + 500))
    ]
    assert ask(journal, "SELECT field, value, known, committed_at FROM field_changes ORDER BY field") == [
        ("Industry", "Energy", True, at(T0)),
        ("Notes", None, False, at(T0)),
        ("Rating", None, True, at(T0)),
    ]


def test_times_of_a_channel_never_run_back_whatever_the_batches_and_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(
            journal,
            batch([Change(1, at=T0 + 2 * SECOND), Change(2, at=T0), Change(3, at=T0, channel="/data/B")]),
        )
        commit(journal, batch([Change(4, at=T0 + SECOND)]))
    with opened(tmp_path) as journal:
        commit(journal, batch([Change(5, at=T0), Change(6, at=T0 + 3 * SECOND)]))
        rows = ask(journal, "SELECT effective_at FROM changes ORDER BY seq")
        assert [row[0] for row in rows] == [at(T0 + s * SECOND) for s in (2, 2, 0, 2, 2, 3)]
        assert ask(journal, "SELECT committed_at FROM changes WHERE seq = 5") == [(at(T0),)]


def test_a_full_state_counts_from_its_anchor_and_folds_behind_what_came_before_it(
    journal: DuckJournal,
) -> None:
    state = full_state(2, 1, "scan", 1, {"Name": "A"}, at=0, anchor_at=T0 - SECOND, read_to=T0)
    commit(journal, batch([Change(1), state]))
    assert ask(
        journal,
        "SELECT committed_at, effective_at, fold_seq, fold_rank, read_to, scan_id FROM store.changes WHERE seq = 2",
    ) == [(None, at(T0 - SECOND), 1, 1, at(T0), "scan")]
    assert ask(journal, "SELECT seq, fold_seq, fold_rank, effective_at FROM store.fields") == [
        (2, 1, 1, at(T0 - SECOND))
    ]


def test_a_created_record_has_null_where_its_schema_has_a_field_that_the_user_may_read(
    journal: DuckJournal,
) -> None:
    control = [
        schema_record(0, "s1", ACCOUNT),
        description(0, "Account", ["Name", "Name.FirstName", "Name.LastName", "Industry", "Unstreamed"]),
    ]
    created = [
        Change(1, 1, "CREATE", {"Name": "Acme"}, schema_id="s1"),
        Change(2, 2, "CREATE", {"Name.LastName": "Doe", "Industry": "Energy"}, schema_id="s1"),
        Change(3, 3, "UPDATE", {"Name": "Acme"}, schema_id="s1"),
    ]
    commit(journal, batch(created, control=control))
    rows = ask(journal, "SELECT seq, field, value, known FROM field_changes ORDER BY seq, field")
    assert rows == [
        (1, "Industry", None, True),  # Rating is hidden from the user: not known
        (1, "Name", "Acme", True),  # a name is one text or parts, never both
        (2, "Industry", "Energy", True),
        (2, "Name.FirstName", None, True),
        (2, "Name.LastName", "Doe", True),
        (3, "Name", "Acme", True),
    ]


def test_what_a_user_may_read_is_what_was_described_before_the_change(journal: DuckJournal) -> None:
    control = [
        schema_record(0, "s1", ACCOUNT),
        description(0, "Account", ["Industry"]),
        description(1, "Account", ["Industry", "Rating"]),
    ]
    created = [Change(n, n, "CREATE", {"Name": "Acme"}, schema_id="s1") for n in (1, 2)]
    commit(journal, batch(created, control=control))
    rows = ask(journal, "SELECT seq, field FROM field_changes WHERE value IS NULL ORDER BY seq, field")
    assert rows == [(1, "Industry"), (2, "Industry"), (2, "Rating")]


def test_a_schema_that_no_record_told_of_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def schema_text(schema_id: str) -> str:
        asked.append(schema_id)
        return ACCOUNT

    with opened(tmp_path, schema_text=schema_text) as journal:
        commit(journal, batch([Change(1, schema_id="s9")]), batch([Change(2, schema_id="s9")]))
        assert asked == ["s9"]
        assert ask(journal, "SELECT schema_id, name, entity FROM schemas") == [
            ("s9", "AccountChangeEvent", "Account")
        ]
        assert ask(journal, "SELECT count(*) FROM store.schema_fields") == [(5,)]


def test_platform_events_are_kept_with_their_payload(journal: DuckJournal) -> None:
    event = {
        "ordinal": 1,
        "name": "Order__e",
        "event_id": "e1",
        "replay_id": b"1",
        "created_at": T0,
        "created_by": "005",
        "payload": '{"Total__c":12}',
        "schema_id": "s",
        "channel": "/event/Order__e",
        "received_at": T0,
    }
    commit(journal, batch(platform_events=[event]))
    assert ask(journal, "SELECT seq, name, created_at, payload->>'Total__c' FROM platform_events") == [
        (1, "Order__e", at(T0), "12")
    ]


def test_rows_already_held_are_skipped(journal: DuckJournal) -> None:
    first = batch([Change(1), Change(2, 2, "CREATE", {"Name": "A"})], control=[job(1, "j", "running")])
    commit(journal, first)
    before = everything(journal)
    commit(journal, first)
    assert everything(journal) == before
    overlapping = batch(
        [Change(1), Change(2, 2, "CREATE", {"Name": "A"}), Change(3, said={"Name": "B"})],
        control=[job(1, "j", "running")],
    )
    commit(journal, overlapping)
    assert ask(journal, "SELECT seq, field, value FROM field_changes ORDER BY seq") == [
        (2, "Name", "A"),
        (3, "Name", "B"),
    ]
    assert ask(journal, "SELECT count(*) FROM store.jobs") == [(1,)]


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (batch([Change(4)]), "ordinal 3 is not in the log's batch"),
        (batch([Change(5)]), "ordinals 3 to 4 are not in the log's batch"),
        (batch([Change(3), Change(5)]), "ordinal 4 is not"),
        (batch([Change(3)], upto=7), "ordinals 4 to 7 are not"),
        (batch([Change(3), Change(3)]), "ordinal 3 came twice"),
        (batch([Change(9)], missing=(5, 8)), "ordinals 3 to 4 are not"),
    ],
)
def test_a_hole_that_nobody_explains_stops_the_journal_and_is_named(
    tmp_path: Path, second: Any, sentence: str
) -> None:
    told: list[BaseException] = []
    with opened(tmp_path, on_fatal=told.append) as journal:
        commit(journal, batch([Change(1), Change(2)]))
        with pytest.raises(StopProcess, match=sentence):
            commit(journal, second)
        with pytest.raises(StopProcess, match=sentence):
            journal.commit(batch([Change(3)]))
        assert ask(journal, "SELECT count(*) FROM changes") == [(2,)]
    assert [type(error) for error in told] == [StopProcess]
    with opened(tmp_path) as journal:
        commit(journal, batch([Change(3)]))
        assert journal.checkpoint.ordinal == 3


def test_positions_are_the_latest_of_each_channel(journal: DuckJournal) -> None:
    commit(
        journal,
        batch(
            [Change(1)], control=[position(1, T0 + SECOND), position(1, T0 + 2 * SECOND, T0), position(0, T0)]
        ),
        batch(control=[position(1, T0 + 3 * SECOND, T0, channel="/data/B")], upto=1),
    )
    assert ask(
        journal, "SELECT channel, passed_to, live_from, stored_at FROM positions ORDER BY channel"
    ) == [
        ("/data/B", at(T0 + 3 * SECOND), at(T0), at(T0 + 3 * SECOND + 700)),
        (CHANNEL, at(T0 + 2 * SECOND), at(T0), at(T0 + 2 * SECOND + 700)),
    ]


def test_an_alert_shows_its_latest_version_and_its_incident_who_acknowledged_it(journal: DuckJournal) -> None:
    commit(
        journal,
        batch(control=[alert("a1", 1), alert("a2", 1), alert("a1", 2, "growing")]),
        batch(control=[alert("a1", 1), decision("ack", "a1", "ops", T0), decision("tick", "", "", T0)]),
        batch(control=[decision("ack", "a2", "ops", T0), decision("unack", "a2", "ops", T0 + SECOND)]),
    )
    assert ask(
        journal, "SELECT alert_id, version, state, records, actors->0->>'client' FROM alerts ORDER BY 1"
    ) == [
        ("a1", 2, "growing", 80, "flow"),
        ("a2", 1, "open", 40, "flow"),
    ]
    assert ask(
        journal, "SELECT incident_id, opened_at, state, acknowledged_by FROM incidents ORDER BY 1"
    ) == [
        ("a1", at(T0 + SECOND), "acknowledged", "ops"),
        ("a2", at(T0 + SECOND), "open", None),
    ]
    assert ask(journal, "SELECT count(*) FROM store.decisions") == [(3,)]


def test_a_time_no_calendar_has_does_not_stop_the_journal(journal: DuckJournal) -> None:
    commit(journal, batch([Change(1, at=2**62), Change(2, at=-(2**62), channel="/data/B")]))
    assert ask(journal, "SELECT year(committed_at) FROM changes ORDER BY seq") == [(9999,), (1,)]


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        (
            "changes",
            "seq org entity record_id kind committed_at effective_at commit_number transaction_key sequence_number "
            "user_id origin client event_id replay_id schema_id source changed_fields nulled_fields received_at",
        ),
        ("field_changes", "seq org entity record_id field value known committed_at"),
        ("platform_events", "seq org name event_id replay_id created_at created_by payload"),
        ("setup_changes", "seq org at user_id section action display component source"),
        ("coverage", "org entity record_id from_at to_at status reason evidence repaired_at"),
        ("baselines", "org entity started_at finished_at rows position"),
        (
            "quarantine",
            "org channel event_id replay_id schema_id received_at reason payload entity record_ids decoded_at",
        ),
    ],
)
def test_a_public_view_begins_with_the_columns_of_the_contract(
    journal: DuckJournal, view: str, columns: str
) -> None:
    names = [name for name, *_ in ask(journal, f"DESCRIBE {view}")]
    assert names[: len(columns.split())] == columns.split()


@pytest.mark.parametrize(
    "view", ["schemas", "positions", "alerts", "incidents", "restores", "restore_records", "seals"]
)
def test_every_other_public_view_can_be_asked(journal: DuckJournal, view: str) -> None:
    assert ask(journal, f"SELECT count(*) FROM {view}") == [(0,)]


def test_every_public_time_is_a_timestamp_without_a_zone(journal: DuckJournal) -> None:
    rows = ask(
        journal,
        "SELECT DISTINCT data_type FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
        " AND (ends_with(column_name, '_at') OR column_name IN ('passed_to', 'live_from', 'at'))",
    )
    assert rows == [("TIMESTAMP",)]


def test_a_decision_read_twice_is_held_once_and_only_those_of_its_time_are_looked_at(tmp_path: Path) -> None:
    told = [decision("ack", f"alert{n}", "ann", T0 + n * SECOND) for n in range(50)]
    with opened(tmp_path) as journal:
        commit(journal, batch(control=told))
        again = [told[7], decision("ack", "alert7", "bob", T0 + 7 * SECOND), told[3]]
        commit(journal, batch(control=again, offset=1))
        assert ask(journal, "SELECT count(*) FROM store.decisions") == [(51,)]
        with journal.reader() as reader:
            times = [(T0 + n * SECOND) * 1000 for n in (3, 7)]
            looked_at = reader.execute(statement("decisions_of"), {"times": times}).fetchall()
    assert sorted((alert_id, by) for _, _, alert_id, by, _ in looked_at) == [
        ("alert3", "ann"),
        ("alert7", "ann"),
        ("alert7", "bob"),
    ]


def test_what_an_event_says_of_a_formula_is_not_taken_for_known_from_its_description_on(
    tmp_path: Path,
) -> None:
    """It changes without an event: the value of a creation would stand for ever."""
    told = {
        "fields": [{"path": p, "name": p, "type": "string"} for p in ("Name", "Score__c")],
        "unstreamed": ["Score__c"],
    }
    described = LogRecord("schemas", "describe/Account", json.dumps(told).encode(), 1)
    said = {"Name": "n", "Score__c": "5"}
    changes = [Change(n, n, "CREATE", said) for n in (1, 2)]
    with opened(tmp_path) as journal:
        commit(journal, batch(changes, control=[described]))
        commit(journal, batch([Change(3, 1, said=said)]))
        held = "SELECT seq, field FROM store.hot_fields ORDER BY seq, field"
        assert ask(journal, held) == [(1, "Name"), (1, "Score__c"), (2, "Name"), (3, "Name")]
        assert ask(journal, "SELECT changed_fields FROM changes WHERE seq = 3") == [(["Name", "Score__c"],)]
