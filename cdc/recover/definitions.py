"""The SQL this room defines in the journal, run when it opens, behind that of `cdc/answer`."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.recover.statements import sql


def definitions() -> Sequence[str]:
    """Statements that create or replace every macro of this room."""
    return (sql("own"),)
