"""Judging a recorded stream with no other part running: `cdc detect --input FILE --output FILE`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.detect.alert import iso
from cdc.detect.detector import Detector, Options
from cdc.detect.ndjson import tables
from cdc.detect.recorded import READ, batch_of
from cdc.detect.templates import Window
from cdc.errors import BadArgument, DiskFull

PARQUET_MARK = b"PAR1"
ROWS_PER_BATCH = 16_384
TIMES = ("first_change_at", "last_change_at", "decided_at")
STANDARD = "-"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run read and said: `rows` of this run, `taken` with all runs before it by `--state`."""

    rows: int
    taken: int
    alerts: int
    pages: int
    versions: int


def judge_file(
    input_path: str | Path,
    output_path: str | Path,
    state_path: str | Path | None = None,
    *,
    org: str = "org",
    options: Options | None = None,
    windows: Sequence[Window] = (),
) -> Judged:
    """Read a recorded stream (contract, section 6), write a line for every state change of an alert.

    Input: Parquet, or NDJSON; `-` is standard input (NDJSON) or standard output. A missing state file is a
    first run; it is replaced only after the output is complete. Errors: BadArgument (input, state), DiskFull.
    """
    source, state_file = str(input_path), Path(state_path) if state_path is not None else None
    detector = _detector(state_file, org, options)
    for window in windows:
        detector.announce(window)
    before = detector.taken
    alerts = pages = versions = 0
    with ExitStack() as stack:
        batches = _batches(source, stack)
        output = stack.enter_context(_Output(str(output_path)))
        for table, read in batches:
            for version in detector.take(batch_of(table, read, source)):
                output.write(line_of(version))
                versions += 1
                alerts += version["version"] == 1
                pages += version["severity"] == "page" and version["state"] == "open"
    if state_file is not None:
        write_whole(state_file, detector.state())
    return Judged(detector.taken - before, detector.taken, alerts, pages, versions)


def write_versions(output_path: str, versions: Iterable[dict[str, Any]]) -> int:
    """A line for each version; how many there were. Errors: DiskFull, BadArgument."""
    written = 0
    with _Output(output_path) as output:
        for version in versions:
            output.write(line_of(version))
            written += 1
    return written


def line_of(version: dict[str, Any]) -> str:
    """One version of an alert as a line of JSON, times in ISO 8601."""
    shown = {**version, **{name: iso(version[name]) for name in TIMES}}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one, even after a power cut. DiskFull."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as e:
        raise _unwritable(str(path), e) from e


def _detector(state_file: Path | None, org: str, options: Options | None) -> Detector:
    if state_file is None:
        return Detector(org, options)
    try:
        kept = state_file.read_bytes()
    except FileNotFoundError:
        return Detector(org, options)
    except OSError as e:
        raise BadArgument(f"The state cannot be read: {e.strerror}", where=str(state_file)) from e
    return Detector.restore(kept, options)


def _batches(source: str, stack: ExitStack) -> Iterator[tuple[pa.Table, int]]:
    """Tables of the input, and how many rows came before each."""
    file = _opened(source, stack)
    mark = file.peek(len(PARQUET_MARK))[: len(PARQUET_MARK)] if hasattr(file, "peek") else b""
    found = _parquet(source, stack) if mark == PARQUET_MARK else tables(file, source)
    return _counted(found)


def _counted(found: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, int]]:
    read = 0
    for table in found:
        yield table, read
        read += table.num_rows


def _opened(source: str, stack: ExitStack) -> IO[bytes] | Any:
    try:
        return stack.enter_context(
            open(0 if source == STANDARD else source, "rb", closefd=source != STANDARD)
        )
    except OSError as e:
        raise BadArgument(
            f"The input cannot be read: {e.strerror}", where=source, do="name a Parquet or NDJSON file"
        ) from e


def _parquet(source: str, stack: ExitStack) -> Iterator[pa.Table]:
    try:
        file = stack.enter_context(pq.ParquetFile(source))
        columns = [name for name in file.schema_arrow.names if name in READ]
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as e:
        raise BadArgument(f"The input is not Parquet that can be read: {e}", where=source) from e


class _Output:
    """Lines beside the file they will replace, so that a run cut short leaves no half output."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._beside = path != STANDARD and not (os.path.exists(path) and not os.path.isfile(path))
        self._writing = path + ".part" if self._beside else path

    def __enter__(self) -> _Output:
        try:
            self._file: IO[str] = (
                open(1, "w", encoding="utf-8", closefd=False)
                if self._path == STANDARD
                else open(self._writing, "w", encoding="utf-8")
            )
        except OSError as e:
            raise _unwritable(self._path, e) from e
        return self

    def write(self, line: str) -> None:
        try:
            self._file.write(line)
        except OSError as e:
            raise _unwritable(self._path, e) from e

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
            if self._beside and kind is None:
                os.replace(self._writing, self._path)
            elif self._beside:
                os.unlink(self._writing)
        except OSError as e:
            raise _unwritable(self._path, e) from e


def _unwritable(path: str, error: OSError) -> DiskFull | BadArgument:
    if error.errno == 28:  # ENOSPC
        return DiskFull("There is no room to write", where=path, do="make room, then run it again")
    return BadArgument(f"It cannot be written: {error.strerror}", where=path, do="name another place")
