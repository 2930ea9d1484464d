"""Files of the set-up too large for a record: put together from the parts they are kept in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cdc.answer.definitions import sql

Fields = Mapping[str, str | None]
_LARGE = re.compile(r"sha256:([0-9a-f]{64}):(\d+)")


def with_large(reader: Any, rows: Mapping[str, Fields]) -> dict[str, Fields]:
    """Components with the files in them that are kept in parts."""
    wanted = {
        match[1]: int(match[2])
        for row in rows.values()
        for name in ("Source", "Meta")
        if (match := _LARGE.fullmatch(row.get(name) or ""))
    }
    if not wanted:
        return dict(rows)
    ids = [f"{digest}/{part}" for digest, parts in wanted.items() for part in range(parts)]
    parts = dict(reader.execute(sql("setup_file_parts"), {"ids": ids}).fetchall())
    texts = {
        digest: "".join(parts.get(f"{digest}/{part}", "") for part in range(count))
        for digest, count in wanted.items()
    }

    def whole(value: str | None) -> str | None:
        match = _LARGE.fullmatch(value or "")
        return texts[match[1]] if match else value

    return {
        record_id: {
            name: whole(value) if name in ("Source", "Meta") else value for name, value in row.items()
        }
        for record_id, row in rows.items()
    }
