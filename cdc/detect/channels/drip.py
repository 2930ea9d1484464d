"""D5 and D7: has a value risen in a field across all who write it, and does the field ride along as it never did?

Looks at what `cdc.detect.across` has found risen, and not at episodes: a drip of weeks, an automation that acts
through everybody's saves, a synchronisation that resets one field more, have no episode of their own.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cdc.detect.across import Risen, Who, weight_of
from cdc.detect.decision import SIDE_MIN, THRESHOLD, Needed, Severity
from cdc.detect.distinct import Distinct
from cdc.detect.incident import Total

RECORDS_MIN = 40
VALUE_MIN = 1.0
ALONE_SHARE = 0.8
ALONE_HOURS = 5
"""A person may give one value to what they work on for some hours; a program goes on."""

DIGEST_HEIGHT = 1.0
SPARED_SHARE = 0.75
"""Null in a field that mostly is null, or the value it mostly has, is no harm."""


class Drip:
    """`without` names channels to leave out."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self._without = without

    def weights(self, risen: Risen) -> dict[str, float]:
        weights = dict(zip(("D5", "D4", "D7"), weight_of(risen), strict=True))
        return {name: 0.0 if name in self._without else weight for name, weight in weights.items()}

    def decide(self, risen: Risen, weights: dict[str, float], needed: Needed) -> Severity | None:
        """Both sides, as for an episode: how much more (D5), and of what (D4, D7)."""
        records = len(risen.sum.records)
        if records < RECORDS_MIN or not risen.spread or risen.usual_share >= SPARED_SHARE:
            return None
        if not (risen.rides if self.is_crowd(risen) else risen.sum.hours >= ALONE_HOURS):
            return None
        value = max(weights["D4"], weights["D7"]) + min(weights["D4"], weights["D7"]) / 2
        if weights["D5"] < SIDE_MIN:
            return None
        if value >= VALUE_MIN and weights["D5"] + value >= THRESHOLD + needed.page:
            return Severity.PAGE
        return Severity.DIGEST if value >= SIDE_MIN and weights["D5"] >= DIGEST_HEIGHT else None

    def is_crowd(self, risen: Risen) -> bool:
        """Several people, none of them alone."""
        users = risen.sum.users
        return max(users.values()) < ALONE_SHARE * sum(users.values())

    def foremost(self, risen: Risen, actors: list[Who]) -> Who:
        """Who wrote most of it."""
        users = risen.sum.users
        return _who(max(users, key=lambda code: (users[code], -code)), actors)

    # -- what its alert says --------------------------------------------------------------------------------

    def alert_id(self, org: str, risen: Risen) -> str:
        one, cell = risen.sum, risen.cell
        said = (org, "across", *map(str, cell), str(one.value), str(one.started_number), str(one.started_at))
        return hashlib.blake2b("\x1f".join(said).encode(), digest_size=12).hexdigest()

    def total(self, risen: Risen, actors: list[Who]) -> Total:
        total = Total()
        counted = {tuple(_who(code, actors)): count for code, count in risen.sum.users.items()}
        named = {(user, origin, client): count for (user, origin, client), count in counted.items()}
        ids = Distinct(risen.sum.records.ids_max)
        ids.merge(risen.sum.records)
        total.add(risen.cell.entity, risen.cell.kind, ids, named)
        total.kinds = {risen.cell.kind: max(risen.sum.writes, len(ids))}  # beyond the users that are named
        return total

    def targets(self, risen: Risen, names: list[str]) -> list[dict[str, Any]]:
        one = risen.sum
        return [
            {
                "entity": risen.cell.entity,
                "field": names[risen.cell.field],
                "null_share": round(risen.share if one.text is None else 0.0, 4),
                "share": 1.0,
                "top_values": [{"value": one.text, "share": round(min(1.0, risen.share), 4)}],
            }
        ]

    def body(
        self, risen: Risen, weights: dict[str, float], names: list[str], actors: list[Who]
    ) -> dict[str, Any]:
        one, cell = risen.sum, risen.cell
        field, records = names[cell.field], len(one.records)
        value = "null" if one.text is None else "one value"
        hours = max(1, (one.last_at - one.started_at) // 3_600_000 + 1)
        span = f"{hours} h" if hours < 72 else f"{hours // 24} days"
        lines = [
            (
                "D5",
                f"{field} got {value} in {one.writes:,} small changes within {span}; "
                f"usually about {risen.usual_day:.1f} a day",
            ),
            (
                "D4",
                f"{field} got {value} in {100 * min(1.0, risen.share):.0f} % of its writes; "
                f"usually in {100 * risen.usual_share:.0f} %",
            ),
            (
                "D7",
                f"{field} now rides along in changes of {cell.entity} "
                f"{risen.companion:.1f} times as often as it used to",
            ),
        ]
        user = self.foremost(risen, actors).user
        alone = not self.is_crowd(risen)
        who = f"User {user}" if alone else f"{len(one.users)} users or more"
        return {
            "title": f"{who} set {field} to {value} on {records:,} {cell.entity} records, "
            f"a few at a time, within {span}",
            "samples": [
                {
                    "record_id": record_id,
                    "field": field,
                    "before": None,
                    "before_known": False,
                    "after": one.text,
                }
                for record_id in dict.fromkeys(one.samples)
            ],
            "evidence": [
                {"channel": name, "sentence": said, "weight": round(weights[name], 2)}
                for name, said in lines
                if weights[name] > 0
            ],
            "usual": f"{field} gets this value about {risen.usual_day:.1f} times a day, in "
            f"{100 * risen.usual_share:.0f} % of its writes, from {risen.weeks} weeks",
            "next": f"cdc state {cell.entity} --at {_iso(one.started_at)}",
        }


def _iso(at: int) -> str:
    from cdc.detect.alert import iso

    return iso(at)


def _who(code: int, actors: list[Who]) -> Who:
    return actors[code] if code < len(actors) else Who("", "", "")
