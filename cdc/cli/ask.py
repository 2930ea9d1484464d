"""How a verb gets its answer: from the running journal's HTTP API, else from the journal opened here.

Both ways run the same questions (`cdc/serve/questions.py`), so the answers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cdc.ports.clock import Clock
from cdc.roles.build import beside_journal
from cdc.roles.offline import offline_journal, offline_reader
from cdc.serve.client import ask_running, is_running, table_of_running
from cdc.serve.keeping import DEED_TIMEOUT_S, DEEDS
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings
from cdc.troubles import last_words, shown


def ask(settings: Settings, name: str, **parameters: Any) -> dict[str, Any]:
    """The answer to a question of `QUESTIONS`. Errors: those of the question; JournalLocked if nobody answers."""
    with asking(settings) as way:
        return way.answer(name, **parameters)


@dataclass(frozen=True, slots=True)
class Way:
    """Where answers come from while a verb runs; `reader` is None where the API is asked."""

    settings: Settings
    reader: Any = None

    def answer(self, name: str, **parameters: Any) -> dict[str, Any]:
        question, given = QUESTIONS[name], _given(parameters)
        if self.reader is None:
            return ask_running(self.settings, question, given)
        answer = question.answer(self.reader, given)
        if name == "status":  # nobody is running: why that is may stand beside the journal
            return shown(answer, [], last_words(beside_journal(self.settings), Clock().wall_ms))
        return answer

    def table(self, name: str, **parameters: Any) -> pa.Table:
        """The answer as an Arrow table (`cdc/answer/tables.py`)."""
        question, given = QUESTIONS[name], _given(parameters)
        if self.reader is None:
            return table_of_running(self.settings, question, given)
        return question.table(self.reader, given)


@contextmanager
def asking(settings: Settings) -> Iterator[Way]:
    """The one way for many questions of one verb. Errors: JournalLocked, NotFound."""
    if is_running(settings):
        yield Way(settings)
        return
    with offline_reader(settings) as reader:
        yield Way(settings, reader)


def do(settings: Settings, name: str, **parameters: Any) -> dict[str, Any]:
    """The answer to a deed of `DEEDS`, done by the running journal, else by the journal opened here."""
    deed = DEEDS[name]
    given = _given(parameters)
    if is_running(settings):
        return ask_running(settings, deed, given, timeout_s=DEED_TIMEOUT_S)
    with offline_journal(settings) as journal:
        return deed.answer(journal, given)


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
