"""Jobs as they stand in the log: a request, its cursor, its end; the latest record of an id counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import schemas.own as own
from cdc.ports.log import LogRecord
from cdc.ports.types import Millis, Ordinal

REQUESTED, RUNNING, ENDED, FAILED = "requested", "running", "ended", "failed"
BASELINE, REREAD, POLL, SCHEMA, VERIFY = "baseline", "reread", "poll", "schema", "verify"


@dataclass(frozen=True, slots=True)
class Job:
    """One scan or re-read; the fields are those of `schemas/job.avsc`."""

    job_id: str
    kind: str
    entity: str
    reason: str
    requested_by: str
    requested_at: Millis
    record_ids: tuple[str, ...] = ()
    anchor_at: Millis = Millis(0)
    state: str = REQUESTED
    after_ordinal: Ordinal = Ordinal(0)
    read_to: Millis = Millis(0)
    cursor: str = ""
    rows: int = 0
    rows_total: int = -1
    started_at: Millis = Millis(0)
    finished_at: Millis = Millis(0)
    error: str = ""

    @staticmethod
    def from_record(record: LogRecord) -> Job:
        """Errors: ValueError for bytes that are not a job."""
        values = own.decode("job", record.value)
        values["record_ids"] = tuple(values["record_ids"])
        return Job(**values)

    def to_record(self) -> LogRecord:
        values: dict[str, Any] = asdict(self)
        values["record_ids"] = list(self.record_ids)
        return LogRecord("jobs", self.job_id, own.encode("job", values))

    @property
    def open(self) -> bool:
        return self.state in (REQUESTED, RUNNING)

    @property
    def attempt(self) -> int:
        """Which attempt at the same work this is: `baseline-Account` is the first, `baseline-Account.2` the second."""
        stem, _, number = self.job_id.rpartition(".")
        return int(number) if stem and number.isdigit() else 1

    def again(self) -> Job:
        """The same work from its beginning, under an id of its own: rows of the attempt before do not count.

        A baseline counts from when it is made; what repairs a hole, from the start of the hole.
        """
        stem = self.job_id.rpartition(".")[0] if self.attempt > 1 else self.job_id
        return replace(
            self,
            job_id=f"{stem}.{self.attempt + 1}",
            state=REQUESTED,
            anchor_at=Millis(0) if self.kind == BASELINE else self.anchor_at,
            cursor="",
            rows=0,
            rows_total=-1,
            after_ordinal=Ordinal(0),
            read_to=Millis(0),
            error="",
        )


def baseline_due(jobs: Mapping[str, Job], entity: str) -> bool:
    """True where no baseline of the entity has ended or is under way."""
    return not any(
        job.kind == "baseline" and job.entity == entity and job.state != FAILED for job in jobs.values()
    )


def repair_request(entity: str, anchor_at: Millis, reason: str, now: Millis) -> LogRecord:
    """A request to read an entity anew, counting from the start of a hole."""
    return Job(
        job_id=f"repair-{entity}-{anchor_at}",
        kind="reread",
        entity=entity,
        reason=reason,
        requested_by="capture",
        requested_at=now,
        anchor_at=anchor_at,
    ).to_record()
