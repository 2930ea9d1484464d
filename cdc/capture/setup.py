"""The org's set-up, which nobody streams: read whole at intervals, compared with the reading before, and recorded.

The audit trail is read from a cursor of time; every other kind is read in full, since rows that are gone can only be
found by comparing. What is new or other is recorded as a full state with `source` setup, what is gone as a DELETE;
what is as before is not recorded again (`setup_memory.py`). A kind of many pages is counted first: one call says
whether anything moved. Source of flows and rules is asked for row by row, as the org demands, and only where the row
moved; source as files is read by `metadata.py`, at once when the audit trail has a new line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cdc.capture.backoff import Backoff
from cdc.capture.metadata import MetadataReader
from cdc.capture.poll import OVERLAP_MS
from cdc.capture.setup_memory import SetupMemory, State, gone, scan_of
from cdc.change.setup_kinds import (
    AUDIT_TRAIL,
    DEPLOYS,
    METADATA,
    METADATA_KIND,
    SETUP_KINDS,
    SetupKind,
)
from cdc.change.values import boolean_text, canonical_text, double_text
from cdc.errors import BadArgument, CursorExpired, NotFound, RetryLater
from cdc.logs import Event
from cdc.ports.log import ChannelPosition
from cdc.ports.types import Millis, Ordinal

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

SOURCES_PER_POLL_MAX: Final = 500
"""Rows whose source is asked for in one reading, a call each; the next reading goes on."""
BODIES_PER_CALL: Final = 50
"""Texts of a megabyte at the most: the org cuts pages of them shorter."""
LOOK_EVERY_S: Final = 1.0
FIRST_AUDIT_DAYS: Final = 180
"""How far back an org keeps its audit trail."""
FIRST_DEPLOYS_DAYS: Final = 30
DAY_MS: Final = 86_400_000
COUNTED_FROM_ROWS: Final = 2_000
"""A kind of more rows than a page is counted before it is read."""
COUNTED_TIMES_MAX: Final = 12
"""After so many counts that said nothing moved it is read all the same."""


@dataclass(slots=True)
class SetupPoller:
    """Reads one kind after the other. `_unstamped` are kinds that the org gives no SystemModstamp of."""

    recorder: Recorder
    memory: SetupMemory = field(init=False)
    _due_s: dict[str, float] = field(default_factory=dict)
    _unstamped: set[str] = field(default_factory=set)
    _counted: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _calls: int = 0
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=5.0, max_s=300.0))

    def __post_init__(self) -> None:
        self.memory = SetupMemory(self.recorder)

    async def run(self) -> None:
        clock = self.recorder.clock
        while True:
            for kind in self._kinds():
                now = clock.monotonic_s()
                if self._due_s.get(kind.name, 0.0) > now:
                    continue
                self._due_s[kind.name] = now + self.recorder.options.setup_interval_of(kind.name)
                try:
                    found = await self.poll(kind)
                    self._backoff.reset()
                    if found and kind.name == AUDIT_TRAIL:
                        self._due_s[METADATA] = 0.0
                except RetryLater as error:
                    self._due_s[kind.name] = now + self._backoff.pause_s(error.retry_after_s)
                    self._failed(kind, error.sentence())
                except CursorExpired as error:  # the reading begins again, and recording goes on meanwhile
                    self._due_s[kind.name] = now + self._backoff.pause_s(None)
                    self._failed(kind, error.sentence())
                except (BadArgument, NotFound) as error:
                    self._failed(kind, error.sentence())
                except (KeyError, TypeError, ValueError) as error:
                    self._failed(kind, f"the org's answer is not understood: {error!r:.200}")
            await clock.sleep(LOOK_EVERY_S)

    def _kinds(self) -> tuple[SetupKind, ...]:
        is_source_read = self.recorder.metadata is not None and self.recorder.options.metadata_types
        return (*SETUP_KINDS, METADATA_KIND) if is_source_read else SETUP_KINDS

    def _failed(self, kind: SetupKind, sentence: str) -> None:
        self.recorder.org_logger.warning(Event.POLL_FAILED, entity=kind.name, error=sentence)

    # -- one reading ----------------------------------------------------------------------------------------

    async def poll(self, kind: SetupKind) -> int:
        """What is new, other or gone, into the log; how many rows. Errors: RetryLater, BadArgument, NotFound."""
        recorder, memory = self.recorder, self.memory
        if kind.name == METADATA:
            assert recorder.metadata is not None
            return await MetadataReader(recorder, memory, recorder.metadata).read()
        self._calls = 0
        after = recorder.last_ordinal()
        before = memory.before(kind.name)
        known = await memory.remembered(kind.name)
        unmoved = await self._unmoved(kind, known)
        if unmoved is not None:
            memory.spent(kind.name, self._calls)
            await memory.write(kind.name, [], known, dict(known), memory.position(kind.name, before, unmoved))
            return 0
        rows, read_to = await self._read(kind, before)
        is_first = not before.passed_to and not known
        fresh: dict[str, str] = {}
        states: list[State] = []
        sources = 0
        for row in rows:
            values = _values(row)
            record_id = values.pop("Id") or ""
            stamp = _stamp({"stamp": values.pop("SystemModstamp", None)}, "stamp")
            digest = _digest(values)
            fresh[record_id] = digest
            if known.get(record_id) == digest:
                continue
            if kind.source_column or kind.name == DEPLOYS:
                if sources >= SOURCES_PER_POLL_MAX:
                    fresh.pop(record_id)
                    if record_id in known:
                        fresh[record_id] = known[record_id]
                    continue
                sources += 1
                values |= await self._source(kind, record_id)
            state = self._state(kind, record_id, values, after, read_to, is_first, before.passed_to, stamp)
            states.append((record_id, state))
        await self._add_bodies(kind, states, fresh, known)
        if kind.append_only:
            fresh = self._overlapping(known, fresh, rows)
        else:
            states += [
                (one, gone(kind.name, one, after, before.passed_to, read_to))
                for one in known
                if one not in fresh
            ]
        memory.spent(kind.name, self._calls)
        await memory.write(kind.name, states, known, fresh, memory.position(kind.name, before, read_to))
        return len(states)

    async def _unmoved(self, kind: SetupKind, known: Mapping[str, str]) -> Millis | None:
        """The org's time where a count says that nothing moved since the last reading; None: read it."""
        if kind.append_only or len(known) < COUNTED_FROM_ROWS or kind.name in self._unstamped:
            return None
        soql = f"SELECT COUNT(Id) rows, MAX(SystemModstamp) newest FROM {kind.name}"
        try:
            row, org_time = await self._one(soql, kind)
        except (BadArgument, NotFound):
            self._unstamped.add(kind.name)
            return None
        said = (row.get("rows"), row.get("newest"))
        last, times = self._counted.get(kind.name, (None, 0))
        if said == last and times < COUNTED_TIMES_MAX:
            self._counted[kind.name] = (said, times + 1)
            return org_time
        self._counted[kind.name] = (said, 0)
        return None

    async def _one(self, soql: str, kind: SetupKind) -> tuple[Mapping[str, Any], Millis]:
        async for page in self.recorder.scheduler.scanner.org.query(soql, tooling=kind.tooling):
            self._calls += 1
            self.recorder.org_clock.seen(page.org_time)
            return (page.rows[0] if page.rows else {}), page.org_time
        return {}, Millis(0)

    async def _read(self, kind: SetupKind, before: ChannelPosition) -> tuple[list[Mapping[str, Any]], Millis]:
        where = ""
        if kind.append_only:
            now = self.recorder.org_clock.now()
            days = FIRST_AUDIT_DAYS if kind.name == AUDIT_TRAIL else FIRST_DEPLOYS_DAYS
            since = before.passed_to - OVERLAP_MS if before.passed_to else now - days * DAY_MS
            moment = datetime.fromtimestamp(max(since, 0) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            column = "CreatedDate" if kind.name == AUDIT_TRAIL else "CompletedDate"
            where = f" WHERE {column} >= {moment} ORDER BY {column}"
        columns = list(kind.columns)
        if kind.stamped and kind.name not in self._unstamped:
            try:
                return await self._pages(kind, [*columns, "SystemModstamp"], where)
            except BadArgument:
                self._unstamped.add(kind.name)  # an org that has no such column of it
        return await self._pages(kind, columns, where)

    async def _pages(
        self, kind: SetupKind, columns: list[str], where: str
    ) -> tuple[list[Mapping[str, Any]], Millis]:
        soql = f"SELECT {', '.join(columns)} FROM {kind.name}{where}"
        rows: list[Mapping[str, Any]] = []
        times: list[Millis] = []
        async for page in self.recorder.scheduler.scanner.org.query(soql, tooling=kind.tooling):
            self._calls += 1
            rows += page.rows
            times.append(page.org_time)
            self.recorder.org_clock.seen(page.org_time)
        # The first page's time: of what changed after it, later pages may not tell.
        return rows, min(times)

    async def _source(self, kind: SetupKind, record_id: str) -> dict[str, str | None]:
        """The source of one row: its Metadata as text, keys sorted, so that lines can be compared; of a deploy its
        components."""
        if kind.name == DEPLOYS:
            return await self._deployed(record_id)
        soql = f"SELECT {kind.source_column} FROM {kind.name} WHERE Id = '{record_id}'"
        row, _ = await self._one(soql, kind)
        return {kind.source_column: _text(_plain(row.get(kind.source_column)))} if row else {}

    async def _add_bodies(
        self, kind: SetupKind, states: list[State], fresh: dict[str, str], known: Mapping[str, str]
    ) -> None:
        """The text of what moved, some rows a call; a row that is gone meanwhile is left for the next reading."""
        if not kind.body_column:
            return
        bodies: dict[str, str | None] = {}
        ids = [record_id for record_id, _ in states]
        for at in range(0, len(ids), BODIES_PER_CALL):
            some = "', '".join(ids[at : at + BODIES_PER_CALL])
            soql = f"SELECT Id, {kind.body_column} FROM {kind.name} WHERE Id IN ('{some}')"
            async for page in self.recorder.scheduler.scanner.org.query(soql, tooling=kind.tooling):
                self._calls += 1
                bodies.update({str(row["Id"]): _text(row.get(kind.body_column)) for row in page.rows})
        for record_id, state in states:
            if record_id in bodies:
                state["values"][kind.body_column] = bodies[record_id]
                continue
            fresh.pop(record_id, None)
            if record_id in known:
                fresh[record_id] = known[record_id]
        states[:] = [one for one in states if one[0] in bodies]

    async def _deployed(self, deploy_id: str) -> dict[str, str | None]:
        if self.recorder.metadata is None:
            return {}
        self._calls += 1
        status = await self.recorder.metadata.deploy_status(deploy_id)
        lines = []
        for one in sorted(status.messages, key=lambda one: (one.type, one.full_name)):
            done = (
                "failed"
                if one.problem
                else "deleted"
                if one.deleted
                else "created"
                if one.created
                else "changed"
            )
            done = "unchanged" if done == "changed" and not one.changed else done
            lines.append(f"{done} {one.type}:{one.full_name}" + (f": {one.problem}" if one.problem else ""))
        return {"Components": "\n".join(lines)}

    def _state(
        self,
        kind: SetupKind,
        record_id: str,
        values: dict[str, str | None],
        after: Ordinal,
        read_to: Millis,
        is_first: bool,
        since: Millis,
        moved_at: Millis | None,
    ) -> dict[str, Any]:
        stamp = _stamp(values, kind.time_column) or moved_at
        # A row that moved between two readings counts from its own stamp, else from the reading that saw it.
        counts_from = stamp if stamp and (kind.append_only or since - OVERLAP_MS <= stamp) else None
        counts = counts_from if not is_first or kind.append_only else None
        anchor = counts or Millis(read_to)
        by = "CreatedById" if kind.append_only else "LastModifiedById"
        return {
            "entity": kind.name,
            "record_id": record_id,
            # A user may be streamed too; then these are some of its fields, and no baseline of it.
            "kind": "BASELINE" if is_first and kind.name != "User" else "REREAD",
            "source": "setup",
            "scan_id": scan_of(kind.name, since, read_to),
            "after_ordinal": after,
            "read_to": read_to,
            "anchor_at": anchor,
            "system_modstamp": stamp,
            "user_id": values.get(by),
            "values": values,
            "unknown": [],
        }

    def _overlapping(
        self, known: Mapping[str, str], fresh: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
    ) -> dict[str, str]:
        """Of the audit trail only the overlap with the next reading is remembered."""
        times = {
            str(row["Id"]): _millis(str(row.get("CreatedDate") or row.get("CompletedDate"))) for row in rows
        }
        since = max(times.values(), default=0) - 2 * OVERLAP_MS
        return {one: digest for one, digest in fresh.items() if times[one] >= since} if rows else dict(known)


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
