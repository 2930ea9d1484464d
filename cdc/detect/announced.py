"""The calendar file: windows in which volume is no news, as people have announced them.

[[window]]
from = 2026-11-28T20:00:00Z
to = 2026-11-29T06:00:00Z
entities = ["Account"]      # none: all
users = ["005…"]            # none: all
note = "the migration"
"""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from cdc.detect.templates import Window
from cdc.errors import BadArgument

KEYS = frozenset({"from", "to", "entities", "users", "note"})


def windows_of(path: str) -> list[Window]:
    """The windows of a calendar file. BadArgument names the entry that cannot be used."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise BadArgument(f"The calendar cannot be read: {e.strerror}", where=path) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadArgument(f"The calendar is not TOML: {e}", where=path) from e
    return [window_of(entry, f"{path}, window {n}") for n, entry in enumerate(values.get("window", []), 1)]


def window_of(entry: Any, where: str) -> Window:
    """One window from its keys. BadArgument."""
    if not isinstance(entry, dict) or not {"from", "to"} <= entry.keys() or entry.keys() - KEYS:
        raise BadArgument(
            "A window has from and to, and may have entities, users, note", where=where, do="correct it"
        )
    from_at, to_at = _ms(entry["from"], where), _ms(entry["to"], where)
    if to_at <= from_at:
        raise BadArgument("A window ends before it begins", where=where, do="correct it")
    return Window(from_at, to_at, _texts(entry, "entities", where), _texts(entry, "users", where))


def _ms(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as e:
            raise BadArgument(f"{value!r} is no time", where=where, do="write 2026-11-28T20:00:00Z") from e
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, date):
        return int(datetime.combine(value, time(), UTC).timestamp() * 1000)
    raise BadArgument(f"{value!r} is no time", where=where, do="write 2026-11-28T20:00:00Z")


def _texts(entry: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    given = entry.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise BadArgument(f"{name} is not a list of texts", where=where, do="correct it")
    return tuple(given)
