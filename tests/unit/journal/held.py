"""A journal in a folder of the test, and what its tables hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdc.journal.journal import DuckJournal
from cdc.ports.columns import ColumnBatch
from tests.unit.journal.batches import ORG, batch

PATIENCE_S = 30.0

TABLES = (
    "changes", "fields", "platform_events", "quarantine", "channels", "coverage", "jobs", "needs", "schemas",
    "schema_fields", "descriptions", "readable_fields", "alerts", "decisions", "checkpoint",
)  # fmt: skip


@contextmanager
def opened(folder: Path, **more: Any) -> Iterator[DuckJournal]:
    """An open journal; closed at the end."""
    journal = DuckJournal(str(folder / "journal.duckdb"), ORG, threads=1, memory_limit="512MB", **more)
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


def commit(journal: DuckJournal, *batches: ColumnBatch) -> None:
    """Every batch, one after the other, and what the writer does behind the last."""
    for one in batches:
        journal.commit(one).result(PATIENCE_S)
    held = journal.checkpoint
    journal.commit(replace(batch(), checkpoint=held)).result(PATIENCE_S)


def ask(journal: DuckJournal, sql: str, *given: Any) -> list[tuple[Any, ...]]:
    with journal.reader() as reader:
        rows: list[tuple[Any, ...]] = reader.execute(sql, list(given)).fetchall()
        return rows


def everything(journal: DuckJournal, tables: Sequence[str] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, in an order of their own."""
    return {
        table: sorted(
            ask(journal, f"SELECT {'ordinal' if table == 'checkpoint' else '*'} FROM store.{table}"), key=repr
        )
        for table in tables
    }
