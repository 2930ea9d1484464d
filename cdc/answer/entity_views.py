"""A typed view for each described entity, for people who write SQL by hand: `account`, `account_history`.

Generated from the newest description of what the user may read. Columns carry the field's path in events as
their name (`"BillingAddress.City"`). The journal's writer runs `refresh_entity_views` when descriptions came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdc.answer.definitions import sql

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
        "schemas", "positions", "alerts", "incidents", "restores", "restore_records", "drills", "seals",
    }
)  # fmt: skip
"""Names of the contract's own views: an entity of such a name has no view of its own."""


def refresh_entity_views(connection: Any) -> list[str]:
    """Create or replace the views of every described entity; their names."""
    made = []
    for entity, text in connection.execute(sql("descriptions")).fetchall():
        fields = json.loads(text)
        for name, statement in _views(entity, fields):
            connection.execute(statement)
            made.append(name)
    return made


def _views(entity: str, fields: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    name = entity.lower()
    if name in RESERVED or f"{name}_history" in RESERVED:
        return
    types = {str(f["path"]): SQL_TYPES.get(str(f["type"]).lower(), "VARCHAR") for f in fields}
    own = {"record_id", "status", "known_since", "complete"}
    now = [
        f"{_cast(f'fields[{_text(path)}]', kind)} AS {_name(path)}"
        for path, kind in types.items()
        if path.lower() not in own
    ]
    yield (
        name,
        f"CREATE OR REPLACE VIEW main.{_name(name)} AS "
        f"SELECT record_id, status, {''.join(n + ', ' for n in now)}known_since, complete "
        f"FROM main.state_at({_text(entity)}, 'infinity'::TIMESTAMP)",
    )
    changed = [
        f"{_cast(f'max(f.value) FILTER (f.field = {_text(path)})', kind)} AS {_name(path)}"
        for path, kind in types.items()
    ]
    yield (
        f"{name}_history",
        f"CREATE OR REPLACE VIEW main.{_name(name + '_history')} AS "
        "SELECT c.seq, c.record_id, c.kind, c.committed_at, c.effective_at, c.user_id, c.client, "
        f"c.transaction_key, c.changed_fields{''.join(', ' + n for n in changed)} "
        "FROM store.changes c LEFT JOIN store.fields f ON f.seq = c.seq AND f.entity = c.entity "
        f"WHERE c.entity = {_text(entity)} GROUP BY ALL",
    )


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
