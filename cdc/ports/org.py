"""What is asked of an org by query: descriptions, rows, limits. Every answer carries the org's own time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cdc.ports.types import Millis, RecordId


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One field the user may read, as the org describes it.

    `path` is its name in events (`BillingAddress.City`), `name` its name in queries (`BillingCity`). A
    compound field whose parts are fields of their own (`BillingAddress`) has `is_compound` set and is not
    queried by itself. `type` is the describe type (string, picklist, double, date, datetime, …).
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

    async def limits(self) -> Limits: ...
