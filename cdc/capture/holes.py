"""Stretches that are still open when they are told, and that somebody has to close later: also after a restart.

They are records of the `coverage` topic, so the next process finds there what this one has left open. A
stretch of a channel that stands still closes without loss when recording resumes from the stored position; one
of an entity closes as lost, and a scan repairs it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import schemas.own as own
from cdc.ports.log import Checkpoint, Log, LogRecord
from cdc.ports.types import Millis, Ordinal

QUIET_S = 1.0
"""So long nothing more comes of a topic that is read from its beginning: it was read to its end."""


def coverage_record(stretch: dict[str, Any]) -> LogRecord:
    """A stretch of time known, lost or unknown, as a record of the `coverage` topic."""
    return LogRecord("coverage", stretch.get("entity") or stretch["channel"], own.encode("coverage", stretch))


def stretch(
    stretch_id: str,
    channel: str,
    from_at: Millis,
    *,
    entity: str | None = None,
    to_at: Millis | None = None,
    reason: str,
    evidence: str,
    from_ordinal: Ordinal,
) -> dict[str, Any]:
    """A lost stretch; its fields are those of `schemas/coverage.avsc`."""
    return {
        "stretch_id": stretch_id,
        "channel": channel,
        "entity": entity,
        "record_id": None,
        "from_at": from_at,
        "to_at": to_at,
        "status": "lost",
        "reason": reason,
        "evidence": evidence,
        "from_ordinal": from_ordinal,
        "repaired_at": None,
    }


@dataclass(slots=True)
class Holes:
    """What is open now, by stretch id. Each method gives the record to write; the caller writes it."""

    _open: dict[str, dict[str, Any]] = field(default_factory=dict)

    def read(self, log: Log) -> None:
        """Everything the log holds as open. Runs in the log's thread, before anything is recorded."""
        newest: dict[str, dict[str, Any]] = {}
        batches = log.batches(Checkpoint(), topics=frozenset({"coverage"}), idle_s=QUIET_S)
        try:
            for batch in batches:
                if not batch.records:
                    break
                for record in batch.records:
                    try:
                        told = own.decode("coverage", record.value)
                    except ValueError:
                        continue  # the journal keeps what cannot be read in quarantine
                    newest[told["stretch_id"]] = told
        finally:
            if isinstance(batches, Generator):
                batches.close()
        self._open = {
            key: told
            for key, told in newest.items()
            if told["status"] == "lost" and told["to_at"] is None and told["record_id"] is None
        }

    def open(self, told: dict[str, Any]) -> list[LogRecord]:
        """Open a stretch; nothing to write where it is open already."""
        if told["stretch_id"] in self._open:
            return []
        self._open[told["stretch_id"]] = told
        return [coverage_record(told)]

    def of_channel(self, channel: str) -> list[dict[str, Any]]:
        """Open stretches of a whole channel."""
        return [s for s in self._open.values() if s["channel"] == channel and s["entity"] is None]

    def of_entities(self, channel: str) -> dict[str, dict[str, Any]]:
        """Open stretches of single entities of a channel, by stretch id."""
        return {k: s for k, s in self._open.items() if s["channel"] == channel and s["entity"] is not None}

    def close(self, stretch_id: str, to_at: Millis, *, without_loss: str = "") -> list[LogRecord]:
        """End a stretch: as lost up to a time, or, with a reason, as repaired."""
        told = self._open.pop(stretch_id, None)
        if told is None:
            return []
        ended = {**told, "to_at": Millis(max(to_at, told["from_at"]))}
        if without_loss:
            ended |= {"status": "repaired", "evidence": without_loss, "repaired_at": to_at}
        return [coverage_record(ended)]

    def again(self) -> list[LogRecord]:
        """Everything open once more: the log's retention must not forget what is still so."""
        return [coverage_record(told) for told in self._open.values()]
