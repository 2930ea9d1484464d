"""The journal against the org as it is now: `cdc diff --to org`, `cdc verify --against-org`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from cdc.answer.answers import Answer
from cdc.cli.ask import Way, asking
from cdc.cli.reads import until_ended
from cdc.cli.render import Format, progress
from cdc.cli.show import write_answer
from cdc.errors import BadArgument
from cdc.metrics import Metrics
from cdc.roles.build import make_log, make_org, make_session
from cdc.roles.live_org import differences_from_org
from cdc.roles.verification import Verification, strict
from cdc.roles.verified import Depth
from cdc.settings import Settings

MATCHED_ROWS = 10_000


def diff_with_org(
    settings: Settings,
    form: Format,
    output: str | None,
    strict: bool,
    entity: str,
    ids: tuple[str, ...],
    at: str | None,
    before: str | None,
    where: str | None,
) -> None:
    """Records named, or that meet a condition at the moment, or all of the entity. Errors: as `diff`, and the org's."""
    with asking(settings) as way:
        if where is not None or ids:
            found = way.answer(
                "state",
                entity=entity,
                ids=list(ids) or None,
                where=where,
                at=at,
                before=before,
                limit=MATCHED_ROWS,
            )
            of = found["columns"].index("record_id")
            ids = tuple(row[of] for row in found["rows"])
        answer = differences_from_org(settings, way.answer, entity, ids, at=at, before=before)
    write_answer(answer, form, output, strict=strict)


def verify_with_org(
    settings: Settings, form: Format, entities: Sequence[str], *, depth: Depth, report_only: bool
) -> None:
    """`cdc verify --against-org`: the differences as rows, a sentence an entity, exit code 4 if there are any.

    Errors: DifferenceFound; BadArgument where nothing records and it should repair; the org's.
    """
    with asking(settings) as way:
        if way.reader is not None and not report_only:
            raise BadArgument(
                "nothing is recording, so nothing could be repaired, and what happened since is no difference",
                where=settings.api.listen,
                do="start `cdc run`, or give --report-only",
            )
        answer = asyncio.run(_verified(settings, way, entities, depth, report_only))
    write_answer(answer, form)
    strict(answer)


async def _verified(
    settings: Settings, way: Way, entities: Sequence[str], depth: Depth, report_only: bool
) -> Answer:
    log = make_log(settings) if way.reader is None else None
    try:
        async with make_session(settings.salesforce) as session:
            org = make_org(settings.salesforce, session, Metrics())
            verification = Verification(
                way.answer, org, org.bulk, log.publish if log else None, depth=depth,
                report_only=report_only, say=progress,
            )  # fmt: skip
            answer = await verification.run(entities)
            repaired = await _repaired(way, verification.jobs)
            return replace(answer, notes=[*answer.notes, *repaired])
    finally:
        if log is not None:
            log.close()


async def _repaired(way: Way, asked_for: Sequence[str]) -> list[str]:
    """Wait for the re-reads that were asked for; what they came to."""
    if not asked_for:
        return []
    ended = await asyncio.to_thread(until_ended, way.answer, asked_for)
    failed = {job_id: job["error"] for job_id, job in ended.items() if job["state"] == "failed"}
    notes = [f"{len(ended) - len(failed)} re-reads repaired what was found"]
    return notes + [f"{job_id} failed: {why}" for job_id, why in failed.items()]
