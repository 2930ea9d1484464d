"""The file made anew without what was deleted from it: DuckDB keeps the bytes of deleted rows in its file.

A new file gets the tables of the migrations and the rows of the old one, is brought to the disk, and takes its
place by one rename. A kill before leaves the old file, one behind it the new one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from cdc.journal.catalog import STORAGE_VERSION
from cdc.journal.manifests import to_disk
from cdc.journal.segments import quoted
from cdc.journal.statements import migrations


def compact(path: str, memory_limit: str, threads: int) -> None:
    """Rewrite a journal's file that nothing has open."""
    draft = f"{path}.compact"
    for leftover in (draft, f"{draft}.wal"):
        Path(leftover).unlink(missing_ok=True)
    copy_tables(path, draft, memory_limit, threads)
    to_disk(Path(draft))
    os.replace(draft, path)
    Path(f"{path}.wal").unlink(missing_ok=True)
    to_disk(Path(path).absolute().parent)


def copy_tables(source: str, target: str, memory_limit: str, threads: int) -> None:
    """Every table of a journal's file in a new file."""
    config: dict[str, Any] = {
        "memory_limit": memory_limit, "threads": threads, "temp_directory": f"{target}.tmp",
        "storage_compatibility_version": STORAGE_VERSION,
    }  # fmt: skip
    with duckdb.connect(target, config=config) as database:
        for _, text in migrations():
            database.execute(text)
        database.execute(f"ATTACH {quoted(source)} AS source")
        database.execute("BEGIN")
        names = database.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'source' AND schema_name = 'store'"
        ).fetchall()
        for (name,) in names:
            database.execute(f'DELETE FROM store."{name}"')
            database.execute(f'INSERT INTO store."{name}" BY NAME FROM source.store."{name}"')
        database.execute("COMMIT")
        database.execute("DETACH source")
        database.execute("CHECKPOINT")
    Path(f"{target}.wal").unlink(missing_ok=True)
