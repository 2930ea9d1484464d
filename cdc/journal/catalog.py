"""Opening the file: lock, version, migrations, limits, views; then its configuration is locked.

Order matters. DuckDB takes the file's lock when it opens it, which keeps every other process out. A
migration is its DDL in one transaction, then a checkpoint, before any row is written (reliability.md,
"DuckDB 1.5 rules"). What a reader may do is settled last: no extensions, no files but our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from cdc.errors import JournalTooNew, SettingsError, StopProcess
from cdc.journal.faults import is_duckdb_error, locked, translated
from cdc.journal.segment_views import live_segments, make_views
from cdc.journal.statements import migrations, statement

WAL_CHECKPOINT_SIZE = "64MB"
"""When DuckDB moves its write-ahead log into the file. Larger costs seconds at the start after a kill."""

STORAGE_VERSION = "v1.5.0"
"""The file's own form. DuckDB would write that of 0.10 by itself, a third larger and a fifth dearer to write."""

_VERSION = "version"
_ORG = "org"


def open_catalog(
    path: str,
    org: str,
    *,
    memory_limit: str,
    threads: int,
    segments: str,
    definitions: Sequence[str] = (),
    folders: Sequence[str] = (),
) -> Any:
    """A connection to the journal's file, made or migrated as needed.

    `segments` is the folder of the sealed segments; `definitions` are statements run after our own views
    (macros of the rooms above); `folders` may be read by queries beside it. Errors: JournalLocked, JournalTooNew, DiskFull, SettingsError (of another org), StopProcess.
    """
    try:
        connection = _connect(path, memory_limit, threads)
    except Exception as error:
        if is_duckdb_error(error):
            raise translated(error, path) from error
        raise
    try:
        _refuse_twin(connection, path)
        _migrate(connection, org, path)
        connection.execute(statement("span_key"))
        make_views(connection, segments, live_segments(connection))
        for text in (statement("views"), *definitions):
            connection.execute(text)
        _lock_configuration(connection, (segments, *folders))
    except BaseException as error:
        connection.close()
        if is_duckdb_error(error):
            raise translated(error, path) from error
        raise
    return connection


def _connect(path: str, memory_limit: str, threads: int) -> Any:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    config = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": f"{path}.tmp",
        "storage_compatibility_version": STORAGE_VERSION,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",  # no Python object is a table but those we register
    }
    return duckdb.connect(path, config=config)


def _refuse_twin(connection: Any, path: str) -> None:
    """In one process DuckDB shares an open file instead of refusing it: a locked configuration tells."""
    row = connection.execute("SELECT current_setting('lock_configuration')").fetchone()
    if row[0]:
        raise locked(path)


def _migrate(connection: Any, org: str, path: str) -> None:
    version = _version(connection, path)
    newest = migrations()[-1][0]
    if version > newest:
        raise JournalTooNew(
            f"the journal is of version {version} and this program knows up to {newest}",
            where=path,
            do="run the newer version of this program, or set journal.path to a `cdc snapshot` taken before the upgrade: "
            "the log feeds it what came since",
        )
    for number, text in migrations():
        if number <= version:
            continue
        connection.execute("BEGIN")
        connection.execute(text)
        connection.execute("DELETE FROM store.meta WHERE key = ?", [_VERSION])
        connection.execute("INSERT INTO store.meta VALUES (?, ?)", [_VERSION, str(number)])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    _claim(connection, org, path)


def _version(connection: Any, path: str) -> int:
    """0 for a file that is empty. A DuckDB file of something else is left alone."""
    tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    if not tables:
        return 0
    if ("store", "meta") not in tables:
        raise StopProcess(
            "the file holds tables of something else", where=path, do="set journal.path to another file"
        )
    row = connection.execute("SELECT value FROM store.meta WHERE key = ?", [_VERSION]).fetchone()
    return int(row[0]) if row else 0


def _claim(connection: Any, org: str, path: str) -> None:
    """One file is one org."""
    row = connection.execute("SELECT value FROM store.meta WHERE key = ?", [_ORG]).fetchone()
    if row is None:
        connection.execute("INSERT INTO store.meta VALUES (?, ?)", [_ORG, org])
    elif row[0] != org:
        raise SettingsError(
            f"the journal is of org {row[0]}, and the settings say {org}",
            where=path,
            do="set org.alias or journal.path",
        )


def _lock_configuration(connection: Any, folders: Sequence[str]) -> None:
    connection.execute(f"SET checkpoint_threshold = '{WAL_CHECKPOINT_SIZE}'")
    listed = ", ".join("'" + str(Path(folder).absolute()).replace("'", "''") + "/'" for folder in folders)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
