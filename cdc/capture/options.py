"""What the recorder is told, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cdc.change.setup_kinds import METADATA
from cdc.ports.source import Start

TRANSACTION_RECORDS_MAX = 10_000
"""Changes in one log transaction; keeps it well under the second it may be open."""
TRANSACTION_GATHER_MS = 20
"""How long the writer waits for more before it writes what it has."""
QUEUED_EVENTS_MAX = 20_000
"""Events waiting for the writer; beyond it the channels stop asking for more (back-pressure)."""
QUEUED_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of those events: an event may have 1 MB."""
TRANSACTION_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of events in one log transaction."""
SEEN_PAIRS_MAX = 500_000
"""(event id, record id) pairs remembered to drop repeats: about 100 MB at most."""
SEEN_PAIRS_RESTORED_MAX = 100_000
"""Of those, how many are read back from the log at start: a second or two of reading."""
DELIVERY_LIMIT_PAUSE_MAX_S = 900.0
"""reliability.md: growing pauses of at most 15 minutes while the delivery allocation is used up."""
STOPPED_PAUSE_MAX_S = 900.0
"""How often a channel that stopped for good looks whether somebody has removed the cause, at the least."""
SCHEMA_ASKED_MAX = 3
"""A schema just made may not be known everywhere at once; then its events go to quarantine."""
MEMBERS_EVERY_S = 600.0
"""Channel members change within 10 minutes (Pub/Sub API guide, "Considerations"); looking costs two API calls."""
MEMBERS_HURRY_S = 30.0
"""How soon they are looked at again when an event of an entity comes that nobody had announced."""
DESCRIBE_EVERY_S = 3600.0
"""How often each entity is described anew: what the user may read of it, and whether it is still seen at all."""


BULK_FROM_ROWS = 20_000
"""An entity of so many records is read by a bulk job: ten REST calls cost as much of the org's allowance."""


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Channels to record, entities to read in full, and where to begin where nothing is stored."""

    org: str
    owner: str
    channels: tuple[str, ...]
    platform_events: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    start: Start = Start.LATEST
    baseline: bool = True
    bulk_from_rows: int = BULK_FROM_ROWS
    poll_entities: tuple[str, ...] = ()
    poll_interval_s: float = 300.0
    setup_interval_s: float = 0.0  # 0: the set-up is not read
    setup_intervals_s: Mapping[str, float] = field(default_factory=dict)  # of single kinds
    metadata_types: tuple[str, ...] = ()  # empty: no source is read
    metadata_interval_s: float = 900.0

    def setup_interval_of(self, kind: str) -> float:
        """How often a kind of set-up is read; source is read when the audit trail has a new line, too."""
        otherwise = self.metadata_interval_s if kind == METADATA else self.setup_interval_s
        return self.setup_intervals_s.get(kind, otherwise)
