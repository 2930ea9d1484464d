"""What happened to a record, in the words of the event bus and of our own full states."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of one change of one record.

    The first nine are Salesforce's `changeType` (Change Data Capture Developer Guide, "ChangeEventHeader");
    `SNAPSHOT` is reserved there and never sent. The last three are full states read by query.
    """

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    UNDELETE = "UNDELETE"
    GAP_CREATE = "GAP_CREATE"
    GAP_UPDATE = "GAP_UPDATE"
    GAP_DELETE = "GAP_DELETE"
    GAP_UNDELETE = "GAP_UNDELETE"
    GAP_OVERFLOW = "GAP_OVERFLOW"
    BASELINE = "BASELINE"
    REREAD = "REREAD"
    ABSENT = "ABSENT"


FULL_STATE_KINDS = frozenset({Kind.BASELINE, Kind.REREAD, Kind.ABSENT})
"""Read by query, or found gone by one. A row of the Recycle Bin is a `DELETE` that carries values."""

EVENT_KINDS = frozenset(Kind) - FULL_STATE_KINDS
"""What the event bus sends."""

GAP_KINDS = frozenset(
    {Kind.GAP_CREATE, Kind.GAP_UPDATE, Kind.GAP_DELETE, Kind.GAP_UNDELETE, Kind.GAP_OVERFLOW}
)
"""Say that something changed, without the values."""

WHOLE_KINDS = frozenset({Kind.CREATE, Kind.UNDELETE})
"""Events that carry the whole record, and not only what changed."""
