"""A person's own SQL is one SELECT, and takes no more than it may."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cdc.answer.query import QueryLimits, query, query_arrow
from cdc.errors import BadArgument
from tests.unit.answer import recorded
from tests.unit.answer.told import Told


@pytest.fixture
def reader() -> duckdb.DuckDBPyConnection:
    told = Told()
    for n in range(1, 4):
        told.event("UPDATE", n, Phone=str(n))
    connection = told.opened()
    connection.execute("SET enable_external_access = false")
    return connection


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM changes",
        "FROM changes",
        "WITH c AS (FROM changes) SELECT kind FROM c",
        "VALUES (1)",
        "DESCRIBE changes",
        "SELECT record_id, fields FROM state_at('Account', '2026-01-01')",
        "SELECT count(*) FROM store.fields;",
    ],
)
def test_one_select_is_answered(reader: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert query(reader, sql).rows


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "selec",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE store.changes",
        "DELETE FROM store.changes",
        "CREATE TABLE t (a INTEGER)",
        "SET threads = 1",
        "ATTACH ':memory:' AS other",
        "COPY store.changes TO 'changes.csv'",
        "EXPLAIN ANALYZE DELETE FROM store.changes",
        "CALL checkpoint()",
        "FROM checkpoint()",
        "FROM force_checkpoint()",
        "SELECT * FROM (SELECT * FROM CHECKPOINT())",
        "FROM query('FROM checkpoint()')",
        "SELECT write_log('x')",
        "INSTALL json",
        "PRAGMA enable_profiling",
    ],
)
def test_anything_else_is_refused_and_changes_nothing(reader: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(BadArgument):
        query(reader, sql)
    assert reader.execute("SELECT count(*) FROM store.changes").fetchone() == (3,)


def test_no_file_is_read(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for sql in (
        f"FROM '{secret}'",
        f"FROM read_csv('{secret}')",
        f"FROM read_text('{secret}')",
        "FROM glob('/*')",
    ):
        with pytest.raises(BadArgument, match="refused"):
            query(reader, sql)


def test_a_query_that_runs_too_long_is_stopped_and_the_reader_stays_good(
    reader: duckdb.DuckDBPyConnection,
) -> None:
    endless = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"
    with pytest.raises(BadArgument, match=r"stopped after 0\.2 s"):
        query(reader, endless, limits=QueryLimits(run_s_max=0.2))
    assert query(reader, "SELECT 1 AS one").rows == [(1,)]


def test_rows_beyond_the_limit_are_cut_off_and_said(reader: duckdb.DuckDBPyConnection) -> None:
    answer = query(reader, "SELECT i FROM range(100000000) t(i)", limit=10)
    assert (len(answer.rows), answer.complete, answer.reasons) == (10, False, ["cut off after 10 rows"])
    assert query(reader, "SELECT i FROM range(10) t(i)", limit=10).complete


def test_bytes_beyond_the_limit_are_cut_off_and_said(reader: duckdb.DuckDBPyConnection) -> None:
    limits = QueryLimits(bytes_max=50_000)
    table, cut_by = query_arrow(reader, "SELECT repeat('x', 1000) AS a FROM range(5000)", 5000, limits)
    assert 0 < table.num_rows < 60
    assert "50000 bytes" in cut_by


def test_a_limit_out_of_range_is_refused(reader: duckdb.DuckDBPyConnection) -> None:
    for limit in (0, -1, 10_001):
        with pytest.raises(BadArgument, match="1 to 10000 rows"):
            query(reader, "SELECT 1", limit=limit)


def test_maps_and_lists_come_as_such(reader: duckdb.DuckDBPyConnection) -> None:
    answer = query(reader, "SELECT MAP {'a': 'b'} AS m, [1, 2] AS l, {'x': 1} AS s")
    assert answer.as_json()["rows"] == [[{"a": "b"}, [1, 2], {"x": 1}]]


def test_the_journal_asked_is_the_one_recorded(reader: duckdb.DuckDBPyConnection) -> None:
    assert query(reader, "SELECT DISTINCT org FROM changes").rows == [(recorded.ORG,)]
