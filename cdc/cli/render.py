"""Answers on a terminal, in a pipe, as JSON or CSV. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.errors import AnswerIncomplete

CELL_CHARACTERS_MAX = 200


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def write(answer: Mapping[str, Any], form: Format, *, strict: bool = False) -> None:
    """Write an answer: `columns`, `rows` (lists in column order), `complete`, `reasons`, `notes`.

    Errors: AnswerIncomplete when `strict` and the answer is not complete (after it was written).
    """
    columns: Sequence[str] = answer["columns"]
    rows: Sequence[Sequence[Any]] = answer["rows"]
    if form is Format.JSON:
        body = {**answer, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
        sys.stdout.write(
            json.dumps(body, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2) + "\n"
        )
    elif form is Format.CSV:
        out = csv.writer(sys.stdout)
        out.writerow(columns)
        out.writerows([[_csv(v) for v in row] for row in rows])
    else:
        _table(columns, rows)
    if form is not Format.JSON:
        for note in answer.get("notes", ()):
            say(note)
        if not answer.get("complete", True):
            say("incomplete: " + "; ".join(answer.get("reasons") or ["see cdc coverage"]))
    if strict and not answer.get("complete", True):
        raise AnswerIncomplete("the answer is incomplete", do="; ".join(answer.get("reasons", ())))


def say(text: str, style: str = "") -> None:
    """A line for the person, on stderr."""
    _errors().print(Text(text, style=style), soft_wrap=True)


def _errors() -> Console:
    return Console(stderr=True, highlight=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    console = Console(highlight=False)
    if not rows:
        say("no rows")
        return
    if not console.is_terminal:
        console = Console(highlight=False, width=max(80, _width(columns, rows)))
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
        if value == {"unknown": True} or (value.get("known") is False and "value" in value):
            return Text("unknown", style="yellow")
        if set(value) == {"value", "known"}:
            return cell(value["value"])
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
