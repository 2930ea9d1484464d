"""What happens when an administrator adds, removes or retypes fields (protocol 2.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from connectors.simulator import ids
from connectors.simulator.commits import committed_at, header_only
from connectors.simulator.entities import Entity
from connectors.simulator.fields import parse_fields
from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Op, Published, Transaction

TEXT_TYPES = frozenset(
    {"Text", "Email", "Url", "Phone", "DynamicEnum", "StringPlusClob", "HtmlStringPlusClob"}
)
"""Among these a conversion keeps the values and publishes nothing."""


def change_fields(
    entity: Entity,
    transaction: Transaction,
    random: Random,
    knobs: Knobs,
    *,
    add: Sequence[str],
    remove: Sequence[str],
    retype: Mapping[str, str],
) -> list[Published]:
    """Change an entity's fields in place; returns the events of it (wildcards, and what they did in truth)."""
    known = {field.name for field in entity.fields}
    missing = (set(remove) | set(retype)) - known
    if missing:
        raise ValueError(f"{entity.name} has no field {', '.join(sorted(missing))}")
    fields = [field for field in entity.fields if field.name not in remove]
    emptied = []
    for at, field in enumerate(fields):
        wanted = retype.get(field.name)
        if wanted is not None and wanted != field.doc_type:
            if not {wanted, field.doc_type} <= TEXT_TYPES:
                emptied.append(field.name)
            fields[at] = replace(field, doc_type=wanted)
    prefix = next((field.field_id[:8] for field in fields if field.field_id), "00NSm00X")
    for count, field in enumerate(parse_fields("\n".join(add))):
        fields.append(replace(field, field_id=f"{prefix}{len(entity.fields) + count:07d}"))
    removed_paths = [path for path, leaf in entity.leaves.items() if leaf.field.name in remove]
    emptied_paths = [path for path, leaf in entity.leaves.items() if leaf.field.name in emptied]
    for record in entity.records:
        for path in (*removed_paths, *emptied_paths):
            record.own_values().pop(path, None)
    entity.set_fields(fields)
    events: list[Published] = []
    for path in emptied_paths:
        wildcard = (f"{entity.key_prefix}*",)
        event = header_only(transaction, entity, "UPDATE", wildcard, len(events) + 1, knobs, random)
        events.append(_emptied(event, path, random, knobs))
        events.append(event)
    return events


def _emptied(event: Published, path: str, random: Random, knobs: Knobs) -> Published:
    """What truly happened beside the wildcard event, which carries no values: never published."""
    return replace(
        event,
        event_id=ids.event_id(random),
        op=Op.UPDATE,
        kind="",
        committed_at=committed_at(event.transaction.at, knobs),
        paths=(path,),
        values=(None,),
    )
