"""`cdc doctor`: what is wrong around the recorder, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.errors import EXIT_DIFFERENCE
from cdc.roles.doctor import Finding, diagnose
from cdc.roles.doctor.bundle import write_bundle
from cdc.roles.doctor.finding import FAIL
from cdc.settings import Settings

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red", "off": "dim"}
_NAME_WIDTH = 22


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("doctor")(doctor)


def doctor(
    form: Annotated[Format, typer.Option("--format", help="table, json or csv")] = Format.TABLE,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", metavar="FILE", help="Write a tar.gz for support: no secrets, no field values."
        ),
    ] = None,
) -> None:
    """Look at everything the recorder needs outside itself; each line with its remedy. Example: cdc doctor"""
    settings = options.settings()
    findings = asyncio.run(_all(settings, form is Format.TABLE))
    if form is Format.JSON:
        sys.stdout.write(json.dumps([asdict(f) for f in findings], indent=2) + "\n")
    elif form is Format.CSV:
        rows = [[f.check, f.verdict, f.what, f.do] for f in findings]
        write({"columns": ["check", "verdict", "what", "do"], "rows": rows}, form)
    if bundle:
        names = write_bundle(Path(bundle), settings, findings)
        say(f"bundle: {bundle} ({', '.join(names)})")
    failed = sum(f.verdict == FAIL for f in findings)
    if form is Format.TABLE:
        say(
            f"{failed} of {len(findings)} checks failed" if failed else f"{len(findings)} checks, none failed"
        )
    if failed:
        raise typer.Exit(EXIT_DIFFERENCE)


async def _all(settings: Settings, show: bool) -> list[Finding]:
    console = Console(highlight=False)
    found = []
    async for finding in diagnose(settings):
        found.append(finding)
        if show:
            _show(finding, console)
    return found


def _show(finding: Finding, console: Console) -> None:
    """One finding under the others: folded in its own column on a terminal, never folded in a pipe."""
    verdict = Text(finding.verdict, _COLOURS[finding.verdict])
    remedy = Text(f"→ {finding.do}", "yellow")
    if not console.is_terminal:
        line = Text.assemble(f"{finding.verdict:<5}", f"{finding.check:<{_NAME_WIDTH}} ", finding.what)
        console.print(line, soft_wrap=True, markup=False)
        if finding.do:
            console.print(f"{'':{5 + _NAME_WIDTH}} {remedy.plain}", soft_wrap=True, markup=False)
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(width=4)
    table.add_column(width=_NAME_WIDTH, overflow="fold")
    table.add_column(overflow="fold")
    table.add_row(verdict, Text(finding.check, "bold"), Text(finding.what))
    if finding.do:
        table.add_row("", "", remedy)
    console.print(table)
