"""Upgrade from every version the journal ever had, and the way back to an older program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdc.answer.definitions import definitions
from cdc.errors import JournalTooNew
from cdc.journal import catalog
from cdc.journal import snapshot as snapshot_module
from cdc.journal.journal import DuckJournal
from cdc.journal.snapshot import snapshot
from cdc.journal.statements import migrations
from tests.unit.journal.batches import ORG
from tests.unit.journal.held import ask, commit, everything, opened
from tests.unit.journal.test_journal_seal import changes
from tests.unit.journal.test_journal_verify import looked_at

VERSIONS = [number for number, _ in migrations()]
LATER: tuple[tuple[int, str], ...] = (
    (
        9001,
        "CREATE TABLE store.of_later (what VARCHAR); ALTER TABLE store.alerts ADD COLUMN of_later VARCHAR;",
    ),
)
"""What a program of tomorrow makes of the journal."""


def of_version(path: Path, version: int) -> dict[str, int]:
    """A journal as the program of that version left it, a row in every table; how many rows each has."""
    with duckdb.connect(str(path)) as connection:
        for number, text in migrations():
            if number <= version:
                connection.execute(text)
        connection.execute("DELETE FROM store.meta")
        connection.executemany(
            "INSERT INTO store.meta VALUES (?, ?)", [["version", str(version)], ["org", ORG]]
        )
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' AND table_name NOT IN ('meta', 'checkpoint', 'seals')"
        ).fetchall()
        for (table,) in tables:
            columns = connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'store' AND table_name = ? ORDER BY column_index",
                [table],
            ).fetchall()
            values = [_value(name, kind) for name, kind in columns]
            marks = ", ".join(f"CAST(? AS {kind})" for _, kind in columns)
            connection.execute(f'DELETE FROM store."{table}"')
            connection.execute(f'INSERT INTO store."{table}" VALUES ({marks})', values)
        return {table: 1 for (table,) in tables}


def _value(name: str, kind: str) -> Any:
    """A value any column of this name and type can have."""
    if name in ("seq", "ordinal", "fold_seq", "fold_rank", "number", "place", "at_seq"):
        return 0
    if kind.endswith("[]"):
        return []
    if kind.startswith("MAP"):
        return {}
    if kind.startswith("STRUCT"):
        return None
    if kind.startswith("ENUM"):
        return kind.removeprefix("ENUM('").partition("'")[0]
    if kind.startswith("TIMESTAMP"):
        return datetime(2026, 1, 1)
    if kind in (
        "BIGINT",
        "INTEGER",
        "SMALLINT",
        "TINYINT",
        "UBIGINT",
        "UINTEGER",
        "USMALLINT",
        "UTINYINT",
        "DOUBLE",
        "HUGEINT",
    ):
        return 0
    if kind == "BOOLEAN":
        return False
    if kind == "BLOB":
        return b""
    # Many texts are JSON to the views; the rest take any text.
    return {"org": ORG, "entity": "Account", "kinds": "{}", "scope": "{}", "counts": "{}"}.get(name, "[]")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_journal_of_any_version_is_brought_up_and_works(tmp_path: Path, version: int) -> None:
    before = of_version(tmp_path / "journal.duckdb", version)
    with opened(tmp_path, definitions=definitions()) as journal:
        assert ask(journal, "SELECT value FROM store.meta WHERE key = 'version'") == [(str(VERSIONS[-1]),)]
        held = {
            table
            for (table,) in ask(journal, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'")
        }
        lost = {
            table
            for table in before.keys() & held
            if ask(journal, f'SELECT count(*) FROM store."{table}"') == [(0,)]
        }
        # Laid out before there was anything to put in, and made anew when there was.
        assert lost <= ({"restores", "restore_records"} if version < 7 else set())
        for (view,) in ask(
            journal, "SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
        ):
            ask(journal, f'SELECT * FROM "{view}" LIMIT 5')
    for left in tmp_path.glob("journal.duckdb*"):
        left.unlink()
    of_version_empty(tmp_path / "journal.duckdb", version)
    with opened(tmp_path, definitions=definitions()) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
        commit(journal, changes(11, 5))
        assert ask(journal, "SELECT count(*), max(seq) FROM changes") == [(15, 15)]
        looked_at(journal)


def of_version_empty(path: Path, version: int) -> None:
    """A journal of that version in which nothing was recorded yet."""
    with duckdb.connect(str(path)) as connection:
        for number, text in migrations():
            if number <= version:
                connection.execute(text)
        connection.execute("DELETE FROM store.meta")
        connection.executemany(
            "INSERT INTO store.meta VALUES (?, ?)", [["version", str(version)], ["org", ORG]]
        )


def test_an_older_program_refuses_a_newer_journal_and_goes_on_from_the_snapshot_before_the_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, definitions=definitions()) as journal:
        commit(journal, changes(1, 10))
        journal.seal()
        commit(journal, changes(11, 5))
        snapshot(journal, str(tmp_path / "before"), definitions())

    def of_tomorrow() -> Sequence[tuple[int, str]]:
        return (*migrations(), *LATER)

    with monkeypatch.context() as tomorrow:
        tomorrow.setattr(catalog, "migrations", of_tomorrow)
        tomorrow.setattr(snapshot_module, "migrations", of_tomorrow)
        with opened(tmp_path, definitions=definitions()) as journal:
            commit(journal, changes(16, 5))
            assert ask(journal, "SELECT count(*) FROM store.of_later") == [(0,)]
            expected = everything(journal, ["changes", "fields"])

    with pytest.raises(JournalTooNew) as refused:
        DuckJournal(str(tmp_path / "journal.duckdb"), ORG).open()
    said = refused.value.sentence()
    assert "version 9001" in said
    assert "the newer version" in said
    assert "cdc snapshot" in said
    old = DuckJournal(
        str(tmp_path / "before" / "journal.duckdb"),
        ORG,
        segments=str(tmp_path / "before" / "segments"),
        definitions=definitions(),
    )
    old.open()
    try:
        assert int(old.checkpoint.ordinal) == 15
        commit(old, changes(16, 5))  # the log still has what came since
        assert everything(old, ["changes", "fields"]) == expected
        looked_at(old)
    finally:
        old.close()
