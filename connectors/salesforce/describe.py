"""From the org's own descriptions to ours: fields with their paths in events, and channel members.

Queries name the parts of a compound field flat (`BillingCity`), events nest them (`BillingAddress.City`). The
description says which compound a part belongs to (`compoundFieldName`); how the part's name is cut from its
query name depends on the compound:

    Name               FirstName                Name.FirstName             (Contact, Lead, User, person accounts)
    BillingAddress     BillingCity              BillingAddress.City
    Address            City                     Address.City               (Lead, User)
    Site__c            Site__Latitude__s        Site__c.Latitude           (geolocation, custom address)

A compound itself is not queried (its parts are). Account.Name is the exception: with person accounts on, the
name parts name it as their compound, and yet it is a plain text of every business account, so it stays a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.change.names import entity_of_topic
from cdc.errors import OrgUnavailable
from cdc.ports.org import ChannelMember, ChildRelationship, EntityDescription, FieldDescription
from cdc.ports.types import Millis

COMPOUND_TYPES = frozenset({"address", "location"})
PLAIN_NAME_ENTITIES = frozenset({"Account"})


def entity_description(body: Mapping[str, Any], org_time: Millis) -> EntityDescription:
    """Read an answer of `sobjects/X/describe`. Errors: OrgUnavailable when it is none."""
    try:
        entity = str(body["name"])
        described: list[Mapping[str, Any]] = body["fields"]
        compounds = {
            str(f["compoundFieldName"])
            for f in described
            if f.get("compoundFieldName") and f["compoundFieldName"] != f["name"]
        }
        return EntityDescription(
            entity=entity,
            key_prefix=str(body.get("keyPrefix") or ""),
            fields=tuple(_field(entity, f, compounds) for f in described),
            queryable=bool(body.get("queryable", True)),
            org_time=org_time,
            replicateable=bool(body.get("replicateable", True)),
            undeletable=bool(body.get("undeletable", True)),
            custom=bool(body.get("custom", False)),
            createable=bool(body.get("createable", False)),
            updateable=bool(body.get("updateable", False)),
            deletable=bool(body.get("deletable", False)),
            mergeable=bool(body.get("mergeable", False)),
            label=str(body.get("label") or ""),
            children=tuple(_child(child) for child in body.get("childRelationships") or ()),
        )
    except (KeyError, TypeError) as error:
        raise OrgUnavailable(
            f"the org's description lacks {error}", where="describe", do="check api_version"
        ) from None


def _field(entity: str, described: Mapping[str, Any], compounds: set[str]) -> FieldDescription:
    name = str(described["name"])
    compound = str(described.get("compoundFieldName") or "")
    plain_name = name == "Name" and entity in PLAIN_NAME_ENTITIES
    return FieldDescription(
        name=name,
        path=event_path(name, compound),
        type=str(described["type"]),
        is_compound=not plain_name and (described["type"] in COMPOUND_TYPES or name in compounds),
        calculated=bool(described.get("calculated", False)),
        createable=bool(described.get("createable", False)),
        updateable=bool(described.get("updateable", False)),
        nillable=bool(described.get("nillable", True)),
        reference_to=tuple(described.get("referenceTo") or ()),
        label=str(described.get("label") or ""),
        defaulted=bool(described.get("defaultedOnCreate", False)),
        auto_number=bool(described.get("autoNumber", False)),
        external_id=bool(described.get("externalId", False)),
        unique=bool(described.get("unique", False)),
        length=int(described.get("length") or 0),
        relationship=str(described.get("relationshipName") or ""),
        picklist=tuple(
            str(one["value"]) for one in described.get("picklistValues") or () if one.get("active", True)
        ),
    )


def _child(described: Mapping[str, Any]) -> ChildRelationship:
    return ChildRelationship(
        entity=str(described["childSObject"]),
        field=str(described["field"]),
        name=str(described.get("relationshipName") or ""),
        cascade=bool(described.get("cascadeDelete", False)),
        restricted=bool(described.get("restrictedDelete", False)),
    )


def event_path(name: str, compound: str) -> str:
    """A field's path in events, from its name in queries and the compound it is a part of (or "")."""
    if not compound or compound == name:
        return name
    if compound.endswith("__c"):
        return f"{compound}.{name.removeprefix(compound[:-1]).removesuffix('__s')}"
    if compound.endswith("Address"):
        return f"{compound}.{name.removeprefix(compound.removesuffix('Address'))}"
    return f"{compound}.{name}"


def channel_members(
    rows: Sequence[Mapping[str, Any]], enriched: Mapping[str, tuple[str, ...]]
) -> tuple[ChannelMember, ...]:
    """Rows of PlatformEventChannelMember; members that are platform events are left out.

    `enriched` is fields by member id.
    """
    members = []
    for row in rows:
        entity = entity_of_topic(str(row.get("SelectedEntity") or ""))
        channel = str(row.get("EventChannel") or "")
        if entity is None or not channel:
            continue
        members.append(
            ChannelMember(
                channel=f"/data/{channel}",
                entity=entity,
                enriched=enriched.get(str(row.get("Id") or ""), ()),
                filter=str(row.get("FilterExpression") or ""),
            )
        )
    return tuple(sorted(members, key=lambda m: (m.channel, m.entity)))
