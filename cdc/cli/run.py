"""Verbs that run things: run, capture, journal, detect, simulator, demo, bench."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc import logs
from cdc.cli.render import say
from cdc.cli.state import options
from cdc.errors import BadArgument
from cdc.journal.lake import is_lake

SHOW_LOG = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (run, capture, journal, detect, simulator, demo, bench):
        app.command(verb.__name__)(verb)


def run(log_level: SHOW_LOG = "info") -> None:
    """Every role in one process: capture, journal with API, detector. Example: cdc --config acme.toml run"""
    _live(log_level, capture=True, journal=True, detect=True)


def capture(log_level: SHOW_LOG = "info") -> None:
    """Only record, into the log. Example: cdc --config acme.toml capture"""
    _live(log_level, capture=True)


def journal(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Set the journal aside and make it anew from the log.")
    ] = False,
    log_level: SHOW_LOG = "info",
) -> None:
    """Only the journal, with API. Example: cdc --config acme.toml journal"""
    if rebuild:
        path = Path(options.settings().journal.path)
        if is_lake(str(path)):
            raise BadArgument(
                "a journal in DuckLake is made anew from the log in another catalog",
                do="name a new database in journal.path and another folder in journal.segments, and start the workers",
            )
        if path.exists():
            aside = path.with_suffix(".before-rebuild.duckdb")
            path.replace(aside)
            say(f"the journal was set aside as {aside}")
    _live(log_level, journal=True)


def detect(
    input_file: Annotated[
        str | None, typer.Option("--input", help="Judge a recorded stream: Parquet or NDJSON.")
    ] = None,
    output_file: Annotated[
        str | None, typer.Option("--output", help="Where its alerts go, NDJSON; - is stdout.")
    ] = None,
    state_file: Annotated[str | None, typer.Option("--state", help="What was learned; kept here.")] = None,
    config_file: Annotated[
        str | None, typer.Option("--config", "-c", help="Settings file: its org.alias and detect.*.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Over the journal: what would have been said from here.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="… to here; else to the end.")] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="KEY", help="What is normal for USER[,ENTITY[,KIND]], by the kept state."
        ),
    ] = None,
    log_level: SHOW_LOG = "info",
) -> None:
    """Only the detector: live, over a file (--input), over the journal (--from), or what is normal (--explain).

    Example: cdc detect --input day.parquet --output alerts.ndjson --state detect.state

    Example: cdc detect --from 2026-11-01 --to 2026-11-08

    Example: cdc detect --explain 005xx0000012Q9PAAU,Opportunity
    """
    from cdc.roles.judging import explain_key, judge_journal, judge_recorded

    if config_file is not None:
        options.config = config_file
    if input_file is not None:
        told = judge_recorded(input_file, output_file or "-", state_file, options.config)
        typer.echo(told, err=True)
    elif explain is not None:
        _out(explain_key(options.settings() if state_file is None else None, state_file, explain))
    elif from_ is not None:
        typer.echo(judge_journal(options.settings(), from_, to, output_file or "-"), err=True)
    elif output_file or state_file or to:
        raise BadArgument("--output, --state and --to go with --input, --from or --explain")
    else:
        _live(log_level, detect=True)


def simulator(
    listen: Annotated[str, typer.Option(help="HOST:PORT of REST, OAuth and control.")] = "127.0.0.1:8443",
    pubsub_listen: Annotated[str, typer.Option(help="HOST:PORT of gRPC.")] = "127.0.0.1:7443",
    tls: Annotated[
        str | None, typer.Option(metavar="DIR", help="Make a throw-away CA there; speak TLS.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that happens.")] = 1,
    workload: Annotated[str | None, typer.Option(metavar="FILE", help="What goes on in the org.")] = None,
    fault: Annotated[list[str] | None, typer.Option(metavar="SPEC", help="A fault by name.")] = None,
    keepalive_s: Annotated[float, typer.Option(help="Seconds between empty responses.")] = 60.0,
    ready_json: Annotated[
        bool, typer.Option("--ready-json", help="Say addresses and secrets as JSON.")
    ] = False,
) -> None:
    """A Salesforce org in one process. Example: cdc simulator --seed 7"""
    from cdc.roles.simulator import run_simulator

    run_simulator(
        listen=listen,
        pubsub_listen=pubsub_listen,
        tls_dir=tls,
        seed=seed,
        workload=workload,
        faults=tuple(fault or ()),
        keepalive_s=keepalive_s,
        ready_json=ready_json,
    )


def demo(
    log: Annotated[str, typer.Option(help="embedded, or kafka:HOST:PORT.")] = "embedded",
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running; Ctrl-C ends it.")] = False,
    days: Annotated[int, typer.Option(min=0, max=90, help="Ordinary days before the runaway.")] = 28,
) -> None:
    """The main job end to end on a simulated org. Example: cdc demo"""
    from cdc.roles.demo import run_demo

    run_demo(log=log, broker=os.environ.get("CDC_BROKER_VERSION", ""), keep=keep, days=days, say=_out)


def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="all, capture, journal, detect; end-to-end; round-trip; memory; scale; lake; past: a large journal; "
            "scenarios: the detector on labelled streams."
        ),
    ] = "all",
    changes: Annotated[
        int | None,
        typer.Option(min=1000, help="Changes per stage (200,000); of past: field changes held (5,000,000)."),
    ] = None,
    output: Annotated[str | None, typer.Option("--json", help="Write the figures there too.")] = None,
    seconds: Annotated[
        float, typer.Option(min=4, help="Of end-to-end: how long, as fast as it goes.")
    ] = 30.0,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="REV", help="The same on another revision, turn about.")
    ] = None,
    log: Annotated[str, typer.Option(help="embedded, or kafka:HOST:PORT.")] = "embedded",
) -> None:
    """Each stage beside the raw parts it stands on; or questions about the past of a large journal, made once and
    kept in ~/.cache/sf-cdc. Example: cdc bench --changes 100000"""
    from cdc.roles.bench import run_bench

    run_bench(what, changes, output, log, seconds=seconds, compare=compare)


def _live(log_level: str, **parts: bool) -> None:
    from cdc.roles.live import live

    if log_level not in ("debug", "info", "warning", "error"):
        raise BadArgument(f"{log_level!r} is not a log level", do="use debug, info, warning or error")
    logs.configure("debug" if options.debug else log_level)
    asyncio.run(live(options.settings(), config=options.config or "", **parts))


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
