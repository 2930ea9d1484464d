"""What happens in the org, as plain facts: a change asked for, a transaction, an event as published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from connectors.simulator.layout import Layout

OVERFLOW_RECORD_ID = "000000000000000AAA"
"""What a GAP_OVERFLOW event has for a record id (protocol 2.7)."""

CHANGE_TYPES = (
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
    "SNAPSHOT",
)
"""The ChangeType symbols in their order (protocol 2.1)."""


class Op(StrEnum):
    """What is done to a record. HARD_DELETE removes it past the Recycle Bin and publishes nothing."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    UNDELETE = "UNDELETE"
    HARD_DELETE = "HARD_DELETE"


@dataclass(frozen=True, slots=True)
class Change:
    """One record to change. `values`: path in the event -> Python value (None: set to null).

    Values: str, bool, int, float; dates, times and date-times as epoch ms; sets of names as tuple of str.
    """

    entity: str
    op: Op
    record_id: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Transaction:
    """What all events of one transaction share. `at` is its true commit instant, whatever events say."""

    key: str
    number: int
    user_id: str
    origin: str
    client: str
    at: int

    @property
    def change_origin(self) -> str:
        """changeOrigin of the header: api path and version, and the client if the caller named one."""
        return f"{self.origin};client={self.client}" if self.client else self.origin


@dataclass(slots=True)
class Published:
    """One event as published. `op` is what happened, `kind` what the event calls it ("" : published nothing).

    `paths` and `values` are what changed, in the schema's order; None stands for null. `committed_at` is the
    event's commitTimestamp, `published_at` the true org time. `raw` is schema id and body of an event that was
    not made here (a captured sample, a platform event); then `layout` is None. `diffs` has the texts that
    are sent instead of values, by path.
    """

    event_id: str
    entity: str
    op: Op
    kind: str
    transaction: Transaction
    sequence: int
    committed_at: int
    record_ids: tuple[str, ...]
    paths: tuple[str, ...]
    values: tuple[Any, ...]
    layout: Layout | None
    raw: tuple[str, bytes] | None = None
    diffs: Mapping[str, str] | None = None

    @property
    def published_at(self) -> int:
        return self.transaction.at

    @property
    def schema_id(self) -> str:
        """The id of the schema its body is written with; "" for what publishes nothing."""
        if self.raw is not None:
            return self.raw[0]
        return self.layout.schema_id if self.layout is not None else ""


class SetupChange(NamedTuple):
    """A change of the org's set-up, as the audit trail names it: `changedprofileforuser`, Manage Users, a sentence."""

    at: int
    user_id: str
    action: str
    section: str
    display: str


class Committed(NamedTuple):
    """A transaction that was committed: the ids of its records in the order of the changes, and its events."""

    transaction: Transaction
    record_ids: tuple[str, ...]
    events: tuple[Published, ...]


class Delivered(NamedTuple):
    """One event as a channel delivers it."""

    event_id: str
    replay_id: bytes
    schema_id: str
    payload: bytes
    entity: str
    published_at: int
    available_at: int


class Cursor(NamedTuple):
    """A place on a topic: everything before event `at`, and `within` of its group, has been delivered."""

    topic: str
    at: int
    within: int = 0
