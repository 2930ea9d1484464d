"""A seeded journal of many field changes, made once and kept: a baseline, then a year of ordinary edits.

One record in about a hundred field changes, eighteen fields each; edits of four fields, half of them on a tenth of the
records; the newest `HOT_FIELDS` stay hot. Segments are written by the journal's own sealing, a piece of the records at
a time, and are as many and as large as its merging leaves them (merging.py).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from cdc.answer.definitions import definitions
from cdc.journal.journal import DuckJournal
from cdc.journal.manifests import with_changed
from cdc.journal.segments import row_group_rows, span_queries, write_files
from cdc.roles.bench.sql import statement

ORG: Final = "bench"
ENTITY: Final = "Account"
FIELDS: Final = 18
FIELDS_OF_AN_EDIT: Final = 4
PERIODS: Final = 10
FIELD_CHANGES_OF_A_RECORD: Final = FIELDS + 2 * PERIODS * FIELDS_OF_AN_EDIT
HOT_FIELDS: Final = 1_000_000
PIECE_FIELDS: Final = 2_000_000
SEALED_SHARES: Final = (0.32, 0.64, 0.96, 0.98, 1.0)
"""Where each segment ends: three large ones and two small ones, as digits of four carry."""
MEMORY_LIMIT: Final = "2GB"
THREADS: Final = 2
VERSION: Final = 2
"""Of what is made: another one is another folder."""


def seeded_journal(folder: Path, field_changes: int, say: Callable[[str], None]) -> DuckJournal:
    """The journal, open; made if it is not there yet."""
    where = folder / f"past-{field_changes}-v{VERSION}"
    done = where / "done"
    if not done.exists():
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        _make(where, _Shape(field_changes), say)
        done.touch()
    journal = _journal(where)
    journal.open()
    return journal


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is made of so many field changes."""

    field_changes: int

    @property
    def records(self) -> int:
        return max(10, self.field_changes // FIELD_CHANGES_OF_A_RECORD // 10 * 10)

    @property
    def edits(self) -> int:
        return 2 * PERIODS * self.records

    @property
    def newest(self) -> int:
        return self.records + self.edits

    @property
    def sealed(self) -> int:
        """The last ordinal that is sealed."""
        return self.newest - min(HOT_FIELDS, self.field_changes // 50) // FIELDS_OF_AN_EDIT

    def ordinal_at(self, share: float) -> int:
        """The ordinal up to which so much of the sealed field changes lies."""
        total = FIELDS * self.records + FIELDS_OF_AN_EDIT * (self.sealed - self.records)
        fields = total * share
        if fields <= FIELDS * self.records:
            return int(fields / FIELDS)
        return min(self.sealed, self.records + int((fields - FIELDS * self.records) / FIELDS_OF_AN_EDIT))

    def given(self, first: int, last: int, after: int, upto: int) -> dict[str, int]:
        """What is put into the statements for some records and ordinals."""
        busy = self.records // 10
        return {
            "records": self.records, "edits": self.edits, "periods": PERIODS, "busy": busy, "fields": FIELDS,
            "fields_of_an_edit": FIELDS_OF_AN_EDIT, "step": _apart(self.records), "busy_step": _apart(busy),
            "first": first, "last": last, "after": after, "upto": upto,
        }  # fmt: skip


def records_of(field_changes: int) -> int:
    return _Shape(field_changes).records


def record_id(number: int) -> str:
    return f"001{number:012d}AAA"


def _apart(count: int) -> int:
    """A step that visits each of so many once, neighbours far from one another."""
    step = int(count * 0.618) | 1
    while math.gcd(step, count) > 1:
        step += 2
    return step


def _journal(where: Path) -> DuckJournal:
    return DuckJournal(
        str(where / "journal.duckdb"), ORG, memory_limit=MEMORY_LIMIT, threads=THREADS,
        definitions=definitions(), segments=str(where / "segments"), seal_records=2**62,
    )  # fmt: skip


def _make(where: Path, shape: _Shape, say: Callable[[str], None]) -> None:
    journal = _journal(where)
    journal.open()
    try:
        bounds = [0, *(shape.ordinal_at(share) for share in SEALED_SHARES)]
        say(f"{shape.records:,} records, {shape.edits:,} edits of {FIELDS_OF_AN_EDIT} fields")
        for after, upto in pairwise(bounds):
            _segment(journal, shape, after, upto, say)
        journal.errand(lambda connection: _hot(connection, shape)).result()
    finally:
        journal.close()


def _segment(journal: DuckJournal, shape: _Shape, after: int, upto: int, say: Callable[[str], None]) -> None:
    """One segment, its rows made and sealed a piece of the records at a time."""
    chain = journal.sealer.chain
    reads = max(0, min(upto, shape.records) - after)
    field_rows = FIELDS * reads + FIELDS_OF_AN_EDIT * (upto - after - reads)
    with journal.reader() as cursor:
        manifest = chain.next(cursor, kind="merge", first_seq=after + 1, last_seq=upto)
        group = row_group_rows(field_rows)
        pieces = _pieces(cursor, shape, after, upto, field_rows, manifest.number, say)
        files = write_files(cursor, chain.folder, manifest.number, pieces, group)
    written = chain.written(
        with_changed(
            manifest,
            files=files,
            first_committed_at="2024-06-01T00:00:00.000Z",
            last_committed_at="2026-01-02T00:00:00.000Z",
        )
    )
    journal.sealer.take_over(*written)


def _pieces(
    cursor: Any,
    shape: _Shape,
    after: int,
    upto: int,
    field_rows: int,
    number: int,
    say: Callable[[str], None],
) -> Iterator[dict[str, str]]:
    step = max(10, shape.records * PIECE_FIELDS // max(1, field_rows))
    for first in range(0, shape.records, step):
        last = min(first + step, shape.records)
        _fill(cursor, shape.given(first, last, after, upto))
        yield span_queries(number, changes="piece_changes", fields="piece_fields")
        say(f"segment {number}: {last:,} of {shape.records:,} records")


def _fill(cursor: Any, given: dict[str, int]) -> None:
    for table in ("changes", "fields"):
        text = statement(f"past_{table}").format(**given).rstrip().removesuffix(";")
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE piece_{table} AS {text}")


def _hot(connection: Any, shape: _Shape) -> None:
    """The newest edits, and what the journal would know of the channel and of the read."""
    _fill(connection, shape.given(0, shape.records, shape.sealed, shape.newest))
    for table in ("changes", "fields"):
        connection.execute(f"INSERT INTO store.hot_{table} BY NAME SELECT * FROM piece_{table} ORDER BY seq")
    for text in statement("position").split(";\n"):
        if text.strip():
            connection.execute(text.format(records=shape.records, edits=shape.edits))
