"""A place on a CometD channel as an opaque `ReplayId`, which no other transport can mistake for its own.

`cometd:1500023` is behind the event of that replay id. `cometd:-2@1764000000000` says that up to this time
(epoch ms) nothing is retained that is not recorded: resuming reads all that is retained, which is every event
since then as long as the time lies within the retention. Two cases need it: a channel followed from its tip on
which nothing has come yet, and one that has been quiet for so long that its last replay id ages out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cdc.errors import PositionLost
from cdc.ports.source import COMETD_POSITION, TRANSPORT_CHANGED, Start
from cdc.ports.types import Millis, ReplayId

NEW_EVENTS = -1
ALL_EVENTS = -2
RETENTION_MS = 72 * 3_600_000
RETENTION_MARGIN_MS = 3_600_000  # purging lags, clocks differ: an hour is left unused

_FORM = re.compile(COMETD_POSITION + rb"(-2@)?(\d{1,19})")


class Place(NamedTuple):
    """What to put into the replay extension of a subscription; `known` says whether it is an event's own id."""

    replay: int
    known: bool


def after_event(number: int) -> ReplayId:
    """The place behind an event's replay id."""
    return ReplayId(COMETD_POSITION + b"%d" % number)


def nothing_since(at: Millis) -> ReplayId:
    """The place where everything retained is either recorded or newer than `at`."""
    return ReplayId(COMETD_POSITION + b"-2@%d" % at)


def place_of(after: ReplayId | Start, channel: str, now: Millis) -> Place:
    """Where to subscribe. Errors: PositionLost for another transport's position, or one older than the retention."""
    if after is Start.LATEST:
        return Place(NEW_EVENTS, False)
    if after is Start.EARLIEST:
        return Place(ALL_EVENTS, False)
    found = _FORM.fullmatch(after)
    if found is None:
        raise PositionLost(
            "the stored position is of another transport, which CometD cannot resume from",
            where=channel,
            do="reading resumes at the tip, the stretch between is lost, and every entity of the channel is read anew",
            code=TRANSPORT_CHANGED,
        )
    number = int(found[2])
    if not found[1]:
        return Place(number, True)
    if now - number > RETENTION_MS - RETENTION_MARGIN_MS:
        raise PositionLost(
            "the stored position is older than the org keeps events",
            where=channel,
            do="a lost stretch is opened, reading resumes at the oldest event kept, and a repair is asked for",
            code="retention",
        )
    return Place(ALL_EVENTS, False)
