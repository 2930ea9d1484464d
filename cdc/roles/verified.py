"""What a verification against the org has found in one entity, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from cdc.change.order import READ_MARGIN_MS
from cdc.ports.org import RowState

Depth = Literal["counts", "ids", "fields"]

CANDIDATES_MAX = 20_000
"""Rows held for the judgement. Of an entity that differs in more the rest is not told apart: it is read anew."""

SKIPPED = "not verified"
ANEW = "the whole entity is read again"

STATUS_WORDS = frozenset({"created", "deleted", "undeleted", "status present", "status deleted"})
"""Differences about whether a record is there."""


@dataclass(slots=True)
class Found:
    """What one entity's verification has come to."""

    entity: str
    ordinal: int = 0
    read_to: int = 0
    started_at: int = 0
    org_count: int = 0
    journal_count: int = 0
    compared: int = 0
    differences: list[tuple[Any, ...]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    changing: int = 0
    too_many: bool = False
    skipped: str = ""

    @property
    def record_ids(self) -> list[str]:
        """Records that differ."""
        return sorted({str(row[0]) for row in self.differences if row[0] is not None})

    @property
    def by_status(self) -> set[str]:
        """Records that differ in whether they are there."""
        return {str(row[0]) for row in self.differences if row[2] in STATUS_WORDS}

    def sentence(self, depth: Depth) -> str:
        """What came of it, for a person."""
        if self.skipped:
            return f"{self.entity}: {SKIPPED}: {self.skipped}"
        said = f"{self.entity}: {self.org_count} records in the org, {self.journal_count} in the journal"
        if depth != "counts":
            how = "field by field" if depth == "fields" else "by id and SystemModstamp"
            said += f"; {self.compared} compared {how}, as read at {instant(self.read_to)}; "
            said += f"{len(self.record_ids)} differ" if self.record_ids else "no difference"
        if self.too_many:
            said += f", more than {CANDIDATES_MAX} may: {ANEW}"
        if self.unknown:
            said += f"; of {len(self.unknown)} a value was not known"
        if self.changing:
            said += f"; {self.changing} were changing all the while and are not judged"
        return said


def looks_different(row: RowState, known: tuple[bool, int] | None) -> bool:
    """An id the journal does not know, knows otherwise, or a stamp later than all it knows of the record."""
    if known is None:
        return True
    is_present, known_to = known
    if is_present == row.is_deleted:
        return True
    return not row.is_deleted and (row.system_modstamp or 0) > known_to + READ_MARGIN_MS


def millis(moment: Any) -> int:
    """A time of an answer (ISO 8601, or a datetime in UTC) as epoch ms; 0 for none."""
    if moment is None:
        return 0
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def instant(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
