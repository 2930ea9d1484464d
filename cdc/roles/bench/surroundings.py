"""What a stage needs around it: a log, and a process that serves prepared events."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cdc.errors import BadArgument
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.ports.log import Log
from cdc.roles.bench import stages
from cdc.roles.bench.events import Events

DAY_MS = 86_400_000


def open_log(log: str, folder: Path) -> Log:
    """`embedded` (in the folder), `kafka:HOST:PORT`, or `kafka:HOST:PORT/PREFIX`. Errors: BadArgument."""
    if log == "embedded":
        return EmbeddedLog(stages.ORG, str(folder / "log.sqlite"), 14 * DAY_MS)
    if log.startswith("kafka:"):
        servers, _, prefix = log.removeprefix("kafka:").partition("/")
        return KafkaLog(stages.ORG, KafkaLogOptions(bootstrap_servers=servers, topic_prefix=prefix))
    raise BadArgument(f"{log!r} is not a log", do="use embedded or kafka:HOST:PORT")


@contextlib.contextmanager
def serving(folder: Path, events: Events, *arguments: str) -> Iterator[str]:
    """The bench's Pub/Sub server with these events; its address."""
    path = folder / "events.pickle"
    path.write_bytes(pickle.dumps(events))
    command = [sys.executable, "-m", "cdc.roles.bench.server", str(path), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
