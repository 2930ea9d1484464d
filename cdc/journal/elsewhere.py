"""What a part of a divided journal remembers of the others' records: which entities a channel carries, how many rows of a
scan there were. Without it a part would take an entity it holds no record of for one that is not there."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from cdc.journal.tables import append
from cdc.ports.columns import Elsewhere

ROWS: Final = pa.schema(
    {
        "seq": pa.int64(),
        "entity": pa.string(),
        "channel": pa.string(),
        "scan_id": pa.string(),
        "rows": pa.int64(),
    }
)


class ElsewhereRows:
    """Writes `store.elsewhere`, inside the caller's transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: set[tuple[str, str]] | None = None

    def note(self, elsewhere: Elsewhere) -> None:
        """What of a batch is new to this part."""
        known = self._pairs()
        rows: list[dict[str, Any]] = []
        for (channel, entity), (ordinals, _) in elsewhere.events.items():
            if len(ordinals) and (channel, entity) not in known:
                rows.append({"seq": int(ordinals[0]), "entity": entity, "channel": channel})
                known.add((channel, entity))
        rows += [
            {"seq": int(ordinals[0]), "scan_id": scan, "rows": len(ordinals)}
            for scan, ordinals in elsewhere.scanned.items()
            if len(ordinals)
        ]
        append(self._connection, "elsewhere", ROWS, rows)

    def forget(self) -> None:
        """The transaction was rolled back: what it held is told anew."""
        self._known = None

    def _pairs(self) -> set[tuple[str, str]]:
        if self._known is None:
            found = self._connection.execute(
                "SELECT DISTINCT channel, entity FROM store.elsewhere WHERE entity IS NOT NULL"
            ).fetchall()
            self._known = {(channel, entity) for channel, entity in found}
        return self._known
