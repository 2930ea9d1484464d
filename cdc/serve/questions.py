"""Every question that can be asked, once: its address, its parameters, who may ask, and what answers it.

The HTTP API routes by this table, its OpenAPI document is made from it, and the verbs of the command line go
through it too, so that an answer is the same whichever way it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import pyarrow as pa

from cdc.answer import facts, looks
from cdc.answer import questions as past
from cdc.answer.audit import audit
from cdc.answer.changes import changes, read_rows, replay_plan
from cdc.answer.differences import GROUPS, diff
from cdc.answer.overview import seals
from cdc.answer.query import query_table
from cdc.answer.rates import WAYS, rates
from cdc.answer.setup_access import setup_access
from cdc.answer.setup_diff import setup_diff
from cdc.answer.setup_rows import setup_log, setup_state
from cdc.answer.tables import arrow_table
from cdc.answer.tree import tree
from cdc.errors import BadArgument
from cdc.recover import show as recovery
from cdc.recover.report import report
from cdc.serve.auth import Role

ROWS_MAX = 10_000

ARROW = "application/vnd.apache.arrow.stream"
"""Asked for as `Accept`, any question is answered as an Arrow stream."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: where it stands, what kind it is, what it means."""

    name: str
    text: str
    kind: Literal["text", "texts", "integer", "boolean", "objects"] = "text"
    where: Literal["path", "query", "body"] = "query"
    required: bool = False
    argument: str = ""
    """What `call` names it, where that is another name."""

    def checked(self, value: Any) -> Any:
        """The value as its kind. Errors: BadArgument naming the parameter."""
        if self.kind == "integer":
            try:
                number = int(value)
            except (TypeError, ValueError) as error:
                raise BadArgument(f"{self.name} is not a whole number: {value!r:.60}") from error
            if not 0 <= number <= 2**62:
                raise BadArgument(f"{self.name} is out of range: {number}")
            return number
        if self.kind == "boolean":
            if str(value).lower() not in ("true", "false"):
                raise BadArgument(f"{self.name} is neither true nor false: {value!r:.60}")
            return str(value).lower() == "true"
        if self.kind == "objects":
            if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
                raise BadArgument(f"{self.name} is not a list of objects")
            return value
        if self.kind == "texts":
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(v, str) for v in values):
                raise BadArgument(f"{self.name} is not a list of texts")
            return values
        if not isinstance(value, str):
            raise BadArgument(f"{self.name} is not one text")
        return value


@dataclass(frozen=True, slots=True)
class Question:
    """`call(reader, **parameters)` gives an `Answer` of `cdc/answer`."""

    name: str
    path: str
    text: str
    call: Callable[..., past.Answer]
    parameters: tuple[Parameter, ...] = ()
    method: Literal["GET", "POST"] = "GET"
    role: Role = Role.VIEWER
    typed: Callable[..., pa.Table] | None = None
    """Gives the Arrow table where the types are more than the answer's values tell."""

    def answer(self, reader: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as JSON values: `columns`, `rows`, `complete`, `reasons`, `notes` and what more it has."""
        return self.call(reader, **self._arguments(given)).as_json()

    def table(self, reader: Any, given: Mapping[str, Any]) -> pa.Table:
        """The answer as an Arrow table, its honesty in the schema's metadata (`cdc/answer/tables.py`)."""
        arguments = self._arguments(given)
        return self.typed(reader, **arguments) if self.typed else arrow_table(self.call(reader, **arguments))

    def _arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names = {p.name: p.argument or p.name for p in self.parameters}
        return {names[name]: value for name, value in self.checked(given).items()}

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as their kinds. Errors: BadArgument for an unknown, missing or unfit one."""
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                raise BadArgument(
                    f"{name!r:.60} is not a parameter of {self.name}",
                    do=f"use {', '.join(known) or 'none'}",
                )
        for parameter in self.parameters:
            if parameter.required and given.get(parameter.name) in (None, "", []):
                raise BadArgument(f"{parameter.name} is missing", where=self.name)
        return {name: known[name].checked(value) for name, value in given.items()}

    def address(self, given: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
        """Path, query and body for the API."""
        path, query, body = self.path, {}, {}
        for parameter in self.parameters:
            if parameter.name not in given:
                continue
            value = given[parameter.name]
            if parameter.where == "path":
                path = path.replace("{" + parameter.name + "}", quote(str(value), safe=""))
            elif parameter.where == "query":
                query[parameter.name] = value
            else:
                body[parameter.name] = value
        return path, query, body if self.method == "POST" else None


_ENTITY = Parameter("entity", "API name of the entity, like Account", where="path", required=True)
_AT = Parameter("at", "a time (ISO 8601, or -15m); without it, now")
_BEFORE = Parameter("before", "exactly before a transaction key, a seq or an incident")
_RECORD = Parameter("record_id", "15 or 18 characters", where="path", required=True)
_WHERE = Parameter("where", "only records that meet a condition, like StageName = 'Closed Won'")
_LIMIT = Parameter("limit", f"rows, at most {ROWS_MAX}", kind="integer")
_CURSOR = Parameter("cursor", "the `next` of the answer before")
_INCIDENT = Parameter("incident_id", "of an incident or an alert", where="path", required=True)
_RESTORE = Parameter("restore_id", "of a restore", where="path", required=True)

_BETWEEN = (
    Parameter("entities", "API names of entities; without, all", kind="texts"),
    Parameter("from", "the first time; without it, the beginning", argument="from_time"),
    Parameter("to", "the second time; without it, now", argument="to_time"),
    Parameter("from_before", "the first moment, exactly before a transaction key, a seq or an incident"),
    Parameter("to_before", "the second moment, exactly before one"),
)

QUESTIONS: dict[str, Question] = {
    q.name: q
    for q in (
        Question("status", "/api/v1/status", "How far everything is, and what is wrong", past.status),
        Question(
            "coverage",
            "/api/v1/coverage",
            "Since when things are known, and which stretches are lost, repaired or unknown",
            past.coverage,
            (Parameter("entity", "only this entity"),),
        ),
        Question(
            "history",
            "/api/v1/history/{entity}/{record_id}",
            "Every change of a record: when, who, through what, each field before and after",
            past.history,
            (
                _ENTITY,
                _RECORD,
                _AT,
                _BEFORE,
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "state",
            "/api/v1/state/{entity}",
            "Records as they were at a time or before a change",
            past.state,
            (
                _ENTITY,
                Parameter("ids", "record ids", kind="texts"),
                _WHERE,
                Parameter(
                    "maybe", "true: also records of which it is unknown whether they meet it", kind="boolean"
                ),
                _AT,
                _BEFORE,
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "jobs",
            "/api/v1/jobs",
            "Full reads and re-reads, the newest first: how far each is",
            looks.jobs,
            (
                Parameter("entity", "only this entity"),
                Parameter("is_open", "1: those that have not ended, 0: those that have", kind="integer"),
                Parameter("limit", f"jobs, at most {looks.JOBS_MAX}", kind="integer"),
            ),
        ),
        Question(
            "standing",
            "/api/v1/standing",
            "How each entity stands for a comparison with the org",
            looks.standing,
            (Parameter("entity", "only this entity"),),
        ),
        Question(
            "known",
            "/api/v1/known/{entity}",
            "Every record ever known, and up to when it is known",
            looks.known,
            (_ENTITY, _CURSOR),
        ),
        Question(
            "moved",
            "/api/v1/moved/{entity}",
            "Records that events or rows behind an ordinal were about",
            looks.moved,
            (_ENTITY, Parameter("ordinal", "the ordinal", kind="integer", required=True)),
        ),
        Question(
            "states",
            "/api/v1/state/{entity}",
            "Many records by their ids, as they were",
            past.states,
            (
                _ENTITY,
                Parameter(
                    "ids", f"record ids, at most {ROWS_MAX}", kind="texts", where="body", required=True
                ),
                Parameter("at", _AT.text, where="body"),
                Parameter("before", _BEFORE.text, where="body"),
            ),
            method="POST",
        ),
        Question(
            "diff",
            "/api/v1/diff/{entity}",
            "What differs between two moments, field by field, or counted by who and what",
            diff,
            (
                _ENTITY,
                *_BETWEEN[1:],
                Parameter("ids", "record ids", kind="texts"),
                _WHERE,
                Parameter("by", f"count by {', '.join(GROUPS)}", kind="texts"),
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "tree",
            "/api/v1/tree/{entity}/{record_id}",
            "A record and its children at a moment, by the org's own relationships",
            tree,
            (
                _ENTITY,
                _RECORD,
                _AT,
                _BEFORE,
                Parameter("depth", "levels of children", kind="integer"),
                _LIMIT,
            ),
        ),
        Question(
            "record",
            "/api/v1/record/{entity}/{record_id}",
            "One record at a time, field by field, with the change that set each",
            past.record,
            (
                _ENTITY,
                _RECORD,
                _AT,
                _BEFORE,
            ),
        ),
        Question("entities", "/api/v1/entities", "Every entity the journal knows", facts.entities),
        Question(
            "fields",
            "/api/v1/fields/{entity}",
            "The fields of an entity: path in events, name in queries, type, what they refer to",
            facts.fields,
            (_ENTITY,),
        ),
        Question(
            "moment",
            "/api/v1/moment",
            "A moment as it stays the same when asked again",
            facts.resolved,
            (_AT, _BEFORE),
        ),
        Question(
            "seals",
            "/api/v1/seals",
            "The chain of sealed segments",
            seals,
            (_LIMIT,),
        ),
        Question(
            "rates",
            "/api/v1/rates",
            "How many changes, when: by entity, kind or user, in buckets of time",
            rates,
            (
                Parameter("minutes", "how far back", kind="integer"),
                Parameter("by", f"one of {', '.join(WAYS)}"),
                Parameter("entity", "only this entity"),
                Parameter("until", "a time; without it, the newest org time known"),
            ),
        ),
        Question(
            "changes",
            "/api/v1/changes",
            "Events in the order they were recorded, with the values they gave",
            changes,
            (*_BETWEEN, _LIMIT, _CURSOR),
            role=Role.OPERATOR,
        ),
        Question(
            "replay_plan",
            "/api/v1/changes/plan",
            "Where a replay begins and ends, and where full states and holes lie in it",
            replay_plan,
            _BETWEEN,
            role=Role.OPERATOR,
        ),
        Question(
            "read_rows",
            "/api/v1/changes/reads/{entity}",
            "The full states of an entity that lie at one place",
            read_rows,
            (
                _ENTITY,
                Parameter("place", "the ordinal they lie behind", kind="integer", required=True),
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "setup",
            "/api/v1/setup",
            "Changes of the org's set-up, the newest first: when, who, what",
            setup_log,
            (
                Parameter("since", "from this time on (ISO 8601, or -1d)"),
                Parameter("until", "up to this time"),
                Parameter("about", "only what has this in its name", argument="text"),
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "setup_state",
            "/api/v1/setup/state",
            "The org's set-up as it was: permissions, roles, flows, triggers, rules",
            setup_state,
            (
                Parameter("kind", "one kind, like PermissionSet or Flow"),
                Parameter("about", "only what has this in its name", argument="text"),
                _AT,
                _BEFORE,
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "setup_diff",
            "/api/v1/setup/diff",
            "What differs in the set-up between two times, line by line",
            setup_diff,
            (
                *_BETWEEN[1:3],
                Parameter("about", "only what has this in its name", argument="text"),
            ),
        ),
        Question(
            "setup_access",
            "/api/v1/setup/access",
            "Effective rights of a user, or who has rights over an object or field",
            setup_access,
            (
                Parameter("about", "a user, an object, or a field like Account.Rating", required=True),
                _AT,
                Parameter("from", "only what was gained or lost since then", argument="from_time"),
            ),
        ),
        Question(
            "alerts",
            "/api/v1/alerts",
            "Alerts, the newest first",
            past.alerts,
            (
                Parameter("alert_id", "only this one"),
                Parameter(
                    "decorated",
                    "false: without the values from before and the changes of the set-up",
                    kind="boolean",
                ),
                _LIMIT,
                _CURSOR,
            ),
        ),
        Question(
            "incidents",
            "/api/v1/incidents",
            "Incidents, the newest first",
            recovery.incidents,
            (Parameter("state", "only those open, acknowledged, closed or merged"), _LIMIT),
        ),
        Question(
            "incident",
            "/api/v1/incidents/{incident_id}",
            "One incident: what is meant, and its restores",
            recovery.incident,
            (_INCIDENT,),
        ),
        Question(
            "blast",
            "/api/v1/incidents/{incident_id}/blast",
            "Its blast radius: records, fields, owners, money, children, later edits, linked episodes",
            recovery.blast,
            (_INCIDENT,),
        ),
        Question("restores", "/api/v1/restores", "Restores, the newest first", recovery.restores, (_LIMIT,)),
        Question(
            "restore",
            "/api/v1/restores/{restore_id}",
            "One restore: its plan in numbers, and what became of its records",
            recovery.restore,
            (_RESTORE,),
        ),
        Question(
            "plan_rows",
            "/api/v1/restores/{restore_id}/plan",
            "The plan field by field: before, bad, now, what is done and why",
            recovery.plan_rows,
            (_RESTORE, Parameter("decision", "only rows decided so, like conflict"), _LIMIT, _CURSOR),
        ),
        Question(
            "restore_records",
            "/api/v1/restores/{restore_id}/records",
            "What a restore wrote, record by record; what went wrong first",
            recovery.restore_records,
            (_RESTORE, Parameter("result", "only records that ended so, like failed"), _LIMIT),
        ),
        Question(
            "report",
            "/api/v1/report",
            "Five questions about recovery, answered with evidence",
            report,
            (
                Parameter("from_time", "from this time; without it, 90 days back"),
                Parameter("to_time", "up to this time"),
                Parameter("owner", "who owns recovery, as it is to be shown"),
            ),
        ),
        Question(
            "audit",
            "/api/v1/audit",
            "Who did what through this API, the newest first",
            audit,
            (_LIMIT, _CURSOR),
            role=Role.ADMIN,
        ),
        Question("drills", "/api/v1/drills", "Drills and what they measured", recovery.drills, (_LIMIT,)),
        Question(
            "query",
            "/api/v1/query",
            "One SELECT over the public views",
            past.query,
            (
                Parameter("sql", "the statement", where="body", required=True),
                Parameter(
                    "limit", f"rows, at most {ROWS_MAX}; as Arrow, a million", kind="integer", where="body"
                ),
                Parameter("cursor", _CURSOR.text, where="body"),
            ),
            method="POST",
            role=Role.OPERATOR,
            typed=query_table,
        ),
    )
}
