"""Descriptions as REST gives them: of one entity, and of all."""

from __future__ import annotations

from typing import Any

from connectors.simulator.entities import Entity
from connectors.simulator.fields import Field, Leaf
from connectors.simulator.rows import ASKED_VERSION

DEFAULTED = frozenset({"OwnerId", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"})
"""Never null, and set by the org where an insert does not."""

MERGEABLE = frozenset({"Account", "Contact", "Lead", "Case"})

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


def describe_entity(
    entity: Entity,
    hidden: frozenset[str],
    children: list[dict[str, Any]],
    *,
    read_only: frozenset[str] = frozenset(),
    writable: bool = True,
) -> dict[str, Any]:
    """The answer of sobjects/X/describe: only what the reader may see, writable only what the reader may write."""
    fields = [_field("Id", "id", label=f"{entity.label} ID", nillable=False, length=18)]
    fields.append(_field("IsDeleted", "boolean", label="Deleted", nillable=False))
    for field in entity.fields:
        if field.in_queries and field.name not in hidden:
            described = _described(field)
            if field.name in read_only or not writable:
                for one in described:
                    one.update(createable=False, updateable=False)
            fields.extend(described)
    fields.append(_field("SystemModstamp", "datetime", label="System Modstamp", nillable=False))
    short = summary(entity)
    if not writable:
        short.update(createable=False, updateable=False, deletable=False, undeletable=False, mergeable=False)
    return {
        **short,
        "fields": fields,
        "childRelationships": children,
        "recordTypeInfos": [],
        "namedLayoutInfos": [],
        "supportedScopes": [{"label": f"All {entity.plural}", "name": "everything"}],
    }


def summary(entity: Entity) -> dict[str, Any]:
    """What the global description and an entity's own have in common."""
    deletable = entity.name != "User"
    at = f"/services/data/v{ASKED_VERSION.get()}/sobjects/{entity.name}"
    return {
        "name": entity.name,
        "label": entity.label,
        "labelPlural": entity.plural,
        "keyPrefix": entity.key_prefix,
        "activateable": False,
        "createable": True,
        "custom": entity.custom,
        "customSetting": False,
        "deletable": deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "layoutable": True,
        "mergeable": entity.name in MERGEABLE,
        "mruEnabled": True,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": deletable,
        "updateable": True,
        "urls": {
            "sobject": at,
            "describe": f"{at}/describe",
            "rowTemplate": f"{at}/{{ID}}",
        },
    }


def child_relationships(entity: str, entities: dict[str, Entity]) -> list[dict[str, Any]]:
    """Who refers to an entity."""
    return [
        {
            "childSObject": child.name,
            "field": field.name,
            "cascadeDelete": field.name in child.cascades,
            "relationshipName": child_relationship(child, field, entity),
            "deprecatedAndHidden": False,
            "restrictedDelete": False,
        }
        for child in entities.values()
        for field in child.fields
        if entity in field.reference_to
    ]


def child_relationship(child: Entity, field: Field, parent: str) -> str:
    """What a parent calls its children: Contacts, Shipments__r, ChildAccounts; several ways have several names."""
    if field.custom:
        return f"{child.plural}__r"
    if field.name == "MasterRecordId":
        return f"{child.plural}MergedInto"
    if child.name == parent:
        return f"Child{child.plural}"
    same = [one for one in child.fields if parent in one.reference_to]
    return child.plural if same[0] is field else f"{child.plural}By{field.name.removesuffix('Id')}"


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
        name_field=field.name == "Name",
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
        length=leaf.length,
    )


def _of_field(field: Field) -> dict[str, Any]:
    made = _field(
        field.name,
        field.described,
        label=_label(field.name),
        nillable=not field.required and field.described != "boolean" and field.name not in DEFAULTED,
        writable=field.createable,
        updateable=field.updateable,
        calculated=field.calculated,
        custom=field.custom,
        length=field.leaves()[0].length,
        name_field=field.name in ("Name", "CaseNumber"),
        external_id=field.external_id,
        defaulted=field.name in DEFAULTED or field.described == "boolean",
    )
    made["autoNumber"] = field.name == "CaseNumber"
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
    length: int = 0,
    name_field: bool = False,
    external_id: bool = False,
    defaulted: bool = False,
) -> dict[str, Any]:
    number = described in ("double", "currency", "percent")
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
        "defaultedOnCreate": defaulted or described == "boolean",
        "autoNumber": False,
        "externalId": external_id,
        "idLookup": external_id or described == "id",
        "unique": False,
        "caseSensitive": False,
        "encrypted": described == "encryptedstring",
        "nameField": name_field,
        "length": length,
        "byteLength": length * 3,
        "precision": 18 if number else 0,
        "scale": 2 if number else 0,
        "digits": 8 if described == "int" else 0,
        "groupable": described not in ("textarea", "double", "currency", "percent", "datetime", "address"),
        "restrictedPicklist": False,
        "dependentPicklist": False,
        "permissionable": custom,
        "cascadeDelete": False,
        "restrictedDelete": False,
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
