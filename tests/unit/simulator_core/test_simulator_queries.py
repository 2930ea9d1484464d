"""SOQL, REST shapes and descriptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.simulator.errors import OrgError
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.rows import utc
from connectors.simulator.standard_automation import add_standard
from tests.unit.simulator_core.org_reader import create, quiet_org, update


@pytest.fixture
def org() -> SimulatedOrg:
    made = quiet_org()
    rows: list[dict[str, Any]] = [
        {"Name": "Alpha", "Industry": "Banking", "AnnualRevenue": 10.0, "Renewal_Date__c": 1_763_856_000_000},
        {"Name": "beta", "Industry": "Energy", "AnnualRevenue": 20.0, "Active__c": True},
        {"Name": "Gamma's", "AnnualRevenue": 30.5, "BillingAddress.City": "Lyon"},
        {"Name": "delta"},
    ]
    for values in rows:
        made.commit([Change("Account", Op.CREATE, None, values)], user_id=made.administrator_id)
    return made


def names(org: SimulatedOrg, where: str) -> list[str]:
    return [row["Name"] for row in org.query(f"SELECT Name FROM Account {where}").all()]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", ["Alpha", "beta", "Gamma's", "delta"]),
        ("WHERE Name = 'BETA'", ["beta"]),
        ("WHERE Name = 'Gamma\\'s'", ["Gamma's"]),
        ("WHERE Name LIKE '%a' ORDER BY Name", ["Alpha", "beta", "delta"]),
        ("WHERE Industry IN ('Banking', 'energy')", ["Alpha", "beta"]),
        ("WHERE Industry NOT IN ('Banking')", ["beta", "Gamma's", "delta"]),
        ("WHERE Industry = null", ["Gamma's", "delta"]),
        ("WHERE Industry != null", ["Alpha", "beta"]),
        ("WHERE Industry != 'Banking'", ["beta", "Gamma's", "delta"]),
        ("WHERE AnnualRevenue >= 20", ["beta", "Gamma's"]),
        ("WHERE AnnualRevenue < 20.5 AND NOT Name = 'Alpha'", ["beta"]),
        ("WHERE (Name = 'Alpha' OR Name = 'delta') AND Industry = null", ["delta"]),
        ("WHERE Active__c = true", ["beta"]),
        ("WHERE Active__c = false", ["Alpha", "Gamma's", "delta"]),
        ("WHERE Renewal_Date__c = 2025-11-23", ["Alpha"]),
        ("WHERE Renewal_Date__c > 2025-11-23", []),
        ("WHERE BillingCity = 'lyon'", ["Gamma's"]),
        ("WHERE CreatedDate = TODAY AND CreatedDate >= 2026-08-31T00:00:00Z LIMIT 1", ["Alpha"]),
        ("WHERE CreatedDate > 2026-08-31T00:00:00.000+00:00", []),
        ("WHERE Owner.Name = 'administrator' AND Name LIKE 'b_ta'", ["beta"]),
        ("ORDER BY AnnualRevenue DESC NULLS LAST LIMIT 2", ["Gamma's", "beta"]),
        ("ORDER BY AnnualRevenue", ["delta", "Alpha", "beta", "Gamma's"]),
        ("ORDER BY Name OFFSET 2", ["delta", "Gamma's"]),
    ],
)
def test_a_query_finds_what_it_asks_for(org: SimulatedOrg, where: str, expected: list[str]) -> None:
    assert names(org, where) == expected


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("SELECT FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'x' AND Id != null OR Id = null", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("DROP TABLE Account", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE AnnualRevenue = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE CreatedDate > 'x'", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
    ],
)
def test_a_wrong_query_is_refused_as_salesforce_does(org: SimulatedOrg, soql: str, code: str) -> None:
    with pytest.raises(OrgError) as refused:
        org.query(soql)
    assert refused.value.code == code


def test_a_row_has_the_shapes_of_rest(org: SimulatedOrg) -> None:
    row = org.query(
        "SELECT Id, name, billingcity, BillingAddress, Active__c, CreatedDate, Renewal_Date__c, Owner.Name, "
        "Owner.Email, AnnualRevenue, IsDeleted FROM Account WHERE Name = 'Gamma\\'s'"
    ).all()[0]
    assert row["attributes"] == {
        "type": "Account",
        "url": f"/services/data/v66.0/sobjects/Account/{row['Id']}",
    }
    assert (row["Name"], row["BillingCity"], row["Active__c"], row["IsDeleted"]) == (
        "Gamma's",
        "Lyon",
        False,
        False,
    )
    assert row["CreatedDate"] == "2026-08-31T00:00:00.000+0000"
    assert row["Renewal_Date__c"] is None
    assert row["BillingAddress"]["city"] == "Lyon"
    assert row["Owner"]["Name"] == "Administrator"
    assert "Email" in row["Owner"]
    assert row["AnnualRevenue"] == 30.5


def test_count_has_a_total_and_no_rows(org: SimulatedOrg) -> None:
    rows = org.query("SELECT COUNT() FROM Account WHERE Industry != null")
    assert (rows.total, rows.counts, rows.all()) == (2, True, [])


def test_fields_all_has_every_described_field(org: SimulatedOrg) -> None:
    row = org.query("SELECT FIELDS(ALL) FROM Account LIMIT 1").all()[0]
    described = {field["name"] for field in org.describe("Account")["fields"]}
    assert set(row) - {"attributes"} == described


def test_deleted_rows_are_seen_only_with_deleted_ones_included(org: SimulatedOrg) -> None:
    first = org.query("SELECT Id FROM Account LIMIT 1").all()[0]["Id"]
    org.commit([Change("Account", Op.DELETE, first)], user_id=org.administrator_id)
    assert org.query("SELECT Id FROM Account").total == 3
    rows = org.query("SELECT Id, IsDeleted FROM Account", include_deleted=True).all()
    assert [row["IsDeleted"] for row in rows] == [True, False, False, False]
    assert org.query("SELECT Id FROM Account WHERE IsDeleted = true", include_deleted=True).total == 1


def test_rows_of_a_later_page_are_read_when_it_is_asked_for() -> None:
    org = quiet_org(replace(Knobs.kind(), pages_are_snapshots=False))
    ids = create(org, count=4, Rating="Cold")
    rows = org.query("SELECT Id, Rating FROM Account")
    first = rows.page(0, 2)
    update(org, "Account", ids, Rating="Hot")
    org.commit([Change("Account", Op.HARD_DELETE, ids[3])], user_id=org.administrator_id)
    assert [row["Rating"] for row in first + rows.page(2, 2)] == ["Cold", "Cold", "Hot"]


def test_pages_of_a_kind_org_are_a_snapshot() -> None:
    org = quiet_org()
    ids = create(org, count=2, Rating="Cold")
    rows = org.query("SELECT Rating FROM Account")
    update(org, "Account", ids, Rating="Hot")
    assert [row["Rating"] for row in rows.page(0, 2)] == ["Cold", "Cold"]


def test_a_description_says_what_belongs_to_a_compound_field() -> None:
    fields = {field["name"]: field for field in quiet_org().describe("Account")["fields"]}
    assert fields["BillingCity"]["compoundFieldName"] == "BillingAddress"
    assert fields["FirstName"]["compoundFieldName"] == "Name"
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    assert fields["OwnerId"]["relationshipName"] == "Owner"
    assert fields["Open_Days__c"]["calculated"] is True
    assert (fields["CreatedDate"]["type"], fields["CreatedDate"]["createable"]) == ("datetime", False)


def test_a_description_lists_the_children() -> None:
    children = quiet_org().describe("Account")["childRelationships"]
    assert {(child["childSObject"], child["field"]) for child in children} >= {
        ("Contact", "AccountId"),
        ("Shipment__c", "Account__c"),
    }


def test_the_tooling_api_lists_what_channels_carry() -> None:
    org = quiet_org()
    org.set_channel(
        "Team__chn",
        ["Account"],
        enriched={"Account": ["BillingAddress.City"]},
        filters={"Account": "Active__c = true"},
    )
    rows = org.tooling_query(
        "SELECT Id, SelectedEntity, EventChannel, EnrichedFields, FilterExpression "
        "FROM PlatformEventChannelMember"
    ).all()
    assert len(rows) == 8
    last = rows[-1]
    assert (last["EventChannel"], last["SelectedEntity"]) == ("Team__chn", "AccountChangeEvent")
    assert last["EnrichedFields"] == [{"name": "BillingCity"}]
    assert last["FilterExpression"] == "Active__c = true"


def test_a_rest_body_becomes_values_by_path() -> None:
    org = quiet_org()
    values = org.from_rest(
        "Account",
        {
            "Name": "x",
            "BillingCity": "Lyon",
            "Renewal_Date__c": "2026-11-23",
            "Phone": None,
            "Active__c": True,
        },
        creating=True,
    )
    assert values == {
        "Name": "x",
        "BillingAddress.City": "Lyon",
        "Renewal_Date__c": 1_795_392_000_000,
        "Phone": None,
        "Active__c": True,
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Nope": 1}, "INVALID_FIELD"),
        ({"CreatedDate": "2026-11-23T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"NumberOfEmployees": "many"}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_wrong_rest_body_is_refused(body: dict[str, Any], code: str) -> None:
    with pytest.raises(OrgError) as refused:
        quiet_org().from_rest("Account", body, creating=False)
    assert refused.value.code == code


def test_without_permission_an_entity_does_not_exist() -> None:
    org = quiet_org()
    org.faults.set("no_permission", entity="Case")
    with pytest.raises(OrgError, match="INVALID_TYPE"):
        org.query("SELECT Id FROM Case")
    assert "Case" not in {entity["name"] for entity in org.describe_global()["sobjects"]}


def test_limits_count_what_was_used_in_the_last_day() -> None:
    org = quiet_org()
    org.usage.count_call(3)
    org.usage.count_delivered(10)
    limits = org.limits()
    assert limits["DailyApiRequests"]["Max"] - limits["DailyApiRequests"]["Remaining"] == 3
    assert org.usage.api_usage.startswith("api-usage=3/")
    org.clock.advance(25 * 3_600_000)
    limits = org.limits()
    assert (
        limits["DailyDeliveredPlatformEvents"]["Remaining"] == limits["DailyDeliveredPlatformEvents"]["Max"]
    )


def test_active_automation_is_listed_as_the_service_lists_it() -> None:
    org = quiet_org()
    add_standard(org)
    org.automation.add(
        "trigger",
        {"name": "Quiet", "entity": "Case", "effects": [{"mail": "x"}], "active": False},
    )
    rules = org.tooling_query(
        "SELECT ValidationName, EntityDefinition.QualifiedApiName FROM ValidationRule WHERE Active = true"
    ).all()
    assert [(row["ValidationName"], row["EntityDefinition"]["QualifiedApiName"]) for row in rules] == [
        ("Amount_Not_Negative", "Opportunity")
    ]
    triggers = org.tooling_query("SELECT Name, TableEnumOrId FROM ApexTrigger WHERE Status = 'Active'").all()
    assert [row["TableEnumOrId"] for row in triggers] == ["Account"]
    flows = "SELECT ApiName, TriggerObjectOrEventLabel FROM FlowDefinitionView WHERE IsActive = "
    assert org.query(flows + "true").all() == []
    assert [row["ApiName"] for row in org.query(flows + "false").all()] == ["Quiet"]
    duplicates = org.query("SELECT DeveloperName, SobjectType FROM DuplicateRule WHERE IsActive = true").all()
    assert [row["SobjectType"] for row in duplicates] == ["Contact"]
    assert org.query("SELECT COUNT() FROM AssignmentRule WHERE Active = true").total == 2


def test_small_tables_are_sorted_counted_and_have_no_other_columns() -> None:
    org = quiet_org()
    found = org.query(
        "SELECT QualifiedApiName FROM EntityDefinition ORDER BY QualifiedApiName DESC LIMIT 2"
    ).all()
    assert [row["QualifiedApiName"] for row in found] == ["User", "Shipment__c"]
    assert org.query("SELECT Id, IsSandbox FROM Organization").all()[0]["Id"] == org.org_id
    with pytest.raises(OrgError, match="No such column"):
        org.query("SELECT Nope FROM Organization")
    with pytest.raises(OrgError, match="not supported"):
        org.tooling_query("SELECT Id FROM ApexClass2")


def test_the_audit_trail_lists_who_changed_the_set_up_and_when() -> None:
    org = quiet_org()
    org.change_setup("changedApexTrigger", "Apex Trigger", "Changed X")
    between = org.clock.advance(60_000)
    org.change_setup("activated", "Flows", "Activated Y", user_id=org.integration_user_id)
    since = f"{utc(between - 1):%Y-%m-%dT%H:%M:%S}.000Z"
    rows = org.query(
        f"SELECT Id, Action, Display, CreatedDate, CreatedBy.Name FROM SetupAuditTrail WHERE CreatedDate > {since} "
        "ORDER BY CreatedDate DESC"
    ).all()
    assert [(row["Action"], row["CreatedBy"]["Name"]) for row in rows] == [
        ("activated", "Capture Integration")
    ]
    assert rows[0]["CreatedDate"].endswith("+0000")
    assert org.query("SELECT COUNT() FROM SetupAuditTrail").total == 2
    assert quiet_org().query("SELECT Id, Action FROM SetupAuditTrail WHERE Section = 'Flows'").all() == []
