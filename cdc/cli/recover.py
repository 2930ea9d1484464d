"""`cdc incident …` and `cdc restore …`: from an alert to data put right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.answer.times import parse_time
from cdc.cli.act import act
from cdc.cli.ask import ask
from cdc.cli.look import AT, BEFORE, FORM, LIMIT
from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.errors import BadArgument, DifferenceFound, SettingsError
from cdc.recover.drill import drill_of
from cdc.recover.page import as_html
from cdc.recover.picture import as_svg, in_terminal
from cdc.recover.told import plan_lines, verdict_lines

incident_app = typer.Typer(help="What went wrong: which changes are meant, and what they touched.")
restore_app = typer.Typer(help="Putting it back: plan, apply, verify, undo.")

NOTE = Annotated[str | None, typer.Option("--note", help="Why; kept with it.")]
INCIDENT = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or that of an alert.")]
RESTORE = Annotated[str, typer.Argument(metavar="RESTORE", help="Its id, like r-0123456789.")]

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
    """Adds the groups."""
    app.add_typer(incident_app, name="incident")
    app.add_typer(restore_app, name="restore")
    app.command("report")(report)
    app.command("drill")(drill)


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
    """What an incident means, and its restores. Example: cdc incident show i-0a1b2c3d"""
    answer = ask(options.settings(), "incident", incident_id=incident)
    if form is Format.TABLE:
        detail = answer["detail"]
        say(f"{detail['incident_id']}: {detail['title']} ({detail['state']})")
        if detail["note"]:
            say(f"note: {detail['note']}")
    write(answer, form)


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


# -- cdc restore ------------------------------------------------------------------------------------------


@restore_app.command("list")
def list_restores(limit: LIMIT = 20, form: FORM = Format.TABLE) -> None:
    """Restores, the newest first. Example: cdc restore list"""
    write(ask(options.settings(), "restores", limit=limit), form)


@restore_app.command("plan")
def plan_restore(
    incident: INCIDENT,
    delete_created: Annotated[
        bool, typer.Option("--delete-created", help="Delete what the incident created.")
    ] = False,
    form: FORM = Format.TABLE,
) -> None:
    """What would be put back, and what could not; writes nothing to the org. Example: cdc restore plan ALERT"""
    settings = options.settings()
    done = act(settings, "plan_restore", incident_id=incident, delete_created=delete_created)
    _show_plan(settings, done["restore_id"], "", 20, form)


@restore_app.command("show")
def show_restore(
    restore: RESTORE,
    decision: Annotated[
        str | None, typer.Option("--decision", help="revert, already, conflict, impossible, follows, left.")
    ] = None,
    records: Annotated[bool, typer.Option("--records", help="What became of each record instead.")] = False,
    result: Annotated[str | None, typer.Option("--result", help="With --records: failed, conflict …")] = None,
    limit: LIMIT = 20,
    form: FORM = Format.TABLE,
) -> None:
    """A plan, field by field, or what became of it. Example: cdc restore show r-0123456789 --decision conflict"""
    settings = options.settings()
    if records or result:
        write(ask(settings, "restore_records", restore_id=restore, result=result, limit=limit), form)
        return
    _show_plan(settings, restore, decision or "", limit, form)


@restore_app.command("apply")
def apply_restore(
    restore: RESTORE,
    confirm: Annotated[
        str | None, typer.Option("--hash", help="The plan's hash, as it shows it. Without: a dry run.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Although the burst may go on.")] = False,
    form: FORM = Format.TABLE,
) -> None:
    """Write a plan; without --hash only show what would be. Example: cdc restore apply r-0123456789 --hash 3f2a…"""
    settings = options.settings()
    if confirm is None:
        _show_plan(settings, restore, "", 10, form)
        say("dry run: nothing was written; give --hash with the hash above to write it", "yellow")
        return
    done = act(settings, "apply_restore", restore_id=restore, hash=confirm, force=force or None)
    _applied(settings, restore, done, form)


@restore_app.command("resume")
def resume_restore(
    restore: RESTORE,
    confirm: Annotated[str, typer.Option("--hash", help="The plan's hash.")],
    form: FORM = Format.TABLE,
) -> None:
    """Go on with one that was stopped or killed. Example: cdc restore resume r-0123456789 --hash 3f2a…"""
    settings = options.settings()
    done = act(settings, "apply_restore", restore_id=restore, hash=confirm)
    _applied(settings, restore, done, form)


@restore_app.command("stop")
def stop_restore(restore: RESTORE) -> None:
    """Stop writing after the batch in hand. Example: cdc restore stop r-0123456789"""
    act(options.settings(), "stop_restore", restore_id=restore)
    say("it stops after the batch in hand; `cdc restore resume` goes on")


@restore_app.command("verify")
def verify_restore(restore: RESTORE, form: FORM = Format.TABLE) -> None:
    """Org against plan, field by field; exit code 4 for a difference. Example: cdc restore verify r-0123456789"""
    verdict = act(options.settings(), "verify_restore", restore_id=restore)
    if form is Format.JSON:
        sys.stdout.write(json.dumps(verdict, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(verdict_lines(verdict)) + "\n")
    if not verdict["good"]:
        raise DifferenceFound(
            f"{verdict['fields'] - verdict['equal']:,} of {verdict['fields']:,} fields are not as planned",
            do="see `cdc restore show --records`; plan again for what is left",
        )


@restore_app.command("undo")
def undo_restore(restore: RESTORE, form: FORM = Format.TABLE) -> None:
    """Plan to take a restore back. Example: cdc restore undo r-0123456789"""
    settings = options.settings()
    done = act(settings, "undo_restore", restore_id=restore)
    _show_plan(settings, done["restore_id"], "", 20, form)


@restore_app.command("copy")
def copy_to_sandbox(
    entity: Annotated[list[str], typer.Option("--entity", help="API name; may be given again.")],
    at: AT = None,
    before: BEFORE = None,
    record: RECORD = None,
    mask: Annotated[
        list[str] | None, typer.Option("--mask", help="Entity.Field, besides privacy.masked.")
    ] = None,
    parents: Annotated[bool, typer.Option(help="What they point to as well.")] = True,
    children: Annotated[bool, typer.Option(help="What points to them as well.")] = True,
    form: FORM = Format.TABLE,
) -> None:
    """Plan a copy of any moment into [sandbox]; apply it like a restore. Example: cdc restore copy --entity Account --at -7d"""
    settings = options.settings()
    done = act(
        settings,
        "plan_copy",
        entities=entity,
        at=at,
        before=before,
        records=record,
        masked=mask,
        parents=parents,
        children=children,
    )
    _show_plan(settings, done["restore_id"], "", 20, form)


# -- cdc drill --------------------------------------------------------------------------------------------


def drill(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="On the org of these settings, which has to be a sandbox.")
    ] = False,
    entity: Annotated[
        str, typer.Option("--entity", help="With --sandbox: of the marked records.")
    ] = "Account",
    records: Annotated[int, typer.Option("--records", min=1, help="With --sandbox: how many.")] = 20,
    past: Annotated[bool, typer.Option("--list", help="Show the drills there were.")] = False,
    form: FORM = Format.TABLE,
) -> None:
    """A timed rehearsal: RTO and RPO measured and kept. On a simulated org, or a sandbox. Example: cdc drill --sandbox"""
    if past:
        write(ask(options.settings(), "drills"), form)
        return
    if sandbox:
        done = act(options.settings(), "drill", entity=entity, records=records)
    else:
        done = _simulated_drill(form)
    measured = drill_of(done)
    if form is Format.TABLE:
        sys.stdout.write("\n".join(measured.lines()) + "\n")
    else:
        write({"columns": list(done), "rows": [list(done.values())]}, form)
    if measured.problem:
        raise DifferenceFound("the drill did not go well", do="see its problem above")


def _simulated_drill(form: Format) -> dict[str, Any]:
    from cdc.roles.drill import simulated_drill

    def tell(text: str) -> None:
        sys.stderr.write(text + "\n")

    try:
        settings = options.settings()
    except SettingsError:
        settings = None
    measured = simulated_drill(tell if form is Format.TABLE else lambda _: None)
    if settings is None:
        say("there are no settings, so the drill is not kept in any journal", "yellow")
        return measured.detail()
    return act(settings, "keep_drill", drills=[measured.detail()])


# -- cdc report -------------------------------------------------------------------------------------------


def report(
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a page that prints.")
    ] = None,
    from_time: Annotated[str | None, typer.Option("--from", help="Without it, 90 days back.")] = None,
    to_time: Annotated[str | None, typer.Option("--to", help="Without it, now.")] = None,
    form: FORM = Format.TABLE,
) -> None:
    """Five questions about recovery, with evidence. Example: cdc report --html recovery.html"""
    settings = options.settings()
    answer = ask(
        settings, "report", from_time=from_time, to_time=to_time, owner=settings.restore.owner or None
    )
    if html:
        Path(html).write_text(as_html(answer["report"], settings.org.alias), encoding="utf-8")
        say(f"report: {html}")
    if form is Format.TABLE:
        for row in answer["rows"]:
            sys.stdout.write(f"{row[0]}\n  {row[1]}\n")
        return
    write(answer, form)


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


def _show_plan(settings: Any, restore_id: str, decision: str, limit: int, form: Format) -> None:
    answer = ask(settings, "plan_rows", restore_id=restore_id, decision=decision or None, limit=limit)
    if form is Format.TABLE:
        sys.stdout.write("\n".join(plan_lines(answer["detail"])) + "\n\n")
        sys.stdout.flush()
    write(answer, form)


def _applied(settings: Any, restore_id: str, done: dict[str, Any], form: Format) -> None:
    say(f"{restore_id}: {done['state']}" + (f", {done['reason']}" if done["reason"] else ""))
    write(ask(settings, "restore", restore_id=restore_id), form)
    if done["state"] == "applied":
        say(f"now `cdc restore verify {restore_id}`")
    else:
        say(f"go on with `cdc restore resume {restore_id} --hash …`", "yellow")
