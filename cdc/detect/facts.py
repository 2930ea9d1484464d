"""An episode as it stands at one change: what the channels of evidence look at, and later learn from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from cdc.detect.derived import companions
from cdc.detect.episode import BULK, Episode, Key
from cdc.detect.tallies import TopValue

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

SIZES = ("10 s", "1 min", "10 min", "one go", "one day", "changes")
"""What is measured; the last counts changes, the others distinct records. A day is measured when it ends."""
ONE_GO, ONE_DAY, CHANGES = 3, 4, 5

SENSITIVE = {
    "User": 20,
    "PermissionSetAssignment": 20,
    "PermissionSet": 12,
    "Profile": 12,
    "UserRole": 12,
    "GroupMember": 8,
}
"""Entities that say who may do what: there are few of them, and each weighs as so many others."""

BULK_SENSITIVE = 10


class FieldFacts(NamedTuple):
    """Writes of one field in one episode. `variety` as in `FieldTally.variety`."""

    code: int
    name: str
    writes: int
    nulls: int
    unknown: int
    variety: float
    top: tuple[TopValue, ...]
    flipped: int = 0
    again: int = 0
    remembered: int = 0
    variety_before: float = 0.0
    shapes: tuple[tuple[int, int], ...] = ()
    copied: int = 0  # created records in a row, of late, that had what another record has
    run: int = 0  # changes in a row, of late, that all wrote one value, after others that did not

    @property
    def top_share(self) -> float:
        return self.top[0].writes / self.writes if self.top and self.writes else 0.0

    @property
    def null_share(self) -> float:
        return self.nulls / self.writes if self.writes else 0.0


@dataclass(frozen=True, slots=True)
class Org:
    """What is known of the org as a whole: records per entity, age, the largest episode learned."""

    known_records: int
    first_at: int
    largest: int
    now: int

    @property
    def age_ms(self) -> int:
        return self.now - self.first_at

    @property
    def learning(self) -> bool:
        """The first week: what an actor usually does is not known yet."""
        return self.age_ms < WEEK_MS


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes are in the order of `SIZES`; `fields` is empty for an episode too small to be judged."""

    key: Key
    first_at: int
    last_at: int
    records: int
    changes: int
    looped: int
    transactions: int
    peaks: tuple[int, int, int]
    names_all: bool
    acknowledged: bool
    fields: tuple[FieldFacts, ...]
    org: Org
    alerted: bool = False
    suspicious: bool = False  # alerted, and not for its volume alone
    sizes: tuple[int, ...] = field(default=())

    def as_announced(self) -> Facts:
        """The same, its volume being no news."""
        return replace(self, acknowledged=True)

    @property
    def day(self) -> int:
        return self.first_at // DAY_MS

    @property
    def bulk(self) -> bool:
        return self.records >= (BULK_SENSITIVE if self.key.entity in SENSITIVE else BULK)

    @property
    def per_transaction(self) -> float:
        return self.changes / max(1, self.transactions)


def facts_of(episode: Episode, names: list[str], org: Org, *, with_fields: bool) -> Facts:
    """The facts now, without fields that others moved. With no field at all they are quickly had, and enough for
    the actor's side."""
    records = episode.records
    peaks = episode.pace.peaks()
    fields: tuple[FieldFacts, ...] = ()
    if with_fields:
        written, copied = episode.written(), episode.copies()
        moved = companions(
            episode.key.entity, {names[c]: tally.writes + tally.unknown for c, tally in written.items()}
        )
        fields = tuple(
            FieldFacts(
                code,
                names[code],
                tally.writes,
                tally.nulls,
                tally.unknown,
                tally.variety(),
                tuple(tally.top()),
                tally.flipped,
                tally.again,
                tally.remembered,
                tally.variety_before(),
                tuple(tally.shapes.items()),
                copied.get(code, 0),
                episode.runs[code][1] if code in episode.runs else 0,
            )
            for code, tally in written.items()
            if names[code] not in moved
        )
    alert = episode.alert
    return Facts(
        key=episode.key,
        first_at=episode.first.at,
        last_at=episode.last_at,
        records=records,
        changes=episode.changes,
        looped=episode.looped,
        transactions=len(episode.transactions),
        peaks=peaks,
        names_all=episode.names_all,
        acknowledged=episode.acknowledged,
        fields=fields,
        org=org,
        alerted=alert is not None,
        suspicious=alert is not None and alert.suspicious,
        sizes=(*peaks, records, 0, episode.changes),
    )
