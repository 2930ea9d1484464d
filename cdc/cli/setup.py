"""`cdc setup`: which change of the org's set-up came before, how it was, what differs, and who may do what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cdc.cli.look import ALL, ANY_FORM, AT, BEFORE, CURSOR, LIMIT, OUTPUT, STRICT
from cdc.cli.render import Format
from cdc.cli.show import show
from cdc.cli.state import options

SEARCH = Annotated[
    str | None, typer.Option("--about", metavar="TEXT", help="Only what has this in its name: Flow:Discount.")
]
SINCE = Annotated[str | None, typer.Option("--since", metavar="T", help="From this time on: -1d.")]
UNTIL = Annotated[str | None, typer.Option("--until", metavar="T", help="Up to this time.")]
FROM = Annotated[str | None, typer.Option("--from", metavar="T", help="The first time.")]
TO = Annotated[str | None, typer.Option("--to", metavar="T", help="The second time; without, now.")]

group = typer.Typer(no_args_is_help=True, help="The org's set-up: its history, and who may do what.")


def add_to(app: typer.Typer) -> None:
    """Adds the group."""
    app.add_typer(group, name="setup")


@group.command("log")
def log_(
    since: SINCE = None,
    until: UNTIL = None,
    about: SEARCH = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """What changed in the set-up, when and by whom. Example: cdc setup log --since -1d"""
    show(
        options.settings(),
        "setup",
        form,
        output=output,
        everything=everything,
        strict=strict,
        hide=("section", "component"),
        since=since,
        until=until,
        about=about,
        limit=limit,
        cursor=cursor,
    )


@group.command()
def state(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Flow, PermissionSet, ApexTrigger …")
    ] = None,
    at: AT = None,
    before: BEFORE = None,
    about: SEARCH = None,
    limit: LIMIT = 100,
    cursor: CURSOR = None,
    everything: ALL = False,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """The set-up as it was. Example: cdc setup state PermissionSet --at -1h"""
    show(
        options.settings(),
        "setup_state",
        form,
        output=output,
        everything=everything,
        strict=strict,
        at=at,
        before=before,
        kind=kind,
        about=about,
        limit=limit,
        cursor=cursor,
    )


@group.command()
def diff(
    from_time: FROM = None,
    to_time: TO = None,
    about: SEARCH = None,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """What differs between two times, line by line. Example: cdc setup diff --from -1d --about Flow:"""
    times: dict[str, Any] = {"from": from_time, "to": to_time}
    show(
        options.settings(),
        "setup_diff",
        form,
        output=output,
        strict=strict,
        **times,
        about=about,
    )


@group.command()
def access(
    about: Annotated[
        str, typer.Argument(metavar="USER|OBJECT|FIELD", help="a user name or id, Account, Account.Rating")
    ],
    at: AT = None,
    from_time: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Only what was gained or lost since then.")
    ] = None,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
    strict: STRICT = False,
) -> None:
    """Effective rights, and by what. Example: cdc setup access Account --at -1h"""
    since: dict[str, Any] = {"from": from_time}
    show(
        options.settings(),
        "setup_access",
        form,
        output=output,
        strict=strict,
        **since,
        about=about,
        at=at,
    )
