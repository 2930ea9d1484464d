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

REPEATS_MIN = 2
"""How often a value must stand in one chunk to be counted by itself."""

KNOWN, NULL, UNKNOWN = 0, 1, 2

FIELD_ROWS = np.dtype(
    [("value", "<u8"), ("field", "<i4"), ("row", "<i4"), ("flag", "u1"), ("text", f"S{TEXT_BYTES}")]
)
"""One field written by one change: `row` is the change's place in its episode."""

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

    __slots__ = ("counts", "nulls", "others", "unknown", "writes")

    def __init__(self) -> None:
        self.writes = 0  # known values and nulls
        self.nulls = 0
        self.unknown = 0
        self.others = 0
        self.counts: dict[int, list[Any]] = {}  # hash -> [count, text]

    def copy(self) -> FieldTally:
        made = FieldTally()
        made.writes, made.nulls, made.unknown, made.others = (
            self.writes,
            self.nulls,
            self.unknown,
            self.others,
        )
        made.counts = {value: list(entry) for value, entry in self.counts.items()}
        return made

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
            [[value, count, text.decode("latin-1")] for value, (count, text) in self.counts.items()],
        ]

    @classmethod
    def restored(cls, state: Any) -> FieldTally:
        made = cls()
        made.writes, made.nulls, made.unknown, made.others, counts = state
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
    for tally in tallies.values():
        if len(tally.counts) > VALUES_MAX:
            _make_room(tally)


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
