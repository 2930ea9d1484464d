"""A journal that several processes write: DuckLake, which is Parquet files and a catalog in PostgreSQL.

The stream is divided into `shards` parts (`cdc/avro/sharing.py`). Each part has the tables of the single file, in a
schema of its own, and is written as the single file is (`shard.py`): so its rows, its offsets and its order are one
transaction, and two parts never wait for each other. What people ask is put over all parts: every change up to
the ordinal that all of them hold, under the same names (`lake_views.py`).

In this process DuckDB holds only views: the catalog `lake` is the shared store, the schema `store` here shows it as
one journal, and `part_<n>` as one part, for whoever writes that.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import duckdb

from cdc.errors import CdcError, JournalTooNew, SettingsError, StopProcess
from cdc.journal.lake_views import part_views, union_views
from cdc.journal.segments import quoted
from cdc.journal.statements import migrations, statement
from cdc.ports.log import Checkpoint
from cdc.ports.types import Ordinal

PREFIX: Final = "ducklake:"
"""What a journal's path begins with where it is a lake."""

EXTENSIONS: Final = ("postgres_scanner", "ducklake")

TRIES_MAX: Final = 20
"""Of making the tables, while other workers make them too."""

TRY_AGAIN_S: Final = 0.2

_MADE_BY_ANOTHER: Final = re.compile(r"already exists|duplicate key|conflict", re.IGNORECASE)

WAIT_S: Final = 60.0
"""How long a transaction tries to get its place among those of other parts."""


def is_lake(path: str) -> bool:
    """Whether a journal's path names a lake rather than a file."""
    return path.startswith(PREFIX)


class Lake:
    """The shared store, attached in this process; its readers are cursors, as those of the single file.

    `path` is DuckLake's own (`ducklake:postgres:…`), `folder` where its Parquet files are. Errors of `open`:
    StopProcess, SettingsError where it is of another org or divided otherwise, JournalTooNew.
    """

    def __init__(
        self,
        path: str,
        org: str,
        *,
        folder: str,
        shards: int,
        memory_limit: str = "2GB",
        threads: int = 2,
        definitions: Sequence[str] = (),
        on_fields: Callable[[Any], object] = lambda _: None,
        folders: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.org = org
        self.segments = folder
        self.shards = shards
        self._memory_limit = memory_limit
        self._threads = threads
        self._definitions = definitions
        self._on_fields = on_fields
        self._folders = folders
        self._views = threading.Lock()
        self._connection: Any = None

    def open(self) -> Checkpoint:
        """Attach, make what is not there yet, and say how far all parts have come."""
        Path(self.segments).mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _attached(self.path, self.segments, self._memory_limit, self._threads)
            self._make_tables()
            for part in range(self.shards):
                for text in part_views(self.org, part):
                    self._connection.execute(text)
            for text in (*union_views(self.org, self.shards), statement("span_key"), statement("views")):
                self._connection.execute(text)
            for text in self._definitions:
                self._connection.execute(text)
            self.tell_fields()
            _lock(self._connection, (self.segments, *self._folders))
        except Exception as error:
            self.close()
            raise lake_error(error, self.path) from error
        return self.checkpoint

    @property
    def checkpoint(self) -> Checkpoint:
        """The ordinal that every part holds."""
        with self.reader() as cursor:
            row = cursor.execute("SELECT ordinal FROM store.checkpoint").fetchone()
        return Checkpoint({}, Ordinal(row[0] if row else 0))

    @contextmanager
    def reader(self) -> Iterator[Any]:
        """A DuckDB cursor of its own (read use only), safe in any thread of this process."""
        if self._connection is None:
            raise StopProcess("the journal is closed", where=self.path)
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def cursor(self) -> Any:
        """A connection of its own, for a writer."""
        return self._connection.cursor()

    def tell_fields(self) -> None:
        """Fields became known, or may have: the views made of them are made anew, in this process."""
        with self._views, self.reader() as cursor:
            self._on_fields(cursor)

    def close(self) -> None:
        """Leave the lake; other processes go on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- tables -------------------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        """As the migrations of the single file have them; several workers may begin at once, and one makes them."""
        for attempt in range(TRIES_MAX):
            try:
                self._connection.execute("BEGIN")
                self._settle_layout()
                self._connection.execute("COMMIT")
                return
            except duckdb.Error:
                _roll_back(self._connection)
                if attempt == TRIES_MAX - 1:
                    raise
                time.sleep(TRY_AGAIN_S)  # somebody else was first, and what they made is seen now
            except CdcError:
                _roll_back(self._connection)
                raise

    def _settle_layout(self) -> None:
        layout = layout_schema(self.org)
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {layout}")
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {layout}.layout (shards INTEGER, version INTEGER)"
        )
        newest = migrations()[-1][0]
        row = self._connection.execute(f"SELECT shards, version FROM {layout}.layout").fetchone()
        if row is None:
            self._connection.execute(f"INSERT INTO {layout}.layout VALUES (?, ?)", [self.shards, newest])
        elif row[0] != self.shards:
            raise SettingsError(
                f"the journal is divided into {row[0]} parts, and the settings say {self.shards}",
                where=self.path,
                do=f"set journal.shards = {row[0]}, or record into another catalog",
            )
        elif row[1] > newest:
            raise JournalTooNew(
                f"the journal is of version {row[1]} and this program knows up to {newest}",
                where=self.path,
                do="run the newer version of this program",
            )
        if row is not None and row[1] == newest:
            return
        tables = _tables()
        for part in range(self.shards):
            self._make_part(part, tables)
        self._connection.execute(f"UPDATE {layout}.layout SET version = ?", [newest])

    def _make_part(self, part: int, tables: dict[str, list[tuple[str, str, bool]]]) -> None:
        schema = part_schema(self.org, part)
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        held = self._connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = ?",
            [f"{self.org}_{part}"],
        ).fetchall()
        have = {table for table, _ in held}
        for table, columns in tables.items():
            if table not in have:
                text = ", ".join(f'"{n}" {t}{" NOT NULL" if needed else ""}' for n, t, needed in columns)
                self._connection.execute(f'CREATE TABLE {schema}."{table}" ({text})')
                continue
            for name, type_, _ in columns:
                if (table, name) not in held:
                    self._connection.execute(f'ALTER TABLE {schema}."{table}" ADD COLUMN "{name}" {type_}')
        if "owner" not in have:
            # One row that every commit and every claim writes: two of them at once cannot both succeed.
            self._connection.execute(f"CREATE TABLE {schema}.owner (epoch BIGINT, who VARCHAR)")
            self._connection.execute(f"INSERT INTO {schema}.owner VALUES (0, '')")
            self._connection.execute(f"INSERT INTO {schema}.checkpoint VALUES (0, '{{}}')")
            self._connection.execute(f"INSERT INTO {schema}.meta VALUES ('org', ?)", [self.org])


def layout_schema(org: str) -> str:
    """The lake's schema that says how an org's journal is divided."""
    return f'lake."{org}"'


def part_schema(org: str, part: int) -> str:
    """The lake's schema of one part."""
    return f'lake."{org}_{part}"'


def lake_error(error: BaseException, path: str) -> CdcError:
    """DuckLake's errors as ours; ours are returned as they are."""
    if isinstance(error, CdcError):
        return error
    text = (str(error).strip().splitlines() or [""])[0][:300]
    return StopProcess(
        f"the journal in DuckLake failed: {type(error).__name__}: {text}",
        where=path,
        do="check that PostgreSQL answers and the folder can be written, and start again: nothing acknowledged is lost",
    )


def _attached(path: str, folder: str, memory_limit: str, threads: int) -> Any:
    config = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": str(Path(folder) / "tmp"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
    }
    connection: Any = duckdb.connect(":memory:", config=config)
    try:
        for name in EXTENSIONS:
            connection.execute(f"LOAD {quoted(str(_extension(name)))}")
        _attach(connection, path, folder)
        connection.execute(f"SET ducklake_max_retry_count = {int(WAIT_S * 10)}")
    except BaseException:
        connection.close()
        raise
    return connection


def _attach(connection: Any, path: str, folder: str) -> None:
    """Of several workers that begin with an empty catalog at once, one makes it, and the others come again."""
    for attempt in range(TRIES_MAX):
        try:
            connection.execute(
                f"ATTACH {quoted(path)} AS lake (DATA_PATH {quoted(str(Path(folder).absolute()))})"
            )
            return
        except duckdb.Error as error:
            if attempt == TRIES_MAX - 1 or not _MADE_BY_ANOTHER.search(str(error)):
                raise
            time.sleep(TRY_AGAIN_S)


def _extension(name: str) -> Path:
    """The extension's file, out of its package: nothing is fetched while the journal runs."""
    try:
        package = import_module(f"duckdb_extension_{name}")
    except ImportError as error:
        raise StopProcess(
            f"DuckDB's extension {name} is not installed",
            where="journal.path",
            do="install sf-cdc[lake], which brings it",
        ) from error
    folder = Path(str(package.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    return folder / f"{name}.duckdb_extension"


def _tables() -> dict[str, list[tuple[str, str, bool]]]:
    """The tables of the single file: name -> (column, type, needed). DuckLake has no closed sets: a kind is a text."""
    with duckdb.connect(":memory:") as database:
        for _, text in migrations():
            database.execute(text)
        rows = database.execute(
            "SELECT table_name, column_name, CASE WHEN data_type LIKE 'ENUM%' THEN 'VARCHAR' ELSE data_type END,"
            " NOT is_nullable FROM duckdb_columns() WHERE schema_name = 'store'"
            " AND table_name IN (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
        ).fetchall()
    tables: dict[str, list[tuple[str, str, bool]]] = {}
    for table, column, type_, needed in rows:
        tables.setdefault(table, []).append((column, type_, needed))
    return tables


def _lock(connection: Any, folders: Sequence[str]) -> None:
    listed = ", ".join(quoted(str(Path(folder).absolute()) + "/") for folder in folders)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _roll_back(connection: Any) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:
        return  # the failed commit has ended it already
