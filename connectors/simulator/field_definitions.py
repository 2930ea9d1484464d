"""FieldDefinition: every field with what the org says of its contents, its compliance groups and its sensitivity.

Several groups stand in one text with semicolons, as in the service; a compound is one row, its parts are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.simulator.entities import Entity

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg


def field_definitions(org: SimulatedOrg) -> list[dict[str, Any]]:
    """A row a field."""
    return [row for entity in org.entities.values() for row in _of(entity)]


def _of(entity: Entity) -> list[dict[str, Any]]:
    return [
        {
            "DurableId": f"{entity.name}.{field.field_id[:15] or field.name.removesuffix('Id')}",
            "QualifiedApiName": field.name,
            "DeveloperName": field.name.removesuffix("__c"),
            "EntityDefinitionId": entity.name,
            "EntityDefinition": {"DurableId": entity.name, "QualifiedApiName": entity.name},
            "Label": field.name.removesuffix("__c").replace("_", " "),
            "DataType": field.described,
            "IsCompound": bool(field.parts),
            "ComplianceGroup": ";".join(field.compliance) or None,
            "SecurityClassification": field.sensitivity or None,
        }
        for field in entity.fields
        if field.in_queries
    ]
