"""Journal and detector in a process of their own, as `cdc journal` and `cdc detect` are: what `end-to-end` measures.

    python -m cdc.roles.bench.follower LOG FOLDER

On stdout a line of JSON each second: ordinals committed and judged, CPU seconds, memory now. `FOLDER/taken` gets,
for each batch, how far it reached and when its rows were committed, and when it had been judged.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, Final

from cdc.answer.definitions import definitions
from cdc.avro.columns import decode_batch
from cdc.avro.store import SchemaStore
from cdc.detect.reader import DetectorFollower
from cdc.journal.journal import DuckJournal
from cdc.log.follow import follow
from cdc.ports.columns import ColumnBatch
from cdc.ports.log import Checkpoint
from cdc.ports.types import SchemaId
from cdc.roles.bench import stages
from cdc.roles.bench.surroundings import open_log
from cdc.roles.process import calm_the_collector

TAKEN: Final = struct.Struct("<cqd")
"""What (r rows are queryable, d decided), the ordinal reached, seconds of the monotonic clock."""


class Timed:
    """A follower whose batches are timed."""

    def __init__(self, journal: DuckJournal, detector: DetectorFollower, out: BinaryIO) -> None:
        self._journal = journal
        self._detector = detector
        self._out = out
        self.checkpoint = Checkpoint()
        self.decided = 0

    def take(self, batch: ColumnBatch) -> None:
        ordinal = int(batch.checkpoint.ordinal)
        self._journal.commit(batch).add_done_callback(self._committed)
        self._detector.take(batch)
        self.decided = ordinal
        self.checkpoint = batch.checkpoint
        if batch.changes.num_rows:
            self._out.write(TAKEN.pack(b"d", ordinal, time.monotonic()))

    def _committed(self, done: Future[Checkpoint]) -> None:
        self._out.write(TAKEN.pack(b"r", int(done.result().ordinal), time.monotonic()))


def main(log_name: str, folder: Path) -> None:
    """Until stdin ends."""
    log = open_log(log_name, folder)

    def text(schema_id: str) -> str | None:
        return log.schema(SchemaId(schema_id))

    journal = DuckJournal(
        str(folder / "journal.duckdb"), stages.ORG, definitions=definitions(), schema_text=text
    )
    journal.open()
    detector = DetectorFollower(stages.ORG, folder / "detector.state", lambda _: None)
    schemas, stop = SchemaStore(text), threading.Event()
    calm_the_collector()
    with (folder / "taken").open("wb", buffering=0) as out:
        timed = Timed(journal, detector, out)

        def work() -> None:
            follow(log, Checkpoint(), lambda b: decode_batch(b, schemas), [timed], stop)

        reading = threading.Thread(target=work, daemon=True)
        reading.start()
        threading.Thread(target=_tell, args=(journal, timed, stop), daemon=True).start()
        sys.stdin.read()
        stop.set()
        reading.join(60)
        journal.close()
        log.close()


def _tell(journal: DuckJournal, timed: Timed, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        told: dict[str, Any] = {
            "committed": int(journal.checkpoint.ordinal),
            "decided": timed.decided,
            "cpu_s": _cpu_s(),
            "memory_mb": memory_mb(os.getpid()),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb(pid: int) -> float:
    """Resident memory of a process now, MB; 0 where the system does not say."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
