"""`state_at`, `record_at` and their cuts, one behaviour at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.unit.answer import recorded
from tests.unit.answer.model import Stretch
from tests.unit.answer.told import MARGIN_MINUTES, MINUTE, A, B, Told, state_at


def test_arg_max_skips_nulls_and_the_fold_does_not() -> None:
    told = Told()
    told.event("CREATE", 1, Phone="1")
    told.event("UPDATE", 2, Phone=None)
    assert state_at(told.opened(), 3)[A]["fields"] == {"Phone": None}


def test_a_field_is_unknown_before_the_first_full_state_and_missing_from_the_map() -> None:
    told = Told()
    told.event("UPDATE", 1, Phone="1")
    row = state_at(told.opened(), 3)[A]
    assert row["fields"] == {"Phone": "1"}
    assert not row["complete"]
    assert "not known in full" in row["incomplete_reason"]


def test_a_change_whose_value_is_hidden_makes_the_field_unknown() -> None:
    told = Told()
    told.event("CREATE", 1, Phone="1", Name="a")
    told.event("UPDATE", 2, Phone=...)
    row = state_at(told.opened(), 3)[A]
    assert row["fields"] == {"Name": "a"}
    assert row["incomplete_reason"] == "unknown: Phone"


def test_a_full_state_says_nothing_of_a_field_that_a_later_event_within_its_read_names() -> None:
    told = Told()
    told.full_state(1, 5, after=0, Name="a", Phone="9")
    told.event("UPDATE", 4, Phone="9")
    connection = told.opened()
    assert state_at(connection, 3)[A]["fields"] == {"Name": "a"}
    assert state_at(connection, 4)[A]["fields"] == {"Name": "a", "Phone": "9"}


def test_what_was_known_before_such_a_full_state_still_stands() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a", Phone="1")
    told.full_state(2, 5, after=1, Name="a", Phone="9")
    told.event("UPDATE", 4, Phone="9")
    assert state_at(told.opened(), 3)[A]["fields"] == {"Name": "a", "Phone": "1"}


def test_a_full_state_counts_only_once_the_stream_has_passed_its_read_and_the_margin() -> None:
    told = Told(passed_to=5 + MARGIN_MINUTES - 0.001)
    told.full_state(1, 5, after=0, Name="a")
    row = state_at(told.opened(), 2)[A]
    assert (row["status"], row["fields"]) == ("unknown", {})
    assert "not settled" in row["incomplete_reason"]
    told.passed_to = 5 + MARGIN_MINUTES
    assert state_at(told.opened(), 2)[A]["complete"]


def test_a_time_the_stream_has_not_passed_is_not_complete() -> None:
    told = Told(passed_to=10)
    told.event("CREATE", 1, Name="a")
    assert state_at(told.opened(), 9)[A]["complete"]
    row = state_at(told.opened(), 10)[A]
    assert row["incomplete_reason"] == "the stream has not passed this time"


def test_a_gap_makes_every_field_unknown_until_something_names_it() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a", Phone="1")
    gap = told.event("GAP_UPDATE", 2)
    told.event("UPDATE", 3, Phone="2")
    told.full_state(2, 5, after=gap + 1, kind="REREAD", Name="b", Phone="2")
    connection = told.opened()
    cut = connection.execute("SELECT fields FROM state_before('Account', ?)", [gap + 1]).fetchone()
    assert cut == ({},)
    row = state_at(connection, 6)[A]
    assert row["fields"] == {"Name": "b", "Phone": "2"}
    assert row["known_since"] == recorded.at(2 * MINUTE)


def test_an_overflow_concerns_every_record_of_the_entity_in_its_place() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("GAP_OVERFLOW", 2, "000000000000000AAA")
    told.event("CREATE", 3, B, Name="b")
    rows = state_at(told.opened(), 4)
    assert (rows[A]["status"], rows[A]["fields"]) == ("unknown", {})
    assert (rows[B]["status"], rows[B]["fields"]) == ("present", {"Name": "b"})


def test_before_the_first_item_values_unmoved_since_are_inferred_and_never_known() -> None:
    told = Told()
    told.full_state(10, 12, after=0, modified=3, Name="a", Phone="1")
    told.event("UPDATE", 11, Phone="2")
    connection = told.opened()
    row = state_at(connection, 5)[A]
    assert row["fields"] == {"Name": "a"}
    assert (row["known_since"], row["inferred_since"]) == (None, recorded.at(3 * MINUTE))
    assert not row["complete"]
    found = connection.execute(
        "SELECT known, inferred FROM record_at('Account', ?, ?)", [A, recorded.at(5 * MINUTE)]
    )
    assert found.fetchall()[0] == (False, True)
    assert state_at(connection, 2)[A]["fields"] == {}


def test_a_deleted_record_keeps_what_it_said() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    told.event("DELETE", 2)
    row = state_at(told.opened(), 3)[A]
    assert (row["status"], row["fields"], row["complete"]) == ("deleted", {"Name": "a"}, True)


def test_an_absent_record_is_deleted_unless_a_later_event_says_otherwise() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("CREATE", 1, B, Name="b")
    for record in (A, B):
        told.full_state(3, 5, record, after=2, kind="ABSENT")
    told.event("UPDATE", 9, B, Name="c")
    rows = state_at(told.opened(), 6)
    assert (rows[A]["status"], rows[B]["status"]) == ("deleted", "present")


def test_a_record_created_later_did_not_exist() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("CREATE", 5, B, Name="b")
    assert set(state_at(told.opened(), 3)) == {A}


def test_behind_lost_events_nothing_is_known_until_a_repair_that_was_read_after_them() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a", Phone="1")
    told.stretches.append(Stretch(from_ordinal=1, from_at=2 * MINUTE, to_at=6 * MINUTE, is_range=True))
    told.full_state(3, 4, after=1, kind="REREAD", scan="verify", Name="b", Phone="1")
    told.full_state(2, 8, after=1, kind="REREAD", scan="repair-Account-120000", Name="c", Phone="1")
    connection = told.opened()
    assert state_at(connection, 1.5)[A]["fields"] == {"Name": "a", "Phone": "1"}
    assert state_at(connection, 5)[A]["fields"] == {}
    assert state_at(connection, 7)[A]["fields"] == {"Name": "c", "Phone": "1"}


def test_the_stretch_of_a_gap_event_takes_nothing_from_its_reread() -> None:
    told = Told()
    told.event("CREATE", 1, Name="a")
    gap = told.event("GAP_UPDATE", 2)
    told.stretches.append(Stretch(gap, from_at=2 * MINUTE, to_at=None, is_range=False, record_id=A))
    told.full_state(2, 5, after=gap, kind="REREAD", Name="b")
    row = state_at(told.opened(), 3)[A]
    assert (row["fields"], row["complete"]) == ({"Name": "b"}, True)


def test_an_event_that_could_not_be_read_makes_its_record_unknown_from_its_place() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.event("CREATE", 1, B, Name="b")
    told.stretches.append(Stretch(3, from_at=2 * MINUTE, to_at=None, is_range=False, record_id=A))
    told.items.append(replace(told.items[-1], seq=4, fold_seq=4, record_id="001000000000003AAA"))
    connection = told.opened()
    assert state_at(connection, 1.5)[A]["fields"] == {"Name": "a"}
    rows = state_at(connection, 3)
    assert (rows[A]["status"], rows[A]["fields"]) == ("unknown", {})
    assert rows[B]["complete"]


def test_a_channel_that_stands_still_keeps_what_is_known_and_is_not_complete() -> None:
    told = Told(passed_to=5)
    told.event("CREATE", 1, Name="a")
    told.stretches.append(Stretch(1, from_at=5 * MINUTE, to_at=None, is_range=True))
    row = state_at(told.opened(), 99)[A]
    assert row["fields"] == {"Name": "a"}
    assert "stands still" in row["incomplete_reason"]
    told.passed_to = 10
    assert state_at(told.opened(), 9)[A]["complete"]


def test_an_absent_row_shares_its_ordinal_with_what_was_recorded_last() -> None:
    told = Told()
    told.event("CREATE", 1, A, Name="a")
    told.full_state(3, 5, A, after=1, kind="ABSENT")
    told.items[-1] = replace(told.items[-1], seq=1)
    connection = told.opened()
    row = state_at(connection, 6)[A]
    assert (row["status"], row["fields"]) == ("deleted", {"Name": "a"})
    found = connection.execute(
        "SELECT field, seq FROM record_at('Account', ?, ?)", [A, recorded.at(6 * MINUTE)]
    )
    assert found.fetchall() == [("Name", 1)]
    told_history = connection.execute(
        "SELECT kind, len(fields) FROM answer.history('Account', ?, 'infinity'::TIMESTAMP, answer.no_cut()) ORDER BY place",
        [A],
    )
    assert told_history.fetchall() == [("CREATE", 1), ("ABSENT", 0)]


def test_a_cut_parts_two_changes_of_one_second() -> None:
    told = Told()
    told.event("CREATE", 1, Phone="1")
    told.event("UPDATE", 2, Phone="good")
    bad = told.event("UPDATE", 2, Phone="bad")
    connection = told.opened()
    assert connection.execute("SELECT fields FROM state_before('Account', ?)", [bad]).fetchone() == (
        {"Phone": "good"},
    )
    found = connection.execute("SELECT value, set_by, seq FROM record_before('Account', ?, ?)", [A, bad])
    assert found.fetchall() == [("good", "user2", 2)]


def test_a_value_read_by_query_names_no_change_that_set_it() -> None:
    told = Told()
    seq = told.full_state(1, 2, after=0, Name="a")
    found = told.opened().execute(
        "SELECT value, known, set_at, set_by, set_client, seq FROM record_at('Account', ?, ?)",
        [A, recorded.at(9 * MINUTE)],
    )
    assert found.fetchall() == [("a", True, None, None, None, seq)]


def test_one_record_is_answered_without_folding_its_entity() -> None:
    told = Told()
    for n in range(50):
        told.event("CREATE", n, f"001{n:012d}AAA", Name="a", Phone="1")
    plan = told.opened().execute(
        "EXPLAIN (ANALYZE, FORMAT json) FROM record_at('Account', '001000000000007AAA', '1970-01-02')"
    )
    scanned = dict(_rows_scanned(json.loads(plan.fetchall()[0][1]), "store.hot_fields"))
    assert scanned
    assert max(scanned.values()) == 2


def _rows_scanned(node: dict[str, Any], table: str, at: str = "") -> Iterator[tuple[str, int]]:
    info = node.get("extra_info", {})
    if isinstance(info, dict) and str(info.get("Table", "")).endswith(table):
        yield at, node["operator_cardinality"]
    for n, child in enumerate(node.get("children", ())):
        yield from _rows_scanned(child, table, f"{at}.{n}")
