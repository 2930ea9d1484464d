"""Verbs that look at the journal as it is: status, coverage, query. What was is in `past.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc.cli.ask import ask
from cdc.cli.render import Format, write
from cdc.cli.show import show
from cdc.cli.state import options

FORM = Annotated[Format, typer.Option("--format", help="table, json or csv")]
ANY_FORM = Annotated[
    Format, typer.Option("--format", help="table, json, csv; parquet or arrow with --output.")
]
OUTPUT = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to stdout.")
]
ALL = Annotated[bool, typer.Option("--all", help="Every page, one after the other.")]
AT = Annotated[str | None, typer.Option("--at", help="A time: 2026-11-23T10:02:00Z, -15m; without it, now.")]
BEFORE = Annotated[
    str | None, typer.Option("--before", help="Exactly before a transaction key, a seq or an incident.")
]
LIMIT = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows to show.")]
CURSOR = Annotated[str | None, typer.Option("--cursor", help="Where the answer before ended.")]
STRICT = Annotated[bool, typer.Option("--strict", help="Exit with 3 when the answer is incomplete.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (status, coverage, query):
        app.command(verb.__name__)(verb)


def status(form: FORM = Format.TABLE) -> None:
    """How far everything is, and what is wrong. Example: cdc status"""
    write(ask(options.settings(), "status"), form)


def coverage(
    entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Since when things are known, and what was lost, repaired or is unknown. Example: cdc coverage Account"""
    write(ask(options.settings(), "coverage", entity=entity), form)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the public views.")],
    limit: LIMIT = 1000,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
) -> None:
    """Ask in SQL. Example: cdc query "SELECT entity, count(*) AS changes FROM changes GROUP BY ALL" """
    show(
        options.settings(),
        "query",
        form,
        output=output,
        everything=everything,
        sql=sql,
        limit=limit,
        cursor=cursor,
    )
