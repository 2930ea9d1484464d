"""A typed view for each described entity, for people who write SQL by hand: `account`, `account_history`.

Generated from what is known of an entity's fields (`fields.py`). Columns carry the field's path in events as their
name (`"BillingAddress.City"`). The journal's writer runs `refresh_entity_views` at open and when descriptions or
schemas came, so that a field that is new to the org is a column a moment later. Since a column cannot tell unknown
from null, `unknown_fields` names the fields that are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from cdc.answer.definitions import sql
from cdc.answer.fields import Fields, fields_of
from cdc.logs import Event, logger

SQL_TYPES: Mapping[str, str] = {
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "time": "TIME",
}
"""Describe type -> SQL type; everything else is text."""

RESERVED = frozenset(
    {
        "changes", "field_changes", "platform_events", "setup_changes", "coverage", "baselines", "quarantine",
        "schemas", "positions", "alerts", "incidents", "restores", "restore_records", "seals",
        "schema_fields", "drills", "erasures",
    }
)  # fmt: skip
"""Names of the contract's own views: an entity of such a name has no view of its own."""


OWN_COLUMNS = (
    "record_id", "status", "known_since", "complete", "unknown_fields", "seq", "kind", "committed_at", "effective_at",
    "user_id", "client", "transaction_key", "changed_fields", "nulled_fields",
)  # fmt: skip
"""Columns of our own: a field of such a name stands under its name with an underscore before it."""


def refresh_entity_views(connection: Any) -> list[str]:
    """Create or replace the views of every entity whose fields are known; their names.

    An entity whose views the database refuses keeps those it had: recording does not stop for it.
    """
    made = []
    for (entity,) in connection.execute(sql("entities_with_fields")).fetchall():
        for name, statement in _views(fields_of(connection, entity)):
            try:
                connection.execute(statement)
            except duckdb.CatalogException as error:
                logger().warning(Event.VIEW_REFUSED, view=name, error=str(error).split("\n", 1)[0])
                continue
            made.append(name)
    return made


def _views(fields: Fields) -> Iterator[tuple[str, str]]:
    entity, name = fields.entity, fields.entity.lower()
    if name in RESERVED or f"{name}_history" in RESERVED:
        return
    columns = _columns(fields)
    paths = "[" + ", ".join(_text(path) for path, _, _ in columns) + "]::VARCHAR[]"
    now = [f"{_cast(f'fields[{_text(path)}]', kind)} AS {_name(column)}" for path, column, kind in columns]
    yield (
        name,
        f"CREATE OR REPLACE VIEW main.{_name(name)} AS "
        f"SELECT record_id, status, {''.join(n + ', ' for n in now)}"
        f"list_filter({paths}, lambda p: NOT map_contains(fields, p)) AS unknown_fields, known_since, complete "
        f"FROM main.state_at({_text(entity)}, 'infinity'::TIMESTAMP)",
    )
    changed = [
        f"{_cast(f'max(f.value) FILTER (f.field = {_text(path)})', kind)} AS {_name(column)}"
        for path, column, kind in columns
    ]
    yield (
        f"{name}_history",
        f"CREATE OR REPLACE VIEW main.{_name(name + '_history')} AS "
        "SELECT c.seq, c.record_id, c.kind, c.committed_at, c.effective_at, c.user_id, c.client, "
        "c.transaction_key, c.changed_fields, c.nulled_fields, "
        "coalesce(list(f.field) FILTER (NOT f.known), []) AS unknown_fields"
        f"{''.join(', ' + n for n in changed)} "
        "FROM store.changes c LEFT JOIN store.fields f "
        "ON f.seq = c.seq AND f.entity = c.entity AND f.record_id = c.record_id AND f.fold_rank = c.fold_rank "
        f"WHERE c.entity = {_text(entity)} GROUP BY ALL",
    )


def _columns(fields: Fields) -> list[tuple[str, str, str]]:
    """Path, name of the column and SQL type of each field; letter case makes no two columns."""
    columns: dict[str, tuple[str, str, str]] = {}
    for field in fields.by_path.values():
        column = f"_{field.path}" if field.path.lower() in OWN_COLUMNS else field.path
        columns.setdefault(column.lower(), (field.path, column, SQL_TYPES.get(field.type, "VARCHAR")))
    return list(columns.values())


def _cast(expression: str, kind: str) -> str:
    if kind == "VARCHAR":
        return expression
    if kind == "TIME":
        return f"TRY_CAST(rtrim({expression}, 'Z') AS TIME)"
    return f"TRY_CAST({expression} AS {kind})"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
