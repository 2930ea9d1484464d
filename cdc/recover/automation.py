"""What runs when a restore writes: active validation rules, triggers, flows and duplicate rules, as the org lists them.

A list that cannot be read says so: nobody should take silence for absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.errors import CdcError
from cdc.ports.org import Org


@dataclass(frozen=True, slots=True)
class Automation:
    """One piece: what it is, its name, and what it may do to a restore."""

    entity: str
    kind: str
    name: str
    may: str

    def as_json(self) -> dict[str, str]:
        return {"entity": self.entity, "kind": self.kind, "name": self.name, "may": self.may}


@dataclass(frozen=True, slots=True)
class _Listing:
    kind: str
    soql: str
    tooling: bool
    entity: str  # column that names the entity; a path with dots
    name: str
    may: str


_LISTINGS: Final = (
    _Listing(
        "validation rule",
        "SELECT ValidationName, EntityDefinition.QualifiedApiName FROM ValidationRule WHERE Active = true",
        True,
        "EntityDefinition.QualifiedApiName",
        "ValidationName",
        "refuse records whose earlier values it does not allow",
    ),
    _Listing(
        "trigger",
        "SELECT Name, TableEnumOrId FROM ApexTrigger WHERE Status = 'Active'",
        True,
        "TableEnumOrId",
        "Name",
        "change these records again, or others",
    ),
    _Listing(
        "flow",
        "SELECT ApiName, TriggerObjectOrEventLabel, TriggerType FROM FlowDefinitionView WHERE IsActive = true",
        False,
        "TriggerObjectOrEventLabel",
        "ApiName",
        "change these records again, or others, or send messages",
    ),
    _Listing(
        "duplicate rule",
        "SELECT DeveloperName, SobjectType FROM DuplicateRule WHERE IsActive = true",
        False,
        "SobjectType",
        "DeveloperName",
        "refuse records that look like others; alerts are passed by, blocks are not",
    ),
)


async def active_automation(
    org: Org, entities: Sequence[str], labels: Mapping[str, str]
) -> tuple[list[Automation], list[str]]:
    """What is active on these entities, and a sentence for each list that could not be read."""
    wanted = {name: name for name in entities} | {labels[name]: name for name in entities if name in labels}
    found: list[Automation] = []
    unread: list[str] = []
    for listing in _LISTINGS:
        try:
            rows = [
                row async for page in org.query(listing.soql, tooling=listing.tooling) for row in page.rows
            ]
        except CdcError as error:
            unread.append(f"active {listing.kind}s are not known: {error.what.split(' (')[0]}")
            continue
        for row in rows:
            entity = wanted.get(str(_at(row, listing.entity)))
            if entity is not None:
                found.append(Automation(entity, listing.kind, str(_at(row, listing.name)), listing.may))
    return sorted(found, key=lambda a: (a.entity, a.kind, a.name)), unread


def how_to_contain(totals: Mapping[str, Any], automation: Sequence[Automation]) -> list[str]:
    """What stops a burst, step by step: who made it, through what, and what may have made it."""
    steps = [f"freeze user {user} (Setup, Users, Freeze)" for user in sorted(totals["users"] or ())[:5]]
    steps += [
        f"revoke the sessions of the app {client} (Setup, Connected Apps OAuth Usage)"
        for client in sorted(totals["clients"] or ())[:5]
    ]
    steps += [
        f"deactivate the {one.kind} {one.name} on {one.entity}, if it is the cause"
        for one in automation
        if one.kind in ("flow", "trigger")
    ][:10]
    return steps


def _at(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
