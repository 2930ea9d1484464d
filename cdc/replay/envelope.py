"""What a step of a replay looks like to the one who takes it: our own form, or Debezium's.

`change` is the event with the record before and after it, fields by their paths in events. `debezium` is the envelope
its sinks and loaders take (documentation of Debezium's connectors, "Data change events"): `before`, `after`, `source`,
`op`, `ts_ms`, `transaction`, with fields by the names queries use and values of their types, and the schema beside
them in the form of Kafka Connect's JSON converter where asked for.

A field that is not known is in neither `before` nor `after`, nor in their schemas: a null would be a lie. The fields
that a change made unknown are named in `source.unknown_fields`; `*` is all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from cdc import __version__
from cdc.answer.fields import Field, Fields
from cdc.replay.images import Image
from cdc.replay.stream import SNAPSHOT, Place, Step

CONNECTOR = "salesforce"
EPOCH = datetime(1970, 1, 1)
EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Message:
    """`key` None: it concerns no single record. `value` None is a tombstone. `committed_ms` None: no time is known."""

    place: Place
    entity: str
    record_id: str
    kind: str
    key: Mapping[str, Any] | str | None
    value: Mapping[str, Any] | None
    committed_ms: int | None


class ChangeEnvelope:
    """Our own form: a line a step, nothing left out."""

    name = "change"
    has_tombstones = False

    def messages(self, step: Step) -> list[Message]:
        event = step.event
        value = {
            **{name: event[name] for name in _CHANGE},
            "before": _image(step.before),
            "after": _image(step.after),
        }
        return [_message(step, event["record_id"], value)]


_CHANGE = (
    "seq", "entity", "record_id", "kind", "committed_at", "effective_at", "transaction_key", "sequence_number",
    "commit_number", "user_id", "client", "origin", "event_id", "replay_id", "source", "changed_fields",
    "nulled_fields", "unknown_fields",
)  # fmt: skip

_OPERATIONS: Mapping[str, str] = {
    "CREATE": "c", "GAP_CREATE": "c", "UNDELETE": "c", "GAP_UNDELETE": "c", "UPDATE": "u", "GAP_UPDATE": "u",
    "DELETE": "d", "GAP_DELETE": "d", "READ": "r",
}  # fmt: skip


@dataclass(slots=True)
class DebeziumEnvelope:
    """Debezium's form. `fields_of` gives an entity's fields; `with_schema` puts the schema into every message;
    `has_tombstones` adds an empty message behind each delete, as Debezium does in Kafka."""

    org: str
    fields_of: Callable[[str], Fields]
    with_schema: bool = True
    has_tombstones: bool = False
    name: str = "debezium"
    _columns: dict[str, dict[str, _Column]] = field(default_factory=dict)
    _schemas: dict[tuple[str, frozenset[str], frozenset[str]], dict[str, Any]] = field(default_factory=dict)

    def messages(self, step: Step) -> list[Message]:
        """None for what names no record, or of which neither fields nor a status are known."""
        event = step.event
        operation = self._operation(step)
        if operation is None:
            return []
        entity, record_id = event["entity"], event["record_id"]
        before = self._row(entity, record_id, step.before) if operation != "r" else None
        after = self._row(entity, record_id, step.after) if operation != "d" else None
        committed_ms = _millis(event["committed_at"])
        payload = {
            "before": before,
            "after": after,
            "source": self._source(step, committed_ms),
            "op": operation,
            "ts_ms": committed_ms,
            "transaction": _transaction(event),
        }
        value = self._framed(entity, payload)
        key = (
            {"schema": _key_schema(self.org, entity), "payload": {"Id": record_id}}
            if self.with_schema
            else None
        )
        messages = [_message(step, key or {"Id": record_id}, value)]
        if operation == "d" and self.has_tombstones:
            messages.append(_message(step, key or {"Id": record_id}, None))
        return messages

    def _operation(self, step: Step) -> str | None:
        if step.after is None:
            return None
        if step.event["kind"] != "READ":
            return _OPERATIONS.get(step.event["kind"])
        if step.after.status == "deleted":
            return "d"
        return None if step.after.status == "unknown" else "r"

    def _row(self, entity: str, record_id: str, image: Image | None) -> dict[str, Any] | None:
        if image is None or image.status == "deleted":
            return None
        columns = self._columns_of(entity)
        row: dict[str, Any] = {"Id": record_id}
        for path, text in sorted(image.fields.items()):
            column = columns.get(path) or self._new_column(entity, path)
            row[column.name] = None if text is None else column.value(text)
        return row

    def _columns_of(self, entity: str) -> dict[str, _Column]:
        if entity not in self._columns:
            fields = self.fields_of(entity).by_path.values()
            self._columns[entity] = {f.path: _column(f) for f in fields}
        return self._columns[entity]

    def _new_column(self, entity: str, path: str) -> _Column:
        column = _column(Field(path, path.replace(".", "_")))
        self._columns[entity][path] = column
        return column

    def _source(self, step: Step, committed_ms: int | None) -> dict[str, Any]:
        event = step.event
        unknown = list(event["unknown_fields"])
        if event["kind"].startswith("GAP_"):
            unknown = ["*"]
        columns = self._columns_of(event["entity"])
        names = [columns[path].name if path in columns else path for path in unknown]
        return {
            "version": __version__,
            "connector": CONNECTOR,
            "name": self.org,
            "ts_ms": committed_ms or 0,
            "snapshot": "true" if step.place.rank == SNAPSHOT else "false",
            "db": self.org,
            "sequence": None if event["seq"] is None else str(event["seq"]),
            "table": event["entity"],
            "kind": event["kind"],
            "record_source": event["source"],
            "event_id": event["event_id"],
            "replay_id": event["replay_id"],
            "transaction_key": event["transaction_key"],
            "user_id": event["user_id"],
            "client": event["client"],
            "origin": event["origin"],
            "changed_fields": ",".join(event["changed_fields"] or ()),
            "unknown_fields": ",".join(names),
        }

    def _framed(self, entity: str, payload: dict[str, Any]) -> dict[str, Any]:
        if not self.with_schema:
            return payload
        shapes = tuple(frozenset(payload[side] or ()) for side in ("before", "after"))
        known = (entity, shapes[0], shapes[1])
        if known not in self._schemas:
            if len(self._schemas) >= SCHEMAS_MAX:
                self._schemas.clear()
            self._schemas[known] = self._schema(entity, payload)
        return {"schema": self._schemas[known], "payload": payload}

    def _schema(self, entity: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        kinds = {column.name: column.schema for column in self._columns_of(entity).values()}
        full = f"{self.org}.{entity}"
        row = {}
        for side in ("before", "after"):
            names = sorted((payload[side] or {"Id": None}).keys() - {"Id"})
            fields = [_ID, *({"field": name, "optional": True, **kinds[name]} for name in names)]
            row[side] = {
                "type": "struct", "fields": fields, "optional": True, "name": f"{full}.Value", "field": side,
            }  # fmt: skip
        return {
            "type": "struct",
            "fields": [
                row["before"],
                row["after"],
                {**_SOURCE, "field": "source"},
                {"type": "string", "optional": False, "field": "op"},
                {"type": "int64", "optional": True, "field": "ts_ms"},
                {**_TRANSACTION, "field": "transaction"},
            ],
            "optional": False,
            "name": f"{full}.Envelope",
            "version": 1,
        }


SCHEMAS_MAX = 1_000
"""Schemas kept: one for each set of known fields that was met."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    schema: Mapping[str, Any]
    value: Callable[[str], Any]


def _column(described: Field) -> _Column:
    schema, value = _TYPES.get(described.type, ({"type": "string"}, str))
    return _Column(described.name, schema, _or_text(value))


def _or_text(value: Callable[[str], Any]) -> Callable[[str], Any]:
    """What does not read as its type is null for a typed column, rather than the end of the replay."""

    def read(text: str) -> Any:
        try:
            return value(text)
        except (ValueError, OverflowError):
            return None

    return read


_DOUBLE = ({"type": "double"}, float)
_INT = ({"type": "int64"}, int)
_TYPES: Mapping[str, tuple[Mapping[str, Any], Callable[[str], Any]]] = {
    "boolean": ({"type": "boolean"}, lambda text: text == "true"),
    "double": _DOUBLE,
    "currency": _DOUBLE,
    "percent": _DOUBLE,
    "int": _INT,
    "integer": _INT,
    "long": _INT,
    "date": (
        {"type": "int32", "name": "io.debezium.time.Date", "version": 1},
        lambda text: date.fromisoformat(text).toordinal() - EPOCH_DAY,
    ),
    "datetime": ({"type": "string", "name": "io.debezium.time.ZonedTimestamp", "version": 1}, str),
    "time": ({"type": "string", "name": "io.debezium.time.ZonedTime", "version": 1}, str),
}

_ID = {"type": "string", "optional": False, "field": "Id"}


def _text(name: str, optional: bool = True) -> dict[str, Any]:
    return {"type": "string", "optional": optional, "field": name}


_SOURCE = {
    "type": "struct",
    "fields": [
        *(_text(name, optional=False) for name in ("version", "connector", "name")),
        {"type": "int64", "optional": False, "field": "ts_ms"},
        {
            "type": "string", "optional": True, "name": "io.debezium.data.Enum", "version": 1,
            "parameters": {"allowed": "true,last,false,incremental"}, "default": "false", "field": "snapshot",
        },
        _text("db", optional=False),
        _text("sequence"),
        _text("table", optional=False),
        *(
            _text(name)
            for name in (
                "kind", "record_source", "event_id", "replay_id", "transaction_key", "user_id", "client", "origin",
                "changed_fields", "unknown_fields",
            )
        ),
    ],
    "optional": False,
    "name": "cdc.connector.salesforce.Source",
}  # fmt: skip

_TRANSACTION = {
    "type": "struct",
    "fields": [
        _text("id", optional=False),
        {"type": "int64", "optional": False, "field": "total_order"},
        {"type": "int64", "optional": False, "field": "data_collection_order"},
    ],
    "optional": True,
    "name": "event.block",
    "version": 1,
}


def _transaction(event: Mapping[str, Any]) -> dict[str, Any] | None:
    if not event["transaction_key"]:
        return None
    order = event["sequence_number"] or 1
    return {"id": event["transaction_key"], "total_order": order, "data_collection_order": order}


def _key_schema(org: str, entity: str) -> dict[str, Any]:
    return {"type": "struct", "fields": [_ID], "optional": False, "name": f"{org}.{entity}.Key"}


def _message(step: Step, key: Mapping[str, Any] | str | None, value: Mapping[str, Any] | None) -> Message:
    event = step.event
    return Message(
        step.place,
        event["entity"],
        event["record_id"],
        event["kind"],
        key,
        value,
        _millis(event["committed_at"]),
    )


def _image(image: Image | None) -> dict[str, Any] | None:
    return None if image is None else {"status": image.status, "fields": dict(sorted(image.fields.items()))}


def _millis(instant: str | None) -> int | None:
    if instant is None:
        return None
    moment = datetime.fromisoformat(instant).astimezone(UTC).replace(tzinfo=None)
    return round((moment - EPOCH).total_seconds() * 1000)


def as_line(value: Mapping[str, Any] | Sequence[Any] | str | None) -> bytes:
    """Compact JSON; a key that is a text stays one."""
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


Envelope = ChangeEnvelope | DebeziumEnvelope
