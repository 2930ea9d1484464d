"""The position of a channel that is safe to resume from. Pure.

Enriched events of one transaction may share a replay id, and resuming starts strictly after it. So the
position stored is the newest replay id that something later has followed (or an empty response has passed),
with the (event id, record id) pairs recorded beyond it, which drop the repeats after a restart
(architecture.md, "Positions in a group").

States of a channel, each a named value:
  stored      resume strictly after it; None until something followed the first event
  group       the newest replay id recorded; its group may not be complete yet
  beyond      the pairs recorded with `group`
  named_once  an empty response has named `group` itself: a service that withholds credit in the middle of a
              group does so too, therefore it takes a second one in a row to say that the group is complete
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cdc.ports.log import ChannelPosition
from cdc.ports.types import Millis, ReplayId

BEYOND_PAIRS_MAX = 20_000
"""More records than one event of 1 MB can name: a bus that never moves its replay id on must not grow a record."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one channel is recorded, with the group that is still open."""

    position: ChannelPosition
    group: ReplayId | None = None
    named_once: bool = False

    def passed_events(
        self,
        events: Iterable[tuple[ReplayId, tuple[tuple[str, str], ...]]],
        committed_max: Millis,
        received_at: Millis,
        lag_ms: int = 0,
    ) -> Reached:
        """After events, in bus order, each with its replay id and its (event id, record id) pairs.

        `committed_max` is the greatest commit time among them, in org time; `received_at` the wall clock;
        `lag_ms` how long ago they were committed: a position in a backlog is as old as its events.
        """
        stored, group = self.position.replay_id, self.group
        stored_at = self.position.stored_at
        beyond = list(self.position.beyond)
        held = set(beyond)
        for replay_id, pairs in events:
            if not replay_id:
                continue  # it says nothing about positions; the memory of repeats knows the event
            if group is not None and replay_id != group:
                stored, stored_at, beyond, held = group, Millis(received_at - lag_ms), [], set()
            group = replay_id
            for pair in pairs:
                if pair not in held:
                    held.add(pair)
                    beyond.append(pair)
        position = replace(
            self.position,
            replay_id=stored,
            beyond=tuple(beyond[-BEYOND_PAIRS_MAX:]),
            stored_at=stored_at,
            passed_to=max(self.position.passed_to, committed_max),
            heard_at=received_at,
        )
        return Reached(position, group)

    def passed_empty(self, latest: ReplayId, org_time: Millis, received_at: Millis) -> Reached:
        """After an empty response: everything before `latest` has been seen, so nothing is beyond it.

        One without a position, or the first that names the open group itself, tells only that the channel lives.
        """
        heard = replace(self.position, heard_at=received_at)
        if not latest:
            return replace(self, position=heard)
        if latest == self.group and not self.named_once:
            return replace(self, position=heard, named_once=True)
        position = replace(
            heard,
            replay_id=latest,
            beyond=(),
            stored_at=received_at,
            passed_to=max(self.position.passed_to, org_time),
        )
        return Reached(position, None)

    def live(self, org_time: Millis) -> Reached:
        """From `org_time` on nothing of the channel is known to be missing."""
        return replace(self, position=replace(self.position, live_from=org_time))


@dataclass(slots=True)
class Seen:
    """A bounded memory of (event id, record id): what was recorded lately is not recorded again.

    The bus may deliver an event again under another replay id; the event id stays (reliability.md).
    """

    pairs_max: int
    _pairs: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, pair: tuple[str, str]) -> bool:
        """Remember the pair; False if it was already known."""
        pairs = self._pairs
        if pair in pairs:
            return False
        pairs[pair] = None
        if len(pairs) > self.pairs_max:
            del pairs[next(iter(pairs))]
        return True

    def forget(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take back pairs whose transaction was not committed."""
        for pair in pairs:
            self._pairs.pop(pair, None)

    def __len__(self) -> int:
        return len(self._pairs)
