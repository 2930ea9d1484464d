"""The statements of `embedded.sql`, by name, and one way to open the file."""

from __future__ import annotations

import sqlite3
import time
from functools import cache
from importlib.resources import files
from pathlib import Path

from cdc.errors import CdcError, DiskFull, LogRefused, LogUnavailable

FORMAT = 1
"""`user_version` of the file."""

BUSY_TIMEOUT_S = 10.0  # how long a write waits for another process's
BUSY_STEP_S = 0.02
PAGE_BYTES = 8192


def sql(name: str) -> str:
    """The text of one statement. KeyError for a name that is not in the file."""
    return _statements()[name]


def connect(path: Path) -> sqlite3.Connection:
    """A connection for any one thread at a time, without implicit transactions. Errors as of `translated`."""
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as e:
        raise translated(e, path) from e
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            _prepare(connection, path)
            return connection
        except sqlite3.Error as e:
            error = translated(e, path)
        except CdcError as e:
            error = e
        # The first two to open a new file meet while one of them makes it; SQLite does not wait for that by itself.
        if not isinstance(error, LogUnavailable) or time.monotonic() > deadline:
            connection.close()
            raise error
        time.sleep(BUSY_STEP_S)


def translated(error: sqlite3.Error, path: Path) -> CdcError:
    """SQLite's error as ours: DiskFull, LogUnavailable while another process writes, else LogRefused."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = str(path)
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(
            "there is no room to write to the log; what was acknowledged is kept",
            where=where,
            do="free space on that disk and start again",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogUnavailable(
            "another process holds the log for long", where=where, do="see what else has it open"
        )
    remedy = _REMEDIES.get(code, "check the file and its folder")
    return LogRefused(f"the log file cannot be used: {error}", where=where, do=remedy)


_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "choose another log.path; that file is not a log",
    sqlite3.SQLITE_CORRUPT: "move the file away; a new one begins at the org's retained events",
    sqlite3.SQLITE_CANTOPEN: "make the folder, or choose another log.path",
    sqlite3.SQLITE_READONLY: "give this user the right to write there, or choose another log.path",
    sqlite3.SQLITE_PERM: "give this user the right to write there, or choose another log.path",
    sqlite3.SQLITE_IOERR: "check the disk",
}


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise LogRefused(
            f"the log was written by a newer version (format {version}, this one knows {FORMAT})",
            where=str(path),
            do="use the newer version",
        )
    if version < FORMAT:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {sql('create')}; PRAGMA user_version={FORMAT}; COMMIT;")
    # What append acknowledged survives a power failure, not only a killed process: one fsync per append.
    connection.execute("PRAGMA synchronous=FULL")


@cache
def _statements() -> dict[str, str]:
    text = files("cdc.log").joinpath("embedded.sql").read_text(encoding="utf-8")
    parts = text.split("-- name: ")[1:]
    return {
        name: body.strip().removesuffix(";") for name, _, body in (part.partition("\n") for part in parts)
    }
