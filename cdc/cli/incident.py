"""`cdc incident …`: what went wrong, which changes are meant, and what they touched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.answer.times import parse_time
from cdc.cli.act import act
from cdc.cli.ask import ask
from cdc.cli.look import FORM, LIMIT
from cdc.cli.render import Format, finish, say, write
from cdc.cli.state import options
from cdc.errors import BadArgument
from cdc.recover.picture import as_svg, in_terminal
from cdc.roles.terminal import print_alert

incident_app = typer.Typer(help="What went wrong: which changes are meant, and what they touched.")

NOTE = Annotated[str | None, typer.Option("--note", help="Why; kept with it.")]
INCIDENT = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or that of an alert.")]

FROM = Annotated[str | None, typer.Option("--from", help="Changes committed from this time on.")]
TO = Annotated[str | None, typer.Option("--to", help="Changes committed up to this time.")]
USER = Annotated[list[str] | None, typer.Option("--user", help="User id; may be given again.")]
CLIENT = Annotated[list[str] | None, typer.Option("--client", help="Client name of the change's origin.")]
ORIGIN = Annotated[
    list[str] | None, typer.Option("--origin", help='Like com/salesforce/api/rest/66.0, or "".')
]
TRANSACTION = Annotated[list[str] | None, typer.Option("--transaction", help="Transaction key.")]
ENTITY = Annotated[list[str] | None, typer.Option("--entity", help="API name, like Account.")]
FIELD = Annotated[list[str] | None, typer.Option("--field", help="Field; only these are put back.")]
VALUE = Annotated[list[str] | None, typer.Option("--value", help="What the field was set to; null for null.")]
KIND = Annotated[list[str] | None, typer.Option("--kind", help="CREATE, UPDATE, DELETE or UNDELETE.")]
RECORD = Annotated[list[str] | None, typer.Option("--record", help="Record id of 18 characters.")]


def add_to(app: typer.Typer) -> None:
    """Adds the group."""
    app.add_typer(incident_app, name="incident")


# -- cdc incident -----------------------------------------------------------------------------------------


@incident_app.command("list")
def list_incidents(
    state: Annotated[
        str | None, typer.Option("--state", help="open, acknowledged, closed or merged.")
    ] = None,
    limit: LIMIT = 20,
    form: FORM = Format.TABLE,
) -> None:
    """Incidents, the newest first. Example: cdc incident list --state open"""
    write(ask(options.settings(), "incidents", state=state, limit=limit), form)


@incident_app.command("show")
def show_incident(incident: INCIDENT, form: FORM = Format.TABLE) -> None:
    """Who did what, since when, against what is usual; what is meant; its restores. Example: cdc incident show ALERT"""
    answer = ask(options.settings(), "incident", incident_id=incident)
    if form is not Format.TABLE:
        write(answer, form)
        return
    detail = answer["detail"]
    sys.stdout.write(f"{detail['incident_id']}: {detail['title']} ({detail['state']})\n")
    if detail["note"]:
        sys.stdout.write(f"note: {detail['note']}\n")
    if detail["alert"]:
        sys.stdout.flush()
        print_alert(detail["alert"])
    if answer["rows"]:
        sys.stdout.write("restores\n")
        sys.stdout.flush()
        write(answer, form)
        return
    finish(answer)
    say(f"nothing was restored; what it touched: cdc incident blast {detail['incident_id']}")


@incident_app.command("blast")
def show_blast(
    incident: INCIDENT,
    svg: Annotated[str | None, typer.Option("--svg", metavar="FILE", help="Write the picture there.")] = None,
    form: FORM = Format.TABLE,
) -> None:
    """The blast radius: who, what, how much, what hangs on it. Example: cdc incident blast ALERT --svg blast.svg"""
    answer = ask(options.settings(), "blast", incident_id=incident)
    blast = answer["blast"]
    if svg:
        Path(svg).write_text(as_svg(blast), encoding="utf-8")
        say(f"picture: {svg}")
    if form is not Format.TABLE:
        write(answer, form)
        return
    totals = blast["totals"]
    sys.stdout.write(
        f"{blast['title']}\n{totals['records']:,} records, {totals['changes']:,} changes, "
        f"{totals['transactions']:,} transactions, {totals['first_at']} to {totals['last_at']}\n\n"
    )
    sys.stdout.write("\n".join(in_terminal(blast)) + "\n")
    for name, title in _SECTIONS:
        rows = blast[name]
        if rows:
            sys.stdout.write(f"\n{title}\n")
            sys.stdout.flush()
            write({"columns": list(rows[0]), "rows": [list(r.values()) for r in rows]}, form)
    for note in answer["notes"]:
        say(note)


_SECTIONS = (
    ("fields", "what was done"),
    ("money", "money, before and after"),
    ("groups", "owners and record types"),
    ("reached", "records that point to the touched ones"),
    ("later", "later changes on top"),
    ("beside", "what else the same transactions did"),
    ("linked", "other alerts and setup changes of the time"),
)


@incident_app.command("open")
def open_incident(
    alert: Annotated[str | None, typer.Argument(metavar="[ALERT]", help="Or by hand, with filters.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="One sentence.")] = None,
    from_time: FROM = None,
    to_time: TO = None,
    user: USER = None,
    client: CLIENT = None,
    origin: ORIGIN = None,
    transaction: TRANSACTION = None,
    entity: ENTITY = None,
    field: FIELD = None,
    value: VALUE = None,
    kind: KIND = None,
    record: RECORD = None,
) -> None:
    """Open one from an alert or by hand. Example: cdc incident open --user 005… --from 2026-11-23T10:00:00Z --entity Account"""
    one = _filter(from_time, to_time, user, client, origin, transaction, entity, field, value, kind, record)
    detail = act(
        options.settings(),
        "open_incident",
        alert_id=alert,
        title=title,
        filters=[one] if one and not alert else None,
        fields=field if not alert else None,
    )
    _opened(detail)


@incident_app.command("ack")
def acknowledge_incident(
    incident: INCIDENT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what it would silence.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take an acknowledgement back.")] = False,
) -> None:
    """Say that it is a known job, which teaches the detector. Example: cdc incident ack ALERT --preview"""
    if withdraw:
        act(options.settings(), "unacknowledge_incident", incident_id=incident)
        say("withdrawn: it will be told again")
        return
    told = act(options.settings(), "acknowledge_incident", incident_id=incident, preview=True)
    say("will not be told again:")
    for sentence in told["silences"]:
        say(f"  {sentence}")
    if preview:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise BadArgument("nobody can be asked here", do="give --yes to acknowledge, or --preview")
        typer.confirm("Acknowledge it?", abort=True)
    act(options.settings(), "acknowledge_incident", incident_id=incident)
    say("acknowledged")


@incident_app.command("narrow")
def narrow_incident(
    incident: INCIDENT,
    exclude: Annotated[bool, typer.Option("--exclude", help="What matches is not meant.")] = False,
    from_time: FROM = None,
    to_time: TO = None,
    user: USER = None,
    client: CLIENT = None,
    origin: ORIGIN = None,
    transaction: TRANSACTION = None,
    entity: ENTITY = None,
    field: FIELD = None,
    value: VALUE = None,
    kind: KIND = None,
    record: RECORD = None,
) -> None:
    """Mean less. Example: cdc incident narrow i-0a1b2c3d --exclude --record 001000000000001AAA"""
    one = _filter(from_time, to_time, user, client, origin, transaction, entity, field, value, kind, record)
    given = {"without": [one]} if exclude else {"only": [one]}
    _opened(act(options.settings(), "narrow_incident", incident_id=incident, **given))


@incident_app.command("widen")
def widen_incident(
    incident: INCIDENT,
    from_time: FROM = None,
    to_time: TO = None,
    user: USER = None,
    client: CLIENT = None,
    origin: ORIGIN = None,
    transaction: TRANSACTION = None,
    entity: ENTITY = None,
    field: FIELD = None,
    value: VALUE = None,
    kind: KIND = None,
    record: RECORD = None,
) -> None:
    """Mean more. Example: cdc incident widen i-0a1b2c3d --transaction 0001a2b3-…"""
    one = _filter(from_time, to_time, user, client, origin, transaction, entity, field, value, kind, record)
    _opened(act(options.settings(), "widen_incident", incident_id=incident, filters=[one]))


@incident_app.command("contain")
def contain_incident(incident: INCIDENT, note: NOTE = None) -> None:
    """Say that its cause was stopped, so that applying is allowed. Example: cdc incident contain ALERT --note "flow off" """
    detail = act(options.settings(), "contain_incident", incident_id=incident, note=note)
    say(f"{detail['incident_id']} is contained")


@incident_app.command("close")
def close_incident(incident: INCIDENT, note: NOTE = None) -> None:
    """Close it. Example: cdc incident close i-0a1b2c3d --note "was the month-end load" """
    detail = act(options.settings(), "close_incident", incident_id=incident, note=note)
    say(f"{detail['incident_id']} is closed")


# -- parts ------------------------------------------------------------------------------------------------


def _filter(
    from_time: str | None,
    to_time: str | None,
    user: list[str] | None,
    client: list[str] | None,
    origin: list[str] | None,
    transaction: list[str] | None,
    entity: list[str] | None,
    field: list[str] | None,
    value: list[str] | None,
    kind: list[str] | None,
    record: list[str] | None,
) -> dict[str, Any]:
    """The options as a filter of the API."""
    lists = {
        "users": user,
        "clients": client,
        "origins": origin,
        "transactions": transaction,
        "entities": entity,
        "touching": field,
        "kinds": [k.upper() for k in kind] if kind else None,
        "records": record,
    }
    out: dict[str, Any] = {name: values for name, values in lists.items() if values}
    if value:
        out["values"] = [None if v == "null" else v for v in value]
    for name, text in (("from_at", from_time), ("to_at", to_time)):
        if text is not None:
            out[name] = _millis(text)
    return out


def _millis(text: str) -> int:
    from datetime import UTC

    if text.startswith("-"):
        raise BadArgument("give the time itself here", where=text, do="write it like 2026-11-23T10:02:00Z")
    moment = parse_time(text, None)
    if moment is None:
        raise BadArgument("`now` bounds nothing", where=text, do="leave the option out")
    return round(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _opened(detail: dict[str, Any]) -> None:
    sys.stdout.write(detail["incident_id"] + "\n")
    say(f"{detail['title']}; see `cdc incident blast {detail['incident_id']}`, then `cdc restore plan`")
