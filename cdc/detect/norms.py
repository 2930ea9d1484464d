"""Which values a field usually gets, and how varied they are: in people's small edits, and as it stands.

Values are looked at in windows of `WINDOW_VALUES` consecutive writes of one field, whoever wrote them. A
window's variety is the inverse Simpson index of its values: 1 when all are alike, 32 when all differ. A
date that is always today's is concentrated in its windows, though its values are many over the weeks.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cdc.detect.tallies import NULL, NULL_HASH, SHAPES_MAX, UNKNOWN, FieldRows, join

WINDOW_VALUES = 32
WINDOWS_MIN = 2
"""Windows a field needs before its variety counts as known."""

WINDOWS_HELD = 512
"""Beyond so many windows all counters are halved, so that what was long ago fades."""

LOOKS_MAX = 16_384
"""Beyond so many values the counts of shapes are halved."""

VOCABULARY_MAX = 16
NORMS_MAX = 20_000
"""Fields known per kind of writing; further ones are refused and counted."""

QUEUE_ROWS_MAX = 65_536
_BINS = 11
_BIN_OF_SQUARES = [0] * (WINDOW_VALUES**2 + 1)
for _squares in range(WINDOW_VALUES, WINDOW_VALUES**2 + 1):
    _BIN_OF_SQUARES[_squares] = next(
        b for b in range(_BINS - 1, -1, -1) if (WINDOW_VALUES**2 / _squares) ** 2 >= 2**b - 1e-9
    )

EDITS, CREATES, STOCK = "edits", "creates", "stock"
"""Kinds of writing: small updates, small creates, and values found by full reads."""


class Place(NamedTuple):
    entity: str
    writing: str
    field: int


class Norm:
    """One field's usual writes."""

    __slots__ = ("again", "bins", "looks", "nulls", "shapes", "vocabulary", "window", "windows", "writes")

    def __init__(self) -> None:
        self.window: list[int] = []
        self.windows = 0
        self.writes = 0
        self.nulls = 0
        self.bins = [0] * _BINS  # of variety, two an octave
        self.vocabulary: dict[int, int] = {}
        self.looks = 0
        self.again = 0
        self.shapes: dict[int, int] = {}

    @property
    def known(self) -> bool:
        return self.windows >= WINDOWS_MIN

    @property
    def null_share(self) -> float:
        return self.nulls / self.writes if self.writes else 0.0

    def variety(self, share: float = 0.25) -> float:
        """The variety that all but this share of the windows reach."""
        wanted = max(1, int(self.windows * share))
        reached = 0
        for at, count in enumerate(self.bins):
            reached += count
            if reached >= wanted:
                return 1.0 if at == 0 else float(2.0 ** (at / 2 + 0.25))  # the middle of the bin
        return 1.0

    def closed(self) -> bool:
        """Whether a few values make up nearly all writes, as in a picklist."""
        return self.writes >= 4 * WINDOW_VALUES and sum(self.vocabulary.values()) >= 0.85 * self.writes

    def share_of(self, value: int) -> float:
        return self.vocabulary.get(value, 0) / self.writes if self.writes else 0.0

    @property
    def again_share(self) -> float:
        """How many new records have a value that another has."""
        return self.again / self.looks if self.looks else 0.0

    def look(self, shapes: npt.NDArray[np.uint16], again: npt.NDArray[np.uint8]) -> None:
        """What the values look like, and which of them other records have."""
        while len(shapes):
            taken = min(len(shapes), LOOKS_MAX - self.looks)
            self.looks += taken
            self.again += int(again[:taken].sum())
            kept = self.shapes
            for shape, count in Counter(shapes[:taken].tolist()).items():
                if shape in kept or len(kept) < SHAPES_MAX:
                    kept[shape] = kept.get(shape, 0) + count
            if self.looks == LOOKS_MAX:
                self.looks //= 2
                self.again //= 2
                self.shapes = {shape: left for shape, count in kept.items() if (left := count // 2)}
            shapes, again = shapes[taken:], again[taken:]

    def take(self, values: npt.NDArray[np.uint64]) -> None:
        """Values in stream order, null as `NULL_HASH`; what does not fill a window waits for the next."""
        if len(self.window) + len(values) < WINDOW_VALUES:
            self.window += values.tolist()
            return
        if self.window:
            values = np.concatenate([np.array(self.window, np.uint64), values])
        full = len(values) // WINDOW_VALUES * WINDOW_VALUES
        self.window = values[full:].tolist()
        windows = values[:full].reshape(-1, WINDOW_VALUES)
        squares = (windows[:, :, None] == windows[:, None, :]).sum(axis=(1, 2))
        for window, sum_of_squares in zip(windows.tolist(), squares.tolist(), strict=True):
            self._window(window, sum_of_squares)

    def _window(self, values: list[int], squares: int) -> None:
        self.bins[_BIN_OF_SQUARES[squares]] += 1
        self.windows += 1
        self.writes += WINDOW_VALUES
        vocabulary = self.vocabulary
        if squares > WINDOW_VALUES or vocabulary:
            for value, count in Counter(values).items():
                if value == NULL_HASH:
                    self.nulls += count
                if count > 1 or value in vocabulary:
                    vocabulary[value] = vocabulary.get(value, 0) + count
            while len(vocabulary) > VOCABULARY_MAX:
                vocabulary.pop(min(vocabulary, key=lambda one: (vocabulary[one], one)))
        else:
            self.nulls += values.count(NULL_HASH)
        if self.windows > WINDOWS_HELD:
            self._halve()

    def _halve(self) -> None:
        self.bins = [count // 2 for count in self.bins]
        self.windows = sum(self.bins)
        self.writes //= 2
        self.nulls //= 2
        self.vocabulary = {value: kept for value, count in self.vocabulary.items() if (kept := count // 2)}

    def state(self) -> Any:
        return [
            self.window,
            self.windows,
            self.writes,
            self.nulls,
            self.bins,
            list(self.vocabulary.items()),
            [self.looks, self.again, list(self.shapes.items())],
        ]

    @classmethod
    def restored(cls, state: Any) -> Norm:
        made = cls()
        made.window, made.windows, made.writes, made.nulls, made.bins, vocabulary, looked = state
        made.vocabulary = dict(vocabulary)
        made.looks, made.again, shapes = looked
        made.shapes = dict(shapes)
        return made


class Norms:
    """Norms of all fields. Rows wait in a queue until a norm is asked for, and are then taken in order."""

    def __init__(self) -> None:
        self.refused = 0
        self._norms: dict[Place, Norm] = {}
        self._queue: list[tuple[str, str, FieldRows]] = []
        self._queued = 0

    def add(self, entity: str, writing: str, rows: FieldRows) -> None:
        """Field rows of one kind of writing, in stream order."""
        if len(rows):
            self._queue.append((entity, writing, rows))
            self._queued += len(rows)
            if self._queued >= QUEUE_ROWS_MAX:
                self._flush()

    def get(self, entity: str, writing: str, field: int) -> Norm | None:
        """The norm as it is after everything added so far; None for a field never seen."""
        self._flush()
        return self._norms.get(Place(entity, writing, field))

    def _flush(self) -> None:
        if not self._queue:
            return
        queue, self._queue, self._queued = self._queue, [], 0
        groups: dict[tuple[str, str], int] = {}
        codes = [groups.setdefault((entity, writing), len(groups)) for entity, writing, _ in queue]
        names = list(groups)
        rows = join([rows for _, _, rows in queue])
        group = np.repeat(np.array(codes, np.int64), [len(rows) for _, _, rows in queue])
        known = rows["flag"] != UNKNOWN
        values = np.where(rows["flag"] == NULL, np.uint64(NULL_HASH), rows["value"])[known]
        place = (group << 32 | rows["field"].astype(np.int64))[known]
        if not len(place):
            return
        order = np.argsort(place, kind="stable")
        place, values = place[order], values[order]
        shapes, again = rows["shape"][known][order], rows["again"][known][order]
        starts = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
        ends = np.append(starts[1:], len(place))
        for at in np.argsort(order[starts]).tolist():  # in order of first appearance, for the cap below
            start, end = int(starts[at]), int(ends[at])
            entity, writing = names[int(place[start]) >> 32]
            norm = self._norm(Place(entity, writing, int(place[start]) & 0xFFFFFFFF))
            if norm is None:
                self.refused += end - start
            else:
                norm.take(values[start:end])
                norm.look(shapes[start:end], again[start:end])

    def _norm(self, place: Place) -> Norm | None:
        norm = self._norms.get(place)
        if norm is None and len(self._norms) < NORMS_MAX:
            norm = self._norms[place] = Norm()
        return norm

    def state(self) -> Any:
        self._flush()
        return {
            "refused": self.refused,
            "norms": [[*place, norm.state()] for place, norm in self._norms.items()],
        }

    def restore(self, state: Any) -> None:
        self.refused = state["refused"]
        self._queue, self._queued = [], 0
        self._norms = {
            Place(entity, writing, field): Norm.restored(norm)
            for entity, writing, field, norm in state["norms"]
        }
