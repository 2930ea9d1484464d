"""From what a person writes to a moment the journal can be asked about.

Event time throughout: `now` is everything recorded, without an upper bound, and `-15m` counts back from the
newest org time the journal knows. The wall clock has no part in it: an org that is simulated, or a journal
that lags, is asked about its own time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cdc.answer.answers import instant
from cdc.answer.definitions import NO_CUT, sql
from cdc.errors import BadArgument, NotFound

NOW = "now"
_BACK = re.compile(r"-(\d{1,9})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = "write 2026-11-23T10:02:00Z, a date, -15m, -2h, -3d or now"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time (None: no upper bound) or the ordinal exactly before which to cut; not both."""

    at: datetime | None = None
    cut: int | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """`t` and `c` of the SQL in this room."""
        return {
            "t": "infinity" if self.at is None else self.at,
            "c": NO_CUT if self.cut is None else self.cut,
        }

    def words(self) -> str:
        if self.cut is not None:
            return f"before change {self.cut}"
        return "now" if self.at is None else f"at {instant(self.at)}"


def moment(reader: Any, at: str | datetime | None = None, before: str | int | None = None) -> Moment:
    """The moment of `--at` or `--before`; neither means now.

    `before` is an ordinal, a transaction key, or the id of an incident or alert. Errors: BadArgument, NotFound.
    """
    if at is not None and before is not None:
        raise BadArgument("a time and a cut were both given", do="give either --at or --before")
    if before is not None:
        return Moment(cut=cut_before(reader, str(before)))
    if at is None:
        return Moment()
    if isinstance(at, datetime):
        return Moment(at=utc(at))
    return Moment(at=parse_time(at, newest_org_time(reader)))


def parse_time(text: str, newest: datetime | None) -> datetime | None:
    """A time in UTC without a zone, or None for `now`. Without an offset a time is UTC; a date is its midnight.

    `newest` is the org time that relative times count back from. Errors: BadArgument.
    """
    text = text.strip()
    if text.lower() == NOW:
        return None
    if back := _BACK.fullmatch(text.lower()):
        if newest is None:
            raise BadArgument("nothing has been recorded yet to count back from", where=text, do=_FORMS)
        try:
            return newest - timedelta(**{_UNITS[back[2]]: int(back[1])})
        except OverflowError as error:
            raise BadArgument("this lies before the calendar", where=text, do=_FORMS) from error
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise BadArgument("this is not a time", where=text[:40], do=_FORMS) from error


def newest_org_time(reader: Any) -> datetime | None:
    """The newest org time any channel has passed or any event carried; None for an empty journal."""
    found: datetime | None = reader.execute(sql("newest_org_time")).fetchone()[0]
    return found


def cut_before(reader: Any, text: str) -> int:
    """The ordinal to cut before: the change itself, a transaction's least, or the first of an alert.

    Errors: NotFound.
    """
    text = text.strip()
    found = reader.execute(sql("cut_before"), {"asked": text}).fetchone()[0]
    if found is None:
        raise NotFound(
            "no change, transaction or incident has this id",
            where=text[:40],
            do="take a seq or transaction key from `cdc history`, or an id from `cdc incident list`",
        )
    return int(found)


def utc(moment: datetime) -> datetime:
    """A moment in UTC, without a zone; one without an offset is UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
