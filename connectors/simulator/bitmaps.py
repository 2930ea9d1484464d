"""changedFields, nulledFields and diffFields: field positions as hexadecimal bitmaps (protocol 2.3)."""

from __future__ import annotations

from collections.abc import Iterable


def bitmap(positions: Iterable[int]) -> str:
    """`{22}` -> `0x400000`: one big-endian number, upper case, whole bytes, as few as possible."""
    number = 0
    for position in positions:
        number |= 1 << position
    digits = f"{number:X}"
    return "0x" + digits.rjust(len(digits) + len(digits) % 2, "0")


def bitmaps(top: Iterable[int], nested: dict[int, list[int]]) -> tuple[str, ...]:
    """The array as sent: the top level first if any bit of it is set, then `parent-0x…` by parent.

    A parent's own bit is not set when its children are listed.
    """
    positions = list(top)
    entries = [bitmap(positions)] if positions else []
    entries.extend(f"{parent}-{bitmap(children)}" for parent, children in sorted(nested.items()))
    return tuple(entries)
