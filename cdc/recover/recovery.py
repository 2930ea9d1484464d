"""Everything a person decides about recovery, in one place: the console, the API and the command line all call this.

What only reads is in `show.py` and `blast.py`. Here are the actions: each is told in the log, with who asked.
Long ones (plan, apply, verify) run beside the answers; `progress` says how far they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cdc.errors import BadArgument, NotFound, RetryLater
from cdc.ports.metadata import OrgMetadata
from cdc.ports.org import Org
from cdc.ports.orgwriter import OrgWriter
from cdc.recover.acknowledge import acknowledged
from cdc.recover.apply import Apply, ApplyOptions, Progress
from cdc.recover.classes import split
from cdc.recover.copying import CopyOptions, make_copy
from cdc.recover.drill import RECORDS_DEFAULT, RECORDS_MAX, Drill, SandboxDrill, refuse_production
from cdc.recover.guard import refuse_while_active, refuse_while_growing
from cdc.recover.incidents import Incident, alert_of, by_hand, find, narrowed, widened
from cdc.recover.ledger import Ledger
from cdc.recover.masking import mask_key
from cdc.recover.plan import PlanOptions, make_plan
from cdc.recover.planfile import Plan, confirmed, load_plan, save_plan
from cdc.recover.restores import Restore, restore_of
from cdc.recover.rollback import KIND as SETUP
from cdc.recover.rollback import Rollbacks
from cdc.recover.scope import Filter
from cdc.recover.statements import sql
from cdc.recover.streamed import has_streamed
from cdc.recover.verify import Verdict, verify
from cdc.recover.works import Work, Works

UNDO_WAIT_S = 120.0
"""How long an undo waits for the stream to bring what the restore has written."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The org with the restoring user's login: its own app and user, so that capture can stay read-only."""

    org: Org
    writer: OrgWriter
    user_id: str
    org_id: str = ""
    calls: Callable[[], int] | None = None
    """Requests sent with this login so far."""
    metadata: OrgMetadata | None = None
    api_version: str = ""


Connect = Callable[[], AbstractAsyncContextManager[Connected]]


class Recovery:
    """Errors of every action: NotFound, BadArgument, LogUnavailable; those that ask the org also its own."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        connect: Connect | None,
        *,
        sandbox: Connect | None = None,
        masked: Sequence[str] = (),
        source_types: Sequence[str] = (),
        plan_options: PlanOptions | None = None,
        apply_options: ApplyOptions | None = None,
    ) -> None:
        self.ledger = ledger
        self._folder = folder
        self._connect = connect
        self._sandbox = sandbox
        self._masked = tuple(masked)
        self._plan_options = plan_options or PlanOptions()
        self._apply_options = apply_options or ApplyOptions()
        self._works = Works()
        self.rollbacks = Rollbacks(ledger, folder, self._connected, self._works, source_types)

    # -- incidents -----------------------------------------------------------------------------------------

    async def open_incident(
        self,
        *,
        by: str,
        alert_id: str = "",
        filters: Sequence[Filter] = (),
        fields: Sequence[str] = (),
        title: str = "",
    ) -> dict[str, Any]:
        """From an alert, or by hand from filters; `fields` are what is put back of those changes (none: all)."""
        if alert_id:
            incident = await self._find(alert_id)
            if incident.version == 0:
                incident = incident.next(title=title or incident.title)
        else:
            incident = by_hand(filters, title=title, fields=fields, opened_at=await self.ledger.org_now())
        return await self._keep(incident, by)

    async def narrow(
        self, incident_id: str, *, by: str, only: Sequence[Filter] = (), without: Sequence[Filter] = ()
    ) -> dict[str, Any]:
        """Mean less: only what `only` matches too, nothing that `without` matches."""
        return await self._keep(narrowed(await self._find(incident_id), only, without), by)

    async def widen(self, incident_id: str, more: Sequence[Filter], *, by: str) -> dict[str, Any]:
        """Mean more: what `more` matches too."""
        return await self._keep(widened(await self._find(incident_id), more), by)

    async def contain(self, incident_id: str, *, by: str, note: str = "") -> dict[str, Any]:
        """Say that what caused it was stopped; applying is allowed from then on, unless it goes on."""
        incident = await self._find(incident_id)
        return await self._keep(
            incident.next(contained_at=await self.ledger.org_now(), note=note or incident.note), by
        )

    async def close_incident(self, incident_id: str, *, by: str, note: str = "") -> dict[str, Any]:
        incident = await self._find(incident_id)
        return await self._keep(incident.next(state="closed", note=note or incident.note), by)

    async def acknowledge(self, incident_id: str, *, by: str, preview: bool = False) -> dict[str, Any]:
        """Say that an alert is a known job: what that silences, and unless `preview` the detector is taught it."""
        alert = await self._alert(incident_id)
        if not preview:
            await self._decide("ack", str(alert["alert_id"]), by)
        return acknowledged(alert, is_preview=preview)

    async def unacknowledge(self, incident_id: str, *, by: str) -> dict[str, Any]:
        """Take that back: the template is forgotten."""
        alert = await self._alert(incident_id)
        await self._decide("unack", str(alert["alert_id"]), by)
        return {"alert_id": alert["alert_id"], "acknowledged": False}

    # -- restores ------------------------------------------------------------------------------------------

    async def plan(
        self, incident_id: str, *, by: str, delete_created: bool = False, sandbox: bool = False
    ) -> Plan:
        """The plan of an incident, as a file and a row. Nothing is written to the org.

        `sandbox`: a rehearsal, read from and to be written to the sandbox of the settings, whose records have
        the same ids (a full copy).
        """
        return await self._plan(incident_id, by, delete_created, sandbox, Work("plan"))

    def start_plan(
        self, incident_id: str, *, by: str, delete_created: bool = False, sandbox: bool = False
    ) -> str:
        """As `plan`, beside the answers; returns the name to ask `progress` for."""
        work = Work("plan")

        async def run() -> Mapping[str, Any]:
            plan = await self._plan(incident_id, by, delete_created, sandbox, work)
            return {"restore_id": plan.restore_id, "hash": plan.hash}

        return self._works.start(f"plan-{incident_id}", work, run)

    async def _plan(self, incident_id: str, by: str, delete_created: bool, sandbox: bool, work: Work) -> Plan:
        incident = await self._find(incident_id)
        options = PlanOptions(delete_created, self._plan_options.bulk_from)
        async with self._connected(sandbox=sandbox) as org:
            if sandbox:
                await refuse_production(org)
            draft = await make_plan(self.ledger.reader, org.org, incident, options, say=work.say)
            draft.facts["user_id"] = org.user_id
            if sandbox:
                draft.facts |= {"kind": "rehearsal", "target": org.org_id}
        return await self._kept_plan(draft.rows, draft.facts, by)

    async def _kept_plan(self, rows: Any, facts: dict[str, Any], by: str) -> Plan:
        facts["planned_at"] = await self.ledger.org_now()
        plan = await asyncio.to_thread(save_plan, self._folder, rows, facts)
        restore = Restore(
            restore_id=plan.restore_id,
            incident_id=facts["incident_id"],
            kind=facts.get("kind", "incident"),
            plan_hash=plan.hash,
            plan_file=str(plan.path),
            user_id=facts["user_id"],
            planned_at=facts["planned_at"],
            as_of_seq=facts["as_of_seq"],
            records=facts["records"],
            counts={
                "planned_calls": facts["api_calls"],
                **({"target": facts["target"]} if "target" in facts else {}),
            },
        )
        await self.ledger.tell_now("restore", restore.restore_id, restore.detail(), by=by)
        await self.ledger.restore_read_back(restore.restore_id, restore.version)
        return plan

    async def apply(
        self,
        restore_id: str,
        typed_hash: str,
        *,
        by: str,
        force: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        stop: asyncio.Event | None = None,
    ) -> Restore:
        """Write a plan, or go on with one that was stopped. `typed_hash` is the plan's, or its first 12 characters."""
        plan, restore, incident = await self._to_apply(restore_id, typed_hash)
        if not force:
            await asyncio.to_thread(self._refuse_growing, plan, incident)
        async with self._connected(sandbox="target" in plan.facts) as org:
            _refuse_other_org(plan, org)
            await self.ledger.tell_now("restore", restore_id, restore.next().detail(), by=by)
            run = Apply(
                plan,
                restore.next(),
                org.org,
                org.writer,
                self.ledger,
                self._apply_options,
                user_id=org.user_id,
                by=by,
                calls=org.calls,
                stop=stop,
                clock=self.ledger.clock,
                on_progress=on_progress,
            )
            run.anew.ids.update(await asyncio.to_thread(self._copied, plan))
            done = await run.run()
        await self.ledger.restore_read_back(done.restore_id, done.version)  # what follows asks the journal
        return done

    async def start_apply(self, restore_id: str, typed_hash: str, *, by: str, force: bool = False) -> str:
        """As `apply`, beside the answers, once it is sure that it may begin."""
        plan, _, incident = await self._to_apply(restore_id, typed_hash)
        if not force:
            await asyncio.to_thread(self._refuse_growing, plan, incident)
        work = Work("apply")

        def say(progress: Progress) -> None:
            work.say("writing", progress.done, progress.total)
            work.results = dict(progress.results)
            work.left_s = progress.left_s(time.monotonic())

        async def run() -> Mapping[str, Any]:
            done = await self.apply(
                restore_id, typed_hash, by=by, force=force, on_progress=say, stop=work.stop
            )
            return {"state": done.state, "reason": done.reason, "counts": dict(done.counts)}

        return self._works.start(restore_id, work, run)

    async def verify(self, restore_id: str, *, by: str) -> Verdict:
        """Org against plan, field by field; closes the incident when nothing is left."""
        with self.ledger.reader() as reader:
            restore = _of_data(restore_of(reader, restore_id))
        plan = await asyncio.to_thread(load_plan, restore.plan_file)
        async with self._connected(sandbox="target" in plan.facts) as org:
            _refuse_other_org(plan, org)
            copied = await asyncio.to_thread(self._copied, plan)
            verdict = await verify(plan, restore, org.org, self.ledger, copied)
        changed = restore.next(
            state="verified" if verdict.good else "differs", counts={"verdict": verdict.summary()}
        )
        await self.ledger.tell_now("restore", restore_id, changed.detail(), by=by)
        await self.ledger.restore_read_back(changed.restore_id, changed.version)
        if verdict.good and restore.incident_id and restore.kind != "rehearsal":
            incident = await self._find(restore.incident_id)
            if incident.state != "closed":
                await self._keep(incident.next(state="closed", note=f"restored by {restore_id}"), by)
        return verdict

    async def undo(self, restore_id: str, *, by: str, work: Work | None = None) -> Plan:
        """A plan that takes a restore back: its own changes are an incident too.

        What was just written comes back through capture a little later, and is waited for. Errors: NotFound where
        nothing was written, RetryLater where the stream does not bring it in two minutes.
        """
        work = work or Work("plan")
        with self.ledger.reader() as reader:
            restore = restore_of(reader, restore_id)
        came = await has_streamed(
            self.ledger,
            restore_id,
            UNDO_WAIT_S,
            say=lambda n, of: work.say("waiting for the stream to bring what was written", n, of),
        )
        with self.ledger.reader() as reader:
            found = reader.execute(sql("own_transactions"), {"restore_id": restore_id}).fetchall()
        if not came:
            raise RetryLater(
                f"the stream has not brought all that this restore wrote within {UNDO_WAIT_S:.0f} s",
                where=restore_id,
                do="see `cdc status`: capture must run and be live; then ask again",
            )
        if not found:
            raise NotFound("this restore has written nothing", where=restore_id, do="see `cdc restore list`")
        meant = Filter(
            transactions=tuple(row[0] for row in found),
            users=(restore.user_id,) if restore.user_id else (),
        )
        now = await self.ledger.org_now()
        incident = by_hand([meant], title=f"undo of {restore_id}", fields=(), opened_at=now)
        incident = replace(incident, contained_at=now)  # what made it has ended: all of it came back
        await self._keep(incident, by)
        return await self._plan(incident.incident_id, by, True, False, work)

    def start_verify(self, restore_id: str, *, by: str) -> str:
        """As `verify`, beside the answers."""

        async def run() -> Mapping[str, Any]:
            verdict = await self.verify(restore_id, by=by)
            return {"good": verdict.good, **verdict.as_json()}

        return self._works.start(f"verify-{restore_id}", Work("verify"), run)

    def start_undo(self, restore_id: str, *, by: str) -> str:
        """As `undo`, beside the answers."""

        work = Work("plan")

        async def run() -> Mapping[str, Any]:
            plan = await self.undo(restore_id, by=by, work=work)
            return {"restore_id": plan.restore_id, "hash": plan.hash}

        return self._works.start(f"undo-{restore_id}", work, run)

    # -- into another org ----------------------------------------------------------------------------------

    def start_copy(self, options: CopyOptions, *, by: str) -> str:
        """Plan to write chosen entities as they were at a moment into the sandbox of the settings."""
        work = Work("copy")

        async def run() -> Mapping[str, Any]:
            key = await asyncio.to_thread(mask_key, self._folder)
            masked = (*options.masked, *self._masked)
            wanted = replace(options, mask_key=key, masked=masked, bulk_from=self._plan_options.bulk_from)
            async with self._connected(sandbox=True) as org, self._classing(wanted.masked) as source:
                await refuse_production(org)
                draft = await make_copy(
                    self.ledger.reader, org.org, org.org_id, wanted, source=source, say=work.say
                )
                draft.facts["user_id"] = org.user_id
            plan = await self._kept_plan(draft.rows, draft.facts, by)
            return {"restore_id": plan.restore_id, "hash": plan.hash}

        return self._works.start("copy", work, run)

    @asynccontextmanager
    async def _classing(self, masked: Sequence[str]) -> AsyncIterator[Org | None]:
        """The org the records come from, where something is masked by class and there is a login to it."""
        if self._connect is None or not split(masked)[1]:
            yield None
            return
        async with self._connect() as connected:
            yield connected.org

    def _copied(self, plan: Plan) -> dict[str, str]:
        """Old id -> new id of what was copied into the plan's org before; empty for a restore."""
        if plan.facts.get("kind") != "copy":
            return {}
        with self.ledger.reader() as reader:
            return dict(reader.execute(sql("copied_ids"), {"target": plan.facts["target"]}).fetchall())

    # -- drills --------------------------------------------------------------------------------------------

    async def keep_drill(self, drill: Drill, *, by: str) -> dict[str, Any]:
        """Tell what a drill measured, wherever it was."""
        await self.ledger.tell_now("drill", drill.drill_id, drill.detail(), by=by)
        await self.ledger.read_back("drill_known", {"drill_id": drill.drill_id})
        return drill.detail()

    def start_drill(self, *, by: str, entity: str = "Account", records: int = RECORDS_DEFAULT) -> str:
        """A drill on the org of these settings, which has to be a sandbox, beside the answers."""
        if not 1 <= records <= RECORDS_MAX:
            raise BadArgument(f"a drill has 1 to {RECORDS_MAX} records, not {records}")
        work = Work("drill")

        async def run() -> Mapping[str, Any]:
            async with self._connected() as org:
                drill = await SandboxDrill(
                    self, org, entity, records, by, lambda doing: work.say(doing, 0, 1)
                ).run()
            return await self.keep_drill(drill, by=by)

        return self._works.start("drill", work, run)

    # -- long actions --------------------------------------------------------------------------------------

    def progress(self, name: str) -> dict[str, Any]:
        """How far a long action of this process is. Errors: NotFound."""
        return self._works.of(name).as_json()

    def stop(self, name: str) -> dict[str, Any]:
        """Ask a long action to stop after its batch; it can be resumed. Errors: NotFound."""
        self._works.of(name).stop.set()
        return self.progress(name)

    async def close(self) -> None:
        """Stop what runs, after its batch."""
        await self._works.close()

    # -- parts ---------------------------------------------------------------------------------------------

    async def _to_apply(self, restore_id: str, typed_hash: str) -> tuple[Plan, Restore, Incident | None]:
        with self.ledger.reader() as reader:
            restore = _of_data(restore_of(reader, restore_id))
            is_real = restore.incident_id and restore.kind != "rehearsal"
            incident = find(reader, restore.incident_id) if is_real else None
        plan = await asyncio.to_thread(
            confirmed, restore.plan_file, restore.plan_hash, typed_hash, undone="written"
        )
        return plan, restore, incident

    def _refuse_growing(self, plan: Plan, incident: Incident | None) -> None:
        if incident is not None:
            refuse_while_active(plan.facts, incident)
            with self.ledger.reader() as reader:
                refuse_while_growing(reader, incident)

    @asynccontextmanager
    async def _connected(self, *, sandbox: bool = False) -> AsyncIterator[Connected]:
        if sandbox:
            if self._sandbox is None:
                raise BadArgument(
                    "there is no other org to copy into", where="[sandbox] auth", do="give it in the settings"
                )
            async with self._sandbox() as connected:
                yield connected
            return
        if self._connect is None:
            raise BadArgument(
                "restoring is off: there is no login to write with",
                where="[restore] auth",
                do="give restoring an app and a user of its own in the settings",
            )
        async with self._connect() as connected:
            yield connected

    async def _find(self, incident_id: str) -> Incident:
        def look() -> Incident:
            with self.ledger.reader() as reader:
                return find(reader, incident_id)

        return await asyncio.to_thread(look)

    async def _alert(self, incident_id: str) -> dict[str, Any]:
        """The alert of an incident. Errors: NotFound, BadArgument for one opened by hand."""
        incident = await self._find(incident_id)

        def look() -> dict[str, Any] | None:
            with self.ledger.reader() as reader:
                return alert_of(reader, incident.alert_id)

        found = await asyncio.to_thread(look) if incident.alert_id else None
        if found is None:
            raise BadArgument(
                "this incident was opened by hand: the detector has nothing to learn from it",
                where=incident_id[:60],
                do="acknowledge an alert; see `cdc alerts`",
            )
        return found

    async def _decide(self, kind: str, alert_id: str, by: str) -> None:
        at = await self.ledger.org_now()
        await asyncio.to_thread(self.ledger.tell, kind, alert_id, {}, by=by, at=at, alert_id=alert_id)
        await self.ledger.read_back("decision_kept", {"kind": kind, "alert_id": alert_id, "at": at})

    async def _keep(self, incident: Incident, by: str) -> dict[str, Any]:
        await self.ledger.tell_now("incident", incident.incident_id, incident.detail(), by=by)
        await self.ledger.read_back(
            "incident_version", {"incident_id": incident.incident_id, "version": incident.version}
        )
        return incident.detail()


def _of_data(restore: Restore) -> Restore:
    """Errors: BadArgument for a rollback of the set-up."""
    if restore.kind == SETUP:
        raise BadArgument(
            "this plan is of the set-up, not of data",
            where=restore.restore_id,
            do="use `cdc setup rollback --apply`",
        )
    return restore


def _refuse_other_org(plan: Plan, connected: Connected) -> None:
    """Errors: BadArgument where a copy was planned for another org than the settings name now."""
    target = plan.facts.get("target")
    if target is not None and target != connected.org_id:
        raise BadArgument(
            f"the copy was planned for the org {target}, and the settings name {connected.org_id}",
            where="[sandbox]",
            do="plan it again",
        )
