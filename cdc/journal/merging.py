"""Many small segments into one larger: fewer files to look into, and longer runs of one record.

Segments are merged as digits carry: when MERGED_AT_ONCE of one size class stand side by side at the end of the
chain, they become one of the next. So a row is rewritten once per class, and there are at most MERGED_AT_ONCE - 1
live segments of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.journal.manifests import Manifest, segment_folder, with_changed
from cdc.journal.segment_views import TABLES
from cdc.journal.segments import (
    Chain,
    iso,
    quoted,
    row_group_rows,
    span_queries,
    write_files,
)
from cdc.journal.statements import statement

if TYPE_CHECKING:
    from cdc.journal.sealer import Writer

MERGED_AT_ONCE: Final = 4


def merge_small(writer: Writer, chain: Chain) -> tuple[Manifest, str] | None:
    """Merge the newest run of segments of one size class, if it is long enough; the manifest, not yet taken over."""
    with writer.reader() as cursor:
        live = cursor.execute(statement("segments_to_merge")).fetchall()
        numbers = newest_run([(number, rows) for number, rows, *_ in live])
        if not numbers:
            return None
        return merge(cursor, chain, numbers)


def merge(cursor: Any, chain: Chain, numbers: list[int]) -> tuple[Manifest, str]:
    """The rows of some live segments in files of one, the manifest written and not yet taken over."""
    chosen = [row for row in cursor.execute(statement("segments_to_merge")).fetchall() if row[0] in numbers]
    manifest = chain.next(
        cursor,
        kind="merge",
        replaces=tuple(numbers),
        first_seq=min(row[2] for row in chosen),
        last_seq=max(row[3] for row in chosen),
        first_committed_at=iso(min((row[4] for row in chosen if row[4]), default=None)),
        last_committed_at=iso(max((row[5] for row in chosen if row[5]), default=None)),
    )
    queries = span_queries(
        manifest.number,
        **{t: own_columns(t, files_of(chain.folder, numbers, t)) for t in TABLES},
    )
    field_rows = sum(row[1] for row in chosen)
    files = write_files(cursor, chain.folder, manifest.number, queries, row_group_rows(field_rows))
    return chain.written(with_changed(manifest, files=files))


def own_columns(table: str, files: str) -> str:
    """The rows of segments without what is said of them by their segment, as SQL; kinds as they are in the journal."""
    said = {
        "changes": "until_at, until_place, since_at, segment",
        "fields": "until_at, until_place, since_at, opens, segment",
    }
    return f"(SELECT * EXCLUDE ({said[table]}) FROM read_parquet({files}))"


def newest_run(live: list[tuple[int, int]]) -> list[int]:
    """Numbers of the segments at the end of the chain that are to become one; empty: none are. `live` ascends."""
    run: list[int] = []
    for number, rows in reversed(live):
        if run and _size_class(rows) > _size_class(live[-1][1]):
            break
        run.append(number)
    return sorted(run) if len(run) >= MERGED_AT_ONCE else []


def files_of(folder: str, numbers: list[int], table: str) -> str:
    """A list of files as SQL."""
    names = (str(Path(folder, segment_folder(n), f"{table}.parquet").absolute()) for n in numbers)
    return "[" + ", ".join(quoted(name) for name in names) + "]"


def _size_class(rows: int) -> int:
    """The power of MERGED_AT_ONCE below the number of rows."""
    return max(0, rows.bit_length() - 1) // 2
