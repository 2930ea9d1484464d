"""Records made anew may point to records that are not there any more: such a pointer is left out, and said."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from cdc.errors import CdcError
from cdc.ports.org import EntityDescription, Org
from cdc.recover.reading import read_present


async def without_dead_ends(
    org: Org, descriptions: Mapping[str, EntityDescription], rows: pa.Table, coming_back: set[str]
) -> pa.Table:
    """The rows of a creation, those that point to nothing turned to `impossible`. `coming_back`: ids this plan brings back.

    Which entity an id belongs to is told by its first three characters; one nobody knows counts as there.
    """
    targets = {
        (d.entity, f.path): f.reference_to for d in descriptions.values() for f in d.fields if f.reference_to
    }
    prefixes = await _prefixes(org, descriptions, {t for some in targets.values() for t in some})
    listed = rows.to_pylist()
    wanted: dict[str, set[str]] = {}
    for row in listed:
        if row["action"] != "CREATE" or not row["before"] or row["before"] in coming_back:
            continue
        target = prefixes.get(row["before"][:3]) if (row["entity"], row["field"]) in targets else None
        if target:
            wanted.setdefault(target, set()).add(row["before"])
    dead: set[str] = set()
    for target, ids in wanted.items():
        dead |= await _gone(org, target, ids)
    if not dead:
        return rows
    for row in listed:
        if row["action"] == "CREATE" and row["before"] in dead and (row["entity"], row["field"]) in targets:
            row["decision"] = "impossible"
            row["reason"] = f"points to {row['before']}, which is not there any more: created without it"
    return pa.Table.from_pylist(listed, schema=rows.schema)


def without_unmakeable(rows: pa.Table, more: pa.Table) -> pa.Table:
    """All rows, where a record that cannot be made anew is neither tried nor pointed to."""
    listed = more.to_pylist()
    cannot = {
        r["record_id"]
        for r in listed
        if r["action"] == "CREATE" and r["field"] is None and r["decision"] == "impossible"
    }
    if not cannot:
        return pa.concat_tables([rows, more])
    for row in listed:
        if row["action"] == "REPARENT" and row["before"] in cannot:
            row["decision"], row["reason"] = "impossible", "points to a record that cannot be made anew"
    kept = [
        r
        for r in rows.to_pylist()
        if not (r["action"] == "CREATE" and r["field"] is None and r["record_id"] in cannot)
    ]
    return pa.Table.from_pylist([*kept, *listed], schema=rows.schema)


async def _prefixes(
    org: Org, descriptions: Mapping[str, EntityDescription], names: set[str]
) -> dict[str, str]:
    """Key prefix -> entity, of those the org describes to this user."""
    out = {d.key_prefix: d.entity for d in descriptions.values() if d.key_prefix}
    for name in sorted(names - set(descriptions)):
        try:
            described = await org.describe(name)
        except CdcError:
            continue
        if described.key_prefix:
            out[described.key_prefix] = name
    return out


async def _gone(org: Org, entity: str, ids: set[str]) -> set[str]:
    """Those of the ids that the org does not have. One that cannot be asked about counts as there."""
    try:
        present = await read_present(org, await org.describe(entity), sorted(ids), ())
    except CdcError:
        return set()
    alive = {r["record_id"] for r in present.records.to_pylist() if not r["is_deleted"]}
    return ids - alive
