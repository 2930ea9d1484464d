"""A worker of a journal in DuckLake: the parts that the group gives it, each with a reader and a writer of its own.

taken      the part is claimed, its reader begins behind what the part holds
given up   the reader stops, the transaction in hand is finished; the rest comes from the log to the next owner
lost       somebody else has claimed it: this worker's pipeline ends by itself, and nothing of it was written since
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.avro.columns import decode_batch
from cdc.avro.sharing import shared_out, with_elsewhere
from cdc.avro.store import SchemaStore
from cdc.errors import CdcError, JournalLocked, LogUnavailable, StopProcess
from cdc.journal.lake import Lake
from cdc.journal.shard import LakeShard
from cdc.log.follow import StoreFollower, follow
from cdc.log.kafka_shards import KafkaShards
from cdc.logs import Event, logger
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Log, LogBatch
from cdc.roles.build import kafka_options, make_lake
from cdc.roles.process import Life, Worker
from cdc.settings import Settings

AGAIN_S: Final = 2.0
LOOK_EVERY_S: Final = 1.0


@dataclass(slots=True)
class Pipeline:
    """One part at work: a thread reads the log and feeds the part's writer."""

    shard: LakeShard
    log: Log
    shards: int
    schema_text: Callable[[str], str | None]
    failed: Callable[[BaseException], None]
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Claim the part and begin to read. Errors: StopProcess."""
        checkpoint = self.shard.open()
        logger().info(Event.JOURNAL_OPENED, part=self.shard.part, ordinal=checkpoint.ordinal)
        self._thread = threading.Thread(target=self._run, name=f"part-{self.shard.part}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading, then let the part go: soon, since the others wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.shard.let_go()

    def _run(self) -> None:
        follower = StoreFollower(self.shard, self.shard.checkpoint)
        schemas = SchemaStore(self.schema_text)

        def decode(batch: LogBatch) -> ColumnBatch:
            own, elsewhere = shared_out(batch, self.shard.part, self.shards)
            return with_elsewhere(decode_batch(own, schemas), elsewhere)

        while not self._stop.is_set():
            try:
                follow(self.log, follower.checkpoint, decode, [follower], self._stop)
                return
            except LogUnavailable as error:
                logger(worker=f"part-{self.shard.part}").warning(Event.LOG_RETRY, error=error.sentence())
                self._stop.wait(AGAIN_S)
            except JournalLocked as error:
                logger().warning(Event.PART_LOST, part=self.shard.part, error=error.sentence())
                return
            except BaseException as error:
                self.failed(error)
                return


class LakeWorker:
    """One member of the group of workers. `failed` is told what it cannot go on after; `writing` is what the writer of
    each part is given besides (`cdc/journal/shard.py`)."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        log: Log,
        *,
        schema_text: Callable[[str], str | None],
        failed: Callable[[BaseException], None],
        **writing: Any,
    ) -> None:
        self._lake = lake
        self._log = log
        self._schema_text = schema_text
        self._writing = writing
        self._failed = failed
        self._pipelines: dict[int, Pipeline] = {}
        self.group = KafkaShards(
            kafka_options(settings), settings.org.alias, lake.shards, self._take, self._give_up
        )

    def run(self, stop: threading.Event) -> None:
        """A member of the group until `stop`."""
        self.group.run(stop)

    def holds(self, part: int) -> bool:
        return part in self._pipelines

    def _take(self, parts: list[int]) -> None:
        for part in parts:
            shard = LakeShard(
                self._lake,
                part,
                schema_text=self._schema_text,
                on_fatal=self._ended,
                **self._writing,
            )
            pipeline = Pipeline(shard, self._log, self._lake.shards, self._schema_text, self._ended)
            pipeline.start()
            self._pipelines[part] = pipeline

    def _give_up(self, parts: list[int]) -> None:
        closing = [self._pipelines.pop(part) for part in parts if part in self._pipelines]
        for pipeline in closing:
            pipeline.close()

    def _ended(self, error: BaseException) -> None:
        """A part that somebody else has taken ends alone; anything else ends the process."""
        if not isinstance(error, JournalLocked):
            self._failed(error if isinstance(error, CdcError) else StopProcess(f"a part failed: {error}"))


@contextlib.contextmanager
def lake_worker(
    settings: Settings,
    log: Log,
    life: Life,
    *,
    schema_text: Callable[[str], str | None],
    **writing: Any,
) -> Iterator[tuple[Lake, LakeWorker]]:
    """The lake, open, with this process as a member of its group of workers."""
    lake = make_lake(settings)
    lake.open()
    logger().info(Event.JOURNAL_OPENED, path=settings.journal.path, ordinal=lake.checkpoint.ordinal)
    work = LakeWorker(settings, lake, log, schema_text=schema_text, failed=life.fail, **writing)
    worker = Worker("journal-group", work.run, life)
    worker.start()
    try:
        yield lake, work
    finally:
        worker.close()
        lake.close()


async def where_first(work: LakeWorker, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """What one worker does for all of them is done by the one that has the first part. Runs until cancelled."""
    running: asyncio.Task[None] | None = None
    try:
        while True:
            if work.holds(0) and running is None:
                running = asyncio.create_task(make())
            elif not work.holds(0) and running is not None:
                running.cancel()
                running = None
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        if running is not None:
            running.cancel()
