"""DuckDB's errors in this system's terms: the one place where they are told apart."""

from __future__ import annotations

import errno
import re

import duckdb

from cdc.errors import CdcError, DiskFull, JournalLocked, JournalTooNew, StopProcess

_LOCK = re.compile(r"Could not set lock on file")
_HOLDER = re.compile(r"lock is held in (?P<program>.*?) ?\(PID (?P<pid>\d+)\)")
_TWIN = re.compile(r"different configuration than existing connections")
_TOO_NEW = re.compile(r"Trying to read a database file with version number (\d+)")
_NO_ROOM = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|not enough space|max_temp_directory_size",
    re.IGNORECASE,
)
_NOT_OURS = re.compile(r"not a valid DuckDB database file")

_SENTENCE_MAX = 300


def translated(error: BaseException, path: str) -> CdcError:
    """The error to raise for one of DuckDB's, or of the system under it; ours are returned as they are."""
    if isinstance(error, CdcError):
        return error
    text = str(error)
    if _LOCK.search(text):
        return locked(path, _HOLDER.search(text))
    if _TWIN.search(text):
        return locked(path)
    if _is_no_room(error, text):
        return DiskFull(
            "the journal cannot be written: no room is left on its disk",
            where=path,
            do="make room and start again; nothing that was acknowledged is lost, the rest is still in the log",
        )
    if _TOO_NEW.search(text):
        return JournalTooNew(
            "the journal's file was written by a newer DuckDB", where=path, do="run the newer version"
        )
    if _NOT_OURS.search(text):
        return StopProcess(
            "the file is not a DuckDB file",
            where=path,
            do="set journal.path to another file, or move this one away",
        )
    return StopProcess(
        f"the journal failed: {type(error).__name__}: {_first_line(text)}",
        where=path,
        do="start again; if it fails again, `cdc journal --rebuild` makes it anew from the log",
    )


def locked(path: str, holder: re.Match[str] | None = None) -> JournalLocked:
    """The refusal of a second writer, naming the process that has the file; without a holder it is this one."""
    who = f"process {holder['pid']} ({holder['program']})" if holder else "this process already"
    return JournalLocked(
        f"the journal is open in {who}",
        where=path,
        do="ask through its HTTP API, or stop that process first",
    )


def is_duckdb_error(error: BaseException) -> bool:
    """Errors worth translating: DuckDB's own and those of the file system."""
    return isinstance(error, duckdb.Error | OSError)


def _is_no_room(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return bool(_NO_ROOM.search(text))


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:_SENTENCE_MAX]
