"""What a value looks like, whatever it says: which sorts of characters it has, and about how long it is.

A column shifted by one, cents lost, a text cut short: each value may be new and none odd by itself, but
their shapes are not the field's.
"""

from __future__ import annotations

from math import log2

import numpy as np
import numpy.typing as npt

from cdc.detect.hashing import I64, U64, WORD_BYTES

U16 = npt.NDArray[np.uint16]

DIGIT, LOWER, UPPER, SPACE, AT, POINT, MARK, FOREIGN = (1 << bit for bit in range(8))
LENGTHS = (2, 3, 5, 9, 17, 25, 41)
"""Where the eight classes of length begin, after the first."""

NULL_SHAPE = 0
SMOOTHING = 0.02
"""Share that a shape never seen counts as having."""


def _classes() -> npt.NDArray[np.uint8]:
    sorts = np.full(256, MARK, np.uint8)
    sorts[0] = 0
    sorts[128:] = FOREIGN
    for text, sort in (
        ("0123456789", DIGIT),
        ("abcdefghijklmnopqrstuvwxyz", LOWER),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", UPPER),
        (" ", SPACE),
        ("@", AT),
        (".,", POINT),
    ):
        sorts[[ord(letter) for letter in text]] = sort
    return sorts


_CLASSES = _classes()
_LOWERED = np.arange(256, dtype=np.uint8)
_LOWERED[65:91] += 32


def shapes_of(words: U64, lengths: I64) -> U16:
    """The shape of each text from its first bytes and its length; 0 for an empty one."""
    letters = words.view(np.uint8).reshape(len(words), words.shape[1] * WORD_BYTES)
    sorts = np.bitwise_or.reduce(_CLASSES[letters], axis=1).astype(np.uint16)
    size = np.searchsorted(LENGTHS, lengths, "right").astype(np.uint16)
    return np.where(lengths > 0, sorts | size << np.uint16(8), np.uint16(NULL_SHAPE)).astype(np.uint16)


def lowered(words: U64) -> U64:
    """The same texts without the difference of capital letters (ASCII)."""
    return _LOWERED[words.view(np.uint8)].view(np.uint64).reshape(words.shape)


def difference(usual: dict[int, int], now: dict[int, int]) -> float:
    """How many bits a value's shape says about which of the two it came from (Kullback and Leibler).

    The larger of two: by sorts of characters, and by length.
    """
    return max(_bits(_by(usual, 0xFF, 0), _by(now, 0xFF, 0)), _bits(_by(usual, 0x700, 8), _by(now, 0x700, 8)))


def _by(shapes: dict[int, int], mask: int, shift: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for shape, count in shapes.items():
        if shape != NULL_SHAPE:
            part = (shape & mask) >> shift
            found[part] = found.get(part, 0) + count
    return found


def _bits(usual: dict[int, int], now: dict[int, int]) -> float:
    before, after = sum(usual.values()), sum(now.values())
    if not before or not after:
        return 0.0
    return sum(
        count / after * log2(count / after / max(SMOOTHING, usual.get(part, 0) / before))
        for part, count in now.items()
    )
