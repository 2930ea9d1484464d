"""What must be known of an event to number, key and split it, read from the beginning of its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cdc.avro.rows import decode_rows
from cdc.avro.schema import EventSchema

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeaderColumns:
    """One entry per payload, in order; of a payload in `reasons` 0 and "".

    `committed_at` is epoch ms (of a platform event its creation time, 0 where it has none). `ids` holds all
    record ids of a payload. A platform event counts as one record with id "".
    """

    entities: list[str]
    kinds: list[str]
    id_counts: list[int]
    first_ids: list[str]
    committed_at: list[int]
    ids: list[list[str]]
    reasons: Mapping[int, str] = field(default_factory=dict)


def decode_headers(payloads: Sequence[bytes], schema: EventSchema) -> HeaderColumns:
    """The headers of bodies of one schema, without their frame. One that cannot be read spoils no other."""
    if schema.routing_json is None:
        return _nothing(len(payloads))
    rows = decode_rows(payloads, schema.routing_json, whole=False)
    if not schema.is_change_event:
        none = _nothing(len(payloads), rows.reasons)
        committed = _spread(rows.batch.column(0).to_pylist(), len(payloads), rows.reasons, 0)
        return HeaderColumns(
            none.entities, none.kinds, none.id_counts, none.first_ids, committed, none.ids, rows.reasons
        )
    header = rows.batch.column(0)
    ids: list[list[str]] = header.field("recordIds").to_pylist()
    columns = (
        header.field("entityName").to_pylist(),
        header.field("changeType").to_pylist(),
        [len(of_one) for of_one in ids],
        [of_one[0] if of_one else "" for of_one in ids],
        header.field("commitTimestamp").to_pylist(),
        ids,
    )
    if not rows.reasons:
        return HeaderColumns(*columns)
    entities, kinds, counts, firsts, committed, all_ids = (
        _spread(column, len(payloads), rows.reasons, empty)
        for column, empty in zip(columns, ("", "", 0, "", 0, []), strict=True)
    )
    return HeaderColumns(entities, kinds, counts, firsts, committed, all_ids, rows.reasons)


def _spread(column: Sequence[T], length: int, reasons: Mapping[int, str], empty: T) -> list[T]:
    """Values of the readable payloads at their places, `empty` at the others."""
    if not reasons:
        return list(column)
    values = iter(column)
    return [empty if i in reasons else next(values) for i in range(length)]


def _nothing(length: int, reasons: Mapping[int, str] | None = None) -> HeaderColumns:
    return HeaderColumns(
        [""] * length,
        [""] * length,
        [1] * length,
        [""] * length,
        [0] * length,
        [[""]] * length,
        reasons or {},
    )
