"""The last two values of record fields, as hashes: what was there before, and what goes to and fro.

A table of fixed size, one place a key. In the recent one the newest key takes the place. In the sampled one
the key whose record has the lower priority number keeps it, so that of many records the same few are
remembered in all their fields. What a row is told depends on the rows before it alone, in whatever batches
they came.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

UNKNOWN_VALUE = 0
FLIPS_MAX = 255
FORGET_MINUTES = 24 * 60
"""A value that comes back after a day is no going to and fro."""

_COLUMNS = ("key", "last", "previous", "flips", "minute", "priority")


class Told(NamedTuple):
    """Of each row: the value before it (`UNKNOWN_VALUE` where it is not remembered), and how often the value
    came back to what it had been, this time included; 0 where it did not now."""

    before: U32
    flips: U8


class Recall:
    """`places_log2` places; `sampled` as in the module."""

    def __init__(self, places_log2: int, *, sampled: bool = False) -> None:
        places = 1 << places_log2
        self._shift = np.uint64(64 - places_log2)
        self._sampled = sampled
        self.key = np.zeros(places, np.uint64)
        self.last = np.zeros(places, np.uint32)
        self.previous = np.zeros(places, np.uint32)
        self.flips = np.zeros(places, np.uint8)
        self.minute = np.zeros(places, np.uint32)
        self.priority = np.full(places if sampled else 0, 0xFFFFFFFF, np.uint32)

    def take(self, keys: U64, values: U32, minutes: U32, priority: U32) -> Told:
        """Rows in stream order; `values` are never `UNKNOWN_VALUE`. All arrays have one length."""
        told = Told(np.zeros(len(keys), np.uint32), np.zeros(len(keys), np.uint8))
        if not len(keys):
            return told
        place = (keys >> self._shift).astype(np.int64)
        order = np.argsort(place, kind="stable")
        if self._sampled:
            order = order[self._admitted(place[order], priority[order])]
            if not len(order):
                return told
        at, key, value, minute = place[order], keys[order], values[order], minutes[order]
        first = np.concatenate(([True], at[1:] != at[:-1]))
        same = np.concatenate(([False], key[1:] == key[:-1])) & ~first
        kept = first & (self.key[at] == key)
        one = np.where(same, _shifted(value), np.where(kept, self.last[at], np.uint32(0)))
        earlier = np.where(kept, self.previous[at], np.uint32(0))
        repeated = (same | kept) & (one == value)
        # What each row leaves behind as the value before the last: a repeated value moves nothing.
        filled = np.maximum.accumulate(np.where(~repeated | ~same, np.arange(len(at)), 0))
        left = np.where(repeated, earlier, one)[filled]
        two = np.where(same, _shifted(left), earlier)
        since = np.where(same, _shifted(minute), np.where(kept, self.minute[at], np.uint32(0)))
        fresh = (same | kept) & (minute <= since + np.uint32(FORGET_MINUTES))
        back = fresh & (two == value) & (one != value)
        flips = self._counted(back, fresh, same, np.where(kept & fresh, self.flips[at], np.uint8(0)))
        last = np.append(first[1:], True)
        where = at[last]
        self.key[where], self.last[where], self.minute[where] = key[last], value[last], minute[last]
        self.previous[where] = left[last]
        self.flips[where] = flips[last]
        if self._sampled:
            self.priority[where] = priority[order][last]
        told.before[order] = one
        told.flips[order] = np.where(back, flips, np.uint8(0))
        return told

    def _admitted(self, place: I64, priority: U32) -> npt.NDArray[np.bool_]:
        """Which rows, ordered by place, have a priority no higher than everybody's before them there."""
        first = np.concatenate(([True], place[1:] != place[:-1]))
        run = np.cumsum(first)
        held = np.where(first, np.minimum(priority, self.priority[place]), priority).astype(np.int64)
        least = np.minimum.accumulate(((run[-1] - run).astype(np.int64) << 32) | held) & 0xFFFFFFFF
        admitted: npt.NDArray[np.bool_] = priority == least
        return admitted

    def _counted(
        self, back: npt.NDArray[np.bool_], fresh: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_], base: U8
    ) -> U8:
        """How often each key has come back so far; a day without a change begins anew."""
        begins = ~(same & fresh)
        total = np.cumsum(back)
        start = np.maximum.accumulate(np.where(begins, np.arange(len(back)), 0))
        before: I64 = total[start] - back[start]
        flips: U8 = np.minimum(base[start] + total - before, FLIPS_MAX).astype(np.uint8)
        return flips

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        used = np.flatnonzero(self.key)
        columns = [c for c in _COLUMNS if len(getattr(self, c))]
        return {"places": _text(used.astype(np.int64)), **{c: _text(getattr(self, c)[used]) for c in columns}}

    def restore(self, state: Any) -> None:
        used = np.frombuffer(b64decode(state["places"]), np.int64)
        for name in _COLUMNS:
            column = getattr(self, name)
            if len(column):
                column[used] = np.frombuffer(b64decode(state[name]), column.dtype)


def _shifted(column: Any) -> Any:
    return np.concatenate((column[:1], column[:-1]))


def _text(column: Any) -> str:
    return b64encode(column.tobytes()).decode()
