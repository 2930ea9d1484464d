"""`cdc alerts`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from cdc.cli.ask import ask
from cdc.cli.look import FORM, LIMIT
from cdc.cli.render import Format, write
from cdc.cli.state import options
from cdc.errors import BadArgument
from cdc.roles.terminal import print_alert
from cdc.serve.client import follow, is_running

_SHOWN = ("alert_id", "severity", "state", "first_change_at", "records", "title")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("alerts")(alerts)


def alerts(
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new ones as they come.")
    ] = False,
    limit: LIMIT = 20,
    form: FORM = Format.TABLE,
) -> None:
    """Alerts, the newest first. Example: cdc alerts --follow"""
    settings = options.settings()
    if following:
        if not is_running(settings):
            raise BadArgument(
                "nothing is running to follow",
                where=settings.api.listen,
                do="start `cdc run` or `cdc journal`",
            )
        for alert in follow(settings, "/api/v1/alerts/stream?since=all"):
            _show(alert, form)
        return
    answer = ask(settings, "alerts", limit=limit)
    if form is Format.TABLE:
        keep = [answer["columns"].index(name) for name in _SHOWN]
        answer = {**answer, "columns": _SHOWN, "rows": [[row[i] for i in keep] for row in answer["rows"]]}
    write(answer, form)


def _show(alert: dict[str, Any], form: Format) -> None:
    if form is Format.TABLE:
        print_alert(alert)
        return
    sys.stdout.write(json.dumps(alert, ensure_ascii=False) + "\n")
    sys.stdout.flush()
