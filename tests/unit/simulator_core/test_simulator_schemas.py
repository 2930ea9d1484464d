"""The event schemas have the shape of the captured ones."""

from __future__ import annotations

import json
import re
from typing import Any

import fastavro
import pytest

from connectors.simulator.bitmaps import bitmap, bitmaps
from connectors.simulator.entities import standard_entities
from tests.unit.simulator_core.org_reader import quiet_org

ENTITIES = standard_entities("Sm00")


def schema_of(entity: str) -> dict[str, Any]:
    made = json.loads(ENTITIES[entity].layout.schema_json)
    assert isinstance(made, dict)
    return made


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_schema_parses_and_starts_with_the_header(entity: str) -> None:
    schema = schema_of(entity)
    fastavro.parse_schema(json.loads(json.dumps(schema)))
    assert schema["namespace"] == "com.sforce.eventbus"
    first = schema["fields"][0]
    assert (first["name"], first["doc"]) == ("ChangeEventHeader", "Data:ComplexValueType")
    assert [field["name"] for field in first["type"]["fields"]][-3:] == [
        "nulledFields",
        "diffFields",
        "changedFields",
    ]


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_field_but_the_header_is_a_union_with_null_and_says_its_type_in_doc(entity: str) -> None:
    for field in schema_of(entity)["fields"][1:]:
        assert field["type"][0] == "null"
        assert field["default"] is None
        assert re.fullmatch(
            r"(Data|ForeignKey|ExternalForeignKey|CreatedDate):\w+(:00N\w{12})?", field["doc"]
        )
        assert field["name"].endswith("__c") == (field["doc"].count(":") == 2)
    assert "logicalType" not in ENTITIES[entity].layout.schema_json


def test_a_named_record_is_defined_once_and_then_referenced_by_its_bare_name() -> None:
    by_name = {field["name"]: field["type"] for field in schema_of("Account")["fields"]}
    assert by_name["BillingAddress"][1]["name"] == "Address"
    assert by_name["ShippingAddress"] == ["null", "Address"]
    assert by_name["Name"][1] == "string"
    assert by_name["Name"][2]["name"] == "Switchable_PersonName"


def test_account_has_about_sixty_leaf_fields() -> None:
    assert 55 <= len(ENTITIES["Account"].layout.paths) <= 70


def test_events_of_custom_objects_are_named_after_them() -> None:
    assert ENTITIES["Shipment__c"].change_event == "Shipment__ChangeEvent"


def test_schema_ids_are_22_characters_and_different() -> None:
    schema_ids = {entity.layout.schema_id for entity in ENTITIES.values()}
    assert len(schema_ids) == len(ENTITIES)
    assert all(re.fullmatch(r"[\w-]{22}", schema_id) for schema_id in schema_ids)


@pytest.mark.parametrize(
    ("positions", "text"),
    [
        ([23], "0x800000"),
        ([22, 11], "0x400800"),
        ([22, 7], "0x400080"),
        ([22, 2], "0x400004"),
        ([22, 16], "0x410000"),
        ([16], "0x010000"),
        ([12, 19, 20, 21, 22, 23, 27], "0x08F81000"),
        ([23, 68], "0x100000000000800000"),
        ([58], "0x0400000000000000"),
        ([7, 8], "0x0180"),
        ([0], "0x01"),
    ],
)
def test_a_bitmap_is_written_as_on_the_wire(positions: list[int], text: str) -> None:
    assert bitmap(positions) == text


def test_children_stand_behind_the_top_level_which_may_be_absent() -> None:
    assert bitmaps([23], {6: [0]}) == ("0x800000", "6-0x01")
    assert bitmaps([], {6: [7, 8]}) == ("6-0x0180",)
    assert bitmaps([5, 6, 7, 10, 24, 26, 29, 30], {4: [4], 7: [1, 2]}) == ("0x650004E0", "4-0x10", "7-0x06")


def test_a_changed_schema_has_a_new_id_and_the_old_one_stays_known() -> None:
    org = quiet_org()
    before = org.current_schema("Account")
    after = org.change_schema("Account", add=["Region__c Text"], remove=["Fax"])
    assert after == org.current_schema("Account") != before
    assert '"Fax"' in (org.schema(before) or "")
    assert '"Region__c"' in (org.schema(after) or "")
    assert '"Fax"' not in (org.schema(after) or "")


def test_platform_events_have_a_schema_of_their_own() -> None:
    org = quiet_org()
    schema = json.loads(org.schema(org.current_schema("Order__e")) or "")
    assert [field["name"] for field in schema["fields"]][:2] == ["CreatedDate", "CreatedById"]
