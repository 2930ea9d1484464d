"""What is written to an org: records with a result for each, by collection or by job, and undeletes.

Order of a write by job that survives a kill: `open_bulk_write` (data is uploaded, nothing runs), store the job id,
`run_bulk_write`, `bulk_results`. A job never run is given up with `abort_bulk_write`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from cdc.ports.org import BulkProgress
from cdc.ports.types import Millis, RecordId

WRITE_RECORDS_MAX: Final = 200
"""Records of one collection call, and ids of one undelete."""


class WriteKind(StrEnum):
    """What is done to every record of one call. HARD_DELETE is for jobs only, and publishes no event."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """One record. `fields` are named as in queries (`BillingCity`), values as JSON has them; None sets to null.

    `record_id` is needed for update and delete; an upsert finds its record by `WriteOptions.external_id_field`.
    A related record may be named by its external id: `{"Account": {"Erp_Number__c": "E1"}}`.
    """

    entity: str
    record_id: RecordId | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How the org is to take it.

    `client` names us in changeOrigin of what is written (where the org echoes it), "" leaves the connector's name.
    `assignment_rules` False: active assignment rules move no record to another owner, and send no mail about
    it. `allow_duplicates`: alerts of duplicate rules do not stop a record; rules that block still do.
    E-mail cannot be forbidden over REST: no header of it is documented (SOAP has one, off unless asked for); what
    is switched off with assignment rules is the mail these send.
    """

    client: str = ""
    all_or_none: bool = False
    assignment_rules: bool = False
    allow_duplicates: bool = True
    external_id_field: str = ""


@dataclass(frozen=True, slots=True)
class WriteError:
    """Why a record was not written, in the org's code and words."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one record. `record_id` is None for an insert that failed. `processed` False: the job ended
    before it came to this record. `fields` are the columns of a job's row as they were uploaded, to find out
    which record it was: a job's results come in no order. Empty for collections, whose results are in order."""

    record_id: RecordId | None
    success: bool
    created: bool = False
    errors: tuple[WriteError, ...] = ()
    processed: bool = True
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """The results of one call, in the order of its records."""

    results: tuple[WriteResult, ...]
    org_time: Millis


class OrgWriter(Protocol):
    """Errors: OrgUnavailable (also after sending: whether anything was written is then not known), AuthExpired,
    AuthRefused, NotFound, BadArgument. What concerns one record is in its result."""

    async def write(
        self, kind: WriteKind, records: Sequence[RecordWrite], options: WriteOptions = ...
    ) -> Written:
        """Up to 200 records in one call."""
        ...

    async def undelete(self, ids: Sequence[RecordId], options: WriteOptions = ...) -> Written:
        """Take up to 200 records out of the Recycle Bin, with the children that were deleted with them."""
        ...

    async def open_bulk_write(
        self, kind: WriteKind, entity: str, records: Iterable[RecordWrite], options: WriteOptions = ...
    ) -> str:
        """Make a job, upload its records, and return its id. A field that a record lacks and others have stays as
        it is; None sets it to null."""
        ...

    async def run_bulk_write(self, job_id: str) -> None:
        """Let the org begin. Running a job twice is no error."""
        ...

    async def bulk_write_progress(self, job_id: str) -> BulkProgress: ...

    def bulk_results(self, job_id: str) -> AsyncIterator[WriteResult]:
        """Wait for the job's end, then every record's result: written, failed, and not come to."""
        ...

    async def abort_bulk_write(self, job_id: str) -> None:
        """End a job that has not ended, and forget it."""
        ...
