"""Control records of a batch, read once: what they say, in the order in which they came.

A record that cannot be read is kept raw in quarantine. Records may come a second time (a reader that begins
again reads some twice): whoever applies them takes what is already held as no news.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import schemas.own as own
from cdc.log.origin import ORIGIN_KEY, Origin
from cdc.ports.columns import Bad
from cdc.ports.log import LogRecord

DESCRIBE_PREFIX: Final = "describe/"
SETUP_PREFIX: Final = "setup/"
"""What capture remembers of the set-up read before; for nobody else."""
TICK: Final = "tick"


@dataclass(frozen=True, slots=True)
class Told:
    """One decoded record, and its place: the last ordinal before it (0 where its writer does not know)."""

    values: Mapping[str, Any]
    place: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class SchemaText:
    schema_id: str
    text: str
    place: int
    appended_ms: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """What this user may read of an entity, from `place` on; `fields` and `unstreamed` as in the record."""

    entity: str
    fields: Sequence[Mapping[str, Any]]
    place: int
    unstreamed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """`history` holds positions, coverage and jobs in their common order, each with its topic."""

    history: list[tuple[str, Told]] = field(default_factory=list)
    schemas: list[SchemaText] = field(default_factory=list)
    descriptions: list[Description] = field(default_factory=list)
    alerts: list[Told] = field(default_factory=list)
    decisions: list[Told] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


_IN_ORDER: Final = {"positions": "positions", "coverage": "coverage", "jobs": "job"}
"""Topic -> the name of its schema."""


def read_control(records: Iterable[LogRecord]) -> Control:
    """What the records say. Ticks of org time are for the detector alone, and left out."""
    control = Control()
    for record in records:
        try:
            _read(record, control)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            control.bad.append(Bad(record, f"a record of {record.topic} cannot be read: {error}"))
    return control


def _read(record: LogRecord, control: Control) -> None:
    topic = record.topic
    if topic in _IN_ORDER:
        control.history.append((topic, _told(record, _IN_ORDER[topic])))
    elif topic == "schemas":
        _read_schema(record, control)
    elif topic == "alerts":
        control.alerts.append(_told(record, "alert"))
    elif topic == "decisions":
        told = _told(record, "decision")
        if told.values["kind"] != TICK:
            control.decisions.append(told)


def _told(record: LogRecord, schema: str) -> Told:
    return Told(own.decode(schema, record.value), record.ordinal, record.appended_at)


def _read_schema(record: LogRecord, control: Control) -> None:
    if record.key.startswith(SETUP_PREFIX):
        return
    text = record.value.decode()
    if record.key == ORIGIN_KEY:
        control.origins.append(Origin.of(text))
        return
    if not record.key.startswith(DESCRIBE_PREFIX):
        control.schemas.append(SchemaText(record.key, text, record.ordinal, record.appended_at))
        return
    body = json.loads(text)
    fields = [dict(f, path=str(f["path"])) for f in body["fields"]]
    entity = str(body.get("entity") or record.key.removeprefix(DESCRIBE_PREFIX))
    unstreamed = [str(path) for path in body.get("unstreamed") or ()]
    control.descriptions.append(Description(entity, fields, record.ordinal, unstreamed))
