"""From a row of a query to a record's state in the journal's terms: event paths and canonical text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cdc.change.ids import to_18
from cdc.change.values import canonical_text
from cdc.errors import OrgUnavailable
from cdc.ports.org import EntityDescription, FieldDescription, RowState
from cdc.ports.types import Millis, RecordId

ROW_FIELDS = frozenset({"Id", "IsDeleted", "SystemModstamp"})
"""What a row says about itself; given beside the values, not among them."""

TEXT_TYPES = frozenset(
    {"string", "picklist", "multipicklist", "reference", "id", "textarea", "email", "phone", "url"}
)
ORG_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\+0000|Z)")
"""The forms REST and Bulk give: the canonical text but for the offset. Cutting it costs a tenth of reading it."""

NAME = "Name"
NAME_PARTS = "Name."


class RowReader:
    """Reads rows of one entity; made once per description, since it is used for every row."""

    def __init__(self, description: EntityDescription) -> None:
        self.description = description
        self._fields = tuple(
            (f.name, f.path, f.type, _asked(f))
            for f in description.fields
            if not f.is_compound and f.name not in ROW_FIELDS
        )
        paths = {path for _, path, _, _ in self._fields}
        self._two_names = NAME in paths and any(path.startswith(NAME_PARTS) for path in paths)

    def state(self, row: Mapping[str, Any]) -> RowState:
        """The row's state, from a row of REST or of a bulk job, whose values are all texts. A field asked for and not given, or not of its type, is unknown, never null.

        An Account is named by `Name` or, for a person, by the parts of its name, never both: the other is left
        out, as it is in events. Errors: OrgUnavailable for a row without id.
        """
        values: dict[str, str | None] = {}
        unknown: list[str] = []
        for name, path, kind, asked in self._fields:
            if name not in row:
                if asked:
                    unknown.append(path)
                continue
            value = row[name]
            if value is None or (kind in TEXT_TYPES and type(value) is str):
                values[path] = value  # most values are one of these, and are what they are
                continue
            if kind == "datetime" and type(value) is str and ORG_DATETIME.fullmatch(value):
                values[path] = value[:23] + "Z"
                continue
            try:
                values[path] = canonical_text(value, kind)
            except ValueError:
                unknown.append(path)
        if self._two_names:
            other = _other_name(row, values)
            values = {path: text for path, text in values.items() if not other(path)}
            unknown = [path for path in unknown if not other(path)]
        return RowState(
            record_id=_record_id(row, self.description.entity),
            values=values,
            unknown=tuple(unknown),
            system_modstamp=_millis(row.get("SystemModstamp")),
            user_id=row.get("LastModifiedById"),
            is_deleted=row.get("IsDeleted") in (True, "true"),
        )


def _asked(field: FieldDescription) -> bool:
    """Calculated fields and blobs are not asked for by every caller; where they are missing, nothing is said."""
    return not field.calculated and field.type != "base64"


def _other_name(row: Mapping[str, Any], values: Mapping[str, str | None]) -> Any:
    person = row.get("IsPersonAccount")
    if person in ("true", "false"):
        person = person == "true"
    if person is None:  # not readable: only persons have a last name
        person = values.get("Name.LastName") is not None
    return (lambda path: path == NAME) if person else (lambda path: path.startswith(NAME_PARTS))


def _record_id(row: Mapping[str, Any], entity: str) -> RecordId:
    try:
        return RecordId(to_18(str(row["Id"])))
    except (KeyError, ValueError):
        raise OrgUnavailable("a row came without its id", where=entity, do="select Id") from None


def _millis(value: Any) -> Millis | None:
    try:
        return instant_ms(value)
    except (TypeError, ValueError):
        return None


def instant_ms(text: str) -> Millis:
    """A date-time as the org writes it. Errors: ValueError, TypeError."""
    return Millis(round(datetime.fromisoformat(text).timestamp() * 1000))
