"""What the last reading of a kind of set-up found, so that the next one records only what is new, other or gone.

A digest a row, kept in the log's compacted topic in pieces, so that a restart compares too and only pieces that
changed are written. Rows, memory and position go into the log together: after a kill in between, rows come again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cdc.avro.own import encode_record_states
from cdc.capture.poll import POLLED
from cdc.capture.writer import LIVE, Rows
from cdc.change.order import READ_MARGIN_MS
from cdc.change.setup_kinds import SETUP_TOPIC
from cdc.ports.log import ChannelPosition, LogRecord
from cdc.ports.types import Millis, Ordinal

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

REMEMBERED: Final = "setup/"
"""Keys of the `schemas` topic under which the digests of a reading lie: `setup/PermissionSet/3`."""
PIECES: Final = 16
"""Pieces of a kind's memory: with a hundred thousand field permissions each stays below half a megabyte."""
ROWS_PER_WRITE_MAX: Final = 2_000
BYTES_PER_WRITE_MAX: Final = 8 * 1024 * 1024
DAY_S: Final = 86_400.0

State = tuple[str, dict[str, Any]]
"""Record id, and the full state as `schemas/record_state.avsc` has it."""


@dataclass(slots=True)
class Cost:
    """What the readings of a kind have cost so far in this process; the first one, which reads everything, apart."""

    first: int = 0
    readings: int = 0
    calls: int = 0

    def sentence(self, interval_s: float) -> str:
        """As a person reads it, and `cdc status` adds it up."""
        each = self.calls / self.readings if self.readings else float(self.first)
        return f"{each:.1f} API calls a reading, {round(each * DAY_S / interval_s)} API calls a day"


@dataclass(slots=True)
class SetupMemory:
    """The memory of every kind. `_known` holds id -> digest of what was recorded of each."""

    recorder: Recorder
    costs: dict[str, Cost] = field(default_factory=dict)
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    async def remembered(self, kind: str) -> dict[str, str]:
        """Id -> digest of what was recorded last."""
        if kind not in self._known:
            found: dict[str, str] = {}
            for piece in range(PIECES):
                text = await self.recorder.kept(f"{REMEMBERED}{kind}/{piece}")
                found.update(json.loads(text) if text else {})
            self._known[kind] = found
        return self._known[kind]

    def before(self, kind: str) -> ChannelPosition:
        """Where the last reading ended."""
        return self.recorder.writer.reached(POLLED + kind).position

    async def write(
        self,
        kind: str,
        states: Sequence[State],
        known: Mapping[str, str],
        fresh: dict[str, str],
        position: ChannelPosition | None,
    ) -> None:
        """Rows, then with the last of them the memory and the position."""
        scan_id = f"setup-{kind}"
        encoded = encode_record_states([state for _, state in states])
        rows = [
            (record_id, value, state["system_modstamp"] or 0)
            for (record_id, state), value in zip(states, encoded, strict=True)
        ]
        some: list[tuple[str, bytes, Any]] = []
        size = 0
        for row in rows:
            if len(some) >= ROWS_PER_WRITE_MAX or (some and size + len(row[1]) > BYTES_PER_WRITE_MAX):
                await self.recorder.put(Rows(SETUP_TOPIC, some, scan_id))
                some, size = [], 0
            some.append(row)
            size += len(row[1])
        control = [
            LogRecord(
                "schemas",
                key := f"{REMEMBERED}{kind}/{piece}",
                json.dumps(held, separators=(",", ":"), sort_keys=True).encode(),
                schema_id=key,
            )
            for piece, held in _pieces(fresh).items()
            if held != _pieces(known).get(piece)
        ]
        await self.recorder.put(Rows(SETUP_TOPIC, some, scan_id, control, position))
        self._known[kind] = fresh

    def position(self, kind: str, before: ChannelPosition, read_to: Millis) -> ChannelPosition | None:
        """Of a kind as a channel; None where the kind is a channel already, as users may be."""
        if kind in (*self.recorder.scheduler.carried(), *self.recorder.options.poll_entities):
            return None
        interval_s = self.recorder.options.setup_interval_of(kind)
        return ChannelPosition(
            POLLED + kind,
            passed_to=read_to,
            live_from=before.live_from or Millis(read_to + READ_MARGIN_MS),
            heard_at=self.recorder.clock.wall_ms(),
            standing=LIVE,
            trouble=self.costs.get(kind, Cost()).sentence(interval_s),
            entities=(kind,),
        )

    def spent(self, kind: str, calls: int) -> None:
        """A reading of a kind took so many calls."""
        cost = self.costs.get(kind)
        if cost is None:
            self.costs[kind] = Cost(first=calls)
            return
        cost.readings += 1
        cost.calls += calls


def scan_of(kind: str, since: Millis, read_to: Millis) -> str:
    """The name of a reading: what it found new happened between these two times of the org (0: it is the first)."""
    return f"setup-{kind}-{since}-{read_to}"


def gone(kind: str, record_id: str, after: Ordinal, since: Millis, read_to: Millis) -> dict[str, Any]:
    """A row that was there and is there no more."""
    return {
        "entity": kind,
        "record_id": record_id,
        "kind": "DELETE",
        "source": "setup",
        "scan_id": scan_of(kind, since, read_to),
        "after_ordinal": after,
        "read_to": read_to,
        "anchor_at": read_to,
        "system_modstamp": None,
        "user_id": None,
        "values": {},
        "unknown": [],
    }


def _pieces(digests: Mapping[str, str]) -> dict[int, dict[str, str]]:
    made: dict[int, dict[str, str]] = {piece: {} for piece in range(PIECES)}
    for record_id, digest in digests.items():
        made[sum(record_id.encode()) % PIECES][record_id] = digest
    return made
