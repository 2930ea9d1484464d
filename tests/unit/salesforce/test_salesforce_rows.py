"""A row of a query as a record's state: event paths, canonical text, and what is not known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.change.values import canonical_text
from cdc.errors import OrgUnavailable
from cdc.ports.org import EntityDescription, FieldDescription
from cdc.ports.types import Millis
from connectors.salesforce.rows import RowReader

RECORD = "001000000000001AAA"


def description(*fields: FieldDescription, entity: str = "Account") -> EntityDescription:
    return EntityDescription(entity, "001", fields, True, Millis(0))


def one(name: str, path: str = "", type_: str = "string", **more: Any) -> FieldDescription:
    return FieldDescription(name, path or name, type_, **more)


@pytest.mark.parametrize(
    ("type_", "given_value", "text"),
    [
        ("datetime", "2026-11-23T10:02:00.000+0000", "2026-11-23T10:02:00.000Z"),
        ("datetime", "2026-11-23T12:02:00.000+0200", "2026-11-23T10:02:00.000Z"),
        ("date", "2026-11-23", "2026-11-23"),
        ("time", "10:02:00.000Z", "10:02:00.000Z"),
        ("double", 12.0, "12"),
        ("currency", 12.5, "12.5"),
        ("double", 12, "12"),
        ("int", 7, "7"),
        ("boolean", True, "true"),
        ("picklist", "Energy", "Energy"),
        ("multipicklist", "A;B", "A;B"),
        ("string", "", ""),
    ],
)
def test_a_value_is_text_in_the_journals_form(type_: str, given_value: Any, text: str) -> None:
    state = RowReader(description(one("F", type_=type_))).state({"Id": RECORD, "F": given_value})
    assert state.values == {"F": text}


def test_parts_are_named_by_their_path_and_compounds_are_left_out() -> None:
    reader = RowReader(
        description(
            one("BillingCity", "BillingAddress.City"),
            one("BillingAddress", type_="address", is_compound=True),
        )
    )
    row = {"Id": RECORD, "BillingCity": "Oslo", "BillingAddress": {"city": "Oslo"}}
    assert reader.state(row).values == {"BillingAddress.City": "Oslo"}


def test_null_is_known_and_missing_is_not() -> None:
    state = RowReader(description(one("A"), one("B"))).state({"Id": RECORD, "A": None})
    assert (state.values, state.unknown) == ({"A": None}, ("B",))


def test_a_value_that_is_not_of_its_type_is_unknown_and_the_row_goes_on() -> None:
    state = RowReader(description(one("A", type_="double"), one("B"))).state(
        {"Id": RECORD, "A": "no number", "B": "x"}
    )
    assert (state.values, state.unknown) == ({"B": "x"}, ("A",))


def test_what_not_every_caller_asks_for_is_not_called_unknown() -> None:
    fields = one("Formula__c", calculated=True), one("Body", type_="base64")
    assert RowReader(description(*fields)).state({"Id": RECORD}).unknown == ()


def test_what_a_row_says_about_itself_stands_beside_its_values() -> None:
    reader = RowReader(
        description(one("Id", type_="id"), one("IsDeleted", type_="boolean"), one("SystemModstamp"))
    )
    state = reader.state(
        {
            "Id": RECORD,
            "IsDeleted": True,
            "SystemModstamp": "2026-11-23T10:02:00.000+0000",
            "LastModifiedById": "005000000000001AAA",
        }
    )
    assert (state.record_id, state.is_deleted, state.values) == (RECORD, True, {})
    assert (state.system_modstamp, state.user_id) == (1_795_428_120_000, "005000000000001AAA")


NAMED = description(one("Name"), one("FirstName", "Name.FirstName"), one("LastName", "Name.LastName"))


def test_a_business_account_has_a_plain_name_and_a_person_the_parts() -> None:
    reader = RowReader(NAMED)
    business = {"Id": RECORD, "Name": "Acme", "FirstName": None, "LastName": None}
    person = {"Id": RECORD, "Name": "Ann Li", "FirstName": "Ann", "LastName": "Li"}
    assert reader.state(business).values == {"Name": "Acme"}
    assert reader.state(person).values == {"Name.FirstName": "Ann", "Name.LastName": "Li"}
    assert reader.state({**person, "IsPersonAccount": False}).values == {"Name": "Ann Li"}


def test_a_row_without_id_is_an_error_of_the_answer() -> None:
    with pytest.raises(OrgUnavailable):
        RowReader(description(one("A"))).state({"A": "x"})


@given(
    st.dictionaries(
        st.sampled_from("ABCDEF"), st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans())
    ),
    st.lists(st.sampled_from(["string", "double", "boolean", "datetime", "int"]), min_size=6, max_size=6),
)
def test_every_field_asked_for_is_either_valued_or_unknown_and_never_both(
    row: dict[str, Any], types: list[str]
) -> None:
    fields = [one(name, type_=type_) for name, type_ in zip("ABCDEF", types, strict=True)]
    state = RowReader(description(*fields)).state({"Id": RECORD, **row})
    assert set(state.values) | set(state.unknown) == set("ABCDEF")
    assert not set(state.values) & set(state.unknown)
    assert {name for name in row if row[name] is None} <= {k for k, v in state.values.items() if v is None}


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_date_time_of_rest_is_the_same_text_however_it_is_read(moment: datetime) -> None:
    given_text = moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
    state = RowReader(description(one("F", type_="datetime"))).state({"Id": RECORD, "F": given_text})
    assert state.values == {"F": canonical_text(given_text, "datetime")}
