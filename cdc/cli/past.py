"""Verbs about the past: history, state, record, diff, tree."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cdc.cli.look import ALL, ANY_FORM, AT, BEFORE, CURSOR, LIMIT, OUTPUT, STRICT
from cdc.cli.render import Format
from cdc.cli.show import show
from cdc.cli.state import options
from cdc.errors import BadArgument

ORG = "org"
"""In the place of a time: the live org."""

ENTITY = Annotated[str, typer.Argument(help="API name, like Account.")]
RECORD = Annotated[str, typer.Argument(metavar="ID", help="15 or 18 characters.")]
WHERE = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="CONDITION", help="Only records that meet it: \"StageName = 'Closed Won'\"."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (history, state, record, diff, tree):
        app.command(verb.__name__)(verb)


def history(
    entity: ENTITY,
    record_id: RECORD,
    at: AT = None,
    before: BEFORE = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """Every change of a record, each field before and after. Example: cdc history Account 001000000000001AAA"""
    show(
        options.settings(),
        "history",
        form,
        output=output,
        everything=everything,
        strict=strict,
        hide=("effective_at", "origin", "source", "record_id", "counts"),
        entity=entity,
        record_id=record_id,
        at=at,
        before=before,
        limit=limit,
        cursor=cursor,
    )


def state(
    entity: ENTITY,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Records; without, all.")] = None,
    at: AT = None,
    before: BEFORE = None,
    where: WHERE = None,
    maybe: Annotated[
        bool, typer.Option("--maybe", help="With --where: also records of which it is unknown.")
    ] = False,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """Records as they were. Example: cdc state Account 001000000000001AAA --at 2026-11-23T10:02:00Z

    Example: cdc state Account --where "Industry = 'Energy' AND Name LIKE 'A%'" --at -1h --format csv
    """
    show(
        options.settings(),
        "state",
        form,
        output=output,
        everything=everything,
        strict=strict,
        entity=entity,
        ids=ids or None,
        at=at,
        before=before,
        where=where,
        maybe=maybe or None,
        limit=limit,
        cursor=cursor,
    )


def record(
    entity: ENTITY,
    record_id: RECORD,
    at: AT = None,
    before: BEFORE = None,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """One record field by field, with the change that set each. Example: cdc record Account 001000000000001AAA --at -1h"""
    show(
        options.settings(),
        "record",
        form,
        output=output,
        strict=strict,
        entity=entity,
        record_id=record_id,
        at=at,
        before=before,
    )


def diff(
    entity: ENTITY,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Records; without, all.")] = None,
    from_time: Annotated[
        str | None, typer.Option("--from", metavar="T", help="The first time: 2026-11-23T10:02:00Z, -15m.")
    ] = None,
    to_time: Annotated[
        str | None,
        typer.Option("--to", metavar="T", help="The second time, or org: the live org; without, now."),
    ] = None,
    from_before: Annotated[
        str | None, typer.Option("--from-before", help="The first moment, exactly before a change.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            "--before", "--to-before", help="The second, exactly before a transaction key, seq or incident."
        ),
    ] = None,
    where: WHERE = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Count by user, client, field, transaction, difference (a,b).")
    ] = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """What differs between two times. Example: cdc diff Account --from -1h --to now --by user,field

    Example: cdc diff Account 001000000000001AAA --from 2026-11-23T10:00:00Z --to org
    """
    settings = options.settings()
    if (to_time or "").lower() == ORG:
        from cdc.cli.live_org import diff_with_org

        if by or cursor or before:
            raise BadArgument("--by, --cursor and --before do not go with --to org")
        diff_with_org(settings, form, output, strict, entity, tuple(ids or ()), from_time, from_before, where)
        return
    times: dict[str, Any] = {"from": from_time, "to": to_time}
    show(
        settings,
        "diff",
        form,
        **times,
        output=output,
        everything=everything,
        strict=strict,
        entity=entity,
        ids=ids or None,
        from_before=from_before,
        to_before=before,
        where=where,
        by=by.split(",") if by else None,
        limit=limit,
        cursor=cursor,
    )


def tree(
    entity: ENTITY,
    record_id: RECORD,
    at: AT = None,
    before: BEFORE = None,
    depth: Annotated[int, typer.Option("--depth", min=0, max=10, help="Levels of children.")] = 3,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Records to show.")] = 1_000,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """A record and its children, by the org's own relationships. Example: cdc tree Account 001000000000001AAA --at -1h"""
    show(
        options.settings(),
        "tree",
        form,
        output=output,
        strict=strict,
        hide=("fields", "incomplete_reason", "parent_id"),
        entity=entity,
        record_id=record_id,
        at=at,
        before=before,
        depth=depth,
        limit=limit,
    )
