"""What can be done about incidents and restores, once: its address, its parameters, who may, and what does it.

Routed and described like the questions. An action that takes long answers at once with `progress`, a name to
ask `/api/v1/progress/{name}` for. `by` says who asked; it is kept with what was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cdc.recover.copying import CopyOptions
from cdc.recover.drill import drill_of
from cdc.recover.recovery import Recovery
from cdc.recover.scope import Filter, filter_of
from cdc.serve.auth import Role
from cdc.serve.questions import Parameter, Question

Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """`call(recovery, given)` does it and gives JSON values. Always a POST."""

    name: str
    path: str
    text: str
    role: Role
    call: Callable[[Recovery, dict[str, Any]], Awaitable[dict[str, Any]]]
    parameters: tuple[Parameter, ...] = ()

    def checked(self, given: Given) -> dict[str, Any]:
        """Parameters as their kinds. Errors: BadArgument for an unknown, missing or unfit one."""
        like = Question(self.name, self.path, self.text, _never, self.parameters)
        return like.checked(given)

    def address(self, given: Given) -> tuple[str, dict[str, Any]]:
        """Path and body for the API."""
        path, body = self.path, {}
        for name, value in given.items():
            if "{" + name + "}" in path:
                path = path.replace("{" + name + "}", quote(str(value), safe=""))
            else:
                body[name] = value
        return path, body


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("an action is not asked like a question")


# -- what each does -------------------------------------------------------------------------------------------


async def _open(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    filters = _filters(given.pop("filters", []))
    return await recovery.open_incident(filters=filters, **given)


async def _narrow(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    only, without = _filters(given.pop("only", [])), _filters(given.pop("without", []))
    return await recovery.narrow(given["incident_id"], only=only, without=without, by=given["by"])


async def _widen(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.widen(given["incident_id"], _filters(given["filters"]), by=given["by"])


async def _contain(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.contain(**given)


async def _acknowledge(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.acknowledge(**given)


async def _unacknowledge(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.unacknowledge(**given)


async def _close(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.close_incident(**given)


async def _plan(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.start_plan(**given)}


async def _apply(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    typed = given.pop("hash")
    return {"progress": await recovery.start_apply(typed_hash=typed, **given)}


async def _stop(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return recovery.stop(given["restore_id"])


async def _verify(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.start_verify(**given)}


async def _undo(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.start_undo(**given)}


async def _copy(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    by = given.pop("by")
    for name in ("entities", "records", "masked"):
        given[name] = tuple(given.get(name, ()))
    return {"progress": recovery.start_copy(CopyOptions(**given), by=by)}


async def _plan_rollback(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.rollbacks.start_plan(**given)}


async def _apply_rollback(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    typed = given.pop("hash")
    return {"progress": await recovery.rollbacks.start_apply(typed_hash=typed, **given)}


async def _verify_rollback(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.rollbacks.start_verify(**given)}


async def _drill(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return {"progress": recovery.start_drill(**given)}


async def _keep_drill(recovery: Recovery, given: dict[str, Any]) -> dict[str, Any]:
    return await recovery.keep_drill(drill_of(given["drills"][0]), by=given["by"])


def _filters(given: list[dict[str, Any]]) -> tuple[Filter, ...]:
    return tuple(filter_of(one) for one in given)


# -- the table ------------------------------------------------------------------------------------------------

_INCIDENT = Parameter("incident_id", "of an incident or an alert", where="path", required=True)
_RESTORE = Parameter("restore_id", "of a restore", where="path", required=True)
_BY = Parameter("by", "who asks", where="body")
_NOTE = Parameter("note", "why", where="body")

ACTIONS: dict[str, Action] = {
    a.name: a
    for a in (
        Action(
            "open_incident",
            "/api/v1/incidents/open",
            "Open an incident from an alert, or by hand from filters",
            Role.OPERATOR,
            _open,
            (
                Parameter("alert_id", "of the alert", where="body"),
                Parameter("filters", "which changes are meant; any of them", "objects", "body"),
                Parameter("fields", "what is put back of them; none: all", "texts", "body"),
                Parameter("title", "one sentence", where="body"),
                _BY,
            ),
        ),
        Action(
            "narrow_incident",
            "/api/v1/incidents/{incident_id}/narrow",
            "Mean less",
            Role.OPERATOR,
            _narrow,
            (
                _INCIDENT,
                Parameter("only", "filters that have to match too", "objects", "body"),
                Parameter("without", "filters that must not", "objects", "body"),
                _BY,
            ),
        ),
        Action(
            "widen_incident",
            "/api/v1/incidents/{incident_id}/widen",
            "Mean more",
            Role.OPERATOR,
            _widen,
            (
                _INCIDENT,
                Parameter("filters", "what is meant besides", "objects", "body", required=True),
                _BY,
            ),
        ),
        Action(
            "contain_incident",
            "/api/v1/incidents/{incident_id}/contain",
            "Say that what caused it was stopped",
            Role.OPERATOR,
            _contain,
            (_INCIDENT, _NOTE, _BY),
        ),
        Action(
            "acknowledge_incident",
            "/api/v1/incidents/{incident_id}/acknowledge",
            "Say that it is a known job: the detector learns it, and tells what it will silence",
            Role.OPERATOR,
            _acknowledge,
            (_INCIDENT, Parameter("preview", "only say what would be silenced", "boolean", "body"), _BY),
        ),
        Action(
            "unacknowledge_incident",
            "/api/v1/incidents/{incident_id}/unacknowledge",
            "Take an acknowledgement back",
            Role.OPERATOR,
            _unacknowledge,
            (_INCIDENT, _BY),
        ),
        Action(
            "close_incident",
            "/api/v1/incidents/{incident_id}/close",
            "Close it",
            Role.OPERATOR,
            _close,
            (_INCIDENT, _NOTE, _BY),
        ),
        Action(
            "plan_restore",
            "/api/v1/incidents/{incident_id}/plan",
            "Plan its restore; nothing is written to the org",
            Role.OPERATOR,
            _plan,
            (
                _INCIDENT,
                Parameter("delete_created", "delete what it created", "boolean", "body"),
                Parameter("sandbox", "a rehearsal on the sandbox of the settings", "boolean", "body"),
                _BY,
            ),
        ),
        Action(
            "apply_restore",
            "/api/v1/restores/{restore_id}/apply",
            "Write a plan to the org, or go on with one that was stopped",
            Role.ADMIN,
            _apply,
            (
                _RESTORE,
                Parameter("hash", "the plan's, or its first 12 characters", where="body", required=True),
                Parameter("force", "although the burst may go on", "boolean", "body"),
                _BY,
            ),
        ),
        Action(
            "stop_restore",
            "/api/v1/restores/{restore_id}/stop",
            "Stop writing after the batch in hand",
            Role.OPERATOR,
            _stop,
            (_RESTORE, _BY),
        ),
        Action(
            "verify_restore",
            "/api/v1/restores/{restore_id}/verify",
            "Compare the org with the plan; close the incident if nothing is left",
            Role.OPERATOR,
            _verify,
            (_RESTORE, _BY),
        ),
        Action(
            "undo_restore",
            "/api/v1/restores/{restore_id}/undo",
            "Plan to take a restore back",
            Role.OPERATOR,
            _undo,
            (_RESTORE, _BY),
        ),
        Action(
            "plan_copy",
            "/api/v1/copies/plan",
            "Plan to write entities as they were at a moment into the sandbox of the settings",
            Role.ADMIN,
            _copy,
            (
                Parameter("entities", "API names", "texts", "body", required=True),
                Parameter("at", "a time; without it, now", where="body"),
                Parameter("before", "exactly before a transaction key, a seq or an incident", where="body"),
                Parameter("records", "begin from these records only", "texts", "body"),
                Parameter("parents", "what they point to as well; true unless given", "boolean", "body"),
                Parameter("children", "what points to them as well; true unless given", "boolean", "body"),
                Parameter(
                    "masked",
                    "Entity.Field or a class of the org (PII), besides those of the settings",
                    "texts",
                    "body",
                ),
                _BY,
            ),
        ),
        Action(
            "plan_rollback",
            "/api/v1/setup/rollback",
            "Plan to put the set-up back as it was, validated by the org; nothing is changed there",
            Role.OPERATOR,
            _plan_rollback,
            (
                Parameter("at", "a time to go back to", where="body"),
                Parameter("before", "exactly before a transaction key, a seq or an incident", where="body"),
                Parameter("components", "only these, like Flow:Discount or Flow:*", "texts", "body"),
                Parameter("delete_fields", "new fields too, with their data", "boolean", "body"),
                _BY,
            ),
        ),
        Action(
            "apply_rollback",
            "/api/v1/setup/rollback/{restore_id}/apply",
            "Deploy a rollback's package, all or nothing, and read again whether the org is as planned",
            Role.ADMIN,
            _apply_rollback,
            (
                _RESTORE,
                Parameter("hash", "the plan's, or its first 12 characters", where="body", required=True),
                Parameter("force", "although its validation failed", "boolean", "body"),
                _BY,
            ),
        ),
        Action(
            "verify_rollback",
            "/api/v1/setup/rollback/{restore_id}/verify",
            "Whether the org's set-up is as a rollback planned it",
            Role.OPERATOR,
            _verify_rollback,
            (_RESTORE, _BY),
        ),
        Action(
            "drill",
            "/api/v1/drills/run",
            "Rehearse on the org of these settings, which has to be a sandbox",
            Role.ADMIN,
            _drill,
            (
                Parameter("entity", "of the marked records; without, Account", where="body"),
                Parameter("records", "how many", "integer", "body"),
                _BY,
            ),
        ),
        Action(
            "keep_drill",
            "/api/v1/drills/keep",
            "Keep what a drill measured elsewhere",
            Role.ADMIN,
            _keep_drill,
            (
                Parameter(
                    "drills", "one drill, as schemas/README.md has it", "objects", "body", required=True
                ),
                _BY,
            ),
        ),
    )
}
