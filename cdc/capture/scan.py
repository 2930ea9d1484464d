"""Reading an entity or some records in full, as a job that survives a kill.

The rule of full states (architecture.md): before the read begins the job notes the last ordinal recorded;
each row carries it, with an org time taken after the row was read. A page's rows and the cursor behind them
are one transaction. A scan that resumes keeps its first `after_ordinal`: the query may be as old as that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from cdc.avro.own import encode_record_states
from cdc.capture.jobs import ENDED, FAILED, RUNNING, Job
from cdc.capture.options import BULK_FROM_ROWS
from cdc.capture.writer import Control, Item, Rows
from cdc.change.names import change_topic
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument, CdcError, CursorExpired, NotFound, RetryLater
from cdc.logs import Event
from cdc.ports.log import LogRecord
from cdc.ports.org import EntityDescription, Org, OrgBulk, Page
from cdc.ports.types import Millis, Ordinal, RecordId

IDS_PER_READ_MAX = 200
"""One query's `Id IN (…)` list; also what a collection call takes (protocol reference, section 5)."""

BULK_PAGES_AT_ONCE = 3
"""Pages of a bulk result fetched ahead; each is some megabytes."""
ROWS_PER_WRITE_MAX = 5_000
"""Rows of one transaction: a page of a bulk result may have ten times as many."""
ATTEMPTS_MAX = 5
"""A read whose cursor is lost begins again so often; every attempt after the first goes by REST."""

BIG_OBJECT_SUFFIX = "__b"
_BULK = "bulk"

NOT_STREAMED = frozenset(
    {
        "Id",
        "IsDeleted",
        "SystemModstamp",
        "LastActivityDate",
        "LastViewedDate",
        "LastReferencedDate",
        "PhotoUrl",
        "MasterRecordId",
        "JigsawContactId",
    }
)
"""Fields no event carries (protocol reference, section 2.11): never claimed as live, so not recorded as state."""

_OF_THE_ROW = frozenset({"Id", "IsDeleted", "SystemModstamp"})
"""Of those, what says which row it is, and is known by other means."""


@dataclass(slots=True)
class Scanner:
    """Runs one job at a time. `put` hands an item to the writer and returns when it is committed."""

    org: Org
    bulk: OrgBulk | None
    put: Callable[[Item], Awaitable[None]]
    last_ordinal: Callable[[], Ordinal]
    org_time: Callable[[Millis], None]
    logger: Any
    bulk_from_rows: int = BULK_FROM_ROWS
    rows_per_write_max: int = ROWS_PER_WRITE_MAX

    async def run(self, job: Job) -> Job:
        """The job to its end, or to its failure, which is recorded too. Errors: RetryLater (call again)."""
        try:
            description = await self.describe(job.entity)
            if job.state != RUNNING:
                job = await self._begin(job, description)
            if job.record_ids:
                return await self._read_ids(job, description)
            return await self._read_all(job, description)
        except CursorExpired as error:
            await self._save(replace(job, state=FAILED, error=f"{error.sentence()} It begins again."))
            if job.attempt >= ATTEMPTS_MAX:
                self.logger.warning(Event.SCAN_FAILED, job=job.job_id, error=error.sentence())
                return replace(job, state=FAILED, error=error.sentence())
            return job.again()
        except (BadArgument, NotFound) as error:
            failed = replace(job, state=FAILED, error=error.sentence())
            await self._save(failed)
            self.logger.warning(Event.SCAN_FAILED, job=job.job_id, error=error.sentence())
            return failed

    async def describe(self, entity: str) -> EntityDescription:
        """The entity's description, written to the log so that readers know what this user may read."""
        description = await self.org.describe(entity)
        self.org_time(description.org_time)
        await self.put(Control((description_record(description),)))
        return description

    async def _begin(self, job: Job, description: EntityDescription) -> Job:
        """Fix what the rows will carry, before anything is read."""
        if job.entity.endswith(BIG_OBJECT_SUFFIX):
            raise BadArgument(
                "a big object has neither change events nor SystemModstamp, so it is not read in full",
                where=job.entity,
                do="leave it out",
            )
        if not description.queryable:
            raise BadArgument("the entity cannot be queried", where=job.entity, do="leave it out")
        started = description.org_time
        job = replace(
            job,
            state=RUNNING,
            after_ordinal=self.last_ordinal(),
            # A baseline counts from the org time at which it was made, on the late side of a skewed clock.
            anchor_at=job.anchor_at or Millis(started + READ_MARGIN_MS),
            started_at=started,
        )
        await self._save(job)
        self.logger.info(Event.SCAN_STARTED, job=job.job_id, entity=job.entity)
        return job

    async def _read_all(self, job: Job, description: EntityDescription) -> Job:
        soql = f"SELECT {', '.join(query_fields(description))} FROM {job.entity}"
        if not job.cursor and await self._is_large(job):
            job = await self._start_bulk(job, soql)
        if job.cursor.startswith(_BULK):
            return await self._read_bulk(job, description)
        async for page in self.org.query(f"{soql} ORDER BY Id", deleted=True, cursor=job.cursor or None):
            job = await self._page(job, description, page, page.cursor or "")
            if not page.cursor:
                break
        return await self._end(job)

    async def _is_large(self, job: Job) -> bool:
        """Whether a bulk job is worth its wait. A read that had to begin again goes by REST."""
        if self.bulk is None or job.attempt > 1:
            return False
        try:
            counts = await self.org.record_counts([job.entity])
        except (BadArgument, NotFound):
            return False  # this user may not ask; REST reads any size
        return counts.get(job.entity, 0) >= self.bulk_from_rows

    async def _start_bulk(self, job: Job, soql: str) -> Job:
        """The job with its cursor, kept before anything is read; as it was where the org allows no bulk query."""
        assert self.bulk is not None
        try:
            cursor = await self.bulk.start_bulk_query(soql, deleted=True)
        except (BadArgument, NotFound) as error:
            self.logger.warning(Event.SCAN_BY_REST, job=job.job_id, error=error.sentence())
            return job
        job = replace(job, cursor=f"{_BULK} 0 {cursor}")
        await self._save(job)
        return job

    async def _read_bulk(self, job: Job, description: EntityDescription) -> Job:
        """The cursor is a page of the result and how many of its rows are written: pages may be large."""
        assert self.bulk is not None
        _, written, at = job.cursor.split(" ", 2)
        skip, first = int(written), at
        async for page in self.bulk.bulk_pages(
            at, rows_max=self.rows_per_write_max, parallel=BULK_PAGES_AT_ONCE
        ):
            rows = page.rows
            for begin in range(skip, max(len(rows), 1), self.rows_per_write_max):
                end = min(begin + self.rows_per_write_max, len(rows))
                is_last = end == len(rows)
                cursor = f"{_BULK} 0 {page.cursor}" if is_last and page.cursor else f"{_BULK} {end} {at}"
                part = Page(rows[begin:end], page.cursor, page.total, page.org_time)
                job = await self._page(job, description, part, cursor)
            skip, at = 0, page.cursor or at
        ended = await self._end(job)
        await self._forget_bulk(first)
        return ended

    async def _forget_bulk(self, cursor: str) -> None:
        """Results count against the org's storage; what is not deleted here the org deletes after seven days."""
        assert self.bulk is not None
        with contextlib.suppress(RetryLater, BadArgument):
            await self.bulk.end_bulk_query(cursor)

    async def _read_ids(self, job: Job, description: EntityDescription) -> Job:
        """The cursor of a read by ids is how many ids are done."""
        done = int(job.cursor or 0)
        fields = query_fields(description)
        while done < len(job.record_ids):
            ids = [RecordId(i) for i in job.record_ids[done : done + IDS_PER_READ_MAX]]
            page = await self.org.read(job.entity, ids, fields)
            done += len(ids)
            job = await self._page(job, description, page, str(done))
        return await self._end(job)

    async def _page(self, job: Job, description: EntityDescription, page: Page, cursor: str) -> Job:
        self.org_time(page.org_time)
        job = replace(
            job,
            cursor=cursor,
            rows=job.rows + len(page.rows),
            rows_total=max(page.total, job.rows_total),
            read_to=max(job.read_to, page.org_time),
        )
        rows = await asyncio.to_thread(self.encoded, job, description, page)
        await self.put(Rows(change_topic(job.entity), rows, job.job_id, (job.to_record(),)))
        self.logger.debug(Event.SCAN_PROGRESS, job=job.job_id, rows=job.rows, total=job.rows_total)
        return job

    def encoded(self, job: Job, description: EntityDescription, page: Page) -> list[tuple[str, bytes, int]]:
        """Rows as the log takes them. In a thread of its own: the streams go on meanwhile."""
        states = [self._state(job, description, page, row) for row in page.rows]
        return [
            (state["record_id"], value, state["system_modstamp"] or 0)
            for state, value in zip(states, encode_record_states(states), strict=True)
        ]

    def _state(self, job: Job, description: EntityDescription, page: Page, row: Any) -> dict[str, Any]:
        state = self.org.row_state(description, row)
        kind = "DELETE" if state.is_deleted else ("BASELINE" if job.kind == "baseline" else "REREAD")
        return {
            "entity": job.entity,
            "record_id": state.record_id,
            "kind": kind,
            "source": job.kind if job.kind in ("baseline", "poll", "setup") else "reread",
            "scan_id": job.job_id,
            "after_ordinal": job.after_ordinal,
            "read_to": page.org_time,
            "anchor_at": job.anchor_at,
            "system_modstamp": state.system_modstamp,
            "user_id": state.user_id,
            "values": {k: v for k, v in state.values.items() if k not in NOT_STREAMED},
            "unknown": list(state.unknown),
        }

    async def _end(self, job: Job) -> Job:
        job = replace(job, state=ENDED, cursor="", finished_at=job.read_to)
        await self._save(job)
        self.logger.info(Event.SCAN_ENDED, job=job.job_id, entity=job.entity, rows=job.rows)
        return job

    async def _save(self, job: Job) -> None:
        await self.put(Control((job.to_record(),)))


def query_fields(description: EntityDescription) -> list[str]:
    """Names to select: every readable field but compounds (their parts are fields), blobs and what is calculated."""
    names = [
        f.name
        for f in description.fields
        if not f.is_compound and f.type != "base64" and (not f.calculated or f.name in NOT_STREAMED)
    ]
    return names if "Id" in names else ["Id", *names]  # not every entity has IsDeleted or SystemModstamp


def description_record(description: EntityDescription) -> LogRecord:
    """What the user may read of an entity, as a record of the `schemas` topic."""
    body = {
        "entity": description.entity,
        "key_prefix": description.key_prefix,
        "org_time": description.org_time,
        "fields": [
            {"name": f.name, "path": f.path, "type": f.type, "reference_to": list(f.reference_to)}
            for f in description.fields
            if not f.is_compound and f.name not in NOT_STREAMED
        ],
        "unstreamed": sorted(
            f.path
            for f in description.fields
            if not f.is_compound and (f.calculated or f.name in NOT_STREAMED - _OF_THE_ROW)
        ),
    }
    key = f"describe/{description.entity}"
    return LogRecord("schemas", key, json.dumps(body, separators=(",", ":")).encode(), schema_id=key)


def error_sentence(error: BaseException) -> str:
    """What a person is told of an error."""
    return error.sentence() if isinstance(error, CdcError) else f"{type(error).__name__}: {error}"
