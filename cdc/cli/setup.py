"""`cdc setup`: which change of the org's set-up came before, how it was, what differs, and who may do what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.answer.answers import Answer
from cdc.answer.setup_diff import COLUMNS, PEOPLE, differences
from cdc.answer.setup_rows import ROWS_MAX, Setup
from cdc.answer.setup_source import read_tree, setup_of
from cdc.answer.setup_tree import all_sources, tree_of
from cdc.cli.act import act
from cdc.cli.ask import ask, asking
from cdc.cli.look import ALL, ANY_FORM, AT, BEFORE, CURSOR, FORM, LIMIT, OUTPUT, STRICT
from cdc.cli.render import Format, say, write
from cdc.cli.show import show, write_answer
from cdc.cli.state import options
from cdc.errors import EXIT_DIFFERENCE, ActionFailed, BadArgument, DifferenceFound
from cdc.recover.told import rollback_lines
from cdc.settings import Settings, load

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


@group.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    at: AT = None,
    before: BEFORE = None,
) -> None:
    """The set-up of a moment as a source tree. Example: cdc setup export tree --at -1h"""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadArgument("the folder is not empty", where=str(folder), do="name a new one")
    tree = tree_of(_setup_of(options.settings(), at=at, before=before))
    for path, text in tree.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    say(f"{len(tree)} files in {folder}")


@group.command()
def compare(
    other: Annotated[
        Path,
        typer.Argument(metavar="OTHER_CONFIG|FOLDER", help="Settings of the other org, or a source tree."),
    ],
    at: AT = None,
    people: Annotated[bool, typer.Option("--people", help="Users and what is assigned to them too.")] = False,
    about: SEARCH = None,
    form: ANY_FORM = Format.TABLE,
    output: OUTPUT = None,
) -> None:
    """Where this org (-) and another org, or a source tree (+), differ. Example: cdc setup compare acme.toml

    Line by line; ids, dates and order are no difference. A folder is compared with the components of the types that
    are in it. Exits with 4 where they differ.
    """
    left = _setup_of(options.settings(), at=at)
    if other.is_dir():
        tree = read_tree(other)
        types = {one.type for one in tree.values()}
        held = [one for one in all_sources(left).values() if one.type in types]
        left, right = setup_of(held), setup_of(tree.values())
    else:
        right = _setup_of(load(other, {}), at=at)
    if not people:
        left, right = _without_people(left), _without_people(right)
    rows = [row for row in differences(left, right) if (about or "").lower() in row[0].lower()]
    write_answer(Answer(COLUMNS, rows), form, output)
    if rows:
        raise typer.Exit(EXIT_DIFFERENCE)


@group.command()
def rollback(
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="T", help="The moment to go back to: 2026-11-23T10:02:00Z, -1h."),
    ] = None,
    before: BEFORE = None,
    component: Annotated[
        list[str] | None,
        typer.Option("--component", metavar="NAME", help="Only this: Flow:Discount, Flow:*."),
    ] = None,
    delete_fields: Annotated[
        bool, typer.Option("--delete-fields", help="New fields too, with their data.")
    ] = False,
    apply: Annotated[
        str | None, typer.Option("--apply", metavar="RESTORE", help="Deploy this plan; needs --hash.")
    ] = None,
    confirm: Annotated[str | None, typer.Option("--hash", help="The plan's hash, as it shows it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Although its validation failed.")] = False,
    verify: Annotated[
        str | None, typer.Option("--verify", metavar="RESTORE", help="Whether the org is as planned.")
    ] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Put the set-up back: plan, then deploy. Example: cdc setup rollback --at -1h --component Flow:Discount

    Without --apply nothing is changed: a plan with its package is made, and the org validates it. Then
    cdc setup rollback --apply RESTORE --hash HASH deploys it, all or nothing, and reads again what became of it.
    """
    settings = options.settings()
    if apply is not None:
        _apply(settings, apply, confirm, force, form)
    elif verify is not None:
        verdict = act(settings, "verify_rollback", restore_id=verify)
        _verdict(verify, verdict["differs"], verdict["components"])
    else:
        given = {"at": at, "before": before, "components": component, "delete_fields": delete_fields or None}
        done = act(settings, "plan_rollback", **given)
        _show_rollback(settings, done["restore_id"], form)


def _apply(settings: Settings, restore: str, confirm: str | None, force: bool, form: Format) -> None:
    if confirm is None:
        _show_rollback(settings, restore, form)
        say("dry run: nothing was deployed; give --hash with the hash above to deploy it", "yellow")
        return
    done = act(settings, "apply_rollback", restore_id=restore, hash=confirm, force=force or None)
    if done["state"] not in ("verified", "differs"):
        raise ActionFailed(f"nothing was put back: {done['reason']}", where=restore)
    _verdict(restore, done["counts"]["differs"], done["counts"]["deployed"])


def _verdict(restore: str, differs: list[dict[str, str]], components: int) -> None:
    if differs:
        said = "; ".join(f"{one['component']}: {one['what']}" for one in differs[:5])
        raise DifferenceFound(
            f"the org is not as planned: {said}", where=restore, do="plan again for what is left"
        )
    say(f"{restore}: {components} components are as planned")


def _show_rollback(settings: Settings, restore: str, form: Format) -> None:
    answer = ask(settings, "plan_rows", restore_id=restore, limit=ROWS_MAX)
    if form is not Format.TABLE:
        write(answer, form)
        return
    sys.stdout.write("\n".join(rollback_lines(answer["detail"], answer["rows"])) + "\n")


def _setup_of(settings: Settings, **moment: Any) -> Setup:
    """The whole set-up of a moment, page by page. Errors: BadArgument where it was never read."""
    rows: dict[str, dict[str, Any]] = {}
    cursor = None
    with asking(settings) as way:
        while True:
            answer = way.answer("setup_state", limit=ROWS_MAX, cursor=cursor, **moment)
            for kind, _, record_id, fields in answer["rows"]:
                rows.setdefault(kind, {})[record_id] = fields
            cursor = answer["next"]
            if not cursor:
                break
    if not answer["complete"]:
        raise BadArgument(answer["reasons"][0], where=settings.org.alias)
    return Setup(rows)


def _without_people(setup: Setup) -> Setup:
    return Setup({kind: rows for kind, rows in setup.rows.items() if kind not in PEOPLE})
