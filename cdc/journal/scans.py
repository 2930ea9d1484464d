"""Scans and re-reads: what their records say, and the judgement when one has ended.

The journal judges, not capture: it knows what was there before. Records known before the scan began, not
among its rows, and without a later event, are ABSENT from the scan's anchor on (architecture.md, "Order, and
full states").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from cdc.journal.control import Told
from cdc.journal.coverage import Stretches
from cdc.journal.statements import statement
from cdc.journal.tables import JOBS, append, known_moment, moment

ENDED: Final = "ended"

FULL_READS: Final = frozenset({"baseline", "reread"})
"""Kinds of job that read everything they are asked for, so that what they did not find is not there."""


NOTHING_FOUND_OF: Final = 20
"""A full read that finds none of so many records has found out something about its user, not about them."""


class Scans:
    """Writes jobs and what follows from their ends, inside the caller's transaction."""

    def __init__(self, connection: Any, org: str, stretches: Stretches) -> None:
        self._connection = connection
        self._org = org
        self._stretches = stretches

    def told(self, told: Told, channels: Collection[str]) -> None:
        """A record of a job. One that is held already is no news."""
        held = self._connection.execute(
            "SELECT state, rows, after_ordinal, coalesce(cursor, ''), epoch_us(read_to) FROM store.jobs WHERE job_id = ?",
            [told.values["job_id"]],
        ).fetchall()
        row = self._row(told, len(held) + 1)
        if (row["state"], row["rows"], row["after_ordinal"], row["cursor"], row["read_to"]) in held:
            return
        append(self._connection, "jobs", JOBS, [row])
        is_first_end = all(state != ENDED for state, *_ in held)
        if (
            row["state"] == ENDED
            and row["kind"] in FULL_READS
            and is_first_end
            and self._is_complete(row, told)
        ):
            present = 0 if row["rows"] or row["record_ids"] else self._present(row)
            if present >= NOTHING_FOUND_OF:
                self._stretches.nothing_found(row, told.place, present)
                return
            self._judge(row, told)
            self._stretches.repaired_by_scan(row, told.place, channels)

    def _row(self, told: Told, version: int) -> dict[str, Any]:
        v = told.values
        times = ("requested_at", "anchor_at", "read_to", "started_at", "finished_at")
        return {
            **{name: v[name] for name in JOBS.names if name in v},
            **{name: moment(v[name]) for name in times},
            "version": version,
            "seq": told.place,
            "org": self._org,
        }

    def _is_complete(self, job: Mapping[str, Any], told: Told) -> bool:
        """Every row it wrote is here. Where the log's retention took some, nothing is concluded from their absence."""
        held = self._connection.execute(
            "SELECT (SELECT count(*) FROM store.changes WHERE scan_id = $scan AND seq <= $place AND fold_rank = 1)"
            " + (SELECT coalesce(sum(rows), 0) FROM store.elsewhere WHERE scan_id = $scan)",
            {"scan": job["job_id"], "place": told.place},
        ).fetchone()[0]
        return bool(held == job["rows"])

    def _present(self, job: Mapping[str, Any]) -> int:
        """How many records of the entity were there before the scan began, as far as is known."""
        given = {name: job[name] for name in ("entity", "after_ordinal")}
        return int(self._connection.execute(statement("present_before"), given).fetchone()[0])

    def _judge(self, job: Mapping[str, Any], told: Told) -> None:
        self._connection.execute(
            statement("absent"),
            {
                **{
                    name: job[name] for name in ("job_id", "entity", "record_ids", "after_ordinal", "read_to")
                },
                "org": self._org,
                "source": job["kind"],
                "place": told.place,
                "anchor_at": known_moment(told.values["anchor_at"]),
                "received_at": moment(told.appended_ms),
            },
        )
