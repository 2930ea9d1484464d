"""An alert when rights widen: looked for after each reading of the set-up that brought something new.

Judged between two places of the journal: the last one judged and now. After a restart the last place is that of the
newest such alert, or the end of the first reading, so that nothing in between is passed over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.answer.setup_access import Access, Right, access_at, widened
from cdc.errors import CdcError
from cdc.logs import Event, logger
from cdc.ports.clock import Clock
from cdc.ports.log import LogRecord
from schemas import own

LOOK_EVERY_S = 2.0
GRAVE = frozenset({"ModifyAllData", "ViewAllData", "ModifyAllRecords", "ViewAllRecords", "ManageUsers"})
"""Rights that open other people's records: a page; any other widening is for the digest."""
NAMED_MAX = 5

PREFIX = "access-"


@dataclass(slots=True)
class AccessWatch:
    """Publishes an alert for each widening. `judged` is the ordinal up to which rights were compared."""

    org: str
    reader: Callable[[], Any]
    publish: Callable[[Sequence[LogRecord]], None]
    judged: int = 0
    _seen: int = 0

    async def run(self, clock: Clock) -> None:
        """Until cancelled; recording goes on whatever is wrong here."""
        while True:
            await clock.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.look)
            except CdcError as error:
                logger().warning(Event.POLL_FAILED, entity="access", error=error.sentence())

    def look(self) -> bool:
        """Compare if a reading has brought something new and is over. Whether there was an alert."""
        with self.reader() as reader:
            if not self.judged:
                self.judged = self._seen = _first_place(reader)
            newest = reader.execute(
                "SELECT coalesce(max(seq), 0) FROM main.setup_changes WHERE source = 'compared'"
            ).fetchone()[0]
            if newest <= self.judged:
                return False
            if newest != self._seen:  # more may come of the same reading
                self._seen = newest
                return False
            before = access_at(reader, before=self.judged + 1)
            after = access_at(reader, before=newest + 1)
            gained = widened(before, after)
            place, self.judged = self.judged, newest
            if not gained:
                return False
            alert = _alert(reader, self.org, place, newest, after, gained)
        self.publish([LogRecord("alerts", alert["alert_id"], own.encode("alert", alert))])
        return True


def _first_place(reader: Any) -> int:
    place: int = reader.execute(
        "SELECT greatest((SELECT coalesce(max(at_ordinal), 0) FROM store.alerts WHERE starts_with(alert_id, ?)),"
        " (SELECT coalesce(max(seq), 0) FROM main.changes WHERE source = 'setup' AND kind = 'BASELINE'))",
        [PREFIX],
    ).fetchone()[0]
    return place


def _alert(
    reader: Any, org: str, place: int, newest: int, after: Access, gained: Mapping[str, set[Right]]
) -> dict[str, Any]:
    by_right: dict[Right, list[str]] = {}
    for user_id, rights in gained.items():
        for right in rights:
            by_right.setdefault(right, []).append(user_id)
    ranked = sorted(by_right, key=lambda r: (r[1] not in GRAVE, -len(by_right[r]), r))
    objects = sorted({right[0].partition(".")[0] for right in ranked if right[0]})
    counts = dict(
        reader.execute(
            "SELECT entity, count(DISTINCT record_id) FROM main.changes"
            " WHERE list_contains(?, entity) GROUP BY entity",
            [objects],
        ).fetchall()
    )
    changes = reader.execute(
        'SELECT epoch_ms(min("at")), epoch_ms(max("at")), list(DISTINCT user_id) FROM main.setup_changes'
        " WHERE source = 'compared' AND seq > ? AND seq <= ?",
        [place, newest],
    ).fetchone()
    sentences = [_sentence(right, by_right[right], after, counts) for right in ranked]
    digest = hashlib.blake2b(f"{org} {place}".encode(), digest_size=8).hexdigest()
    more = f", and {len(ranked) - 1} rights more" if len(ranked) > 1 else ""
    opened = sum(counts.get(one, 0) for one in objects)
    return {
        "alert_id": f"{PREFIX}{digest}",
        "version": 1,
        "org": org,
        "severity": "page" if any(right[1] in GRAVE for right in ranked) else "digest",
        "state": "open",
        "merged_into": None,
        "title": f"Access widened: {sentences[0]}{more}",
        "first_change_at": changes[0],
        "last_change_at": changes[1],
        "decided_at": changes[1],
        "at_change": newest,
        "at_ordinal": newest,
        "records": opened,
        "changes": newest - place,
        "kinds": {},
        "actors": [
            {"user_id": one, "user_name": after.setup.name_of(one), "origin": "", "client": "", "share": 1.0}
            for one in changes[2] or ()
            if one
        ],
        "targets": [
            {"entity": one, "field": None, "null_share": 0.0, "share": 1.0, "top_values": []}
            for one in objects[:NAMED_MAX]
        ],
        "transactions": 0,
        "samples": [],
        "evidence": [
            {"channel": "setup", "sentence": sentence, "weight": 1.0} for sentence in sentences[:20]
        ],
        "usual": "No user had these rights at the reading before.",
        "setup_before": None,
        "coverage": "",
        "next": f"cdc setup access {objects[0] if objects else after.setup.name_of(next(iter(gained)))} --from -1h",
    }


def _sentence(right: Right, users: Sequence[str], after: Access, counts: dict[str, int]) -> str:
    over, what = right
    people = f"{len(users)} users" if len(users) > 1 else after.setup.name_of(users[0])
    entity = over.partition(".")[0]
    where = f"on {over} ({counts.get(entity, 0):,} records known)" if over else "over the whole org"
    by = sorted({source for user in users for source in after.sources(user, right)})
    named = ", ".join(by[:NAMED_MAX])
    some = sorted(after.setup.name_of(user) for user in users)[:NAMED_MAX]
    who = f": {', '.join(some)}{' …' if len(users) > NAMED_MAX else ''}" if len(users) > 1 else ""
    return f"{people} gained {what} {where} by {named}{who}"
