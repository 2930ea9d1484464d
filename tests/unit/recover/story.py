"""A small journal told in a few lines: who changed what, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from cdc.answer.definitions import definitions as answer_definitions
from cdc.recover.definitions import definitions
from tests.unit.answer.recorded import insert, opened

ORG, CHANNEL = "acme", "/data/ChangeEvents"
T0 = datetime(2026, 11, 23, 10)
A1, A2, A3 = "001000000000001AAA", "001000000000002AAA", "001000000000003AAA"
GOOD_USER, BAD_USER = "005000000000001AAA", "005000000000666AAA"


class Story:
    """Every call is the next change; `at` counts seconds after T0."""

    def __init__(self) -> None:
        self.connection: duckdb.DuckDBPyConnection = opened()
        for text in (*answer_definitions(), *definitions()):
            self.connection.execute(text)
        self.seq = 0
        insert(
            self.connection,
            "channels",
            [
                {
                    "channel": CHANNEL,
                    "org": ORG,
                    "passed_to": T0 + timedelta(hours=1),
                    "live_from": T0,
                    "at_seq": 0,
                }
            ],
        )

    def create(self, record_id: str, values: Mapping[str, str | None], **who: Any) -> int:
        return self._change("CREATE", record_id, values, **who)

    def update(self, record_id: str, values: Mapping[str, str | None], **who: Any) -> int:
        return self._change("UPDATE", record_id, values, **who)

    def delete(self, record_id: str, **who: Any) -> int:
        return self._change("DELETE", record_id, {}, **who)

    def gap(self, record_id: str, **who: Any) -> int:
        return self._change("GAP_UPDATE", record_id, {}, **who)

    def _change(
        self,
        kind: str,
        record_id: str,
        values: Mapping[str, str | None],
        *,
        user: str = GOOD_USER,
        client: str = "",
        transaction: str = "",
        entity: str = "Account",
    ) -> int:
        self.seq += 1
        at = T0 + timedelta(seconds=self.seq)
        common: dict[str, Any] = {
            "seq": self.seq,
            "org": ORG,
            "entity": entity,
            "record_id": record_id,
            "kind": kind,
            "committed_at": at,
            "effective_at": at,
            "fold_seq": self.seq,
            "fold_rank": 0,
        }
        change = {
            **common,
            "transaction_key": transaction or f"t{self.seq}",
            "user_id": user,
            "origin": "",
            "client": client,
            "channel": CHANNEL,
            "source": "pubsub",
            "changed_fields": list(values) if kind == "UPDATE" else [],
            "nulled_fields": [],
        }
        insert(self.connection, _table(self.connection, "changes"), [change])
        rows = [{**common, "field": name, "value": value, "known": True} for name, value in values.items()]
        insert(self.connection, _table(self.connection, "fields"), rows)
        return self.seq


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Where rows are written: views may stand under the plain name."""
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' AND table_name LIKE ?",
        [f"%{name}"],
    ).fetchall()
    names = sorted((row[0] for row in found), key=len)
    return str(names[0])


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Sequence[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()
