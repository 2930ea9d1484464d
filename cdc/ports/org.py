"""What is asked of an org: descriptions, rows, deletions, limits. Every answer carries the org's own time.

Reading by REST is `Org`, reading by jobs of the Bulk API `OrgBulk`, writing is in `orgwriter.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from cdc.ports.types import Millis, RecordId

BULK_PAGE_ROWS: Final = 20_000
"""Rows asked for in one page of a bulk result: some ten megabytes of an ordinary entity."""


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One field the user may read, as the org describes it.

    `path` is its name in events (`BillingAddress.City`), `name` its name in queries (`BillingCity`). A
    compound field whose parts are fields of their own (`BillingAddress`) has `is_compound` set and is not
    queried by itself. `type` is the describe type (string, picklist, double, date, datetime, …).
    `defaulted`: left out of an insert, the org sets it. `relationship` names the record it refers to in
    queries (`Owner`, `Account__r`). `picklist` has the values that are active now.
    """

    name: str
    path: str
    type: str
    is_compound: bool = False
    calculated: bool = False
    createable: bool = False
    updateable: bool = False
    nillable: bool = True
    reference_to: tuple[str, ...] = ()
    label: str = ""
    defaulted: bool = False
    auto_number: bool = False
    external_id: bool = False
    unique: bool = False
    length: int = 0
    relationship: str = ""
    picklist: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether an insert fails without it."""
        return self.createable and not self.nillable and not self.defaulted


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """An entity whose `field` refers to the described one. `cascade`: its records are deleted with it;
    `restricted`: they stand in the way of its delete."""

    entity: str
    field: str
    name: str = ""
    cascade: bool = False
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class EntityDescription:
    """An entity as the org describes it to this user: only fields the user may read are listed."""

    entity: str
    key_prefix: str
    fields: tuple[FieldDescription, ...]
    queryable: bool
    org_time: Millis
    replicateable: bool = True
    undeletable: bool = True
    custom: bool = False
    createable: bool = False
    updateable: bool = False
    deletable: bool = False
    mergeable: bool = False
    label: str = ""
    children: tuple[ChildRelationship, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON objects of the org, the cursor of the next page or None, and the org's time (Date)."""

    rows: Sequence[Mapping[str, Any]]
    cursor: str | None
    total: int
    org_time: Millis


@dataclass(frozen=True, slots=True)
class RowState:
    """A row of a query in the journal's terms: event paths and canonical text; `unknown`: asked and not given."""

    record_id: RecordId
    values: Mapping[str, str | None]
    unknown: tuple[str, ...] = ()
    system_modstamp: Millis | None = None
    user_id: str | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The org's allowances: events delivered in 24 h and API calls a day; None where the org does not say."""

    delivered_max: int | None
    delivered_remaining: int | None
    api_max: int | None
    api_remaining: int | None
    org_time: Millis


@dataclass(frozen=True, slots=True)
class ChannelMember:
    """One entity selected for change capture on one channel (`/data/ChangeEvents`, `/data/Team__chn`)."""

    channel: str
    entity: str
    enriched: tuple[str, ...] = ()
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Deletions:
    """What was deleted in a stretch of time, hard deletes included, with the org time of each.

    The org answers for whole minutes and no further than `covered_to`; before `available_from` it no longer
    knows.
    """

    deleted_at: Mapping[RecordId, Millis]
    available_from: Millis
    covered_to: Millis
    org_time: Millis


class Org(Protocol):
    """Errors: OrgUnavailable, AuthExpired (after one refresh), AuthRefused, NotFound (entity), BadArgument (query),
    CursorExpired."""

    async def describe(self, entity: str) -> EntityDescription: ...

    async def members(self) -> tuple[ChannelMember, ...]: ...

    def query(
        self, soql: str, *, deleted: bool = False, cursor: str | None = None, tooling: bool = False
    ) -> AsyncIterator[Page]:
        """Pages of a query; `deleted` reads the Recycle Bin and archive too; `cursor` resumes a query."""
        ...

    async def read(self, entity: str, ids: Sequence[RecordId], fields: Sequence[str]) -> Page:
        """Rows of up to 200 ids, deleted ones included; a row that is gone altogether is not in the page."""
        ...

    def row_state(self, description: EntityDescription, row: Mapping[str, Any]) -> RowState: ...

    async def deleted(self, entity: str, start: Millis, end: Millis) -> Deletions:
        """Ids deleted between two org times at most 30 days back."""
        ...

    async def record_counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """About how many records each entity has, without Recycle Bin and archive: an estimate kept by the org.
        An entity it keeps none for is left out."""
        ...

    async def limits(self) -> Limits: ...


class BulkState(StrEnum):
    """Where a job is. FAILED and ABORTED are ends too, and leave nothing to read of a query."""

    OPEN = "Open"
    UPLOADED = "UploadComplete"
    RUNNING = "InProgress"
    COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in (BulkState.COMPLETE, BulkState.FAILED, BulkState.ABORTED)


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """A job as the org reports it: rows read or written so far, of them failed, why it failed."""

    job_id: str
    state: BulkState
    rows: int
    failed_rows: int
    error: str
    org_time: Millis


class OrgBulk(Protocol):
    """Reading by jobs of Bulk API 2.0. A cursor is a job and a place in its result; it is good in another process
    for as long as the job exists (seven days). Errors: those of `Org`; CursorExpired also when a job failed, was
    aborted or deleted: the read has to begin again, with a new job."""

    async def start_bulk_query(self, soql: str, *, deleted: bool = False) -> str:
        """Make a job and return the cursor before its first row; nothing is waited for. Keep the cursor before
        reading: a job that nobody knows any more still counts against the org's allowance."""
        ...

    def bulk_pages(
        self, cursor: str, *, rows_max: int = BULK_PAGE_ROWS, parallel: int = 1
    ) -> AsyncIterator[Page]:
        """Wait for the job, then its rows behind the cursor. `parallel` pages are fetched at once and given in order.

        Rows have texts, as CSV gives them, None for null; `Org.row_state` reads them. `org_time` is one after the
        job had ended, so it is after every row was read. `total` is the rows of the whole job.
        """
        ...

    async def bulk_progress(self, cursor: str) -> BulkProgress: ...

    async def end_bulk_query(self, cursor: str) -> None:
        """Abort the job if it runs, and delete it with its result. A job already gone is no error."""
        ...
