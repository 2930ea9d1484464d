"""A batch as the detector takes it: codes and hashes instead of texts, made once per batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.kinds import FULL_STATE_KINDS
from cdc.change.origin import Origin
from cdc.ports.columns import ColumnBatch

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

NOT_EVIDENCE = frozenset(
    {
        "LastModifiedDate",
        "LastModifiedById",
        "SystemModstamp",
        "LastViewedDate",
        "LastReferencedDate",
        "LastActivityDate",
    }
)
"""Fields that move by themselves with every change or every look."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of few different texts: `codes[i]` is the place of row i's text in `names`."""

    codes: I32
    names: list[str]

    @classmethod
    def of(cls, column: Any, rows: int) -> Texts:
        """From an Arrow array, chunked or not; null is the empty text, None a column of empty texts."""
        if column is None:
            return cls(np.zeros(rows, np.int32), [""])
        array = flat(column)
        if array.null_count:
            array = pc.fill_null(array, "")
        encoded = array.dictionary_encode()
        return cls(np.asarray(encoded.indices).astype(np.int32), encoded.dictionary.to_pylist())


@dataclass(frozen=True, slots=True)
class DetectBatch:
    """Changes in ordinal order, and the fields they gave values, in long form with `field_row` ascending.

    `full_state` marks rows read by a query: they teach what exists and are never evidence. `null` and
    `known` are as in FieldColumns; `value` of a null or unknown one means nothing. Times in epoch ms.
    """

    entity: Texts
    kind: Texts
    user: Texts
    origin: Texts
    client: Texts
    record_id: pa.Array
    transaction: pa.Array
    committed_at: I64
    ordinal: I64
    full_state: Mask
    field_row: I64
    field: Texts
    value: pa.Array
    null: Mask
    known: Mask

    @property
    def rows(self) -> int:
        return len(self.committed_at)

    def part(self, start: int, stop: int) -> DetectBatch:
        """Rows `start` to before `stop`, as a batch of their own."""
        low, high = (int(at) for at in np.searchsorted(self.field_row, [start, stop]))

        def some(texts: Texts, a: int, b: int) -> Texts:
            return Texts(texts.codes[a:b], texts.names)

        return DetectBatch(
            entity=some(self.entity, start, stop),
            kind=some(self.kind, start, stop),
            user=some(self.user, start, stop),
            origin=some(self.origin, start, stop),
            client=some(self.client, start, stop),
            record_id=self.record_id.slice(start, stop - start),
            transaction=self.transaction.slice(start, stop - start),
            committed_at=self.committed_at[start:stop],
            ordinal=self.ordinal[start:stop],
            full_state=self.full_state[start:stop],
            field_row=self.field_row[low:high] - start,
            field=some(self.field, low, high),
            value=self.value.slice(low, high - low),
            null=self.null[low:high],
            known=self.known[low:high],
        )


def from_columns(batch: ColumnBatch) -> DetectBatch:
    """The columns the detector looks at. A DELETE that a scan found is a full state too."""
    changes, fields = batch.changes, batch.fields
    rows = changes.num_rows
    kind = Texts.of(changes["kind"], rows)
    full_state = of_full_states(kind) | np.asarray(pc.is_valid(flat(changes["scan_id"]))).astype(bool)
    value = flat(fields["value"])
    return DetectBatch(
        entity=Texts.of(changes["entity"], rows),
        kind=kind,
        user=Texts.of(changes["user_id"], rows),
        origin=Texts.of(changes["origin"], rows),
        client=Texts.of(changes["client"], rows),
        record_id=flat(changes["record_id"]),
        transaction=flat(changes["transaction_key"]),
        committed_at=np.asarray(flat(changes["committed_at"])),
        ordinal=np.asarray(flat(changes["ordinal"])),
        full_state=full_state,
        field_row=np.asarray(flat(fields["row"])),
        field=Texts.of(fields["field"], fields.num_rows),
        value=value,
        null=np.asarray(value.is_null()).astype(bool),
        known=np.asarray(flat(fields["known"])).astype(bool),
    )


def of_full_states(kind: Texts) -> Mask:
    """Which rows were read by a query, by their kind."""
    full = np.array([name in FULL_STATE_KINDS for name in kind.names] or [False], bool)
    return full[kind.codes] if len(kind.codes) else np.zeros(0, bool)


def flat(column: Any) -> pa.Array:
    """One plain array; texts as `string`, whatever kind of text they came as."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps what is too large for one array
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type) or pa.types.is_large_string(array.type) or array.type == pa.string_view():
        array = array.cast(pa.string())
    return array


def origin_class(origin: str, client: str) -> str:
    """Who-like part of an origin: the api without its version, and the client up to its first slash.

    Empty is a class of its own: most asynchronous automation says nothing (protocol reference 2.10).
    """
    api = Origin(origin, client).api or origin
    name = client.partition("/")[0]
    return f"{api};{name}" if name else api
