"""Effective rights equal those of a model that looks at one user and one right at a time, on random graphs."""

from __future__ import annotations

import os
from random import Random
from typing import Any

from cdc.answer.setup_access import Access, implied, widened
from cdc.answer.setup_rows import Setup

GRAPHS = 60 * int(os.environ.get("CDC_TEST_HISTORIES", "1"))
OBJECTS = ("Account", "Case")
OBJECT_RIGHTS = ("Read", "Edit", "ModifyAllRecords")
Rows = dict[str, dict[str, dict[str, Any]]]


def random_graph(random: Random) -> Rows:
    sets = [f"set{n}" for n in range(5)]
    muting = ["mute0", "mute1"]
    groups = ["group0", "group1"]
    users = [f"user{n}" for n in range(6)]
    said = {True: "true", False: "false"}
    rows: Rows = {
        "User": {u: {"Username": u, "IsActive": said[random.random() < 0.8]} for u in users},
        "PermissionSet": {
            s: {"Name": s, "PermissionsModifyAllData": said[random.random() < 0.1]} for s in sets
        },
        "MutingPermissionSet": {m: {"PermissionsModifyAllData": said[random.random() < 0.3]} for m in muting},
        "ObjectPermissions": {},
        "FieldPermissions": {},
        "PermissionSetGroupComponent": {},
        "PermissionSetAssignment": {},
    }
    for parent in (*sets, *muting):
        for entity in OBJECTS:
            given = {f"Permissions{right}": said[random.random() < 0.4] for right in OBJECT_RIGHTS}
            rows["ObjectPermissions"][f"{parent}{entity}"] = {
                "ParentId": parent,
                "SobjectType": entity,
                **given,
            }
        field = {
            "ParentId": parent,
            "Field": "Account.Rating",
            "PermissionsEdit": said[random.random() < 0.5],
        }
        rows["FieldPermissions"][parent] = field
    for group in groups:
        for member in random.sample((*sets, *muting), 3):
            row = {"PermissionSetGroupId": group, "PermissionSetId": member}
            rows["PermissionSetGroupComponent"][f"{group}{member}"] = row
    for user in users:
        for n, held in enumerate(random.sample((*sets, *groups), random.randint(0, 3))):
            row = {"AssigneeId": user, "PermissionSetId": held, "PermissionSetGroupId": None}
            if held in groups:
                row = {"AssigneeId": user, "PermissionSetId": f"all of {held}", "PermissionSetGroupId": held}
            rows["PermissionSetAssignment"][f"{user}{n}"] = row
    return rows


def gives(rows: Rows, parent: str, over: str, right: str) -> bool:
    """Whether one set, muting or not, names the right."""
    name = f"Permissions{right}"
    if not over:
        row = rows["PermissionSet"].get(parent) or rows["MutingPermissionSet"].get(parent) or {}
        return row.get(name) == "true"
    if "." in over:
        found = [
            r for r in rows["FieldPermissions"].values() if r["Field"] == over and r["ParentId"] == parent
        ]
    else:
        found = [
            r
            for r in rows["ObjectPermissions"].values()
            if r["SobjectType"] == over and r["ParentId"] == parent
        ]
    return any(r.get(name) == "true" for r in found)


def may(rows: Rows, user: str, over: str, right: str) -> bool:
    """The model: each assignment looked at by itself."""
    if rows["User"][user]["IsActive"] != "true":
        return False
    for one in rows["PermissionSetAssignment"].values():
        if one["AssigneeId"] != user:
            continue
        if not one["PermissionSetGroupId"]:
            if gives(rows, one["PermissionSetId"], over, right):
                return True
            continue
        members = [
            r["PermissionSetId"]
            for r in rows["PermissionSetGroupComponent"].values()
            if r["PermissionSetGroupId"] == one["PermissionSetGroupId"]
        ]
        given = any(gives(rows, m, over, right) for m in members if not m.startswith("mute"))
        if given and not any(gives(rows, m, over, right) for m in members if m.startswith("mute")):
            return True
    return False


ASKED = [
    ("", "ModifyAllData"),
    ("Account.Rating", "Edit"),
    *((entity, right) for entity in OBJECTS for right in OBJECT_RIGHTS),
]


def test_rights_equal_those_of_the_model_on_random_graphs() -> None:
    random, differing = Random(11), set()
    for _ in range(GRAPHS):
        rows = random_graph(random)
        access = Access(Setup(rows))
        for user in rows["User"]:
            for over, right in ASKED:
                expected = may(rows, user, over, right)
                differing.add(expected)
                assert ((over, right) in access.rights(user)) is expected, (user, over, right)
                if expected:
                    assert access.sources(user, (over, right))
    assert differing == {True, False}


def test_what_widens_is_what_the_model_gives_more_of() -> None:
    random = Random(12)
    for _ in range(GRAPHS // 2):
        before, after = random_graph(random), random_graph(random)
        gained = widened(Access(Setup(before)), Access(Setup(after)))
        for user in before["User"]:
            expected = {a for a in ASKED if may(after, user, *a) and not may(before, user, *a)}
            assert gained.get(user, set()) & set(ASKED) == expected


def test_modify_all_data_reaches_every_object_and_muting_reaches_only_its_group() -> None:
    assert ("Case", "Delete") in implied([("", "ModifyAllData")], "Case")
    assert ("Case", "Create") not in implied([("Case", "ModifyAllRecords")], "Case")
