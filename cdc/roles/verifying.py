"""Verification against the org on a schedule, in the process that both records and keeps the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cdc.answer.answers import Answer
from cdc.errors import CdcError
from cdc.logs import Event, logger
from cdc.ports.log import LogRecord
from cdc.roles.verification import Verification
from cdc.roles.verified import Depth
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings
from cdc.settings_values import duration_s

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder
    from cdc.journal.journal import DuckJournal
    from cdc.journal.lake import Lake

LOOK_EVERY_S = 60.0
"""How often it is looked whether one is due; it is due by the log's record of the last one, also after a restart."""

PAUSE_AFTER_FAILURE_S = 3600.0


async def keep_verified(settings: Settings, recorder: Recorder, journal: DuckJournal | Lake) -> None:
    """Runs until cancelled. A verification that fails is tried again in an hour."""
    interval_s = duration_s(settings.verify.interval)
    if not interval_s:
        return
    clock = recorder.clock
    while True:
        await clock.sleep(LOOK_EVERY_S)
        if not _is_due(journal, clock.wall_ms(), interval_s):
            continue
        try:
            await verify_once(recorder, journal, settings.verify.depth)
        except Exception as error:
            # Recording goes on whatever is wrong with a comparison.
            sentence = error.sentence() if isinstance(error, CdcError) else type(error).__name__
            logger().warning(
                Event.VERIFICATION_FAILED,
                error=sentence,
                exc_info=None if isinstance(error, CdcError) else error,
            )
            await clock.sleep(PAUSE_AFTER_FAILURE_S)


async def verify_once(recorder: Recorder, journal: DuckJournal | Lake, depth: Depth) -> Answer:
    """One verification of every entity with a baseline, and what it says in the log lines and the metrics."""

    def ask(name: str, **given: Any) -> dict[str, Any]:
        with journal.reader() as reader:
            return QUESTIONS[name].answer(reader, {k: v for k, v in given.items() if v is not None})

    def publish(records: Sequence[LogRecord]) -> None:
        recorder.log.publish(records)

    verification = Verification(
        ask, recorder.org, recorder.bulk, publish, depth=depth, clock=recorder.clock,
        bulk_from_rows=recorder.options.bulk_from_rows,
    )  # fmt: skip
    answer = await verification.run()
    records = len({(row[0], row[1]) for row in answer.rows})
    recorder.metrics.verification_differences.set(records)
    recorder.metrics.last_verification.set(recorder.clock.wall_ms() / 1000)
    say = logger().warning if records else logger().info
    say(Event.VERIFICATION_ENDED, records=records, repairs=len(verification.jobs), said=list(answer.notes))
    return answer


def _is_due(journal: DuckJournal | Lake, now_ms: int, interval_s: float) -> bool:
    """The first one an interval after the first baseline, every other an interval after the one before."""
    with journal.reader() as reader:
        row = reader.execute(
            "SELECT coalesce(max(epoch_ms(requested_at)) FILTER (kind = 'verify'),"
            " min(epoch_ms(requested_at)) FILTER (kind = 'baseline')) FROM store.jobs WHERE state = 'ended'"
        ).fetchone()
    return row is not None and row[0] is not None and now_ms - row[0] >= interval_s * 1000
