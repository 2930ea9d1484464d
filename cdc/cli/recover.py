"""`cdc restore …`, `cdc drill` and `cdc report`: data put right, rehearsed and accounted for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cdc.cli.act import act
from cdc.cli.ask import ask
from cdc.cli.look import AT, BEFORE, FORM, LIMIT
from cdc.cli.render import Format, say, write
from cdc.cli.state import options
from cdc.errors import DifferenceFound, SettingsError
from cdc.recover.drill import drill_of
from cdc.recover.page import as_html
from cdc.recover.told import plan_lines, verdict_lines
from cdc.settings import Settings

restore_app = typer.Typer(help="Putting it back: plan, apply, verify, undo.")

INCIDENT = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or that of an alert.")]
RESTORE = Annotated[str, typer.Argument(metavar="RESTORE", help="Its id, like r-0123456789.")]

RECORD = Annotated[list[str] | None, typer.Option("--record", help="Record id of 18 characters.")]


def add_to(app: typer.Typer) -> None:
    """Adds the groups."""
    app.add_typer(restore_app, name="restore")
    app.command("report")(report)
    app.command("drill")(drill)


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
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="A rehearsal: read from and applied to [sandbox], a full copy.")
    ] = False,
    form: FORM = Format.TABLE,
) -> None:
    """What would be put back, and what could not; writes nothing to the org. Example: cdc restore plan ALERT"""
    settings = options.settings()
    done = act(settings, "plan_restore", incident_id=incident, delete_created=delete_created, sandbox=sandbox)
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
    if not force:
        _offer_to_contain(settings, restore)
    done = act(settings, "apply_restore", restore_id=restore, hash=confirm, force=force or None)
    _applied(settings, restore, done, form)


def _offer_to_contain(settings: Settings, restore: str) -> None:
    """On a terminal, before anything is written: what would stop the cause, and whether it is stopped.

    Whoever says no, or is no person, is refused by the action itself while the burst may go on.
    """
    facts = ask(settings, "plan_rows", restore_id=restore, limit=1)["detail"]
    if not sys.stdin.isatty() or not facts.get("contain") or facts.get("kind") in ("copy", "rehearsal"):
        return
    answer = ask(settings, "incident", incident_id=facts["incident_id"])
    if answer["detail"]["contained_at"] is not None or answer["detail"]["state"] == "closed":
        return
    say("nobody has said that the cause of this incident was stopped. What would stop it:", "yellow")
    for step in facts["contain"]:
        say(f"  {step}")
    if typer.confirm("Is it stopped?", default=False, err=True):
        act(settings, "contain_incident", incident_id=facts["incident_id"], note="said before applying")


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
        list[str] | None,
        typer.Option(
            "--mask", help="Entity.Field or a class (PII), besides privacy.masked and masked_classes."
        ),
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
