"""Verbs that keep: seal, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.ask import ask, do
from cdc.cli.look import FORM
from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.errors import BadArgument, NotFound


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (seal, verify):
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
    """Look at every byte that was sealed and every ordinal; exit 4 at the first difference. Example: cdc verify"""
    from cdc.journal.manifests import public_key as read_public_key

    text = None
    if checkpoint is not None:
        try:
            text = Path(checkpoint).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadArgument(f"the checkpoint cannot be read: {error}", where=checkpoint) from error
    key = read_public_key(public_key) if public_key else None
    write(do(options.settings(), "verify", public_key=key, checkpoint=text), form)
