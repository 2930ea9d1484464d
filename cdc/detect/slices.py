"""The stream cut into slices that depend on nothing but the stream: by ten minutes, or by so many field rows."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdc.detect.across import ROWS, SLICE_MS, SLICE_ROWS, Rows

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


class Ended(NamedTuple):
    """A slice that ended before (`phase` -1) or with (`phase` 2) this row of the batch."""

    row: int
    phase: int
    rows: Rows
    whole: I32
    at: int


@dataclass(frozen=True, slots=True)
class Written:
    """Field rows of a batch's changes in stream order, each change beginning with one for itself.

    `whole` is the cell of each row's change as such, `change` the batch row, ascending.
    """

    rows: Rows
    whole: I32
    change: I64


class Slices:
    """Holds the slice that is not over yet."""

    def __init__(self) -> None:
        self._rows: list[Rows] = []
        self._whole: list[I32] = []
        self._held = 0
        self._bucket = -1

    def cut(self, written: Written, seen_by_row: I64) -> list[Ended]:
        """Take a batch; the slices that ended in it."""
        change = written.change
        if not len(change):
            return []
        ended: list[Ended] = []
        starts = np.flatnonzero(np.concatenate(([True], change[1:] != change[:-1])))
        buckets = seen_by_row[change[starts]] // SLICE_MS
        sizes = np.append(starts, len(change))
        at = 0
        while at < len(starts):
            bucket = int(buckets[at])
            if bucket != self._bucket:
                if self._held:
                    ended.append(self._end(int(change[starts[at]]), -1))
                self._bucket = bucket
            same = int(np.searchsorted(buckets, bucket, "right"))
            full = int(np.searchsorted(sizes, sizes[at] + SLICE_ROWS - self._held, "left"))
            stop = min(same, max(at + 1, full))
            low, high = int(sizes[at]), int(sizes[stop])
            self._rows.append(written.rows[low:high])
            self._whole.append(written.whole[low:high])
            self._held += high - low
            if self._held >= SLICE_ROWS:
                ended.append(self._end(int(change[starts[stop - 1]]), 2))
            at = stop
        return ended

    def pass_time(self, now: int) -> Ended | None:
        """The slice that is over because time has passed without a change."""
        if self._held and now // SLICE_MS > self._bucket:
            return self._end(0, -1)
        return None

    def settle(self) -> None:
        """Keep no view of a batch that is gone."""
        if self._rows:
            self._rows, self._whole = [np.concatenate(self._rows)], [np.concatenate(self._whole)]

    def _end(self, row: int, phase: int) -> Ended:
        rows, whole = np.concatenate(self._rows), np.concatenate(self._whole)
        self._rows, self._whole, self._held = [], [], 0
        return Ended(row, phase, rows, whole, self._bucket * SLICE_MS)

    def state(self) -> Any:
        self.settle()
        rows = self._rows[0] if self._rows else np.zeros(0, ROWS)
        whole = self._whole[0] if self._whole else np.zeros(0, np.int32)
        return [b64encode(rows.tobytes()).decode(), b64encode(whole.tobytes()).decode(), self._bucket]

    def restore(self, state: Any) -> None:
        rows = np.frombuffer(b64decode(state[0]), ROWS).copy()
        whole = np.frombuffer(b64decode(state[1]), np.int32).copy()
        self._rows, self._whole = ([rows], [whole]) if len(rows) else ([], [])
        self._held, self._bucket = len(rows), state[2]
