"""What an erasure takes out of files beside the journal: the detector's state, and restore plans.

A detector that is running keeps the beginnings of values of its open episodes in memory, and writes them again until
those episodes close; its file is seen to once more by the next erasure, or by the end of the episodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cdc.detect.state import pack, unpack
from cdc.detect.tallies import TEXT_BYTES
from cdc.errors import BadArgument
from cdc.journal.scrub import ERASED, needles_of


def forgetting(state_path: str) -> Callable[[Sequence[str], Sequence[str], Sequence[str]], int]:
    """For the journal: given ids, values nobody else has, and files of plans; how many files were changed."""

    def forget(ids: Sequence[str], values: Sequence[str], plans: Sequence[str]) -> int:
        return forget_in_state(Path(state_path), ids, values) + forget_plans(plans, ids)

    return forget


def forget_in_state(path: Path, ids: Sequence[str], values: Sequence[str]) -> int:
    """The detector's file without the texts: whole, or cut as the detector keeps them."""
    if not path.is_file():
        return 0
    needles = set(needles_of(ids, values))
    needles |= {v.encode()[:TEXT_BYTES].decode("latin-1") for v in values}
    try:
        state = unpack(path.read_bytes())
    except BadArgument:
        return 0  # nothing reads it any more: the next start begins anew
    forgotten = _without(state, needles)
    if forgotten == state:
        return 0
    draft = path.with_name(path.name + ".forget")
    draft.write_bytes(pack(forgotten))
    os.replace(draft, path)
    return 1


def forget_plans(paths: Sequence[str], ids: Sequence[str]) -> int:
    """A plan that names one of the records cannot be carried out any more: its file goes."""
    gone = 0
    for path in map(Path, paths):
        if path.is_file() and _names(path, set(ids)):
            path.unlink()
            gone += 1
    return gone


def _names(path: Path, ids: set[str]) -> bool:
    try:
        table = pq.read_table(path)
    except (OSError, ValueError):
        return False
    said = json.dumps({k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()})
    named = set(table["record_id"].to_pylist()) if "record_id" in table.column_names else set()
    return bool(named & ids) or any(record_id in said for record_id in ids)


def _without(value: Any, needles: set[str]) -> Any:
    if isinstance(value, str):
        return ERASED if value in needles else value
    if isinstance(value, list):
        return [_without(v, needles) for v in value]
    if isinstance(value, dict):
        return {ERASED if k in needles else k: _without(v, needles) for k, v in value.items()}
    return value
