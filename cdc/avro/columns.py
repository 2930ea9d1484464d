"""A batch of the log as columns, made once from the bytes.

Records are grouped by schema, each group is decoded and unpivoted at once (`events.py`, `states.py`), and the
parts are put back into the order of the batch, which is the order of ordinals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdc.avro.events import EventColumns
from cdc.avro.framing import unframe
from cdc.avro.own import RECORD_STATE_SCHEMA_ID, decode
from cdc.avro.part import Part, nothing
from cdc.avro.platform import decode_platform_event
from cdc.avro.schema import EventSchema
from cdc.avro.states import StateColumns
from cdc.avro.store import SchemaStore
from cdc.change.names import entity_of_topic
from cdc.errors import Undecodable
from cdc.ports.columns import CHANGE_SCHEMA, FIELD_SCHEMA, PLATFORM_EVENT_SCHEMA, Bad, ColumnBatch
from cdc.ports.log import CONTROL_TOPICS, LogBatch, LogRecord
from cdc.ports.source import COMETD_POSITION

QUARANTINE = "quarantine"

DECODED_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bodies of one schema decoded together: a column of texts must stay under 2 GB, and so must memory."""


REASON_CHARS_MAX: Final = 300

_NO_CHANGES: Final = CHANGE_SCHEMA.empty_table()
_NO_FIELDS: Final = FIELD_SCHEMA.empty_table()
_NO_PLATFORM_EVENTS: Final = PLATFORM_EVENT_SCHEMA.empty_table()


def decode_batch(batch: LogBatch, schemas: SchemaStore, *, source: str = "pubsub") -> ColumnBatch:
    """Changes and fields in ordinal order, platform events, control records, and what could not be read.

    `source` is where the batch's events came from; full states say it themselves, and a position of CometD does. A record that cannot be
    read costs itself only.
    """
    sorted_out = _sort_out(batch.records)
    bad = list(sorted_out.quarantined)
    parts: list[_Placed] = []
    platform_rows: list[tuple[int, tuple[Any, ...]]] = []
    for schema_id, places in sorted_out.groups.items():
        try:
            decoder = _decoder(schema_id, schemas)
        except Undecodable as e:
            bad += [_bad(batch.records[place], e.what, None) for place in places]
            continue
        if isinstance(decoder, EventSchema):
            _platform_events(batch.records, places, decoder, platform_rows, bad)
            continue
        schema = decoder.schema if isinstance(decoder, EventColumns) else None
        for chunk in _chunks(batch.records, places):
            readable, bodies = _bodies(batch.records, chunk, schema, bad)
            if not bodies:
                continue
            for some, part in _decoded(decoder, readable, bodies):
                bad += [_bad(batch.records[some[i]], reason, schema) for i, reason in part.reasons.items()]
                if len(part.kept):
                    parts.append(_Placed(np.array(some, np.int64)[part.kept], part))
    bad.sort(key=lambda one: one.record.ordinal)
    changes, fields = _assemble(batch.records, parts, source)
    return ColumnBatch(
        changes, fields, _platform_table(batch.records, platform_rows), sorted_out.control, bad,
        batch.checkpoint, batch.missing,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """Places (indexes in the batch) by schema id; control records; what capture had put aside."""

    groups: dict[str, list[int]] = field(default_factory=dict)
    control: list[LogRecord] = field(default_factory=list)
    quarantined: list[Bad] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A part, and the place in the batch of each of its rows."""

    places: np.ndarray[Any, np.dtype[np.int64]]
    part: Part


def _sort_out(records: Sequence[LogRecord]) -> _SortedOut:
    found = _SortedOut()
    groups = found.groups
    for place, record in enumerate(records):
        topic = record.topic
        if topic in CONTROL_TOPICS:
            found.control.append(record)
        elif topic == QUARANTINE:
            found.quarantined.append(_put_aside(record))
        else:
            group = groups.get(record.schema_id)
            if group is None:
                groups[record.schema_id] = [place]
            else:
                group.append(place)
    return found


def _decoder(schema_id: str, schemas: SchemaStore) -> EventColumns | StateColumns | EventSchema:
    """What reads records of a schema; the schema itself for platform events. Undecodable."""
    if schema_id == RECORD_STATE_SCHEMA_ID:
        return _state_columns()
    columns = schemas.columns(schema_id)
    return columns if columns.schema.is_change_event else columns.schema


@cache
def _state_columns() -> StateColumns:
    return StateColumns()


def _chunks(records: Sequence[LogRecord], places: list[int]) -> Iterator[list[int]]:
    begin = size = 0
    for at, place in enumerate(places):
        size += len(records[place].value)
        if size > DECODED_BYTES_MAX and at > begin:
            yield places[begin:at]
            begin, size = at, len(records[place].value)
    yield places[begin:]


def _decoded(
    decoder: EventColumns | StateColumns, places: list[int], bodies: list[bytes]
) -> Iterator[tuple[list[int], Part]]:
    """Parts with the places they are from. What the decoder itself stumbles over is looked for by halves: whatever
    a body nobody foresaw does to it, the others are read."""
    try:
        yield places, decoder.decode(bodies)
        return
    except MemoryError:
        raise
    except Exception as error:
        if len(bodies) == 1:
            yield (
                places,
                nothing({0: f"it cannot be decoded: {type(error).__name__}: {error}"[:REASON_CHARS_MAX]}),
            )
            return
    middle = len(bodies) // 2
    yield from _decoded(decoder, places[:middle], bodies[:middle])
    yield from _decoded(decoder, places[middle:], bodies[middle:])


def _bodies(
    records: Sequence[LogRecord], places: list[int], schema: EventSchema | None, bad: list[Bad]
) -> tuple[list[int], list[bytes]]:
    """The bodies, and the places they are from; records without a frame are put to the bad ones."""
    try:
        return places, [unframe(records[place].value) for place in places]
    except Undecodable:
        readable: list[int] = []
        bodies: list[bytes] = []
        for place in places:
            try:
                bodies.append(unframe(records[place].value))
                readable.append(place)
            except Undecodable as e:
                bad.append(_bad(records[place], e.what, schema))
        return readable, bodies


def _assemble(records: Sequence[LogRecord], parts: list[_Placed], source: str) -> tuple[pa.Table, pa.Table]:
    if not parts:
        return _NO_CHANGES, _NO_FIELDS
    places = np.concatenate([placed.places for placed in parts])
    order: np.ndarray[Any, Any] | None = None
    if len(parts) > 1:
        order = np.argsort(places, kind="stable")
        places = places[order]
    columns = _from_log([records[place] for place in places.tolist()])
    for name in CHANGE_SCHEMA.names:
        if name not in columns:
            columns[name] = _column(name, parts, order, source)
    over_cometd = pc.fill_null(pc.starts_with(columns["replay_id"], COMETD_POSITION), False)
    columns["source"] = pc.if_else(over_cometd, "cometd", columns["source"])
    changes = pa.Table.from_arrays([columns[name] for name in CHANGE_SCHEMA.names], schema=CHANGE_SCHEMA)
    return changes, _fields(parts, order)


def _column(name: str, parts: list[_Placed], order: np.ndarray[Any, Any] | None, source: str) -> pa.Array:
    type_ = CHANGE_SCHEMA.field(name).type
    pieces = []
    for placed in parts:
        piece = placed.part.columns.get(name)
        if piece is None:
            length = len(placed.places)
            piece = (
                pa.repeat(pa.scalar(source, pa.string()), length)
                if name == "source"
                else pa.nulls(length, type_)
            )
        pieces.append(piece)
    whole = pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)
    return whole if order is None else whole.take(pa.array(order))


def _fields(parts: list[_Placed], order: np.ndarray[Any, Any] | None) -> pa.Table:
    row, name, value, known = (
        parts[0].part.row,
        parts[0].part.field,
        parts[0].part.value,
        parts[0].part.known,
    )
    if order is not None:
        firsts = np.cumsum([0, *(len(placed.places) for placed in parts[:-1])])
        new_row = np.empty(len(order), np.int64)
        new_row[order] = np.arange(len(order))
        row = np.concatenate([new_row[p.part.row + first] for p, first in zip(parts, firsts, strict=True)])
        by_row = np.argsort(row, kind="stable")
        taken = pa.array(by_row)
        row = row[by_row]
        name = pa.concat_arrays([p.part.field for p in parts]).take(taken)
        value = pa.concat_arrays([p.part.value for p in parts]).take(taken)
        known = np.concatenate([p.part.known for p in parts])[by_row]
    return pa.Table.from_arrays([pa.array(row), name, value, pa.array(known)], schema=FIELD_SCHEMA)


def _from_log(records: Sequence[LogRecord]) -> dict[str, pa.Array]:
    """The columns that come from the log's own headers."""
    (_, _, _, ordinals, _, channels, event_ids, replay_ids, schema_ids, splits, appended) = zip(
        *records, strict=True
    )
    return {
        "ordinal": pa.array(ordinals, pa.int64()),
        "event_id": _texts_or_null(event_ids),
        "replay_id": _bytes_of_hex(replay_ids),
        "schema_id": _texts_or_null(schema_ids),
        "channel": _texts_or_null(channels),
        "received_at": pa.array(appended, pa.int64()),
        "part": _texts_or_null(splits),
    }


def _texts_or_null(texts: Sequence[str]) -> pa.Array:
    return pa.array([text or None for text in texts], pa.string())


def _bytes_of_hex(texts: Sequence[str]) -> pa.Array:
    """All at once: one conversion for the batch, and the offsets from the lengths."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) // 2
    try:
        content = bytes.fromhex("".join(texts))
    except ValueError:
        content = b""
    if len(content) != lengths.sum():
        return pa.array([_bytes_or_none(text) for text in texts], pa.binary())
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    validity = None if lengths.all() else pa.array(lengths > 0).buffers()[1]
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(texts), [validity, pa.py_buffer(offsets), pa.py_buffer(content)]
    )


def _bytes_or_none(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        return None


def _platform_events(
    records: Sequence[LogRecord],
    places: list[int],
    schema: EventSchema,
    rows: list[tuple[int, tuple[Any, ...]]],
    bad: list[Bad],
) -> None:
    for place in places:
        try:
            rows.append((place, decode_platform_event(unframe(records[place].value), schema)))
        except Undecodable as e:
            bad.append(_bad(records[place], e.what, schema))
        except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as e:
            reason = f"it cannot be decoded: {type(e).__name__}: {e}"[:REASON_CHARS_MAX]
            bad.append(_bad(records[place], reason, schema))


def _platform_table(records: Sequence[LogRecord], rows: list[tuple[int, tuple[Any, ...]]]) -> pa.Table:
    if not rows:
        return _NO_PLATFORM_EVENTS
    rows.sort(key=lambda row: row[0])
    columns = _from_log([records[place] for place, _ in rows])
    names, created_at, created_by, payloads = zip(*(event for _, event in rows), strict=True)
    columns |= {
        "name": pa.array(names, pa.string()),
        "created_at": pa.array(created_at, pa.int64()),
        "created_by": pa.array(created_by, pa.string()),
        "payload": pa.array(payloads, pa.string()),
    }
    return pa.Table.from_arrays(
        [columns[name] for name in PLATFORM_EVENT_SCHEMA.names], schema=PLATFORM_EVENT_SCHEMA
    )


def _put_aside(record: LogRecord) -> Bad:
    """What capture could not read, with the reason it gave."""
    try:
        kept: Mapping[str, Any] = decode(QUARANTINE, record.value)
    except ValueError as e:
        return Bad(record, str(e))
    return Bad(record, kept["reason"], kept["entity"], tuple(kept["record_ids"]))


def _bad(record: LogRecord, reason: str, schema: EventSchema | None) -> Bad:
    """Whom it concerns is said by topic and key even where the body says nothing."""
    entity = (schema.entity if schema else "") or entity_of_topic(record.topic) or ""
    return Bad(record, reason, entity, (record.key,) if entity and record.key else ())
