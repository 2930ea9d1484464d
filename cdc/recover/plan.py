"""From an incident to a plan: what every field was, what the incident wrote, what it is now, and what follows.

The values before come from the journal, those of now from the org, always. Nothing is written to the org.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cdc.answer.answers import dicts_of, json_value
from cdc.errors import BadArgument, NotFound
from cdc.ports.org import EntityDescription, Org
from cdc.recover.automation import active_automation, how_to_contain
from cdc.recover.befores import Touched, before_the_incident, whole_records
from cdc.recover.dead_ends import without_dead_ends, without_unmakeable
from cdc.recover.incidents import Incident
from cdc.recover.merges import begun, merged_away
from cdc.recover.planfile import ROWS
from cdc.recover.pointers import plan_row, pointers_to, reparenting
from cdc.recover.reading import Present, counts_of, joined, read_present
from cdc.recover.scope import scope_words
from cdc.recover.statements import sql
from cdc.recover.steps import calls_of, steps_of

Say = Callable[[str, int, int], None]
"""Progress: what is being done, how much of it, of how much."""

STAMPED = frozenset({"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"})


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """`delete_created`: delete what the incident created. `bulk_from`: from so many records on a job is used."""

    delete_created: bool = False
    bulk_from: int = 10_000


@dataclass(slots=True)
class _Known:
    """What the journal says, taken in one moment."""

    touched: list[Touched]
    befores: pa.Table
    lives: pa.Table
    totals: Mapping[str, Any]
    cut: int


@dataclass(slots=True)
class Draft:
    """A plan before it is a file."""

    rows: pa.Table
    facts: dict[str, Any] = field(default_factory=dict)


async def make_plan(
    reader: Callable[[], Any],
    org: Org,
    incident: Incident,
    options: PlanOptions,
    *,
    say: Say = lambda _what, _done, _of: None,
) -> Draft:
    """The plan of one incident, pinned to what is recorded now. Errors: NotFound where nothing is meant; those of `Org`."""
    say("reading the journal", 0, 1)
    known = await asyncio.to_thread(_from_journal, reader, incident)
    if not known.touched:
        raise NotFound("no change is meant by this incident", where=incident.incident_id, do="widen it")
    descriptions = await _descriptions(org, [t.entity for t in known.touched])
    present = await _present(org, known, descriptions, say)
    say("deciding", 0, 1)
    rows = await asyncio.to_thread(_decided, reader, known, descriptions, present, options)
    recreated = _ids(rows, "CREATE")
    if recreated:
        back = {i for some in (recreated, _ids(rows, "UNDELETE")) for ids in some.values() for i in ids}
        more = await _made_anew(reader, org, incident, known, descriptions, recreated)
        rows = without_unmakeable(rows, await without_dead_ends(org, descriptions, more, back))
    if masters := merged_away(rows, present):
        rows = pa.concat_tables([rows, await _pointed_back(reader, org, known, descriptions, masters, rows)])
    rows = await asyncio.to_thread(steps_of, rows, descriptions)
    labels = {d.label: d.entity for d in descriptions.values() if d.label}
    automation, unread = await active_automation(
        org, sorted(descriptions), {d: label for label, d in labels.items()}
    )
    facts = {
        "restore_id": f"r-{secrets.token_hex(5)}",
        "incident_id": incident.incident_id,
        "title": incident.title,
        "scope": incident.scope.pinned(known.totals["last_seq"]).as_json(),
        "meant": list(scope_words(incident.scope)),
        "as_of_seq": known.totals["last_seq"],
        "changes": known.totals["changes"],
        "last_change_at": json_value(known.totals["last_at"]),
        "by_automation": known.totals["by_automation"],
        "contain": how_to_contain(known.totals, automation),
        "automation": [a.as_json() for a in automation],
        "automation_unread": unread,
        "options": {"delete_created": options.delete_created, "bulk_from": options.bulk_from},
        **counted(rows),
        **calls_of(rows, present, options.bulk_from, await counts_of(org, sorted(descriptions))),
    }
    return Draft(rows, facts)


def _from_journal(reader: Callable[[], Any], incident: Incident) -> _Known:
    with reader() as cursor, before_the_incident(cursor, incident.scope) as touched:
        return _Known(
            touched,
            cursor.execute("FROM temp.befores").to_arrow_table(),
            cursor.execute("FROM temp.lives").to_arrow_table(),
            dicts_of(cursor.execute(sql("blast_totals")))[0],
            min((t.first_seq for t in touched), default=0),
        )


async def _descriptions(org: Org, entities: Sequence[str]) -> dict[str, EntityDescription]:
    """As the restoring user sees them. Errors: BadArgument for an entity it may not see."""
    out = {}
    for entity in entities:
        try:
            out[entity] = await org.describe(entity)
        except NotFound as error:
            raise BadArgument(
                f"the restoring user may not see {entity}",
                where=error.what,
                do="give it access, or narrow the incident to other entities",
            ) from error
    return out


async def _present(
    org: Org, known: _Known, descriptions: Mapping[str, EntityDescription], say: Say
) -> Present:
    parts: list[Present] = []
    done, total = 0, sum(t.records for t in known.touched)
    for one in known.touched:
        say(f"reading {one.entity} in the org", done, total)
        ids, paths = _wanted(known, one.entity)
        parts.append(await read_present(org, descriptions[one.entity], ids, paths, merged=True))
        done += one.records
    return joined(parts)


def _wanted(known: _Known, entity: str) -> tuple[list[str], list[str]]:
    """Ids and fields of one entity that have to be read."""
    ids: set[str] = set()
    paths: list[str] = []
    for table in (known.befores, known.lives):
        part = table.filter(pa.compute.equal(table["entity"], entity))
        ids.update(part["record_id"].unique().to_pylist())
        if "field" in part.column_names:
            paths = part["field"].unique().to_pylist()
    return sorted(ids), paths


def _decided(
    reader: Callable[[], Any],
    known: _Known,
    descriptions: Mapping[str, EntityDescription],
    present: Present,
    options: PlanOptions,
) -> pa.Table:
    tables = {
        "befores": known.befores,
        "lives": known.lives,
        "present": present.records,
        "present_values": present.values,
        "described": _described(descriptions),
        "entities": _entities(descriptions),
    }
    with reader() as cursor:
        for name, table in tables.items():
            cursor.register(name, table)
        try:
            updates = cursor.execute(sql("decide_updates")).to_arrow_table()
            given = {"delete_created": options.delete_created}
            lives = cursor.execute(sql("decide_lives"), given).to_arrow_table()
        finally:
            for name in tables:
                cursor.unregister(name)
    return pa.concat_tables([_as_rows(updates), _as_rows(lives)])


def _as_rows(table: pa.Table) -> pa.Table:
    zeros = pa.array([0] * table.num_rows, pa.int32())
    return table.append_column("step", zeros).select(ROWS.names).cast(ROWS)


def _described(descriptions: Mapping[str, EntityDescription]) -> pa.Table:
    rows = [
        (d.entity, f.path, f.updateable, f.calculated or f.auto_number, f.name.endswith("__c"))
        for d in descriptions.values()
        for f in d.fields
        if not f.is_compound
    ]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    types = [pa.string(), pa.string(), pa.bool_(), pa.bool_(), pa.bool_()]
    names = ["entity", "field", "updateable", "calculated", "custom"]
    return pa.table([pa.array(c, t) for c, t in zip(columns, types, strict=True)], names=names)


def _entities(descriptions: Mapping[str, EntityDescription]) -> pa.Table:
    rows = [(d.entity, d.undeletable, d.createable, d.deletable) for d in descriptions.values()]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    types = [pa.string(), pa.bool_(), pa.bool_(), pa.bool_()]
    names = ["entity", "undeletable", "createable", "deletable"]
    return pa.table([pa.array(c, t) for c, t in zip(columns, types, strict=True)], names=names)


def _ids(rows: pa.Table, action: str) -> dict[str, list[str]]:
    """Records to be written with an action, by entity."""
    chosen = rows.filter(
        pa.compute.and_(
            pa.compute.equal(rows["action"], action), pa.compute.equal(rows["decision"], "revert")
        )
    )
    out: dict[str, list[str]] = {}
    for entity, record_id in zip(chosen["entity"].to_pylist(), chosen["record_id"].to_pylist(), strict=True):
        out.setdefault(entity, []).append(record_id)
    return out


async def _made_anew(
    reader: Callable[[], Any],
    org: Org,
    incident: Incident,
    known: _Known,
    descriptions: dict[str, EntityDescription],
    recreated: Mapping[str, list[str]],
) -> pa.Table:
    """Rows for records created again: a row for each field they get, and for each pointer to them."""

    def look() -> tuple[dict[str, dict[str, dict[str, str | None]]], list[dict[str, Any]]]:
        with reader() as cursor, before_the_incident(cursor, incident.scope):
            wholes = {e: whole_records(cursor, e, ids, known.cut) for e, ids in recreated.items()}
            cuts = {record_id: known.cut for some in recreated.values() for record_id in some}
            return wholes, pointers_to(cursor, cuts)

    wholes, pointers = await asyncio.to_thread(look)
    rows = [
        row
        for entity, records in wholes.items()
        for record_id, values in records.items()
        for row in _creation(descriptions[entity], record_id, values)
    ]
    rows += await reparenting(org, descriptions, pointers, recreated)
    return pa.Table.from_pylist([{"step": 0, **row} for row in rows], schema=ROWS)


async def _pointed_back(
    reader: Callable[[], Any],
    org: Org,
    known: _Known,
    descriptions: dict[str, EntityDescription],
    masters: Mapping[str, str],
    rows: pa.Table,
) -> pa.Table:
    """Rows for what a merge pointed to the winner, and its event, if there was one, is not among what is meant."""

    def look() -> list[dict[str, Any]]:
        with reader() as cursor:
            return pointers_to(cursor, begun(cursor, known.lives, list(masters)))

    pointers = await asyncio.to_thread(look)
    told = set(zip(rows["record_id"].to_pylist(), rows["field"].to_pylist(), strict=True))
    rest = [p for p in pointers if (p["record_id"], p["field"]) not in told]
    made = await reparenting(org, descriptions, rest, {}, masters)
    return pa.Table.from_pylist([{"step": 0, **row} for row in made], schema=ROWS)


def _creation(
    description: EntityDescription, record_id: str, values: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    rows = []
    for f in description.fields:
        if f.is_compound or f.path in STAMPED or values.get(f.path) is None:
            continue
        decision, reason = (
            ("revert", "") if f.createable else ("follows", "set by the org when the record is created")
        )
        rows.append(
            plan_row(description.entity, record_id, "CREATE", f.path, values[f.path], decision, reason)
        )
    missing = [
        f.path
        for f in description.fields
        if f.required and values.get(f.path) is None and not _named_otherwise(f.path, values)
    ]
    if missing:
        reason = f"required and not known: {', '.join(missing)}"
        return [plan_row(description.entity, record_id, "CREATE", None, "present", "impossible", reason)]
    return rows


def _named_otherwise(path: str, values: Mapping[str, str | None]) -> bool:
    """An account is named by `Name`, or, a person, by the parts of its name."""
    return (path == "Name" and values.get("Name.LastName") is not None) or (
        path.startswith("Name.") and values.get("Name") is not None
    )


def counted(rows: pa.Table) -> dict[str, Any]:
    """How many rows and records of each decision, and the reasons with how often each is given."""
    groups = (
        rows.group_by(["entity", "action", "decision"])
        .aggregate([("record_id", "count"), ("record_id", "count_distinct")])
        .sort_by([("entity", "ascending"), ("action", "ascending"), ("decision", "ascending")])
        .to_pylist()
    )
    reasons = (
        rows.filter(pa.compute.not_equal(rows["reason"], ""))
        .group_by(["entity", "action", "decision", "reason"])
        .aggregate([("record_id", "count_distinct")])
        .sort_by([("record_id_count_distinct", "descending")])
        .slice(0, 50)
        .to_pylist()
    )
    return {
        "counts": [
            {
                "entity": g["entity"],
                "action": g["action"],
                "decision": g["decision"],
                "records": g["record_id_count_distinct"],
                "rows": g["record_id_count"],
            }
            for g in groups
        ],
        "reasons": [
            {
                **{k: r[k] for k in ("entity", "action", "decision", "reason")},
                "records": r["record_id_count_distinct"],
            }
            for r in reasons
        ],
        "records": rows.filter(pa.compute.equal(rows["decision"], "revert"))["record_id"].unique().__len__(),
    }
