"""What an alert about widened access says: who gained what, over which objects and how many records, by what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.answer.setup_access import Access, Right

GRAVE = frozenset({"ModifyAllData", "ViewAllData", "ModifyAllRecords", "ViewAllRecords", "ManageUsers"})
"""Rights that open other people's records: a page; any other widening is for the digest."""
NAMED_MAX = 5

PREFIX = "access-"


def access_alert(
    reader: Any, org: str, place: int, newest: int, after: Access, gained: Mapping[str, set[Right]]
) -> dict[str, Any]:
    """The alert of what was gained between two places of the journal, as its first version.

    `newest - changes` is the place that the rights were compared with: an episode keeps it.
    """
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
