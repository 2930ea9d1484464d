"""Query names and event paths, compounds, and channel members."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import OrgUnavailable
from cdc.ports.org import ChannelMember
from cdc.ports.types import Millis
from connectors.salesforce.describe import channel_members, entity_description, event_path


def field(name: str, type_: str = "string", compound: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "compoundFieldName": compound, "label": name, **more}


def described(entity: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": entity, "keyPrefix": "001", "queryable": True, "fields": list(fields)}


@pytest.mark.parametrize(
    ("name", "compound", "path"),
    [
        ("Industry", "", "Industry"),
        ("BillingCity", "BillingAddress", "BillingAddress.City"),
        ("BillingGeocodeAccuracy", "BillingAddress", "BillingAddress.GeocodeAccuracy"),
        ("PersonMailingStreet", "PersonMailingAddress", "PersonMailingAddress.Street"),
        ("City", "Address", "Address.City"),
        ("FirstName", "Name", "Name.FirstName"),
        ("Site__Latitude__s", "Site__c", "Site__c.Latitude"),
        ("acme__Site__Longitude__s", "acme__Site__c", "acme__Site__c.Longitude"),
        ("Home__CountryCode__s", "Home__c", "Home__c.CountryCode"),
        ("Name", "Name", "Name"),
    ],
)
def test_a_part_of_a_compound_has_the_path_it_has_in_events(name: str, compound: str, path: str) -> None:
    assert event_path(name, compound) == path


def test_compounds_are_marked_and_their_parts_stay_fields() -> None:
    description = entity_description(
        described(
            "Contact",
            field("Id", "id"),
            field("Name"),
            field("FirstName", compound="Name"),
            field("MailingAddress", "address"),
            field("MailingCity", compound="MailingAddress"),
            field("Site__c", "location"),
            field("Site__Latitude__s", "double", "Site__c"),
        ),
        Millis(5),
    )
    assert [f.name for f in description.fields if f.is_compound] == ["Name", "MailingAddress", "Site__c"]
    assert description.org_time == 5


def test_the_name_of_an_account_stays_a_field_beside_the_parts_of_a_persons_name() -> None:
    description = entity_description(
        described("Account", field("Name"), field("LastName", compound="Name")), Millis(0)
    )
    assert [(f.path, f.is_compound) for f in description.fields] == [
        ("Name", False),
        ("Name.LastName", False),
    ]


def test_an_entity_with_a_plain_name_has_a_plain_name() -> None:
    description = entity_description(described("Opportunity", field("Name")), Millis(0))
    assert not description.fields[0].is_compound


def test_what_a_restore_needs_is_carried_over() -> None:
    one = field("OwnerId", "reference", createable=True, updateable=True, nillable=False, calculated=False)
    (owner,) = entity_description(
        described("Account", {**one, "referenceTo": ["User", "Group"]}), Millis(0)
    ).fields
    assert (owner.createable, owner.updateable, owner.nillable) == (True, True, False)
    assert owner.reference_to == ("User", "Group")


def test_an_answer_that_is_no_description_is_said() -> None:
    with pytest.raises(OrgUnavailable):
        entity_description({"fields": None, "name": "Account"}, Millis(0))


def test_members_are_told_by_channel_and_entity_and_platform_events_are_none() -> None:
    rows = [
        {"Id": "0v81", "EventChannel": "ChangeEvents", "SelectedEntity": "AccountChangeEvent"},
        {
            "Id": "0v82",
            "EventChannel": "Team__chn",
            "SelectedEntity": "Plan__ChangeEvent",
            "FilterExpression": "Open__c = true",
        },
        {"Id": "0v83", "EventChannel": "Orders__chn", "SelectedEntity": "Order__e"},
    ]
    assert channel_members(rows, {"0v82": ("Industry",)}) == (
        ChannelMember("/data/ChangeEvents", "Account"),
        ChannelMember("/data/Team__chn", "Plan__c", ("Industry",), "Open__c = true"),
    )
