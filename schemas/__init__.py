"""Our own Avro schemas, readable from a wheel as well as from a checkout."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

NAMES = ("record_state", "job", "positions", "coverage", "quarantine", "alert", "decision")


@cache
def text(name: str) -> str:
    """The JSON text of `schemas/<name>.avsc`. KeyError for a name that is not ours."""
    if name not in NAMES:
        raise KeyError(name)
    return files(__name__).joinpath(f"{name}.avsc").read_text(encoding="utf-8")
