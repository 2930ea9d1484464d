"""An event as a CometD client gets it: JSON made from its Avro body (protocol section 3).

`changedFields` are names, `nulledFields` and `diffFields` are not there: a field set to null is an explicit
null, a diff is `{"diff": …}`, and what did not change or may not be read is left out. Times are ISO texts.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import fastavro

from connectors.simulator.model import Delivered
from connectors.simulator.org import SimulatedOrg

HEADER = "ChangeEventHeader"
HEADER_LEFT_OUT = frozenset({"nulledFields", "diffFields", "changedFields"})
UUID_SINCE = 52.0  # API version that began to name events
API_NAME_SINCE = 57.0
SCHEMAS_KEPT_MAX = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = object()


class EventTexts:
    """Makes the JSON of events, with each schema read once."""

    def __init__(self, org: SimulatedOrg) -> None:
        self._org = org
        self._shapes: OrderedDict[str, _Shape | None] = OrderedDict()

    def message(self, topic: str, event: Delivered, version: float) -> dict[str, Any]:
        """What stands in the answer to /meta/connect. A body that cannot be read has a payload of null."""
        about: dict[str, Any] = {"replayId": int.from_bytes(event.replay_id[:8], "big")}
        if version >= UUID_SINCE:
            about["EventUuid"] = event.event_id
        shape = self._shape(event.schema_id)
        if version >= API_NAME_SINCE and shape is not None:
            about["EventApiName"] = shape.name
        payload = shape.payload(event.payload) if shape is not None else None
        return {"channel": topic, "data": {"schema": event.schema_id, "payload": payload, "event": about}}

    def _shape(self, schema_id: str) -> _Shape | None:
        if schema_id not in self._shapes:
            text = self._org.schema(schema_id)
            self._shapes[schema_id] = _Shape(text) if text is not None else None
            if len(self._shapes) > SCHEMAS_KEPT_MAX:
                self._shapes.popitem(last=False)
        return self._shapes[schema_id]


class _Shape:
    """One schema: how bodies are read, and what its positions are called."""

    def __init__(self, text: str) -> None:
        schema = json.loads(text)
        self._parsed = fastavro.parse_schema(json.loads(text))
        self._named: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._fields: Sequence[Mapping[str, Any]] = schema["fields"]
        self.name = str(schema["name"]).rpartition(".")[2]
        for field in self._fields:
            self._define(field["type"])

    def payload(self, body: bytes) -> dict[str, Any] | None:
        """The JSON of a body; None if it cannot be read."""
        source = BytesIO(body)
        try:
            read = fastavro.schemaless_reader(source, self._parsed, None)
        except (ValueError, IndexError, EOFError, KeyError, TypeError, UnicodeDecodeError):
            return None
        if source.read(1) or not isinstance(read, dict):
            return None
        header = read.get(HEADER)
        if not isinstance(header, dict):
            return {f["name"]: self._value(f, read[f["name"]]) for f in self._fields}
        out: dict[str, Any] = {HEADER: {k: v for k, v in header.items() if k not in HEADER_LEFT_OUT}}
        out[HEADER]["changedFields"] = list(self._paths(header["changedFields"]))
        nulled = frozenset(self._paths(header["nulledFields"]))
        diffs = frozenset(self._paths(header["diffFields"]))
        for field in self._fields[1:]:
            value = self._told(field, read[field["name"]], nulled, diffs)
            if value is not _ABSENT:
                out[field["name"]] = value
        return out

    def _told(
        self, field: Mapping[str, Any], value: Any, nulled: frozenset[str], diffs: frozenset[str]
    ) -> Any:
        name = field["name"]
        parts = self._parts(field)
        if parts and (isinstance(value, dict) or (value is None and name not in nulled)):
            inner: dict[str, Any] = {}
            for part in parts:
                held = (value or {}).get(part["name"])
                if held is not None:
                    inner[part["name"]] = self._value(part, held)
                elif f"{name}.{part['name']}" in nulled:
                    inner[part["name"]] = None
            return inner or _ABSENT
        if value is None:
            return None if name in nulled else _ABSENT
        return {"diff": value} if name in diffs else self._value(field, value)

    def _value(self, field: Mapping[str, Any], value: Any) -> Any:
        if value is None or isinstance(value, str | bool | float | list):
            return value
        doc = str(field.get("doc", "")).split(":")
        kind = doc[1] if len(doc) > 1 else ""
        if kind == "DateTime":
            return _instant(value)
        if kind in ("DateOnly", "Birthday"):
            return _instant(value)[:10]
        if kind == "TimeOnly":
            return _instant(value)[11:]
        return value

    def _paths(self, entries: Sequence[str]) -> Iterator[str]:
        for entry in entries:
            parent, _, digits = entry.rpartition("-")
            bits = int(digits, 16)
            fields = self._parts(self._fields[int(parent)]) if parent else self._fields
            before = f"{self._fields[int(parent)]['name']}." if parent else ""
            yield from (before + str(f["name"]) for i, f in enumerate(fields) if bits >> i & 1)

    def _parts(self, field: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for branch in branches:
            if isinstance(branch, dict) and branch.get("type") == "record":
                return self._named[branch["name"]]
            if isinstance(branch, str) and branch in self._named:
                return self._named[branch]
        return ()

    def _define(self, declared: Any) -> None:
        for branch in declared if isinstance(declared, list) else [declared]:
            if isinstance(branch, dict) and branch.get("type") == "record":
                self._named[branch["name"]] = branch["fields"]


def _instant(ms: int) -> str:
    """`2026-11-23T10:02:00.000Z`."""
    when = _EPOCH + timedelta(milliseconds=ms)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"
