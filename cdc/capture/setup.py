"""The org's set-up, which nobody streams: read whole at intervals, compared with the reading before, and recorded.

The audit trail is read from a cursor of time; every other kind is read in full, since rows that are gone can only be
found by comparing. What is new or other is recorded as a full state with `source` setup, what is gone as a DELETE;
what is as before is not recorded again. The memory of the last reading is a digest a row, kept in the log's
compacted topic in pieces, so that a restart compares too and only pieces that changed are written. Source of flows
and rules is asked for row by row, as the org demands, and only where the row moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cdc.avro.own import encode_record_states
from cdc.capture.backoff import Backoff
from cdc.capture.poll import OVERLAP_MS, POLLED
from cdc.capture.writer import LIVE, Rows
from cdc.change.order import READ_MARGIN_MS
from cdc.change.setup_kinds import AUDIT_TRAIL, SETUP_KINDS, SETUP_TOPIC, SetupKind
from cdc.change.values import boolean_text, canonical_text, double_text
from cdc.errors import BadArgument, NotFound, RetryLater
from cdc.logs import Event
from cdc.ports.log import ChannelPosition, LogRecord
from cdc.ports.types import Millis, Ordinal

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

REMEMBERED: Final = "setup/"
"""Keys of the `schemas` topic under which the digests of a reading lie: `setup/PermissionSet/3`."""
PIECES: Final = 16
"""Pieces of a kind's memory: with a hundred thousand field permissions each stays below half a megabyte."""
SOURCES_PER_POLL_MAX: Final = 500
"""Rows whose source is asked for in one reading, a call each; the next reading goes on."""
ROWS_PER_WRITE_MAX: Final = 2_000
LOOK_EVERY_S: Final = 1.0
FIRST_AUDIT_DAYS: Final = 180
"""How far back an org keeps its audit trail."""
DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class SetupPoller:
    """Reads one kind after the other. `_known` holds id -> digest of what was recorded of each kind."""

    recorder: Recorder
    _known: dict[str, dict[str, str]] = field(default_factory=dict)
    _due_s: dict[str, float] = field(default_factory=dict)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=5.0, max_s=300.0))

    async def run(self) -> None:
        clock, interval_s = self.recorder.clock, self.recorder.options.setup_interval_s
        while True:
            for kind in SETUP_KINDS:
                now = clock.monotonic_s()
                if self._due_s.get(kind.name, 0.0) > now:
                    continue
                self._due_s[kind.name] = now + interval_s
                try:
                    await self.poll(kind)
                    self._backoff.reset()
                except RetryLater as error:
                    self._due_s[kind.name] = now + self._backoff.pause_s(error.retry_after_s)
                    self._failed(kind, error.sentence())
                except (BadArgument, NotFound) as error:
                    self._failed(kind, error.sentence())
            await clock.sleep(LOOK_EVERY_S)

    def _failed(self, kind: SetupKind, sentence: str) -> None:
        self.recorder.org_logger.warning(Event.POLL_FAILED, entity=kind.name, error=sentence)

    # -- one reading ----------------------------------------------------------------------------------------

    async def poll(self, kind: SetupKind) -> int:
        """What is new, other or gone, into the log; how many rows. Errors: RetryLater, BadArgument, NotFound."""
        recorder = self.recorder
        after = recorder.last_ordinal()
        before = recorder.writer.reached(POLLED + kind.name).position
        known = await self._remembered(kind)
        rows, read_to = await self._read(kind, before)
        is_first = not before.passed_to and not known
        fresh: dict[str, str] = {}
        states: list[tuple[str, dict[str, Any]]] = []
        sources = 0
        for row in rows:
            values = _values(row)
            record_id = values.pop("Id") or ""
            digest = _digest(values)
            fresh[record_id] = digest
            if known.get(record_id) == digest:
                continue
            if kind.source_column:
                if sources >= SOURCES_PER_POLL_MAX:
                    fresh.pop(record_id)
                    if record_id in known:
                        fresh[record_id] = known[record_id]
                    continue
                sources += 1
                values |= await self._source(kind, record_id)
            state = self._state(kind, record_id, values, after, read_to, is_first, before.passed_to)
            states.append((record_id, state))
        if kind.name == AUDIT_TRAIL:
            fresh = self._overlapping(known, fresh, rows)
        else:
            gone = [one for one in known if one not in fresh]
            states += [(one, self._gone(kind, one, after, read_to)) for one in gone]
        await self._write(kind, states, known, fresh, self._position(kind, before, read_to))
        return len(states)

    async def _read(self, kind: SetupKind, before: ChannelPosition) -> tuple[list[Mapping[str, Any]], Millis]:
        scanner = self.recorder.scheduler.scanner
        soql = f"SELECT {', '.join(kind.columns)} FROM {kind.name}"
        if kind.name == AUDIT_TRAIL:
            now = self.recorder.org_clock.now()
            since = before.passed_to - OVERLAP_MS if before.passed_to else now - FIRST_AUDIT_DAYS * DAY_MS
            moment = datetime.fromtimestamp(max(since, 0) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            soql += f" WHERE CreatedDate >= {moment} ORDER BY CreatedDate"
        rows: list[Mapping[str, Any]] = []
        times: list[Millis] = []
        async for page in scanner.org.query(soql, tooling=kind.tooling):
            rows += page.rows
            times.append(page.org_time)
            self.recorder.org_clock.seen(page.org_time)
        # The first page's time: of what changed after it, later pages may not tell.
        return rows, min(times)

    async def _source(self, kind: SetupKind, record_id: str) -> dict[str, str | None]:
        """The source of one row: its Metadata as text, keys sorted, so that lines can be compared."""
        soql = f"SELECT {kind.source_column} FROM {kind.name} WHERE Id = '{record_id}'"
        async for page in self.recorder.scheduler.scanner.org.query(soql, tooling=kind.tooling):
            for row in page.rows:
                return {kind.source_column: _text(_plain(row.get(kind.source_column)))}
        return {}

    def _state(
        self,
        kind: SetupKind,
        record_id: str,
        values: dict[str, str | None],
        after: Ordinal,
        read_to: Millis,
        is_first: bool,
        since: Millis,
    ) -> dict[str, Any]:
        stamp = _stamp(values, "CreatedDate" if kind.name == AUDIT_TRAIL else "LastModifiedDate")
        # A row that moved between two readings counts from its own stamp, else from the reading that saw it.
        counts_from = stamp if stamp and (kind.name == AUDIT_TRAIL or since - OVERLAP_MS <= stamp) else None
        counts = counts_from if not is_first or kind.name == AUDIT_TRAIL else None
        anchor = counts or Millis(read_to)
        by = "CreatedById" if kind.name == AUDIT_TRAIL else "LastModifiedById"
        return {
            "entity": kind.name,
            "record_id": record_id,
            # A user may be streamed too; then these are some of its fields, and no baseline of it.
            "kind": "BASELINE" if is_first and kind.name != "User" else "REREAD",
            "source": "setup",
            "scan_id": f"setup-{kind.name}-{read_to}",
            "after_ordinal": after,
            "read_to": read_to,
            "anchor_at": anchor,
            "system_modstamp": stamp,
            "user_id": values.get(by),
            "values": values,
            "unknown": [],
        }

    def _gone(self, kind: SetupKind, record_id: str, after: Ordinal, read_to: Millis) -> dict[str, Any]:
        return {
            "entity": kind.name,
            "record_id": record_id,
            "kind": "DELETE",
            "source": "setup",
            "scan_id": f"setup-{kind.name}-{read_to}",
            "after_ordinal": after,
            "read_to": read_to,
            "anchor_at": read_to,
            "system_modstamp": None,
            "user_id": None,
            "values": {},
            "unknown": [],
        }

    def _overlapping(
        self, known: Mapping[str, str], fresh: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
    ) -> dict[str, str]:
        """Of the audit trail only the overlap with the next reading is remembered."""
        newest = max((str(row.get("CreatedDate")) for row in rows), default="")
        since = _millis(newest) - 2 * OVERLAP_MS if newest else 0
        kept = {str(r["Id"]) for r in rows if _millis(str(r.get("CreatedDate"))) >= since}
        return {one: digest for one, digest in fresh.items() if one in kept} if rows else dict(known)

    # -- the memory -------------------------------------------------------------------------------------------

    async def _remembered(self, kind: SetupKind) -> dict[str, str]:
        if kind.name not in self._known:
            found: dict[str, str] = {}
            for piece in range(PIECES):
                text = await self.recorder.kept(f"{REMEMBERED}{kind.name}/{piece}")
                found.update(json.loads(text) if text else {})
            self._known[kind.name] = found
        return self._known[kind.name]

    async def _write(
        self,
        kind: SetupKind,
        states: Sequence[tuple[str, dict[str, Any]]],
        known: Mapping[str, str],
        fresh: dict[str, str],
        position: ChannelPosition | None,
    ) -> None:
        """Rows, then with the last of them the memory and the position: after a kill in between they come again."""
        scan_id = f"setup-{kind.name}"
        encoded = encode_record_states([state for _, state in states])
        rows = [
            (record_id, value, state["system_modstamp"] or 0)
            for (record_id, state), value in zip(states, encoded, strict=True)
        ]
        while len(rows) > ROWS_PER_WRITE_MAX:
            await self.recorder.put(Rows(SETUP_TOPIC, rows[:ROWS_PER_WRITE_MAX], scan_id))
            del rows[:ROWS_PER_WRITE_MAX]
        control = [
            LogRecord(
                "schemas",
                key := f"{REMEMBERED}{kind.name}/{piece}",
                json.dumps(held, separators=(",", ":"), sort_keys=True).encode(),
                schema_id=key,
            )
            for piece, held in _pieces(fresh).items()
            if held != _pieces(known).get(piece)
        ]
        await self.recorder.put(Rows(SETUP_TOPIC, rows, scan_id, control, position))
        self._known[kind.name] = fresh

    def _position(self, kind: SetupKind, before: ChannelPosition, read_to: Millis) -> ChannelPosition | None:
        if kind.name in (*self.recorder.scheduler.carried(), *self.recorder.options.poll_entities):
            return None
        return ChannelPosition(
            POLLED + kind.name,
            passed_to=read_to,
            live_from=before.live_from or Millis(read_to + READ_MARGIN_MS),
            heard_at=self.recorder.clock.wall_ms(),
            standing=LIVE,
            entities=(kind.name,),
        )


def _pieces(digests: Mapping[str, str]) -> dict[int, dict[str, str]]:
    made: dict[int, dict[str, str]] = {piece: {} for piece in range(PIECES)}
    for record_id, digest in digests.items():
        made[sum(record_id.encode()) % PIECES][record_id] = digest
    return made


def _digest(values: Mapping[str, str | None]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _values(row: Mapping[str, Any], below: str = "") -> dict[str, str | None]:
    """Columns as canonical text; those of a reference under its name (`EntityDefinition.QualifiedApiName`)."""
    made: dict[str, str | None] = {}
    for name, value in row.items():
        if name == "attributes":
            continue
        if isinstance(value, Mapping) and "attributes" in value:
            made.update(_values(value, f"{below}{name}."))
        else:
            made[below + name] = _text(value, name)
    return made


def _text(value: Any, name: str = "") -> str | None:
    if isinstance(value, str) and name.endswith("Date"):
        return canonical_text(value, "datetime")
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return boolean_text(value)
    if isinstance(value, int | float):
        return double_text(float(value))
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Source without what the API puts around it."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if key not in ("attributes", "urls")}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _stamp(values: Mapping[str, str | None], name: str) -> Millis | None:
    text = values.get(name)
    return Millis(_millis(text)) if text else None


def _millis(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        return 0
