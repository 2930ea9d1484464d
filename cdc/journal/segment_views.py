"""Hot and sealed as one: the views `store.changes` and `store.fields`.

Their text names the files of the segments that are live, so that a filter on them is pushed into Parquet, and
so that they change in the transaction that moves rows from one to the other. They are made anew at every open,
since the folder may have moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cdc.journal.manifests import segment_folder
from cdc.journal.statements import statement

TABLES: Final = ("changes", "fields")


def make_views(connection: Any, folder: str, numbers: Sequence[int]) -> None:
    """Replace both views; `numbers` are those of the live segments."""
    for table in TABLES:
        names = [str(Path(folder, segment_folder(n), f"{table}.parquet").absolute()) for n in numbers]
        files = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
        text = statement(f"view_{table}_sealed" if names else f"view_{table}_hot")
        connection.execute(text.replace("$files", f"[{files}]"))


def live_segments(connection: Any) -> list[int]:
    """Numbers of the segments whose rows no other one stands in for, ascending."""
    return [row[0] for row in connection.execute(statement("live_segments")).fetchall()]
