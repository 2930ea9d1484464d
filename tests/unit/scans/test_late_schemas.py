"""An event put aside because nobody knew its schema is read when the schema is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import schemas.own as own
from cdc.answer.definitions import definitions
from cdc.answer.questions import state
from cdc.journal.journal import DuckJournal
from cdc.ports.columns import Bad, ColumnBatch
from cdc.ports.log import LogRecord
from tests.unit.avro.salesforce_shapes import encode, event, event_schema
from tests.unit.journal.batches import (
    CHANNEL,
    SECOND,
    T0,
    Change,
    batch,
    description,
    in_two,
    position,
    record_id,
    schema_record,
)
from tests.unit.journal.held import ask, commit, everything, opened

SHAPE = event_schema("Account", [("Name", "Text"), ("Phone", "Phone")])
TEXT = json.dumps(SHAPE)


@pytest.fixture
def requested() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def journal(tmp_path: Path, requested: list[dict[str, Any]]) -> Iterator[DuckJournal]:
    with opened(tmp_path, definitions=definitions(), on_requests=requested.extend) as journal:
        yield journal


def put_aside(ordinal: int, *records: int, at: int, **values: Any) -> Bad:
    """A merged CREATE as capture keeps it."""
    given = event(
        SHAPE, values, changeType="CREATE", recordIds=[record_id(r) for r in records], commitTimestamp=at
    )
    kept = {
        "channel": CHANNEL,
        "event_id": f"event{ordinal}",
        "replay_id": b"0a",
        "schema_id": "S",
        "received_at": at + 100,
        "reason": "nobody knows the schema",
        "payload": encode(SHAPE, given),
        "entity": "",
        "record_ids": [],
    }
    more: Mapping[str, Any] = {"channel": CHANNEL, "event_id": f"event{ordinal}", "schema_id": "S"}
    record = LogRecord("quarantine", f"event{ordinal}", own.encode("quarantine", kept), ordinal, **more)
    return Bad(record, "nobody knows the schema")


def history() -> ColumnBatch:
    """A known event, one put aside, a known one; then the schema is told."""
    changes = [
        Change(1, 1, "CREATE", {"Name": "A", "Phone": "1"}),
        Change(3, 1, said={"Phone": "3"}, at=T0 + 9 * SECOND),
    ]
    told = schema_record(3, "S", TEXT)._replace(appended_at=T0 + 60 * SECOND)
    control = [description(0, "Account", ["Name", "Phone"]), told, position(3, T0 + 90 * SECOND, T0 - SECOND)]
    return batch(changes, bad=[put_aside(2, 1, 2, at=T0 + 5 * SECOND, Name="B", Phone="2")], control=control)


def names(journal: DuckJournal, at_ms: int) -> dict[str, Any]:
    with journal.reader() as reader:
        rows = state(reader, "Account", at=datetime.fromtimestamp(at_ms / 1000, UTC)).dicts()
    return {row["record_id"]: (row["fields"], row["complete"]) for row in rows}


def test_until_then_everything_of_the_channel_is_unknown_from_its_place_on(
    journal: DuckJournal, requested: list[dict[str, Any]]
) -> None:
    whole = history()
    commit(journal, in_two(whole, 2)[0], batch(control=[position(2, T0 + 90 * SECOND, T0 - SECOND)], upto=2))
    assert names(journal, T0 + 60 * SECOND) == {record_id(1): ({}, False)}
    assert [(j["job_id"], j["kind"], j["record_ids"]) for j in requested] == [("schema-S", "schema", ["S"])]


def test_then_it_stands_in_its_place_for_each_of_its_records(journal: DuckJournal) -> None:
    commit(journal, history())
    assert ask(
        journal, "SELECT seq, record_id, kind, epoch_ms(effective_at) FROM changes ORDER BY seq, record_id"
    ) == [
        (1, record_id(1), "CREATE", T0),
        (2, record_id(1), "CREATE", T0 + 5 * SECOND),
        (2, record_id(2), "CREATE", T0 + 5 * SECOND),
        (3, record_id(1), "UPDATE", T0 + 9 * SECOND),
    ]
    assert names(journal, T0 + 60 * SECOND) == {
        record_id(1): ({"Name": "B", "Phone": "3"}, True),
        record_id(2): ({"Name": "B", "Phone": "2"}, True),
    }
    assert ask(journal, "SELECT status, evidence FROM coverage WHERE status <> 'live'") == [
        ("repaired", "read with its schema")
    ]
    assert ask(journal, "SELECT count(*), count(decoded_at) FROM quarantine") == [(1, 1)]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_however_the_log_is_cut_the_rows_are_the_same(tmp_path: Path, cut: int) -> None:
    held = []
    for name, batches in (("whole", (history(),)), ("cut", in_two(history(), cut))):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name) as journal:
            commit(journal, *batches)
            commit(journal, batch(control=[schema_record(3, "S", TEXT)], upto=3))  # told once more
            held.append(everything(journal))
    assert held[0] == held[1]


def test_its_time_does_not_pass_that_of_the_event_behind_it(journal: DuckJournal) -> None:
    whole = history()
    late = put_aside(2, 2, at=T0 + 20 * SECOND, Name="B")
    commit(journal, batch([Change(1), Change(3, at=T0 + 9 * SECOND)], bad=[late], control=whole.control))
    assert ask(journal, "SELECT seq, epoch_ms(effective_at) FROM changes ORDER BY seq") == [
        (1, T0),
        (2, T0 + 9 * SECOND),
        (3, T0 + 9 * SECOND),
    ]


def test_a_schema_that_does_not_fit_leaves_it_as_it_is(journal: DuckJournal) -> None:
    bad = put_aside(2, 1, at=T0, Name="B")
    kept = own.decode("quarantine", bad.record.value) | {"payload": b"\x07"}
    record = bad.record._replace(value=own.encode("quarantine", kept))
    commit(journal, batch([Change(1)], bad=[Bad(record, "cut short")], control=[schema_record(2, "S", TEXT)]))
    assert ask(journal, "SELECT count(*), count(decoded_at) FROM quarantine") == [(1, 0)]
    assert ask(journal, "SELECT status FROM coverage") == [("unknown",)]


@pytest.mark.parametrize("cut", [None, 1, 2])
def test_an_event_put_aside_just_after_its_schema_came_is_read_at_once(
    tmp_path: Path, cut: int | None
) -> None:
    late = put_aside(2, 2, at=T0 + 5 * SECOND, Name="B")
    whole = batch(
        [Change(1), Change(3, at=T0 + 9 * SECOND)], bad=[late], control=[schema_record(1, "S", TEXT)]
    )
    with opened(tmp_path) as journal:
        commit(journal, *((whole,) if cut is None else in_two(whole, cut)))
        assert ask(journal, "SELECT seq, kind FROM changes ORDER BY seq") == [
            (1, "UPDATE"),
            (2, "CREATE"),
            (3, "UPDATE"),
        ]
        assert ask(journal, "SELECT version, status FROM store.coverage ORDER BY version") == [
            (2000, "unknown"),
            (2901, "repaired"),
        ]
