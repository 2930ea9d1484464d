"""The SQL of this room, by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return files("cdc.recover").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
