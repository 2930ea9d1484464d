"""Sealing: rows of an ordinal range leave the DuckDB file for sorted Parquet files with a manifest.

The order is what makes a kill at any moment harmless:

    1  the files are written and brought to the disk      they are named by no manifest: removed at the next seal
    2  the manifest is written under its name              its rows are hot still: the next open goes on with 3
    3  one transaction of the journal forgets the hot rows, and names the files in the views

Steps 1 and 2 run on a cursor beside the writer; step 3 is a short errand on the writer's thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.errors import StopProcess
from cdc.journal.manifests import (
    FOLDER,
    Manifest,
    SealedFile,
    SigningKey,
    manifest_path,
    numbers_in,
    read_manifest,
    sealed_file,
    segment_folder,
    sha256_of,
    to_disk,
    with_changed,
    write_manifest,
)
from cdc.journal.segment_views import TABLES, live_segments, make_views
from cdc.journal.spans import in_chunks, whole_records, with_spans
from cdc.journal.statements import statement

ROW_GROUP_ROWS_MIN: Final = 20_000
"""Small enough for a look-up of one record to read little."""
ROW_GROUP_ROWS_MAX: Final = 100_000
ROW_GROUP_ROWS_WIDE_MAX: Final = 40_000
"""Of changes, whose many columns make a row group dearer to look into."""
ROW_GROUPS: Final = 100
"""About so many in a file between these bounds: each one's bounds are looked at by every question."""
READ_ROWS: Final = 100_000
"""Rows taken from the database at a time."""
COMPRESSION: Final = "zstd"


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the segments are, whose they are, what signs them, and the clock (epoch ms)."""

    folder: str
    org: str
    key: SigningKey | None
    wall_ms: Callable[[], int]

    def next(self, connection: Any, **said: Any) -> Manifest:
        """The manifest that comes after the newest one the journal knows."""
        newest = connection.execute(
            "SELECT number, sha256 FROM store.seals ORDER BY number DESC LIMIT 1"
        ).fetchone()
        number, sha256 = newest if newest else (0, None)
        now = datetime.fromtimestamp(self.wall_ms() / 1000, UTC)
        return Manifest(
            number=number + 1,
            org=self.org,
            previous=sha256,
            sealed_at=now.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z",
            **said,
        )

    def written(self, manifest: Manifest) -> tuple[Manifest, str]:
        """The manifest as it stands in its place, signed where there is a key, and its SHA-256."""
        signed = self.key.signed(manifest) if self.key else manifest
        return signed, write_manifest(self.folder, signed)


def seal_range(cursor: Any, chain: Chain, upto: int) -> tuple[Manifest, str] | None:
    """Steps 1 and 2 for what is hot up to an ordinal; None where nothing is. On a cursor of its own."""
    cursor.execute("BEGIN")
    try:
        rows, first, last, earliest, latest, field_rows = cursor.execute(
            statement("seal_counts"), {"upto": upto}
        ).fetchone()
        if not rows:
            return None
        manifest = chain.next(cursor, kind="seal", first_seq=first, last_seq=last)
        queries = span_queries(
            manifest.number, **{t: f"(SELECT * FROM store.hot_{t} WHERE seq <= {int(upto)})" for t in TABLES}
        )
        files = write_files(cursor, chain.folder, manifest.number, [queries], row_group_rows(field_rows))
    finally:
        cursor.execute("ROLLBACK")
    return chain.written(
        with_changed(manifest, files=files, first_committed_at=iso(earliest), last_committed_at=iso(latest))
    )


def span_queries(number: int, *, changes: str, fields: str, broad: str | None = None) -> dict[str, str]:
    """What a segment of a number holds, by table; where the rows come from is given as SQL, and as `broad` those of
    changes that concern every record where they are not all among `changes`."""
    return {
        table: statement(f"seal_{table}")
        .replace("$changes", changes)
        .replace("$broad", broad or changes)
        .replace("$fields", fields)
        .replace("$number", f"{number}::BIGINT")
        for table in TABLES
    }


def row_group_rows(rows: int) -> int:
    """How many rows a row group of a file has that holds about so many."""
    return min(max(rows // ROW_GROUPS, ROW_GROUP_ROWS_MIN), ROW_GROUP_ROWS_MAX)


def write_files(
    cursor: Any,
    folder: str,
    number: int,
    pieces: Iterable[Mapping[str, str]],
    group: int = ROW_GROUP_ROWS_MIN,
    *,
    spans: bool = True,
) -> tuple[SealedFile, ...]:
    """One Parquet file for each table of a segment. What an interrupted seal left under the number goes first.

    A piece is a query for each table; its records stand behind those of the piece before it, and memory is needed for
    one of them at a time. `spans` false: the queries give the columns of spans.py already."""
    name = segment_folder(number)
    where = Path(folder, name)
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    with ExitStack() as stack:
        groups = {"changes": min(group, ROW_GROUP_ROWS_WIDE_MAX), "fields": group}
        growing = {t: stack.enter_context(_Growing(where / f"{t}.parquet", groups[t])) for t in TABLES}
        for piece in pieces:
            for table, query in piece.items():
                reader = cursor.execute(query.rstrip().removesuffix(";")).to_arrow_reader(READ_ROWS)
                growing[table].take(reader, number if spans and table == "fields" else None)
    files = [sealed_file(folder, f"{name}/{t}.parquet", t, growing[t].rows) for t in TABLES]
    to_disk(where)
    to_disk(Path(folder))
    return tuple(files)


class _Growing:
    """One Parquet file, written as its rows come."""

    def __init__(self, path: Path, group: int) -> None:
        self._path, self._group = path, group
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def __enter__(self) -> _Growing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def take(self, reader: Any, number: int | None) -> None:
        """Rows as they come sorted, a chunk of whole records at a time; with a number, each gets its span."""
        chunks = whole_records(reader) if number is not None else in_chunks(reader)
        for chunk in chunks:
            self._write(chunk if number is None else with_spans(chunk, number))
        if self._writer is None:
            empty = reader.schema.empty_table()
            self._write(empty if number is None else with_spans(empty, number))

    def _write(self, table: pa.Table) -> None:
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema, compression=COMPRESSION)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=self._group)
            self.rows += table.num_rows


def adopt(connection: Any, folder: str, manifest: Manifest, sha256: str) -> None:
    """Step 3, inside the caller's transaction: forget the hot rows and read those of the files.

    Errors: StopProcess where hot rows are not those that were sealed.
    """
    if manifest.kind == "seal":
        _forget(connection, manifest)
    record(connection, folder, manifest, sha256)
    make_views(connection, folder, live_segments(connection))


def record(connection: Any, folder: str, manifest: Manifest, sha256: str, *, has_files: bool = True) -> None:
    """The manifest among the seals the journal knows, with what its files hold of each entity.

    `has_files` false: a later one stands in for it, and its files are gone.
    """
    connection.execute(
        "INSERT INTO store.seals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            manifest.number, manifest.org, manifest.kind, manifest.first_seq, manifest.last_seq,
            manifest.rows("changes"), manifest.rows("fields"), moment_of(manifest.first_committed_at),
            moment_of(manifest.last_committed_at), sha256, manifest.previous, manifest.signature,
            moment_of(manifest.sealed_at), list(manifest.replaces),
        ],
    )  # fmt: skip
    for table in ("sealed_broad", "sealed_entities"):
        connection.execute(
            f"DELETE FROM store.{table} WHERE list_contains(?::BIGINT[], number)", [list(manifest.replaces)]
        )
    if not manifest.files or not has_files:
        return
    for name in ("sealed_broad", "sealed_entities"):
        text = statement(name).replace("$number", str(manifest.number))
        for file in manifest.files:
            path = str(Path(folder, file.name).absolute())
            text = text.replace(f"${file.table})", f"{quoted(path)})")
        connection.execute(text)


def recover(connection: Any, folder: str, held: int) -> list[Manifest]:
    """Manifests that were written and not taken over when the process ended, taken over now, each in a
    transaction of its own; then what no manifest names is removed.

    `held` is the journal's ordinal. Errors: StopProcess where the segments are newer than the journal.
    """
    known = connection.execute("SELECT coalesce(max(number), 0) FROM store.seals").fetchone()[0]
    taken = []
    for number in [n for n in numbers_in(folder) if n > known]:
        path = manifest_path(folder, number)
        try:
            manifest, sha256 = read_manifest(path)
            files = all(sha256_of(Path(folder, f.name)) == f.sha256 for f in manifest.files)
        except (OSError, ValueError) as error:
            raise StopProcess(
                f"a manifest written before the last end cannot be read: {error}",
                where=str(path),
                do="run `cdc verify`",
            ) from error
        if manifest.kind == "seal" and _has_more(connection, manifest):
            path.unlink()  # a row came between its files and its end: it was never relied on
            break
        if not files or manifest.last_seq > held:
            raise StopProcess(
                f"the sealed segments go up to ordinal {manifest.last_seq}, and the journal holds up to {held}",
                where=str(path),
                do="put back the journal's file that belongs to them, or make it anew with `cdc journal --rebuild`",
            )
        connection.execute("BEGIN")
        try:
            adopt(connection, folder, manifest, sha256)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        taken.append(manifest)
    remove_unnamed(connection, folder)
    return taken


def remove_unnamed(connection: Any, folder: str) -> None:
    """Files of segments that are not live: replaced ones, and those of a seal that did not get to its manifest."""
    live = {segment_folder(n) for n in live_segments(connection)}
    where = Path(folder)
    if not where.is_dir():
        return
    for path in where.iterdir():
        if path.is_dir() and path.name.isdigit() and path.name not in live:
            shutil.rmtree(path, ignore_errors=True)
    for draft in (where / FOLDER).glob("*.draft"):
        draft.unlink(missing_ok=True)


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds") + "Z"


def moment_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=None)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _has_more(connection: Any, manifest: Manifest) -> bool:
    rows = connection.execute(statement("seal_counts"), {"upto": manifest.last_seq}).fetchone()[0]
    return bool(rows > manifest.rows("changes"))


def _forget(connection: Any, manifest: Manifest) -> None:
    upto = {"upto": manifest.last_seq}
    rows, *_, field_rows = connection.execute(statement("seal_counts"), upto).fetchone()
    if (rows, field_rows) != (manifest.rows("changes"), manifest.rows("fields")):
        raise StopProcess(
            f"{rows} changes are hot up to ordinal {manifest.last_seq}, and {manifest.rows('changes')} were sealed",
            where=manifest.name,
            do="run `cdc verify`",
        )
    for table in TABLES:
        connection.execute(statement(f"seal_forget_{table}"), upto)
