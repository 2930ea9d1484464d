"""The questions as callers ask them: names, pages, unknown values, and the honesty of an answer."""

from __future__ import annotations

import json

import pytest

from cdc.answer import questions
from cdc.answer.answers import json_value
from cdc.answer.entity_views import refresh_entity_views
from cdc.answer.questions import UNKNOWN, Value
from cdc.errors import AnswerIncomplete, BadArgument, NotFound
from tests.unit.answer import recorded
from tests.unit.answer.model import Stretch
from tests.unit.answer.told import MINUTE, A, B, Told


def test_an_unknown_entity_is_answered_with_near_names() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    connection = told.opened()
    with pytest.raises(NotFound, match="did you mean Account"):
        questions.state(connection, "Acount")
    assert questions.state(connection, "account").dicts()[0]["record_id"] == A


def test_an_id_of_fifteen_characters_is_made_eighteen() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    assert questions.state(told.opened(), "Account", [A[:15]]).dicts()[0]["record_id"] == A


@pytest.mark.parametrize("wrong", ["", "001", "001*", "000000000000000AAA", "' OR 1=1 --"])
def test_what_is_no_id_of_one_record_is_refused(wrong: str) -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    with pytest.raises(BadArgument):
        questions.history(told.opened(), "Account", wrong)


def test_a_record_never_seen_is_not_found_and_one_created_later_is_said_to_be() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("CREATE", 5, B, Name="b")
    connection = told.opened()
    with pytest.raises(NotFound, match="never seen"):
        questions.record(connection, "Account", "001000000000009AAA")
    answer = questions.record(connection, "Account", B, at=recorded.at(3 * MINUTE))
    assert answer.rows == ()
    assert any("did not exist" in note for note in answer.notes)


def test_pages_of_a_state_hold_every_record_once() -> None:
    told = Told()
    ids = [f"001{n:012d}AAA" for n in range(7)]
    for record_id in ids:
        told.event("CREATE", 1, record_id, Name="a")
    told.event("UPDATE", 2, "001*")
    connection = told.opened()
    seen, cursor = [], None
    while True:
        answer = questions.state(connection, "Account", limit=3, cursor=cursor)
        seen += [row["record_id"] for row in answer.dicts()]
        cursor = answer.next
        if cursor is None:
            break
    assert seen == ids


def test_pages_of_a_history_hold_every_change_once_in_order() -> None:
    told = Told()
    told.event("CREATE", 1, Phone="0")
    for n in range(6):
        told.event("UPDATE", 2 + n, Phone=str(n))
    connection = told.opened()
    seen, cursor = [], None
    while True:
        answer = questions.history(connection, "Account", A, limit=3, cursor=cursor)
        seen += [row["seq"] for row in answer.dicts()]
        cursor = answer.next
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "e30"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    told = Told()
    told.event("CREATE", 1, Phone="0")
    with pytest.raises(BadArgument):
        questions.history(told.opened(), "Account", A, cursor=cursor)


def test_history_tells_unknown_from_null() -> None:
    told = Told()
    told.event("UPDATE", 1, Phone="1")
    told.event("UPDATE", 2, Phone=None)
    told.event("UPDATE", 3, Phone=...)
    told.event("UPDATE", 4, Phone="2")
    changes = [row["fields"]["Phone"] for row in questions.history(told.opened(), "Account", A).dicts()]
    assert [(c["before"], c["after"]) for c in changes] == [
        (UNKNOWN, Value("1")),
        (Value("1"), Value(None)),
        (Value(None), UNKNOWN),
        (UNKNOWN, Value("2")),
    ]
    assert json_value(changes[1]) == {
        "before": {"value": "1", "known": True},
        "after": {"value": None, "known": True},
    }
    assert json_value(UNKNOWN) == {"value": None, "known": False}


def test_an_answer_says_why_it_is_not_complete_and_strict_makes_it_an_error() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    told.event("GAP_UPDATE", 2)
    answer = questions.state(told.opened(), "Account")
    assert not answer.complete
    assert "hole" in answer.reasons[0]
    with pytest.raises(AnswerIncomplete) as error:
        answer.strict()
    assert error.value.exit_code == 3


def test_an_answer_names_the_stretches_it_crosses() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    told.stretches.append(Stretch(from_ordinal=1, from_at=2 * MINUTE, to_at=6 * MINUTE, is_range=True))
    connection = told.opened()
    [stretch] = questions.state(connection, "Account").stretches
    assert (stretch["from_at"], stretch["status"]) == (recorded.at(2 * MINUTE), "lost")
    assert questions.state(connection, "Account", at=recorded.at(MINUTE)).stretches == []
    assert not questions.coverage(connection, "Account").complete
    assert "events were lost" in questions.status(connection).reasons[0]


def test_a_cut_inside_a_transaction_is_said() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    told.event("UPDATE", 2, Name="b")
    told.event("UPDATE", 2, Name="c")  # ordinals 2 and 3 are one transaction
    answer = questions.state(told.opened(), "Account", before=3)
    assert "before change 3 cuts transaction transaction1 in two" in answer.notes


def test_every_answer_is_plain_json() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    connection = told.opened()
    answers = [
        questions.status(connection),
        questions.coverage(connection),
        questions.alerts(connection),
        questions.state(connection, "Account"),
        questions.record(connection, "Account", A),
        questions.history(connection, "Account", A),
        questions.query(
            connection, "SELECT 1.50::DECIMAL(9,2) AS a, DATE '2026-11-23' AS b, 'nan'::DOUBLE AS c"
        ),
    ]
    for answer in answers:
        body = json.loads(json.dumps(answer.as_json(), allow_nan=False))
        assert all(len(row) == len(body["columns"]) for row in body["rows"])


def test_a_journal_with_nothing_in_it_still_has_a_status() -> None:
    connection = recorded.opened()
    assert questions.status(connection).dicts()[0]["part"] == "journal"
    assert questions.coverage(connection).complete


def test_every_described_entity_has_typed_views() -> None:
    told = Told()
    told.event(
        "CREATE", 1, AnnualRevenue="12.5", BillingAddress__City="Oslo", IsOpen="true", LastDay="2026-11-23"
    )
    told.event("UPDATE", 2, AnnualRevenue=None)
    connection = told.opened()
    fields = [
        {"path": "AnnualRevenue", "type": "currency"},
        {"path": "BillingAddress.City", "type": "string"},
        {"path": "IsOpen", "type": "boolean"},
        {"path": "LastDay", "type": "date"},
        {"path": "Open'ing\"", "type": "time"},
    ]
    recorded.insert(
        connection, "descriptions", [{"entity": "Account", "at_seq": 1, "fields": json.dumps(fields)}]
    )
    assert refresh_entity_views(connection) == ["account", "account_history"]
    now = connection.execute(
        'SELECT "BillingAddress.City", IsOpen, year(LastDay), AnnualRevenue FROM account'
    )
    assert now.fetchall() == [("Oslo", True, 2026, None)]
    past = connection.execute("SELECT seq, AnnualRevenue * 2 FROM account_history ORDER BY seq")
    assert past.fetchall() == [(1, 25.0), (2, None)]
