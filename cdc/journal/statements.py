"""The SQL of this room: one question or one insert a file, read by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_SQL = files("cdc.journal").joinpath("sql")


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return _SQL.joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """(number, text) of `sql/migrations/<number>_<what>.sql`, in order."""
    folder = _SQL.joinpath("migrations")
    found = [(int(f.name.partition("_")[0]), f.read_text(encoding="utf-8")) for f in folder.iterdir()]
    return tuple(sorted(found))
