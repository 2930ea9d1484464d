"""The same streams in other clothes: what was tuned on one org's names and habits must hold for another's.

A disguise changes what a detector must not depend on (names of entities, fields and clients, prefixes of ids, the
hour of the day, the day of the week), or takes away what an org may not have (origins, full reads, nightly jobs,
most of ordinary life). What is true of the stream stays true: labels are translated with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.scenario.blocks import DAY, HOUR
from tests.scenario.incidents import Label
from tests.scenario.stream import Stream

KEPT_NAMES = ("User",)
"""What says who may do what has its name from Salesforce in every org."""


@dataclass(frozen=True)
class Disguise:
    """`kept` is the share of the ordinary changes of people that stays."""

    renamed: bool = False
    origins: bool = True
    baseline: bool = True
    nightly: bool = True
    shifted_ms: int = 0
    kept: float = 1.0


DISGUISES = {
    "other names": Disguise(renamed=True, shifted_ms=3 * DAY + 11 * HOUR),
    "no origins": Disguise(origins=False),
    "no full reads": Disguise(baseline=False),
    "no nightly jobs": Disguise(nightly=False),
    "half as busy": Disguise(kept=0.5),
}


def other_name(name: str, suffix: str = "__c") -> str:
    return f"Q{zlib.crc32(name.encode()) % 10**6:06d}{suffix}"


class Disguised:
    """A stream as `score.run` takes it."""

    def __init__(self, stream: Stream, disguise: Disguise) -> None:
        self.spec, self.weeks, self.learning = stream.spec, stream.weeks, stream.learning
        self.judged_from = stream.judged_from + disguise.shifted_ms
        self._stream, self._disguise = stream, disguise

    @property
    def labels(self) -> list[Label]:
        """Complete once all tables were taken."""
        if not self._disguise.renamed:
            return self._stream.labels
        return [
            replace(
                label,
                entities=tuple(map(_entity, label.entities)),
                fields=tuple(map(other_name, label.fields)),
            )
            if "User" not in label.entities
            else label
            for label in self._stream.labels
        ]

    def tables(self) -> Iterator[pa.Table]:
        random = np.random.default_rng(self.spec.seed)
        for table in self._stream.tables():
            made = self._less(table, random)
            if made.num_rows:
                yield self._dressed(made)

    def _less(self, table: pa.Table, random: np.random.Generator) -> pa.Table:
        given = self._disguise
        plain = np.asarray(table["label"]) == 0
        kind = np.asarray(pc.equal(table["kind"], "BASELINE"))
        keep = np.ones(table.num_rows, bool)
        if not given.baseline:
            keep &= ~kind
        special = np.asarray(pc.starts_with(table["user_id"], "005S"))
        if given.kept < 1:
            keep &= ~(plain & ~kind & ~special & (random.random(table.num_rows) >= given.kept))
        if not given.nightly:
            no_client = np.asarray(pc.equal(pc.fill_null(table["client"], ""), ""))
            keep &= ~(plain & ~kind & special & no_client)
        return table.filter(pa.array(keep))

    def _dressed(self, table: pa.Table) -> pa.Table:
        given = self._disguise
        if given.shifted_ms:
            at = pc.add(table["committed_at"].cast(pa.int64()), given.shifted_ms)
            table = _with(table, "committed_at", at.cast(table.schema.field("committed_at").type))
        if not given.origins:
            empty = pa.array([""] * table.num_rows)
            table = _with(_with(table, "origin", empty), "client", empty)
        if given.renamed:
            table = self._renamed(table)
        return table

    def _renamed(self, table: pa.Table) -> pa.Table:
        plain = np.asarray(pc.not_equal(table["entity"], "User"))
        mask = pa.array(plain)
        table = _with(
            table,
            "record_id",
            pc.if_else(mask, pc.binary_join_element_wise("z", table["record_id"], ""), table["record_id"]),
        )
        table = _with(table, "client", _mapped(table["client"], lambda c: c and other_name(c, "/1.0")))
        table = _with(table, "entity", _mapped(table["entity"], _entity))
        for column in ("changed_fields", "nulled_fields", "values"):
            table = _with(table, column, _fields_renamed(table[column], plain))
        return table


def _entity(name: str) -> str:
    return name if name in KEPT_NAMES else other_name(name)


def _mapped(column: pa.ChunkedArray, name: Callable[[str], str]) -> pa.Array:
    encoded = column.combine_chunks().cast(pa.string()).dictionary_encode()
    names = pa.array([None if n is None else name(n) for n in encoded.dictionary.to_pylist()], pa.string())
    return names.take(encoded.indices)


def _fields_renamed(column: pa.ChunkedArray, plain: np.ndarray) -> pa.Array:
    """Field names in lists, or as keys of maps, of the rows that are renamed."""
    whole = column.combine_chunks()
    offsets = np.asarray(whole.offsets)
    first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
    is_map = isinstance(whole, pa.MapArray)
    names = (whole.keys if is_map else whole.values).slice(first, count)
    wanted = pa.array(np.repeat(plain, np.diff(offsets)))
    changed = pc.if_else(wanted, _mapped(pa.chunked_array([names]), other_name), names)
    starts = pa.array(offsets - first, pa.int32())
    if is_map:
        return pa.MapArray.from_arrays(starts, changed, whole.items.slice(first, count))
    return pa.ListArray.from_arrays(starts, changed)


def _with(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)
