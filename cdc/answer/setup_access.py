"""Who may do what: effective rights from profiles, permission sets, groups of them and what those mute.

A right is a pair: what it is over (`Account`, `Account.Rating`, or "" for the whole org) and what it lets do (`Edit`,
`ModifyAllData`). A user's rights are those of every permission set assigned (that of the profile is one), and of every
group: all its sets together, less what its muting set takes away. Muting reaches only into its own group. Somebody
inactive has none. Users with the same assignments have the same rights, so they are worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cdc.answer.answers import Answer
from cdc.answer.setup_files import Fields
from cdc.answer.setup_rows import Setup, setup_at, setup_freshness
from cdc.answer.times import moment, newest_org_time
from cdc.errors import NotFound

Right = tuple[str, str]
Rights = frozenset[Right]

_NONE: Rights = frozenset()
PERMISSIONS = "Permissions"
MODIFY_ALL_DATA, VIEW_ALL_DATA = "ModifyAllData", "ViewAllData"
ALL_OF_AN_OBJECT = ("Read", "Create", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")
KINDS = (
    "User",
    "Profile",
    "PermissionSet",
    "PermissionSetAssignment",
    "PermissionSetGroup",
    "PermissionSetGroupComponent",
    "MutingPermissionSet",
    "ObjectPermissions",
    "FieldPermissions",
)


@dataclass(slots=True)
class Access:
    """Everybody's rights at a moment."""

    setup: Setup
    at: datetime | None = None
    granted: dict[str, set[Right]] = field(default_factory=dict)
    assigned: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    _of_groups: dict[str, Rights] = field(default_factory=dict)
    _of: dict[frozenset[tuple[str, str]], Rights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setup = self.setup
        for kind in ("PermissionSet", "MutingPermissionSet"):
            for record_id, row in setup.of(kind).items():
                self.granted.setdefault(record_id, set()).update(_given(row, ""))
        for row in setup.of("ObjectPermissions").values():
            self.granted.setdefault(row.get("ParentId") or "", set()).update(
                _given(row, row.get("SobjectType") or "")
            )
        for row in setup.of("FieldPermissions").values():
            self.granted.setdefault(row.get("ParentId") or "", set()).update(
                _given(row, row.get("Field") or "")
            )
        self._group()
        self._assign()

    def rights(self, user_id: str) -> Rights:
        """What an active user may do; nothing for one who is inactive or not known."""
        assigned = self.assigned.get(user_id, frozenset())
        if assigned not in self._of:
            made: set[Right] = set()
            for set_id, group_id in assigned:
                made |= self._of_groups.get(group_id, _NONE) if group_id else self.granted.get(set_id, set())
            self._of[assigned] = frozenset(made)
        return self._of[assigned]

    def sources(self, user_id: str, right: Right) -> list[str]:
        """By which profile, set or group a user has a right."""
        made = []
        for set_id, group_id in sorted(self.assigned.get(user_id, frozenset())):
            held = self._of_groups.get(group_id, _NONE) if group_id else self.granted.get(set_id, set())
            if right in held or (right[0] and "." not in right[0] and right in implied(held, right[0])):
                named = self.setup.name_of(group_id or set_id)
                made.append(f"group {named}" if group_id else named)
        return made

    def users(self) -> Iterable[str]:
        """Ids of everybody with an assignment who is active."""
        return self.assigned.keys()

    def _group(self) -> None:
        members: dict[str, list[str]] = {}
        for row in self.setup.of("PermissionSetGroupComponent").values():
            members.setdefault(row.get("PermissionSetGroupId") or "", []).append(
                row.get("PermissionSetId") or ""
            )
        muting = self.setup.of("MutingPermissionSet")
        for group_id, sets in members.items():
            given: set[Right] = set().union(
                *(self.granted.get(one, set()) for one in sets if one not in muting)
            )
            muted: set[Right] = set().union(*(self.granted.get(one, set()) for one in sets if one in muting))
            self._of_groups[group_id] = frozenset(given - muted)

    def _assign(self) -> None:
        active = {one for one, row in self.setup.of("User").items() if row.get("IsActive") == "true"}
        made: dict[str, set[tuple[str, str]]] = {}
        for row in self.setup.of("PermissionSetAssignment").values():
            user_id = row.get("AssigneeId") or ""
            if user_id in active and not self._expired(row.get("ExpirationDate")):
                made.setdefault(user_id, set()).add(
                    (row.get("PermissionSetId") or "", row.get("PermissionSetGroupId") or "")
                )
        self.assigned = {user_id: frozenset(sets) for user_id, sets in made.items()}

    def _expired(self, until: str | None) -> bool:
        if not until or self.at is None:
            return False
        ends = datetime.fromisoformat(until.replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)
        return ends <= self.at


def _given(row: Fields, over: str) -> Iterable[Right]:
    return [
        (over, name.removeprefix(PERMISSIONS))
        for name, value in row.items()
        if name.startswith(PERMISSIONS) and value == "true"
    ]


def implied(rights: Iterable[Right], entity: str) -> set[Right]:
    """What rights mean for one object: those over the whole org reach every object."""
    held = set(rights)
    made = {right for right in held if right[0] == entity}
    if ("", MODIFY_ALL_DATA) in held or (entity, "ModifyAllRecords") in held:
        made |= {(entity, one) for one in ALL_OF_AN_OBJECT if one != "Create"}
    if ("", MODIFY_ALL_DATA) in held:
        made.add((entity, "Create"))
    if ("", VIEW_ALL_DATA) in held or (entity, "ViewAllRecords") in held:
        made |= {(entity, "Read"), (entity, "ViewAllRecords")}
    return made


def access_at(reader: Any, at: str | None = None, before: str | int | None = None) -> Access:
    """Everybody's rights at a moment. Errors: BadArgument, NotFound."""
    when = moment(reader, at, before)
    return Access(setup_at(reader, at, before, KINDS), when.at or newest_org_time(reader))


def setup_access(reader: Any, about: str, at: str | None = None, from_time: str | None = None) -> Answer:
    """Rights of a user (id or user name), or who has rights over an object (`Account`) or field (`Account.Rating`).

    With `from_time` only rights that were gained or lost since then. Errors: NotFound, BadArgument.
    """
    now = access_at(reader, at)
    rows = set(_about(now, about))
    read = setup_freshness(reader)
    columns = ("user", "over", "right", "by")
    if from_time is None:
        return Answer(columns, sorted(rows), complete=bool(read), notes=read)
    then = access_at(reader, from_time)
    earlier = set(_about(then, about, must_exist=False))
    held, had = {row[:3] for row in rows}, {row[:3] for row in earlier}
    moved = [("gained", *row) for row in sorted(rows) if row[:3] not in had]
    moved += [("lost", *row) for row in sorted(earlier) if row[:3] not in held]
    return Answer(("change", *columns), moved, complete=bool(read), notes=read)


def _about(access: Access, about: str, *, must_exist: bool = True) -> Iterable[tuple[str, str, str, str]]:
    users = {
        user_id
        for user_id, row in access.setup.of("User").items()
        if about in (user_id, user_id[:15], row.get("Username"))
    }
    if users:
        for user_id in users:
            for right in access.rights(user_id):
                yield _row(access, user_id, right)
        return
    known = {right[0] for rights in access.granted.values() for right in rights}
    if about not in known:
        if must_exist:
            raise NotFound(
                f"{about!r:.60} is no user, object or field of the recorded set-up",
                do="give a user name, an object like Account or a field like Account.Rating",
            )
        return
    for user_id in access.users():
        rights = access.rights(user_id)
        over = {right for right in rights if right[0] == about} if "." in about else implied(rights, about)
        for right in over:
            yield _row(access, user_id, right)


def _row(access: Access, user_id: str, right: Right) -> tuple[str, str, str, str]:
    by = ", ".join(access.sources(user_id, right))
    return access.setup.name_of(user_id), right[0] or "the whole org", right[1], by


def widened(before: Access, after: Access) -> Mapping[str, set[Right]]:
    """Rights that users have gained between two moments, by user."""
    made: dict[str, set[Right]] = {}
    for user_id in after.users():
        if user_id not in before.setup.of("User"):
            continue  # somebody new is no widening of what somebody had
        gained = after.rights(user_id) - before.rights(user_id)
        if gained:
            made[user_id] = set(gained)
    return made
