"""Texts taken out of every table but those of changes: ids of records that are erased, and values nobody else has.

Rows about one of the records go; lists lose its id; in any other text what stands for it is `[erased]`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

ERASED: Final = "[erased]"
KEPT: Final = frozenset(
    {
        "hot_changes", "hot_fields", "seals", "sealed_broad", "sealed_entities", "meta", "erasures",
        "erased_ordinals", "schemas", "schema_fields", "descriptions", "readable_fields", "checkpoint",
    }
)  # fmt: skip
"""Tables without a value of a record, and those that are seen to by themselves."""


def scrub(connection: Any, ids: Sequence[str], values: Sequence[str]) -> int:
    """Inside the caller's transaction; how many rows were taken out or changed."""
    needles = needles_of(ids, values)
    touched = _quarantine(connection, ids, needles)
    for table, columns in _tables(connection).items():
        if "record_id" in columns:
            touched += _deleted(connection, table, "list_contains($ids, record_id)", ids)
        for column, kind in columns.items():
            if kind == "VARCHAR[]":
                touched += _lists(connection, table, column, ids)
            elif kind in ("VARCHAR", "JSON"):
                touched += _texts(connection, table, column, needles)
    return touched


def needles_of(ids: Sequence[str], values: Sequence[str]) -> list[str]:
    """What to look for, the longest first: ids of 18 and 15 characters, values as they are and as JSON has them."""
    found = {*ids, *(i[:15] for i in ids)}
    for value in values:
        found |= {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return sorted(found, key=lambda text: (-len(text), text))


def _tables(connection: Any) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns()"
        " WHERE schema_name = 'store' AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store')"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        if table not in KEPT:
            tables.setdefault(table, {})[column] = kind
    return tables


def _quarantine(connection: Any, ids: Sequence[str], needles: Sequence[str]) -> int:
    """Raw events that name one of the records, or whose bytes hold one of the texts. Their ordinals are told."""
    wanted = [needle.encode() for needle in needles]
    chosen = []
    rows = connection.execute("SELECT seq, payload, record_ids FROM store.quarantine")
    while some := rows.fetchmany(1000):
        for seq, payload, record_ids in some:
            if set(ids) & set(record_ids) or any(needle in payload for needle in wanted):
                chosen.append(seq)
    if chosen:
        connection.execute("DELETE FROM store.quarantine WHERE list_contains(?, seq)", [chosen])
    return len(chosen)


def _deleted(connection: Any, table: str, condition: str, ids: Sequence[str]) -> int:
    return int(
        connection.execute(f'DELETE FROM store."{table}" WHERE {condition}', {"ids": list(ids)}).fetchone()[0]
    )


def _lists(connection: Any, table: str, column: str, ids: Sequence[str]) -> int:
    return int(
        connection.execute(
            f'UPDATE store."{table}" SET "{column}" = list_filter("{column}", lambda x: NOT list_contains($ids, x))'
            f' WHERE list_has_any("{column}", $ids)',
            {"ids": list(ids)},
        ).fetchone()[0]
    )


def _texts(connection: Any, table: str, column: str, needles: Sequence[str]) -> int:
    found = connection.execute(
        f'SELECT rowid, "{column}"::VARCHAR FROM store."{table}"'
        f' WHERE list_bool_or([contains("{column}"::VARCHAR, n) FOR n IN $needles])',
        {"needles": list(needles)},
    ).fetchall()
    for row, text in found:
        for needle in needles:
            text = text.replace(needle, ERASED)
        connection.execute(f'UPDATE store."{table}" SET "{column}" = ? WHERE rowid = ?', [text, row])
    return len(found)
