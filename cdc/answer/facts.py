"""Small things that verbs ask before they ask more: what a moment means now, which fields an entity has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cdc.answer.answers import Answer
from cdc.answer.definitions import sql
from cdc.answer.entities import entity_named, known_entities
from cdc.answer.fields import fields_of
from cdc.answer.times import moment


def resolved(reader: Any, at: str | datetime | None = None, before: str | int | None = None) -> Answer:
    """A moment as it stays the same when asked again: a time, or a cut. Neither given: behind all that is recorded.

    Errors: BadArgument, NotFound.
    """
    when = moment(reader, at, before)
    cut = when.cut
    if when.at is None and cut is None:
        cut = 1 + int(reader.execute(sql("last_ordinal")).fetchone()[0])
    return Answer(columns=("at", "before"), rows=[(when.at, None if cut is None else str(cut))])


def entities(reader: Any) -> Answer:
    """Every entity the journal knows."""
    return Answer(columns=("entity",), rows=[(name,) for name in known_entities(reader)])


def fields(reader: Any, entity: str) -> Answer:
    """An entity's fields: path in events, name in queries, type, what they refer to. Errors: NotFound."""
    found = fields_of(reader, entity_named(reader, entity))
    rows = [(f.path, f.name, f.type, list(f.reference_to)) for f in found.by_path.values()]
    return Answer(columns=("path", "name", "type", "reference_to"), rows=rows)
