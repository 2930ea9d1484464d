"""SOQL beyond rows of one entity: groups, subqueries, queries inside conditions, several levels of references."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.simulator.errors import OrgError
from connectors.simulator.org import SimulatedOrg
from tests.unit.simulator_core.org_reader import create, quiet_org, update


def rows(org: SimulatedOrg, soql: str) -> list[dict[str, Any]]:
    return org.query(soql).all()


def bare(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "attributes"}


def small() -> tuple[SimulatedOrg, list[str]]:
    org = quiet_org()
    accounts = create(org, count=3)
    update(org, "Account", accounts[:2], Rating="Hot", AnnualRevenue=10.0)
    update(org, "Account", accounts[2:], Rating="Cold", AnnualRevenue=5.0)
    create(org, "Contact", 2, AccountId=accounts[0], Languages__c="English;French")
    create(org, "Contact", 1, AccountId=accounts[2], Languages__c="German")
    return org, accounts


def test_groups_are_counted_summed_and_sorted() -> None:
    org, _ = small()
    soql = "SELECT Rating, COUNT(Id), SUM(AnnualRevenue) total FROM Account GROUP BY Rating ORDER BY COUNT(Id) DESC"
    found = rows(org, soql)
    assert [bare(row) for row in found] == [
        {"Rating": "Hot", "expr0": 2, "total": 20.0},
        {"Rating": "Cold", "expr0": 1, "total": 5.0},
    ]
    assert found[0]["attributes"] == {"type": "AggregateResult"}


def test_an_aggregate_without_groups_is_one_row_and_having_keeps_some() -> None:
    org, _ = small()
    assert bare(rows(org, "SELECT COUNT(Id) n, MIN(AnnualRevenue) low FROM Account")[0]) == {
        "n": 3,
        "low": 5.0,
    }
    assert bare(rows(org, "SELECT COUNT(Id) n, MAX(Rating) m FROM Lead")[0]) == {"n": 0, "m": None}
    found = rows(org, "SELECT Rating FROM Account GROUP BY Rating HAVING COUNT(Id) > 1")
    assert [row["Rating"] for row in found] == ["Hot"]
    assert rows(org, "SELECT COUNT_DISTINCT(Rating) d FROM Account")[0]["d"] == 2


def test_children_come_with_their_parent_and_null_stands_for_none() -> None:
    org, accounts = small()
    found = rows(
        org, "SELECT Id, (SELECT Id, Account.Rating FROM Contacts ORDER BY Id) FROM Account ORDER BY Id"
    )
    sizes = {row["Id"]: row["Contacts"] and row["Contacts"]["totalSize"] for row in found}
    assert sizes == dict(zip(accounts, [2, None, 1], strict=True))
    assert found[0]["Contacts"]["records"][0]["Account"]["Rating"] == "Hot"
    assert found[0]["Contacts"]["done"] is True


def test_a_query_inside_a_condition_selects_what_to_compare_with() -> None:
    org, accounts = small()
    inside = "SELECT AccountId FROM Contact WHERE Languages__c INCLUDES ('English;French', 'Dutch')"
    assert [row["Id"] for row in rows(org, f"SELECT Id FROM Account WHERE Id IN ({inside})")] == accounts[:1]
    outside = rows(org, f"SELECT Id FROM Account WHERE Id NOT IN ({inside}) ORDER BY Id")
    assert [row["Id"] for row in outside] == accounts[1:]
    assert len(rows(org, "SELECT Id FROM Contact WHERE Languages__c EXCLUDES ('German')")) == 2


def test_references_are_followed_over_several_levels() -> None:
    org, accounts = small()
    update(org, "Account", accounts[:1], ParentId=accounts[2])
    found = rows(org, "SELECT Account.Parent.Rating FROM Contact WHERE Account.Parent.Rating = 'Cold'")
    assert [row["Account"]["Parent"]["Rating"] for row in found] == ["Cold", "Cold"]


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Name, COUNT(Id) FROM Account",
        "SELECT SUM(Rating) FROM Account",
        "SELECT Id, (SELECT Id FROM Nothings) FROM Account",
        "SELECT Id FROM Account WHERE Id IN (SELECT Id, AccountId FROM Contact)",
        "SELECT Id FROM Account WHERE Rating INCLUDES ('Hot')",
        "SELECT Id FROM Account GROUP BY",
    ],
)
def test_what_makes_no_sense_is_refused(soql: str) -> None:
    org, _ = small()
    with pytest.raises(OrgError):
        rows(org, soql)


def test_names_of_objects_are_found_in_any_case() -> None:
    org, accounts = small()
    found = rows(org, "select id from ACCOUNT where rating = 'Cold'")
    assert [row["Id"] for row in found] == [accounts[2]]
    assert found[0]["attributes"]["type"] == "Account"


def test_groups_by_a_part_of_a_date() -> None:
    org, _ = small()
    first = rows(org, "SELECT CreatedDate FROM Account LIMIT 1")[0]["CreatedDate"]
    found = rows(
        org,
        "SELECT CALENDAR_YEAR(CreatedDate) y, CALENDAR_MONTH(convertTimezone(CreatedDate)), COUNT(Id) n FROM Account "
        "GROUP BY CALENDAR_YEAR(CreatedDate), CALENDAR_MONTH(convertTimezone(CreatedDate))",
    )
    assert [bare(row) for row in found] == [{"y": int(first[:4]), "expr0": int(first[5:7]), "n": 3}]
    with pytest.raises(OrgError, match="does not support function"):
        rows(org, "SELECT CALENDAR_YEAR(Name) FROM Account GROUP BY CALENDAR_YEAR(Name)")


def test_values_can_be_asked_for_as_people_read_them() -> None:
    org, _ = small()
    found = rows(org, "SELECT toLabel(Rating), FORMAT(AnnualRevenue) money FROM Account ORDER BY Id LIMIT 1")
    assert bare(found[0]) == {"Rating": "Hot", "money": "USD 10.00"}


def test_a_reference_gives_fields_by_what_it_points_at() -> None:
    org, _ = small()
    soql = "SELECT Id, TYPEOF Owner WHEN User THEN Username ELSE Id END FROM Account LIMIT 1"
    owner = rows(org, soql)[0]["Owner"]
    assert set(owner) == {"attributes", "Username"}
    otherwise = "SELECT TYPEOF Owner WHEN Account THEN Name ELSE Id END FROM Account LIMIT 1"
    assert set(rows(org, otherwise)[0]["Owner"]) == {"attributes", "Id"}
    with pytest.raises(OrgError, match="unexpected token"):
        rows(org, "SELECT TYPEOF Owner ELSE Id END FROM Account")
