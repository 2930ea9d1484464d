"""A person's own SQL: one SELECT, in a read-only transaction, with limits.

DuckDB's own parser decides what the statement is (reliability.md, "Security"). The instance runs with
external access off, so no file is read whatever the statement says; what would change the instance itself
(checkpoints, logs) is refused by name. A timer interrupts what runs too long.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa

from cdc.answer.answers import Answer, place_of_cursor, to_cursor
from cdc.answer.tables import with_honesty
from cdc.errors import BadArgument

ROWS_DEFAULT = 1_000


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one statement may take: rows and bytes of its result, and seconds of its run."""

    rows_max: int = 10_000
    bytes_max: int = 32_000_000
    run_s_max: float = 10.0


LIMITS = QueryLimits()
TABLE_LIMITS = QueryLimits(rows_max=1_000_000, bytes_max=256_000_000, run_s_max=60.0)
"""Of an answer in columns: no row of it becomes an object."""

CHUNK_ROWS = 2_000
"""Rows fetched at a time: bytes are counted between chunks."""

REFUSED_FUNCTIONS = frozenset(
    {
        "checkpoint", "force_checkpoint", "enable_logging", "disable_logging", "set_log_level",
        "truncate_duckdb_logs", "write_log", "enable_profiling", "disable_profiling", "query", "query_table",
        "json_execute_serialized_sql", "arrow_scan", "arrow_scan_dumb", "pandas_scan", "python_map_function", "seq_scan",
        "postgres_query", "postgres_execute", "postgres_scan", "postgres_scan_pushdown", "postgres_attach",
        "postgres_configure_pool",
    }
)  # fmt: skip
"""Functions that change the instance, hide a statement in a text, read from an address of memory, or go past it to
the catalog of a lake."""

GROWING_FUNCTIONS = frozenset(
    {"range", "generate_series", "repeat", "list_resize", "array_resize", "lpad", "rpad", "bitstring"}
)
"""Functions that make a large value of a small one. Values are made in memory that no limit of the database counts and
no interrupt reaches, so how large one becomes is settled before it is asked. As a source of rows `range` is free."""

GROWN_MAX = 1_000_000
"""Elements or characters that all of them in one statement may multiply to."""

_DO = "ask one SELECT over the public views, like SELECT count(*) FROM changes"


def query(
    reader: Any, sql: str, limit: int = ROWS_DEFAULT, cursor: str | None = None, limits: QueryLimits = LIMITS
) -> Answer:
    """The rows of one SELECT. Cut off where a limit is met, which makes the answer incomplete and is said; `next`
    goes on behind it. The statement runs anew for each page: give it an ORDER BY.

    Errors: BadArgument for anything that is not one SELECT, that the database refuses, or that takes too long.
    """
    table, told = _asked(reader, sql, limit, cursor, limits)
    values = [column.to_pylist(maps_as_pydicts="lossy") for column in table.columns]
    return replace(told, rows=list(zip(*values, strict=True)))


def query_table(
    reader: Any,
    sql: str,
    limit: int = ROWS_DEFAULT,
    cursor: str | None = None,
    limits: QueryLimits = TABLE_LIMITS,
) -> pa.Table:
    """The same with DuckDB's own types, for Parquet and Arrow; what qualifies it in the schema's metadata."""
    table, told = _asked(reader, sql, limit, cursor, limits)
    return with_honesty(table, told)


def _asked(
    reader: Any, sql: str, limit: int, cursor: str | None, limits: QueryLimits
) -> tuple[pa.Table, Answer]:
    """The rows, and the answer that goes with them, its own rows empty."""
    if not 1 <= limit <= limits.rows_max:
        raise BadArgument(f"a query gives 1 to {limits.rows_max} rows, not {limit}", do="narrow the query")
    same = hashlib.sha256(sql.encode()).hexdigest()[:12]
    skip, of = (0, same) if cursor is None else place_of_cursor(cursor, (int, str))
    if of != same or skip < 0:
        raise BadArgument("the cursor is of another query", do="start without a cursor")
    table, cut_by = query_arrow(reader, sql, limit, limits, skip)
    following = to_cursor([skip + table.num_rows, same]) if cut_by and table.num_rows else None
    reasons = [cut_by] if cut_by else []
    return table, Answer(table.column_names, (), complete=not cut_by, reasons=reasons, next=following)


def query_arrow(
    reader: Any, sql: str, limit: int, limits: QueryLimits = LIMITS, skip: int = 0
) -> tuple[pa.Table, str]:
    """An Arrow table of the rows behind the first `skip`, and a sentence where it was cut off (else empty)."""
    statement = _the_select(reader, sql)
    try:
        with _translated(limits), _interrupted_after(reader, limits.run_s_max):
            reader.execute("BEGIN TRANSACTION READ ONLY")
            rows = reader.execute(statement).to_arrow_reader(CHUNK_ROWS)
            return _taken(rows, skip, limit, limits.bytes_max)
    finally:
        with contextlib.suppress(duckdb.Error):  # none was begun, or it is over with its error
            reader.execute("ROLLBACK")


def _taken(batches: Any, skip: int, limit: int, bytes_max: int) -> tuple[pa.Table, str]:
    taken: list[pa.RecordBatch] = []
    rows = size = 0
    cut_by = ""
    for batch in batches:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        batch, skip = batch.slice(skip), 0
        if rows + batch.num_rows > limit:
            batch, cut_by = batch.slice(0, limit - rows), f"cut off after {limit} rows"
        if size + batch.nbytes > bytes_max:
            fitting = int(batch.num_rows * (bytes_max - size) / batch.nbytes)
            batch, cut_by = (
                batch.slice(0, fitting),
                f"cut off after {rows + fitting} rows, at {bytes_max} bytes",
            )
        taken.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if cut_by:
            break
    return pa.Table.from_batches(taken, schema=batches.schema), cut_by


def _the_select(cursor: Any, sql: str) -> Any:
    """The one statement, which the parser calls SELECT and which calls nothing that is refused."""
    try:
        statements = cursor.extract_statements(sql)
    except duckdb.Error as error:
        raise BadArgument(f"this is not SQL: {_first_line(error)}", do=_DO) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadArgument("only one SELECT can be asked here", do=_DO)
    calls = list(_calls(cursor, statements[0].query))
    if refused := sorted(REFUSED_FUNCTIONS & {name for name, _ in calls}):
        raise BadArgument(f"{refused[0]}() cannot be called here", do=_DO)
    _check_growth(calls)
    return statements[0]


def _check_growth(calls: Sequence[tuple[str, list[Any] | None]]) -> None:
    grown = 1
    for name, arguments in calls:
        if name not in GROWING_FUNCTIONS or arguments is None:
            continue
        sizes = [_whole_number(a) for a in arguments[0 if name in ("range", "generate_series") else 1 :]]
        if not sizes or (sizes[0] is None or (name in ("range", "generate_series") and None in sizes)):
            raise BadArgument(
                f"{name}() needs a whole number here, so that its size is known",
                do="write the number, or take rows FROM range(…)",
            )
        grown *= max(1, *(abs(size) for size in sizes if size is not None), 1)
    if grown > GROWN_MAX:
        raise BadArgument(
            f"the statement would make values of {grown:,} elements, and {GROWN_MAX:,} are the most",
            do="take rows FROM range(…) instead of a list",
        )


def _whole_number(argument: Any) -> int | None:
    value = argument.get("value") if argument.get("class") == "CONSTANT" else None
    number = value.get("value") if isinstance(value, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _calls(cursor: Any, sql: str) -> Iterator[tuple[str, list[Any] | None]]:
    """Names of all functions a SELECT calls, as the parser sees them, with their arguments; None for a source of rows.

    Errors: BadArgument for what the parser cannot write down.
    """
    try:
        text = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()[0]
    except duckdb.Error as error:
        raise BadArgument(f"this cannot be asked here: {_first_line(error)}", do=_DO) from error
    tree = json.loads(text)
    if tree.get("error"):
        raise BadArgument(f"this cannot be asked here: {tree.get('error_message', '')}", do=_DO)
    waiting = [(tree, False)]
    while waiting:
        node, is_source = waiting.pop()
        if isinstance(node, dict):
            if isinstance(name := node.get("function_name"), str):
                yield name.lower(), None if is_source else node.get("children") or []
            is_table = node.get("type") == "TABLE_FUNCTION"
            waiting.extend((child, is_table and key == "function") for key, child in node.items())
        elif isinstance(node, list):
            waiting.extend((child, False) for child in node)


@contextmanager
def _interrupted_after(cursor: Any, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _translated(limits: QueryLimits) -> Iterator[None]:
    """DuckDB's errors as ours. A fatal one is not the asker's: it goes on to whoever watches the process."""
    try:
        yield
    except duckdb.FatalException:
        raise
    except duckdb.InterruptException as error:
        raise BadArgument(
            f"the query was stopped after {limits.run_s_max:g} s", do="narrow it, or work on a snapshot"
        ) from error
    except (duckdb.Error, pa.ArrowException) as error:
        raise BadArgument(f"the query was refused: {_first_line(error)}", do=_DO) from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0].strip()
