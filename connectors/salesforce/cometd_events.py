"""A CometD event's JSON as the Avro body that Pub/Sub would have sent: one encoder a schema.

The bitmaps are built from the names in `changedFields`, an explicit null becomes a bit of `nulledFields`,
`{"diff": …}` becomes the text and a bit of `diffFields`, ISO times become epoch milliseconds. A field that is
named without a value stays null and is not nulled: it is hidden from this user (Change Data Capture Developer
Guide, "Differences between Pub/Sub API and CometD").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any

import fastavro

from cdc.avro.schema import HEADER, EventSchema
from cdc.avro.types import Array, AvroType, Enum, Primitive, Record, RecordField, beside_null
from cdc.change.bitmap import BitmapError
from cdc.errors import Undecodable

DIFF = frozenset({"diff"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field of the body is read: its converter, and those of its parts if it is compound."""

    name: str
    convert: Convert | None  # None: it is compound and never a plain value
    parts: Mapping[str, Convert]


class EventEncoder:
    """Encodes events of one schema. Errors of `encode`: Undecodable, when the JSON does not fit the schema."""

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        fields = schema.root.fields
        header = fields[0].type if schema.is_change_event else None
        self._header = header.fields if isinstance(header, Record) else ()
        body = fields[1:] if schema.is_change_event else fields
        self._fields = tuple(_field(field) for field in body)
        self._by_name = {field.name: field for field in self._fields}

    def encode(self, payload: Any) -> bytes:
        """The Avro body of a payload."""
        try:
            if not isinstance(payload, dict):
                raise ValueError("the payload is no object")
            unknown = payload.keys() - self._by_name.keys() - {HEADER}
            if unknown:
                raise ValueError(f"the schema has no field {min(unknown)}")
            values, nulls, diffs = self._body(payload)
            if self._schema.is_change_event:
                values[HEADER] = self._told(payload[HEADER], payload, nulls, diffs)
            out = BytesIO()
            fastavro.schemaless_writer(out, self._schema.reader, values)
            return out.getvalue()
        except (BitmapError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise Undecodable(
                f"the event's JSON does not fit its schema: {type(error).__name__}: {error}",
                where=f"schema {self._schema.schema_id}",
            ) from error

    def _body(self, payload: Mapping[str, Any]) -> tuple[dict[str, Any], set[str], list[str]]:
        """Values by field, the paths that are explicitly null, and those that came as a diff."""
        values: dict[str, Any] = {}
        nulls: set[str] = set()
        diffs: list[str] = []
        for field in self._fields:
            if field.name not in payload:
                values[field.name] = None
                continue
            value = payload[field.name]
            if value is None:
                nulls.add(field.name)
                nulls.update(f"{field.name}.{part}" for part in field.parts)
                values[field.name] = None
            elif isinstance(value, dict) and field.parts and value.keys() != DIFF:
                values[field.name] = _compound(field, value, nulls)
            elif field.convert is None:
                raise ValueError(f"{field.name} is compound and came as {type(value).__name__}")
            elif isinstance(value, dict) and value.keys() == DIFF:
                values[field.name] = str(value["diff"])
                diffs.append(field.name)
            else:
                values[field.name] = field.convert(value)
        return values, nulls, diffs

    def _told(
        self, header: Mapping[str, Any], payload: Mapping[str, Any], nulls: set[str], diffs: Sequence[str]
    ) -> dict[str, Any]:
        """The header with its bitmaps."""
        changed: list[str] = []
        update = header["changeType"] == "UPDATE"
        names = header.get("changedFields")
        if names is None and update:  # versions before 47 do not say it: what is in the body has changed
            names = [name for name in payload if name != HEADER]
        for name in names or ():
            changed += self._expanded(str(name), payload)
        nulled = [path for path in changed if path in nulls] if update else []
        bitmaps = self._schema.bitmaps
        out: dict[str, Any] = {
            "changedFields": bitmaps.encode(changed),
            "nulledFields": bitmaps.encode(nulled),
            "diffFields": bitmaps.encode(diffs),
        }
        for field in self._header:
            if field.name not in out:
                out[field.name] = _header_value(field, header.get(field.name))
        return out

    def _expanded(self, name: str, payload: Mapping[str, Any]) -> list[str]:
        """A compound field that is named as a whole stands for its parts."""
        field = self._by_name.get(name)
        if field is None or not field.parts:
            return [name]
        value = payload.get(name)
        if field.convert is not None and not isinstance(value, dict):
            return [name]
        return [f"{name}.{part}" for part in field.parts]


def _field(field: RecordField) -> _Field:
    branches = beside_null(field.type)
    records = [branch for branch in branches if isinstance(branch, Record)]
    plain = [branch for branch in branches if not isinstance(branch, Record)]
    parts: dict[str, Convert] = {}
    if records:
        parts = {part.name: _converter(beside_null(part.type)[0], part.doc) for part in records[0].fields}
    return _Field(field.name, _converter(plain[0], field.doc) if plain else None, parts)


def _compound(field: _Field, value: Mapping[str, Any], nulls: set[str]) -> dict[str, Any] | None:
    unknown = value.keys() - field.parts.keys()
    if unknown:
        raise ValueError(f"{field.name} has no part {min(unknown)}")
    nulls.update(f"{field.name}.{part}" for part, held in value.items() if held is None)
    held = {
        name: convert(value[name]) if value.get(name) is not None else None
        for name, convert in field.parts.items()
    }
    return held if any(one is not None for one in held.values()) else None


def _header_value(field: RecordField, value: Any) -> Any:
    match field.type:
        case Array():
            if value is not None and not isinstance(value, list):
                raise ValueError(f"{field.name} of the header is no list")
            return [str(one) for one in value or ()]
        case Primitive("string"):
            return "" if value is None else str(value)
        case Enum():
            return str(value)
    return int(value)


def _converter(type_: AvroType, doc: str) -> Convert:
    """How a JSON value becomes what Avro writes; times by what the doc says they are."""
    match type_:
        case Primitive("string") | Enum():
            return _text
        case Primitive("boolean"):
            return _boolean
        case Primitive("double" | "float"):
            return float
        case Primitive("int" | "long"):
            return {
                "DateTime": _instant, "DateOnly": _day, "Birthday": _day, "TimeOnly": _time_of_day
            }.get(doc, _whole)  # fmt: skip
        case Array():
            return _names
    return _as_is  # a shape Salesforce does not use today: Avro's own writer takes it or refuses it


def _as_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{type(value).__name__} in place of a text")
    return str(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{type(value).__name__} in place of true or false")
    return value


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or (isinstance(value, float) and number != value):
        raise ValueError(f"{value!r} in place of a whole number")
    return number


def _names(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else str(value).split(";")


def _instant(value: Any) -> int:
    if isinstance(value, str):
        return _since_epoch(datetime.fromisoformat(value))
    return _whole(value)


def _since_epoch(when: datetime) -> int:
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // _MS


def _day(value: Any) -> int:
    if isinstance(value, str) and len(value) == len("2026-11-23"):
        return _since_epoch(datetime.combine(date.fromisoformat(value), time()))
    return _instant(value)


def _time_of_day(value: Any) -> int:
    if isinstance(value, str) and "T" not in value:
        at = time.fromisoformat(value)
        return _since_epoch(datetime.combine(_EPOCH.date(), at.replace(tzinfo=None)))
    return _instant(value)
