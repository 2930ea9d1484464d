"""Schemas and descriptions as tables, so that SQL can say which fields an event could have carried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdc.avro.own import RECORD_STATE_SCHEMA_ID
from cdc.avro.schema import EventSchema
from cdc.errors import Undecodable
from cdc.journal.control import Description, SchemaText
from cdc.journal.tables import (
    DESCRIPTIONS,
    READABLE_FIELDS,
    SCHEMA_FIELDS,
    SCHEMAS,
    append,
    as_json,
)


class Schemas:
    """Writes what is new, inside the caller's transaction. `schema_text` is asked for ids that no record told of."""

    def __init__(self, connection: Any, org: str, schema_text: Callable[[str], str | None]) -> None:
        self._connection = connection
        self._org = org
        self._schema_text = schema_text
        self.is_news = True
        """Fields became known since somebody looked; whoever looks sets it back."""
        self._known: dict[
            str, tuple[str | None, int]
        ] = {}  # schema id -> its entity, the place it was told at
        self._unstreamed: dict[
            str, list[tuple[int, frozenset[str]]]
        ] = {}  # entity -> from which place on, which
        self.forget()

    def forget(self) -> None:
        """Begin again from what the file holds: the transaction was rolled back."""
        rows = self._connection.execute("SELECT schema_id, entity, at_seq FROM store.schemas").fetchall()
        self._known = {schema_id: (entity, at_seq) for schema_id, entity, at_seq in rows}
        self._unstreamed = {}
        for entity, at_seq, paths in self._connection.execute(
            "SELECT entity, at_seq, unstreamed FROM store.descriptions ORDER BY at_seq"
        ).fetchall():
            self._unstreamed.setdefault(entity, []).append((at_seq, frozenset(json.loads(paths or "[]"))))

    def unstreamed_paths(self) -> list[str]:
        """Every path that changes without an event, of any entity at any time."""
        return sorted({p for told in self._unstreamed.values() for _, paths in told for p in paths})

    def is_unstreamed(self, entity: str, path: str, ordinal: int) -> bool:
        """Whether, by the description in force at an ordinal, values of a field change without an event."""
        told = [paths for at_seq, paths in self._unstreamed.get(entity, ()) if at_seq < ordinal]
        return bool(told) and path in told[-1]

    def entity_of(self, schema_id: str, ordinal: int) -> str | None:
        """The entity whose changes a schema describes; None where that was not known at an ordinal, or it has none."""
        entity, at_seq = self._known.get(schema_id, (None, 0))
        return entity if at_seq < ordinal else None

    def text_before(self, schema_id: str, ordinal: int) -> str | None:
        """The schema's text, if it was told before an ordinal."""
        if self._known.get(schema_id, (None, ordinal))[1] >= ordinal:
            return None
        row = self._connection.execute(
            "SELECT body FROM store.schemas WHERE schema_id = ?", [schema_id]
        ).fetchone()
        return str(row[0]) if row else None

    def told(self, texts: Iterable[SchemaText]) -> None:
        for text in texts:
            self._learn(text.schema_id, text.text, text.place)

    def seen(self, schema_ids: pa.ChunkedArray, place: int) -> None:
        """Ids that events of a batch name: each is learnt at its first sight."""
        for schema_id in pc.unique(schema_ids).to_pylist():
            self.seen_one(schema_id, place)

    def seen_one(self, schema_id: str | None, place: int) -> None:
        if not schema_id or schema_id in self._known or schema_id == RECORD_STATE_SCHEMA_ID:
            return
        text = self._schema_text(schema_id)
        if text is not None:
            self._learn(schema_id, text, place)

    def described(self, descriptions: Iterable[Description]) -> None:
        """What this user may read; a description that says what the one before it said is no news."""
        for description in descriptions:
            fields, unstreamed = as_json(description.fields), as_json(list(description.unstreamed))
            at_seq, held, also = self._connection.execute(
                "SELECT max(at_seq), arg_max(fields, at_seq), arg_max(unstreamed, at_seq) FROM store.descriptions"
                " WHERE entity = ?",
                [description.entity],
            ).fetchone()
            if (held == fields and (also or "[]") == unstreamed) or (
                at_seq is not None and at_seq > description.place
            ):
                continue
            place = {"entity": description.entity, "at_seq": description.place}
            if at_seq == description.place:  # the later of two at one place counts
                for table in ("descriptions", "readable_fields"):
                    self._connection.execute(
                        f"DELETE FROM store.{table} WHERE entity = $entity AND at_seq = $at_seq", place
                    )
            self.is_news = True
            told = [
                one for one in self._unstreamed.get(description.entity, ()) if one[0] != description.place
            ]
            self._unstreamed[description.entity] = [
                *told, (description.place, frozenset(description.unstreamed))
            ]  # fmt: skip
            append(
                self._connection,
                "descriptions",
                DESCRIPTIONS,
                [{**place, "fields": fields, "unstreamed": unstreamed}],
            )
            paths = dict.fromkeys(f["path"] for f in description.fields)
            append(
                self._connection, "readable_fields", READABLE_FIELDS, [{**place, "path": p} for p in paths]
            )

    def _learn(self, schema_id: str, text: str, place: int) -> None:
        if schema_id in self._known:
            return
        try:
            schema = EventSchema.parse(schema_id, text)
        except Undecodable:
            # Its events are in quarantine for the same reason; the text is kept, and its fields are not known.
            self._write(schema_id, text, place, "", None)
            return
        self._write(schema_id, text, place, schema.name, schema.entity or None)
        if schema.entity:
            self.is_news = True
            fields = [
                {
                    "schema_id": schema_id,
                    "path": leaf.path,
                    "type": leaf.doc or leaf.form.value,
                    "is_alternative": leaf.branch >= 0,
                }
                for leaf in schema.leaves
            ]
            append(self._connection, "schema_fields", SCHEMA_FIELDS, fields)

    def _write(self, schema_id: str, text: str, place: int, name: str, entity: str | None) -> None:
        row = {
            "schema_id": schema_id,
            "at_seq": place,
            "org": self._org,
            "name": name,
            "entity": entity,
            "body": text,
        }
        append(self._connection, "schemas", SCHEMAS, [row])
        self._known[schema_id] = (entity, place)
