"""A person's own SQL is one SELECT, and takes no more than it may."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cdc.answer.query import QueryLimits, query, query_arrow, query_table
from cdc.answer.tables import honesty_of
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
        "LOAD httpfs",
        "INSTALL httpfs FROM 'http://127.0.0.1:1'",
        "FORCE INSTALL spatial",
        "UPDATE store.changes SET kind = 'DELETE'",
        "INSERT INTO store.meta VALUES ('version', '1')",
        "DROP VIEW changes",
        "ALTER TABLE store.meta ADD COLUMN x INTEGER",
        "TRUNCATE store.changes",
        "BEGIN",
        "COMMIT",
        "VACUUM",
        "CHECKPOINT",
        "DETACH memory",
        "USE store",
        "RESET threads",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "EXPORT DATABASE '/tmp/copy'",
        "IMPORT DATABASE '/tmp/copy'",
        "CREATE MACRO m() AS 1",
        "CREATE OR REPLACE VIEW main.changes AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE SECRET s (TYPE s3)",
        "COPY (SELECT 1) TO '/tmp/x.parquet' (FORMAT parquet)",
        "COMMENT ON VIEW changes IS 'x'",
        "MERGE INTO store.meta USING store.meta ON false WHEN NOT MATCHED THEN INSERT",
        "SELECT 1;;SELECT 2",
        "/* x */ DELETE FROM store.changes /* SELECT 1 */",
        "FROM query_table('store.changes')",
        "SELECT * FROM (FROM QUERY('SELECT 1'))",
        "SELECT nextval('s')",
        "WITH d AS (DELETE FROM store.changes RETURNING *) SELECT * FROM d",
        "SELECT 1 /*; DROP TABLE store.changes",
        "SELECT 1 -- \nFROM changes; DELETE FROM store.changes",
        "SELECT 1 FROM changes\u037e DELETE FROM store.changes",
        "SEL\u200bECT 1",
        " \x00SELECT 1",
        "EXPLAIN SELECT 1",
        "CALL pragma_version()",
        "SET VARIABLE files = ['/etc/passwd']",
        "SET SESSION search_path = 'store'",
        "COPY changes TO PROGRAM 'id'",
        "ATTACH 'sqlite:/tmp/x' (TYPE sqlite)",
        "CREATE FUNCTION f(a) AS a",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM checkpoint()'))",
        "FROM \"json_execute_serialized_sql\"('{}')",
        "FROM \"QUERY\"('SELECT 1')",
        "FROM query_table(['changes'])",
        "FROM arrow_scan(1, 2, 3)",
        "FROM pandas_scan(1)",
        "FROM seq_scan(1)",
        "SELECT getenv('HOME')",
        "FROM duckdb_secrets()",
        "FROM which_secret('s3://x', 's3')",
        "FROM enable_logging()",
        "FROM sqlite_scan('/tmp/x', 't')",
        "FROM postgres_scan('', '', '')",
        "FROM iceberg_scan('/')",
        "FROM dbgen(sf = 1)",
        "SELECT " + "1+" * 20_000 + "1",
    ],
)
def test_anything_else_is_refused_and_changes_nothing(reader: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(BadArgument):
        query(reader, sql, limits=QueryLimits(run_s_max=1))
    assert reader.execute("SELECT count(*) FROM store.changes").fetchone() == (3,)


def test_no_file_is_read(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for sql in (
        f"FROM '{secret}'",
        f"FROM read_csv('{secret}')",
        f"FROM read_text('{secret}')",
        "FROM glob('/*')",
        f"FROM read_blob('{secret}')",
        f"FROM read_parquet('{secret}')",
        f"FROM read_json('{secret}')",
        f"FROM read_ndjson_objects('{secret}')",
        f"FROM sniff_csv('{secret}')",
        f"FROM parquet_metadata('{secret}')",
        f"SELECT * FROM changes, read_text('{secret}')",
        f"WITH a AS (FROM read_text('{secret}')) FROM a",
        f"SELECT (SELECT content FROM read_text('{secret}'))",
        "FROM 'http://127.0.0.1:1/x.csv'",
        "FROM read_text('/etc/passwd')",
        "FROM read_text('/proc/self/environ')",
        "FROM '/proc/self/environ'",
        "FROM read_csv('/dev/stdin')",
        "FROM parquet_kv_metadata('/etc/passwd')",
        "FROM glob('../**')",
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


@pytest.mark.parametrize(
    "endless",
    [
        "SELECT sum(range) FROM range(1000000000000)",
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
        "SELECT pg_sleep(1000)",
    ],
)
def test_what_has_no_end_is_stopped(reader: duckdb.DuckDBPyConnection, endless: str) -> None:
    with pytest.raises(BadArgument, match="stopped after"):
        query(reader, endless, limits=QueryLimits(run_s_max=0.2))
    assert query(reader, "SELECT 1 AS one").rows == [(1,)]


@pytest.mark.parametrize(
    "large",
    [
        "SELECT list_transform(range(100000000), x -> repeat('y', 100))",
        "SELECT range(10000), range(10000)",
        "SELECT repeat(repeat('x', 10000), 10000)",
        "SELECT lpad('x', 100000000, 'y')",
        "SELECT list_resize([1], 100000000)",
        "SELECT Generate_Series(1, 100000000)",
    ],
)
def test_a_value_that_would_grow_beyond_bounds_is_never_made(
    reader: duckdb.DuckDBPyConnection, large: str
) -> None:
    with pytest.raises(BadArgument, match="are the most"):
        query(reader, large)


@pytest.mark.parametrize(
    "unsure", ["SELECT repeat('x', seq * 1000000000) FROM changes", "SELECT range(10 ** 9)"]
)
def test_a_value_whose_size_is_not_known_is_never_made(
    reader: duckdb.DuckDBPyConnection, unsure: str
) -> None:
    with pytest.raises(BadArgument, match="whole number"):
        query(reader, unsure)


def test_small_values_may_grow(reader: duckdb.DuckDBPyConnection) -> None:
    assert query(reader, "SELECT lpad(seq::VARCHAR, 5, '0') FROM changes ORDER BY seq LIMIT 1").rows == [
        ("00001",)
    ]
    assert query(reader, "SELECT count(*) FROM range(100000)").rows == [(100_000,)]
    assert query(reader, "SELECT len(range(1, 10))").rows == [(9,)]


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


def test_what_would_take_all_memory_is_bounded_and_the_reader_stays_good(
    reader: duckdb.DuckDBPyConnection,
) -> None:
    reader.execute("SET memory_limit = '200MB'")
    for hungry in (
        "SELECT list(a.i || repeat('x', 1000)) FROM range(10000000) a(i)",
        "SELECT string_agg(repeat('x', 1000000)) FROM range(100000)",
    ):
        with pytest.raises(BadArgument) as refused:
            query(reader, hungry, limits=QueryLimits(run_s_max=5))
        assert "\n" not in refused.value.sentence()
    assert query(reader, "SELECT count(*) FROM changes").rows == [(3,)]


def test_pages_of_a_query_hold_every_row_once(reader: duckdb.DuckDBPyConnection) -> None:
    sql, seen, cursor = "SELECT i FROM range(7) t(i) ORDER BY i", [], None
    while True:
        answer = query(reader, sql, limit=3, cursor=cursor)
        seen += [row[0] for row in answer.rows]
        if (cursor := answer.next) is None:
            break
    assert seen == list(range(7))
    first = query(reader, sql, limit=3)
    with pytest.raises(BadArgument, match="another query"):
        query(reader, "SELECT 1", cursor=first.next)


def test_an_answer_in_columns_keeps_the_types_of_the_database(reader: duckdb.DuckDBPyConnection) -> None:
    table = query_table(
        reader, "SELECT 1.50::DECIMAL(9,2) AS a, DATE '2026-11-23' AS b, MAP {'k': NULL::VARCHAR} AS c"
    )
    assert [str(kind) for kind in table.schema.types] == [
        "decimal128(9, 2)",
        "date32[day]",
        "map<string, string>",
    ]
    assert honesty_of(table)["complete"]
    cut = query_table(reader, "SELECT i FROM range(10) t(i)", limit=4)
    assert (cut.num_rows, honesty_of(cut)["complete"]) == (4, False)
