"""An answer shown: asked page by page, written as a table, JSON, CSV, Parquet or Arrow, to stdout or into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cdc.answer.answers import Answer
from cdc.answer.tables import arrow_table, honesty_of
from cdc.cli.ask import Way, asking
from cdc.cli.render import Format, finish, say, write, write_rows
from cdc.errors import BadArgument, DiskFull
from cdc.settings import Settings

PAGE_ROWS = 10_000
TABLE_ROWS = 1_000_000
"""Rows of a page of a person's own SQL in columns: it runs anew for each."""

FULL_STATES = ("BASELINE", "REREAD")
READ_FIELDS_MIN = 4
"""From so many fields on a table counts those that a reading was the first to tell."""


def show(
    settings: Settings,
    name: str,
    form: Format,
    *,
    output: str | None = None,
    everything: bool = False,
    strict: bool = False,
    hide: tuple[str, ...] = (),
    **parameters: Any,
) -> None:
    """Ask a question of `QUESTIONS` and write its answer; with `everything` all its pages, one after the other.

    `hide` are columns too wide for a table. Errors: those of the question, BadArgument, AnswerIncomplete.
    """
    if form in (Format.PARQUET, Format.ARROW) and not output:
        raise BadArgument(f"{form} is not for a terminal", do="give --output FILE")
    if everything:
        is_query_in_columns = name == "query" and form in (Format.PARQUET, Format.ARROW)
        parameters["limit"] = TABLE_ROWS if is_query_in_columns else PAGE_ROWS
    with asking(settings) as way:
        if form in (Format.PARQUET, Format.ARROW):
            told = _into_columns(way, name, form, str(output), parameters, everything)
            finish(told, strict=strict)
            return
        with _out(output) as out:
            _as_text(way, name, form, out, parameters, everything, strict, hide if not output else ())


def write_answer(answer: Answer, form: Format, output: str | None = None, *, strict: bool = False) -> None:
    """Write an answer that is at hand. Errors: BadArgument, AnswerIncomplete."""
    if form not in (Format.PARQUET, Format.ARROW):
        with _out(output) as out:
            write(answer.as_json(), form, strict=strict, out=out)
        return
    if not output:
        raise BadArgument(f"{form} is not for a terminal", do="give --output FILE")
    table = arrow_table(answer)
    with _in_place(output) as path, _columns_writer(form, path, table.schema) as writer:
        writer.write_table(table)
    finish(answer.as_json(), strict=strict)


def _as_text(
    way: Way,
    name: str,
    form: Format,
    out: IO[str],
    parameters: dict[str, Any],
    everything: bool,
    strict: bool,
    hide: tuple[str, ...],
) -> None:
    answer = way.answer(name, **parameters)
    if form is Format.TABLE and hide:
        answer = _without(answer, hide)
    if not everything or not answer.get("next"):
        write(answer, form, strict=strict, out=out)
        return
    whole = dict(answer)
    if form is Format.CSV:
        write_rows(answer, out, header=True)
    reasons = dict.fromkeys(answer["reasons"])
    while answer.get("next"):
        answer = way.answer(name, **{**parameters, "cursor": answer["next"]})
        if form is Format.CSV:
            write_rows(answer, out, header=False)
        else:
            whole["rows"] = [
                *whole["rows"],
                *(_without(answer, hide) if form is Format.TABLE else answer)["rows"],
            ]
        reasons |= dict.fromkeys(answer["reasons"])
        whole["complete"] = whole["complete"] and answer["complete"]
    whole |= {"reasons": list(reasons), "next": None}
    if form is Format.CSV:
        finish(whole, strict=strict)
    else:
        write(whole, form, strict=strict, out=out)


def _into_columns(
    way: Way, name: str, form: Format, output: str, parameters: dict[str, Any], everything: bool
) -> dict[str, Any]:
    """Pages into one Parquet or Arrow file, made beside it and put in its place when whole; what goes with them."""
    table = way.table(name, **parameters)
    told, rows, schema = honesty_of(table), 0, table.schema
    reasons = dict.fromkeys(told.get("reasons", ()))
    try:
        with _in_place(output) as path, _columns_writer(form, path, table.schema) as writer:
            while True:
                writer.write_table(table.cast(schema))
                rows += table.num_rows
                following = honesty_of(table).get("next")
                if not everything or not following:
                    break
                table = way.table(name, **{**parameters, "cursor": following})
                page = honesty_of(table)
                reasons |= dict.fromkeys(page.get("reasons", ()))
                told["complete"] = told.get("complete", True) and page.get("complete", True)
    except pa.ArrowException as error:
        raise BadArgument(
            f"the rows do not fit one table: {error}", where=output, do="use --format json"
        ) from error
    say(f"{rows} rows in {output}")
    return told | {"reasons": list(reasons), "next": None if everything else told.get("next")}


def _columns_writer(form: Format, path: str, schema: pa.Schema) -> Any:
    if form is Format.PARQUET:
        return pq.ParquetWriter(path, schema, compression="zstd")
    return pa.ipc.new_file(path, schema)


@contextmanager
def _out(output: str | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    with _in_place(output) as path, Path(path).open("w", encoding="utf-8", newline="") as file:
        yield file
    say(f"written to {output}")


@contextmanager
def _in_place(output: str) -> Iterator[str]:
    """A path to write to; the file gets its name when it is whole. Errors: DiskFull, BadArgument."""
    aside = f"{output}.{os.getpid()}.part"
    try:
        yield aside
        os.replace(aside, output)
    except OSError as error:
        if error.errno == 28:
            raise DiskFull("the disk is full", where=output, do="make room, or write elsewhere") from error
        raise BadArgument(f"the file cannot be written: {error.strerror}", where=output) from error
    finally:
        Path(aside).unlink(missing_ok=True)


def _without(answer: dict[str, Any], hide: tuple[str, ...]) -> dict[str, Any]:
    """An answer as a table shows it: without columns too wide for it, and full readings in a line."""
    keep = [i for i, name in enumerate(answer["columns"]) if name not in hide]
    columns = [answer["columns"][i] for i in keep]
    rows = [[row[i] for i in keep] for row in answer["rows"]]
    if "kind" in columns and "fields" in columns:
        kind, fields = columns.index("kind"), columns.index("fields")
        for row in rows:
            if row[kind] in FULL_STATES and isinstance(row[fields], dict):
                row[fields] = _reading(row[fields])
    return {**answer, "columns": columns, "rows": rows}


def _reading(fields: dict[str, Any]) -> dict[str, Any] | str:
    """A full reading of a record: what it says anew, and how many fields had not been known before."""
    first = [
        name
        for name, told in fields.items()
        if isinstance(told["before"], dict) and not told["before"]["known"]
    ]
    if len(first) < READ_FIELDS_MIN:
        return fields
    summary = f"{len(first)} fields read for the first time (--format json lists them)"
    others = {name: told for name, told in fields.items() if name not in set(first)}
    return {**others, "besides": summary} if others else summary
