"""An alert when rights widen: looked for after each reading of the set-up that brought something new.

Rights are compared between two places of the journal. One widening is one episode: it opens with the first right
gained, grows with every further one (always against the place before the first), and closes when the rights were
taken back, or when nothing was gained for a quarter of an hour. After a restart the episode is that of the newest
alert; without one, the last place judged is where that alert was decided, or the end of the first reading, so that
nothing in between is passed over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cdc.answer.setup_access import KINDS, Right, access_at, widened
from cdc.errors import CdcError
from cdc.logs import Event, logger
from cdc.ports.clock import Clock
from cdc.ports.log import LogRecord
from cdc.roles.access_alert import PREFIX, access_alert
from schemas import own

LOOK_EVERY_S = 2.0
QUIET_MS = 15 * 60_000
"""So long without a further right, and the episode is over."""

Gained = Mapping[str, set[Right]]
_JSON = ("kinds", "actors", "targets", "samples", "evidence")
_TIMES = ("first_change_at", "last_change_at", "decided_at")


@dataclass(slots=True)
class AccessWatch:
    """Publishes an alert for each widening. `judged` is the ordinal up to which rights were compared."""

    org: str
    reader: Callable[[], Any]
    publish: Callable[[Sequence[LogRecord]], None]
    judged: int = 0
    open_alert: dict[str, Any] | None = None
    _seen: int = 0
    _gained: Gained | None = None

    async def run(self, clock: Clock) -> None:
        """Until cancelled; recording goes on whatever is wrong here."""
        while True:
            await clock.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.look)
            except CdcError as error:
                logger().warning(Event.POLL_FAILED, entity="access", error=error.sentence())

    def look(self) -> bool:
        """Compare if a reading has brought something new and is over. Whether an alert was told."""
        with self.reader() as reader:
            if not self.judged:
                if not _all_read(reader):
                    return False  # what was not read yet is not gained when it is
                self.judged = self._seen = _first_place(reader)
                self.open_alert = _open_alert(reader)
            newest = _newest(reader)
            if newest <= self.judged:
                return self._close_if_quiet(reader)
            if newest != self._seen:  # more may come of the same reading
                self._seen = newest
                return False
            alert = self._judged(reader, newest)
            self.judged = newest
        return self._tell(alert)

    def _judged(self, reader: Any, newest: int) -> dict[str, Any] | None:
        held = self.open_alert
        place = int(held["at_ordinal"]) - int(held["changes"]) if held else self.judged
        before, after = access_at(reader, before=place + 1), access_at(reader, before=newest + 1)
        gained = widened(before, after)
        if held is None:
            self._gained = gained
            return access_alert(reader, self.org, place, newest, after, gained) if gained else None
        if not gained:
            self._gained = None
            return _closed(held, newest, held["last_change_at"], "The rights were taken back.")
        last, self._gained = self._gained, gained
        if last is None:  # of a process before this one: what it told is compared instead
            last = widened(before, access_at(reader, before=int(held["at_ordinal"]) + 1))
        if last == gained:
            return None
        made = access_alert(reader, self.org, place, newest, after, gained)
        return {**made, "alert_id": held["alert_id"], "version": held["version"] + 1, "state": "growing"}

    def _close_if_quiet(self, reader: Any) -> bool:
        held = self.open_alert
        if held is None:
            return False
        now_ms = reader.execute(
            "SELECT epoch_ms(max(passed_to)) FROM store.channels WHERE channel = '/poll/PermissionSetAssignment'"
        ).fetchone()[0]
        if now_ms is None or now_ms - held["last_change_at"] < QUIET_MS:
            return False
        self._gained = None
        return self._tell(
            _closed(held, self.judged, now_ms, "Nothing more was gained for 15 minutes; the rights stand.")
        )

    def _tell(self, alert: dict[str, Any] | None) -> bool:
        if alert is None:
            return False
        self.publish([LogRecord("alerts", alert["alert_id"], own.encode("alert", alert))])
        self.open_alert = None if alert["state"] == "closed" else alert
        return True


def _closed(held: Mapping[str, Any], place: int, at_ms: int, sentence: str) -> dict[str, Any]:
    """The last version; rights are compared from `place` on again."""
    more = {"channel": "setup", "sentence": sentence, "weight": 0.0}
    evidence = [*held["evidence"], more]
    ended = {"state": "closed", "at_ordinal": place, "decided_at": at_ms, "evidence": evidence}
    return {**held, "version": held["version"] + 1, **ended}  # fmt: skip


def _newest(reader: Any) -> int:
    row = reader.execute(
        "SELECT coalesce(max(seq), 0) FROM main.setup_changes WHERE source = 'compared'"
    ).fetchone()
    return int(row[0])


def _open_alert(reader: Any) -> dict[str, Any] | None:
    """The episode that was open when the process before this one ended."""
    found = reader.execute(
        "SELECT * FROM main.alerts WHERE starts_with(alert_id, ?) ORDER BY at_ordinal DESC LIMIT 1", [PREFIX]
    )
    names = [column[0] for column in found.description]
    row = found.fetchone()
    if row is None:
        return None
    alert = dict(zip(names, row, strict=True))
    if alert["state"] == "closed":
        return None
    for name in _JSON:
        alert[name] = json.loads(alert[name])
    for name in _TIMES:
        at: datetime = alert[name]
        alert[name] = round(at.replace(tzinfo=UTC).timestamp() * 1000)
    alert["setup_before"] = None
    return alert


def _all_read(reader: Any) -> bool:
    """Whether every kind that rights are made of was read once. Users have no channel where they are streamed."""
    channels = [f"/poll/{kind}" for kind in KINDS if kind != "User"]
    row = reader.execute(
        "SELECT (SELECT count(*) FROM store.channels WHERE list_contains(?, channel) AND live_from IS NOT NULL),"
        " (SELECT count(*) FROM main.changes WHERE entity = 'User' AND source = 'setup')",
        [channels],
    ).fetchone()
    return bool(row[0] == len(channels) and row[1])


def _first_place(reader: Any) -> int:
    place: int = reader.execute(
        "SELECT greatest((SELECT coalesce(max(at_ordinal), 0) FROM store.alerts WHERE starts_with(alert_id, ?)),"
        " (SELECT coalesce(max(seq), 0) FROM main.changes WHERE source = 'setup' AND kind = 'BASELINE'"
        " AND list_contains(?, entity)))",
        [PREFIX, list(KINDS)],
    ).fetchone()[0]
    return place
