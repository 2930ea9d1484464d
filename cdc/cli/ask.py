"""How a verb gets its answer: from the running journal's HTTP API, else from the journal opened here.

Both ways run the same questions (`cdc/serve/questions.py`), so the answers are the same.
"""

from __future__ import annotations

from typing import Any

from cdc.roles.offline import offline_reader
from cdc.serve.client import ask_running, is_running
from cdc.serve.questions import QUESTIONS
from cdc.settings import Settings


def ask(settings: Settings, name: str, **parameters: Any) -> dict[str, Any]:
    """The answer to a question of `QUESTIONS`. Errors: those of the question; JournalLocked if nobody answers."""
    question = QUESTIONS[name]
    given = {k: v for k, v in parameters.items() if v is not None}
    if is_running(settings):
        return ask_running(settings, question, given)
    with offline_reader(settings) as reader:
        return question.answer(reader, given)
