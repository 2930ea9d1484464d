"""A random history as rows of the journal's own tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import duckdb
import pyarrow as pa

from cdc.answer.definitions import definitions
from cdc.change.order import READ_MARGIN_MS
from cdc.journal.merging import merge
from cdc.journal.segment_views import live_segments, make_views
from cdc.journal.segments import Chain, adopt, seal_range
from tests.unit.answer.model import FOREVER, Item, Journal, Said

ORG = "acme"
ENTITY = "Account"
CHANNEL = "/data/ChangeEvents"
EPOCH = datetime(1970, 1, 1)


def at(millis: int) -> datetime:
    """Milliseconds as the journal stores them."""
    return EPOCH + timedelta(milliseconds=millis)


def millis(moment: datetime | None) -> int | None:
    return None if moment is None else round((moment.replace(tzinfo=UTC).timestamp()) * 1000)


def opened(read_margin_ms: int = READ_MARGIN_MS) -> duckdb.DuckDBPyConnection:
    """An empty journal in memory: the journal's own tables and views, and this room's macros."""
    connection = duckdb.connect(config={"threads": 1})
    sql = files("cdc.journal").joinpath("sql")
    for migration in sorted(sql.joinpath("migrations").iterdir(), key=lambda f: f.name):
        connection.execute(migration.read_text())
    connection.execute("INSERT INTO store.meta VALUES ('org', ?)", [ORG])
    connection.execute(sql.joinpath("span_key.sql").read_text())
    make_views(connection, "", ())
    connection.execute(sql.joinpath("views.sql").read_text())
    for statement in definitions(read_margin_ms):
        connection.execute(statement)
    return connection


def clear(connection: duckdb.DuckDBPyConnection) -> None:
    tables = (
        "hot_changes",
        "hot_fields",
        "channels",
        "coverage",
        "jobs",
        "seals",
        "sealed_broad",
        "sealed_entities",
    )
    for table in tables:
        connection.execute(f"TRUNCATE store.{table}")
    make_views(connection, "", ())


def seal(connection: duckdb.DuckDBPyConnection, folder: str, *uptos: int) -> None:
    """Seal what is hot up to each ordinal in turn, a segment each."""
    chain = _chain(folder)
    for upto in uptos:
        written = seal_range(connection, chain, upto)
        if written is not None:
            adopt(connection, folder, *written)


def merge_all(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Every live segment in one."""
    numbers = live_segments(connection)
    if numbers:
        adopt(connection, folder, *merge(connection, _chain(folder), numbers))


def _chain(folder: str) -> Chain:
    return Chain(folder, ORG, None, lambda: 0)


def write(connection: duckdb.DuckDBPyConnection, journal: Journal, entity: str = ENTITY) -> None:
    """The journal's items, stretches, scans and position."""
    insert(connection, "hot_changes", [_change(i, entity) for i in journal.items])
    insert(connection, "hot_fields", [row for i in journal.items for row in _fields(i, entity)])
    channel = {"channel": CHANNEL, "org": ORG, "passed_to": at(journal.passed_to), "at_seq": 0}
    insert(connection, "channels", [channel])
    insert(connection, "jobs", [_job(j, t, entity) for j, t in journal.scans.items()])
    insert(
        connection,
        "coverage",
        [
            {
                "stretch_id": f"stretch{n}",
                "version": 1,
                "seq": s.from_ordinal,
                "org": ORG,
                "channel": CHANNEL,
                "entity": entity if s.record_id else None,
                "record_id": s.record_id,
                "from_at": at(s.from_at),
                "to_at": None if s.to_at is None else at(s.to_at),
                "status": "lost" if s.is_range else "unknown",
                "reason": "events were lost",
                "evidence": "",
                "from_ordinal": s.from_ordinal - (0 if s.is_range else 1),
                "to_ordinal": None if s.is_range else s.from_ordinal,
            }
            for n, s in enumerate(journal.stretches)
        ],
    )


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows by column name, in one insert."""
    if rows:
        columns = pa.Table.from_pylist(list(rows))
        connection.register("rows_to_insert", columns)
        connection.execute(f"INSERT INTO store.{table} BY NAME FROM rows_to_insert")
        connection.unregister("rows_to_insert")


def _job(job_id: str, started_at: int, entity: str) -> dict[str, Any]:
    texts = dict.fromkeys(("reason", "requested_by", "error"), "")
    numbers = dict.fromkeys(("seq", "after_ordinal", "rows", "rows_total"), 0)
    return {
        "job_id": job_id,
        "version": 1,
        "org": ORG,
        "kind": "reread",
        "entity": entity,
        "record_ids": [],
        "state": "ended",
        "started_at": at(started_at),
        **texts,
        **numbers,
    }


def _change(item: Item, entity: str) -> dict[str, Any]:
    return {
        "seq": item.seq,
        "org": ORG,
        "entity": entity,
        "record_id": item.record_id,
        "kind": item.kind,
        "committed_at": at(item.committed_at),
        "effective_at": at(item.effective_at),
        "fold_seq": item.fold_seq,
        "fold_rank": item.fold_rank,
        "read_to": None if item.read_to is None else at(item.read_to),
        "scan_id": item.scan_id,
        "transaction_key": f"transaction{item.seq // 2}",
        "user_id": f"user{item.seq}",
        "origin": "com/salesforce/api/rest/66.0",
        "client": "loader",
        "channel": None if item.fold_rank else CHANNEL,
        "source": "reread" if item.fold_rank else "pubsub",
        "changed_fields": [f for f in item.said if item.kind == "UPDATE"],
        "nulled_fields": [],
    }


def _fields(item: Item, entity: str) -> list[dict[str, Any]]:
    return [
        {
            "seq": item.seq,
            "org": ORG,
            "entity": entity,
            "record_id": item.record_id,
            "field": name,
            "value": value,
            "known": known,
            "kind": item.kind,
            "effective_at": at(item.effective_at),
            "committed_at": at(item.committed_at),
            "fold_seq": item.fold_seq,
            "fold_rank": item.fold_rank,
            "read_to": None if item.read_to is None else at(item.read_to),
        }
        for name, (value, known) in item.said.items()
    ]


def states(connection: duckdb.DuckDBPyConnection, moment_at: int, cut: int) -> dict[str, Said]:
    """What the SQL says, in the model's terms; unknown fields are not told apart by state_at."""
    if cut == FOREVER:
        moment = "infinity" if moment_at == FOREVER else at(moment_at)
        found = connection.execute("FROM state_at(?, ?::TIMESTAMP)", [ENTITY, moment])
    else:
        found = connection.execute("FROM state_before(?, ?)", [ENTITY, cut])
    names = [c[0] for c in found.description]
    answers = {}
    for values in found.fetchall():
        row = dict(zip(names, values, strict=True))
        answers[row["record_id"]] = Said(
            status=row["status"],
            fields=row["fields"],
            known_since=millis(row["known_since"]),
            inferred_since=millis(row["inferred_since"]),
            last_seq=row["last_change_seq"],
        )
    return answers


def befores(
    connection: duckdb.DuckDBPyConnection, record_id: str
) -> Iterator[tuple[int, dict[str, tuple[str | None, bool]]]]:
    """Per change of a record, what each of its fields was before, and whether that is known."""
    sql = "SELECT seq, fields FROM answer.history(?, ?, 'infinity'::TIMESTAMP, answer.no_cut())"
    for seq, fields in connection.execute(sql, [ENTITY, record_id]).fetchall():
        yield seq, {f["field"]: (f["before"], f["before_known"]) for f in fields}
