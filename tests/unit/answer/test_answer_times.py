"""From what a person writes to a moment."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import pytest

from cdc.answer.times import Moment, moment, newest_org_time, parse_time
from cdc.errors import BadArgument, NotFound
from tests.unit.answer import recorded
from tests.unit.answer.told import MINUTE, A, Told

NEWEST = datetime(2026, 11, 23, 12, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T10:02:00Z", datetime(2026, 11, 23, 10, 2)),
        ("2026-11-23T10:02:00.250+02:00", datetime(2026, 11, 23, 8, 2, 0, 250_000)),
        ("2026-11-23 10:02", datetime(2026, 11, 23, 10, 2)),
        ("2026-11-23", datetime(2026, 11, 23)),
        ("-15m", datetime(2026, 11, 23, 11, 45)),
        ("-2h", datetime(2026, 11, 23, 10, 0)),
        ("-3d", datetime(2026, 11, 20, 12, 0)),
        ("now", None),
    ],
)
def test_a_time_is_read_as_utc_and_a_relative_one_counts_back_from_the_newest_org_time(
    text: str, expected: datetime | None
) -> None:
    assert parse_time(text, NEWEST) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "-15", "-1y", "10:02", "-999999999w", "2026-11-23T"]
)
def test_what_is_no_time_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(BadArgument, match="2026-11-23T10:02:00Z"):
        parse_time(text, NEWEST)


def test_an_empty_journal_has_no_time_to_count_back_from() -> None:
    connection = recorded.opened()
    assert newest_org_time(connection) is None
    with pytest.raises(BadArgument, match="nothing has been recorded"):
        moment(connection, at="-15m")


def test_a_time_and_a_cut_exclude_each_other() -> None:
    with pytest.raises(BadArgument, match="either --at or --before"):
        moment(recorded.opened(), at="now", before="1")


@pytest.fixture
def told() -> duckdb.DuckDBPyConnection:
    told = Told()
    for minute in range(1, 7):
        told.event("UPDATE", minute, Phone=str(minute))
    connection = told.opened()
    recorded.insert(connection, "alerts", [_alert()])
    return connection


def test_a_cut_is_found_by_ordinal_by_transaction_and_by_alert(told: duckdb.DuckDBPyConnection) -> None:
    assert moment(told, before=3) == Moment(cut=3)
    assert moment(told, before="transaction2") == Moment(cut=4)
    assert moment(told, before="alert-1") == Moment(cut=5)


def test_a_cut_at_nothing_known_is_said(told: duckdb.DuckDBPyConnection) -> None:
    for text in ("99", "no-such-transaction", "'; DROP TABLE x"):
        with pytest.raises(NotFound, match="no change, transaction or incident"):
            moment(told, before=text)


def _alert() -> dict[str, object]:
    texts = dict.fromkeys(("kinds", "samples", "evidence"), "[]")
    words = dict.fromkeys(("usual", "coverage", "next"), "")
    return {
        "alert_id": "alert-1",
        "version": 1,
        "org": recorded.ORG,
        "severity": "page",
        "state": "open",
        "title": "a flow sets Phone",
        "first_change_at": recorded.at(4 * MINUTE),
        "last_change_at": recorded.at(6 * MINUTE),
        "decided_at": recorded.at(6 * MINUTE),
        "at_change": 6,
        "at_ordinal": 6,
        "records": 1,
        "changes": 2,
        "transactions": 1,
        "actors": '[{"user_id": "user5"}]',
        "targets": '[{"entity": "Account", "field": "Phone"}]',
        **texts,
        **words,
    }


def test_the_id_of_the_record_asked_about_is_not_a_cut(told: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(NotFound):
        moment(told, before=A)


def test_a_cut_is_found_by_an_incident_that_somebody_opened(told: duckdb.DuckDBPyConnection) -> None:
    empty: dict[str, object] = {k: [] for k in ("users", "entities", "transactions", "clients", "records")}
    scope = {"include": [{**empty, "from_at": 3 * MINUTE, "to_at": None, "users": ["user4", "user5"]}]}
    columns = [row[0] for row in told.execute("DESCRIBE store.incidents").fetchall()]
    row: dict[str, object] = {
        "incident_id": "incident-1",
        "version": 1,
        "org": recorded.ORG,
        "scope": json.dumps(scope),
    }
    for name, kind in told.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'incidents' AND NOT is_nullable"
    ).fetchall():
        row.setdefault(
            name, "" if kind == "VARCHAR" else 0 if kind in ("BIGINT", "INTEGER") else recorded.at(0)
        )
    recorded.insert(told, "incidents", [{k: v for k, v in row.items() if k in columns}])
    assert moment(told, before="incident-1") == Moment(cut=4)
