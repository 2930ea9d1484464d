"""Schemas and events shaped like Salesforce's, to order and at random."""

from __future__ import annotations

import copy
import io
from typing import Any

import fastavro
from hypothesis import strategies as st

SYMBOLS = ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE",
           "GAP_OVERFLOW"]  # fmt: skip

TEXT_DOCS = ["Text", "StringPlusClob", "HtmlStringPlusClob", "EncryptedText", "Email", "Url", "Phone", "DynamicEnum",
             "StaticEnum", "MultiEnum", "EntityId", "ExternalId", "Content"]  # fmt: skip
DOUBLE_DOCS = ["Double", "Currency", "Percent"]
LONG_DOCS = ["DateTime", "DateOnly", "TimeOnly", "Birthday"]
COMPOUND_DOCS = ["Address", "Location", "PersonName", "Switchable_PersonName"]
ALL_DOCS = [
    *TEXT_DOCS,
    *DOUBLE_DOCS,
    *LONG_DOCS,
    *COMPOUND_DOCS,
    "Boolean",
    "Integer",
    "Names",
    "NeverSeenBefore",
]

_PARTS = {
    "Address": [("Street", "string"), ("City", "string"), ("State", "string"), ("PostalCode", "string"),
                ("Country", "string"), ("StateCode", "string"), ("CountryCode", "string"), ("Latitude", "double"),
                ("Longitude", "double"), ("GeocodeAccuracy", "string")],
    "Location": [("Latitude", "double"), ("Longitude", "double")],
    "PersonName": [("Salutation", "string"), ("FirstName", "string"), ("LastName", "string")],
    "Switchable_PersonName": [("Salutation", "string"), ("FirstName", "string"), ("LastName", "string")],
}  # fmt: skip


def header_schema(symbols: list[str] | None = None, enum_namespace: str | None = None) -> dict[str, Any]:
    enum: dict[str, Any] = {
        "type": "enum",
        "name": "ChangeType",
        "symbols": symbols or [*SYMBOLS, "SNAPSHOT"],
    }
    if enum_namespace is not None:
        enum["namespace"] = enum_namespace
    texts = {"type": "array", "items": "string"}
    types: list[tuple[str, Any]] = [
        ("entityName", "string"),
        ("recordIds", texts),
        ("changeType", enum),
        ("changeOrigin", "string"),
        ("transactionKey", "string"),
        ("sequenceNumber", "int"),
        ("commitTimestamp", "long"),
        ("commitNumber", "long"),
        ("commitUser", "string"),
        ("nulledFields", texts),
        ("diffFields", texts),
        ("changedFields", texts),
    ]
    fields = [{"name": name, "type": type_} for name, type_ in types]
    return {"type": "record", "name": "ChangeEventHeader", "fields": fields}


def event_schema(
    entity: str, fields: list[tuple[str, str]], header: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A schema as GetSchema gives it; `fields` are (name, doc type), named records defined at their first use."""
    defined: set[str] = set()
    declared: list[dict[str, Any]] = [
        {"name": "ChangeEventHeader", "type": header or header_schema(), "doc": "Data:ComplexValueType"}
    ]
    for name, doc in fields:
        union = ["null", *_branches(doc, defined)]
        declared.append({"name": name, "type": union, "doc": f"Data:{doc}:00NDp000009Rr9I", "default": None})
    stem = entity.removesuffix("__c") + ("__" if entity.endswith("__c") else "")
    return {
        "type": "record",
        "name": f"{stem}ChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": declared,
    }


def _branches(doc: str, defined: set[str]) -> list[Any]:
    if doc in _PARTS:
        record: Any = doc
        if doc not in defined:
            defined.add(doc)
            parts = [{"name": n, "type": ["null", t], "default": None} for n, t in _PARTS[doc]]
            record = {"type": "record", "name": doc, "fields": parts}
        return ["string", record] if doc == "Switchable_PersonName" else [record]
    if doc in DOUBLE_DOCS:
        return ["double"]
    if doc in LONG_DOCS:
        return ["long"]
    return [
        {"Boolean": "boolean", "Integer": "int", "Names": {"type": "array", "items": "string"}}.get(
            doc, "string"
        )
    ]


def encode(schema: dict[str, Any], event: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(copy.deepcopy(schema)), event)
    return buffer.getvalue()


def decode(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The event in a body; the whole of it must be used up."""
    buffer = io.BytesIO(body)
    event = fastavro.schemaless_reader(buffer, fastavro.parse_schema(copy.deepcopy(schema)), None)
    assert buffer.tell() == len(body)
    assert isinstance(event, dict)
    return event


def header(**given: Any) -> dict[str, Any]:
    return {
        "entityName": "Account",
        "recordIds": ["001Dp00000JJkkHIAT"],
        "changeType": "UPDATE",
        "changeOrigin": "com/salesforce/api/rest/66.0;client=loader",
        "transactionKey": "00003adb-6942-447e-6033-9e8fe741230f",
        "sequenceNumber": 1,
        "commitTimestamp": 1771300995000,
        "commitNumber": 12279648331300,
        "commitUser": "005Dp000000PpjsIAC",
        "nulledFields": [],
        "diffFields": [],
        "changedFields": [],
        **given,
    }


def event(schema: dict[str, Any], values: dict[str, Any], **header_values: Any) -> dict[str, Any]:
    """An event with these values, all other fields null."""
    empty = {field["name"]: None for field in schema["fields"][1:]}
    return {"ChangeEventHeader": header(**header_values), **empty, **values}


TEXTS = st.text(max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.integers(-2_000_000_000_000, 4_000_000_000_000) | INT64


def values_of(doc: str) -> st.SearchStrategy[Any]:
    """Values of a doc type, null among them. Doubles are finite: Salesforce has no others."""
    doubles = st.floats(allow_nan=False, allow_infinity=False)
    if doc in _PARTS:
        parts = {n: st.none() | (TEXTS if t == "string" else doubles) for n, t in _PARTS[doc]}
        record = st.fixed_dictionaries(parts)
        return st.none() | record | (TEXTS if doc == "Switchable_PersonName" else st.nothing())
    if doc in DOUBLE_DOCS:
        return st.none() | doubles
    if doc in LONG_DOCS:
        return st.none() | MOMENTS
    if doc == "Boolean":
        return st.none() | st.booleans()
    if doc == "Integer":
        return st.none() | st.integers(-(2**31), 2**31 - 1)
    if doc == "Names":
        return st.none() | st.lists(TEXTS, max_size=4)
    return st.none() | TEXTS


@st.composite
def schemas(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A schema, and the doc type of each of its fields."""
    docs = draw(st.lists(st.sampled_from(ALL_DOCS), min_size=1, max_size=14))
    shape = header_schema(
        draw(st.sampled_from([SYMBOLS, [*SYMBOLS, "SNAPSHOT"]])),
        draw(st.sampled_from([None, "", "com.sforce.eventbus"])),
    )
    names = [f"F{i}_{doc}" + ("__c" if i % 3 == 2 else "") for i, doc in enumerate(docs)]
    entity = draw(st.sampled_from(["Account", "Invoice__c"]))
    return event_schema(entity, list(zip(names, docs, strict=True)), shape), docs


@st.composite
def events(draw: st.DrawFn, schema: dict[str, Any], docs: list[str], few: bool = False) -> dict[str, Any]:
    """`few`: most fields are null, as in an UPDATE; a wide schema is too much to draw otherwise."""
    names = [field["name"] for field in schema["fields"][1:]]
    given = set(draw(st.lists(st.sampled_from(names), max_size=8))) if few else set(names)
    body = {n: draw(values_of(doc)) if n in given else None for n, doc in zip(names, docs, strict=True)}
    head = header(
        recordIds=draw(st.lists(st.text(max_size=20), max_size=3)),
        changeType=draw(st.sampled_from(SYMBOLS)),
        changeOrigin=draw(TEXTS),
        sequenceNumber=draw(st.integers(-(2**31), 2**31 - 1)),
        commitTimestamp=draw(INT64),
        commitNumber=draw(INT64),
    )
    return {"ChangeEventHeader": head, **body}
