"""One journal over all parts of a lake, and one part as a journal: views in this process, under the names of the tables.

Over all parts a row counts up to the ordinal that every part holds, so that an answer never has one half of a
transaction without the other. What every part writes the same (it stands in control records) is shown once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from cdc.journal.statements import migrations, statement

_PLACE: Final = {
    "hot_changes": "seq",
    "hot_fields": "seq",
    "platform_events": "seq",
    "quarantine": "seq",
    "needs": "seq",
    "elsewhere": "seq",
    "coverage": "seq",
    "jobs": "seq",
    "descriptions": "at_seq",
    "readable_fields": "at_seq",
}
"""Tables whose rows have a place in the order: its column."""

_SAME_IN_EACH: Final = frozenset({"coverage", "needs"})
"""Each part writes what it sees; what several see is one row."""

_OF_THE_FIRST: Final = frozenset(
    {
        "meta", "jobs", "descriptions", "readable_fields", "alerts", "decisions", "setup_changes", "incidents", "restores",
        "restore_records", "drills", "seals", "sealed_broad", "sealed_entities", "erasures", "erased_ordinals", "elsewhere",
    }
)  # fmt: skip
"""Told by control records alone, or of no use over all parts: those of the first part."""


def union_views(org: str, shards: int) -> Sequence[str]:
    """Views `store.<table>` over all parts, then those of `store` that the single file has too."""
    texts = ["CREATE SCHEMA IF NOT EXISTS store", _checkpoint(org, shards), _channels(org, shards)]
    texts += [
        _union(table, org, shards) for table in table_names() if table not in ("checkpoint", "channels")
    ]
    return [*texts, statement("view_changes_hot"), statement("view_fields_hot")]


def part_views(org: str, part: int) -> Sequence[str]:
    """The schema `part_<n>`: the views that the writer of a part asks, over the tables of that part alone."""
    texts = [f"CREATE SCHEMA IF NOT EXISTS part_{part}"]
    for name in ("view_changes_hot", "view_fields_hot", "views"):
        for one in duckdb.extract_statements(statement(name)):
            if "VIEW store." in one.query:
                texts.append(of_part(one.query, org, part))
    return [*texts, of_part(statement("span_key"), org, part)]


def of_part(text: str, org: str, part: int) -> str:
    """A statement about `store` as one about a part: its tables in the lake, its views in this process."""
    tables = _TABLES_AND_OWNER
    pieces = text.split("store.")
    out = [pieces[0]]
    for piece in pieces[1:]:
        name = _word(piece)
        out.append((f'lake."{org}_{part}".' if name in tables else f"memory.part_{part}.") + piece)
    return "".join(out)


def table_names() -> tuple[str, ...]:
    """The tables of the single file."""
    return _NAMES


def _names() -> tuple[str, ...]:
    with duckdb.connect(":memory:") as database:
        for _, text in migrations():
            database.execute(text)
        rows = database.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' ORDER BY table_name"
        ).fetchall()
    return tuple(name for (name,) in rows)


_NAMES: Final = _names()
_TABLES_AND_OWNER: Final = frozenset(_NAMES) | {"owner"}


def _word(text: str) -> str:
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[:end]


def _union(table: str, org: str, shards: int) -> str:
    create = f"CREATE OR REPLACE VIEW store.{table} AS "
    parts = range(1) if table in _OF_THE_FIRST else range(shards)
    place = _PLACE.get(table) if shards > 1 else None
    cut = f" WHERE {place} <= (SELECT ordinal FROM store.checkpoint)" if place else ""
    rows = " UNION ALL ".join(f'SELECT * FROM lake."{org}_{part}"."{table}"{cut}' for part in parts)
    if shards == 1 or len(parts) == 1:
        return create + rows
    if table in _SAME_IN_EACH or table == "schema_fields":
        return f"{create}SELECT DISTINCT * FROM ({rows})"
    if table == "schemas":
        return f"{create}FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY schema_id ORDER BY at_seq) = 1"
    return create + rows


def _checkpoint(org: str, shards: int) -> str:
    rows = " UNION ALL ".join(f'FROM lake."{org}_{part}".checkpoint' for part in range(shards))
    return (
        "CREATE OR REPLACE VIEW store.checkpoint AS "
        f"SELECT min(ordinal) AS ordinal, arg_min(offsets, ordinal) AS offsets FROM ({rows})"
    )


def _channels(org: str, shards: int) -> str:
    """Where the part that is furthest behind stands; a channel that one of them has not met is not known yet."""
    rows = " UNION ALL ".join(f'FROM lake."{org}_{part}".channels' for part in range(shards))
    return (
        f"CREATE OR REPLACE VIEW store.channels AS FROM ({rows}) "
        f"QUALIFY count(*) OVER (PARTITION BY channel) = {shards} "
        "AND row_number() OVER (PARTITION BY channel ORDER BY at_seq, passed_to) = 1"
    )
