"""Alerts as people are shown them: with what their samples held before, as the journal knows it."""

from __future__ import annotations

import json

from cdc.answer import questions
from cdc.change.masking import MASK, Masked
from cdc.recover.show import incident
from tests.unit.answer import recorded
from tests.unit.answer.model import Journal
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


def test_actors_have_the_names_their_users_were_recorded_with() -> None:
    flow, ada, nobody = "005000000000001AAA", "005000000000002AAA", "005000000000003AAA"
    users = Told()
    users.event("CREATE", 1, flow, Username="flow@acme.example")
    users.event("CREATE", 1, ada, Username="ada@acme.example", Name__FirstName="Ada", Name__LastName="Byron")
    users.event("UPDATE", 2, ada, Name__LastName="Lovelace")
    connection = recorded.opened()
    recorded.write(connection, Journal(tuple(users.items), 10 * MINUTE, ()), entity="User")
    actors = [{"user_id": one, "user_name": None, "origin": "", "client": ""} for one in (flow, ada, nobody)]
    recorded.insert(connection, "alerts", [{**_alert(5, A), "actors": json.dumps(actors)}])
    (alert,) = questions.alerts(connection).dicts()
    assert [one["user_name"] for one in alert["actors"]] == ["flow@acme.example", "Ada Lovelace", None]
    hidden = Masked(["User.Name"]).alert(alert)
    assert [one["user_name"] for one in hidden["actors"]] == [MASK, MASK, None]


def test_an_incident_tells_its_alert_whole_and_hides_in_it_what_is_hidden() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("UPDATE", 5, A, Name="z")
    connection = told.opened()
    recorded.insert(connection, "alerts", [_alert(5, A)])
    answer = incident(connection, "alert-1").as_json()
    assert answer["detail"]["alert"]["samples"][0]["before"] == "a"
    hidden = Masked(["Account.Name"]).answer(answer, None)
    assert hidden["detail"]["alert"]["samples"][0]["before"] == MASK
