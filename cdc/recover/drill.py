"""A drill on a sandbox: marked records are made, edited, wrecked and put right, and every step is timed.

The whole road is walked: the org, capture, log, journal, plan, apply, verify. Recovery point: how long after its
commit a change was safe in the journal, at worst. Recovery time: from the moment the incident was known, and
from the decision to apply, until the org was verified equal.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdc.errors import BadArgument, CdcError, NotFound, RetryLater
from cdc.ports.org import EntityDescription
from cdc.ports.orgwriter import RecordWrite, WriteKind, WriteOptions
from cdc.ports.types import RecordId
from cdc.recover.scope import Filter
from cdc.recover.statements import sql
from cdc.recover.steps import BATCH_RECORDS

if TYPE_CHECKING:
    from cdc.recover.recovery import Connected, Recovery

RECORDS_DEFAULT = 20
RECORDS_MAX = 2_000
RECORDED_WITHIN_S = 120.0
TEXTS = ("string", "textarea")


@dataclass(slots=True)
class Drill:
    """What one drill measured; as `schemas/README.md` has it. `problem` empty: it went well."""

    drill_id: str
    kind: str
    started_at: int
    records: int = 0
    equal: int = 0
    rto_from_detection_ms: int | None = None
    rto_from_decision_ms: int | None = None
    rpo_ms: int | None = None
    problem: str = ""

    def detail(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def lines(self) -> list[str]:
        """For a person."""

        def seconds(millis: int | None) -> str:
            return "not measured" if millis is None else f"{millis / 1000:.1f} s"

        return [
            f"drill {self.drill_id} ({self.kind}): {self.problem or 'good'}",
            f"  records               {self.equal:,} of {self.records:,} equal afterwards",
            f"  RTO from detection    {seconds(self.rto_from_detection_ms)}",
            f"  RTO from decision     {seconds(self.rto_from_decision_ms)}",
            f"  RPO                   {seconds(self.rpo_ms)} (from commit until safe in the journal, at worst)",
        ]


def drill_of(detail: Mapping[str, Any]) -> Drill:
    """A drill measured elsewhere, checked. Errors: BadArgument."""
    given = {name: detail[name] for name in Drill.__slots__ if name in detail}
    texts = all(isinstance(given.get(name, ""), str) for name in ("drill_id", "kind", "problem"))
    numbers = all(
        value is None or (isinstance(value, int) and not isinstance(value, bool))
        for name, value in given.items()
        if name not in ("drill_id", "kind", "problem")
    )
    if not texts or not numbers or not {"drill_id", "kind", "started_at"} <= set(given):
        raise BadArgument("this is no drill", do="give drill_id, kind, started_at and what was measured")
    return Drill(**given)


def new_drill_id() -> str:
    return f"d-{secrets.token_hex(4)}"


@dataclass(slots=True)
class SandboxDrill:
    """One drill. `say` tells what is being done."""

    recovery: Recovery
    connected: Connected
    entity: str
    count: int
    by: str
    say: Callable[[str], None] = lambda _: None
    drill: Drill = field(init=False)

    async def run(self) -> Drill:
        """Errors: BadArgument (no sandbox, an unfit entity). What goes wrong later is the drill's `problem`."""
        clock = self.recovery.ledger.clock
        limits = await self.connected.org.limits()
        self.drill = Drill(new_drill_id(), "sandbox", int(limits.org_time))
        await refuse_production(self.connected)
        description = await self.connected.org.describe(self.entity)
        name, text = _fields(description)
        ids: list[str] = []
        try:
            self.say("making marked records")
            ids = await self._insert(name, text)
            await self._recorded(ids, "the marked records")
            self.say("wrecking them")
            await self._update(ids, text, "wrecked by the drill")
            began_s = clock.monotonic_s()
            await self._recorded(ids, "the damage", value="wrecked by the drill", path=text)
            self.drill.rpo_ms = max(self.drill.rpo_ms or 0, round((clock.monotonic_s() - began_s) * 1000))
            await self._put_right(ids, text)
        except CdcError as error:
            self.drill.problem = error.sentence()
        finally:
            await self._clean(ids)
        return self.drill

    async def _put_right(self, ids: Sequence[str], text: str) -> None:
        clock = self.recovery.ledger.clock
        detected_s = clock.monotonic_s()
        self.say("planning")
        wrecked = Filter(records=tuple(ids), touching=(text,), values=("wrecked by the drill",))
        opened = await self.recovery.open_incident(
            by=self.by, filters=[wrecked], fields=[text], title=f"drill {self.drill.drill_id}"
        )
        plan = await self.recovery.plan(opened["incident_id"], by=self.by)
        decided_s = clock.monotonic_s()
        self.say("applying")
        await self.recovery.apply(plan.restore_id, plan.hash, by=self.by, force=True)
        verdict = await self.recovery.verify(plan.restore_id, by=self.by)
        ended_s = clock.monotonic_s()
        self.drill.records, self.drill.equal = len(ids), await self._equal(ids, text)
        self.drill.rto_from_detection_ms = round((ended_s - detected_s) * 1000)
        self.drill.rto_from_decision_ms = round((ended_s - decided_s) * 1000)
        if not verdict.good or self.drill.equal != len(ids):
            self.drill.problem = (
                f"{len(ids) - self.drill.equal} of {len(ids)} records are not as they were before the damage"
            )

    async def _insert(self, name: str, text: str) -> list[str]:
        records = [
            RecordWrite(self.entity, None, {name: f"cdc {self.drill.drill_id} {n}", text: f"before {n}"})
            for n in range(self.count)
        ]
        began_s = self.recovery.ledger.clock.monotonic_s()
        ids = await self._write(WriteKind.INSERT, records)
        await self._recorded(ids, "the marked records")
        self.drill.rpo_ms = round((self.recovery.ledger.clock.monotonic_s() - began_s) * 1000)
        return ids

    async def _update(self, ids: Sequence[str], text: str, value: str) -> None:
        records = [RecordWrite(self.entity, RecordId(i), {text: value}) for i in ids]
        await self._write(WriteKind.UPDATE, records)

    async def _write(self, kind: WriteKind, records: Sequence[RecordWrite]) -> list[str]:
        options = WriteOptions(client=f"cdc-drill/{self.drill.drill_id}")
        ids: list[str] = []
        for at in range(0, len(records), BATCH_RECORDS):
            done = await self.connected.writer.write(kind, records[at : at + BATCH_RECORDS], options)
            refused = next((r for r in done.results if not r.success), None)
            if refused is not None:
                why = "; ".join(f"{e.code}: {e.message}" for e in refused.errors)
                raise BadArgument(f"the org refused a marked record: {why}", where=self.entity)
            ids += [str(r.record_id) for r in done.results]
        return ids

    async def _recorded(
        self, ids: Sequence[str], what: str, *, value: str | None = None, path: str = ""
    ) -> None:
        """Wait until the journal holds them. Errors: RetryLater."""
        given = {"ids": list(ids), "value": value or "", "path": path}
        clock = self.recovery.ledger.clock
        give_up_s = clock.monotonic_s() + RECORDED_WITHIN_S
        while True:
            with self.recovery.ledger.reader() as reader:
                held = reader.execute(sql("drill_recorded"), given).fetchone()[0]
            if held >= len(ids):
                return
            if clock.monotonic_s() > give_up_s:
                raise RetryLater(
                    f"{what} did not come back through capture within {RECORDED_WITHIN_S:.0f} s",
                    where=self.entity,
                    do="see `cdc status`: is the recorder running, and the entity selected?",
                )
            await clock.sleep(0.1)

    async def _equal(self, ids: Sequence[str], text: str) -> int:
        description = await self.connected.org.describe(self.entity)
        name = next(f.name for f in description.fields if f.path == text)
        equal = 0
        for at in range(0, len(ids), BATCH_RECORDS):
            some = [RecordId(i) for i in ids[at : at + BATCH_RECORDS]]
            page = await self.connected.org.read(self.entity, some, ["Id", name])
            equal += sum(row.get(name) == f"before {ids.index(str(row['Id']))}" for row in page.rows)
        return equal

    async def _clean(self, ids: Sequence[str]) -> None:
        """Take the marked records away; what cannot be removed is said, not raised."""
        options = WriteOptions(client=f"cdc-drill/{self.drill.drill_id}")
        for at in range(0, len(ids), BATCH_RECORDS):
            records = [RecordWrite(self.entity, RecordId(i)) for i in ids[at : at + BATCH_RECORDS]]
            try:
                await self.connected.writer.write(WriteKind.DELETE, records, options)
            except CdcError as error:
                self.drill.problem = self.drill.problem or f"marked records are left: {error.sentence()}"


async def refuse_production(connected: Connected) -> None:
    """Errors: BadArgument where the org is no sandbox, or does not say."""
    try:
        rows = [
            row
            async for page in connected.org.query("SELECT Id, IsSandbox FROM Organization")
            for row in page.rows
        ]
    except (NotFound, BadArgument) as error:
        raise BadArgument(f"the org does not say whether it is a sandbox: {error.what}") from error
    if not rows or rows[0].get("IsSandbox") is not True:
        raise BadArgument(
            "this org is no sandbox: a drill makes, wrecks and deletes records",
            where="Organization.IsSandbox",
            do="run it with the settings of a sandbox, or `cdc drill --simulated`",
        )


def _fields(description: EntityDescription) -> tuple[str, str]:
    """The field that names a record and a free text. Errors: BadArgument."""
    required = [f for f in description.fields if f.required and not f.is_compound]
    names = [f.name for f in description.fields if f.name in ("Name", "LastName") and f.createable]
    texts = [
        f
        for f in description.fields
        if f.type in TEXTS and f.updateable and f.createable and f.nillable and f.path == f.name
    ]
    if not names or not texts or any(f.name not in (*names, "LastName") for f in required):
        raise BadArgument(
            f"{description.entity} is not fit for a drill: it needs a name, a free text and nothing else",
            do="name another entity",
        )
    best = next((f for f in texts if f.name in ("Description", "Site", "Title")), texts[0])
    return names[0], best.name
