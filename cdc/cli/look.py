"""Verbs that look: status, coverage, history, state, query."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc.cli.ask import ask
from cdc.cli.render import Format, write
from cdc.cli.state import options

FORM = Annotated[Format, typer.Option("--format", help="table, json or csv")]
AT = Annotated[str | None, typer.Option("--at", help="A time: 2026-11-23T10:02:00Z, -15m; without it, now.")]
BEFORE = Annotated[
    str | None, typer.Option("--before", help="Exactly before a transaction key, a seq or an alert id.")
]
LIMIT = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows to show.")]
CURSOR = Annotated[str | None, typer.Option("--cursor", help="Where the answer before ended.")]
STRICT = Annotated[bool, typer.Option("--strict", help="Exit with 3 when the answer is incomplete.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (status, coverage, history, state, query):
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


def history(
    entity: Annotated[str, typer.Argument(help="API name, like Account.")],
    record_id: Annotated[str, typer.Argument(metavar="ID", help="15 or 18 characters.")],
    at: AT = None,
    before: BEFORE = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    form: FORM = Format.TABLE,
    strict: STRICT = False,
) -> None:
    """Every change of a record, each field before and after. Example: cdc history Account 001000000000001AAA"""
    answer = ask(
        options.settings(),
        "history",
        entity=entity,
        record_id=record_id,
        at=at,
        before=before,
        limit=limit,
        cursor=cursor,
    )
    write(answer, form, strict=strict)


def state(
    entity: Annotated[str, typer.Argument(help="API name, like Account.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Records; without, all.")] = None,
    at: AT = None,
    before: BEFORE = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    form: FORM = Format.TABLE,
    strict: STRICT = False,
) -> None:
    """Records as they were. Example: cdc state Account 001000000000001AAA --at 2026-11-23T10:02:00Z"""
    answer = ask(
        options.settings(),
        "state",
        entity=entity,
        ids=ids or None,
        at=at,
        before=before,
        limit=limit,
        cursor=cursor,
    )
    write(answer, form, strict=strict)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the public views.")],
    limit: LIMIT = 1000,
    form: FORM = Format.TABLE,
) -> None:
    """Ask in SQL. Example: cdc query "SELECT entity, count(*) AS changes FROM changes GROUP BY ALL" """
    write(ask(options.settings(), "query", sql=sql, limit=limit), form)
