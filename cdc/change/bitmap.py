"""Which fields an event changed: bitmaps to field paths, and back.

`changedFields`, `nulledFields` and `diffFields` are lists of strings. `0x800000` has a bit for each field
of the event's record, the lowest for field 0, which is the header itself and never set. `6-0x0180` has the
bits of the record inside field 6. The entry of the top level may be missing. Which field a bit means is
said by the schema the event was written with and by no other (Pub/Sub API guide, "Event Deserialization
Considerations"; upper-case hex in whole bytes is what is seen on the wire).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

WHOLE = -1
"""In place of a child's index: the field itself, or every part of a compound one."""

BITMAPS_CACHED_MAX = 16_384
"""Distinct bitmaps kept per schema. An org has a few hundred in use; beyond this the cache starts again."""

_ENTRY = re.compile(r"(?:(\d{1,9})-)?0[xX]([0-9A-Fa-f]+)")


class BitmapError(ValueError):
    """A bitmap that does not fit the schema: it says which entry and which bits."""


@dataclass(frozen=True, slots=True)
class FieldTree:
    """The names of an event's fields, the header at index 0, and those inside its compound fields by index."""

    names: tuple[str, ...]
    nested: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


class Bitmaps:
    """The bitmaps of one schema, each decoded once. Bounded by `BITMAPS_CACHED_MAX`."""

    def __init__(self, tree: FieldTree) -> None:
        self.tree = tree
        self._bits: dict[tuple[str, ...], tuple[tuple[int, int], ...]] = {}

    def paths(self, entries: Sequence[str]) -> tuple[str, ...]:
        """`BillingAddress.City`, in schema order; a compound field set as a whole by its own name."""
        return tuple(self._path(top, child) for top, child in self.bits(entries))

    def bits(self, entries: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """(field, child) index pairs in schema order, child `WHOLE` for a bit of the top level. BitmapError."""
        key = tuple(entries)
        found = self._bits.get(key)
        if found is None:
            found = decode(self.tree, key)
            if len(self._bits) >= BITMAPS_CACHED_MAX:
                self._bits.clear()
            self._bits[key] = found
        return found

    def encode(self, paths: Iterable[str]) -> list[str]:
        """The bitmap that names these paths. BitmapError for a path the schema does not have."""
        return encode(self.tree, paths)

    def _path(self, top: int, child: int) -> str:
        name = self.tree.names[top]
        return name if child == WHOLE else f"{name}.{self.tree.nested[top][child]}"


def decode(tree: FieldTree, entries: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """(field, child) index pairs in schema order. BitmapError names the entry and what is wrong with it."""
    found: set[tuple[int, int]] = set()
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise BitmapError(f"{entry!r} is not a bitmap")
        parent, digits = match.groups()
        if parent is None:
            bits = _set_bits(digits, len(tree.names), entry, "the record")
            if bits and bits[0] == 0:
                raise BitmapError(f"bitmap {entry} sets bit 0, which is the header")
            found.update((bit, WHOLE) for bit in bits)
        else:
            top = int(parent)
            names = tree.nested.get(top)
            if names is None:
                raise BitmapError(f"bitmap {entry} is for the parts of field {top}, {_what_is(tree, top)}")
            found.update((top, bit) for bit in _set_bits(digits, len(names), entry, tree.names[top]))
    return tuple(sorted(found))


def encode(tree: FieldTree, paths: Iterable[str]) -> list[str]:
    """The bitmap that names these paths, as Salesforce writes it: whole bytes, upper case, the top level first."""
    indexes = {name: index for index, name in enumerate(tree.names)}
    masks: dict[int, int] = {}
    for path in paths:
        parent, dot, child = path.partition(".")
        try:
            index = indexes[parent]
            if dot:
                masks[index] = masks.get(index, 0) | 1 << tree.nested[index].index(child)
            else:
                masks[WHOLE] = masks.get(WHOLE, 0) | 1 << index
        except (KeyError, ValueError):
            raise BitmapError(f"the schema has no field {path}") from None
    return [_hex(mask) if top == WHOLE else f"{top}-{_hex(mask)}" for top, mask in sorted(masks.items())]


def _set_bits(digits: str, width: int, entry: str, whose: str) -> list[int]:
    mask = int(digits, 16)
    if mask >> width:
        beyond = _bits_of(mask >> width << width)
        raise BitmapError(
            f"bitmap {entry} sets {'bits' if len(beyond) > 1 else 'bit'} {', '.join(map(str, beyond))}, "
            f"but {whose} has {width} fields"
        )
    return _bits_of(mask)


def _bits_of(mask: int) -> list[int]:
    bits = []
    while mask:
        lowest = mask & -mask
        bits.append(lowest.bit_length() - 1)
        mask ^= lowest
    return bits


def _what_is(tree: FieldTree, top: int) -> str:
    if top < len(tree.names):
        return f"but {tree.names[top]} has none"
    return f"but the record has {len(tree.names)} fields"


def _hex(mask: int) -> str:
    return "0x" + mask.to_bytes((mask.bit_length() + 7) // 8 or 1, "big").hex().upper()
