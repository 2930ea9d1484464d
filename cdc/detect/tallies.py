"""What an episode wrote into its fields: how often, how many nulls, which values most.

Changes are folded in chunks of a fixed number, counted from the episode's first change, so that the
result does not depend on how the stream was cut into batches. Values seen once in a chunk are counted
only as "others": what matters is whether few values make up most of the writes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

TEXT_BYTES = 48
"""The beginning of a value that is kept, to show it. Longer texts are shown cut."""

VALUES_MAX = 24
"""Values counted one by one per field; the least frequent makes room."""

SHAPES_MAX = 24
"""Shapes counted one by one per field."""

REPEATS_MIN = 2
"""How often a value must stand in one chunk to be counted by itself."""

KNOWN, NULL, UNKNOWN = 0, 1, 2

FIELD_ROWS = np.dtype(
    [
        ("value", "<u8"),
        ("field", "<i4"),
        ("row", "<i4"),
        ("before", "<u4"),
        ("shape", "<u2"),
        ("flag", "u1"),
        ("flips", "u1"),
        ("again", "u1"),
        ("text", f"S{TEXT_BYTES}"),
    ]
)
"""One field written by one change: `row` is the change's place in its episode. `before` is the value it had
(0: not remembered), `flips` how often it came back to what it had been, `again` whether a new record has a
value that another record has (`cdc.detect.recall`)."""

FLIPS_MIN = 2
"""A value that came back once was corrected; twice, and it goes to and fro."""

FieldRows = npt.NDArray[Any]
_PLAIN_ROWS = np.dtype((np.void, FIELD_ROWS.itemsize))
_FIELD_MARK = np.uint64(0x9E3779B97F4A7C15)
_FLAG_MARK = np.uint64(0xD1B54A32D192ED03)
NULL_HASH = 0
"""Stands for null among the values of a field."""


class TopValue(NamedTuple):
    value: int
    text: str | None  # None: null
    writes: int


class FieldTally:
    """Writes of one field in one episode."""

    __slots__ = (
        "again",
        "befores",
        "befores_others",
        "counts",
        "flipped",
        "nulls",
        "others",
        "shapes",
        "unknown",
        "writes",
    )

    def __init__(self) -> None:
        self.writes = 0  # known values and nulls
        self.nulls = 0
        self.unknown = 0
        self.others = 0
        self.flipped = 0
        self.again = 0
        self.befores_others = 0
        self.counts: dict[int, list[Any]] = {}  # hash -> [count, text]
        self.befores: dict[int, int] = {}  # what was there before, where it is remembered
        self.shapes: dict[int, int] = {}

    def copy(self) -> FieldTally:
        made = FieldTally()
        made.writes, made.nulls, made.unknown, made.others = (
            self.writes,
            self.nulls,
            self.unknown,
            self.others,
        )
        made.flipped, made.again, made.befores_others = self.flipped, self.again, self.befores_others
        made.counts = {value: list(entry) for value, entry in self.counts.items()}
        made.befores, made.shapes = dict(self.befores), dict(self.shapes)
        return made

    def add(self, other: FieldTally) -> None:
        """Count what another has counted."""
        self.writes += other.writes
        self.nulls += other.nulls
        self.unknown += other.unknown
        self.others += other.others
        self.flipped += other.flipped
        self.again += other.again
        self.befores_others += other.befores_others
        for value, (count, text) in other.counts.items():
            entry = self.counts.get(value)
            if entry is None:
                self.counts[value] = [count, text]
            else:
                entry[0] += count
        for value, count in other.befores.items():
            if value in self.befores or len(self.befores) < VALUES_MAX:
                self.befores[value] = self.befores.get(value, 0) + count
            else:
                self.befores_others += count
        for shape, count in other.shapes.items():
            if shape in self.shapes or len(self.shapes) < SHAPES_MAX:
                self.shapes[shape] = self.shapes.get(shape, 0) + count
        if len(self.counts) > VALUES_MAX:
            _make_room(self)

    def most(self) -> tuple[int, int]:
        """The most frequent value and its writes; (-1, 0) where none repeats."""
        found = max(((entry[0], value) for value, entry in self.counts.items()), default=(0, -1))
        return (NULL_HASH, self.nulls) if self.nulls >= max(1, found[0]) else (found[1], found[0])

    def share_of(self, value: int) -> float:
        """Of one value among the writes, null as `NULL_HASH`."""
        count = self.nulls if value == NULL_HASH else self.counts.get(value, [0])[0]
        return float(count / self.writes) if self.writes else 0.0

    @property
    def remembered(self) -> int:
        """Writes of which the value before is known."""
        return sum(self.befores.values()) + self.befores_others

    def variety_before(self) -> float:
        """As `variety`, of the values that were replaced."""
        squares = sum(count * count for count in self.befores.values()) + self.befores_others
        return self.remembered**2 / squares if squares else 0.0

    def top(self) -> list[TopValue]:
        """The counted values, most frequent first, null among them."""
        found = [
            TopValue(value, text.decode("utf-8", "ignore"), count)
            for value, (count, text) in self.counts.items()
        ]
        if self.nulls:
            found.append(TopValue(NULL_HASH, None, self.nulls))
        return sorted(found, key=lambda v: (-v.writes, v.value))

    def variety(self) -> float:
        """The number of equally frequent values that would be as concentrated (inverse Simpson index)."""
        squares = sum(count * count for count, _ in self.counts.values()) + self.others + self.nulls**2
        return self.writes * self.writes / squares if squares else 0.0

    def state(self) -> Any:
        return [
            self.writes,
            self.nulls,
            self.unknown,
            self.others,
            [self.flipped, self.again, self.befores_others],
            list(self.befores.items()),
            list(self.shapes.items()),
            [[value, count, text.decode("latin-1")] for value, (count, text) in self.counts.items()],
        ]

    @classmethod
    def restored(cls, state: Any) -> FieldTally:
        made = cls()
        made.writes, made.nulls, made.unknown, made.others, more, befores, shapes, counts = state
        made.flipped, made.again, made.befores_others = more
        made.befores, made.shapes = dict(befores), dict(shapes)
        made.counts = {value: [count, text.encode("latin-1")] for value, count, text in counts}
        return made


Tallies = dict[int, FieldTally]


def fold(tallies: Tallies, chunk: FieldRows) -> None:
    """Add one chunk's field rows to the tallies of their fields."""
    if not len(chunk):
        return
    flags, fields = chunk["flag"], chunk["field"]
    # One sort for all fields: a value counts by field, and null and unknown are values of their own.
    mark = fields.astype(np.uint64) * _FIELD_MARK + flags * _FLAG_MARK
    _, first, counts = np.unique(chunk["value"] + mark, return_index=True, return_counts=True)
    for at, count, field, flag, value in zip(
        first.tolist(),
        counts.tolist(),
        fields[first].tolist(),
        flags[first].tolist(),
        chunk["value"][first].tolist(),
        strict=True,
    ):
        tally = tallies.get(field)
        if tally is None:
            tally = tallies[field] = FieldTally()
        if flag == UNKNOWN:
            tally.unknown += count
            continue
        tally.writes += count
        entry = tally.counts.get(value)
        if flag == NULL:
            tally.nulls += count
        elif entry is not None:
            entry[0] += count
        elif count >= REPEATS_MIN:
            tally.counts[value] = [count, bytes(chunk["text"][at])]
        else:
            tally.others += count
    _fold_befores(tallies, chunk)
    _fold_shapes(tallies, chunk)
    for tally in tallies.values():
        if len(tally.counts) > VALUES_MAX:
            _make_room(tally)


def _fold_befores(tallies: Tallies, chunk: FieldRows) -> None:
    """What was replaced, what came back, and what other records have too."""
    for name, least in (("flips", FLIPS_MIN), ("again", 1)):
        for field, count in _counted(chunk["field"][chunk[name] >= least]):
            tally = tallies[field]
            if name == "flips":
                tally.flipped += count
            else:
                tally.again += count
    known = np.flatnonzero(chunk["before"])
    if not len(known):
        return
    both = chunk["field"][known].astype(np.int64) << 32 | chunk["before"][known]
    for one, count in _counted(both):
        tally, value = tallies[one >> 32], one & 0xFFFFFFFF
        if value in tally.befores or (count >= REPEATS_MIN and len(tally.befores) < VALUES_MAX):
            tally.befores[value] = tally.befores.get(value, 0) + count
        else:
            tally.befores_others += count


def _fold_shapes(tallies: Tallies, chunk: FieldRows) -> None:
    for one, count in _counted(chunk["field"].astype(np.int64) << 16 | chunk["shape"]):
        shapes, shape = tallies[one >> 16].shapes, one & 0xFFFF
        if shape in shapes or len(shapes) < SHAPES_MAX:
            shapes[shape] = shapes.get(shape, 0) + count


def _counted(column: Any) -> list[tuple[int, int]]:
    if not len(column):
        return []
    found, counts = np.unique(column, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def join(pieces: list[FieldRows]) -> FieldRows:
    """One array of several pieces of field rows."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return np.zeros(0, FIELD_ROWS)
    # As plain bytes: numpy compares the layouts of structured arrays again in each concatenation.
    return np.concatenate([piece.view(_PLAIN_ROWS) for piece in pieces]).view(FIELD_ROWS)


def _make_room(tally: FieldTally) -> None:
    """Drop the least frequent values."""
    surplus = len(tally.counts) - VALUES_MAX
    for count, value in sorted((entry[0], value) for value, entry in tally.counts.items())[:surplus]:
        del tally.counts[value]
        tally.others += count
