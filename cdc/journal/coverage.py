"""Stretches of time: live, lost, unknown, repaired. Every change of a stretch is a new version of it.

A version's number grows with the place in the order of everything recorded, so that the rows are the same
however the log is cut into batches:

    place * 1000         opened by a change (a gap, an event that cannot be read)
    place * 1000 + 1     repaired by a full state
    place * 1000 + 500…  told by a control record: a coverage record, or positions
    place * 1000 + 900   repaired by the end of a scan
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from cdc.change.names import entity_of_topic
from cdc.change.order import READ_MARGIN_MS
from cdc.journal.control import Told
from cdc.journal.state import ChannelState
from cdc.journal.statements import statement
from cdc.journal.tables import COVERAGE, append, known_moment, moment

PLACES: Final = 1000
TOLD: Final = 500
SCANNED: Final = 900
CHANNEL_PREFIX: Final = "/data/"
POLLED: Final = "/poll/"
POLLED_REASON: Final = "read by query at intervals: changes between two readings are seen as one"


class Stretches:
    """Writes versions of stretches, inside the caller's transaction."""

    def __init__(self, connection: Any, org: str) -> None:
        self._connection = connection
        self._org = org

    def told(self, told: Told) -> None:
        """A coverage record of the log. One that is held already is no news."""
        v = told.values
        self._add(
            {
                "stretch_id": v["stretch_id"],
                "seq": told.place,
                "channel": v["channel"] or None,
                "entity": v["entity"],
                "record_id": v["record_id"],
                "from_at": known_moment(v["from_at"]),
                "to_at": None if v["to_at"] is None else known_moment(v["to_at"]),
                "status": v["status"],
                "reason": v["reason"],
                "evidence": v["evidence"],
                "from_ordinal": v["from_ordinal"],
                "to_ordinal": v["to_ordinal"],
                "repaired_at": moment(v["repaired_at"]),
            }
        )

    def live(self, before: ChannelState, after: ChannelState) -> None:
        """A channel that became live opens a stretch; one that begins anew ends the stretch it had."""
        if after.live_from == before.live_from:
            return
        if before.live_from:
            self._live(before, after.at_seq, before.passed_to or before.live_from)
        if after.live_from:
            self._live(after, after.at_seq, None)

    def _live(self, channel: ChannelState, place: int, until: int | None) -> None:
        stretch_id = f"live-{channel.channel}@{channel.live_from}"
        opened = self._connection.execute(
            "SELECT min(from_ordinal) FROM store.coverage WHERE stretch_id = ?", [stretch_id]
        ).fetchone()[0]
        self._add(
            {
                "stretch_id": stretch_id,
                "seq": place,
                "channel": channel.channel,
                "entity": None,
                "record_id": None,
                "from_at": known_moment(channel.live_from),
                "to_at": moment(until),
                "status": "live",
                "reason": POLLED_REASON
                if channel.channel.startswith(POLLED)
                else "every event of the channel is recorded",
                "evidence": "positions",
                "from_ordinal": place if opened is None else opened,
                "to_ordinal": None,
                "repaired_at": None,
            }
        )

    def ordinals_lost(self, first: int, last: int, from_ms: int, to_ms: int) -> None:
        """Numbers that can no longer come: whatever they were, it was between these times."""
        self._add(
            {
                "stretch_id": f"missing-{first}",
                "seq": last,
                "channel": None,
                "entity": None,
                "record_id": None,
                "from_at": known_moment(from_ms),
                "to_at": known_moment(to_ms),
                "status": "lost",
                "reason": f"ordinals {first} to {last} were no longer in the log",
                "evidence": "the log's retention passed the journal by",
                "from_ordinal": first - 1,
                "to_ordinal": last,
                "repaired_at": None,
            }
        )

    def unreadable(
        self, ordinal: int, channel: str, entity: str, record_ids: tuple[str, ...], at_ms: int, reason: str
    ) -> None:
        """An event that cannot be read hides what its records say, or its entity's, or its channel's."""
        one = {
            "seq": ordinal,
            "org": self._org,
            "version": ordinal * PLACES,
            "channel": channel or None,
            "entity": entity or None,
            "from_at": known_moment(at_ms),
            "to_at": None,
            "status": "unknown",
            "reason": "an event could not be read",
            "evidence": reason,
            "from_ordinal": ordinal - 1,
            "to_ordinal": ordinal,
            "repaired_at": None,
        }
        if entity and record_ids:
            rows = [{**one, "stretch_id": f"unread-{ordinal}-{r}", "record_id": r} for r in record_ids]
        else:
            rows = [{**one, "stretch_id": f"unread-{ordinal}", "record_id": None}]
        append(self._connection, "coverage", COVERAGE, rows)

    def gaps(self) -> None:
        """Stretches of the registered `batch_gaps`."""
        self._connection.execute(statement("open_gaps"), {"org": self._org})

    def repaired_by_rows(self) -> None:
        """Stretches of records that the full states of the registered `batch_changes` were read after."""
        self._connection.execute(statement("repair_by_rows"))

    def nothing_found(self, job: Mapping[str, Any], place: int, present: int) -> None:
        """A full read found nothing where records were: nobody is declared gone. The next one that finds some closes it."""
        self._write(
            {
                "stretch_id": f"nothing-{job['job_id']}",
                "version": place * PLACES + SCANNED,
                "seq": place,
                "channel": None,
                "entity": job["entity"],
                "record_id": None,
                "from_at": job["anchor_at"],
                "to_at": None,
                "status": "unknown",
                "reason": f"a full read found none of {present} records: may the user still see them?",
                "evidence": f"scan {job['job_id']}",
                "from_ordinal": job["after_ordinal"],
                "to_ordinal": None,
                "repaired_at": None,
            }
        )

    def repaired_by_scan(self, job: Mapping[str, Any], place: int, channels: Collection[str]) -> None:
        """Stretches that an ended scan (a row for `store.jobs`) was read after; `channels` are those known so far."""
        version = place * PLACES + SCANNED
        names = ("job_id", "entity", "record_ids", "after_ordinal", "read_to", "anchor_at", "started_at")
        given = {name: job[name] for name in names} | {"version": version, "place": place}
        given["margin"] = READ_MARGIN_MS * 1000
        self._connection.execute(statement("repair_by_scan"), given)  # times are microseconds
        if not job["record_ids"]:
            self._repair_channels(job, given, channels)

    def _repair_channels(
        self, job: Mapping[str, Any], given: Mapping[str, Any], channels: Collection[str]
    ) -> None:
        """A hole of a whole channel closes entity by entity, and is closed when the last of them is."""
        for stretch in self._channel_holes(given):
            entities = self._entities_of(stretch["channel"], given["place"], channels)
            entity = str(job["entity"])
            if entity not in entities:
                continue
            repaired = dict(
                stretch,
                version=given["version"],
                seq=given["place"],
                status="repaired",
                to_at=stretch["to_at"] or job["read_to"],
                evidence=f"scan {job['job_id']}",
                repaired_at=job["read_to"],
            )
            self._write({**repaired, "stretch_id": f"{stretch['stretch_id']}/{entity}", "entity": entity})
            if entities <= self._repaired_parts(stretch["stretch_id"]):
                self._write(repaired)

    def _channel_holes(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        names = ("job_id", "after_ordinal", "anchor_at", "started_at", "version", "margin")
        found = self._connection.execute(statement("channel_holes"), {n: given[n] for n in names})
        columns = [c[0] for c in found.description]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def _entities_of(self, channel: str | None, place: int, channels: Collection[str]) -> set[str]:
        """Entities whose changes a channel carries: its own one, or those seen on it and those described that
        have no channel of their own. No channel: all."""
        own = _entity_of(channel) if channel else None
        if own:
            return {own}
        given = {"channel": channel, "place": place}
        rows = self._connection.execute(statement("entities_of_channel"), given).fetchall()
        elsewhere = {_entity_of(name) for name in channels} if channel else set()
        return {entity for entity, is_seen in rows if is_seen or entity not in elsewhere}

    def _repaired_parts(self, stretch_id: str) -> set[str]:
        rows = self._connection.execute(
            "SELECT entity FROM store.coverage WHERE stretch_id = $id || '/' || entity AND status = 'repaired'",
            {"id": stretch_id},
        ).fetchall()
        return {row[0] for row in rows}

    def _add(self, row: dict[str, Any]) -> None:
        """A version told by a control record, unless a version that says the same is held."""
        held = self._connection.execute(
            statement("stretch_versions"), {"stretch_id": row["stretch_id"]}
        ).fetchall()
        said = tuple(row[name] for name in _SAYS)
        if any(version[2:] == said for version in held):
            return
        at_place = sum(1 for version in held if version[1] == row["seq"])
        self._write(dict(row, version=row["seq"] * PLACES + TOLD + at_place))

    def _write(self, row: Mapping[str, Any]) -> None:
        append(self._connection, "coverage", COVERAGE, [dict(row, org=self._org)])


_SAYS: Final = (
    "channel", "entity", "record_id", "from_at", "to_at", "status", "reason", "evidence", "from_ordinal",
    "to_ordinal", "repaired_at",
)  # fmt: skip
"""What makes two versions the same; `stretch_versions.sql` gives them in this order."""


def _entity_of(channel: str) -> str | None:
    """The entity of a channel that carries one: `/data/AccountChangeEvent`, `/poll/Account`."""
    if channel.startswith(POLLED):
        return channel.removeprefix(POLLED)
    return entity_of_topic(channel.removeprefix(CHANNEL_PREFIX))
