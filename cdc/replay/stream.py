"""A replay's steps in order: every event with the images around it, and what full states and holes moved between.

The journal is only asked (`ask(question, **parameters)`), so a replay runs beside a journal that is written, and is
the same whether the API answers or the file is open here. A step's `place` is where to go on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.answer.answers import to_cursor
from cdc.replay.images import UNKNOWN, Image, Images, records_wanted

PAGE_ROWS = 5_000
SNAPSHOT_ROWS = 5_000

Ask = Callable[..., dict[str, Any]]
"""An answer of `cdc/serve/questions.py` as JSON values."""

SNAPSHOT, EVENT, READ = 0, 1, 2
"""Ranks of a place: the snapshot before everything, events, full states behind the event of their place."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a step stands. Of an event `record_id` is not needed and empty."""

    ordinal: int
    rank: int
    entity: str = ""
    record_id: str = ""


START = Place(-2, SNAPSHOT)


@dataclass(frozen=True, slots=True)
class Step:
    """`event` has the header of a change; of a snapshot or a full state it is made up, with kind `READ`.

    `before` and `after` are None where the record did not exist, or the event names none; of a full state there is
    no before: it changed nothing.
    """

    place: Place
    event: Mapping[str, Any]
    before: Image | None
    after: Image | None


@dataclass(frozen=True, slots=True)
class Span:
    """What is replayed, in the words of the questions: entities, and moments as texts."""

    entities: tuple[str, ...] = ()
    moments: Mapping[str, Any] = field(default_factory=dict)
    """`from`, `to`, `from_before`, `to_before`, those that are given."""


@dataclass(slots=True)
class Plan:
    """Where the replay begins and ends, from `replay_plan`."""

    org: str
    windows: dict[str, tuple[int, int]]
    marks: list[tuple[int, int, str, str | None]]
    """(ordinal, 0 hole or 1 full states, entity, record id) in order."""
    records: int
    complete: bool
    reasons: Sequence[str]


def plan_of(ask: Ask, span: Span) -> Plan:
    answer = ask("replay_plan", entities=list(span.entities) or None, **span.moments)
    plan = Plan((answer["notes"] or [""])[0], {}, [], 0, answer["complete"], answer["reasons"])
    for what, entity, place, until, record_id, records in answer["rows"]:
        if what == "window":
            plan.windows[entity] = (place, until)
        else:
            plan.marks.append((place, what == "read", entity, record_id))
            plan.records += records or 0
    plan.marks.sort(key=lambda mark: (mark[0], mark[1], mark[2]))
    return plan


def steps(ask: Ask, span: Span, plan: Plan, *, snapshot: bool, after: Place = START) -> Iterator[Step]:
    """Every step behind a place, in order."""
    if snapshot and after.rank == SNAPSHOT:
        yield from _snapshot(ask, plan, after)
    yield from _Walk(ask, span, plan, after).steps()


def _snapshot(ask: Ask, plan: Plan, after: Place) -> Iterator[Step]:
    """Every record as it was before the first event, entity by entity."""
    for entity, (first, _) in sorted(plan.windows.items()):
        if entity < after.entity or first <= 0:
            continue
        cursor = None
        while True:
            answer = ask("state", entity=entity, before=str(first), limit=SNAPSHOT_ROWS, cursor=cursor)
            for row in _rows(answer):
                place = Place(-1, SNAPSHOT, entity, row["record_id"])
                if (entity, row["record_id"]) > (after.entity, after.record_id) and row[
                    "status"
                ] != "unknown":
                    event = _read_event(entity, row["record_id"], "snapshot", None)
                    yield Step(place, event, None, Image(row["status"], row["fields"]))
            if (cursor := answer.get("next")) is None:
                break


class _Walk:
    """Events and marks in one order, with the images of the records they touch."""

    def __init__(self, ask: Ask, span: Span, plan: Plan, after: Place) -> None:
        self._ask, self._span, self._plan, self._after = ask, span, plan, after
        self._images = Images()
        # Behind a place in the middle of full states, those of that place come again, and are left out below.
        self._marks = [m for m in plan.marks if m[0] >= after.ordinal]

    def steps(self) -> Iterator[Step]:
        for page in self._pages():
            self._fetch(page)
            for event in page:
                yield from self._marks_before(event["seq"])
                before, after = self._images.apply(event)
                yield Step(Place(event["seq"], EVENT), event, before, after)
            self._images.shrink()
        yield from self._marks_before(None)

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = None
        if self._after.rank != SNAPSHOT:
            cursor = to_cursor(self._after.ordinal)
        asked = {"entities": list(self._span.entities) or None, **self._span.moments, "limit": PAGE_ROWS}
        while True:
            answer = self._ask("changes", **asked, cursor=cursor)
            yield _rows(answer)
            if (cursor := answer.get("next")) is None:
                return

    def _fetch(self, page: Sequence[Mapping[str, Any]]) -> None:
        """The images of a page's records as they were before its first event."""
        wanted: dict[str, list[str]] = {}
        for entity, record_id in records_wanted(page, self._images):
            wanted.setdefault(entity, []).append(record_id)
        for entity, ids in wanted.items():
            self._put(entity, ids, before=page[0]["seq"])

    def _put(self, entity: str, ids: Sequence[str], before: int) -> None:
        answer = self._ask("states", entity=entity, ids=list(ids), before=str(before))
        found = {row["record_id"]: row for row in _rows(answer)}
        for record_id in ids:
            row = found.get(record_id)
            self._images.put((entity, record_id), _image(row) if row else None)

    def _marks_before(self, ordinal: int | None) -> Iterator[Step]:
        while self._marks and (ordinal is None or self._marks[0][0] < ordinal):
            place, is_read, entity, record_id = self._marks.pop(0)
            if is_read:
                yield from self._read(place, entity)
            else:
                self._images.forget(entity, record_id)

    def _read(self, ordinal: int, entity: str) -> Iterator[Step]:
        """Full states at a place: what the journal says behind it, for the records they tell of."""
        cursor = None
        while True:
            answer = self._ask("read_rows", entity=entity, place=ordinal, limit=PAGE_ROWS, cursor=cursor)
            rows = _rows(answer)
            self._put(entity, [row["record_id"] for row in rows], before=ordinal + 1)
            for row in rows:
                place = Place(ordinal, READ, entity, row["record_id"])
                if place > self._after:
                    after = self._images.get((entity, row["record_id"]))
                    event = {**_read_event(entity, row["record_id"], row["source"], row), "seq": row["seq"]}
                    yield Step(place, event, None, after)
            self._images.shrink()
            if (cursor := answer.get("next")) is None:
                return


def _image(row: Mapping[str, Any]) -> Image:
    """A state as an image. What is inferred from a later read is not known, and a replay reaches that read itself."""
    return UNKNOWN if row["inferred_since"] is not None else Image(row["status"], row["fields"])


def _read_event(entity: str, record_id: str, source: str, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """A full state in the form of an event; its times are those of the record, and no user made it."""
    times = {name: row[name] if row else None for name in ("committed_at", "effective_at")}
    nothing = dict.fromkeys(
        (
            "transaction_key",
            "sequence_number",
            "commit_number",
            "user_id",
            "client",
            "origin",
            "event_id",
            "replay_id",
        )
    )
    lists: dict[str, Any] = {"changed_fields": [], "nulled_fields": [], "said": {}, "unknown_fields": []}
    head = {"seq": None, "entity": entity, "record_id": record_id, "kind": "READ", "source": source}
    return {**head, **times, **nothing, **lists}


def _rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
