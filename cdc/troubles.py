"""What has gone wrong in this process, and what ended the one before: for `cdc status` and the metrics.

Every error that is handled is noted where it is handled: counted by its class (`sf_cdc_errors_total`), and kept
as the one sentence a person reads until nothing of its kind has come for a while. What ends a process is written
into a file beside the journal, since nobody answers any more: `cdc status` and the next process find it there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.errors import CdcError
from cdc.metrics import Metrics
from cdc.ports.clock import Clock

SHOWN_S = 900.0  # an error that has not come again for so long is no news any more
LAST_WORDS_SHOWN_S = 24 * 3600.0
KINDS_MAX = 100
ASKED_WRONG = frozenset({"BadArgument", "NotFound", "AnswerIncomplete", "DifferenceFound"})
"""What somebody asked could not be answered: counted and listed, but nothing is wrong here."""
PART = "trouble"
ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last error of one class: its sentence, when it came first and last (wall clock, ms), how often."""

    kind: str
    sentence: str
    first_at: int
    last_at: int
    count: int = 1


@dataclass(slots=True)
class Troubles:
    """Safe in several threads."""

    metrics: Metrics
    clock: Clock = field(default_factory=Clock)
    _by_kind: dict[str, Trouble] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, error: BaseException) -> None:
        """An error that was handled just now."""
        kind = type(error).__name__
        sentence = error.sentence() if isinstance(error, CdcError) else f"{kind}: {error}"
        now = self.clock.wall_ms()
        self.metrics.errors.labels(kind).inc()
        with self._lock:
            before = self._by_kind.get(kind)
            if before is None and len(self._by_kind) >= KINDS_MAX:
                return
            first, count = (before.first_at, before.count) if before and self._is_news(before) else (now, 0)
            self._by_kind[kind] = Trouble(kind, sentence, first, now, count + 1)

    def listed(self) -> list[Trouble]:
        """What is news, the newest first."""
        with self._lock:
            news = [one for one in self._by_kind.values() if self._is_news(one)]
        return sorted(news, key=lambda one: -one.last_at)

    def _is_news(self, trouble: Trouble) -> bool:
        return self.clock.wall_ms() - trouble.last_at <= SHOWN_S * 1000


def beside(journal_path: str) -> Path:
    """Where the last words of a process go."""
    return Path(f"{journal_path}.ended.json")


def last_words(journal_path: str, now_ms: Callable[[], int]) -> Trouble | None:
    """What ended the process before, if it was an error and lately."""
    try:
        said = json.loads(beside(journal_path).read_text(encoding="utf-8"))
        ended = Trouble(str(said["kind"]), str(said["sentence"]), int(said["at"]), int(said["at"]))
        return ended if now_ms() - ended.last_at <= LAST_WORDS_SHOWN_S * 1000 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def say_last_words(journal_path: str, error: BaseException | None, now_ms: Callable[[], int]) -> None:
    """Write what ends this process; a clean end, and a full disk, leave nothing behind."""
    path = beside(journal_path)
    try:
        if error is None:
            path.unlink(missing_ok=True)
            return
        sentence = error.sentence() if isinstance(error, CdcError) else f"{type(error).__name__}: {error}"
        said = {"kind": type(error).__name__, "sentence": sentence, "at": now_ms()}
        path.write_text(json.dumps(said), encoding="utf-8")
    except OSError:
        return  # the sentence went to stderr too


def shown(answer: dict[str, Any], troubles: list[Trouble], ended: Trouble | None = None) -> dict[str, Any]:
    """The answer of `status` with a row and a reason for each trouble."""
    found = [(PART, one) for one in troubles] + ([(ENDED, ended)] if ended else [])
    if not found:
        return answer
    rows = [_row(answer["columns"], part, one) for part, one in found]
    reasons = [
        f"the last run ended: {one.sentence}" if part == ENDED else one.sentence
        for part, one in found
        if one.kind not in ASKED_WRONG
    ]
    return {
        **answer,
        "rows": [*answer["rows"], *rows],
        "complete": answer.get("complete", True) and not reasons,
        "reasons": [*answer.get("reasons", ()), *reasons],
    }


def _row(columns: list[str], part: str, trouble: Trouble) -> list[Any]:
    times = f" ({trouble.count} times)" if trouble.count > 1 else ""
    values = {
        "part": part,
        "name": trouble.kind,
        "state": "the last run ended" if part == ENDED else "met",
        "as_of": _instant(trouble.last_at),
        "detail": trouble.sentence + times,
    }
    return [values.get(column) for column in columns]


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"
