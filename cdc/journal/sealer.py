"""When to seal, and doing it beside the writer: one at a time, off the hot path.

Automatic: when more than `seal_records` field changes are hot, all but half as many are sealed by a thread of its
own. Asked for (`cdc seal`): everything up to the ordinal held. Both merge small segments when there are many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol

from cdc.errors import CdcError
from cdc.journal.manifests import Manifest, manifest_path
from cdc.journal.merging import merge_small
from cdc.journal.segments import Chain, adopt, remove_unnamed, seal_range
from cdc.journal.statements import statement

READERS_WAIT_S = 10.0
"""How long files that no manifest names any more wait for the questions that began before; a long one keeps them."""


class Writer(Protocol):
    """What sealing needs of the journal."""

    def reader(self) -> AbstractContextManager[Any]:
        """A cursor of its own."""
        ...

    def await_readers(self, within_s: float) -> bool:
        """Wait for the questions that run now; False where one still runs."""
        ...

    def errand(self, work: Callable[[Any], Any]) -> Future[Any]:
        """Work for the writer's connection, in a transaction of its own, between two batches."""
        ...


class Sealer:
    """Seals for one open journal. `on_error` gets what made an automatic seal fail; the next one tries again."""

    def __init__(
        self,
        writer: Writer,
        chain: Chain,
        seal_records: int,
        on_error: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._writer = writer
        self.chain = chain
        self._seal_records = seal_records
        self._on_error = on_error
        self.lock = threading.RLock()
        """Held by whoever changes segments: sealing, merging, erasing, a snapshot."""
        self._thread: threading.Thread | None = None
        self._hot_fields = 0
        self._is_closing = False

    def begin(self, connection: Any) -> None:
        """Count what is hot; on the connection that was just opened."""
        self._is_closing = False
        self._hot_fields = _hot_fields(connection)

    def wrote(self, field_rows: int) -> None:
        """Called by the writer behind each commit; starts a seal when enough is hot, and never waits for it."""
        self._hot_fields += field_rows
        is_busy = self._is_closing or (self._thread is not None and self._thread.is_alive())
        if is_busy or self._hot_fields <= self._seal_records:
            return
        self._thread = threading.Thread(target=self._automatic, name="journal-sealer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for a seal that is under way; its last step needs the writer, which must still be running."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def seal(self, upto: int) -> list[Manifest]:
        """Seal what is hot up to an ordinal, and merge; the manifests written. Errors: CdcError."""
        with self.lock:
            done = []
            with self._writer.reader() as cursor:
                written = seal_range(cursor, self.chain, upto)
            if written is not None:
                done.append(self.take_over(*written))
            elif self._needs_signature():
                done.append(self._sign())
            while merged := merge_small(self._writer, self.chain):
                done.append(self.take_over(*merged))
            # A question may still read files that were merged away just now: then the next seal removes them.
            is_unread = self._writer.await_readers(READERS_WAIT_S)
            with self._writer.reader() as cursor:
                self._hot_fields = _hot_fields(cursor)
                if is_unread:
                    remove_unnamed(cursor, self.chain.folder)
            return done

    def take_over(self, manifest: Manifest, sha256: str) -> Manifest:
        """The short errand on the writer's thread. A manifest that is refused is taken back: nothing relies on it."""
        try:
            self._writer.errand(
                lambda connection: adopt(connection, self.chain.folder, manifest, sha256)
            ).result()
        except CdcError:
            manifest_path(self.chain.folder, manifest.number).unlink(missing_ok=True)
            raise
        return manifest

    def _automatic(self) -> None:
        try:
            with self._writer.reader() as cursor:
                upto = cursor.execute(statement("seal_upto"), {"keep": self._seal_records // 2}).fetchone()[0]
            if upto is not None:
                self.seal(int(upto))
        except BaseException as error:
            self._on_error(error)

    def _needs_signature(self) -> bool:
        """A key was set after the newest manifest was written."""
        if self.chain.key is None:
            return False
        with self._writer.reader() as cursor:
            newest = cursor.execute(
                "SELECT signature FROM store.seals ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return newest is not None and newest[0] is None

    def _sign(self) -> Manifest:
        """A manifest without files: its signature covers, by the chain, every one before it."""
        with self._writer.reader() as cursor:
            manifest = self.chain.next(cursor, kind="signature", first_seq=0, last_seq=0)
        return self.take_over(*self.chain.written(manifest))


def _hot_fields(connection: Any) -> int:
    return int(connection.execute("SELECT count(*) FROM store.hot_fields").fetchone()[0])
