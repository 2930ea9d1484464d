"""The org's set-up as rows: who may do what, and every version of its automation; with the truth of each moment.

Rows are as queries give them. A change is noted three times: in the row, in the audit trail, and in `history`, which
is the truth a test compares with. Rules live in `automation.py`; here are the versions of their source.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from connectors.simulator.automation import Rule, Trigger, ValidationRule
from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id as make_id
from connectors.simulator.setup_source import apex_body, flow_metadata, rule_metadata

if TYPE_CHECKING:
    from connectors.simulator.org import SimulatedOrg

Row = dict[str, Any]

POD = "Sm00"
PROFILES = ("System Administrator", "Standard User", "Integration")

USER_PERMISSIONS = (
    "PermissionsModifyAllData",
    "PermissionsViewAllData",
    "PermissionsManageUsers",
    "PermissionsAuthorApex",
    "PermissionsCustomizeApplication",
    "PermissionsViewSetup",
    "PermissionsApiEnabled",
    "PermissionsBulkApiHardDelete",
)
OBJECT_PERMISSIONS = (
    "PermissionsRead",
    "PermissionsCreate",
    "PermissionsEdit",
    "PermissionsDelete",
    "PermissionsViewAllRecords",
    "PermissionsModifyAllRecords",
)
_NO_USER_PERMISSIONS = dict.fromkeys(USER_PERMISSIONS, False)

KINDS: Mapping[str, tuple[str, Row]] = {
    "Profile": ("00e", {"Name": "", "UserType": "Standard"}),
    "PermissionSet": (
        "0PS",
        {
            "Name": "",
            "Label": "",
            "IsOwnedByProfile": False,
            "ProfileId": None,
            "Type": "Regular",
            "PermissionSetGroupId": None,
            **_NO_USER_PERMISSIONS,
        },
    ),
    "PermissionSetAssignment": (
        "0Pa",
        {"AssigneeId": None, "PermissionSetId": None, "PermissionSetGroupId": None, "ExpirationDate": None},
    ),
    "PermissionSetGroup": ("0PG", {"DeveloperName": "", "MasterLabel": "", "Status": "Updated"}),
    "PermissionSetGroupComponent": ("0PH", {"PermissionSetGroupId": None, "PermissionSetId": None}),
    "MutingPermissionSet": ("0QM", {"DeveloperName": "", "MasterLabel": "", **_NO_USER_PERMISSIONS}),
    "ObjectPermissions": (
        "110",
        {"ParentId": None, "SobjectType": "", **dict.fromkeys(OBJECT_PERMISSIONS, False)},
    ),
    "FieldPermissions": (
        "01k",
        {
            "ParentId": None,
            "SobjectType": "",
            "Field": "",
            "PermissionsRead": False,
            "PermissionsEdit": False,
        },
    ),
    "UserRole": ("00E", {"Name": "", "DeveloperName": "", "ParentRoleId": None}),
    "Group": ("00G", {"Name": "", "DeveloperName": "", "Type": "Regular", "RelatedId": None}),
    "GroupMember": ("011", {"GroupId": None, "UserOrGroupId": None}),
    "ApexClass": ("01p", {"Name": "", "Status": "Active", "Body": "", "ApiVersion": 66}),
}
"""Kind -> key prefix and columns with what they are when nothing is said."""

STAMPS = ("CreatedDate", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
AUTOMATION = ("Flow", "FlowDefinition", "ApexTrigger", "ValidationRule")

_SECTIONS = {
    "Profile": "Manage Users",
    "UserRole": "Manage Users",
    "Group": "Groups",
    "GroupMember": "Groups",
    "ApexClass": "Apex Class",
    "ApexTrigger": "Apex Trigger",
    "Flow": "Flows",
    "FlowDefinition": "Flows",
    "ValidationRule": "Validation Rules",
}


class Fact(NamedTuple):
    """What a row became; None: it is gone."""

    at: int
    user_id: str
    kind: str
    id: str
    row: Row | None


class SetupFacts:
    """The rows of one org. `history` has every change in order."""

    def __init__(self, org: SimulatedOrg) -> None:
        self._org = org
        self._rows: dict[str, dict[str, Row]] = {kind: {} for kind in (*KINDS, *AUTOMATION)}
        self._counters: dict[str, int] = {}
        self._acting = ""
        self.versions: dict[str, list[tuple[Row, Trigger]]] = {}
        self.history: list[Fact] = []
        for name in PROFILES:
            self._profile(name)

    # -- what others ask ----------------------------------------------------------------------------------

    def rows(self, kind: str) -> list[Row]:
        """The rows of a kind as they are now."""
        found = [dict(row) for row in self._rows[kind].values()]
        return [*found, *self._of_profiles()] if kind == "PermissionSetAssignment" else found

    def state(self, at_ms: int) -> dict[str, dict[str, Row]]:
        """Kind -> id -> row at a time, by the history alone."""
        made: dict[str, dict[str, Row]] = {}
        for fact in self.history:
            if fact.at > at_ms:
                break
            rows = made.setdefault(fact.kind, {})
            if fact.row is None:
                rows.pop(fact.id, None)
            else:
                rows[fact.id] = fact.row
        return made

    def profile_id(self, name: str) -> str:
        """The id of a profile by name; of the standard user's where there is none."""
        return make_id("00e", POD, 1 + (PROFILES.index(name) if name in PROFILES else 1))

    def find(self, kind: str, record_id: str) -> Row:
        """A row by id. Raises NOT_FOUND."""
        for key, row in self._rows[kind].items():
            if key[:15] == record_id[:15]:
                return row
        raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)

    # -- changing -----------------------------------------------------------------------------------------

    @property
    def acting_user(self) -> str:
        """Who changes things just now; "" where nobody said so."""
        return self._acting

    @contextmanager
    def acting(self, user_id: str) -> Iterator[None]:
        """What is changed inside is changed by this user."""
        before, self._acting = self._acting, user_id
        try:
            yield
        finally:
            self._acting = before

    def put(self, kind: str, values: Mapping[str, Any], record_id: str = "") -> str:
        """A new row, or new values of one. Raises ValueError for an unknown kind or column."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of set-up; known: {', '.join(KINDS)}")
        prefix, columns = KINDS[kind]
        unknown = set(values) - set(columns)
        if unknown:
            raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}; it has {', '.join(columns)}")
        now = self._org.clock.now_ms()
        before = dict(self.find(kind, record_id)) if record_id else {**columns, "CreatedDate": now}
        made_id = str(before.get("Id") or self._new_id(kind, prefix))
        self._keep(kind, {**before, **values, "Id": made_id})
        done = "Changed" if record_id else "Created"
        self._say(done, kind, self._named(kind, self._rows[kind][made_id]))
        return made_id

    def drop(self, kind: str, record_id: str) -> None:
        """A row goes; what hangs below it goes too. Raises NOT_FOUND."""
        row = self.find(kind, record_id)
        name = self._named(kind, row)
        below = {
            "PermissionSet": (
                ("ObjectPermissions", "ParentId"),
                ("FieldPermissions", "ParentId"),
                ("PermissionSetAssignment", "PermissionSetId"),
                ("PermissionSetGroupComponent", "PermissionSetId"),
            ),
            "PermissionSetGroup": (
                ("PermissionSetGroupComponent", "PermissionSetGroupId"),
                ("PermissionSetAssignment", "PermissionSetGroupId"),
            ),
            "Group": (("GroupMember", "GroupId"),),
        }.get(kind, ())
        for child, column in below:
            for key in [key for key, one in self._rows[child].items() if one[column] == row["Id"]]:
                self._forget(child, key)
        self._forget(kind, row["Id"])
        self._say("Deleted", kind, name)

    # -- automation ---------------------------------------------------------------------------------------

    def automation_changed(self, name: str, before: Rule | None, after: Rule | None) -> None:
        """A rule is new, other, switched, or gone."""
        rule = after or before
        if isinstance(rule, Trigger) and rule.kind == "flow":
            self._flow_changed(name, before, after)
        elif isinstance(rule, Trigger):
            self._rule_changed("ApexTrigger", "01q", name, before, after)
        elif isinstance(rule, ValidationRule):
            self._rule_changed("ValidationRule", "03d", name, before, after)

    def activate(self, name: str, number: int) -> None:
        """A version of a flow, 0 for none. Raises NOT_FOUND."""
        versions = self.versions.get(name, [])
        if not number:
            self._org.automation.switch(name, active=False)
            return
        for row, trigger in versions:
            if row["VersionNumber"] == number:
                self._org.automation.put(replace(trigger, active=True))
                return
        raise OrgError("NOT_FOUND", f"{name} has no version {number}", status=404)

    def add_draft(self, trigger: Trigger) -> None:
        """A version of a flow that is not made active; what is active stays so."""
        name = trigger.name
        definition = self._by_name("FlowDefinition", "DeveloperName", name)
        row = self._new_version(trigger, str(definition["Id"]))
        self._keep("Flow", row)
        self._keep("FlowDefinition", {**definition, "LatestVersionId": row["Id"]})
        self._say("Created", "Flow", f"{name} version {row['VersionNumber']}")

    def drop_version(self, name: str, number: int) -> None:
        """A version that is not active goes, with the last one the flow. Raises NOT_FOUND, OrgError for an active one."""
        versions = self.versions.get(name, [])
        row = next((row for row, _ in versions if row["VersionNumber"] == number), None)
        if row is None:
            raise OrgError("NOT_FOUND", f"{name} has no version {number}", status=404)
        if row["Status"] == "Active":
            raise OrgError(
                "DELETE_FAILED", "This version is active: deactivate it before you delete it.", status=400
            )
        if len(versions) == 1:
            self._org.automation.remove(name)
            return
        versions[:] = [one for one in versions if one[0] is not row]
        self._forget("Flow", row["Id"])
        definition = self._by_name("FlowDefinition", "DeveloperName", name)
        self._keep("FlowDefinition", {**definition, "LatestVersionId": versions[-1][0]["Id"]})
        self._say("Deleted", "Flow", f"{name} version {number}")

    def _new_version(self, trigger: Trigger, definition_id: str) -> Row:
        versions = self.versions.setdefault(trigger.name, [])
        number = 1 + max((row["VersionNumber"] for row, _ in versions), default=0)
        metadata = flow_metadata(trigger)
        row = {
            "Id": self._new_id("Flow", "301"),
            "DefinitionId": definition_id,
            "Definition": {"DeveloperName": trigger.name},
            "MasterLabel": metadata.get("label") or trigger.name,
            "VersionNumber": number,
            "ProcessType": metadata.get("processType") or "AutoLaunchedFlow",
            "Status": "Draft",
            "Metadata": {**metadata, "status": "Draft"},
            "FullName": f"{trigger.name}-{number}",
            "CreatedDate": self._org.clock.now_ms(),
        }
        versions.append((row, trigger))
        return row

    def _flow_changed(self, name: str, before: Rule | None, after: Rule | None) -> None:
        versions = self.versions.setdefault(name, [])
        definition = self._by_name("FlowDefinition", "DeveloperName", name)
        if not isinstance(after, Trigger):
            for row, _ in versions:
                self._forget("Flow", row["Id"])
            self._forget("FlowDefinition", definition["Id"])
            del self.versions[name]
            self._say("Deleted", "Flow", name)
            return
        definition_id = str(definition.get("Id") or self._new_id("FlowDefinition", "300"))
        same = [row for row, one in versions if replace(one, active=after.active) == after]
        row = same[-1] if same else self._new_version(after, definition_id)
        for at, (one, trigger) in enumerate(versions):
            status = "Draft" if one["Status"] == "Draft" else "Obsolete"  # never active, or not any more
            if one is row and after.active:
                status = "Active"
            if one["Status"] != status or one["Id"] not in self._rows["Flow"]:
                metadata = {**one["Metadata"], "status": status}
                kept = self._keep("Flow", {**one, "Status": status, "Metadata": metadata})
                versions[at] = (kept, trigger)
                row = kept if one is row else row
        self._keep(
            "FlowDefinition",
            {
                "CreatedDate": self._org.clock.now_ms(),
                **definition,
                "Id": definition_id,
                "DeveloperName": name,
                "MasterLabel": name,
                "ActiveVersionId": row["Id"] if after.active else None,
                "LatestVersionId": versions[-1][0]["Id"],
            },
        )
        number = row["VersionNumber"]
        if not same:
            self._say("Created", "Flow", f"{name} version {number}")
        if after.active or same:
            self._say("Activated" if after.active else "Deactivated", "Flow", f"{name} version {number}")

    def _rule_changed(
        self, kind: str, prefix: str, name: str, before: Rule | None, after: Rule | None
    ) -> None:
        column = "Name" if kind == "ApexTrigger" else "ValidationName"
        row = self._by_name(kind, column, name)
        if after is None:
            self._forget(kind, row["Id"])
            self._say("Deleted", kind, name)
            return
        made = {
            "CreatedDate": self._org.clock.now_ms(),
            **row,
            "Id": row.get("Id") or self._new_id(kind, prefix),
            column: name,
        }
        if isinstance(after, Trigger):
            made |= {
                "TableEnumOrId": after.entity,
                "Status": "Active" if after.active else "Inactive",
                "Body": apex_body(after),
                "ApiVersion": 66,
            }
        elif isinstance(after, ValidationRule):
            made |= {
                "Active": after.active,
                "Description": after.condition,
                "ErrorMessage": after.message,
                "ErrorDisplayField": after.field or None,
                "EntityDefinitionId": after.entity,
                "Metadata": rule_metadata(after),
                "FullName": f"{after.entity}.{name}",
            }
        self._keep(kind, made)
        only_switched = before is not None and replace(before, active=after.active) == after
        switched = "Activated" if after.active else "Deactivated"
        self._say(switched if only_switched else ("Changed" if row else "Created"), kind, name)

    # -- rows ---------------------------------------------------------------------------------------------

    def _by_name(self, kind: str, column: str, name: str) -> Row:
        return next((row for row in self._rows[kind].values() if row[column] == name), {})

    def _profile(self, name: str) -> None:
        everything = name == PROFILES[0]
        profile = self._keep("Profile", {"Id": self.profile_id(name), "Name": name, "UserType": "Standard"})
        columns = KINDS["PermissionSet"][1]
        granted = USER_PERMISSIONS if everything else ("PermissionsApiEnabled",)
        made = self._keep(
            "PermissionSet",
            {
                **columns,
                **dict.fromkeys(granted, True),
                "Id": self._new_id("PermissionSet", "0PS"),
                "Name": f"X{profile['Id']}",
                "Label": profile["Id"],
                "IsOwnedByProfile": True,
                "ProfileId": profile["Id"],
                "Type": "Profile",
            },
        )
        rights = OBJECT_PERMISSIONS if everything else OBJECT_PERMISSIONS[:3]
        for entity in self._org.entities:
            self._keep(
                "ObjectPermissions",
                {
                    **KINDS["ObjectPermissions"][1],
                    **dict.fromkeys(rights, True),
                    "Id": self._new_id("ObjectPermissions", "110"),
                    "ParentId": made["Id"],
                    "SobjectType": entity,
                },
            )

    def _of_profiles(self) -> list[Row]:
        """Each user has the permission set of the profile; the org keeps that assignment by itself."""
        owned = {
            row["ProfileId"]: row["Id"]
            for row in self._rows["PermissionSet"].values()
            if row["IsOwnedByProfile"]
        }
        made = []
        for count, (user_id, record) in enumerate(self._users(), start=1):
            made.append(
                {
                    **KINDS["PermissionSetAssignment"][1],
                    "Id": make_id("0Pa", "Sm01", count),
                    "AssigneeId": user_id,
                    "PermissionSetId": owned.get(str(record.values.get("ProfileId"))),
                    **dict.fromkeys(STAMPS, self._org.started_at),
                    "LastModifiedById": self._org.administrator_id,
                }
            )
        return [row for row in made if row["PermissionSetId"]]

    def _users(self) -> Iterator[tuple[str, Any]]:
        records = self._org.entities["User"].records
        for user_id in records.live_ids():
            yield user_id, records.get(user_id)

    def _keep(self, kind: str, row: Row) -> Row:
        now = self._org.clock.now_ms()
        by = self._acting or getattr(self._org, "administrator_id", "")
        made = {"CreatedDate": now, **row, "LastModifiedDate": now, "LastModifiedById": by}
        made["SystemModstamp"] = now
        self._rows[kind][made["Id"]] = made
        self.history.append(Fact(now, by, kind, made["Id"], made))
        return made

    def _forget(self, kind: str, record_id: str) -> None:
        del self._rows[kind][record_id]
        by = self._acting or self._org.administrator_id
        self.history.append(Fact(self._org.clock.now_ms(), by, kind, record_id, None))

    def _new_id(self, kind: str, prefix: str) -> str:
        self._counters[kind] = self._counters.get(kind, 0) + 1
        return make_id(prefix, POD, self._counters[kind])

    def _say(self, done: str, kind: str, name: str) -> None:
        section = _SECTIONS.get(kind, "Permission Sets")
        self._org.change_setup(f"{done.lower()}{kind}", section, f"{done} {name}", user_id=self._acting)

    def _named(self, kind: str, row: Row) -> str:
        """What the audit trail calls it."""
        sets = {**self._rows["PermissionSet"], **self._rows["MutingPermissionSet"]}
        if kind == "PermissionSetAssignment":
            of = row["PermissionSetGroupId"] or row["PermissionSetId"]
            held = {**sets, **self._rows["PermissionSetGroup"]}.get(of, {})
            user = next((one for one in self._org.users if one["id"] == row["AssigneeId"]), {})
            who = user.get("username", row["AssigneeId"])
            return f"permission set {held.get('Name') or held.get('DeveloperName')}: assigned to user {who}"
        if kind == "GroupMember":
            user = next((one for one in self._org.users if one["id"] == row["UserOrGroupId"]), {})
            group = self._rows["Group"].get(row["GroupId"], {})
            return f"group {group.get('DeveloperName')}: member {user.get('username', row['UserOrGroupId'])}"
        if kind == "PermissionSetGroupComponent":
            group = self._rows["PermissionSetGroup"].get(row["PermissionSetGroupId"], {})
            held = sets.get(row["PermissionSetId"], {})
            named = held.get("Name") or held.get("DeveloperName")
            return f"permission set group {group.get('DeveloperName')}: permission set {named}"
        if kind in ("ObjectPermissions", "FieldPermissions"):
            held = sets.get(row["ParentId"], {})
            granted = [key.removeprefix("Permissions") for key, value in row.items() if value is True]
            what = row.get("Field") or row["SobjectType"]
            name = held.get("Name") or held.get("DeveloperName")
            return f"permission set {name}: {what} {', '.join(granted) or 'nothing'}"
        name = row.get("DeveloperName") or row.get("Name") or json.dumps(row["Id"])
        return f"{kind} {name}"
