"""The journal opened for one question or deed, where no process has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdc.errors import NotFound, StopProcess
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import is_lake
from cdc.roles.build import make_journal, make_lake
from cdc.settings import Settings


@contextmanager
def offline_reader(settings: Settings) -> Iterator[Any]:
    """A cursor on the journal of the settings. Errors: NotFound where there is none yet; JournalLocked."""
    if is_lake(settings.journal.path):  # any process may read it, whoever writes
        lake = make_lake(settings)
        lake.open()
        try:
            with lake.reader() as reader:
                yield reader
        finally:
            lake.close()
        return
    with offline_journal(settings) as journal, journal.reader() as reader:
        yield reader


@contextmanager
def offline_journal(settings: Settings) -> Iterator[DuckJournal]:
    """The journal of the settings, open. Errors: NotFound where there is none yet; JournalLocked."""
    if is_lake(settings.journal.path):
        raise StopProcess(
            "a journal in DuckLake is asked through a worker",
            where=settings.journal.path,
            do="start `cdc journal`",
        )
    if not Path(settings.journal.path).exists():
        raise NotFound("there is no journal yet", where=settings.journal.path, do="start `cdc run`")
    journal = make_journal(settings)
    journal.open()
    try:
        yield journal
    finally:
        journal.close()
