"""The org and the log that a journal was read from: kept in its file, and compared with what the log says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cdc.errors import RetryLater
from cdc.log.origin import ORIGIN_KEY, Origin

_KEY: Final = "origin"
WHERE: Final = "journal"


def check_origin(connection: Any, text_of: Callable[[str], str | None]) -> None:
    """Before anything is read. Errors: OtherOrg, StopProcess. A log that does not answer now says it later."""
    held = _held(connection)
    if held is None:
        return
    try:
        text = text_of(ORIGIN_KEY)
    except RetryLater:
        return
    if text is not None:
        held.check_same(Origin.of(text), WHERE)


def claim_origin(connection: Any, told: Origin) -> None:
    """What the log has told, inside the caller's transaction. Errors: OtherOrg, StopProcess where it is another."""
    held = _held(connection)
    if held is None:
        connection.execute("INSERT INTO store.meta VALUES (?, ?)", [_KEY, told.text()])
        return
    held.check_same(told, WHERE)
    if told.org_id and not held.org_id:
        connection.execute("UPDATE store.meta SET value = ? WHERE key = ?", [told.text(), _KEY])


def _held(connection: Any) -> Origin | None:
    row = connection.execute("SELECT value FROM store.meta WHERE key = ?", [_KEY]).fetchone()
    return Origin.of(row[0]) if row else None
