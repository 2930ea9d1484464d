"""Descriptions as REST gives them: of one entity, and of all."""

from __future__ import annotations

from typing import Any

from connectors.simulator.entities import Entity
from connectors.simulator.fields import Field, Leaf

SOAP_TYPES = {
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "datetime": "xsd:dateTime",
    "date": "xsd:date",
    "time": "xsd:time",
    "id": "tns:ID",
    "reference": "tns:ID",
    "address": "urn:address",
    "location": "urn:location",
}


def describe_entity(entity: Entity, hidden: frozenset[str], children: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of sobjects/X/describe: only what the reader may see."""
    fields = [_field("Id", "id", label=f"{entity.label} ID", nillable=False)]
    fields.append(_field("IsDeleted", "boolean", label="Deleted", nillable=False))
    for field in entity.fields:
        if field.in_queries and field.name not in hidden:
            fields.extend(_described(field))
    fields.append(_field("SystemModstamp", "datetime", label="System Modstamp", nillable=False))
    return {**summary(entity), "fields": fields, "childRelationships": children, "recordTypeInfos": []}


def summary(entity: Entity) -> dict[str, Any]:
    """What the global description and an entity's own have in common."""
    writable = entity.name != "User"
    return {
        "name": entity.name,
        "label": entity.label,
        "labelPlural": entity.plural,
        "keyPrefix": entity.key_prefix,
        "custom": entity.custom,
        "createable": True,
        "updateable": True,
        "deletable": writable,
        "undeletable": writable,
        "queryable": True,
        "retrieveable": True,
        "replicateable": True,
        "searchable": True,
        "triggerable": True,
        "deprecatedAndHidden": False,
        "urls": {
            "sobject": f"/services/data/v66.0/sobjects/{entity.name}",
            "describe": f"/services/data/v66.0/sobjects/{entity.name}/describe",
        },
    }


def child_relationships(entity: str, entities: dict[str, Entity]) -> list[dict[str, Any]]:
    """Who refers to an entity."""
    return [
        {
            "childSObject": child.name,
            "field": field.name,
            "cascadeDelete": field.name in child.cascades,
            "relationshipName": child.plural if not field.custom else f"{child.plural}__r",
            "deprecatedAndHidden": False,
            "restrictedDelete": False,
        }
        for child in entities.values()
        for field in child.fields
        if entity in field.reference_to
    ]


def _described(field: Field) -> list[dict[str, Any]]:
    if not field.parts:
        return [_of_field(field)]
    person = field.doc_type in ("PersonName", "Switchable_PersonName")
    whole = _field(
        field.name,
        "string" if person else field.described,
        label=_label(field.name),
        nillable=not field.required,
        writable=field.doc_type == "Switchable_PersonName",
        custom=field.custom,
        compound=field.name if person else None,
    )
    parts = [_of_part(field, leaf) for leaf in field.leaves() if leaf.part]
    return [whole, *parts] if person else [*parts, whole]


def _of_part(field: Field, leaf: Leaf) -> dict[str, Any]:
    return _field(
        leaf.rest_name,
        leaf.described,
        label=_label(leaf.rest_name),
        nillable=not (field.required and leaf.part == "LastName"),
        writable=field.createable,
        updateable=field.updateable,
        custom=field.custom,
        compound=field.name,
    )


def _of_field(field: Field) -> dict[str, Any]:
    made = _field(
        field.name,
        field.described,
        label=_label(field.name),
        nillable=not field.required and field.described != "boolean",
        writable=field.createable,
        updateable=field.updateable,
        calculated=field.calculated,
        custom=field.custom,
    )
    if field.reference_to:
        made["referenceTo"] = list(field.reference_to)
        made["relationshipName"] = field.relationship
    made["picklistValues"] = [
        {"value": value, "label": value, "active": True, "defaultValue": False} for value in field.picklist
    ]
    return made


def _field(
    name: str,
    described: str,
    *,
    label: str,
    nillable: bool = True,
    writable: bool = False,
    updateable: bool | None = None,
    calculated: bool = False,
    custom: bool = False,
    compound: str | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "type": described,
        "soapType": SOAP_TYPES.get(described, "xsd:string"),
        "label": label,
        "nillable": nillable,
        "createable": writable,
        "updateable": writable if updateable is None else updateable,
        "calculated": calculated,
        "custom": custom,
        "compoundFieldName": compound,
        "referenceTo": [],
        "relationshipName": None,
        "picklistValues": [],
        "filterable": described not in ("address", "location"),
        "sortable": described not in ("address", "location", "textarea"),
        "deprecatedAndHidden": False,
    }


def _label(name: str) -> str:
    """`BillingCity` -> `Billing City`, `Credit_Limit__c` -> `Credit Limit`."""
    if name.endswith(("__c", "__s")):
        return name[:-3].replace("__", " ").replace("_", " ")
    spaced = "".join(f" {char}" if char.isupper() else char for char in name).strip()
    return f"{spaced.removesuffix(' Id')} ID" if spaced.endswith(" Id") else spaced
