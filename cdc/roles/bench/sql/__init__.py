"""The SQL of the bench, by name."""

from __future__ import annotations

from importlib.resources import files


def statement(name: str) -> str:
    """The text of `<name>.sql`; numbers and paths are put in where it says {so}."""
    return files("cdc.roles.bench.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
