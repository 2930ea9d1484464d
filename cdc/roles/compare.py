"""The journal against a simulated org's truth: every change and every record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

PAGE_ROWS = 10_000


class Truth(Protocol):
    """The simulator's control API."""

    def get(self, path: str) -> Any: ...

    def lines(self, path: str) -> Iterator[Any]: ...


@dataclass(slots=True)
class Comparison:
    """How many there are, how many are equal, and sentences for what differs."""

    changes: int = 0
    changes_equal: int = 0
    records: int = 0
    records_equal: int = 0
    differences: list[str] = field(default_factory=list)


def compare(truth: Truth, ask: Callable[..., dict[str, Any]]) -> Comparison:
    """Changes as (event id, record id) pairs, counted; records field by field, unknown fields being differences."""
    result = Comparison()
    _changes(truth, ask, result)
    _records(truth, ask, result)
    return result


def _changes(truth: Truth, ask: Callable[..., dict[str, Any]], result: Comparison) -> None:
    expected = {tuple(pair) for pair in truth.lines("/simulator/truth/pairs?channel=/data/ChangeEvents")}
    held: dict[tuple[str, str], int] = {}
    last = 0
    while True:
        rows = ask(
            "query",
            sql=f"SELECT seq, event_id, record_id FROM changes WHERE source IN ('pubsub', 'cometd') AND seq > {last} ORDER BY seq",
            limit=PAGE_ROWS,
        )["rows"]
        for seq, event_id, record_id in rows:
            held[event_id, record_id] = held.get((event_id, record_id), 0) + 1
            last = seq
        if len(rows) < PAGE_ROWS:
            break
    result.changes = len(expected)
    result.changes_equal = sum(held.get(pair) == 1 for pair in expected)
    result.differences += [f"lost: event {e} of {r}" for e, r in sorted(expected - set(held))]
    result.differences += [f"never published: event {e} of {r}" for e, r in sorted(set(held) - expected)]
    result.differences += [f"held {n} times: event {e} of {r}" for (e, r), n in held.items() if n > 1]
    [[least, greatest, count]] = ask(
        "query",
        sql="SELECT min(seq), max(seq), count(DISTINCT seq) FROM changes WHERE kind <> 'ABSENT'",
    )["rows"]
    quarantined = ask("query", sql="SELECT count(*) FROM quarantine")["rows"][0][0]
    if count and (least != 1 or greatest - count > quarantined):
        result.differences.append(f"ordinals are not contiguous: {least} to {greatest}, {count} held")


def _records(truth: Truth, ask: Callable[..., dict[str, Any]], result: Comparison) -> None:
    for entity in sorted({m["entity"] for m in truth.get("/simulator/status")["members"]}):
        expected = {row["record_id"]: row for row in truth.lines(f"/simulator/truth/state?entity={entity}")}
        held = {row["record_id"]: row for row in _states(ask, entity)}
        result.records += len(expected)
        for record_id, row in expected.items():
            difference = _difference(row, held.get(record_id))
            if difference:
                result.differences.append(f"{entity} {record_id}: {difference}")
            else:
                result.records_equal += 1
        result.differences += [
            f"{entity} {r}: the org never had it" for r in sorted(set(held) - set(expected))
        ]


def _states(ask: Callable[..., dict[str, Any]], entity: str) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        answer = ask("state", entity=entity, limit=PAGE_ROWS, **({"cursor": cursor} if cursor else {}))
        for row in answer["rows"]:
            yield dict(zip(answer["columns"], row, strict=True))
        cursor = answer.get("next")
        if not cursor:
            return


def _difference(expected: dict[str, Any], held: dict[str, Any] | None) -> str:
    if held is None:
        return "not in the journal"
    deleted = expected.get("is_deleted", False)
    if (held["status"] == "deleted") != deleted:
        return f"is {held['status']} in the journal, {'deleted' if deleted else 'present'} in the org"
    if deleted:
        return ""
    fields = held["fields"]
    for path, value in expected["fields"].items():
        if path not in fields:
            if value is None and fields.get(path.partition(".")[0]) is not None:
                continue  # a part of a name that is one text: there are no parts
            return f"{path} is unknown in the journal, {value!r} in the org"
        if fields[path] != value:
            return f"{path} is {fields[path]!r} in the journal, {value!r} in the org"
    return ""
