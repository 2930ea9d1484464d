"""One row of an upload as a change: the same for both versions of the Bulk API, for CSV and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import with_suffix
from connectors.simulator.incoming import Intake
from connectors.simulator.model import Change, Op
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.saving import Asked

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")

Read = Callable[..., dict[str, Any]]
"""Columns of a row -> values by path; raises OrgError."""


@dataclass(slots=True)
class RowReader:
    """Reads the rows of one chunk. `seen` are the external ids of it, of which none may come twice."""

    org: SimulatedOrg
    operation: str
    intake: Intake
    external_id: str = ""
    seen: set[str] = field(default_factory=set)

    def from_csv(self, row: Mapping[str, str]) -> Asked:
        """A row of texts; an empty one leaves its field as it is."""
        return self._asked(row, lambda row, *, creating: self.intake.from_csv(row.items(), creating=creating))

    def from_json(self, row: Mapping[str, Any]) -> Asked:
        """An object."""
        return self._asked(row, self.intake.from_rest)

    def _asked(self, row: Mapping[str, Any], read: Read) -> Asked:
        entity = self.intake.entity.name
        record_id = _named(row, "id")
        try:
            match self.operation:
                case "insert":
                    return Change(entity, Op.CREATE, values=read(row, creating=True))
                case "upsert":
                    return self._upsert(row, read)
                case "update":
                    values = read(row, creating=False)
                    return Change(entity, Op.UPDATE, self._existing(record_id), values)
                case "delete":
                    return Change(entity, Op.DELETE, self._existing(record_id))
                case _:
                    return Change(entity, Op.HARD_DELETE, self._existing(record_id, deleted=True))
        except OrgError as error:
            return error

    def _upsert(self, row: Mapping[str, Any], read: Read) -> Change:
        entity, wanted = self.intake.entity.name, self.external_id.lower()
        value = _named(row, wanted)
        if not value:
            raise OrgError("MISSING_ARGUMENT", f"{self.external_id} not specified")
        if value in self.seen:
            raise OrgError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}")
        self.seen.add(value)
        found = self.org.with_external_id(entity, self.external_id, value)
        if found:
            others = {name: one for name, one in row.items() if name.lower() != wanted}
            return Change(entity, Op.UPDATE, found[0], read(others, creating=False))
        if wanted == "id":
            raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        return Change(entity, Op.CREATE, values=read(row, creating=True))

    def _existing(self, record_id: str, *, deleted: bool = False) -> str:
        if not record_id:
            raise OrgError("MISSING_ARGUMENT", "Id not specified in an update call")
        if len(record_id) not in (15, 18) or not record_id.isalnum():
            raise OrgError("MALFORMED_ID", f"malformed id {record_id}", fields=("Id",))
        record = self.intake.entity.records.get(with_suffix(record_id[:15]))
        if record is None:
            raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if record.deleted and not deleted:
            raise OrgError("ENTITY_IS_DELETED", "entity is deleted")
        return record.id


def row_error(error: OrgError) -> str:
    """`CODE:message:fields --`, as both versions write an error into a column."""
    return f"{error.code}:{error.message}:{', '.join(error.fields)} --"


def _named(row: Mapping[str, Any], wanted: str) -> str:
    return next((str(one or "") for name, one in row.items() if name.lower() == wanted), "")
