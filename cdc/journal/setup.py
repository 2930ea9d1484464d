"""Changes of the org's set-up as rows of their own: lines of the audit trail, and what comparing two readings found."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cdc.change.setup_kinds import AUDIT_TRAIL, KIND_OF
from cdc.journal.rows import Rows
from cdc.journal.statements import statement
from cdc.journal.tables import registered

SETUP: Final = "setup"

KINDS: Final = pa.table(
    {
        "entity": [kind.name for kind in KIND_OF.values()],
        "name_column": [kind.name_column for kind in KIND_OF.values()],
        "is_versioned": ["VersionNumber" in kind.columns for kind in KIND_OF.values()],
    }
)


def write_setup(connection: Any, org: str, rows: Rows) -> None:
    """Inside the caller's transaction, with `batch_changes` and `batch_fields` registered and inserted."""
    if not pc.any(pc.equal(rows.changes["source"], SETUP)).as_py():
        return
    connection.execute(statement("insert_setup_trail"), {"org": org})
    with registered(connection, batch_kinds=KINDS):
        connection.execute(statement("insert_setup_facts"), {"org": org})
    if pc.any(pc.equal(rows.changes["entity"], AUDIT_TRAIL)).as_py():
        connection.execute(statement("name_setup_facts"))
