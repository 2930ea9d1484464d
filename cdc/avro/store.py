"""Schemas by the event bus's id, parsed once. A schema never changes under its id, so nothing is ever stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from cdc.avro.events import EventColumns
from cdc.avro.schema import EventSchema
from cdc.errors import Undecodable

SCHEMAS_CACHED_MAX = 1024
"""An entity has one schema at a time; a replay over three days of deployments meets a few of each."""


class SchemaStore:
    """`load` gives a schema's text for an id, or None while it is not known. For one thread at a time."""

    def __init__(
        self, load: Callable[[str], str | None], schemas_cached_max: int = SCHEMAS_CACHED_MAX
    ) -> None:
        self._load = load
        self._max = schemas_cached_max
        self._known: OrderedDict[str, EventColumns] = OrderedDict()

    def get(self, schema_id: str) -> EventSchema:
        """Undecodable when nobody knows the id, which is asked again the next time, or the text is no schema."""
        return self.columns(schema_id).schema

    def columns(self, schema_id: str) -> EventColumns:
        """What decodes batches of change events of this schema, with all it has worked out so far. As `get`."""
        known = self._known.get(schema_id)
        if known is not None:
            self._known.move_to_end(schema_id)
            return known
        text = self._load(schema_id)
        if text is None:
            raise Undecodable(f"schema {schema_id or '(none named)'} is not known")
        columns = EventColumns(EventSchema.parse(schema_id, text))
        self._known[schema_id] = columns
        if len(self._known) > self._max:
            self._known.popitem(last=False)
        return columns
