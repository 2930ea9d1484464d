"""`--where`: a condition in the org's terms is met, not met or unknown, and nothing a person writes becomes SQL."""

from __future__ import annotations

import json
import os
from datetime import date
from random import Random
from typing import Any

import duckdb
import pytest

from cdc.answer import questions
from cdc.answer.condition import CHARACTERS_MAX, parse_condition
from cdc.answer.condition_sql import compile_condition
from cdc.answer.fields import fields_of
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument
from tests.unit.answer import recorded
from tests.unit.answer.histories import FIELDS, history
from tests.unit.answer.model import Said, state
from tests.unit.answer.test_answer_rule import moments
from tests.unit.answer.told import MINUTE, A, B, Told

HISTORIES = 25 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))
C = "001000000000003AAA"

DESCRIBED = [
    {"name": "StageName", "path": "StageName", "type": "picklist"},
    {"name": "Amount", "path": "Amount", "type": "currency"},
    {"name": "CloseDate", "path": "CloseDate", "type": "date"},
    {"name": "CreatedDate", "path": "CreatedDate", "type": "datetime"},
    {"name": "IsWon", "path": "IsWon", "type": "boolean"},
    {"name": "OwnerId", "path": "OwnerId", "type": "reference", "reference_to": ["User"]},
    {"name": "BillingCity", "path": "BillingAddress.City", "type": "string"},
    {"name": "Parts", "path": "Parts", "type": "multipicklist"},
]


@pytest.fixture(scope="module")
def reader() -> duckdb.DuckDBPyConnection:
    told = Told()
    told.event(
        "CREATE",
        1,
        A,
        StageName="Closed Won",
        Amount="1000.5",
        CloseDate="2026-11-23",
        CreatedDate="2026-11-23T10:02:00.000Z",
        IsWon="true",
        OwnerId="005000000000001AAA",
        BillingAddress__City="Oslo",
        Parts="Frame;Wheel",
    )
    told.event("CREATE", 1, B, StageName=None, Amount="9", CloseDate=None, IsWon="false", Parts=None)
    told.event("CREATE", 1, C, StageName="Closed Won", Amount="1")
    told.event("DELETE", 2, C)
    connection = told.opened()
    rows = [{"entity": "Account", "at_seq": 1, "fields": json.dumps(DESCRIBED)}]
    recorded.insert(connection, "descriptions", rows)
    return connection


def met(reader: duckdb.DuckDBPyConnection, where: str, **more: Any) -> dict[str, bool | None]:
    """Record -> true, or None where it is unknown; records that do not meet it are left out."""
    answer = questions.state(reader, "Account", where=where, maybe=True, **more)
    return {row["record_id"]: row["matches"] for row in answer.dicts()}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("StageName = 'Closed Won'", {A: True}),
        ("stagename = 'closed won'", {A: True}),
        ("StageName != 'Closed Won'", {B: True}),
        ("StageName = null", {B: True}),
        ("StageName IS NOT NULL", {A: True}),
        ("StageName LIKE 'clo%'", {A: True}),
        ("StageName LIKE 'Closed\\_Won'", {}),
        ("NOT StageName LIKE 'clo%'", {B: True}),
        ("StageName IN ('x', 'Closed Won')", {A: True}),
        ("StageName NOT IN ('Closed Won')", {B: True}),
        ("StageName < 'D'", {A: True}),
        ("Amount > 9", {A: True}),
        ("Amount >= 9 AND Amount < 1e3", {B: True}),
        ("Amount = 1000.5", {A: True}),
        ("CloseDate = 2026-11-23", {A: True}),
        ("CloseDate > 2026-11-22 AND CloseDate <= 2026-11-23", {A: True}),
        ("CloseDate != 2026-11-23", {B: True}),
        ("CreatedDate = 2026-11-23", {A: True, B: None}),
        ("CreatedDate < 2026-11-23T12:02:00+02:00", {B: None}),
        ("CreatedDate <= 2026-11-23T12:02:00+02:00", {A: True, B: None}),
        ("IsWon = true", {A: True}),
        ("IsWon != true", {B: True}),
        ("OwnerId = '005000000000001'", {A: True, B: None}),
        ("BillingCity = 'Oslo'", {A: True, B: None}),
        ("BillingAddress.City = 'OSLO'", {A: True, B: None}),
        ("Parts INCLUDES ('Wheel')", {A: True}),
        ("Parts INCLUDES ('Wheel;Saddle', 'Frame')", {A: True}),
        ("Parts EXCLUDES ('Wheel')", {B: True}),
        ("Id = '001000000000002'", {B: True}),
        ("IsDeleted = true", {C: True}),
        ("IsDeleted = true OR Amount = 9", {B: True, C: True}),
        ("Amount = 9 OR Amount = 1000.5 AND IsWon = false", {B: True}),
        ("(Amount = 9 OR Amount = 1000.5) AND IsWon = false", {B: True}),
        ("BillingCity = 'x' AND Amount = 9", {B: None}),
        ("BillingCity = 'x' OR Amount = 9", {B: True}),
        ("NOT (BillingCity = 'x' AND Amount = 10)", {A: True, B: True}),
    ],
)
def test_a_condition_reads_as_in_a_query_and_is_unknown_where_a_field_is(
    reader: duckdb.DuckDBPyConnection, where: str, expected: dict[str, bool | None]
) -> None:
    assert met(reader, where) == expected


def test_today_is_the_day_asked_about(reader: duckdb.DuckDBPyConnection) -> None:
    entity = fields_of(reader, "Account")
    for where, day in (
        ("CloseDate = TODAY", date(2026, 11, 23)),
        ("CloseDate = YESTERDAY", date(2026, 11, 24)),
        ("CloseDate = LAST_N_DAYS:30", date(2026, 12, 20)),
        ("CloseDate = NEXT_N_DAYS:2", date(2026, 11, 21)),
    ):
        condition = compile_condition(parse_condition(where), entity, day)
        sql = f"SELECT {condition.sql} FROM (SELECT 'present' AS status, MAP {{'CloseDate': '2026-11-23'}} AS fields)"
        assert reader.execute(sql, condition.parameters).fetchone() == (True,), where


def test_records_of_which_it_is_unknown_are_counted_and_make_the_answer_incomplete(
    reader: duckdb.DuckDBPyConnection,
) -> None:
    answer = questions.state(reader, "Account", where="BillingCity = 'Oslo'")
    assert [row["record_id"] for row in answer.dicts()] == [A]
    assert not answer.complete
    assert (
        "of 1 records it is not known whether they meet the condition: 001000000000002AAA" in answer.reasons
    )


def test_pages_of_a_condition_hold_every_record_once() -> None:
    told = Told()
    ids = [f"001{n:012d}AAA" for n in range(7)]
    for n, record_id in enumerate(ids):
        told.event("CREATE", 1, record_id, Phone=str(n % 2))
    connection = told.opened()
    seen, cursor = [], None
    while True:
        answer = questions.state(connection, "Account", where="Phone = '0'", limit=2, cursor=cursor)
        seen += [row["record_id"] for row in answer.dicts()]
        if (cursor := answer.next) is None:
            break
    assert seen == ids[::2]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "   ",
        "StageName",
        "StageName =",
        "= 'x'",
        "StageName = 'x' AND",
        "StageName = 'x' OR OR IsWon = true",
        "(StageName = 'x'",
        "StageName = 'x')",
        "StageName = 'open",
        'StageName = "x"',
        "StageName = StageName",
        "StageName = 'x'; DROP TABLE store.changes",
        "StageName = 'x' -- and more",
        "StageName = 'x' /* and more */",
        "1 = 1",
        "'a' = 'a'",
        "1 = 1 OR true",
        "true",
        "StageName = (SELECT value FROM store.fields)",
        "StageName IN (SELECT value FROM store.fields)",
        "Id IN ()",
        "upper(StageName) = 'X'",
        "read_text('/etc/passwd') = 'x'",
        "StageName = getenv('HOME')",
        "StageName = current_setting('temp_directory')",
        "fields = 'x'",
        "store.fields.value = 'x'",
        "Nonsense__c = 'x'",
        "Account.Name = 'x'",
        "StageName LIKE 5",
        "StageName = 5",
        "Amount = 'x'",
        "Amount LIKE '1%'",
        "Amount > null",
        "IsWon > true",
        "IsWon = 'true'",
        "CloseDate = 'x'",
        "CloseDate = 2026-02-30",
        "CloseDate > 2026-11-23T00:00:00Z",
        "CreatedDate > 9999-99-99T00:00:00Z",
        "OwnerId = 'x'",
        "CloseDate = LAST_N_DAYS:999999999999",
        "CloseDate = LAST_N_DAYS:0",
        "StageName = $1",
        "StageName = ?",
        "StageName = $w0",
        "StageName = 'x' UNION SELECT 1",
        "StageName\x00 = 'x'",
        "StageName = 'x' LIMIT 1",
        "{condition}",
        "(" * 10_000,
        "NOT " * 5_000 + "IsWon = true",
        "IsWon = true AND " * 400 + "IsWon = true",
        "StageName = '" + "x" * CHARACTERS_MAX + "'",
        "Amount IN (" + "1," * 1_500 + "1)",
    ],
)
def test_anything_else_is_refused_with_a_sentence(reader: duckdb.DuckDBPyConnection, where: str) -> None:
    with pytest.raises(BadArgument) as refused:
        questions.state(reader, "Account", where=where)
    sentence = refused.value.sentence()
    assert sentence.endswith(".")
    assert len(sentence) < 400
    assert "Traceback" not in sentence
    assert "store." not in sentence or "store.fields" in where or "DROP" in where


@pytest.mark.parametrize(
    "text",
    ["' OR 1=1 --", "x'; DROP TABLE changes; --", "%", "\\", "$w0", "{condition}", "\n", "\x00", "é€🙂"],
)
def test_a_hostile_value_is_a_value_and_nothing_else(reader: duckdb.DuckDBPyConnection, text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    for where in (f"StageName = '{escaped}'", f"StageName IN ('{escaped}')"):
        assert met(reader, where) == {}
    assert met(reader, f"StageName != '{escaped}'") == {A: True, B: True}
    assert reader.execute("SELECT count(*) FROM changes").fetchone() == (4,)


def test_a_misspelt_field_is_answered_with_near_names(reader: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(BadArgument, match="did you mean StageName"):
        questions.state(reader, "Account", where="StagName = 'x'")


def test_ids_and_a_condition_exclude_each_other(reader: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(BadArgument, match="both given"):
        questions.state(reader, "Account", [A], where="IsWon = true")


def test_what_meets_a_condition_is_what_the_model_says_in_random_histories() -> None:
    connection = recorded.opened()
    decided = unknown = 0
    for seed in range(HISTORIES):
        random = Random(seed)
        past = history(random, margin=READ_MARGIN_MS)
        recorded.clear(connection)
        recorded.write(connection, past.journal)
        known = set(fields_of(connection, "Account").by_path)
        if not known:
            continue
        recorded_seqs = {i.seq for i in past.journal.items}
        for moment in moments(random, past, times=1, cuts=1):
            if moment.cut < 2**62 and moment.cut not in recorded_seqs:
                continue  # an event that could not be read has no change to name
            tree = _condition(random, sorted(known & set(FIELDS)) or sorted(known), 3)
            when = {"before": moment.cut} if moment.cut < 2**62 else {}
            if not when and moment.at < 2**62:
                when = {"at": recorded.at(moment.at)}
            expected = {
                record_id: verdict
                for record_id, said in state(past.journal, moment, READ_MARGIN_MS).items()
                if (verdict := _and(_present(said), _verdict(tree, said))) is not False
            }
            assert met(connection, _written(tree), limit=10_000, **when) == expected, (
                seed,
                moment,
                _written(tree),
            )
            decided += sum(v is True for v in expected.values())
            unknown += sum(v is None for v in expected.values())
    assert decided > HISTORIES // 2
    assert unknown > HISTORIES // 2


# -- the same, in plain Python


def _condition(random: Random, fields: list[str], depth: int) -> tuple[Any, ...]:
    draw = random.random()
    if depth and draw < 0.4:
        parts = [_condition(random, fields, depth - 1) for _ in range(random.randint(2, 3))]
        return (random.choice(["and", "or"]), *parts)
    if depth and draw < 0.55:
        return ("not", _condition(random, fields, depth - 1))
    field, value = random.choice(fields), random.choice("abcdef")
    return random.choice(
        [
            ("=", field, value),
            ("!=", field, value),
            ("<", field, value),
            (">=", field, value),
            ("=", field, None),
            ("in", field, (value, random.choice("abcdef"))),
        ]
    )


def _written(tree: tuple[Any, ...]) -> str:
    word, *parts = tree
    if word in ("and", "or"):
        return "(" + f" {word.upper()} ".join(_written(p) for p in parts) + ")"
    if word == "not":
        return f"NOT ({_written(parts[0])})"
    field, value = parts
    if word == "in":
        return f"{field} IN ({', '.join(repr(v) for v in value)})"
    return f"{field} {word} {'null' if value is None else repr(value)}"


def _verdict(tree: tuple[Any, ...], said: Said) -> bool | None:
    word, *parts = tree
    if word == "not":
        inner = _verdict(parts[0], said)
        return None if inner is None else not inner
    if word in ("and", "or"):
        verdicts = [_verdict(p, said) for p in parts]
        if word == "and":
            return _and(*verdicts)
        return True if True in verdicts else None if None in verdicts else False
    field, value = parts
    if field not in said.fields:
        return None
    held = said.fields[field]
    if word == "in":
        return held in value
    if word in ("=", "!="):
        return (held == value) == (word == "=")
    return held is not None and (held < value if word == "<" else held >= value)


def _and(*verdicts: bool | None) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _present(said: Said) -> bool | None:
    return {"present": True, "deleted": False}.get(said.status)


def test_a_condition_is_asked_of_the_moment(reader: duckdb.DuckDBPyConnection) -> None:
    assert met(reader, "Amount = 1", at=recorded.at(MINUTE)) == {C: True}
    assert met(reader, "Amount = 1", before=4) == {C: True}
    assert met(reader, "Amount = 1") == {}
