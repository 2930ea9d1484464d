"""An event schema as GetSchema returns it, and the one encoder that knows it.

The schema has the shape of the captured ones: root in com.sforce.eventbus, no logical types, semantics in
`doc`, every field but the header a union with null, named records defined once and then referenced.
The encoder is written by hand: a body is mostly nulls, one zero byte each, so it costs what has changed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from connectors.simulator.bitmaps import bitmaps
from connectors.simulator.fields import Field, Leaf
from connectors.simulator.ids import schema_id
from connectors.simulator.model import CHANGE_TYPES, Published

NAMESPACE = "com.sforce.eventbus"

_NULL = b"\x00"
_ZEROS = bytes(256)
_VALUE_KINDS = frozenset({"CREATE", "UPDATE", "UNDELETE"})
_KIND_BYTES = {kind: bytes([index << 1]) for index, kind in enumerate(CHANGE_TYPES)}

CACHED_STRINGS_MAX = 65_536
CACHED_FIELD_SETS_MAX = 16_384

HEADER_FIELDS: tuple[tuple[str, Any], ...] = (
    ("entityName", "string"),
    ("recordIds", {"type": "array", "items": "string"}),
    ("changeType", {"type": "enum", "name": "ChangeType", "symbols": list(CHANGE_TYPES)}),
    ("changeOrigin", "string"),
    ("transactionKey", "string"),
    ("sequenceNumber", "int"),
    ("commitTimestamp", "long"),
    ("commitNumber", "long"),
    ("commitUser", "string"),
    ("nulledFields", {"type": "array", "items": "string"}),
    ("diffFields", {"type": "array", "items": "string"}),
    ("changedFields", {"type": "array", "items": "string"}),
)

Encoder = Callable[[Any], bytes]


class _Step(NamedTuple):
    """One top-level field to write: `zeros` null fields lie before it."""

    zeros: int
    branch: bytes  # the union branch of a compound; empty for a simple field
    parts: int  # fields of the compound
    leaves: tuple[tuple[int, int, Encoder], ...]  # (part, index into the values, encoder)


class _Plan(NamedTuple):
    steps: tuple[_Step, ...]
    zeros_after: int


class Layout:
    """One immutable version of an entity's event schema. `schema_id` names it for ever."""

    def __init__(self, event_name: str, fields: Sequence[Field]) -> None:
        self.event_name = event_name
        self.fields = tuple(field for field in fields if field.in_events)
        self.schema_json = json.dumps(_schema(event_name, self.fields), separators=(",", ":"))
        self.schema_id = schema_id(self.schema_json)
        self._places: dict[str, tuple[int, int]] = {}
        self._encoders: dict[str, Encoder] = {}
        for top, field in enumerate(self.fields, start=1):
            part_at = {name: index for index, (name, _) in enumerate(field.parts)}
            for leaf in field.leaves():
                self._places[leaf.path] = (top, part_at.get(leaf.part, -1))
                self._encoders[leaf.path] = _ENCODERS[leaf.avro]
        self._compounds = {
            top: (b"\x04" if field.doc_type == "Switchable_PersonName" else b"\x02", len(field.parts))
            for top, field in enumerate(self.fields, start=1)
            if field.parts
        }
        self.paths = tuple(self._places)
        self._rank = {path: rank for rank, path in enumerate(self.paths)}
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._bitmaps: dict[tuple[str, ...], bytes] = {(): _NULL}

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def ordered(self, paths: Collection[str]) -> tuple[str, ...]:
        """Paths in the order of the schema; those it does not have are left out."""
        rank = self._rank
        return tuple(sorted((path for path in paths if path in rank), key=rank.__getitem__))

    def bitmaps(self, paths: Sequence[str]) -> tuple[str, ...]:
        """The bitmap strings that name these paths."""
        top: list[int] = []
        nested: dict[int, list[int]] = {}
        for path in paths:
            field, part = self._places[path]
            if part < 0:
                top.append(field)
            else:
                nested.setdefault(field, []).append(part)
        return bitmaps(top, nested)

    def encode(
        self,
        event: Published,
        *,
        hidden: frozenset[str] = frozenset(),
        record_ids: tuple[str, ...] = (),
        enrichment: dict[str, Any] | None = None,
    ) -> bytes:
        """The Avro body of an event, without container or prefix.

        Values of `hidden` paths are null though changedFields names them (protocol 2.2). `record_ids` and
        `enrichment` are those of one event out of an enriched group (protocol 2.9).
        """
        with_values = event.kind in _VALUE_KINDS
        paths: tuple[str, ...] = event.paths if with_values else ()
        values: Sequence[Any] = event.values if with_values else ()
        changed = nulled = diffed = _NULL
        if event.kind == "UPDATE":
            changed = self._bitmap_bytes(paths)
            if None in values:
                nulled = self._bitmap_bytes(
                    tuple(p for p, v in zip(paths, values, strict=True) if v is None and p not in hidden)
                )
        if event.diffs:
            diffed = self._bitmap_bytes(self.ordered(event.diffs))
            values = [event.diffs.get(path, value) for path, value in zip(paths, values, strict=True)]
        if hidden and not hidden.isdisjoint(paths):
            values = tuple(None if p in hidden else v for p, v in zip(paths, values, strict=True))
        if enrichment:
            merged = dict(enrichment)
            merged.update(zip(paths, values, strict=True))
            paths = self.ordered(merged)
            values = [merged[path] for path in paths]
        return self._header(event, record_ids or event.record_ids, (nulled, diffed, changed)) + self._body(
            paths, values
        )

    def _header(
        self, event: Published, record_ids: tuple[str, ...], bitmaps: tuple[bytes, bytes, bytes]
    ) -> bytes:
        transaction = event.transaction
        return b"".join(
            (
                _string(event.entity),
                _strings(record_ids),
                _KIND_BYTES[event.kind],
                _string(transaction.change_origin),
                _string(transaction.key),
                _long(event.sequence),
                _long(event.committed_at),
                _long(transaction.number),
                _string(transaction.user_id),
                *bitmaps,
            )
        )

    def _body(self, paths: tuple[str, ...], values: Sequence[Any]) -> bytes:
        plan = self._plans.get(paths)
        if plan is None:
            plan = self._plan(paths)
        parts: list[bytes] = []
        for step in plan.steps:
            if step.zeros:
                parts.append(_ZEROS[: step.zeros])
            if not step.branch:
                _, at, encode = step.leaves[0]
                value = values[at]
                parts.append(_NULL if value is None else b"\x02" + encode(value))
            elif all(values[at] is None for _, at, _ in step.leaves):
                parts.append(_NULL)
            else:
                parts.append(step.branch)
                inner = [_NULL] * step.parts
                for part, at, encode in step.leaves:
                    if values[at] is not None:
                        inner[part] = b"\x02" + encode(values[at])
                parts.extend(inner)
        parts.append(_ZEROS[: plan.zeros_after])
        return b"".join(parts)

    def _plan(self, paths: tuple[str, ...]) -> _Plan:
        tops: dict[int, list[tuple[int, int, Encoder]]] = {}
        for at, path in enumerate(paths):
            top, part = self._places[path]
            tops.setdefault(top, []).append((part, at, self._encoders[path]))
        steps = []
        written = 0
        for top in sorted(tops):
            leaves = tuple(tops[top])
            simple = leaves[0][0] < 0
            branch, parts = (b"", 0) if simple else self._compounds[top]
            steps.append(_Step(top - 1 - written, branch, parts, leaves))
            written = top
        plan = _Plan(tuple(steps), len(self.fields) - written)
        if len(self._plans) < CACHED_FIELD_SETS_MAX:
            self._plans[paths] = plan
        return plan

    def _bitmap_bytes(self, paths: tuple[str, ...]) -> bytes:
        made = self._bitmaps.get(paths)
        if made is None:
            made = _strings(self.bitmaps(paths))
            if len(self._bitmaps) < CACHED_FIELD_SETS_MAX:
                self._bitmaps[paths] = made
        return made


def _schema(event_name: str, fields: Sequence[Field]) -> dict[str, Any]:
    defined: set[str] = set()
    header = {
        "name": "ChangeEventHeader",
        "type": {
            "type": "record",
            "name": "ChangeEventHeader",
            "fields": [{"name": name, "type": avro} for name, avro in HEADER_FIELDS],
        },
        "doc": "Data:ComplexValueType",
    }
    body = [
        {
            "name": field.name,
            "type": ["null", *_branches(field, defined)],
            "doc": field.doc,
            "default": None,
        }
        for field in fields
    ]
    return {"type": "record", "name": event_name, "namespace": NAMESPACE, "fields": [header, *body]}


def _branches(field: Field, defined: set[str]) -> list[Any]:
    if not field.parts:
        return [{"type": "array", "items": "string"} if field.avro == "names" else field.avro]
    if field.doc_type in defined:
        record: Any = field.doc_type
    else:
        defined.add(field.doc_type)
        record = {
            "type": "record",
            "name": field.doc_type,
            "fields": [{"name": name, "type": ["null", avro], "default": None} for name, avro in field.parts],
        }
    return ["string", record] if field.doc_type == "Switchable_PersonName" else [record]


def _long(value: int) -> bytes:
    number = value << 1 if value >= 0 else ((-value) << 1) - 1
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=CACHED_STRINGS_MAX)
def _string(value: str) -> bytes:
    raw = value.encode()
    return _long(len(raw)) + raw


def _strings(values: Sequence[str]) -> bytes:
    if not values:
        return _NULL
    return b"".join((_long(len(values)), *map(_string, values), _NULL))


def _boolean(value: bool) -> bytes:
    return b"\x01" if value else _NULL


_double = struct.Struct("<d").pack

_ENCODERS: dict[str, Encoder] = {
    "string": _string,
    "boolean": _boolean,
    "int": _long,
    "long": lru_cache(maxsize=CACHED_STRINGS_MAX)(_long),
    "double": _double,
    "names": _strings,
}


def leaves_of(fields: Sequence[Field]) -> dict[str, Leaf]:
    """Every value of these fields by its path."""
    return {leaf.path: leaf for field in fields for leaf in field.leaves()}
