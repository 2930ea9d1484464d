"""The journal's states of some records against the rows the org holds of them now: `diff --to org`.

Pure: who read the rows, and how, is not known here. A value that the org gives and the journal does not know is a
difference (`became known`), one that neither tells is none. Values that publish no change (formulas, roll-ups) are
not read, and so not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdc.answer.answers import UNKNOWN, Value
from cdc.capture.scan import NOT_STREAMED
from cdc.ports.org import RowState

COLUMNS = ("record_id", "field", "difference", "before", "after")

GONE = "gone"
"""The status of a record that no query of the org finds any more."""


def against_rows(
    states: Sequence[Mapping[str, Any]], rows: Mapping[str, RowState], asked: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Differences of records the journal has (`states`, as `state` gives them) or the org has (`rows`, by id).

    `asked` are the ids that were looked for; of an id in neither nothing is said.
    """
    held = {state["record_id"]: state for state in states}
    for record_id in asked:
        state, row = held.get(record_id), rows.get(record_id)
        if state is None and row is None:
            continue
        before = state["status"] if state else None
        after = ("deleted" if row.is_deleted else "present") if row else GONE
        if before != after and not (before == "deleted" and after == GONE):
            yield record_id, None, _word(before, after), before, after
        if row is not None and not row.is_deleted:
            yield from _fields(record_id, state, row)


def _fields(record_id: str, state: Mapping[str, Any] | None, row: RowState) -> Iterator[tuple[Any, ...]]:
    known: Mapping[str, str | None] = state["fields"] if state else {}
    inferred = bool(state and state["inferred_since"])
    for path, value in sorted(row.values.items()):
        if path in row.unknown or path in NOT_STREAMED:
            continue
        if path not in known:
            if state is None and value is None:
                continue
            yield record_id, path, "became known", UNKNOWN if state else Value(None), Value(value)
        elif known[path] != value:
            yield record_id, path, "changed", Value(known[path], not inferred, inferred), Value(value)
    for path in sorted(set(row.unknown) & known.keys()):
        yield record_id, path, "became unknown", Value(known[path], not inferred, inferred), UNKNOWN


def _word(before: str | None, after: str) -> str:
    if before is None:
        return "created"
    if before == "unknown":
        return f"status {after}"
    return {"present": "undeleted", "deleted": "deleted", GONE: "deleted"}[after]
