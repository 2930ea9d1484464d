"""Alerts as people are shown them: with what their samples held before, as the journal knows it."""

from __future__ import annotations

import json

from cdc.answer import questions
from tests.unit.answer import recorded
from tests.unit.answer.told import MINUTE, A, B, Told


def _alert(first_minute: int, *records: str) -> dict[str, object]:
    moment = recorded.at(first_minute * MINUTE)
    samples = [
        {"record_id": r, "field": "Name", "before": None, "before_known": False, "after": "z"}
        for r in records
    ]
    target = {"entity": "Account", "field": "Name", "null_share": 0.0, "share": 1.0, "top_values": []}
    return {
        "org": "acme",
        "alert_id": "alert-1",
        "version": 1,
        "severity": "page",
        "state": "open",
        "title": "t",
        "first_change_at": moment,
        "last_change_at": moment,
        "decided_at": moment,
        "at_change": 1,
        "at_ordinal": 1,
        "records": 2,
        "changes": 2,
        "kinds": "{}",
        "actors": "[]",
        "targets": json.dumps([target]),
        "transactions": 1,
        "samples": json.dumps(samples),
        "evidence": "[]",
        "usual": "u",
        "coverage": "",
        "next": "n",
    }


def test_samples_show_what_was_there_before_the_alert_and_say_what_is_not_known() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("UPDATE", 2, A, Name="b")
    told.event("UPDATE", 5, A, Name="z")
    told.event("UPDATE", 5, B, Name="z")
    told.event("UPDATE", 6, A, Name="y")
    connection = told.opened()
    recorded.insert(connection, "alerts", [_alert(5, A, B)])
    (alert,) = questions.alerts(connection).dicts()
    assert [(s["before"], s["before_known"]) for s in alert["samples"]] == [("b", True), (None, False)]
