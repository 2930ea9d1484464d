"""Updates by jobs of the Bulk API, so that a kill at any moment leaves no job that writes behind our back.

A job is made and its data uploaded; its id is told; then it is begun. A run that finds the id of an earlier one
gives up a job that was never begun (values may have moved), and waits for the results of any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdc.errors import CursorExpired
from cdc.ports.org import BulkState
from cdc.ports.orgwriter import RecordWrite, WriteKind, WriteResult
from cdc.recover.work import Batch

if TYPE_CHECKING:
    from cdc.recover.apply import Apply

_GONE = WriteResult(None, False, processed=False)


class Jobs:
    """The jobs of one run."""

    def __init__(self, run: Apply) -> None:
        self._run = run

    async def update(self, batch: Batch, records: Sequence[RecordWrite]) -> Sequence[WriteResult]:
        """Results in the order of the records."""
        run = self._run
        job_id = await run.writer.open_bulk_write(WriteKind.UPDATE, batch.entity, records, run.client())
        run.restore = run.restore.next(
            counts={"jobs": {**run.restore.counts.get("jobs", {}), batch.chunk: job_id}}
        )
        await asyncio.to_thread(run.tell)
        await run.writer.run_bulk_write(job_id)
        found = await self._results(job_id)
        return [found.get(str(r.record_id), _GONE) for r in records]

    async def settle(self, batch: Batch) -> None:
        """Make sure that no job an earlier run left for this batch will write any more.

        What it wrote is then read, record by record, before anything is written again.
        """
        run = self._run
        jobs = dict(run.restore.counts.get("jobs", {}))
        job_id = jobs.pop(batch.chunk, None)
        if job_id is None:
            return
        try:
            progress = await run.writer.bulk_write_progress(job_id)
            if progress.state is BulkState.OPEN:
                await run.writer.abort_bulk_write(job_id)
            elif not progress.state.ended:
                await self._results(job_id)
        except CursorExpired:
            pass
        run.restore = run.restore.next(counts={"jobs": jobs})
        await asyncio.to_thread(run.tell)

    async def _results(self, job_id: str) -> dict[str, WriteResult]:
        return {str(r.record_id): r async for r in self._run.writer.bulk_results(job_id) if r.record_id}
