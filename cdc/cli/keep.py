"""Verbs that keep: seal, verify, erase, snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cdc.cli.ask import ask, do
from cdc.cli.look import FORM
from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from cdc.roles.verified import Depth


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (seal, verify, erase, snapshot):
        app.command(verb.__name__)(verb)


def seal(
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="Save the newest manifest's hash there, to keep elsewhere."
        ),
    ] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Move what is held into sealed Parquet segments. Example: cdc seal --checkpoint /mnt/elsewhere/acme.json"""
    settings = options.settings()
    write(do(settings, "seal"), form)
    if checkpoint is None:
        return
    newest = ask(
        settings,
        "query",
        sql="SELECT org, segment || '.json', sha256 FROM seals ORDER BY segment DESC LIMIT 1",
    )["rows"]
    if not newest:
        raise NotFound("nothing is sealed, so there is no checkpoint to save")
    from cdc.journal.verify import checkpoint_text

    try:
        Path(checkpoint).write_text(checkpoint_text(*newest[0]), encoding="utf-8")
    except OSError as error:
        raise BadArgument(f"the checkpoint cannot be written: {error.strerror}", where=checkpoint) from error
    say(f"the checkpoint was saved as {checkpoint}; keep it where this machine cannot change it")


def verify(
    entities: Annotated[
        list[str] | None, typer.Argument(metavar="[ENTITY]...", help="With --against-org: only these.")
    ] = None,
    against_org: Annotated[
        bool, typer.Option("--against-org", help="Hold the journal against the org, and repair what differs.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="With --against-org: only tell, repair nothing.")
    ] = False,
    depth: Annotated[
        str, typer.Option("--depth", help="With --against-org: counts, ids (with SystemModstamp) or fields.")
    ] = "fields",
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="One saved by cdc seal, kept elsewhere."),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", metavar="FILE", help="Trust this Ed25519 key; else journal.signing_key_file."
        ),
    ] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Look at every byte that was sealed and every ordinal, or with --against-org at what the org says.

    Exit 4 at a difference. Examples: cdc verify · cdc verify --against-org Account --depth ids
    """
    if against_org:
        if depth not in ("counts", "ids", "fields"):
            raise BadArgument(f"{depth!r} is no depth", do="use counts, ids or fields")
        from cdc.cli.live_org import verify_with_org

        verify_with_org(
            options.settings(), form, entities or (), depth=cast("Depth", depth), report_only=report_only
        )
        return
    if entities or report_only or depth != "fields":
        raise BadArgument("entities, --report-only and --depth go with --against-org")
    from cdc.journal.manifests import public_key as read_public_key

    text = None
    if checkpoint is not None:
        try:
            text = Path(checkpoint).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadArgument(f"the checkpoint cannot be read: {error}", where=checkpoint) from error
    key = read_public_key(public_key) if public_key else None
    write(do(options.settings(), "verify", public_key=key, checkpoint=text), form)


def erase(
    entity: Annotated[str, typer.Argument(help="API name, like Contact.")],
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="15 or 18 characters each.")],
    asked_by: Annotated[str, typer.Option("--asked-by", help="Who asked for it; kept in the tombstone.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the tombstone.")],
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="TOKEN", help="Erase for good: the token said without it."),
    ] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Erase every value of some records, for good.
    Example: cdc erase Contact 003000000000001AAA --asked-by dpo --reason "request 17"."""
    settings = options.settings()
    write(
        do(settings, "erase", entity=entity, ids=ids, asked_by=asked_by, reason=reason, confirm=confirm), form
    )


def snapshot(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Empty, or not there yet.")],
    form: FORM = Format.TABLE,
) -> None:
    """A consistent copy, also while the journal runs; any DuckDB opens it. Example: cdc snapshot backup"""
    write(do(options.settings(), "snapshot", folder=str(Path(folder).absolute())), form)
