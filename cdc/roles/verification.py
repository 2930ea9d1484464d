"""The journal held against the org: counts, then ids with SystemModstamp, then fields.

It finds what published nothing: hard deletes, events that were lost. For each entity:

    O       the journal's last ordinal, before anything is read: all up to it had been committed, so rows hold it
    read    the org's rows: counts; ids with their stamps; or whole rows. The org's time after it is R
    early   what differs now is a candidate, no more: the journal lags, and the org moves
    passed  wait until the stream has passed R by the margin of the clocks
    judge   a candidate that no event behind O was about, and that still differs, is a difference; the others are
            read again, a few times, and then said to be changing

A difference is told to the log: a stretch of its record (or of the entity, if there are many) that is lost, from
the last look that was good up to this one, and a request to read it again. The journal does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.answer.against_org import against_rows
from cdc.answer.answers import Answer
from cdc.capture.holes import coverage_record
from cdc.capture.jobs import ENDED, REREAD, RUNNING, VERIFY, Job
from cdc.capture.options import BULK_FROM_ROWS
from cdc.capture.scan import IDS_PER_READ_MAX, query_fields
from cdc.change.ids import OVERFLOW_ID
from cdc.change.order import READ_MARGIN_MS
from cdc.errors import BadArgument, CdcError, DifferenceFound, NotFound
from cdc.ports.clock import Clock
from cdc.ports.log import LogRecord
from cdc.ports.org import EntityDescription, Org, OrgBulk, Page, RowState
from cdc.ports.types import Millis, Ordinal, RecordId
from cdc.roles.verified import ANEW, CANDIDATES_MAX, SKIPPED, Depth, Found, looks_different, millis

Ask = Callable[..., dict[str, Any]]
"""`ask(name, **parameters)` of the journal's questions; called in a thread."""

COLUMNS = ("entity", "record_id", "field", "difference", "journal", "org")

PASS_PATIENCE_S = 600.0
"""A quiet channel says something at least every 270 s; the org's time is asked for in between."""
LOOK_EVERY_S = 0.5
RECORDS_ONE_BY_ONE_MAX = 2_000
"""So many differing records get a stretch each; more make one of the entity."""
STATES_PER_QUESTION = 2_000
ROUNDS_MAX = 3


@dataclass(slots=True)
class Verification:
    """`publish` puts records into the log; None: nothing records, so the stream cannot be waited for either.

    `report_only` tells and repairs nothing. `say` gets a sentence of progress now and then.
    """

    ask: Ask
    org: Org
    bulk: OrgBulk | None = None
    publish: Callable[[Sequence[LogRecord]], None] | None = None
    depth: Depth = "fields"
    report_only: bool = False
    say: Callable[[str], None] = lambda _: None
    clock: Clock = field(default_factory=Clock)
    bulk_from_rows: int = BULK_FROM_ROWS
    pass_patience_s: float = PASS_PATIENCE_S
    jobs: list[str] = field(default_factory=list)
    """Ids of the re-reads that were asked for."""

    async def run(self, entities: Sequence[str] = ()) -> Answer:
        """Every entity named, or every one with a baseline. Errors: those of the org; NotFound."""
        standings = [await self._standing(e) for e in entities] if entities else await self._all_standing()
        if not standings:
            raise NotFound(
                "no entity has a baseline yet, so there is nothing to hold against the org",
                do="wait for the baselines; `cdc status` shows them",
            )
        found = [await self._entity(standing) for standing in standings]
        return self._answer(found)

    async def _standing(self, entity: str) -> dict[str, Any]:
        return (await self._rows("standing", entity=entity))[0]

    async def _all_standing(self) -> list[dict[str, Any]]:
        return await self._rows("standing")

    async def _entity(self, standing: Mapping[str, Any]) -> Found:
        entity = str(standing["entity"])
        found = Found(entity, ordinal=int(standing["ordinal"]), journal_count=int(standing["present"]))
        if standing["fields_ordinal"] is None:
            found.skipped = "it has no baseline yet"
            return found
        try:
            description = await self.org.describe(entity)
            found.started_at = description.org_time
            await self._tell(found, RUNNING)
            await self._count(found)
            if self.depth == "counts":
                await self._judge_counts(found, standing)
            else:
                await self._compare(found, description, standing)
        except (BadArgument, NotFound) as error:
            found.skipped = error.sentence()
            return found
        await self._repair(found, standing)
        await self._tell(found, ENDED)
        return found

    # -- reading --------------------------------------------------------------------------------------------

    async def _count(self, found: Found) -> None:
        async for page in self.org.query(f"SELECT COUNT() FROM {found.entity}"):
            found.org_count, found.read_to = page.total, page.org_time
        self.say(
            f"{found.entity}: {found.org_count} records in the org, {found.journal_count} in the journal"
        )

    async def _compare(
        self, found: Found, description: EntityDescription, standing: Mapping[str, Any]
    ) -> None:
        known = await self._known(found.entity)
        seen: set[str] = set()
        candidates: dict[str, RowState | None] = {}
        async for page in self._pages(found, description):
            found.read_to = max(found.read_to, page.org_time)
            states = await asyncio.to_thread(
                lambda some=page.rows: [self.org.row_state(description, row) for row in some]  # type: ignore[misc]
            )
            rows: dict[str, RowState] = {row.record_id: row for row in states}
            seen.update(rows)
            found.compared += len(rows)
            if self.depth == "fields":
                differing = await self._differing(found.entity, rows, list(rows))
            else:
                differing = {r for r, row in rows.items() if looks_different(row, known.get(r))}
            for record_id in differing:
                candidates[record_id] = rows[record_id]
            self.say(f"{found.entity}: {found.compared} records read, {len(candidates)} may differ")
            if len(candidates) > CANDIDATES_MAX:
                found.too_many = True
                break
        if not found.too_many:
            candidates |= dict.fromkeys(
                (r for r, (there, _) in known.items() if there and r not in seen), None
            )
        await self._judge(found, description, standing, candidates)

    def _pages(self, found: Found, description: EntityDescription) -> AsyncIterator[Page]:
        names = query_fields(description)
        if self.depth == "ids":
            names = [n for n in ("Id", "IsDeleted", "SystemModstamp") if n in names]
        soql = f"SELECT {', '.join(names)} FROM {found.entity}"
        if self.bulk is not None and found.org_count >= self.bulk_from_rows:
            return self._bulk_pages(soql)
        return self.org.query(f"{soql} ORDER BY Id", deleted=True)

    async def _bulk_pages(self, soql: str) -> AsyncIterator[Page]:
        assert self.bulk is not None
        try:
            cursor = await self.bulk.start_bulk_query(soql, deleted=True)
        except (BadArgument, NotFound):  # not allowed to this user: REST is
            async for page in self.org.query(f"{soql} ORDER BY Id", deleted=True):
                yield page
            return
        async for page in self.bulk.bulk_pages(cursor, parallel=2):
            yield page
        await self.bulk.end_bulk_query(cursor)

    # -- judging --------------------------------------------------------------------------------------------

    async def _judge_counts(self, found: Found, standing: Mapping[str, Any]) -> None:
        """A count says something only where nothing was recorded since it was taken."""
        await self._passed(found, standing)
        found.changing = len(await self._rows("moved", entity=found.entity, ordinal=found.ordinal))
        if not found.changing and found.org_count != found.journal_count:
            counts = (str(found.journal_count), str(found.org_count))
            found.differences.append((None, None, "counts differ: verify by ids", *counts))

    async def _judge(
        self,
        found: Found,
        description: EntityDescription,
        standing: Mapping[str, Any],
        candidates: Mapping[str, RowState | None],
    ) -> None:
        """Candidates after the stream has passed their reading; those that moved are read again."""
        if self.depth == "ids" or any(row is None for row in candidates.values()):
            # A stamp or an absence only points: what it points at is read whole before it is judged.
            candidates = await self._read(found, description, list(candidates))
        judged_upto = found.ordinal
        for left in reversed(range(ROUNDS_MAX)):
            await self._passed(found, standing)
            moved = {
                row["record_id"]
                for row in await self._rows("moved", entity=found.entity, ordinal=judged_upto)
            }
            everything = any(r == OVERFLOW_ID or "*" in r for r in moved)
            still = [r for r in candidates if everything or r in moved]
            sure = {r: row for r, row in candidates.items() if not (everything or r in moved)}
            rows = {r: row for r, row in sure.items() if row is not None}
            for row in await self._against(found.entity, rows, list(sure)):
                if row[2] == "became known":
                    found.unknown.add(str(row[0]))
                elif row[2] != "became unknown":
                    found.differences.append(row)
            if not still or not left:
                found.changing = len(still)
                return
            judged_upto = int((await self._standing(found.entity))["ordinal"])
            candidates = await self._read(found, description, still)

    async def _read(
        self, found: Found, description: EntityDescription, ids: Sequence[str]
    ) -> dict[str, RowState | None]:
        rows: dict[str, RowState | None] = dict.fromkeys(ids)
        fields = query_fields(description)
        for begin in range(0, len(ids), IDS_PER_READ_MAX):
            some = [RecordId(i) for i in ids[begin : begin + IDS_PER_READ_MAX]]
            page = await self.org.read(found.entity, some, fields)
            found.read_to = max(found.read_to, page.org_time)
            for row in page.rows:
                state = self.org.row_state(description, row)
                rows[state.record_id] = state
        return rows

    async def _differing(self, entity: str, rows: Mapping[str, RowState], asked: Sequence[str]) -> set[str]:
        return {str(row[0]) for row in await self._against(entity, rows, asked)}

    async def _against(
        self, entity: str, rows: Mapping[str, RowState], asked: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for begin in range(0, len(asked), STATES_PER_QUESTION):
            some = list(asked[begin : begin + STATES_PER_QUESTION])
            states = await self._rows("states", entity=entity, ids=some)
            found += await asyncio.to_thread(lambda s=states, i=some: list(against_rows(s, rows, i)))  # type: ignore[misc]
        return found

    async def _known(self, entity: str) -> dict[str, tuple[bool, int]]:
        """Per record whether the journal has it present, and the org time up to which it knows of it."""
        known: dict[str, tuple[bool, int]] = {}
        cursor = None
        while True:
            answer = await asyncio.to_thread(self.ask, "known", entity=entity, cursor=cursor)
            for record_id, is_present, known_to in answer["rows"]:
                known[record_id] = (bool(is_present), millis(known_to))
            if (cursor := answer.get("next")) is None:
                return known

    async def _passed(self, found: Found, standing: Mapping[str, Any]) -> None:
        """Wait until the stream has passed what was read. Errors: BadArgument when it does not."""
        if self.publish is None:
            return
        wanted = found.read_to + READ_MARGIN_MS
        await self._tell(found, RUNNING)  # whoever records asks for the org's time
        deadline = self.clock.monotonic_s() + self.pass_patience_s
        self.say(
            f"{found.entity}: waiting for the stream to pass what was read (5 minutes at most on a quiet one)"
        )
        while millis(standing["passed_to"]) < wanted:
            if self.clock.monotonic_s() > deadline:
                raise BadArgument(
                    f"the stream has not passed what was read for {self.pass_patience_s:.0f} s",
                    where=found.entity,
                    do="look at `cdc status`: its channel may stand still",
                )
            await self.clock.sleep(LOOK_EVERY_S)
            standing = await self._standing(found.entity)

    # -- what follows -----------------------------------------------------------------------------------------

    async def _repair(self, found: Found, standing: Mapping[str, Any]) -> None:
        if self.report_only or self.publish is None:
            return
        hidden = list(standing["hidden_records"] or ())
        differing = found.record_ids
        is_whole = found.too_many or len(differing) > RECORDS_ONE_BY_ONE_MAX
        if is_whole or standing["hidden_whole"]:
            stretches = (
                self._stretches(found, standing, [None])
                if is_whole
                else self._stretches(found, standing, differing)
            )
            requests = [self._request(found, (), 0)]
        else:
            stretches = self._stretches(found, standing, differing)
            ids = sorted({*differing, *found.unknown, *hidden})
            parts = [ids[at : at + IDS_PER_READ_MAX] for at in range(0, len(ids), IDS_PER_READ_MAX)]
            requests = [self._request(found, part, number) for number, part in enumerate(parts)]
        self.jobs += [job.job_id for job in requests]
        records = [*stretches, *(job.to_record() for job in requests)]
        if records:
            await asyncio.to_thread(self.publish, records)

    def _stretches(
        self, found: Found, standing: Mapping[str, Any], record_ids: Iterable[str | None]
    ) -> list[LogRecord]:
        """From the last look that was good: at every field, or, where it is only about being there, at every id."""
        by_status = found.by_status
        out = []
        for record_id in record_ids:
            look = "ids" if record_id in by_status else "fields"
            name = f"-{record_id}" if record_id else ""
            out.append(
                coverage_record(
                    {
                        "stretch_id": f"verify-{found.entity}-{found.ordinal}{name}",
                        "entity": found.entity,
                        "record_id": record_id,
                        "from_at": millis(standing[f"{look}_at"]),
                        "to_at": found.read_to,
                        "status": "lost",
                        "reason": "the org says something that no event told",
                        "evidence": "a verification against the org",
                        "from_ordinal": int(standing[f"{look}_ordinal"]),
                        "to_ordinal": found.ordinal,
                        "repaired_at": None,
                    }
                )
            )
        return out

    def _request(self, found: Found, record_ids: Sequence[str], number: int) -> Job:
        return Job(
            job_id=f"repair-{found.entity}-verify-{self.clock.wall_ms()}-{number}",
            kind=REREAD,
            entity=found.entity,
            reason="a verification against the org",
            requested_by="verification",
            requested_at=self.clock.wall_ms(),
            record_ids=tuple(record_ids),
            anchor_at=Millis(found.read_to),
        )

    async def _tell(self, found: Found, state: str) -> None:
        """The verification itself, as a job of the log: it shows in `cdc status`, and is the last good look later."""
        if self.publish is None:
            return
        job = Job(
            job_id=f"verify-{found.entity}-{found.started_at}",
            kind=VERIFY,
            entity=found.entity,
            reason=f"{len(found.record_ids)} records differ from the org"
            if state == ENDED
            else "held against the org",
            requested_by="verification",
            requested_at=self.clock.wall_ms(),
            state=state,
            after_ordinal=Ordinal(found.ordinal),
            read_to=Millis(found.read_to),
            cursor=self.depth,
            rows=found.compared,
            rows_total=found.org_count,
            started_at=Millis(found.started_at),
            finished_at=Millis(found.read_to if state == ENDED else 0),
        )
        await asyncio.to_thread(self.publish, [job.to_record()])

    def _answer(self, found: Sequence[Found]) -> Answer:
        rows = [
            (f.entity, r, name, word, before, after)
            for f in found
            for r, name, word, before, after in f.differences
        ]
        return Answer(columns=COLUMNS, rows=rows, notes=[f.sentence(self.depth) for f in found])

    async def _rows(self, name: str, **given: Any) -> list[dict[str, Any]]:
        answer = await asyncio.to_thread(self.ask, name, **given)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def strict(answer: Answer) -> None:
    """Errors: DifferenceFound where anything differs; CdcError where an entity could not be verified."""
    records = {(row[0], row[1]) for row in answer.rows if row[1] is not None}
    if answer.rows or any(ANEW in note for note in answer.notes):
        told = "1 record differs" if len(records) == 1 else f"{len(records)} records differ"
        raise DifferenceFound(
            f"{told if records else 'the counts differ'} from the org",
            do="`cdc coverage` shows what is repaired",
        )
    left_out = sum(SKIPPED in note for note in answer.notes)
    if left_out:
        raise CdcError(f"{left_out} of {len(answer.notes)} entities could not be verified", do="see above")
