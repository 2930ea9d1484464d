"""Writing a plan: batch by batch, each told before, read again just before, written, told after.

Whatever moment this is killed at, the next run finds in the journal what was told. A record with an outcome is
left alone. One that was to be written and has no outcome is read again: a value already right was written, one
still bad was not. A record made anew is looked for by the plan's key, or by who created it, when and with what.
So nothing is written twice and nothing is left out. States of the restore: writing, stopped, applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.change.masking import Masked
from cdc.errors import CdcError, RetryLater
from cdc.ports.clock import Clock
from cdc.ports.org import EntityDescription, Org
from cdc.ports.orgwriter import OrgWriter, RecordWrite, WriteKind, WriteOptions, WriteResult
from cdc.ports.types import RecordId
from cdc.recover.jobs import Jobs
from cdc.recover.ledger import Ledger
from cdc.recover.made_anew import Anew
from cdc.recover.planfile import Plan
from cdc.recover.reading import by_record, read_present
from cdc.recover.restores import Restore, told_of
from cdc.recover.values import written
from cdc.recover.work import Batch, Item, batches, records_of
from cdc.recover.written import Result, intents, outcomes

CLIENT = "sf-cdc-restore"
ATTEMPTS_MAX = 5
PAUSE_S, PAUSE_MAX_S = 1.0, 60.0
PASSING = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "BULK_JOB_FAILED", "BULK_JOB_ABORTED"})
"""Errors of single records that another try may not meet."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """`settle_s`: how long a request of a killed run may still be at work in the org, before records are read
    again. `calls_per_minute` 0: as fast as the org answers. `key_field` carries the plan's key on records made
    anew, where the entity has it. Values of `masked` fields are not told in what became of a record."""

    settle_s: float = 5.0
    calls_per_minute: int = 0
    key_field: str = ""
    masked: Masked = field(default_factory=Masked)


@dataclass(slots=True)
class Progress:
    """How far it is, in records."""

    total: int = 0
    done: int = 0
    written: int = 0
    calls: int = 0
    began_s: float = 0.0
    results: dict[str, int] = field(default_factory=dict)

    def left_s(self, now_s: float) -> float | None:
        """Seconds to go at the pace so far; None before there is one."""
        if not self.done or now_s <= self.began_s:
            return None
        return (self.total - self.done) * (now_s - self.began_s) / self.done

    def count(self, results: Sequence[Result]) -> None:
        self.done += len(results)
        for one in results:
            self.results[one.result] = self.results.get(one.result, 0) + 1


class Apply:
    """One run over one plan. `run` goes on where the run before ended, however that was."""

    def __init__(
        self,
        plan: Plan,
        restore: Restore,
        org: Org,
        writer: OrgWriter,
        ledger: Ledger,
        options: ApplyOptions,
        *,
        user_id: str,
        by: str = "",
        calls: Callable[[], int] | None = None,
        stop: asyncio.Event | None = None,
        clock: Clock | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.plan, self.org, self.writer, self.ledger = plan, org, writer, ledger
        self.restore, self.options, self.user_id = restore, options, user_id
        self._by = by
        self._own_calls = 0
        self._calls = calls or self._counted_here
        self._calls_before = self._calls()
        self.stop, self.clock = stop or asyncio.Event(), clock or Clock()
        self.progress = Progress()
        self._on_progress = on_progress
        self._descriptions: dict[str, EntityDescription] = {}
        self._org_ahead_ms = 0
        self._attempt = ""
        self._next_call_s = 0.0
        self.anew = Anew(self)
        self.jobs = Jobs(self)

    async def run(self) -> Restore:
        """Until everything has an outcome, or `stop` is set, or the org refuses: then it is stopped, with the reason."""
        await self._begin()
        bulk_from = int(self.plan.facts["options"]["bulk_from"])
        try:
            held = await asyncio.to_thread(told_of, self.ledger, self.restore.restore_id)
            self.anew.ids.update(held.new_ids)
            if held.open and not await self._settled():
                return self._end("stopped", "asked to stop")
            for batch in batches(self.plan, bulk_from):
                if self.stop.is_set():
                    return self._end("stopped", "asked to stop")
                open_ids = held.open_of(batch)
                rest = [i for i in batch.items if (batch.entity, i.record_id, batch.action) not in held.done]
                self.progress.done += len(batch.items) - len(rest)
                if rest:
                    await self._one(
                        Batch(batch.chunk, batch.entity, batch.action, rest, batch.by_job), open_ids
                    )
                self.progress.calls = self._calls() - self._calls_before
                self._on_progress(self.progress)
        except CdcError as error:
            return self._end("stopped", error.sentence())
        return self._end("applied", "")

    # -- the life of a run ---------------------------------------------------------------------------------

    async def _begin(self) -> None:
        limits = await self.org.limits()
        self._org_ahead_ms = limits.org_time - self.clock.wall_ms()
        self.progress.total = records_of(self.plan)
        self.progress.began_s = self.clock.monotonic_s()
        self.restore = self.restore.next(
            state="writing",
            user_id=self.user_id,
            started_at=self.restore.started_at or self.at(),
            ended_at=None,
            reason="",
        )
        self._attempt = str(self.restore.version)
        self.tell()
        await self.ledger.read_back(
            "restore_version", {"restore_id": self.restore.restore_id, "version": self.restore.version}
        )

    def _end(self, state: str, reason: str) -> Restore:
        self.progress.calls = self._calls() - self._calls_before
        counts = {
            "calls": self.restore.counts.get("calls", 0) + self.progress.calls,
            "results": self.progress.results,
        }
        self.restore = self.restore.next(state=state, reason=reason, ended_at=self.at(), counts=counts)
        self.tell()
        return self.restore

    async def _settled(self) -> bool:
        """Wait for what a killed run may have left at work; False if stopped meanwhile."""
        try:
            await asyncio.wait_for(self.stop.wait(), self.options.settle_s)
        except TimeoutError:
            return True
        return False

    def tell(self) -> None:
        self.ledger.tell("restore", self.restore.restore_id, self.restore.detail(), by=self._by, at=self.at())

    def at(self) -> int:
        """The org's time, by the wall clock."""
        return self.clock.wall_ms() + self._org_ahead_ms

    # -- one batch -----------------------------------------------------------------------------------------

    async def _one(self, batch: Batch, open_ids: frozenset[str]) -> None:
        """Until each of its records has an outcome. A try that may or may not have reached the org is read again."""
        batch = self.anew.resolved(batch)
        todo, unsure, pause_s = list(batch.items), open_ids, PAUSE_S
        await asyncio.to_thread(
            self.ledger.publish, intents(self.restore.restore_id, self.user_id, batch, self.at())
        )
        for attempt in range(1, ATTEMPTS_MAX + 1):
            some = Batch(batch.chunk, batch.entity, batch.action, todo, batch.by_job)
            try:
                results = await self._written(some, unsure)
            except RetryLater as error:
                if attempt == ATTEMPTS_MAX or self.stop.is_set():
                    raise
                await self._pause(error.retry_after_s or pause_s)
                pause_s, unsure = min(PAUSE_MAX_S, pause_s * 2), frozenset(i.record_id for i in todo)
                continue
            again = {
                r.record_id for r in results if r.result == "failed" and r.error.split(":")[0] in PASSING
            }
            if attempt == ATTEMPTS_MAX or self.stop.is_set():
                again = set()
            final = [r for r in results if r.record_id not in again]
            records = outcomes(self.restore.restore_id, batch, f"{self._attempt}.{attempt}", final, self.at())
            if records:
                await asyncio.to_thread(self.ledger.publish, records)
            self.progress.count(final)
            todo = [i for i in todo if i.record_id in again]
            if not todo:
                return
            await self._pause(pause_s)
            pause_s, unsure = min(PAUSE_MAX_S, pause_s * 2), frozenset()

    async def _written(self, batch: Batch, unsure: frozenset[str]) -> list[Result]:
        match batch.action:
            case "UPDATE" | "REPARENT":
                return await self._update(batch, unsure)
            case "UNDELETE":
                return await self._undelete(batch, unsure)
            case "CREATE":
                return await self.anew.create(batch, unsure)
            case _:
                return await self._delete(batch, unsure)

    async def _update(self, batch: Batch, unsure: frozenset[str]) -> list[Result]:
        if batch.by_job:
            await self.jobs.settle(batch)
        description = await self.describe(batch.entity)
        writes, results, conflicts = await self._still_bad(batch, description, unsure)
        if not writes:
            return results
        records = [
            RecordWrite(batch.entity, RecordId(record_id), written(description, values))
            for record_id, values in writes.items()
        ]
        if batch.by_job:
            done = await self.jobs.update(batch, records)
        else:
            done = await self._call(lambda: self.writer.write(WriteKind.UPDATE, records, self.client()))
        self.progress.written += sum(r.success for r in done)
        return results + [
            _outcome(record_id, one, conflicts.get(record_id, ""))
            for record_id, one in zip(writes, done, strict=True)
        ]

    async def _still_bad(
        self, batch: Batch, description: EntityDescription, unsure: frozenset[str]
    ) -> tuple[dict[str, dict[str, str | None]], list[Result], dict[str, str]]:
        """Read again, just before: what to write, what has an outcome already, and why a field is left out."""
        paths = {path for item in batch.items for path in item.fields}
        now, deleted = await self.present(description, [i.record_id for i in batch.items], paths)
        writes: dict[str, dict[str, str | None]] = {}
        results: list[Result] = []
        conflicts: dict[str, str] = {}
        for item in batch.items:
            held = now.get(item.record_id)
            if held is None or item.record_id in deleted:
                results.append(Result(item.record_id, "gone", "the record is not there any more"))
                continue
            values, moved = _to_write(item, held, lambda path: self.options.masked.hides(batch.entity, path))
            if moved:
                conflicts[item.record_id] = moved
            if values:
                writes[item.record_id] = values
            elif moved:
                results.append(Result(item.record_id, "conflict", moved))
            else:
                results.append(Result(item.record_id, "restored" if item.record_id in unsure else "already"))
        return writes, results, conflicts

    async def _undelete(self, batch: Batch, unsure: frozenset[str]) -> list[Result]:
        description = await self.describe(batch.entity)
        now, deleted = await self.present(description, [i.record_id for i in batch.items], ())
        results = [
            Result(i.record_id, "restored" if i.record_id in unsure else "already")
            for i in batch.items
            if i.record_id in now and i.record_id not in deleted
        ]
        results += [
            Result(i.record_id, "gone", "no longer in the Recycle Bin: plan again to create it anew")
            for i in batch.items
            if i.record_id not in now
        ]
        ids = [RecordId(i.record_id) for i in batch.items if i.record_id in deleted]
        if ids:
            done = await self._call(lambda: self.writer.undelete(ids, self.client()))
            self.progress.written += sum(r.success for r in done)
            results += [_outcome(i, one) for i, one in zip(ids, done, strict=True)]
        return results

    async def _delete(self, batch: Batch, unsure: frozenset[str]) -> list[Result]:
        description = await self.describe(batch.entity)
        present = await read_present(self.org, description, [i.record_id for i in batch.items], ())
        self._own_calls += present.calls
        rows = {r["record_id"]: r for r in present.records.to_pylist()}
        results: list[Result] = []
        ids: list[str] = []
        for item in batch.items:
            row = rows.get(item.record_id)
            if row is None or row["is_deleted"]:
                results.append(Result(item.record_id, "restored" if item.record_id in unsure else "already"))
            elif item.modified not in (None, "present", str(row["modified"])):
                results.append(Result(item.record_id, "conflict", "somebody has worked on it since the plan"))
            else:
                ids.append(item.record_id)
        if ids:
            records = [RecordWrite(batch.entity, RecordId(i)) for i in ids]
            done = await self._call(lambda: self.writer.write(WriteKind.DELETE, records, self.client()))
            self.progress.written += sum(r.success for r in done)
            results += [_outcome(i, one) for i, one in zip(ids, done, strict=True)]
        return results

    # -- asking the org ------------------------------------------------------------------------------------

    async def present(
        self, description: EntityDescription, ids: Sequence[str], paths: Any
    ) -> tuple[dict[str, dict[str, str | None]], set[str]]:
        """Values by record, and which of them are in the Recycle Bin."""
        await self._throttled()
        found = await read_present(self.org, description, ids, paths)
        self._own_calls += found.calls
        rows = found.records.to_pylist()
        return by_record(found), {r["record_id"] for r in rows if r["is_deleted"]}

    async def describe(self, entity: str) -> EntityDescription:
        if entity not in self._descriptions:
            self._descriptions[entity] = await self.org.describe(entity)
        return self._descriptions[entity]

    async def _call(self, call: Callable[[], Any]) -> Sequence[WriteResult]:
        await self._throttled()
        self._own_calls += 1
        answer = await call()
        return tuple(answer.results)

    def _counted_here(self) -> int:
        return self._own_calls

    async def insert(self, records: Sequence[RecordWrite]) -> Sequence[WriteResult]:
        done = await self._call(lambda: self.writer.write(WriteKind.INSERT, records, self.client()))
        self.progress.written += sum(r.success for r in done)
        return done

    def client(self) -> WriteOptions:
        """Our name on every write; nobody is assigned or mailed."""
        return WriteOptions(client=f"{CLIENT}/{self.restore.restore_id}")

    async def _throttled(self) -> None:
        if not self.options.calls_per_minute:
            return
        now_s = self.clock.monotonic_s()
        if self._next_call_s > now_s:
            await self._pause(self._next_call_s - now_s)
        self._next_call_s = max(now_s, self._next_call_s) + 60.0 / self.options.calls_per_minute

    async def _pause(self, seconds: float) -> None:
        """Sleep, and wake when asked to stop."""
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return


def _to_write(
    item: Item, held: Mapping[str, str | None], hides: Callable[[str], bool]
) -> tuple[dict[str, str | None], str]:
    """Fields that still hold the bad value, and a sentence on those that hold neither."""
    values: dict[str, str | None] = {}
    moved: list[str] = []
    for path, wanted in item.fields.items():
        if path not in held:
            moved.append(f"{path} cannot be read")
        elif held[path] == wanted.before:
            continue
        elif held[path] == wanted.now:
            values[path] = wanted.before
        elif hides(path):
            moved.append(f"{path} holds another value since the plan: left alone")
        else:
            moved.append(f"{path} holds {held[path]!r} since the plan, not {wanted.now!r}: left alone")
    return values, "; ".join(moved)


def _outcome(record_id: str, one: WriteResult, moved: str = "") -> Result:
    if one.success:
        return Result(record_id, "partly" if moved else "restored", moved)
    error = "; ".join(
        f"{e.code}: {e.message}" + (f" ({', '.join(e.fields)})" if e.fields else "") for e in one.errors
    )
    return Result(record_id, "failed", error or "the org gave no reason")
