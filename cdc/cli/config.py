"""`cdc config check|show`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.settings import shown


def add_to(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(help="Check the settings, or show those in force.", no_args_is_help=True)
    group.command("check")(check)
    group.command("show")(show)
    app.add_typer(group, name="config")


def check() -> None:
    """Read the settings and say what is wrong with them. Example: cdc --config acme.toml config check"""
    settings = options.settings()
    say(f"the settings of {settings.org.alias} are in order")


def show(form: Annotated[Format, typer.Option("--format", help="table, json or csv")] = Format.TABLE) -> None:
    """Every setting in force, secrets masked. Example: cdc config show --format json"""
    values = shown(options.settings())
    if form is Format.JSON:
        sys.stdout.write(json.dumps(values, indent=2) + "\n")
        return
    rows = [[key, _text(value)] for key, value in _flat("", values)]
    write({"columns": ["setting", "value"], "rows": rows}, form)


def _flat(prefix: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        out += _flat(name, value) if isinstance(value, dict) and value else [(name, value)]
    return out


def _text(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value
