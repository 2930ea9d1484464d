"""An org of a few accounts in memory: as short as the interfaces, and it can be cut off at any call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import OrgUnavailable
from cdc.ports.org import (
    BulkProgress,
    BulkState,
    ChannelMember,
    EntityDescription,
    FieldDescription,
    Limits,
    Page,
    RowState,
)
from cdc.ports.orgwriter import RecordWrite, WriteError, WriteKind, WriteOptions, WriteResult, Written
from cdc.ports.types import Millis, RecordId

NOW = Millis(1_800_000_000_000)
USER = "005000000000777AAA"
DEFAULTS = WriteOptions()


class Killed(BaseException):
    """kill -9, as far as one process can act it: nothing that follows is done."""


def _text(name: str) -> FieldDescription:
    return FieldDescription(name, name, "string", createable=True, updateable=True)


ACCOUNT = EntityDescription(
    entity="Account",
    key_prefix="001",
    fields=(FieldDescription("Id", "Id", "id"), _text("Name"), _text("Site")),
    queryable=True,
    org_time=NOW,
    createable=True,
    updateable=True,
    deletable=True,
)


@dataclass(slots=True)
class _Job:
    kind: WriteKind
    records: list[RecordWrite]
    state: BulkState = BulkState.OPEN
    results: list[WriteResult] = field(default_factory=list)


@dataclass(slots=True)
class SmallOrg:
    """`cut_at`: the number of the call at which everything ends; `after`: only once that call has done its work."""

    records: dict[str, dict[str, str | None]]
    deleted: set[str] = field(default_factory=set)
    writes: list[tuple[str, str]] = field(default_factory=list)
    cut_at: int = 0
    after: bool = False
    fail_at: int = 0
    calls: int = 0
    refused: Mapping[str, WriteError] = field(default_factory=dict)
    jobs: dict[str, _Job] = field(default_factory=dict)

    def _call(self, *, done: bool) -> None:
        if not done:
            self.calls += 1
        if self.calls == self.cut_at and done == self.after:
            raise Killed
        if self.calls == self.fail_at and done == self.after:
            raise OrgUnavailable("the connection broke", retry_after_s=0.001)

    # -- Org -----------------------------------------------------------------------------------------------

    async def describe(self, entity: str) -> EntityDescription:
        return ACCOUNT

    async def members(self) -> tuple[ChannelMember, ...]:
        return ()

    async def record_counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        return {}

    async def limits(self) -> Limits:
        return Limits(None, None, None, None, NOW)

    async def query(
        self, soql: str, *, deleted: bool = False, cursor: str | None = None, tooling: bool = False
    ) -> AsyncIterator[Page]:
        """Only the question for what this user made."""
        self._call(done=False)
        rows = [self._row(i) for i in self.records if i.startswith("001NEW")]
        self._call(done=True)
        yield Page(rows, None, len(rows), NOW)

    async def read(self, entity: str, ids: Sequence[RecordId], fields: Sequence[str]) -> Page:
        self._call(done=False)
        rows = [self._row(str(i)) for i in ids if str(i) in self.records]
        self._call(done=True)
        return Page(rows, None, len(rows), NOW)

    def row_state(self, description: EntityDescription, row: Mapping[str, Any]) -> RowState:
        paths = {f.path for f in description.fields if f.path != "Id"}
        values = {k: v for k, v in row.items() if k in paths}
        return RowState(RecordId(row["Id"]), values, system_modstamp=NOW, is_deleted=row["IsDeleted"])

    def _row(self, record_id: str) -> dict[str, Any]:
        return {"Id": record_id, "IsDeleted": record_id in self.deleted, **self.records[record_id]}

    # -- OrgWriter -----------------------------------------------------------------------------------------

    async def write(
        self, kind: WriteKind, records: Sequence[RecordWrite], options: WriteOptions = DEFAULTS
    ) -> Written:
        self._call(done=False)
        results = [self._one(kind, one) for one in records]
        self._call(done=True)
        return Written(tuple(results), NOW)

    def _one(self, kind: WriteKind, one: RecordWrite) -> WriteResult:
        record_id = str(one.record_id or "")
        if record_id in self.refused:
            return WriteResult(RecordId(record_id), False, errors=(self.refused[record_id],))
        if kind is WriteKind.INSERT:
            record_id = f"001NEW{len(self.records):09d}AAA"
            self.records[record_id] = dict(one.fields)
        elif kind is WriteKind.DELETE:
            self.deleted.add(record_id)
        else:
            self.records[record_id] |= one.fields
        self.writes.append(
            (kind.value, record_id if kind is not WriteKind.INSERT else str(one.fields["Name"]))
        )
        return WriteResult(RecordId(record_id), True, created=kind is WriteKind.INSERT)

    async def undelete(self, ids: Sequence[RecordId], options: WriteOptions = DEFAULTS) -> Written:
        self._call(done=False)
        for record_id in ids:
            self.deleted.discard(str(record_id))
            self.writes.append(("undelete", str(record_id)))
        self._call(done=True)
        return Written(tuple(WriteResult(i, True) for i in ids), NOW)

    async def open_bulk_write(
        self, kind: WriteKind, entity: str, records: Iterable[RecordWrite], options: WriteOptions = DEFAULTS
    ) -> str:
        self._call(done=False)
        job_id = f"750{len(self.jobs):012d}AAA"
        self.jobs[job_id] = _Job(kind, list(records))
        self._call(done=True)
        return job_id

    async def run_bulk_write(self, job_id: str) -> None:
        self._call(done=False)
        job = self.jobs[job_id]
        if job.state is BulkState.OPEN:
            job.state = BulkState.COMPLETE
            job.results = [self._one(job.kind, one) for one in job.records]
        self._call(done=True)

    async def bulk_write_progress(self, job_id: str) -> BulkProgress:
        self._call(done=False)
        return BulkProgress(job_id, self.jobs[job_id].state, len(self.jobs[job_id].results), 0, "", NOW)

    async def bulk_results(self, job_id: str) -> AsyncIterator[WriteResult]:
        self._call(done=False)
        for one in reversed(self.jobs[job_id].results):  # a job's results come in no order
            yield one

    async def abort_bulk_write(self, job_id: str) -> None:
        self._call(done=False)
        self.jobs[job_id].state = BulkState.ABORTED
