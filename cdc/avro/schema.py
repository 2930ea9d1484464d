"""One event schema of the bus: what its fields are, what Salesforce means by them, and how bitmaps name them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum as PyEnum
from functools import cached_property
from typing import Any, Final

import fastavro

from cdc.avro.types import (
    Array,
    AvroType,
    Enum,
    Primitive,
    Record,
    RecordField,
    Union,
    beside_null,
    declaration,
    resolve,
)
from cdc.avro.wire import write_long
from cdc.change.bitmap import WHOLE, Bitmaps, FieldTree
from cdc.change.names import entity_of_topic
from cdc.errors import Undecodable

HEADER = "ChangeEventHeader"

TAIL_FIELD: Final = "sfcdc_tail"
TAIL_NUMBER: Final = -0x5A17_C3D9_64B2_F681
TAIL: Final = write_long(TAIL_NUMBER)
"""Put behind each body before it is decoded, and read as one more field: it comes out right only where the
body ends where its schema says. The decoder by itself ignores what is left over."""

_HEADER_FIELDS: Final = {
    "entityName": Primitive("string"),
    "recordIds": Array(Primitive("string")),
    "changeType": Enum,
    "changeOrigin": Primitive("string"),
    "transactionKey": Primitive("string"),
    "sequenceNumber": Primitive("int"),
    "commitTimestamp": Primitive("long"),
    "commitNumber": Primitive("long"),
    "commitUser": Primitive("string"),
    "nulledFields": Array(Primitive("string")),
    "diffFields": Array(Primitive("string")),
    "changedFields": Array(Primitive("string")),
}
_LAST_ROUTING_FIELD: Final = "commitTimestamp"
_CREATED_DATE: Final = "CreatedDate"


class Form(PyEnum):
    """How the value of a leaf becomes text."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DOUBLE = "double"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    NAMES = "names"  # an array of names: joined with ;
    JSON = "json"  # a shape Salesforce does not use today


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of an event: a field, or a part of a compound one.

    `top` is the index of the event's field, `child` that of the part or `WHOLE`. `branch` is the index in
    the union where a field may be a text or a record (Account.Name), else -1. `doc` is Salesforce's type.
    """

    path: str
    top: int
    child: int
    form: Form
    doc: str
    branch: int = -1


@dataclass(frozen=True)
class EventSchema:
    """A schema of the event bus, immutable for its id. Make one with `parse`."""

    schema_id: str
    json_text: str
    root: Record
    is_change_event: bool

    @staticmethod
    def parse(schema_id: str, json_text: str) -> EventSchema:
        """From the text the event bus gives. Undecodable when it cannot be understood."""
        where = f"schema {schema_id}"
        try:
            root = resolve(json.loads(json_text))
        except ValueError as e:
            raise Undecodable(f"the schema is not JSON: {e}", where=where) from e
        except Undecodable as e:
            raise Undecodable(e.what, where=where) from e
        if not isinstance(root, Record) or not root.fields:
            raise Undecodable("the schema is not of a record", where=where)
        is_change = root.fields[0].name == HEADER
        if is_change:
            _check_header(root.fields[0].type, where)
        return EventSchema(schema_id, json_text, root, is_change)

    @property
    def name(self) -> str:
        """The event's name without its namespace, which is also its topic: `AccountChangeEvent`, `Order__e`."""
        return self.root.name.rpartition(".")[2]

    @cached_property
    def entity(self) -> str:
        """The entity whose changes these are; empty for a platform event."""
        return (entity_of_topic(self.name) or "") if self.is_change_event else ""

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every value of the event in schema order, the header's excepted."""
        first = 1 if self.is_change_event else 0
        return tuple(
            leaf
            for top in range(first, len(self.root.fields))
            for leaf in _leaves(self.root.fields[top], top)
        )

    @cached_property
    def tree(self) -> FieldTree:
        """The names bitmaps speak of."""
        nested: dict[int, tuple[str, ...]] = {}
        for top, field in enumerate(self.root.fields):
            parts = _compound(field.type)
            if parts is not None and not (top == 0 and self.is_change_event):
                nested[top] = tuple(part.name for part in parts.fields)
        return FieldTree(tuple(field.name for field in self.root.fields), nested)

    @cached_property
    def bitmaps(self) -> Bitmaps:
        return Bitmaps(self.tree)

    @cached_property
    def body_json(self) -> str:
        """The schema to decode bodies with: names resolved, and the tail behind the last field."""
        tail = RecordField(TAIL_FIELD, Primitive("long"))
        return json.dumps(declaration(Record(self.root.name, (*self.root.fields, tail))))

    @cached_property
    def routing_json(self) -> str | None:
        """The schema of the header up to the commit time, or of a platform event's creation time; else None."""
        first = self.root.fields[0]
        if not self.is_change_event:
            if first.name != _CREATED_DATE or first.type != Primitive("long"):
                return None
            return json.dumps(declaration(Record(self.root.name, (first,))))
        assert isinstance(first.type, Record)
        names = [field.name for field in first.type.fields]
        header = Record(first.type.name, first.type.fields[: names.index(_LAST_ROUTING_FIELD) + 1])
        return json.dumps(declaration(Record(self.root.name, (RecordField(HEADER, header),))))

    @cached_property
    def reader(self) -> Any:
        """The schema as fastavro reads with it, one record at a time."""
        return fastavro.parse_schema(declaration(self.root))


def _check_header(header: AvroType, where: str) -> None:
    if not isinstance(header, Record):
        raise Undecodable(f"{HEADER} is not a record", where=where)
    types = {field.name: field.type for field in header.fields}
    for name, expected in _HEADER_FIELDS.items():
        found = types.get(name)
        fits = isinstance(found, expected) if isinstance(expected, type) else found == expected
        if not fits:
            raise Undecodable(f"{HEADER}.{name} is not what it is known to be", where=where)
    if [field.name for field in header.fields[:2]] != ["entityName", "recordIds"]:
        raise Undecodable(f"{HEADER} does not begin with entityName and recordIds", where=where)


def _compound(type_: AvroType) -> Record | None:
    """The record among the field's branches; None when there is not exactly one."""
    records = [branch for branch in beside_null(type_) if isinstance(branch, Record)]
    return records[0] if len(records) == 1 else None


def _leaves(field: RecordField, top: int) -> list[Leaf]:
    branches = beside_null(field.type)
    parts = _compound(field.type)
    if parts is None or len(branches) > 2:
        return [Leaf(field.name, top, WHOLE, _form(branches, field.doc), field.doc)]
    if len(branches) == 1:
        return [_part(field, part, top, child) for child, part in enumerate(parts.fields)]
    return _switchable(field, parts, top)


def _switchable(field: RecordField, parts: Record, top: int) -> list[Leaf]:
    """A text for a business account, a record for a person: the leaves of both."""
    assert isinstance(field.type, Union)
    leaves = []
    for branch, type_ in enumerate(field.type.branches):
        if type_ == parts:
            leaves += [_part(field, part, top, child, branch) for child, part in enumerate(parts.fields)]
        elif type_ != Primitive("null"):
            leaves.insert(0, Leaf(field.name, top, WHOLE, _form((type_,), ""), field.doc, branch))
    return leaves


def _part(field: RecordField, part: RecordField, top: int, child: int, branch: int = -1) -> Leaf:
    return Leaf(
        f"{field.name}.{part.name}", top, child, _form(beside_null(part.type), part.doc), part.doc, branch
    )


_BY_DOC: Final = {
    "DateTime": Form.DATETIME,
    "DateOnly": Form.DATE,
    "Birthday": Form.DATE,
    "TimeOnly": Form.TIME,
}
_BY_PRIMITIVE: Final = {
    "string": Form.TEXT,
    "boolean": Form.BOOLEAN,
    "int": Form.INTEGER,
    "long": Form.INTEGER,
    "float": Form.DOUBLE,
    "double": Form.DOUBLE,
}


def _form(branches: tuple[AvroType, ...], doc: str) -> Form:
    """What Avro says decides, and among its longs what the doc says: an unknown doc type is still readable."""
    match branches:
        case (Enum(),):
            return Form.TEXT
        case (Primitive("long"),) if doc in _BY_DOC:
            return _BY_DOC[doc]
        case (Primitive(name),) if name in _BY_PRIMITIVE:
            return _BY_PRIMITIVE[name]
        case (Array(Primitive("string") | Enum()),):
            return Form.NAMES
    return Form.JSON
