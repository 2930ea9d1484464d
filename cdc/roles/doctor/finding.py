"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASS: Final = "pass"  # noqa: S105  a verdict
WARN: Final = "warn"
FAIL: Final = "fail"
OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Finding:
    """`verdict` is pass, warn, fail or off (not set up); `do` is the remedy, empty where none is needed."""

    check: str
    verdict: str
    what: str
    do: str = ""
