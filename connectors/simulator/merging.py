"""Merging duplicates: the losers go to the Recycle Bin and name the winner, what referred to them refers to it.

One transaction: the master's values, the deletes, the children moved over. An undelete brings a loser back, but not
its children (SOAP API guide, "undelete()").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.model import Change, Op

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

LOSERS_MAX = 2
MERGED = frozenset({"Account", "Contact", "Lead"})


def merge_changes(
    org: SimulatedOrg, entity: str, master_id: str, losers: Sequence[str], values: Mapping[str, Any]
) -> list[Change]:
    """The changes of one merge. Raises OrgError for records that are not there, or are too many."""
    if entity not in MERGED or not 1 <= len(losers) <= LOSERS_MAX:
        raise OrgError("INVALID_OPERATION", f"{entity} cannot be merged with {len(losers)} records")
    records = org.entity(entity).records
    master = records.get(with_suffix(master_id[:15]))
    found = [records.get(with_suffix(one[:15])) for one in losers]
    if master is None or master.deleted or any(one is None or one.deleted for one in found):
        raise OrgError("ENTITY_IS_DELETED", "entity is deleted")
    changes = []
    if values:
        changes.append(Change(entity, Op.UPDATE, master.id, dict(values)))
    for loser in found:
        assert loser is not None
        changes += [
            Change(child.name, Op.UPDATE, record.id, {field.name: master.id})
            for child in org.entities.values()
            for field in child.fields
            if entity in field.reference_to and field.createable
            for record in child.records.by_value(field.name, loser.id)
        ]
        changes.append(Change(entity, Op.DELETE, loser.id, {"MasterRecordId": master.id}))
    return changes
