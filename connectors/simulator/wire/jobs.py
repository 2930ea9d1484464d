"""What both kinds of job of Bulk API 2.0 share: ids, states, the list of them, who may see which, expiry.

States: Open (ingest only) -> UploadComplete -> InProgress -> JobComplete | Failed | Aborted. Work goes on beside
the answers, in steps that give way to them; an abort takes effect at the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web

from connectors.simulator.clock import DAY_MS
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id, with_suffix
from connectors.simulator.rows import date_time_text
from connectors.simulator.wire.answers import SESSION, version_of
from connectors.simulator.wire.context import Wire

JOB_PREFIX = "750"
JOBS_MAX = 500  # the oldest ended ones go first
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
RESULT_DAYS = 7
ROWS_A_BATCH = 10_000


@dataclass(slots=True)
class Job:
    """One job as its answers describe it."""

    id: str
    object: str
    operation: str
    user_id: str
    version: str
    created_at: int
    client: str = ""
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    state: str = "UploadComplete"
    changed_at: int = 0
    processed: int = 0
    failed: int = 0
    error: str = ""
    work: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def described(self) -> dict[str, Any]:
        """What creation, and every list, says of it."""
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.object,
            "createdById": self.user_id,
            "createdDate": date_time_text(self.created_at),
            "systemModstamp": date_time_text(self.changed_at or self.created_at),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }

    def figures(self) -> dict[str, Any]:
        """What a question about it alone says besides."""
        taken = max(0, (self.changed_at or self.created_at) - self.created_at)
        made: dict[str, Any] = {
            "numberRecordsProcessed": self.processed,
            "retries": 0,
            "totalProcessingTime": taken,
        }
        if self.error:
            made["errorMessage"] = self.error
        return made


J = TypeVar("J", bound=Job)


class Jobs(Generic[J]):
    """The jobs of one kind in one org."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._jobs: dict[str, J] = {}

    def new_id(self) -> str:
        return record_id(JOB_PREFIX, self._wire.org.org_id[3:7], next(self._wire.job_numbers))

    def add(self, job: J) -> J:
        self._expire()
        self._jobs[job.id] = job
        return job

    def get(self, request: web.Request) -> J:
        """The job of the path. Raises NOT_FOUND, and a conflict for another API version than it was made with."""
        job = self.find(request)
        if job.version != version_of(request):
            raise OrgError(
                "API_ERROR",
                f"The job was created with API version {job.version}; use the same version for it.",
                status=409,
            )
        return job

    def find(self, request: web.Request) -> J:
        """The job of the path, whatever the version."""
        self._expire()
        job = self._jobs.get(with_suffix(request.match_info["job"][:15]))
        fault = self._wire.org.faults.take("job_gone")
        if job is None or fault is not None or job.user_id != request[SESSION].user_id:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        return job

    def listed(self, request: web.Request) -> dict[str, Any]:
        """The answer of the list."""
        return {
            "done": True,
            "records": [job.described() for job in self._jobs.values()],
            "nextRecordsUrl": None,
        }

    def remove(self, job: J) -> None:
        """Delete an ended job with its results. Raises INVALIDJOBSTATE."""
        if job.state in ("Open", "InProgress"):
            raise OrgError("INVALIDJOBSTATE", f"Can't delete a job that is {job.state}")
        self._jobs.pop(job.id, None)

    def start(self, job: J, work: Coroutine[Any, Any, None]) -> None:
        """Work on it beside the answers."""
        job.work = asyncio.create_task(work, name=f"bulk-{job.id}")

    def move(self, job: J, state: str, error: str = "") -> None:
        job.state, job.error = state, error
        job.changed_at = self._wire.org.clock.now_ms()

    async def pause(self) -> None:
        """What a batch takes before it begins."""
        await asyncio.sleep(self._wire.org.knobs.bulk_job_ms / 1000)

    async def close(self) -> None:
        """End the work that is under way."""
        works = [job.work for job in self._jobs.values() if job.work is not None and not job.work.done()]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    def _expire(self) -> None:
        oldest = self._wire.org.clock.now_ms() - RESULT_DAYS * DAY_MS
        gone = [job.id for job in self._jobs.values() if job.ended and job.changed_at < oldest]
        more = len(self._jobs) - len(gone) - JOBS_MAX
        ended = [job.id for job in self._jobs.values() if job.ended and job.id not in gone]
        for job_id in (*gone, *ended[: max(0, more)]):
            del self._jobs[job_id]


def known(body: Mapping[str, Any], key: str, default: str, known: Mapping[str, str]) -> str:
    """A choice of a job's body by its name, whatever the case. Raises INVALIDJOB."""
    value = str(body.get(key) or default).upper()
    if value not in known:
        raise OrgError("INVALIDJOB", f"{key} {value!r} is none of {', '.join(known)}")
    return value
