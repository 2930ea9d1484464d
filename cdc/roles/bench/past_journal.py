"""A seeded journal of many field changes, made once and kept: a baseline, then a year of ordinary edits.

One record in a hundred field changes, eighteen fields each; edits of four fields, half of them on a tenth of the
records; the newest `HOT_FIELDS` stay hot. Rows go straight into the hot tables and are sealed by the journal itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from cdc.answer.definitions import definitions
from cdc.journal.journal import DuckJournal
from cdc.journal.merging import merge
from cdc.roles.bench.sql import statement

ORG: Final = "bench"
ENTITY: Final = "Account"
FIELDS: Final = 18
FIELDS_OF_AN_EDIT: Final = 4
FIELD_CHANGES_OF_A_RECORD: Final = 100
HOT_FIELDS: Final = 1_000_000
CHUNK_FIELDS: Final = 10_000_000
MEMORY_LIMIT: Final = "2GB"
THREADS: Final = 2
VERSION: Final = 1
"""Of what is made: another one is another folder."""


def seeded_journal(folder: Path, field_changes: int, say: Callable[[str], None]) -> DuckJournal:
    """The journal, open; made if it is not there yet."""
    where = folder / f"past-{field_changes}-v{VERSION}"
    done = where / "done"
    if not done.exists():
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        _make(where, field_changes, say)
        done.touch()
    journal = _journal(where)
    journal.open()
    return journal


def records_of(field_changes: int) -> int:
    return max(1, field_changes // FIELD_CHANGES_OF_A_RECORD)


def record_id(number: int) -> str:
    return f"001{number:012d}AAA"


def _journal(where: Path) -> DuckJournal:
    return DuckJournal(
        str(where / "journal.duckdb"), ORG, memory_limit=MEMORY_LIMIT, threads=THREADS,
        definitions=definitions(), segments=str(where / "segments"), seal_records=2**62,
    )  # fmt: skip


def _make(where: Path, field_changes: int, say: Callable[[str], None]) -> None:
    records = records_of(field_changes)
    edits = max(1, (field_changes - records * FIELDS) // FIELDS_OF_AN_EDIT)
    sealed_edits = max(0, edits - min(HOT_FIELDS, field_changes // 10) // FIELDS_OF_AN_EDIT)
    journal = _journal(where)
    journal.open()
    try:
        _baseline(journal, records, edits)
        say(f"baseline of {records:,} records; {edits:,} edits of {FIELDS_OF_AN_EDIT} fields follow")
        step = CHUNK_FIELDS // FIELDS_OF_AN_EDIT
        bounds = [*range(0, sealed_edits, step), sealed_edits, edits]
        for first, last in pairwise(bounds):
            if first == last:
                continue
            _run(journal, "edits", first=first, last=last, records=records, edits=edits)
            if last <= sealed_edits:
                _seal(journal, records + last)
            say(f"{last:,} of {edits:,} edits")
        _merge_all(journal)
    finally:
        journal.close()


def _baseline(journal: DuckJournal, records: int, edits: int) -> None:
    _run(journal, "baseline", records=records, fields=FIELDS)
    _run(journal, "position", records=records, edits=edits)
    if records * FIELDS > HOT_FIELDS:
        _seal(journal, records)


def _seal(journal: DuckJournal, upto: int) -> None:
    """Without merging: one merge at the end is cheaper than many on the way."""
    from cdc.journal.segments import seal_range

    with journal.reader() as cursor:
        written = seal_range(cursor, journal.sealer.chain, upto)
    if written is not None:
        journal.sealer.take_over(*written)


def _merge_all(journal: DuckJournal) -> None:
    from cdc.journal.segment_views import live_segments

    with journal.reader() as cursor:
        numbers = live_segments(cursor)
        if len(numbers) < 2:
            return
        merged = merge(cursor, journal.sealer.chain, numbers)
    journal.sealer.take_over(*merged)


def _run(journal: DuckJournal, name: str, **given: Any) -> None:
    """Each statement of a file in one transaction, with numbers put in."""

    def work(connection: Any) -> None:
        for text in statement(name).split(";\n"):
            if text.strip():
                connection.execute(text.format(**given))

    journal.errand(work).result()
