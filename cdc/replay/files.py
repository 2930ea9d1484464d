"""A replay into files: NDJSON, one message a line, or Parquet, a folder for each entity.

NDJSON grows in place; beside it `FILE.replay` says how many of its bytes are whole and the place they reach. After a
kill the file is cut back to them. Parquet files are written aside and renamed; `DIR/_replay.json` says how many there
are of each entity, and what stands behind them is removed. Both notes are gone when the replay is whole.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.errors import BadArgument, DiskFull
from cdc.replay.envelope import Message, as_line
from cdc.replay.stream import START, Place
from cdc.replay.target import Identity, place_of, place_text

PARQUET_ROWS = 50_000
"""Rows of one Parquet file; they wait in memory until a file is full."""


class StdoutTarget:
    """Lines on stdout. What a pipe has taken is gone: it begins anew each time."""

    has_tombstones = False

    def __init__(self, moments: Mapping[str, Any]) -> None:
        self.moments = moments

    def begin(self) -> Place:
        return START

    def write(self, messages: Sequence[Message], behind: Place) -> None:
        sys.stdout.buffer.write(_lines(messages))
        sys.stdout.buffer.flush()

    def end(self) -> None:
        return

    def close(self) -> None:
        return


class NdjsonTarget:
    """One file, a message a line."""

    has_tombstones = False

    def __init__(self, path: str, identity: Identity, moments: Mapping[str, Any], *, again: bool) -> None:
        self.moments = moments
        self._path, self._note = Path(path), Path(f"{path}.replay")
        self._identity, self._again = identity, again
        self._file: IO[bytes] | None = None
        self._bytes = 0

    def begin(self) -> Place:
        with _told(str(self._path)):
            note = _read_note(self._note, self._identity, self._again)
            _refuse_whole(self._path, note, self._again)
            self._bytes = int(note["bytes"]) if note else 0
            self._file = self._path.open("r+b" if note and self._path.exists() else "wb")
            self._file.truncate(self._bytes)
            self._file.seek(self._bytes)
            place = place_of(note["place"]) if note else START
            self.moments = note["moments"] if note else self.moments
            self._keep(place)
            return place

    def write(self, messages: Sequence[Message], behind: Place) -> None:
        assert self._file is not None
        lines = _lines(messages)
        with _told(str(self._path)):
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._bytes += len(lines)
            self._keep(behind)

    def end(self) -> None:
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _keep(self, place: Place) -> None:
        _write_note(
            self._note, self._identity, self.moments, {"bytes": self._bytes, "place": place_text(place)}
        )


class ParquetTarget:
    """A folder for each entity with `part-00001.parquet` and on."""

    has_tombstones = False

    def __init__(self, folder: str, identity: Identity, moments: Mapping[str, Any], *, again: bool) -> None:
        self.moments = moments
        self._folder, self._note = Path(folder), Path(folder) / "_replay.json"
        self._identity, self._again = identity, again
        self._waiting: dict[str, list[Message]] = {}
        self._files: dict[str, int] = {}
        self._behind = START

    def begin(self) -> Place:
        with _told(str(self._folder)):
            note = _read_note(self._note, self._identity, self._again)
            if not note and any(self._folder.glob("*/part-*.parquet")) and not self._again:
                raise BadArgument(
                    "the folder holds a replay already",
                    where=str(self._folder),
                    do="name another, or give --again",
                )
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files = dict(note["files"]) if note else {}
            for file in self._folder.glob("*/part-*.parquet*"):
                number = int(file.name[5:10]) if file.name[5:10].isdigit() else 0
                if number > self._files.get(file.parent.name, 0) or not file.name.endswith(".parquet"):
                    file.unlink()
            self._behind = place_of(note["place"]) if note else START
            self.moments = note["moments"] if note else self.moments
            self._keep()
            return self._behind

    def write(self, messages: Sequence[Message], behind: Place) -> None:
        for message in messages:
            self._waiting.setdefault(message.entity, []).append(message)
        self._behind = behind
        if sum(map(len, self._waiting.values())) >= PARQUET_ROWS:
            self._flush()

    def end(self) -> None:
        self._flush()
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        return

    def _flush(self) -> None:
        """Every entity's rows, then the note that makes them count."""
        with _told(str(self._folder)):
            for entity, messages in sorted(self._waiting.items()):
                number = self._files.get(entity, 0) + 1
                folder = self._folder / entity
                folder.mkdir(exist_ok=True)
                aside = folder / f"part-{number:05}.parquet.part"
                pq.write_table(_table(messages), aside, compression="zstd")
                os.replace(aside, folder / f"part-{number:05}.parquet")
                self._files[entity] = number
            self._waiting.clear()
            self._keep()

    def _keep(self) -> None:
        _write_note(
            self._note,
            self._identity,
            self.moments,
            {"files": self._files, "place": place_text(self._behind)},
        )


def _lines(messages: Iterable[Message]) -> bytes:
    return b"".join(as_line(m.value) + b"\n" for m in messages if m.value is not None)


def _table(messages: Sequence[Message]) -> pa.Table:
    """Messages as columns: those of the envelope; a record's fields as a map of texts, a missing key being unknown."""
    rows = [m.value for m in messages if m.value is not None]
    payloads = [row["payload"] if set(row) == {"schema", "payload"} else row for row in rows]
    names = list(payloads[0]) if payloads else []
    return pa.table({name: _column([row[name] for row in payloads]) for name in names})


def _column(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(v, Mapping) for v in values):
        return pa.array([_pairs(v) for v in values], pa.map_(pa.string(), pa.string()))
    given = [v for v in values if v is not None]
    if given and all(isinstance(v, int) and not isinstance(v, bool) for v in given):
        return pa.array(values, pa.int64())
    if any(isinstance(v, list) for v in given):
        return pa.array(values, pa.list_(pa.string()))
    return pa.array(values, pa.string())


def _pairs(value: Mapping[str, Any] | None) -> list[tuple[str, str | None]] | None:
    if value is None:
        return None
    if set(value) == {"status", "fields"}:
        value = {"(status)": value["status"], **value["fields"]}
    return [(k, v if v is None or isinstance(v, str) else json.dumps(v)) for k, v in value.items()]


def _refuse_whole(path: Path, note: Mapping[str, Any] | None, again: bool) -> None:
    if note is None and path.exists() and path.stat().st_size and not again:
        raise BadArgument("the file is there already", where=str(path), do="name another, or give --again")


def _read_note(path: Path, identity: Identity, again: bool) -> dict[str, Any] | None:
    """What was noted by the same replay; None where nothing was. Errors: BadArgument for that of another."""
    if again or not path.exists():
        return None
    try:
        note = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BadArgument(
            "the note of the replay cannot be read", where=str(path), do="give --again"
        ) from error
    if note.get("replay") != identity.id:
        raise BadArgument(
            "another replay began here and was not finished",
            where=str(path),
            do="ask for the same as then, name another place, or give --again",
        )
    return note


def _write_note(path: Path, identity: Identity, moments: Mapping[str, Any], note: Mapping[str, Any]) -> None:
    aside = path.with_name(f"{path.name}.part")
    body = {"replay": identity.id, "asked": identity.parts, "moments": dict(moments), **note}
    aside.write_text(json.dumps(body, default=str))
    os.replace(aside, path)


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == 28:
            raise DiskFull(
                "the disk is full", where=where, do="make room and run it again: it goes on"
            ) from error
        raise BadArgument(f"it cannot be written: {error.strerror}", where=where) from error
