"""The journal on one DuckDB file: one thread writes, everybody else reads on a cursor of their own.

States: `checkpoint` is what is committed; batches in the queue are not, and come again from the log after a
kill. A failure is final: the batch in hand is rolled back, every batch behind it is refused with the same
error, and `on_fatal` is told, since a batch left out would be a hole.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import duckdb

from cdc.errors import CdcError, RetryLater, StopProcess
from cdc.journal.catalog import open_catalog
from cdc.journal.compact import compact
from cdc.journal.faults import translated
from cdc.journal.manifests import Manifest, SigningKey
from cdc.journal.needs import needs_between, requests, schema_requests, unmet_needs
from cdc.journal.origin import check_origin
from cdc.journal.ownership import Ownership
from cdc.journal.poison import Raw, may_be_of_data, without_poison
from cdc.journal.restoring import begin_from_segments
from cdc.journal.sealer import Sealer
from cdc.journal.segments import Chain, recover
from cdc.journal.state import Held, load
from cdc.journal.transaction import BatchWriter
from cdc.ports.clock import Clock
from cdc.ports.columns import Bad, ColumnBatch
from cdc.ports.log import Checkpoint

T = TypeVar("T")

SWAP_WAIT_S: Final = 60.0
"""How long the making anew of the file waits for questions that run."""

QUEUE_RECORDS_MAX: Final = 100_000
"""Records waiting for the writer; `commit` waits beyond it, so a slow disk slows the reading of the log."""

SEAL_RECORDS: Final = 1_000_000
"""Field changes that stay hot; a scan for one record takes 5 ms at 0.3 M and 20 ms at 2 M."""

TRANSACTION_RECORDS_MAX: Final = 80_000
"""Waiting batches are written together up to this: DuckDB writes large appends straight into the file, and
small ones first into its write-ahead log, at half as much again."""


@dataclass(slots=True)
class JournalMetrics:
    """Counters since the journal was opened; read by whoever exports them."""

    commits: int = 0
    rows: int = 0
    last_commit_s: float = 0.0
    queue_records: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: ColumnBatch
    records: int
    done: Future[Checkpoint]


@dataclass(frozen=True, slots=True)
class _Errand:
    """Work for the writer's connection that is no batch."""

    work: Callable[[Any], Any]
    done: Future[Any]
    records: int = 0
    in_transaction: bool = True


class DuckJournal:
    """See `cdc/ports/journal.py`.

    `definitions` are SQL statements run at open behind our own views. `on_fields` gets the writer's connection at
    open, and after a commit that brought descriptions or schemas. `schema_text` gives a schema's JSON by
    its id where the log's records did not. `on_requests` gets what has to be read again as job requests
    (`schemas/job.avsc`), after the commit that showed it, on the writer's thread. `on_fatal` gets the error
    that ended the writing, `on_commit` the seconds of each transaction. `folders` may be read by queries.
    `on_put_aside` is told of each record that the store refused and the journal went on without; `raw` gives its
    bytes out of the log.
    """

    def __init__(
        self,
        path: str,
        org: str,
        *,
        memory_limit: str = "2GB",
        threads: int = 2,
        definitions: Sequence[str] = (),
        on_fields: Callable[[Any], object] = lambda _: None,
        schema_text: Callable[[str], str | None] = lambda _: None,
        on_requests: Callable[[list[dict[str, Any]]], None] = lambda _: None,
        on_fatal: Callable[[BaseException], None] = lambda _: None,
        on_commit: Callable[[float], None] = lambda _: None,
        clock: Clock | None = None,
        folders: Sequence[str] = (),
        segments: str | None = None,
        seal_records: int = SEAL_RECORDS,
        signing_key: SigningKey | None = None,
        log_retention_ms: int = 0,
        forget: Callable[[Sequence[str], Sequence[str], Sequence[str]], int] = lambda *_: 0,
        on_seal_error: Callable[[BaseException], None] = lambda _: None,
        on_put_aside: Callable[[Bad], object] = lambda _: None,
        raw: Raw = lambda *_: None,
        queue_records_max: int = QUEUE_RECORDS_MAX,
    ) -> None:
        self.path = str(path)
        self.org = org
        self.metrics = JournalMetrics()
        self._memory_limit = memory_limit
        self._threads = threads
        self._definitions = definitions
        self._on_fields = on_fields
        self._folders = folders
        self.segments = segments or f"{path}.segments"
        self.log_retention_ms = log_retention_ms
        self.forget = forget
        self._schema_text = schema_text
        self._on_requests = on_requests
        self._on_fatal = on_fatal
        self._on_commit = on_commit
        self._on_put_aside = on_put_aside
        self._raw = raw
        self._clock = clock or Clock()
        self._queue_records_max = queue_records_max
        self._queue: deque[_Waiting | _Errand] = deque()
        chain = Chain(self.segments, org, signing_key, self._clock.wall_ms)
        self.sealer = Sealer(self, chain, seal_records, on_seal_error)
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_swapping = False
        self._reading: set[int] = set()
        self._readers_so_far = 0
        self._failure: CdcError | None = None
        self._unsent: list[dict[str, Any]] = []
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._readers: Any = None
        self._ownership: Ownership | None = None
        self._held = Held(org)

    @property
    def checkpoint(self) -> Checkpoint:
        """How far the log is committed."""
        return self._held.checkpoint

    def open(self) -> Checkpoint:
        """Open or create, migrate, start the writer thread; returns how far it has read the log."""
        self._connect()
        self._begin()
        self._tell_fields()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()
        return self.checkpoint

    def _begin(self) -> None:
        """What is held, what a kill left half done, what has to be asked for again."""
        check_origin(self._connection, self._schema_text)
        self._held = load(self._connection, self.org)
        if self._held.ordinal == 0 and begin_from_segments(self._connection, self.segments):
            self._held = load(self._connection, self.org)
        recover(self._connection, self.segments, self._held.ordinal)
        self.sealer.begin(self._connection)
        self._unsent = requests(unmet_needs(self._connection), self._clock.wall_ms)
        self._unsent += schema_requests(self._connection, 0, self._held.ordinal, self._clock.wall_ms)

    def _connect(self) -> None:
        self._connection = open_catalog(
            self.path,
            self.org,
            memory_limit=self._memory_limit,
            threads=self._threads,
            segments=self.segments,
            definitions=self._definitions,
            folders=self._folders,
        )
        self._ownership = Ownership.claim(self.path)
        self._readers = self._connection.cursor()
        self._writer = BatchWriter(self._connection, self.org, self._schema_text)

    def commit(self, batch: ColumnBatch) -> Future[Checkpoint]:
        """Rows and checkpoint in one transaction, on the writer thread; blocks while the queue is full.

        Errors, by the future: StopProcess, DiskFull. Raised at once when the writing has ended already.
        """
        waiting = _Waiting(batch, _records(batch), Future())
        with self._changed:
            while self._is_full(waiting.records) and self._failure is None and not self._is_closing:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            if self._thread is None or self._is_closing:
                raise StopProcess("the journal is closed", where=self.path)
            self._queue.append(waiting)
            self.metrics.queue_records += waiting.records
            self._changed.notify_all()
        return waiting.done

    def errand(self, work: Callable[[Any], T]) -> Future[T]:
        """Work for the writer's connection, in a transaction of its own, between two batches; never waits.

        Errors, by the future: what `work` raised, its transaction rolled back and the writing going on.
        """
        done: Future[T] = Future()
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if self._thread is None or self._is_closing:
                raise StopProcess("the journal is closed", where=self.path)
            self._queue.append(_Errand(work, done))
            self._changed.notify_all()
        return done

    def seal(self) -> list[Manifest]:
        """Seal everything that is held; the manifests written. Errors: CdcError."""
        return self.sealer.seal(self._held.ordinal)

    @contextmanager
    def reader(self) -> Iterator[Any]:
        """A DuckDB cursor of its own (read use only), safe in any thread of this process."""
        with self._changed:
            while self._is_swapping:
                self._changed.wait()
            if self._readers is None:
                raise StopProcess("the journal is closed", where=self.path)
            cursor = self._readers.cursor()
            number = self._readers_so_far = self._readers_so_far + 1
            self._reading.add(number)
        try:
            yield cursor
        finally:
            cursor.close()
            with self._changed:
                self._reading.discard(number)
                self._changed.notify_all()

    def await_readers(self, within_s: float) -> bool:
        """Wait for the questions that run now, not for those that come meanwhile; False where one still runs."""
        with self._changed:
            now = set(self._reading)
            return self._changed.wait_for(lambda: not now & self._reading, timeout=within_s)

    def compact(self) -> None:
        """Make the file anew without what was deleted; questions wait meanwhile. Errors: RetryLater, StopProcess."""
        done: Future[None] = Future()
        with self._changed:
            if self._thread is None or self._is_closing:
                raise StopProcess("the journal is closed", where=self.path)
            self._queue.append(_Errand(lambda _: self._swap(), done, in_transaction=False))
            self._changed.notify_all()
        done.result()

    def _swap(self) -> None:
        """On the writer's thread, with no reader left: the one moment at which nothing has the file open."""
        with self._changed:
            self._is_swapping = True
            self._changed.wait_for(lambda: not self._reading, timeout=SWAP_WAIT_S)
            if self._reading:
                self._is_swapping = False
                self._changed.notify_all()
                raise RetryLater(
                    f"questions were still running after {SWAP_WAIT_S:g} s, and the file could not be made anew",
                    where=self.path,
                    do="ask for the same again",
                )
        try:
            self._readers.close()
            self._connection.close()
            try:
                compact(self.path, self._memory_limit, self._threads)
            finally:
                self._connect()
        finally:
            with self._changed:
                self._is_swapping = False
                self._changed.notify_all()

    def close(self) -> None:
        """Finish what is queued and a seal that is under way, checkpoint, release the file."""
        self.sealer.close()
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        readers, connection = self._readers, self._connection
        self._readers = self._connection = None
        if readers is not None:
            readers.close()
        if connection is not None:
            connection.close()
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None

    # -- the writer's thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._send_requests([])
            while group := self._take():
                if isinstance(group, _Errand):
                    self._run_errand(group)
                else:
                    self._commit_group(group)
            self._finish()
        except BaseException as error:
            self._fail(error)

    def _finish(self) -> None:
        """All is in: the write-ahead log goes into the file."""
        self._connection.execute("CHECKPOINT")

    def _take(self) -> list[_Waiting] | _Errand:
        """An errand, or waiting batches, as many as make one good transaction; none when the journal is closing and
        all are in."""
        with self._changed:
            while not self._queue and not self._is_closing:
                self._changed.wait()
            group: list[_Waiting] = []
            records = 0
            while self._queue and (not group or records + self._queue[0].records <= TRANSACTION_RECORDS_MAX):
                waiting = self._queue[0]
                if isinstance(waiting, _Errand):
                    if group:
                        break
                    self._queue.popleft()
                    return waiting
                group.append(waiting)
                records += waiting.records
                self._queue.popleft()
            self.metrics.queue_records -= records
            self._changed.notify_all()
            return group

    def _run_errand(self, errand: _Errand) -> None:
        try:
            if errand.in_transaction:
                self._connection.execute("BEGIN")
            result = errand.work(self._connection)
            if errand.in_transaction:
                self._commit_if_owned()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, duckdb.FatalException):
                errand.done.set_exception(self._fail(error))
                return
            errand.done.set_exception(translated(error, self.path))
            return
        errand.done.set_result(result)

    def _commit_group(self, group: list[_Waiting]) -> None:
        """All of the group in one transaction; one by one where that fails, so that only the bad one fails."""
        try:
            if len(group) > 1:
                try:
                    self._transact(group)
                    return
                except StopProcess:
                    pass
            for waiting in group:
                self._transact_or_put_aside(waiting)
        except BaseException as error:
            failure = self._fail(error)
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_exception(failure)

    def _transact_or_put_aside(self, waiting: _Waiting) -> None:
        """One batch; where the store refuses some of its records, the batch without them."""
        try:
            self._transact([waiting])
        except StopProcess as error:
            if not may_be_of_data(error.__cause__):
                raise
            batch, found = without_poison(waiting.batch, self.checkpoint, self._fails, self._raw)
            if not found:
                raise
            self._transact([replace(waiting, batch=batch)])
            for one in found:
                self._on_put_aside(one)

    def _fails(self, batch: ColumnBatch) -> BaseException | None:
        """What writing it would raise; nothing of it is kept."""
        try:
            self._connection.execute("BEGIN")
            self._writer.write(batch, self._held)
            return None
        except Exception as error:
            return error
        finally:
            self._roll_back()

    def _transact(self, group: list[_Waiting]) -> None:
        began_s = time.monotonic()
        before = self._held
        try:
            self._connection.execute("BEGIN")
            after = before
            for waiting in group:
                after = self._writer.write(waiting.batch, after)
            self._commit_if_owned()
        except BaseException as error:
            self._roll_back()
            raise translated(error, self.path) from error
        self._held = after
        self.metrics.commits += 1
        self.metrics.rows += sum(w.batch.changes.num_rows for w in group)
        self.metrics.last_commit_s = time.monotonic() - began_s
        self._on_commit(self.metrics.last_commit_s)
        self.sealer.wrote(sum(w.batch.fields.num_rows for w in group))
        self._tell_fields()
        for waiting in group:
            waiting.done.set_result(after.checkpoint)
        needs = needs_between(self._connection, before.ordinal, after.ordinal)
        jobs = requests(needs, self._clock.wall_ms)
        if any(waiting.batch.bad for waiting in group):
            jobs += schema_requests(self._connection, before.ordinal, after.ordinal, self._clock.wall_ms)
        self._send_requests(jobs)

    def _tell_fields(self) -> None:
        """Fields became known, or may have: the views made of them are made anew, in a transaction of their own."""
        if self._writer.schemas.is_news:
            self._writer.schemas.is_news = False
            self._on_fields(self._connection)

    def _commit_if_owned(self) -> None:
        """Errors: JournalLocked where somebody else has opened the journal since."""
        if self._ownership is not None:
            self._ownership.check()
        self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
            self._writer.forget()
        except Exception:
            # What made the transaction fail is the error to tell; a database that cannot even roll back has
            # given up the transaction by itself.
            return

    def _send_requests(self, jobs: list[dict[str, Any]]) -> None:
        """Requests the log did not take are sent with the next ones, and are made anew at the next open."""
        self._unsent += jobs
        if not self._unsent:
            return
        try:
            self._on_requests(list(self._unsent))
        except RetryLater:
            return
        self._unsent = []

    def _fail(self, error: BaseException) -> CdcError:
        """The end of all writing: everything that waits is refused."""
        failure = translated(error, self.path)
        with self._changed:
            first = self._failure is None
            self._failure = self._failure or failure
            refused = list(self._queue)
            self._queue.clear()
            self.metrics.queue_records = 0
            self._is_closing = True
            self._changed.notify_all()
        for waiting in refused:
            waiting.done.set_exception(failure)
        if first:
            self._on_fatal(failure)
        return failure

    def _is_full(self, records: int) -> bool:
        return bool(self._queue) and self.metrics.queue_records + records > self._queue_records_max


def _records(batch: ColumnBatch) -> int:
    """What a batch weighs in the queue."""
    rows: int = batch.changes.num_rows + batch.platform_events.num_rows
    return max(1, rows + len(batch.control) + len(batch.bad))
