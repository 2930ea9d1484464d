"""Stretches during which a channel stood still, or did not carry an entity: what they say while open and after."""

from __future__ import annotations

from typing import Any

import duckdb

from tests.unit.answer import recorded
from tests.unit.answer.told import MINUTE, A, Told, state_at


def tell(connection: duckdb.DuckDBPyConnection, version: int, **values: Any) -> None:
    """One version of a stretch from minute 5 on."""
    row = {
        "stretch_id": "s",
        "version": version,
        "seq": 1,
        "org": recorded.ORG,
        "channel": recorded.CHANNEL,
        "entity": None,
        "from_at": recorded.at(5 * MINUTE),
        "to_at": None,
        "status": "lost",
        "reason": "somebody has to do something",
        "evidence": "",
        "from_ordinal": 1,
    }
    recorded.insert(connection, "coverage", [{**row, **values}])


def told_once() -> duckdb.DuckDBPyConnection:
    told = Told(passed_to=20)
    told.event("CREATE", 1, Name="a")
    told.event("UPDATE", 15, Name="b")
    return told.opened()


def test_a_channel_that_resumed_where_it_stood_has_lost_nothing() -> None:
    connection = told_once()
    tell(connection, 1)
    tell(connection, 2, status="repaired", to_at=recorded.at(10 * MINUTE))
    row = state_at(connection, 7)[A]
    assert (row["fields"], row["complete"]) == ({"Name": "a"}, True)


def test_a_channel_that_stood_still_and_then_lost_its_position_has_a_hole_there() -> None:
    connection = told_once()
    tell(connection, 1)
    tell(connection, 2, to_at=recorded.at(10 * MINUTE))
    assert not state_at(connection, 7)[A]["complete"]


def test_an_entity_the_channel_does_not_carry_is_not_complete_though_the_channel_goes_on() -> None:
    connection = told_once()
    tell(connection, 1, entity="Account")
    assert not state_at(connection, 17)[A]["complete"]
    assert state_at(connection, 3)[A]["complete"]


def test_another_entity_of_the_channel_is_not_concerned() -> None:
    connection = told_once()
    tell(connection, 1, entity="Contact")
    assert state_at(connection, 17)[A]["complete"]
