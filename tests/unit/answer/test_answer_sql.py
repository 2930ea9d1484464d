"""The public views and macros are those of the contract; views of entities follow their schemas while it runs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from cdc.answer.definitions import definitions
from cdc.answer.entity_views import RESERVED, refresh_entity_views
from cdc.journal.journal import DuckJournal
from tests.unit.answer import recorded
from tests.unit.answer.told import MINUTE, A, Told
from tests.unit.journal.batches import ORG, Change, batch, description

VIEWS = {
    "changes": "seq org entity record_id kind committed_at effective_at commit_number transaction_key sequence_number "
    "user_id origin client event_id replay_id schema_id source changed_fields nulled_fields received_at",
    "field_changes": "seq org entity record_id field value known committed_at",
    "platform_events": "seq org name event_id replay_id created_at created_by payload",
    "setup_changes": "seq org at user_id section action display component source",
    "coverage": "org entity record_id from_at to_at status reason evidence repaired_at",
    "baselines": "org entity started_at finished_at rows position",
    "quarantine": "org channel event_id replay_id schema_id received_at reason payload entity record_ids decoded_at",
}
"""The contract, section 5."""

NAMED_ONLY = ("schemas", "positions", "alerts", "incidents", "restores", "restore_records", "seals")

STATE_AT = "org record_id status fields last_change_seq known_since inferred_since complete incomplete_reason"
RECORD_AT = "field value known set_at set_by set_client seq"


def columns(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[str, str]]:
    found = connection.execute(f"DESCRIBE FROM {source}").fetchall()
    return [(row[0], row[1]) for row in found]


@pytest.mark.parametrize("view", VIEWS)
def test_a_public_view_has_exactly_the_columns_of_the_contract(view: str) -> None:
    assert [name for name, _ in columns(recorded.opened(), f"main.{view}")] == VIEWS[view].split()


@pytest.mark.parametrize("view", NAMED_ONLY)
def test_every_other_view_of_the_contract_is_there(view: str) -> None:
    assert columns(recorded.opened(), f"main.{view}")


def test_the_macros_give_what_the_contract_says() -> None:
    connection = recorded.opened()
    assert [
        n for n, _ in columns(connection, "state_at('Account', TIMESTAMP '2026-01-01')")
    ] == STATE_AT.split()
    found = [n for n, _ in columns(connection, f"record_at('Account', '{A}', TIMESTAMP '2026-01-01')")]
    assert found[:7] == RECORD_AT.split()


def test_no_time_has_a_zone_and_every_at_is_a_timestamp() -> None:
    connection = recorded.opened()
    for view in (*VIEWS, *NAMED_ONLY):
        for name, kind in columns(connection, f"main.{view}"):
            assert "WITH TIME ZONE" not in kind, (view, name)
            if name.endswith("_at") or name == "at":
                assert kind == "TIMESTAMP", (view, name)


def described(connection: duckdb.DuckDBPyConnection, at_seq: int, **kinds: str) -> None:
    fields = [{"path": path.replace("__", "."), "name": path, "type": kind} for path, kind in kinds.items()]
    row = {"entity": "Account", "at_seq": at_seq, "fields": json.dumps(fields)}
    recorded.insert(connection, "descriptions", [row])


def test_a_typed_view_says_which_fields_are_not_known() -> None:
    told = Told()
    told.event("UPDATE", 1, Phone=None, Status="x")
    connection = told.opened()
    described(connection, 1, Phone="phone", Amount="currency", Status="picklist")
    refresh_entity_views(connection)
    [row] = connection.execute('SELECT Phone, Amount, "_Status", unknown_fields FROM account').fetchall()
    assert row == (None, None, "x", ["Amount"])
    assert connection.execute("SELECT nulled_fields, unknown_fields FROM account_history").fetchall() == [
        ([], [])
    ]


def test_types_are_the_same_whatever_zone_the_reader_lives_in() -> None:
    told = Told()
    told.event("CREATE", 1, CreatedDate="2026-11-23T23:30:00.000Z", Day="2026-11-23", Hour="23:30:00.000Z")
    connection = told.opened()
    described(connection, 1, CreatedDate="datetime", Day="date", Hour="time")
    refresh_entity_views(connection)
    told_times = set()
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        try:
            connection.execute(f"SET TimeZone = '{zone}'")
        except duckdb.Error:
            pytest.skip("this DuckDB has no zones")
        sql = "SELECT CreatedDate::VARCHAR, Day::VARCHAR, Hour::VARCHAR, committed_at::VARCHAR FROM account_history"
        told_times |= set(connection.execute(sql).fetchall())
    assert told_times == {("2026-11-23 23:30:00", "2026-11-23", "23:30:00", "1970-01-01 00:01:00")}


def test_hostile_names_make_no_more_than_their_view() -> None:
    connection = recorded.opened()
    names = [
        'x"; DROP TABLE store.changes; --',
        "a'b",
        "select",
        "Order",
        "Name",
        "name",
        "record_id",
        "RECORD_ID",
    ]
    fields = [{"path": name, "name": name, "type": "string"} for name in names]
    rows = [
        {"entity": e, "at_seq": 1, "fields": json.dumps(fields)} for e in ("Order", 'E"x', "changes", "Seals")
    ]
    recorded.insert(connection, "descriptions", rows)
    made = refresh_entity_views(connection)
    assert set(made) == {"order", "order_history", 'e"x', 'e"x_history'}
    assert connection.execute('SELECT count(*) FROM "order"').fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)


def test_a_field_that_is_new_to_the_org_is_a_column_while_the_journal_runs(tmp_path: Path) -> None:
    journal = DuckJournal(
        str(tmp_path / "j.duckdb"), ORG, definitions=definitions(), on_fields=refresh_entity_views,
        threads=1, memory_limit="512MB",
    )  # fmt: skip
    journal.open()
    try:
        first = [description(0, "Account", ["Name"])]
        journal.commit(batch([Change(1, said={"Name": "a"})], control=first)).result()
        with journal.reader() as reader:
            assert [c for c, _ in columns(reader, "account")][:3] == ["record_id", "status", "Name"]
        second = [description(1, "Account", ["Name", "Score__c"])]
        journal.commit(batch([Change(2, said={"Name": "a", "Score__c": "1.5"})], control=second)).result()
        with journal.reader() as reader:
            assert ("Score__c", "VARCHAR") in columns(reader, "account")
            assert ("1.5",) in reader.execute("SELECT Score__c FROM account_history").fetchall()
    finally:
        journal.close()


def test_the_file_is_read_by_any_duckdb_and_through_arrow(tmp_path: Path) -> None:
    path = str(tmp_path / "copy.duckdb")
    told = Told()
    told.event("CREATE", 1, Name="a", Amount="1.5")
    connection = told.opened()
    described(connection, 1, Name="string", Amount="currency")
    connection.execute(f"ATTACH '{path}' AS copy")
    connection.execute("COPY FROM DATABASE memory TO copy")
    connection.execute("DETACH copy")
    with duckdb.connect(path) as plain:
        for statement in definitions():
            plain.execute(statement)
        refresh_entity_views(plain)
    with duckdb.connect(path, read_only=True) as plain:
        assert plain.execute("SELECT Name, Amount FROM account").fetchall() == [("a", 1.5)]
        at = recorded.at(2 * MINUTE)
        [row] = plain.execute(
            "SELECT fields, complete FROM state_at('Account', ?::TIMESTAMP)", [at]
        ).fetchall()
        assert row == ({"Name": "a", "Amount": "1.5"}, True)
        table = plain.execute("SELECT * FROM changes").to_arrow_table()
        assert table["committed_at"].to_pylist() == [datetime(1970, 1, 1, 0, 1)]


def test_no_entity_takes_the_name_of_a_public_view() -> None:
    found = recorded.opened().execute(
        "SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
    )
    assert {name for (name,) in found.fetchall()} <= RESERVED
