"""Structured logs: one event name and its keys a line, JSON unless a person is looking.

Every event name is declared here, once. Values of Salesforce fields, names and secrets never go into a log.
The level can be changed while it runs: SIGUSR1 says more, a level a signal, SIGUSR2 goes back to that of the start.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

import structlog


class Event(StrEnum):
    """What a log line can be about: dotted nouns."""

    ROLE_STARTED = "role.started"
    ROLE_STOPPED = "role.stopped"
    CHANNEL_OPENED = "channel.opened"
    CHANNEL_STOPPED = "channel.stopped"
    CHANNEL_RETRY = "channel.retry"
    CHANNEL_SILENT = "channel.silent"
    CHANNEL_LOST = "channel.position.lost"
    CHANNEL_RESUMED = "channel.resumed"
    MEMBERS_CHANGED = "channel.members.changed"
    MEMBERS_UNKNOWN = "channel.members.unknown"
    ORG_SILENT = "org.silent"
    EVENT_QUARANTINED = "event.quarantined"
    LOG_RETRY = "log.retry"
    SCHEMA_UNKNOWN = "schema.unknown"
    POLL_FAILED = "poll.failed"
    SCAN_STARTED = "scan.started"
    SCAN_BY_REST = "scan.by_rest"
    SCAN_PROGRESS = "scan.progress"
    SCAN_ENDED = "scan.ended"
    SCAN_FAILED = "scan.failed"
    VERIFICATION_ENDED = "verification.ended"
    VERIFICATION_FAILED = "verification.failed"
    JOURNAL_OPENED = "journal.opened"
    PART_LOST = "journal.part.lost"
    JOURNAL_FAILED = "journal.failed"
    SEAL_FAILED = "journal.seal.failed"
    VIEW_REFUSED = "journal.view.refused"
    REQUEST_MADE = "request.made"
    ALERT_DECIDED = "alert.decided"
    ALERT_NOT_DELIVERED = "alert.not_delivered"
    DECISION_IGNORED = "decision.ignored"
    API_LISTENING = "api.listening"
    API_FAILED = "api.failed"
    TOKENS_REFUSED = "api.tokens.refused"
    DRILL_ENDED = "drill.ended"
    ACTION_FAILED = "action.failed"
    LOG_LEVEL_CHANGED = "log.level.changed"


LEVELS = ("debug", "info", "warning", "error")


@dataclass(slots=True)
class _Level:
    """What is written just now, and what was asked for at the start. Loggers look here at each line."""

    now: int = logging.INFO
    at_start: int = logging.INFO

    def __call__(self, _logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if _NUMBERS.get(method, logging.CRITICAL) < self.now:
            raise structlog.DropEvent
        return line


_NUMBERS = {
    **{name: logging.getLevelNamesMapping()[name.upper()] for name in LEVELS},
    "exception": logging.ERROR,
}
_level = _Level()


def say_more() -> None:
    """One level more than now: error, warning, info, debug."""
    at = next(n for n, name in enumerate(LEVELS) if _NUMBERS[name] >= _level.now)
    _change(_NUMBERS[LEVELS[max(0, at - 1)]])


def say_as_before() -> None:
    """The level of the start again."""
    _change(_level.at_start)


def level_name() -> str:
    """The level just now."""
    return logging.getLevelName(_level.now).lower()


def _change(level: int) -> None:
    before = level_name()
    _level.now = min(level, logging.INFO)  # that it changed is always written
    logger().info(Event.LOG_LEVEL_CHANGED, before=before, to=logging.getLevelName(level).lower())
    _level.now = level


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send logs to stderr: JSON lines in a pipe, readable lines on a terminal."""
    out = stream or sys.stderr
    readable = out.isatty()
    _level.now = _level.at_start = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        _level,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: Any = structlog.processors.JSONRenderer()
    if readable:  # without the values of variables: they may be somebody's data
        last = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    if not readable:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def logger(**bound: Any) -> Any:
    """A logger with keys bound to every line it writes."""
    return structlog.get_logger().bind(**bound)
