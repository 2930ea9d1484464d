"""Many small segments into one larger: fewer files to look into, and longer runs of one record.

Segments are merged as digits carry: when MERGED_AT_ONCE of one size class stand side by side at the end of the
chain, they become one of the next. So a row is rewritten once per class, and there are at most MERGED_AT_ONCE - 1
live segments of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.journal.manifests import Manifest, segment_folder, with_changed
from cdc.journal.pieces import pieces
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
    paths = {t: paths_of(chain.folder, numbers, t) for t in TABLES}
    files = write_files(
        cursor,
        chain.folder,
        manifest.number,
        (
            _piece(manifest.number, numbers, paths, part)
            for part in pieces([*paths["changes"], *paths["fields"]])
        ),
        row_group_rows(sum(row[1] for row in chosen)),
    )
    return chain.written(with_changed(manifest, files=files))


def _piece(
    number: int, merged: Sequence[int], paths: Mapping[str, Sequence[Path]], part: str
) -> dict[str, str]:
    """What the new segment has of the records of one piece; changes of every record count for each of them."""
    sources = {t: f"(FROM {own_columns(t, paths[t])} WHERE {part})" for t in TABLES}
    broad = f"(FROM store.sealed_broad WHERE number IN ({', '.join(map(str, merged))}))"
    return span_queries(number, **sources, broad=broad)


def own_columns(table: str, paths: Sequence[Path]) -> str:
    """The rows of segments without what is said of them by their segment, as SQL."""
    said = {
        "changes": "until_at, until_place, since_at, segment",
        "fields": "until_at, until_place, since_at, opens, segment",
    }
    files = "[" + ", ".join(quoted(str(path)) for path in paths) + "]"
    return f"(SELECT * EXCLUDE ({said[table]}) FROM read_parquet({files}))"


def newest_run(live: list[tuple[int, int]]) -> list[int]:
    """Numbers of the segments at the end of the chain that are to become one; empty: none are. `live` ascends."""
    run: list[int] = []
    for number, rows in reversed(live):
        if run and _size_class(rows) > _size_class(live[-1][1]):
            break
        run.append(number)
    return sorted(run) if len(run) >= MERGED_AT_ONCE else []


def paths_of(folder: str, numbers: Sequence[int], table: str) -> list[Path]:
    return [Path(folder, segment_folder(n), f"{table}.parquet").absolute() for n in numbers]


def _size_class(rows: int) -> int:
    """The power of MERGED_AT_ONCE below the number of rows."""
    return max(0, rows.bit_length() - 1) // 2
