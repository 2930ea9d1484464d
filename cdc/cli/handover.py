"""Verbs that hand the past to other systems: replay, export."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdc.cli.ask import asking
from cdc.cli.look import AT, BEFORE, STRICT
from cdc.cli.render import say
from cdc.cli.state import options
from cdc.errors import AnswerIncomplete, BadArgument
from cdc.replay.export import Exported, ExportOrder
from cdc.replay.target import FORMS, is_target
from cdc.roles.replay import Begun, Order, is_resumed, run_replay

ENTITIES = Annotated[
    list[str] | None, typer.Option("--entity", "-e", metavar="ENTITY", help="Only this one; may be repeated.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (replay, export):
        app.command(verb.__name__)(verb)


def replay(
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="T|TARGET", help="The last time; and kafka:TOPIC, parquet:DIR, ndjson:FILE or -."
        ),
    ] = None,
    from_time: Annotated[
        str | None, typer.Option("--from", metavar="T", help="The first time; without it, the beginning.")
    ] = None,
    from_before: Annotated[
        str | None,
        typer.Option("--from-before", help="From exactly before a transaction key, seq or incident."),
    ] = None,
    to_before: Annotated[
        str | None, typer.Option("--before", "--to-before", help="To exactly before one.")
    ] = None,
    entity: ENTITIES = None,
    envelope: Annotated[str, typer.Option("--envelope", help="change: our own; or debezium.")] = "change",
    snapshot: Annotated[
        bool | None,
        typer.Option(
            "--snapshot/--no-snapshot",
            help="Begin with every record as it was at --from (debezium: yes, change: no).",
        ),
    ] = None,
    schemas: Annotated[
        bool | None,
        typer.Option(
            "--schemas/--no-schemas", help="Debezium: schemas in each message (Kafka: yes, files: no)."
        ),
    ] = None,
    timestamp: Annotated[
        str,
        typer.Option("--timestamp", help="Kafka: now, or commit: the time of the change as the record's."),
    ] = "now",
    rate: Annotated[
        float | None, typer.Option("--rate", help="Messages a second; without it, all it can.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Write over what stands at the target.")] = False,
    strict: STRICT = False,
) -> None:
    """Every change again, in order. Example: cdc replay --from -1d --to now --to ndjson:changes.ndjson

    Run again after an interruption it goes on where it was. Fields that are not known are left out, never null.

    Example: cdc replay --entity Account --envelope debezium --to parquet:account-changes
    """
    settings = options.settings()
    if timestamp not in ("now", "commit"):
        raise BadArgument("--timestamp is now or commit", where=timestamp[:40])
    times = [text for text in to or () if not is_target(text)]
    targets = [text for text in to or () if is_target(text)]
    if len(targets) != 1 or len(times) > 1:
        raise BadArgument("a replay has one target, and at most one last time", do=FORMS)
    order = Order(
        to=targets[0],
        from_time=from_time,
        to_time=times[0] if times else None,
        from_before=from_before,
        to_before=to_before,
        entities=tuple(entity or ()),
        envelope=envelope,
        snapshot=snapshot,
        with_schema=schemas,
        commit_timestamps=timestamp == "commit",
        rate=rate,
        again=again,
    )
    began_s = time.monotonic()
    with asking(settings) as way, _bar("messages") as bar:
        task = bar.add_task("", total=None)
        progress, plan = run_replay(
            settings,
            way.answer,
            order,
            begun=_say_begun,
            told=lambda done: bar.update(task, completed=done.messages),
        )
    seconds = max(time.monotonic() - began_s, 1e-6)
    say(f"{progress.messages} messages of {progress.steps} steps in {seconds:.1f} s to {order.to}")
    if progress.nameless:
        say(
            f"{progress.nameless} steps name no single record, or nothing is known of it: they have no message"
        )
    if not plan.complete:
        say("incomplete: " + "; ".join(plan.reasons))
        if strict:
            raise AnswerIncomplete("the replay crosses holes", do="see `cdc coverage`")


def _say_begun(begun: Begun) -> None:
    times = " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in begun.moments.items()
    )
    goes_on = f"goes on behind ordinal {begun.after.ordinal}" if is_resumed(begun.after) else "begins"
    say(f"the replay {goes_on}; its times are {times or 'everything'}")


def export(
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="A new folder.")],
    at: AT = None,
    before: BEFORE = None,
    entity: ENTITIES = None,
    form: Annotated[str, typer.Option("--format", help="csv, as Data Loader takes it; or parquet.")] = "csv",
    null: Annotated[
        str, typer.Option("--null", help="What a null is in CSV: nothing, or #N/A as bulk jobs have it.")
    ] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted records too.")] = False,
    strict: STRICT = False,
) -> None:
    """The whole org as it was, a file an entity and a manifest. Example: cdc export --at -1d --output org-yesterday

    Example: cdc export --entity Account --entity Contact --format parquet --output accounts
    """
    from cdc.replay.export import export as run_export

    settings = options.settings()
    if form not in ("csv", "parquet"):
        raise BadArgument("an export is csv or parquet", where=form[:40])
    with asking(settings) as way, _bar("records") as bar:
        names = tuple(entity or ()) or tuple(row[0] for row in way.answer("entities")["rows"])
        [[time_at, cut]] = way.answer("moment", at=at, before=before)["rows"]
        moment = {"at": time_at} if time_at is not None else {"before": cut}
        order = ExportOrder(Path(output), moment, names, form, null, deleted)
        task = bar.add_task("", total=None)

        def told(done: Exported) -> None:
            bar.update(task, description=done.entity, completed=done.rows)

        manifest = run_export(way.answer, settings.org.alias, order, told)
    say(f"{manifest['records']} records of {len(names)} entities in {output}")
    if not manifest["complete"]:
        partly = [e for e in manifest["entities"] if not e["complete"]]
        for one in partly:
            say(
                f"incomplete: {one['entity']}: {'; '.join(one['reasons']) or 'some records have an unknown status'}"
            )
        if strict:
            raise AnswerIncomplete("the export is not complete", where=f"{output}/manifest.json")


def _bar(unit: str) -> Progress:
    """Progress on a terminal; nothing in a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
