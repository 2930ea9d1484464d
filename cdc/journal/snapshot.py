"""A consistent copy of the journal while it is written: a folder that any DuckDB can open, with its segments.

Everything is read in one transaction, and no segment changes meanwhile. The copy is a journal of its own: its views
and macros stand in its file and name the files beside it, and settings that point there run on it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from cdc.errors import BadArgument
from cdc.journal.manifests import FOLDER, manifest_path, segment_folder, to_disk
from cdc.journal.segment_views import live_segments, make_views
from cdc.journal.statements import migrations, statement

if TYPE_CHECKING:
    from cdc.journal.journal import DuckJournal

FILE: Final = "journal.duckdb"
SEGMENTS: Final = "segments"
READ_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was copied: up to which ordinal, and how much."""

    folder: str
    ordinal: int
    rows: int
    segments: int
    bytes: int


def snapshot(journal: DuckJournal, folder: str, definitions: Sequence[str] = ()) -> Snapshot:
    """Copy into a folder that is empty or not there. Errors: BadArgument; OSError is told as one."""
    target = Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadArgument(
            "the folder of a snapshot has to be empty or not there", where=folder, do="name another"
        )
    try:
        (target / SEGMENTS / FOLDER).mkdir(parents=True, exist_ok=True)
        with journal.sealer.lock, journal.reader() as reader:
            reader.execute("BEGIN TRANSACTION READ ONLY")
            numbers = live_segments(reader)
            _copy_segments(reader, journal.segments, target / SEGMENTS, numbers)
            rows = _copy_tables(reader, target, numbers, definitions)
            held = reader.execute("SELECT coalesce(max(ordinal), 0) FROM store.checkpoint").fetchone()[0]
            reader.execute("ROLLBACK")
        os.replace(target / f"{FILE}.draft", target / FILE)
        to_disk(target)
    except OSError as error:
        raise BadArgument(f"the snapshot cannot be written: {error.strerror}", where=folder) from error
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Snapshot(str(target), int(held), rows, len(numbers), size)


def _copy_segments(reader: Any, source: str, target: Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        name = segment_folder(number)
        shutil.copytree(Path(source, name), target / name)
    for (number,) in reader.execute("SELECT number FROM store.seals ORDER BY number").fetchall():
        shutil.copy2(manifest_path(source, number), target / FOLDER)


def _copy_tables(reader: Any, target: Path, numbers: Sequence[int], definitions: Sequence[str]) -> int:
    rows = 0
    draft = target / f"{FILE}.draft"
    with duckdb.connect(str(draft)) as copy:
        for _, text in migrations():
            copy.execute(text)
        names = [
            name
            for (name,) in reader.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' ORDER BY table_name"
            ).fetchall()
        ]
        copy.execute("BEGIN")
        for name in names:
            copy.execute(f'DELETE FROM store."{name}"')
            some = reader.execute(f'SELECT * FROM store."{name}"').to_arrow_reader(READ_ROWS)
            copy.register("rows_of_table", some)
            rows += copy.execute(f'INSERT INTO store."{name}" BY NAME FROM rows_of_table').fetchone()[0]
            copy.unregister("rows_of_table")
        copy.execute("COMMIT")
        copy.execute(statement("span_key"))
        make_views(copy, str(target / SEGMENTS), numbers)
        for text in (statement("views"), *definitions):
            copy.execute(text)
        copy.execute("CHECKPOINT")
    Path(f"{draft}.wal").unlink(missing_ok=True)
    to_disk(draft)
    return rows
