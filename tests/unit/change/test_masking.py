"""Values of classed fields are left out, wherever an answer or an alert holds them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdc.change.masking import MASK, Masked

MASKED = Masked(["Contact.Birthdate", "Account.BillingAddress"])


def answer(columns: list[str], *rows: list[Any]) -> dict[str, Any]:
    return {"columns": columns, "rows": [list(row) for row in rows], "complete": True}


def test_a_state_keeps_the_names_of_its_fields_and_loses_the_values() -> None:
    told = MASKED.answer(
        answer(
            ["record_id", "fields"], ["003", {"Birthdate": "1980-02-03", "LastName": "Nobody", "Fax": None}]
        ),
        "Contact",
    )
    assert told["rows"] == [["003", {"Birthdate": MASK, "LastName": "Nobody", "Fax": None}]]


def test_that_a_masked_value_is_null_is_not_told_either() -> None:
    told = MASKED.answer(answer(["field", "value", "known"], ["Birthdate", None, True]), "Contact")
    assert told["rows"] == [["Birthdate", MASK, True]]


def test_a_history_loses_before_and_after() -> None:
    change = {"before": {"value": "1980-02-03", "known": True}, "after": {"value": None, "known": True}}
    told = MASKED.answer(answer(["seq", "fields"], [7, {"Birthdate": change}]), "Contact")
    assert "1980" not in json.dumps(told)
    assert told["rows"][0][1]["Birthdate"]["before"] == {"value": MASK, "known": True}


def test_a_compound_hides_its_parts_and_nothing_that_only_begins_like_it() -> None:
    assert MASKED.hides("Account", "BillingAddress.Street")
    assert not MASKED.hides("Account", "BillingAddressNote__c")
    assert not MASKED.hides("Lead", "BillingAddress.Street")


def test_rows_that_name_their_entity_go_by_it() -> None:
    rows = answer(["entity", "field", "before", "bad", "now"], ["Contact", "Birthdate", "a", "b", "c"], ["Lead", "Birthdate", "a", "b", "c"])  # fmt: skip
    told = MASKED.answer(rows, None)["rows"]
    assert told == [["Contact", "Birthdate", MASK, MASK, MASK], ["Lead", "Birthdate", "a", "b", "c"]]


def test_parts_of_a_blast_radius_are_masked_too() -> None:
    fields = [{"entity": "Contact", "field": "Birthdate", "records": 3, "top_values": ["1980-02-03"]}]
    told = MASKED.answer({**answer(["entity"]), "blast": {"fields": fields, "title": "t"}}, None)
    assert told["blast"]["fields"][0]["top_values"] == [MASK]


@pytest.mark.parametrize(
    "condition", ["Birthdate = '1980-02-03'", "not(birthdate=null)", "LastName = 'a' OR Birthdate > '1'"]
)
def test_a_condition_on_a_masked_field_is_found(condition: str) -> None:
    assert MASKED.named_in("Contact", condition) == "Birthdate"
    assert MASKED.named_in("Lead", condition) is None


def test_nothing_masked_costs_nothing() -> None:
    assert not Masked()
    assert Masked(["A.B"])


def test_a_condition_names_a_hidden_field_however_it_is_written() -> None:
    masked = Masked(["Contact.Birthdate"])
    for condition in ("Birthdate<1990-01-01", "NOT birthdate>=1990-01-01", "(Name='x')OR(Birthdate!=null)"):
        assert masked.named_in("Contact", condition) == "Birthdate"
    assert masked.named_in("Contact", "Name = 'x'") is None


def test_a_tree_does_not_name_records_by_a_hidden_field() -> None:
    row = {"entity": "Contact", "is_child": True, "name": "Ann", "fields": {"Name.LastName": "Ann"}}
    told = Masked(["Contact.Name"]).row(row, "Account")
    assert (told["name"], told["fields"]) == (MASK, {"Name.LastName": MASK})
    assert Masked(["Contact.Phone"]).row(row, "Account")["name"] == "Ann"
