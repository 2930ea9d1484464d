"""A record and its children at a moment, by what the descriptions say refers to what."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import duckdb
import pytest

from cdc.answer.tree import tree
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument, NotFound
from tests.unit.answer import recorded
from tests.unit.answer.model import Item, Journal, Moment, state
from tests.unit.answer.told import MINUTE

ACME, SUB, SUBSUB = (f"00100000000000{n}AAA" for n in (1, 2, 3))
ANN, BOB = (f"00300000000000{n}AAA" for n in (1, 2))
CASE = "500000000000001AAA"

DESCRIBED: dict[str, list[dict[str, Any]]] = {
    "Account": [
        {"name": "Name", "path": "Name", "type": "string", "reference_to": []},
        {"name": "ParentId", "path": "ParentId", "type": "reference", "reference_to": ["Account"]},
    ],
    "Contact": [
        {"name": "LastName", "path": "Name.LastName", "type": "string", "reference_to": []},
        {"name": "AccountId", "path": "AccountId", "type": "reference", "reference_to": ["Account"]},
        {"name": "CreatedById", "path": "CreatedById", "type": "reference", "reference_to": ["Account"]},
    ],
    "Case": [
        {"name": "WhatId", "path": "WhatId", "type": "reference", "reference_to": ["Contact", "Account"]},
    ],
}


def opened(
    *told: tuple[str, str, float, str, dict[str, Any]], describe: bool = True
) -> duckdb.DuckDBPyConnection:
    """A journal of several entities: (entity, kind, minute, record, values); `...` is not known."""
    connection = recorded.opened()
    by_entity: dict[str, list[Item]] = {}
    for seq, (entity, kind, minute, record_id, values) in enumerate(told, 1):
        said = {f: (None, False) if v is ... else (v, True) for f, v in values.items()}
        moment = round(minute * MINUTE)
        by_entity.setdefault(entity, []).append(Item(seq, record_id, kind, moment, moment, seq, said=said))
    for entity, items in by_entity.items():
        recorded.write(connection, Journal(tuple(items), 100_000 * MINUTE), entity)
    connection.execute("DELETE FROM store.channels WHERE rowid > 0")
    rows = [{"entity": e, "at_seq": 0, "fields": json.dumps(f)} for e, f in DESCRIBED.items()]
    recorded.insert(connection, "descriptions", rows if describe else [])
    return connection


FAMILY = (
    ("Account", "CREATE", 1, ACME, {"Name": "Acme", "ParentId": None}),
    ("Account", "CREATE", 1, SUB, {"Name": "Sub", "ParentId": ACME}),
    ("Contact", "CREATE", 2, ANN, {"Name.LastName": "Ann", "AccountId": ACME, "CreatedById": SUB}),
    ("Contact", "CREATE", 2, BOB, {"Name.LastName": "Bob", "AccountId": SUB}),
    ("Case", "CREATE", 3, CASE, {"WhatId": ANN}),
)


def shape(connection: duckdb.DuckDBPyConnection, record_id: str = ACME, **more: Any) -> list[tuple[Any, ...]]:
    answer = tree(connection, "Account", record_id, **more)
    return [(r["depth"], r["record_id"], r["via"]) for r in answer.dicts()]


def test_children_stand_behind_their_parents_with_the_field_that_refers_to_them() -> None:
    connection = opened(*FAMILY)
    assert shape(connection) == [
        (0, ACME, None),
        (1, SUB, "ParentId"),
        (2, BOB, "AccountId"),
        (1, ANN, "AccountId"),
        (2, CASE, "WhatId"),
    ]
    assert [r["name"] for r in tree(connection, "Account", ACME).dicts()] == [
        "Acme",
        "Sub",
        "Bob",
        "Ann",
        None,
    ]
    assert tree(connection, "Account", ACME).complete


def test_a_tree_is_that_of_the_moment() -> None:
    connection = opened(*FAMILY, ("Contact", "UPDATE", 9, BOB, {"AccountId": ACME}))
    assert shape(connection, at=recorded.at(MINUTE)) == [(0, ACME, None), (1, SUB, "ParentId")]
    assert (2, BOB, "AccountId") in shape(connection, at=recorded.at(8 * MINUTE))
    assert (1, BOB, "AccountId") in shape(connection)
    assert (2, BOB, "AccountId") in shape(connection, before=6)


def test_a_circle_ends() -> None:
    connection = opened(*FAMILY[:2], ("Account", "UPDATE", 3, ACME, {"ParentId": SUB}))
    answer = tree(connection, "Account", ACME, depth=10)
    assert [(r["depth"], r["record_id"], r["again"]) for r in answer.dicts()] == [
        (0, ACME, False),
        (1, SUB, False),
        (2, ACME, True),
    ]


def test_a_record_that_is_its_own_parent_is_shown_once_more_and_not_followed() -> None:
    connection = opened(("Account", "CREATE", 1, ACME, {"Name": "Acme", "ParentId": ACME}))
    assert shape(connection) == [(0, ACME, None), (1, ACME, "ParentId")]


def test_depth_and_rows_are_limited_and_said() -> None:
    connection = opened(*FAMILY)
    shallow = tree(connection, "Account", ACME, depth=1)
    assert [r["record_id"] for r in shallow.dicts()] == [ACME, SUB, ANN]
    assert "records of level 1 may have children: ask with a greater --depth" in shallow.notes
    assert shape(connection, depth=0) == [(0, ACME, None)]
    cut = tree(connection, "Account", ACME, limit=2)
    assert len(cut.rows) == 2
    assert "cut off after 2 records" in cut.reasons
    for wrong in ({"depth": 11}, {"limit": 0}, {"limit": 10_001}):
        with pytest.raises(BadArgument):
            tree(connection, "Account", ACME, **wrong)


def test_a_child_whose_reference_is_not_known_is_neither_shown_as_one_nor_left_out() -> None:
    connection = opened(*FAMILY[:3], ("Contact", "GAP_UPDATE", 5, ANN, {}))
    answer = tree(connection, "Account", ACME)
    [ann] = [r for r in answer.dicts() if r["record_id"] == ANN]
    assert ann["is_child"] is None
    assert ann["parent_id"] == ACME
    assert "of 1 records it is not known whether they were children then" in answer.reasons


def test_a_deleted_child_is_shown_as_deleted() -> None:
    connection = opened(*FAMILY, ("Contact", "DELETE", 5, ANN, {}))
    statuses = {r["record_id"]: r["status"] for r in tree(connection, "Account", ACME).dicts()}
    assert statuses[ANN] == "deleted"


def test_who_created_a_record_is_not_its_parent() -> None:
    connection = opened(*FAMILY)
    assert ANN not in [r[1] for r in shape(connection, SUB)]


def test_without_descriptions_relationships_are_said_to_be_unknown() -> None:
    answer = tree(opened(*FAMILY, describe=False), "Account", ACME)
    assert len(answer.rows) == 1
    assert "no entity has been described yet: relationships are not known" in answer.notes


def test_a_record_never_seen_is_not_found_and_one_created_later_has_no_tree() -> None:
    connection = opened(*FAMILY)
    with pytest.raises(NotFound):
        tree(connection, "Account", SUBSUB)
    answer = tree(connection, "Contact", ANN, at=recorded.at(MINUTE))
    assert answer.rows == ()


def test_trees_are_those_of_the_model_in_random_families() -> None:
    ids = [f"001{n:012d}AAA" for n in range(8)]
    for seed in range(20):
        random = Random(seed)
        told: list[tuple[str, str, float, str, dict[str, Any]]] = [
            ("Account", "CREATE", n, i, {"ParentId": random.choice([None, *ids])}) for n, i in enumerate(ids)
        ]
        for n in range(25):
            kind = random.choices(["UPDATE", "DELETE", "UNDELETE", "GAP_UPDATE"], [12, 1, 1, 1])[0]
            parent = random.choice([None, ..., *ids])
            values = {"ParentId": parent} if kind in ("UPDATE", "UNDELETE") else {}
            told.append(("Account", kind, 10 + n, random.choice(ids), values))
        connection = opened(*told)
        items = [
            Item(s, r, k, round(m * MINUTE), round(m * MINUTE), s, said={f: (None, False) if v is ... else (v, True) for f, v in vs.items()})
            for s, (_, k, m, r, vs) in enumerate(told, 1)
        ]  # fmt: skip
        minute = random.uniform(8, 36)
        held = state(Journal(items, 100_000 * MINUTE), Moment(at=round(minute * MINUTE)), READ_MARGIN_MS)
        answer = tree(connection, "Account", ids[0], at=recorded.at(round(minute * MINUTE)), depth=10)
        found = {r["record_id"] for r in answer.dicts() if r["is_child"]}
        reached = {ids[0]}
        while more := {i for i in ids if held[i].fields.get("ParentId") in reached} - reached:
            reached |= more
        # Below a child of which it is unknown there may be more: what is certain is all there.
        assert reached <= found, seed
        certain = {r["record_id"] for r in answer.dicts() if r["is_child"] and r["depth"] <= 1}
        assert certain == {ids[0]} | {i for i in ids if held[i].fields.get("ParentId") == ids[0]}, seed
