"""Rolling the org's set-up back: plan with validation, apply by the plan's hash, verify by reading again.

Told and kept as restores are, of kind `setup`. A deploy is all or nothing in the org, so there is nothing to resume:
its id is told before it is waited for, and whoever applies again after a kill waits for that deploy.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.answer.setup_rows import setup_at
from cdc.answer.setup_source import sources_of
from cdc.answer.times import moment, newest_org_time
from cdc.change.metadata import Source, components
from cdc.change.setup_kinds import METADATA, METADATA_TYPE
from cdc.errors import BadArgument, NotFound
from cdc.ports.metadata import RETRIEVE_COMPONENTS_MAX, DeployStatus, Listed, OrgMetadata
from cdc.recover.ledger import Ledger
from cdc.recover.planfile import Plan, confirmed, load_plan, save_plan
from cdc.recover.restores import Restore, restore_of
from cdc.recover.rollback_plan import (
    FLOW,
    Past,
    Row,
    as_table,
    decided,
    may_have_moved,
    not_as_planned,
    package_of,
    rows_of,
    wanted,
)
from cdc.recover.works import Work, Works

if TYPE_CHECKING:
    from cdc.recover.recovery import Connected

KIND: Final = "setup"
STAMPED_OTHERWISE: Final = frozenset({"PermissionSet", "Profile", "CustomObject"})
"""Types whose stamp does not tell of every change: always read anew."""
PROBLEMS_MAX: Final = 100


class Rollbacks:
    """Errors of every action: NotFound, BadArgument, LogUnavailable, and the org's own."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        connected: Callable[[], AbstractAsyncContextManager[Connected]],
        works: Works,
        types: Sequence[str],
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._connected = connected
        self._works = works
        self._types = tuple(types)

    # -- plan ------------------------------------------------------------------------------------------------

    def start_plan(
        self,
        *,
        by: str,
        at: str | None = None,
        before: str | None = None,
        components: Sequence[str] = (),
        delete_fields: bool = False,
    ) -> str:
        """Plan and validate beside the answers; returns the name to ask `progress` for."""
        work = Work("plan")

        async def run() -> Mapping[str, Any]:
            plan = await self.plan(
                by=by, at=at, before=before, names=components, delete_fields=delete_fields, work=work
            )
            return {"restore_id": plan.restore_id, "hash": plan.hash}

        return self._works.start("plan-rollback", work, run)

    async def plan(
        self,
        *,
        by: str,
        at: str | None = None,
        before: str | None = None,
        names: Sequence[str] = (),
        delete_fields: bool = False,
        work: Work | None = None,
    ) -> Plan:
        """What would be put back, validated by the org; nothing is changed there."""
        say = (work or Work("plan")).say
        if at is None and before is None:
            raise BadArgument("a rollback needs the moment to go back to", do="give --at or --before")
        past, held, when = await asyncio.to_thread(self._past, at, before, names)
        async with self._connected() as org:
            metadata = _metadata(org)
            say("listing what the org has", 0, 3)
            listed = await self._listed(metadata, names)
            moved = may_have_moved(past, held, listed, when, STAMPED_OTHERWISE)
            say("reading what may have moved", 1, 3)
            now = await _read(metadata, [one for name, one in listed.items() if name in moved])
            versions = await self._versions(org, past, now)
            rows = decided(past, now, listed, versions, delete_fields=delete_fields)
            package = package_of(rows, org.api_version)
            facts = self._facts(rows, when, names, org, package)
            say("validating", 2, 3)
            if facts["records"]:
                status = await metadata.deployed(await metadata.deploy(package, check_only=True))
                facts["validation"] = _said(status)
        return await self._kept(rows, facts, package, by)

    def _past(
        self, at: str | None, before: str | None, names: Sequence[str]
    ) -> tuple[Past, dict[str, Source], str]:
        """The set-up as it was, as the journal has it now, and the time as text."""
        with self._ledger.reader() as reader:
            when = moment(reader, at, before)
            read_from = reader.execute(
                "SELECT live_from FROM store.channels WHERE channel = ?", [f"/poll/{METADATA}"]
            ).fetchone()
            if read_from is None:
                raise BadArgument(
                    "the source of the org's set-up has not been read yet",
                    do="name its types in poll.metadata, and record for a while",
                )
            at_time = when.at or self._time_of(reader, when.cut)
            then = sources_of(setup_at(reader, at, before, (METADATA,)))
            types = frozenset(setup_at(reader, at, before, (METADATA_TYPE,)).of(METADATA_TYPE))
            held = sources_of(setup_at(reader, None, None, (METADATA,)))
            if not types:
                raise BadArgument(
                    f"source was first read at {read_from[0].isoformat(timespec='seconds')}Z: nothing is known of before",
                    where=str(at or before),
                    do="name a later moment",
                )
        past = Past(
            {name: one for name, one in then.items() if wanted(name, names)},
            types,
        )
        kept = {name: one for name, one in held.items() if wanted(name, names)}
        return (
            past,
            kept,
            at_time.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )

    def _time_of(self, reader: Any, cut: int | None) -> datetime:
        row = reader.execute(
            "SELECT max(effective_at) FROM main.changes WHERE seq < coalesce(?, 9223372036854775807)", [cut]
        ).fetchone()
        found: datetime | None = row[0] if row and row[0] else newest_org_time(reader)
        if found is None:
            raise BadArgument("nothing has been recorded yet", do="record for a while")
        return found

    async def _listed(self, metadata: OrgMetadata, names: Sequence[str]) -> dict[str, Listed]:
        listing = await metadata.listed(self._types)
        every = {f"{one.type}:{one.full_name}": one for one in listing.components}
        return {name: one for name, one in every.items() if wanted(name, names)}

    async def _versions(self, org: Connected, past: Past, now: Mapping[str, Source]) -> dict[str, list[int]]:
        """The versions of flows that were not there then: these are deleted one by one."""
        new = [one.full_name for name, one in now.items() if one.type == FLOW and name not in past.sources]
        if not new:
            return {}
        made: dict[str, list[int]] = {}
        soql = "SELECT Definition.DeveloperName, VersionNumber FROM Flow"
        async for page in org.org.query(soql, tooling=True):
            for row in page.rows:
                name = str((row.get("Definition") or {}).get("DeveloperName"))
                if name in new:
                    made.setdefault(name, []).append(int(row["VersionNumber"]))
        return made

    def _facts(
        self, rows: Sequence[Row], when: str, names: Sequence[str], org: Connected, package: bytes
    ) -> dict[str, Any]:
        counted: dict[tuple[str, str, str], set[str]] = {}
        reasons: dict[tuple[str, str, str], set[str]] = {}
        for row in rows:
            counted.setdefault((row.type, row.action, row.decision), set()).add(row.name)
            if row.reason:
                reasons.setdefault((row.decision, row.type, row.reason), set()).add(row.name)
        written = {(row.type, row.name) for row in rows if row.decision == "revert"}
        return {
            "restore_id": f"r-{secrets.token_hex(5)}",
            "kind": KIND,
            "incident_id": "",
            "title": f"the set-up as it was at {when}",
            "at": when,
            "user_id": org.user_id,
            "org_id": org.org_id,
            "as_of_seq": self._as_of(),
            "records": len(written),
            "meant": [
                f"components {', '.join(names)}" if names else f"all components of {', '.join(self._types)}"
            ],
            "counts": [
                {"entity": kind, "action": action, "decision": decision, "records": len(of), "rows": len(of)}
                for (kind, action, decision), of in sorted(counted.items())
            ],
            "reasons": [
                {"decision": decision, "entity": kind, "reason": reason, "records": len(of)}
                for (decision, kind, reason), of in sorted(reasons.items())
            ],
            "api_calls": 3,
            "batches": 1 if written else 0,
            "bulk_jobs": 0,
            "estimate_s": 60,
            "automation": [],
            "automation_unread": [],
            "package_sha256": hashlib.sha256(package).hexdigest(),
            "version": org.api_version,
        }

    def _as_of(self) -> int:
        with self._ledger.reader() as reader:
            return int(reader.execute("SELECT coalesce(max(seq), 0) FROM main.changes").fetchone()[0])

    async def _kept(self, rows: Sequence[Row], facts: dict[str, Any], package: bytes, by: str) -> Plan:
        facts["planned_at"] = await self._ledger.org_now()
        file = self._folder / f"{facts['restore_id']}.zip"
        facts["package"] = str(file)
        plan = await asyncio.to_thread(save_plan, self._folder, as_table(rows), facts)
        await asyncio.to_thread(file.write_bytes, package)
        restore = Restore(
            restore_id=plan.restore_id,
            kind=KIND,
            plan_hash=plan.hash,
            plan_file=str(plan.path),
            user_id=facts["user_id"],
            planned_at=facts["planned_at"],
            as_of_seq=facts["as_of_seq"],
            records=facts["records"],
            counts={"planned_calls": facts["api_calls"], "valid": _is_valid(facts)},
        )
        await self._tell(restore, by)
        return plan

    # -- apply -----------------------------------------------------------------------------------------------

    async def start_apply(self, restore_id: str, typed_hash: str, *, by: str, force: bool = False) -> str:
        """Deploy a plan's package and verify it, beside the answers, once it is sure that it may begin."""
        plan, _ = await self._to_apply(restore_id, typed_hash, force)
        work = Work("apply")

        async def run() -> Mapping[str, Any]:
            done = await self.apply(plan.restore_id, typed_hash, by=by, force=force, work=work)
            return {"state": done.state, "reason": done.reason, "counts": dict(done.counts)}

        return self._works.start(restore_id, work, run)

    async def apply(
        self, restore_id: str, typed_hash: str, *, by: str, force: bool = False, work: Work | None = None
    ) -> Restore:
        """Deploy a plan's package, all or nothing, then read again whether the org is as planned."""
        plan, restore = await self._to_apply(restore_id, typed_hash, force)
        say = (work or Work("apply")).say
        rows = rows_of(plan.rows)
        package = package_of(rows, str(plan.facts["version"]))
        if hashlib.sha256(package).hexdigest() != plan.facts["package_sha256"]:
            raise BadArgument(
                "the plan's package is not the one that was validated", where=restore_id, do="plan again"
            )
        async with self._connected() as org:
            _refuse_other(plan, org)
            metadata = _metadata(org)
            deploy_id = str(restore.counts.get("deploy_id") or "")
            if not deploy_id:
                say("reading once more", 0, 3)
                await self._refuse_moved(metadata, rows)
                deploy_id = await metadata.deploy(package, check_only=False)
                restore = restore.next(
                    state="writing",
                    user_id=org.user_id,
                    started_at=await self._ledger.org_now(),
                    counts={"deploy_id": deploy_id},
                )
                await self._tell(restore, by)
            say("deploying", 1, 3)
            status = await metadata.deployed(deploy_id)
            if not status.success:
                failed = _said(status)
                done = restore.next(
                    state="planned",
                    reason=f"the org refused it, and is as it was: {'; '.join(failed['errors'][:3])}",
                    counts={"deploy_id": "", "errors": failed["errors"]},
                )
                await self._tell(done, by)
                return done
            say("verifying", 2, 3)
            wrong = not_as_planned(rows, await self._now_of(metadata, rows))
        done = restore.next(
            state="differs" if wrong else "verified",
            ended_at=await self._ledger.org_now(),
            counts={"deployed": plan.facts["records"], "differs": wrong[:PROBLEMS_MAX]},
        )
        await self._tell(done, by)
        return done

    async def _to_apply(self, restore_id: str, typed_hash: str, force: bool) -> tuple[Plan, Restore]:
        restore = await asyncio.to_thread(self._restore, restore_id)
        plan = await asyncio.to_thread(
            confirmed, restore.plan_file, restore.plan_hash, typed_hash, undone="deployed"
        )
        if not plan.facts["records"]:
            raise BadArgument("there is nothing to put back", where=restore_id)
        if not _is_valid(plan.facts) and not force:
            errors = plan.facts.get("validation", {}).get("errors", [])
            raise BadArgument(
                f"the org would refuse it: {'; '.join(errors[:3])}",
                where=restore_id,
                do="mend that and plan again, or leave the component out; --force tries all the same",
            )
        return plan, restore

    async def _refuse_moved(self, metadata: OrgMetadata, rows: Sequence[Row]) -> None:
        """Errors: BadArgument where the org is no longer as it was when the plan was made."""
        now = await self._now_of(metadata, rows)
        moved = []
        for row in rows:
            if row.decision != "revert" or row.field not in ("source", "meta"):
                continue
            there = now.get(f"{row.type}:{row.name}")
            if (getattr(there, row.field) if there else None) != row.now:
                moved.append(f"{row.type}:{row.name}")
        if moved:
            raise BadArgument(
                f"{', '.join(dict.fromkeys(moved))[:300]} changed since the plan was made: nothing was deployed",
                do="plan again",
            )

    async def _now_of(self, metadata: OrgMetadata, rows: Sequence[Row]) -> dict[str, Source]:
        """The plan's components as they are."""
        names = {f"{row.type}:{row.name}" for row in rows if row.decision == "revert"}
        listing = await metadata.listed(sorted({row.type for row in rows}))
        there = [one for one in listing.components if f"{one.type}:{one.full_name}" in names]
        return await _read(metadata, there)

    # -- verify ----------------------------------------------------------------------------------------------

    def start_verify(self, restore_id: str, *, by: str) -> str:
        """As `verify`, beside the answers."""

        async def run() -> Mapping[str, Any]:
            return await self.verify(restore_id, by=by)

        return self._works.start(f"verify-{restore_id}", Work("verify"), run)

    async def verify(self, restore_id: str, *, by: str) -> dict[str, Any]:
        """Whether the org is as planned, read again."""
        restore = await asyncio.to_thread(self._restore, restore_id)
        plan = await asyncio.to_thread(load_plan, restore.plan_file)
        async with self._connected() as org:
            _refuse_other(plan, org)
            rows = rows_of(plan.rows)
            wrong = not_as_planned(rows, await self._now_of(_metadata(org), rows))
        if restore.state in ("verified", "differs"):
            changed = restore.next(
                state="differs" if wrong else "verified", counts={"differs": wrong[:PROBLEMS_MAX]}
            )
            await self._tell(changed, by)
        return {"good": not wrong, "components": plan.facts["records"], "differs": wrong}

    # -- parts -----------------------------------------------------------------------------------------------

    def _restore(self, restore_id: str) -> Restore:
        with self._ledger.reader() as reader:
            restore = restore_of(reader, restore_id)
        if restore.kind != KIND:
            raise NotFound(
                "this restore is of data, not of the set-up", where=restore_id, do="use `cdc restore`"
            )
        return restore

    async def _tell(self, restore: Restore, by: str) -> None:
        await self._ledger.tell_now("restore", restore.restore_id, restore.detail(), by=by)
        await self._ledger.restore_read_back(restore.restore_id, restore.version)


async def _read(metadata: OrgMetadata, listed: Sequence[Listed]) -> dict[str, Source]:
    """The files of these components."""
    found: dict[str, Source] = {}
    for at in range(0, len(listed), RETRIEVE_COMPONENTS_MAX):
        members: dict[str, list[str]] = {}
        for one in listed[at : at + RETRIEVE_COMPONENTS_MAX]:
            members.setdefault(one.type, []).append(one.full_name)
        answer = await metadata.retrieve(members)
        try:
            found |= components(answer.files, members)
        except ValueError as error:
            raise BadArgument(f"the org's metadata cannot be read: {error}") from None
    return found


def _metadata(org: Connected) -> OrgMetadata:
    if org.metadata is None:
        raise BadArgument("this login has no Metadata API", where="[restore]")
    return org.metadata


def _said(status: DeployStatus) -> dict[str, Any]:
    errors = [f"{one.type}:{one.full_name}: {one.problem}" for one in status.messages if one.problem]
    errors += [status.error] if status.error else []
    return {
        "deploy_id": status.id,
        "success": status.success,
        "status": status.status,
        "errors": errors[:PROBLEMS_MAX],
    }


def _is_valid(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("validation", {}).get("success", not facts["records"]))


def _refuse_other(plan: Plan, org: Connected) -> None:
    if plan.facts["org_id"] != org.org_id:
        raise BadArgument(
            f"the plan was made for the org {plan.facts['org_id']}, and the login is of {org.org_id}",
            where=plan.restore_id,
            do="plan it again",
        )
