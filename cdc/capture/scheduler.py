"""Which scans are due, and their running: baselines nobody has taken, and requests found in the log.

Two lanes: repairs do not wait behind a baseline that takes hours, nor one baseline behind another's repair.
Within a lane one job runs at a time, the oldest request first.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdc.capture.backoff import Backoff
from cdc.capture.jobs import BASELINE, REREAD, VERIFY, Job, baseline_due, repair_request
from cdc.capture.relearn import Relearner
from cdc.capture.scan import Scanner, error_sentence
from cdc.errors import AuthRefused, RetryLater
from cdc.logs import Event
from cdc.ports.log import Checkpoint, LogRecord
from cdc.ports.types import Millis

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

LOOK_EVERY_S = 0.5
REFUSED_PAUSE_S = 60.0


@dataclass(slots=True)
class Scheduler:
    """Follows the `jobs` topic in a thread of its own and runs what is open."""

    recorder: Recorder
    scanner: Scanner
    jobs: dict[str, Job] = field(default_factory=dict)
    entities: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    def carried(self) -> tuple[str, ...]:
        """Every entity that some channel carries."""
        return tuple(dict.fromkeys(e for group in self.entities.values() for e in group))

    def set_entities(self, members: dict[str, tuple[str, ...]]) -> None:
        self.entities = members

    async def run(self) -> None:
        thread = threading.Thread(
            target=self._follow, args=(asyncio.get_running_loop(),), name="jobs", daemon=True
        )
        thread.start()
        await self._caught_up.wait()
        await self._describe_all()
        relearner = Relearner(
            self.recorder.source.schema, self.recorder.put, self.recorder.writer.known, self.jobs,
            self.recorder.clock, self.recorder.org_logger, self.recorder.framed,
        )  # fmt: skip
        lanes = [self._lane(self._next_repair), self._lane(self._next_baseline), relearner.run()]
        await _all_of(lanes)

    async def _lane(self, next_job: Callable[[], Job | None]) -> None:
        while True:
            job = next_job()
            if job is None:
                await self.recorder.clock.sleep(LOOK_EVERY_S)
                continue
            await self._run(job)

    def stop(self) -> None:
        self._stop.set()

    async def _describe_all(self) -> None:
        """What the user may read of each entity goes into the log before its first event is judged by readers."""
        backoff = Backoff()
        for entity in (*self.carried(), *self.recorder.options.poll_entities):
            while True:
                try:
                    await self.scanner.describe(entity)
                    break
                except RetryLater as error:
                    await self.recorder.clock.sleep(backoff.pause_s(error.retry_after_s))
                except Exception as error:
                    self.recorder.org_logger.warning(
                        Event.SCAN_FAILED, entity=entity, error=error_sentence(error)
                    )
                    break

    def _next_repair(self) -> Job | None:
        return _oldest(job for job in self.jobs.values() if job.open and job.kind == REREAD)

    def _next_baseline(self) -> Job | None:
        """A request first; then a baseline nobody has taken, once everything is live."""
        asked_for = _oldest(job for job in self.jobs.values() if job.open and job.kind == BASELINE)
        if asked_for or not self.recorder.options.baseline or not self._all_live():
            return asked_for
        for entity in (*self.carried(), *self.recorder.options.poll_entities):
            if baseline_due(self.jobs, entity):
                attempt = sum(j.kind == BASELINE and j.entity == entity for j in self.jobs.values())
                if attempt >= BASELINE_ATTEMPTS_MAX:
                    continue
                suffix = f".{attempt + 1}" if attempt else ""
                return Job(
                    job_id=f"baseline-{entity}{suffix}",
                    kind=BASELINE,
                    entity=entity,
                    reason="no baseline of this entity has been taken",
                    requested_by="capture",
                    requested_at=self.recorder.clock.wall_ms(),
                )
        return None

    def _all_live(self) -> bool:
        """A baseline that began before its channel is live would leave a stretch between the two uncovered."""
        from cdc.capture.channel import Standing

        positions = self.recorder.writer.positions.channels
        return all(
            channel.state.standing is Standing.STOPPED or (name in positions and positions[name].live_from)
            for name, channel in self.recorder.channels.items()
            if name in self.entities
        )

    async def _run(self, job: Job) -> None:
        backoff = Backoff(first_s=1.0)
        while True:
            self.jobs[job.job_id] = job
            try:
                after = await self.scanner.run(job)
            except (RetryLater, AuthRefused) as error:
                # Refused by REST: the stream goes on, and what an administrator took away may be given back.
                self.recorder.troubles.note(error)
                self.recorder.org_logger.warning(
                    Event.SCAN_FAILED, job=job.job_id, error=error.sentence(), again=True
                )
                least_s = error.retry_after_s if isinstance(error, RetryLater) else REFUSED_PAUSE_S
                await self.recorder.clock.sleep(backoff.pause_s(least_s))
                job = self.jobs[job.job_id]  # the follower has brought the cursor that was committed
                continue
            self.jobs[after.job_id] = after
            if after.job_id != job.job_id:
                job = after
                continue
            if after.read_to:
                self.recorder.org_clock.settle(after.read_to)
            return

    def repairs(self, channel: str, anchor_at: Millis, reason: str) -> list[LogRecord]:
        """Requests to read every entity of a channel anew, counting from the start of the hole."""
        now = self.recorder.clock.wall_ms()
        return [repair_request(entity, anchor_at, reason, now) for entity in self.entities.get(channel, ())]

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """In its thread: every job record, as it comes; the first quiet moment says that all old ones are in."""
        told = False
        for batch in self.recorder.log.batches(Checkpoint(), topics=frozenset({"jobs"}), idle_s=0.2):
            if self._stop.is_set() or loop.is_closed():
                return
            jobs = [Job.from_record(record) for record in batch.records]
            if jobs:
                loop.call_soon_threadsafe(self._learn, jobs)
            elif not told:
                told = True
                loop.call_soon_threadsafe(self._caught_up.set)

    def _learn(self, jobs: list[Job]) -> None:
        """A job that is running here is ahead of what the log brings back."""
        for job in jobs:
            if job.kind == VERIFY and job.open and self._caught_up.is_set():
                self.recorder.org_clock.settle(job.read_to)  # somebody waits until the stream has passed it
            known = self.jobs.get(job.job_id)
            if known is None or (known.open and (job.rows, not job.open) >= (known.rows, not known.open)):
                self.jobs[job.job_id] = job


def _oldest(jobs: Iterable[Job]) -> Job | None:
    return min(jobs, key=lambda j: (j.requested_at, j.job_id), default=None)


async def _all_of(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Runs all of them until the first fails, then ends the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


BASELINE_ATTEMPTS_MAX = 3
"""After so many failures a baseline is left to a person; `cdc coverage` shows the reason."""
