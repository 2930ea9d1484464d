"""Which parts of an org's set-up are recorded: entity names and columns as in the REST and Tooling APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SETUP_TOPIC: Final = "setup"
"""The topic their full states travel in; `entity` in the body says whose they are."""

AUDIT_TRAIL: Final = "SetupAuditTrail"
DEPLOYS: Final = "DeployRequest"
METADATA: Final = "MetadataComponent"
"""Source as files: a record a component, called `Flow:Discount`."""
METADATA_TYPE: Final = "MetadataType"
"""A record a type whose source is read: what is not listed of it at a moment was not there."""
METADATA_FILE: Final = "MetadataFile"
"""Parts of a file too large for a record: a record a part, called by the file's hash and the part's number."""

USER_PERMISSIONS: Final = (
    "PermissionsModifyAllData",
    "PermissionsViewAllData",
    "PermissionsManageUsers",
    "PermissionsAuthorApex",
    "PermissionsCustomizeApplication",
    "PermissionsViewSetup",
    "PermissionsApiEnabled",
    "PermissionsBulkApiHardDelete",
)
"""Rights over the whole org that are worth an alarm; a permission set has hundreds."""

OBJECT_PERMISSIONS: Final = (
    "PermissionsRead",
    "PermissionsCreate",
    "PermissionsEdit",
    "PermissionsDelete",
    "PermissionsViewAllRecords",
    "PermissionsModifyAllRecords",
)
FIELD_PERMISSIONS: Final = ("PermissionsRead", "PermissionsEdit")

_CHANGED = ("LastModifiedDate", "LastModifiedById")


@dataclass(frozen=True, slots=True)
class SetupKind:
    """`name_column` is what people call it by; `source_column` is asked for row by row, `body_column`
    of what moved, some rows a call.

    `stamped`: it has no LastModifiedDate, and SystemModstamp is asked for beside the columns, as the time of a change.
    `append_only`: its rows are what happened; they are read from a time on, and that one is gone says nothing.
    """

    name: str
    columns: tuple[str, ...]
    name_column: str = "Name"
    tooling: bool = False
    source_column: str = ""
    body_column: str = ""
    stamped: bool = False
    append_only: bool = False
    time_column: str = "LastModifiedDate"

    @property
    def text_column(self) -> str:
        """Where its source lies, if it has one."""
        return self.source_column or self.body_column


SETUP_KINDS: Final = (
    SetupKind(
        AUDIT_TRAIL,
        ("Id", "Action", "Section", "Display", "CreatedDate", "CreatedById"),
        name_column="Display",
        append_only=True,
        time_column="CreatedDate",
    ),
    SetupKind(
        "User", ("Id", "Username", "IsActive", "ProfileId", "UserRoleId", "UserType"), name_column="Username"
    ),
    SetupKind("Profile", ("Id", "Name", "UserType", *_CHANGED)),
    SetupKind(
        "PermissionSet",
        ("Id", "Name", "Label", "IsOwnedByProfile", "ProfileId", "Type", *USER_PERMISSIONS, *_CHANGED),
    ),
    SetupKind(
        "PermissionSetGroup",
        ("Id", "DeveloperName", "MasterLabel", "Status", *_CHANGED),
        name_column="DeveloperName",
    ),
    SetupKind(
        "PermissionSetGroupComponent",
        ("Id", "PermissionSetGroupId", "PermissionSetId"),
        name_column="PermissionSetId",
        stamped=True,
    ),
    SetupKind(
        "MutingPermissionSet",
        ("Id", "DeveloperName", "MasterLabel", *USER_PERMISSIONS, *_CHANGED),
        name_column="DeveloperName",
    ),
    SetupKind(
        "ObjectPermissions",
        ("Id", "ParentId", "SobjectType", *OBJECT_PERMISSIONS),
        name_column="SobjectType",
        stamped=True,
    ),
    SetupKind(
        "FieldPermissions",
        ("Id", "ParentId", "SobjectType", "Field", *FIELD_PERMISSIONS),
        name_column="Field",
        stamped=True,
    ),
    SetupKind(
        "PermissionSetAssignment",
        ("Id", "AssigneeId", "PermissionSetId", "PermissionSetGroupId", "ExpirationDate"),
        name_column="AssigneeId",
        stamped=True,
    ),
    SetupKind(
        "UserRole",
        ("Id", "Name", "DeveloperName", "ParentRoleId", *_CHANGED),
        name_column="DeveloperName",
    ),
    SetupKind(
        "Group",
        ("Id", "Name", "DeveloperName", "Type", "RelatedId", *_CHANGED),
        name_column="DeveloperName",
    ),
    SetupKind("GroupMember", ("Id", "GroupId", "UserOrGroupId"), name_column="UserOrGroupId", stamped=True),
    SetupKind(
        "FlowDefinition",
        ("Id", "DeveloperName", "MasterLabel", "ActiveVersionId", "LatestVersionId", *_CHANGED),
        name_column="DeveloperName",
        tooling=True,
    ),
    SetupKind(
        "Flow",
        (
            "Id",
            "DefinitionId",
            "Definition.DeveloperName",
            "MasterLabel",
            "VersionNumber",
            "Status",
            "ProcessType",
            *_CHANGED,
        ),
        name_column="Definition.DeveloperName",
        tooling=True,
        source_column="Metadata",
    ),
    SetupKind(
        "ApexTrigger",
        ("Id", "Name", "TableEnumOrId", "Status", "ApiVersion", *_CHANGED),
        tooling=True,
        body_column="Body",
    ),
    SetupKind(
        "ApexClass",
        ("Id", "Name", "Status", "ApiVersion", *_CHANGED),
        tooling=True,
        body_column="Body",
    ),
    SetupKind(
        "ValidationRule",
        (
            "Id",
            "ValidationName",
            "EntityDefinition.QualifiedApiName",
            "Active",
            "Description",
            "ErrorMessage",
            *_CHANGED,
        ),
        name_column="ValidationName",
        tooling=True,
        source_column="Metadata",
    ),
    SetupKind(
        DEPLOYS,
        (
            "Id",
            "Status",
            "CheckOnly",
            "CompletedDate",
            "CreatedById",
            "NumberComponentsTotal",
            "NumberComponentErrors",
            "ErrorMessage",
        ),
        name_column="Id",
        tooling=True,
        append_only=True,
        time_column="CompletedDate",
    ),
)
"""In the order of reading: the audit trail first, so that who did it is known when what was done is found."""

METADATA_KIND: Final = SetupKind(METADATA, (), name_column="FullName", source_column="Source")
"""Not read by query: see `cdc/capture/metadata.py`."""

KIND_OF: Final = {kind.name: kind for kind in (*SETUP_KINDS, METADATA_KIND)}
