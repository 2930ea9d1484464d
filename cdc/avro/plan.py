"""From the bitmaps of an event to the leaves it names, worked out once for each combination of bitmaps.

A plan is a row of 32-bit codes, `leaf << FLAG_BITS | flags`, in schema order: the codes of a batch are put
together without a Python object for each field.
"""

from __future__ import annotations

import re
from array import array
from typing import Final

from cdc.avro.schema import EventSchema
from cdc.change.bitmap import WHOLE, BitmapError, decode

NULLED: Final = 1
"""The event says that the field was set to null."""

DIFF: Final = 2
"""The value is a diff of the text."""

PARENT: Final = 4
"""Named only by the bit of the compound field it is a part of."""

SWITCHABLE: Final = 8
"""Of a field that is a text or a record: only the leaves of the branch the event took are named."""

FLAG_BITS: Final = 4

PLANS_CACHED_MAX = 65_536
"""Combinations of bitmaps kept per schema, some 200 bytes each; beyond this the cache starts again."""

CODE_BYTES: Final = 4
LIST_MARK: Final = ";"
ENTRY_MARK: Final = ","

_ONE_BITMAP = re.compile(r"0x((?:[0-9A-Fa-f]{2})+);;")


class Plans:
    """The plans of one schema. Bounded by `PLANS_CACHED_MAX`."""

    def __init__(self, schema: EventSchema) -> None:
        self._tree = schema.tree
        self._named = _named(schema)
        self._plans: dict[str, bytes | BitmapError] = {}
        self._of_byte: dict[tuple[int, int], bytes] = {}  # at most 256 for each byte of a bitmap

    def of(self, bitmaps: str) -> bytes | BitmapError:
        """Codes of the leaves named by `changed;nulled;diff`, the entries of each list joined by commas."""
        plan = self._plans.get(bitmaps)
        if plan is None:
            if len(self._plans) >= PLANS_CACHED_MAX:
                self._plans.clear()
            try:
                plan = self._of_one_bitmap(bitmaps) or self._make(bitmaps)
            except BitmapError as e:
                plan = e
            self._plans[bitmaps] = plan
        return plan

    def _of_one_bitmap(self, bitmaps: str) -> bytes | None:
        """The usual case, a bitmap of the top level and nothing else, byte by byte; None for any other.

        Where hardly any two events change the same fields, plans are made and not found again.
        """
        found = _ONE_BITMAP.fullmatch(bitmaps)
        if found is None:
            return None
        codes = []
        for place, byte in enumerate(reversed(bytes.fromhex(found[1]))):
            if byte:
                of_byte = self._of_byte.get((place, byte))
                if of_byte is None:
                    try:
                        of_byte = self._make(f"0x{byte << 8 * place:X}{LIST_MARK * 2}")
                    except BitmapError:
                        return None  # to be told of the whole bitmap
                    self._of_byte[place, byte] = of_byte
                codes.append(of_byte)
        return b"".join(codes)

    def _make(self, bitmaps: str) -> bytes:
        changed, nulled, diff = (
            decode(self._tree, entries.split(ENTRY_MARK)) if entries else ()
            for entries in bitmaps.split(LIST_MARK)
        )
        named = self._named
        if not nulled and not diff:
            codes = [code for bit in changed for code in named[bit]]
        else:
            nulls, diffs = set(nulled), set(diff)
            codes = []
            for bit in sorted({*changed, *nulled, *diff}):
                whole = (bit[0], WHOLE)
                flags = NULLED if bit in nulls or whole in nulls else 0
                flags |= DIFF if bit in diffs or whole in diffs else 0
                codes += [code | flags for code in named[bit]]
        if len({code >> FLAG_BITS for code in codes}) < len(codes):
            codes = _merged(codes)
        return array("i", codes).tobytes()


def _named(schema: EventSchema) -> dict[tuple[int, int], tuple[int, ...]]:
    """For each (field, child) a bitmap can name, the codes of the leaves it stands for."""
    named: dict[tuple[int, int], tuple[int, ...]] = {}
    for index, leaf in enumerate(schema.leaves):
        code = index << FLAG_BITS
        if leaf.child != WHOLE:
            named[leaf.top, leaf.child] = (code,)
        flags = SWITCHABLE | PARENT if leaf.branch >= 0 else PARENT if leaf.child != WHOLE else 0
        named[leaf.top, WHOLE] = (*named.get((leaf.top, WHOLE), ()), code | flags)
    return named


def _merged(codes: list[int]) -> list[int]:
    """A part named by its own bit and by its parent's is named by its own; null or diff if either says so."""
    by_leaf: dict[int, int] = {}
    for code in codes:
        leaf, flags = code >> FLAG_BITS, code & ((1 << FLAG_BITS) - 1)
        known = by_leaf.get(leaf)
        if known is None:
            by_leaf[leaf] = flags
        else:
            of_parent = PARENT | SWITCHABLE
            by_leaf[leaf] = (known & flags & of_parent) | ((known | flags) & ~of_parent)
    return [leaf << FLAG_BITS | flags for leaf, flags in sorted(by_leaf.items())]
