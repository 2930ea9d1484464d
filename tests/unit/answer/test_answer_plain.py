"""One record asked where its rows are answers as the rule does, for every record it takes upon itself."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from random import Random
from typing import Any

from cdc.answer import times
from cdc.answer.answers import dicts_of
from cdc.answer.definitions import NO_CUT, sql
from cdc.answer.plain import history_rows, plain_record, record_rows, states_at
from cdc.change.order import READ_MARGIN_MS
from tests.unit.answer import recorded
from tests.unit.answer.histories import history
from tests.unit.answer.model import FOREVER
from tests.unit.answer.test_answer_rule import moments

HISTORIES = 16 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))


def test_a_plain_record_is_answered_as_by_the_rule() -> None:
    connection = recorded.opened()
    counts: Counter[str] = Counter()
    for seed in range(HISTORIES):
        random = Random(seed)
        past = history(random, margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        for record_id in sorted({i.record_id for i in past.journal.items if not i.is_many}):
            record = plain_record(connection, recorded.ENTITY, record_id)
            counts["records" if record is not None else "left to the rule"] += 1
            if record is None:
                continue
            for asked in moments(random, past, times=2, cuts=1):
                when = times.Moment(
                    at=None if asked.at == FOREVER else recorded.at(asked.at),
                    cut=None if asked.cut == FOREVER else asked.cut,
                )
                where = (seed, record_id, asked)
                assert sorted_fields(list(history_rows(record, when))) == sorted_fields(
                    by_the_rule(connection, "history_rows", record_id, when, after="-1", limit=10_000)
                ), where
                said = states_at(record, when)
                counts["moments" if said is not None else "moments left to the rule"] += 1
                if said is None:
                    continue
                assert [plainly(row) for row in said] == [
                    plainly(row) for row in by_the_rule(connection, "state_row", record_id, when)
                ], where
                counted = record.at(when)
                assert counted is not None
                assert record_rows(counted) == [
                    tuple(r.values()) for r in by_the_rule(connection, "record_rows", record_id, when)
                ], where
    print(f"\n{dict(counts)} of {HISTORIES} histories")
    assert counts["records"] > HISTORIES // 4
    assert counts["moments"] > HISTORIES // 4


def by_the_rule(
    connection: Any, name: str, record_id: str, when: times.Moment, **more: Any
) -> list[dict[str, Any]]:
    given = {"entity": recorded.ENTITY, "t": when.at or "infinity", "c": when.cut or NO_CUT, **more}
    given |= {"lo": record_id, "hi": record_id} if name == "state_row" else {"id": record_id}
    return dicts_of(connection.execute(sql(name), given))


def sorted_fields(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "fields": sorted(row["fields"], key=lambda f: f["field"])} for row in rows]


def plainly(row: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, datetime) else v for k, v in row.items()}
