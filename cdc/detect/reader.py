"""The detector behind the log: batches in, alerts back into the log, a checkpoint file of its own.

What was published and not yet in a checkpoint is published again after a restart, equal to the first time:
readers of `alerts` know a version by (alert_id, version).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cdc.detect.announced import window_of
from cdc.detect.batch import DetectBatch, from_columns
from cdc.detect.detector import Detector, Options
from cdc.detect.files import write_whole
from cdc.errors import BadArgument
from cdc.logs import Event, logger
from cdc.ports.clock import Clock
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint, LogRecord
from schemas import own

ALERTS, DECISIONS, POSITIONS = "alerts", "decisions", "positions"
CHECKPOINT_EVERY_S = 60.0


class DetectorFollower:
    """Takes every batch once and in order; `checkpoint` is how far what it has learned reaches.

    `publish` makes records durable in the log before it returns. The file at `state_path` holds state and
    checkpoint together, replaced once a minute and at `close`. Errors: BadArgument (the file), what
    `publish` raises; after an error the follower is of no further use, and a new one begins at the file.
    """

    def __init__(
        self,
        org: str,
        state_path: str | Path,
        publish: Callable[[Sequence[LogRecord]], None],
        *,
        options: Options | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._path = Path(state_path)
        self._publish = publish
        self._clock = clock or Clock()
        self._saved_at = self._clock.monotonic_s()
        self._whole = True
        self.detector = _kept(org, self._path, options)

    @property
    def checkpoint(self) -> Checkpoint:
        return self.detector.checkpoint

    def take(self, batch: ColumnBatch) -> None:
        self._whole = False
        changes = from_columns(batch)
        versions: list[dict[str, Any]] = []
        start = 0
        for place, order in _orders(batch, changes, self.detector.time):
            versions += self.detector.take(changes.part(start, place))
            versions += self._obey(order)
            start = place
        versions += self.detector.take(changes.part(start, changes.rows))
        if versions:
            self._publish([record_of(version) for version in versions])
        self.detector.checkpoint = batch.checkpoint
        self._whole = True
        if self._clock.monotonic_s() - self._saved_at >= CHECKPOINT_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint file. Errors: DiskFull, BadArgument."""
        write_whole(self._path, self.detector.state())
        self._saved_at = self._clock.monotonic_s()

    def close(self) -> None:
        """Save, unless a batch failed half-way: then the last file is what is true."""
        if self._whole:
            self.save()

    def _obey(self, order: _Order) -> list[dict[str, Any]]:
        if order.kind == "tick":
            return self.detector.tick(order.at)
        if order.kind == "ack":
            self.detector.acknowledge(order.alert_id)
        elif order.kind == "unack":
            self.detector.unacknowledge(order.alert_id)
        elif order.kind == "calendar":
            self._announce(order)
        elif order.kind == "restore_writes":
            self._restoring(order)
        return []

    def _announce(self, order: _Order) -> None:
        try:
            self.detector.announce(window_of(order.detail, "decisions"))
        except (
            BadArgument
        ) as e:  # what is said in the log cannot be corrected there; nothing is silenced by it
            logger().warning(Event.DECISION_IGNORED, reason=str(e))

    def _restoring(self, order: _Order) -> None:
        given = order.detail
        kind = "UPDATE" if given.get("kind") == "REPARENT" else str(given.get("kind", ""))
        records = [str(one) for one in given.get("records", [])]
        if records:
            self.detector.restoring(str(given["user_id"]), str(given["entity"]), kind, records, order.at)


def record_of(version: dict[str, Any]) -> LogRecord:
    """One version of an alert as a record of the topic `alerts`."""
    return LogRecord(topic=ALERTS, key=version["alert_id"], value=own.encode("alert", version))


class _Order(NamedTuple):
    kind: str
    at: int = 0
    alert_id: str = ""
    detail: Any = None


def _orders(batch: ColumnBatch, changes: DetectBatch, reached: int) -> Iterator[tuple[int, _Order]]:
    """Ticks and decisions, each with the number of the batch's changes that come before it.

    Positions tell how far the stream has passed on a quiet org: a tick, where that is later than the
    changes say themselves. A decision without a place of its own comes after the batch's changes.
    """
    times = np.where(changes.full_state, 0, changes.committed_at)
    passed = np.maximum.accumulate(np.concatenate(([reached], times)))
    found: list[tuple[int, _Order]] = []
    for record in batch.control:
        if record.topic not in (POSITIONS, DECISIONS):
            continue
        place = (
            int(np.searchsorted(changes.ordinal, record.ordinal, "right")) if record.ordinal else changes.rows
        )
        order = _position(record) if record.topic == POSITIONS else _decision(record)
        if order.kind != "tick" or order.at > passed[place]:
            found.append((place, order))
    return iter(sorted(found, key=lambda one: one[0]))


def _position(record: LogRecord) -> _Order:
    """The time that every channel has passed."""
    channels = own.decode("positions", record.value)["channels"]
    return _Order("tick", min((c["passed_to"] for c in channels), default=0))


def _decision(record: LogRecord) -> _Order:
    said = own.decode("decision", record.value)
    detail: Any = {}
    if said["kind"] in ("calendar", "restore_writes"):
        try:
            detail = json.loads(said["detail"])
        except ValueError:
            detail = {}
    return _Order(said["kind"], said["at"], said["alert_id"], detail if isinstance(detail, dict) else {})


def _kept(org: str, path: Path, options: Options | None) -> Detector:
    try:
        state = path.read_bytes()
    except FileNotFoundError:
        return Detector(org, options)
    except OSError as e:
        raise BadArgument(f"The detector's state cannot be read: {e.strerror}", where=str(path)) from e
    detector = Detector.restore(state, options)
    if detector.org != org:
        raise BadArgument(
            f"The detector's state is of the org {detector.org}, not of {org}",
            where=str(path),
            do="set detect.state_path to this org's file",
        )
    return detector
