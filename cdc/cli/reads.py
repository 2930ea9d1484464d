"""`cdc baseline`: full reads asked for, and how far they are while one waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from cdc.answer.looks import JOBS_MAX
from cdc.cli.ask import ask
from cdc.cli.render import progress, say
from cdc.cli.state import options
from cdc.errors import BadArgument, CdcError
from cdc.serve.client import is_running, post

LOOK_EVERY_S = 0.5

Ask = Callable[..., dict[str, Any]]


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("baseline")(baseline)


def baseline(
    entities: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENTITY]...", help="API names, like Account; without, every entity recorded."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until they have ended.")] = True,
) -> None:
    """Have entities read in full by the running recorder. Example: cdc baseline Account Contact

    Ctrl-C ends the waiting, not the reading.
    """
    settings = options.settings()
    if not is_running(settings):
        raise BadArgument(
            "nothing is running that could read",
            where=settings.api.listen,
            do="start `cdc run` or `cdc journal`",
        )
    names = entities or [row[1] for row in ask(settings, "status")["rows"] if row[0] == "entity"]
    if not names:
        raise BadArgument("nothing is recorded yet", do="name the entities, like: cdc baseline Account")
    asked_for: dict[str, str] = {}
    for entity in names:
        asked_for[post(settings, "/api/v1/baselines", {"entity": entity})["job_id"]] = entity
    if not wait:
        for job_id, entity in asked_for.items():
            say(f"{entity}: requested as {job_id}; `cdc status` shows how far it is")
        return
    ended = until_ended(lambda name, **given: ask(settings, name, **given), list(asked_for))
    failed = {job_id: job for job_id, job in ended.items() if job["state"] == "failed"}
    for job_id, job in ended.items():
        if job_id not in failed:
            say(f"{asked_for[job_id]}: {job['rows']} rows read")
    if failed:
        first, job = next(iter(failed.items()))
        raise CdcError(
            f"{len(failed)} of {len(ended)} reads failed; that of {asked_for[first]}: {job['error']}"
        )


def until_ended(ask_for: Ask, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Wait until every job has ended or failed, with a line of progress on a terminal; the jobs by id.

    A job that had to begin again goes on under an id of its own, which is followed too.
    """
    left = list(job_ids)
    ended: dict[str, dict[str, Any]] = {}
    while left:
        answer = ask_for("jobs", limit=JOBS_MAX)
        jobs = {row[0]: dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]}
        for job_id in list(left):
            job = _newest_attempt(jobs, job_id)
            if job is not None and job["state"] in ("ended", "failed"):
                ended[job_id] = job
                left.remove(job_id)
        if left:
            running = [job for job in jobs.values() if job["state"] == "running"]
            progress(_line(left, job_ids, running))
            time.sleep(LOOK_EVERY_S)
    return ended


def _newest_attempt(jobs: Mapping[str, dict[str, Any]], job_id: str) -> dict[str, Any] | None:
    attempt, found = 2, jobs.get(job_id)
    while (again := jobs.get(f"{job_id}.{attempt}")) is not None:
        attempt, found = attempt + 1, again
    return found


def _line(left: Sequence[str], asked_for: Sequence[str], running: Sequence[Mapping[str, Any]]) -> str:
    done = f"{len(asked_for) - len(left)} of {len(asked_for)} done"
    parts = []
    for job in running:
        part = f"{job['entity']} {job['rows']:,} rows"
        if job["rows_total"]:
            part = f"{job['entity']} {job['rows']:,} of {job['rows_total']:,} rows"
        if job["seconds_left"]:
            part += f", {duration(job['seconds_left'])} left"
        parts.append(part)
    return "; ".join([done, *parts])


def duration(seconds: int) -> str:
    """`40 s`, `12 min`, `3 h`."""
    if seconds < 90:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{round(seconds / 3600)} h"
