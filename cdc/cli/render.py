"""Answers on a terminal, in a pipe, as JSON or CSV. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.errors import AnswerIncomplete, BadArgument

CELL_CHARACTERS_MAX = 200
CLEAR_LINE = "\r\x1b[2K"


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


def write(
    answer: Mapping[str, Any], form: Format, *, strict: bool = False, out: IO[str] | None = None
) -> None:
    """Write an answer: `columns`, `rows` (lists in column order), `complete`, `reasons`, `notes`; to stdout, or `out`.

    Errors: BadArgument for a form that is no text, AnswerIncomplete when `strict` and the answer is not complete
    (after it was written).
    """
    out = out or sys.stdout
    columns: Sequence[str] = answer["columns"]
    rows: Sequence[Sequence[Any]] = answer["rows"]
    if form is Format.JSON:
        body = {**answer, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
        out.write(json.dumps(body, ensure_ascii=False, indent=2 if out.isatty() else None) + "\n")
    elif form is Format.CSV:
        write_rows(answer, out, header=True)
    elif form is Format.TABLE:
        _table(columns, rows, out)
    else:
        raise BadArgument(f"this verb does not write {form}", do="use --format table, json or csv")
    finish(answer, strict=strict, quiet=form is Format.JSON)


def write_rows(answer: Mapping[str, Any], out: IO[str], *, header: bool) -> None:
    """Rows as CSV."""
    writer = csv.writer(out)
    if header:
        writer.writerow(answer["columns"])
    writer.writerows([[_csv(v) for v in row] for row in answer["rows"]])


def finish(answer: Mapping[str, Any], *, strict: bool = False, quiet: bool = False) -> None:
    """What goes with the rows, said on stderr. Errors: AnswerIncomplete when `strict` and it is not complete."""
    if not quiet:
        for note in answer.get("notes", ()):
            say(note)
        if answer.get("known_since"):
            say(f"known since {answer['known_since']}")
        for stretch in answer.get("stretches", ()):
            say(_stretch(stretch))
        if not answer.get("complete", True):
            say("incomplete: " + "; ".join(answer.get("reasons") or ["see cdc coverage"]))
        if answer.get("next"):
            say(f"there is more: --cursor {answer['next']}")
    if strict and not answer.get("complete", True):
        raise AnswerIncomplete("the answer is incomplete", do="; ".join(answer.get("reasons", ())))


def _stretch(stretch: Mapping[str, Any]) -> str:
    until = f"to {stretch['to_at']}" if stretch.get("to_at") else "still"
    of = f" (record {stretch['record_id']})" if stretch.get("record_id") else ""
    return f"{stretch['status']} from {stretch['from_at']} {until}{of}: {stretch['reason']}"


def say(text: str, style: str = "") -> None:
    """A line for the person, on stderr."""
    if _Progress.shown:
        sys.stderr.write(CLEAR_LINE)
        _Progress.shown = False
    _errors().print(Text(text, style=style), soft_wrap=True)


def progress(text: str) -> None:
    """What goes on just now: one line on a terminal, written over by the next; nothing in a pipe."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"{CLEAR_LINE}{text[:width]}")
        sys.stderr.flush()
        _Progress.shown = True


class _Progress:
    """Whether a line of progress stands on the terminal."""

    shown = False


def _errors() -> Console:
    return Console(stderr=True, highlight=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str]) -> None:
    console = Console(highlight=False, file=out)
    if not rows:
        say("no rows")
        return
    if not console.is_terminal:
        console = Console(highlight=False, file=out, width=max(80, _width(columns, rows)))
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for i, name in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(v) for v in row))
    console.print(table)


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    return sum(
        max([len(name), *(max(len(line) for line in cell(row[i]).plain.split("\n")) for row in rows)]) + 2
        for i, name in enumerate(columns)
    )


def cell(value: Any) -> Text:
    """One value as text: null and unknown are told apart, maps are a line per key."""
    if value is None:
        return Text("null", style="dim")
    if isinstance(value, dict):
        if value.get("known") is False and "value" in value and not value.get("inferred"):
            return Text("unknown", style="yellow")
        if value.get("inferred") and "value" in value:
            return Text.assemble(cell(value["value"]), (" (inferred)", "yellow"))
        if set(value) == {"value", "known"}:
            return cell(value["value"])
        if set(value) == {"before", "after"}:
            return Text.assemble(cell(value["before"]), (" → ", "dim"), cell(value["after"]))
        return Text("\n").join(Text.assemble((f"{k}: ", "dim"), cell(v)) for k, v in value.items())
    if isinstance(value, list):
        return Text(", ".join(cell(v).plain for v in value))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    text = str(value)
    return Text(text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 1] + "…")


def _csv(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value
