"""Into another org: the state of chosen entities at a moment, with parents and children, as a plan like any other.

Ids are mapped: a record copied before is known by the journal, any other is made. What points to a record that is
copied too follows it; what points to one the other org does not have is left out, and said. Fields that are
masked leave only as their masks. A second copy of the same moment finds nothing to write.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from cdc.answer.answers import dicts_of
from cdc.answer.entities import entity_named
from cdc.answer.times import Moment, moment
from cdc.errors import BadArgument, NotFound
from cdc.ports.org import EntityDescription, Org
from cdc.recover.classes import classed, split
from cdc.recover.dead_ends import without_dead_ends
from cdc.recover.masking import mask
from cdc.recover.plan import STAMPED, Draft, Say, counted
from cdc.recover.planfile import ROWS
from cdc.recover.pointers import plan_row
from cdc.recover.reading import by_record, counts_of, joined, read_present
from cdc.recover.statements import sql
from cdc.recover.steps import calls_of, depths, steps_of

RECORDS_MAX = 200_000
"""More are another kind of job: a whole-org copy is what sandboxes are for."""
NEVER_COPIED = frozenset({"User"})
"""People are not copied: what points to them stays where the other org has the same user."""

States = dict[str, dict[str, dict[str, str | None]]]
"""entity -> record id -> field -> value"""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """`records`: only these of the chosen entities, and what belongs to them. `masked`: Entity.Field, or a class
    (compliance group or sensitivity) that the org has put fields in."""

    entities: tuple[str, ...]
    at: str | None = None
    before: str | None = None
    records: tuple[str, ...] = ()
    parents: bool = True
    children: bool = True
    masked: tuple[str, ...] = ()
    bulk_from: int = 10_000
    mask_key: bytes = field(default=b"", repr=False)


async def make_copy(
    reader: Callable[[], Any],
    org: Org,
    target: str,
    options: CopyOptions,
    *,
    source: Org | None = None,
    say: Say = lambda _what, _done, _of: None,
) -> Draft:
    """The plan of a copy into the org `target` (its id). Errors: NotFound, BadArgument, those of `Org`.

    `source` is the org the records come from: what it classes is masked, and what the other org does.
    """
    say("reading the journal", 0, 1)
    states, copied, words = await asyncio.to_thread(_from_journal, reader, target, options)
    count = sum(len(records) for records in states.values())
    if not count:
        raise NotFound("nothing is known of these entities at this moment", where=words, do="name another")
    if count > RECORDS_MAX:
        raise BadArgument(f"{count:,} records are more than a copy takes", do="name --record to begin from")
    descriptions = {entity: await org.describe(entity) for entity in states}
    options = replace(options, masked=await _hidden(options.masked, sorted(states), source, org))
    rows: list[dict[str, Any]] = []
    parts = []
    for entity, records in states.items():
        say(f"comparing {entity}", 0, 1)
        wanted = {r: _masked(descriptions[entity], values, options) for r, values in records.items()}
        paths = [f.path for f in descriptions[entity].fields if f.createable and f.path not in STAMPED]
        known = sorted({copied[r] for r in records if r in copied})
        present = await read_present(org, descriptions[entity], known, paths)
        parts.append(present)
        rows += await asyncio.to_thread(
            _rows, descriptions, entity, wanted, copied, by_record(present), states
        )
    everybody = {r for records in states.values() for r in records}
    table = pa.Table.from_pylist([{"step": 0, **row} for row in rows], schema=ROWS)
    table = steps_of(await without_dead_ends(org, descriptions, table, everybody), descriptions)
    facts = {
        "restore_id": f"r-{secrets.token_hex(5)}",
        "incident_id": "",
        "kind": "copy",
        "target": target,
        "title": f"copy of {', '.join(options.entities)} {words}",
        "meant": [f"{len(records):,} {entity}" for entity, records in states.items()],
        "masked": list(options.masked),
        "as_of_seq": None,
        "automation": [],
        "automation_unread": [],
        "options": {"bulk_from": options.bulk_from},
        **counted(table),
        **calls_of(table, joined(parts), options.bulk_from, await counts_of(org, sorted(states))),
    }
    return Draft(table, facts)


async def _hidden(
    masked: Sequence[str], entities: Sequence[str], source: Org | None, target: Org
) -> tuple[str, ...]:
    """Entity.Field of everything to mask: classes become the fields either org has put in them."""
    fields, classes = split(masked)
    if classes and source is None:
        raise BadArgument(
            f"fields of the class {', '.join(sorted(classes))} are to be masked, and there is no login to the org that says which",
            where="[restore] auth",
            do="give it in the settings, or name the fields themselves",
        )
    for one in (source, target) if classes else ():
        if one is not None:
            fields |= await classed(one, entities, classes)
    return tuple(sorted(fields))


# -- which records --------------------------------------------------------------------------------------------


def _from_journal(
    reader: Callable[[], Any], target: str, options: CopyOptions
) -> tuple[States, dict[str, str], str]:
    with reader() as cursor:
        when = moment(cursor, options.at, options.before)
        names = [entity_named(cursor, name) for name in options.entities]
        if NEVER_COPIED & set(names):
            raise BadArgument("people are not copied", where="User", do="name other entities")
        states = _Chosen(cursor, when, options).states(names)
        copied = dict(cursor.execute(sql("copied_ids"), {"target": target}).fetchall())
    return states, copied, when.words()


class _Chosen:
    """The chosen records, and what belongs to them."""

    def __init__(self, cursor: Any, when: Moment, options: CopyOptions) -> None:
        self._cursor, self._when, self._options = cursor, when, options
        self._all: States = {}
        pairs = dicts_of(cursor.execute(sql("pointers_between")))
        self._pointers: list[tuple[str, str, tuple[str, ...]]] = [
            (p["entity"], p["field"], tuple(p["reference_to"])) for p in pairs
        ]

    def states(self, names: Sequence[str]) -> States:
        chosen: States = {}
        for name in names:
            records = self._of(name)
            wanted = set(self._options.records) & set(records) if self._options.records else set(records)
            chosen[name] = {r: records[r] for r in sorted(wanted)}
        if self._options.children:
            self._add_children(chosen)
        if self._options.parents:
            self._add_parents(chosen)
        return {name: records for name, records in chosen.items() if records}

    def _add_children(self, chosen: States) -> None:
        """Records that point to a chosen one, and those that point to them, once around."""
        for parent in list(chosen):
            for entity, path, targets in self._pointers:
                if parent not in targets or entity in NEVER_COPIED or path == "OwnerId":
                    continue
                for record_id, values in self._of(entity).items():
                    if values.get(path) in chosen[parent]:
                        chosen.setdefault(entity, {})[record_id] = values

    def _add_parents(self, chosen: States) -> None:
        """What chosen records point to, until nothing is missing."""
        queue = [(name, values) for name, records in chosen.items() for values in records.values()]
        while queue:
            entity, values = queue.pop()
            for of_entity, path, targets in self._pointers:
                if of_entity != entity or values.get(path) is None:
                    continue
                for target in targets:
                    found = None if target in NEVER_COPIED else self._of(target).get(str(values[path]))
                    if found is not None and values[path] not in chosen.get(target, {}):
                        chosen.setdefault(target, {})[str(values[path])] = found
                        queue.append((target, found))

    def _of(self, entity: str) -> dict[str, dict[str, str | None]]:
        """Every record of an entity that was there at the moment."""
        if entity not in self._all:
            given = {"entity": entity, **self._when.parameters}
            self._all[entity] = dict(self._cursor.execute(sql("states_to_copy"), given).fetchall())
        return self._all[entity]


def _masked(
    description: EntityDescription, values: Mapping[str, str | None], options: CopyOptions
) -> dict[str, str | None]:
    kinds = {f.path: (f.type, f.length) for f in description.fields}
    hidden = {m.partition(".")[2] for m in options.masked if m.partition(".")[0] == description.entity}
    return {
        path: _mask_of(kinds.get(path, ("", 0)), value, options.mask_key)
        if value is not None and (path in hidden or path.partition(".")[0] in hidden)
        else value
        for path, value in values.items()
    }


def _mask_of(described: tuple[str, int], value: str, key: bytes) -> str | None:
    kind, length = described
    return mask(kind, value, key, length)


# -- what is written ------------------------------------------------------------------------------------------


def _rows(
    descriptions: Mapping[str, EntityDescription],
    entity: str,
    wanted: Mapping[str, Mapping[str, str | None]],
    copied: Mapping[str, str],
    present: Mapping[str, Mapping[str, str | None]],
    states: States,
) -> list[dict[str, Any]]:
    """A record that was not copied yet, or is gone from the other org, is made; of any other, fields that differ."""
    description = descriptions[entity]
    writable = {f.path: f for f in description.fields if f.createable and not f.is_compound}
    later = _written_later(descriptions, entity, states)
    rows: list[dict[str, Any]] = []
    for record_id, values in wanted.items():
        there = present.get(copied.get(record_id, ""))
        given = {p: v for p, v in values.items() if p in writable and p not in STAMPED}
        if there is None:
            rows.append(plan_row(entity, record_id, "CREATE", None, "present", "revert", ""))
        for path, value in given.items():
            pointed = value is not None and any(value in records for records in states.values())
            if there is None and value is not None and not (pointed and path in later):
                rows.append(plan_row(entity, record_id, "CREATE", path, value, "revert", ""))
            if pointed and (path in later or there is not None):
                rows += _pointer(entity, record_id, path, value, copied, there)
            elif there is not None and there.get(path) != value:
                rows.append(
                    _difference(entity, copied[record_id], path, value, there, writable[path].updateable)
                )
    return rows


def _written_later(
    descriptions: Mapping[str, EntityDescription], entity: str, states: States
) -> frozenset[str]:
    """References that may point to a record made only afterwards: to the same entity, or in a circle."""
    depth = depths({name: descriptions[name] for name in states})
    return frozenset(
        f.path
        for f in descriptions[entity].fields
        if any(t in states and depth[t] >= depth[entity] for t in f.reference_to)
    )


def _pointer(
    entity: str,
    record_id: str,
    path: str,
    value: str | None,
    copied: Mapping[str, str],
    there: Mapping[str, str | None] | None,
) -> list[dict[str, Any]]:
    """A pointer to another copied record, written once both are there."""
    now = None if there is None else there.get(path)
    if now is not None and now == copied.get(value or ""):
        return []
    row = plan_row(entity, record_id, "REPARENT", path, value, "revert", "points to a copied record")
    return [{**row, "now": now}]


def _difference(
    entity: str,
    record_id: str,
    path: str,
    value: str | None,
    there: Mapping[str, str | None],
    updateable: bool,
) -> dict[str, Any]:
    decision, reason = ("revert", "") if updateable else ("impossible", "can be set at creation only")
    return {**plan_row(entity, record_id, "UPDATE", path, value, decision, reason), "now": there.get(path)}
