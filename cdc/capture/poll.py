"""Polling: entities without change capture, and a way on while the delivery allocation is used up.

A poll reads what was changed since the one before by `SystemModstamp`, and what was deleted by the org's list of
deletions. It is a channel of its own, `/poll/Entity`: its position is an org time, stored in the transaction of
the rows it reached. What it cannot tell it does not claim: of several changes between two polls only the last is
seen, and of none of them by whom; the journal leaves a record that changed unknown in between.

States of an entity: waiting for its baseline; polled from the org time at which that began, with an overlap for
transactions that were open (a stamp is of the change, not of the commit). Rows seen before are passed over.

While a channel is refused for the org's delivery allocation, its entities are polled too. They have a position
that is still good, so nothing is lost: the events come later, and these rows bridge the time until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdc.capture.backoff import Backoff
from cdc.capture.holes import coverage_record
from cdc.capture.jobs import BASELINE, ENDED, POLL, REREAD, Job
from cdc.capture.scan import IDS_PER_READ_MAX, query_fields
from cdc.capture.writer import LIVE, Control, Rows
from cdc.change.names import change_topic
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import AuthRefused, BadArgument, NotFound, RetryLater
from cdc.logs import Event
from cdc.ports.log import ChannelPosition, LogRecord
from cdc.ports.org import EntityDescription, Page
from cdc.ports.types import Millis, RecordId

if TYPE_CHECKING:
    from cdc.capture.recorder import Recorder

POLLED = "/poll/"
LOOK_EVERY_S = 1.0
OVERLAP_MS = 15 * 60_000
"""How long a transaction may have been open: Salesforce ends those of ten minutes."""
SEEN_MAX = 200_000
"""Rows remembered of the overlap, over all entities; those forgotten are recorded once more, which is no news."""
MINUTE_MS = 60_000


@dataclass(slots=True)
class Poller:
    """Polls whatever is due, one entity after the other."""

    recorder: Recorder
    _due_s: dict[str, float] = field(default_factory=dict)
    _since: dict[str, Millis] = field(default_factory=dict)
    _seen: dict[tuple[str, str, int], None] = field(default_factory=dict)
    _bridged: dict[str, dict[str, Any]] = field(default_factory=dict)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=5.0, max_s=300.0))

    async def run(self) -> None:
        clock, options = self.recorder.clock, self.recorder.options
        while True:
            limited = self._limited()
            await self._told(limited)
            carried = set(self.recorder.scheduler.carried())
            for entity in (*(e for e in options.poll_entities if e not in carried), *limited):
                now = clock.monotonic_s()
                if self._due_s.get(entity, 0.0) > now or not self._may_begin(entity, limited):
                    continue
                self._due_s[entity] = now + options.poll_interval_s
                try:
                    await self.poll(entity, bridges=entity in limited)
                    self._backoff.reset()
                except RetryLater as error:
                    self._due_s[entity] = now + self._backoff.pause_s(error.retry_after_s)
                    self.recorder.org_logger.warning(Event.POLL_FAILED, entity=entity, error=error.sentence())
                except (BadArgument, NotFound, AuthRefused) as error:  # the stream goes on without it
                    self.recorder.troubles.note(error)
                    self.recorder.org_logger.warning(Event.POLL_FAILED, entity=entity, error=error.sentence())
            await clock.sleep(LOOK_EVERY_S)

    def _may_begin(self, entity: str, limited: Iterable[str]) -> bool:
        if entity in limited or self.recorder.writer.reached(POLLED + entity).position.passed_to:
            return True
        return self._baseline(entity) is not None

    def _baseline(self, entity: str) -> Job | None:
        jobs = self.recorder.scheduler.jobs.values()
        ended = [j for j in jobs if j.kind == BASELINE and j.entity == entity and j.state == ENDED]
        return max(ended, key=lambda j: j.started_at, default=None)

    # -- one poll -------------------------------------------------------------------------------------------

    async def poll(self, entity: str, *, bridges: bool = False) -> Job:
        """What changed since the last one, into the log. Errors: RetryLater, BadArgument, NotFound."""
        scanner, recorder = self.recorder.scheduler.scanner, self.recorder
        description = await scanner.describe(entity)
        began = description.org_time
        since = self._since_of(entity, bridges)
        job = Job(
            job_id=f"poll-{entity}-{began}",
            kind=POLL,
            entity=entity,
            reason="changed since the poll before",
            requested_by="capture",
            requested_at=recorder.clock.wall_ms(),
            state=ENDED,
            after_ordinal=recorder.last_ordinal(),
            started_at=Millis(since + READ_MARGIN_MS),
        )
        pages, stamps = await self._changed(job, description, since)
        gone = await self._deleted(entity, since, began, stamps)
        read_to = Millis(max([began, *(page.org_time for page in pages)]))
        rows = [row for page in pages for row in page.rows]
        job = replace(
            job,
            rows=len(rows),
            rows_total=len(rows),
            read_to=read_to,
            anchor_at=Millis(read_to + READ_MARGIN_MS),
            finished_at=read_to,
        )
        page = Page(rows, None, len(rows), read_to)
        states = await asyncio.to_thread(scanner.encoded, job, description, page)
        position = None if bridges else self._position(entity, began, read_to)
        control = [job.to_record()] if states else []
        if states or position is not None:
            await recorder.put(Rows(change_topic(entity), states, job.job_id, control, position))
        await self._reread(job, since, gone)
        self._remember(entity, stamps)
        self._since[entity] = began
        return job

    def _since_of(self, entity: str, bridges: bool) -> Millis:
        """The org time up to which the entity is recorded."""
        if entity in self._since:
            return self._since[entity]
        position = self.recorder.writer.reached(POLLED + entity).position
        if not bridges and position.passed_to:
            return Millis(position.passed_to)
        if bridges:
            for channel, entities in self.recorder.scheduler.entities.items():
                if entity in entities:
                    return self.recorder.writer.reached(channel).position.passed_to
        baseline = self._baseline(entity)
        return baseline.started_at if baseline else self.recorder.org_clock.now()

    def _position(self, entity: str, began: Millis, read_to: Millis) -> ChannelPosition:
        """Everything committed before the poll began is recorded; the first one begins where the baseline did."""
        before = self.recorder.writer.reached(POLLED + entity).position
        return ChannelPosition(
            POLLED + entity,
            passed_to=began,
            live_from=before.live_from or Millis(read_to + READ_MARGIN_MS),
            heard_at=self.recorder.clock.wall_ms(),
            standing=LIVE,
            entities=(entity,),
        )

    async def _changed(
        self, job: Job, description: EntityDescription, since: Millis
    ) -> tuple[list[Page], dict[str, int]]:
        """Rows whose stamp lies behind `since` less the overlap, without those seen before, and all their stamps."""
        scanner = self.recorder.scheduler.scanner
        moment = datetime.fromtimestamp((since - OVERLAP_MS) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        soql = (
            f"SELECT {', '.join(query_fields(description))} FROM {job.entity}"
            f" WHERE SystemModstamp >= {moment} ORDER BY Id"
        )
        pages: list[Page] = []
        stamps: dict[str, int] = {}
        async for page in scanner.org.query(soql, deleted=True):
            self.recorder.org_clock.seen(page.org_time)
            new = []
            for row in page.rows:
                state = scanner.org.row_state(description, row)
                stamp = (state.system_modstamp or 0) * 2 + state.is_deleted
                stamps[state.record_id] = stamp
                if (job.entity, state.record_id, stamp) not in self._seen:
                    new.append(row)
            pages.append(Page(new, page.cursor, page.total, page.org_time))
        return pages, stamps

    async def _deleted(self, entity: str, since: Millis, until: Millis, stamps: dict[str, int]) -> list[str]:
        """Ids deleted of which no row came: gone altogether. The org answers for whole minutes."""
        start = Millis((since - OVERLAP_MS) // MINUTE_MS * MINUTE_MS)
        end = Millis((until // MINUTE_MS + 2) * MINUTE_MS)
        found = await self.recorder.scheduler.scanner.org.deleted(entity, start, end)
        gone = []
        for record_id, deleted_at in found.deleted_at.items():
            if record_id in stamps or (entity, record_id, deleted_at) in self._seen:
                continue
            stamps[record_id] = deleted_at
            gone.append(str(record_id))
        return sorted(gone)

    async def _reread(self, job: Job, since: Millis, gone: list[str]) -> None:
        """What is gone is asked for by its ids, so that the journal can say so; when it went, nobody knows."""
        for begin in range(0, len(gone), IDS_PER_READ_MAX):
            ids = gone[begin : begin + IDS_PER_READ_MAX]
            request = Job(
                job_id=f"repair-{job.entity}-polled-{job.read_to}-{begin}",
                kind=REREAD,
                entity=job.entity,
                reason="deleted since the poll before",
                requested_by="capture",
                requested_at=job.requested_at,
                record_ids=tuple(ids),
                anchor_at=job.anchor_at,
            )
            records = [self._gap(job, since, RecordId(one)) for one in ids]
            await self.recorder.put(Control([*records, request.to_record()]))

    def _gap(self, job: Job, since: Millis, record_id: RecordId) -> LogRecord:
        return coverage_record(
            {
                "stretch_id": f"polled-{record_id}-{job.read_to}",
                "entity": job.entity,
                "record_id": record_id,
                "from_at": since,
                "to_at": job.read_to,
                "status": "lost",
                "reason": "deleted between two polls",
                "evidence": "the org's list of deletions",
                "from_ordinal": 0,
                "to_ordinal": job.after_ordinal,
                "repaired_at": None,
            }
        )

    def _remember(self, entity: str, stamps: dict[str, int]) -> None:
        for record_id, stamp in stamps.items():
            self._seen.pop((entity, record_id, stamp), None)
            self._seen[entity, record_id, stamp] = None
        while len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    # -- while the delivery allocation is used up -------------------------------------------------------------

    def _limited(self) -> tuple[str, ...]:
        """Entities of channels that the org refuses for its allocation."""
        from cdc.capture.channel import Standing

        scheduler = self.recorder.scheduler
        return tuple(
            entity
            for name, channel in self.recorder.channels.items()
            if channel.state.standing is Standing.LIMITED
            for entity in scheduler.entities.get(name, ())
        )

    async def _told(self, limited: tuple[str, ...]) -> None:
        """Coverage says which entities are bridged by polls, and when that ended."""
        records = []
        for entity in limited:
            if entity in self._bridged:
                continue
            since = self._since_of(entity, True)
            interval = round(self.recorder.options.poll_interval_s)
            self._bridged[entity] = told = {
                "stretch_id": f"bridged-{entity}@{since}",
                "entity": entity,
                "record_id": None,
                "from_at": since,
                "to_at": None,
                "status": "live",
                "reason": f"the delivery allocation is used up: read by query every {interval} s until events come",
                "evidence": "polls",
                "from_ordinal": self.recorder.last_ordinal(),
                "repaired_at": None,
            }
            records.append(coverage_record(told))
        for entity in [e for e in self._bridged if e not in limited]:
            told = self._bridged.pop(entity)
            self._since.pop(entity, None)
            records.append(coverage_record({**told, "to_at": self.recorder.org_clock.now()}))
        if records:
            await self.recorder.put(Control(records))
