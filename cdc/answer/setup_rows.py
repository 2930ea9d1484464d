"""The org's set-up at a moment: its rows, what people call them, and the log of what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.answer.answers import Answer, number_of_cursor, rows_of, to_cursor
from cdc.answer.definitions import sql
from cdc.answer.setup_files import Fields, with_large
from cdc.answer.times import moment, newest_org_time, parse_time
from cdc.change.setup_kinds import AUDIT_TRAIL, DEPLOYS, KIND_OF, METADATA, SETUP_KINDS
from cdc.errors import BadArgument

LOG_DEFAULT = 100
ROWS_MAX = 10_000
READ = tuple(kind.name for kind in SETUP_KINDS if kind.name != AUDIT_TRAIL)
FACTS = (*(kind for kind in READ if kind != DEPLOYS), METADATA)
"""What is so at a moment; a deploy is what happened."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Rows by kind and id. Names of people and permission sets are looked up in the same moment."""

    rows: Mapping[str, Mapping[str, Fields]] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, Fields]:
        """The rows of a kind by id."""
        return self.rows.get(kind, {})

    def name_of(self, record_id: str | None) -> str:
        """What people call a user, role, permission set or group; its id where it is not known."""
        if not record_id:
            return ""
        for kind in ("User", "PermissionSet", "PermissionSetGroup", "MutingPermissionSet", "Group"):
            row = self.of(kind).get(record_id)
            if row is None:
                continue
            profile = self.of("Profile").get(row.get("ProfileId") or "")
            if kind == "PermissionSet" and row.get("IsOwnedByProfile") == "true" and profile:
                return f"profile {profile.get('Name')}"
            return row.get(KIND_OF[kind].name_column) or record_id
        return record_id

    def component(self, kind: str, record_id: str) -> str:
        """`Flow:Discount-2`, `ObjectPermissions:Sales.Account`: the same in two orgs, whatever the ids."""
        row = self.of(kind)[record_id]
        if kind == METADATA:
            return f"{row.get('Type')}:{row.get('FullName')}"
        name = row.get(KIND_OF[kind].name_column) or record_id
        if kind == "Flow":
            return f"Flow:{name}-{row.get('VersionNumber')}"
        if kind == "ValidationRule":
            return f"{kind}:{row.get('EntityDefinition.QualifiedApiName')}.{name}"
        above = row.get("ParentId") or row.get("GroupId") or row.get("PermissionSetGroupId")
        above = above or row.get("PermissionSetId")
        if kind in ("PermissionSet", "PermissionSetGroup", "Group") or not above:
            return f"{kind}:{self.name_of(record_id) if kind == 'PermissionSet' else name}"
        below = name if kind in ("ObjectPermissions", "FieldPermissions") else self.name_of(name)
        return f"{kind}:{self.name_of(above)}.{below}"

    def components(self) -> Iterator[tuple[str, str, str, Fields]]:
        """Kind, component, id and fields of every row."""
        for kind, rows in self.rows.items():
            for record_id, fields in rows.items():
                yield kind, self.component(kind, record_id), record_id, fields


def setup_at(
    reader: Any, at: Any = None, before: str | int | None = None, kinds: Sequence[str] = FACTS
) -> Setup:
    """The set-up at a time, or exactly before a change. Errors: BadArgument, NotFound."""
    when = moment(reader, at, before)
    found = reader.execute(sql("setup_rows"), {"kinds": list(kinds), **when.parameters})
    rows: dict[str, dict[str, Fields]] = {}
    for entity, record_id, _, fields in found.fetchall():
        rows.setdefault(entity, {})[record_id] = fields
    if METADATA in rows:
        rows[METADATA] = with_large(reader, rows[METADATA])
    return Setup(rows)


def setup_log(
    reader: Any,
    since: str | None = None,
    until: str | None = None,
    text: str = "",
    limit: int = LOG_DEFAULT,
    cursor: str | None = None,
) -> Answer:
    """Every change of the set-up, the newest first: lines of the audit trail, and what comparing readings found."""
    if not 1 <= limit <= ROWS_MAX:
        raise BadArgument(f"a page has 1 to {ROWS_MAX} rows, not {limit}", do="page with the cursor")
    skip = number_of_cursor(cursor, 2**31) or 0
    newest = newest_org_time(reader)
    given = {
        "since": parse_time(since, newest) if since else None,
        "until": parse_time(until, newest) if until else None,
        "text": text,
        "limit": limit + 1,
        "skip": skip,
    }
    columns, rows = rows_of(reader.execute(sql("setup_log"), given))
    following = to_cursor(skip + limit) if len(rows) > limit else None
    read = setup_freshness(reader)
    return Answer(
        columns, rows[:limit], complete=bool(read), reasons=_unread(read), notes=read, next=following
    )


def setup_state(
    reader: Any,
    at: str | None = None,
    before: str | None = None,
    kind: str | None = None,
    text: str = "",
    limit: int = LOG_DEFAULT,
    cursor: str | None = None,
) -> Answer:
    """The rows of the set-up at a moment: kind, component, id, fields. Errors: BadArgument, NotFound."""
    if kind is not None and kind not in FACTS:
        raise BadArgument(f"{kind!r:.60} is no kind of set-up", do=f"use one of {', '.join(FACTS)}")
    skip = number_of_cursor(cursor, 2**31) or 0
    # Names of components are made of rows of other kinds; source is not needed for that.
    wanted = FACTS if kind in (None, METADATA) else [one for one in FACTS if one != METADATA]
    setup = setup_at(reader, at, before, wanted)
    found = [
        (of, component, record_id, dict(fields))
        for of, component, record_id, fields in setup.components()
        if (kind is None or of == kind) and text.lower() in component.lower()
    ]
    found.sort(key=lambda row: row[:3])
    following = to_cursor(skip + limit) if len(found) > skip + limit else None
    read = setup_freshness(reader)
    return Answer(
        ("kind", "component", "record_id", "fields"),
        found[skip : skip + limit],
        complete=bool(read),
        reasons=_unread(read),
        notes=read,
        next=following,
    )


def setup_freshness(reader: Any) -> list[str]:
    """How fresh the readings are: a sentence; nothing where the set-up was never read."""
    oldest, newest = reader.execute(
        "SELECT min(passed_to), max(passed_to) FROM store.channels WHERE channel IN "
        "(SELECT '/poll/' || unnest(?))",
        [list(READ)],
    ).fetchone()
    if newest is None:
        return []
    return [
        f"the set-up is read at intervals: every kind up to {oldest.isoformat(timespec='seconds')}Z; "
        "of several changes between two readings only the last is seen"
    ]


def _unread(read: Sequence[str]) -> list[str]:
    return [] if read else ["the org's set-up has not been read yet: it is polled at poll.setup_interval"]
