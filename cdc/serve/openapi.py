"""The API's own description, made from the table of questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdc import __version__
from cdc.serve.actions import ACTIONS, Action
from cdc.serve.auth import Role
from cdc.serve.etags import TAGGED
from cdc.serve.keeping import DEEDS
from cdc.serve.questions import ARROW, QUESTIONS, Parameter, Question

_KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "integer": {"type": "integer", "minimum": 0},
    "boolean": {"type": "boolean"},
    "objects": {"type": "array", "items": {"type": "object"}},
}
_PROBLEM = {
    "description": "a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_OF_QUESTIONS = ("400", "401", "403", "404", "409", "503")
_OF_BODIES = ("413", "415")

_TEXTS = {"type": "array", "items": {"type": "string"}}
_SCHEMAS: dict[str, Any] = {
    "Answer": {
        "type": "object",
        "required": ["columns", "rows", "complete", "reasons", "notes", "known_since", "stretches", "next"],
        "properties": {
            "columns": _TEXTS,
            "rows": {"type": "array", "items": {"type": "array", "items": {}}},
            "complete": {"type": "boolean", "description": "false: the reasons say why"},
            "reasons": _TEXTS,
            "notes": _TEXTS,
            "known_since": {"type": ["string", "null"]},
            "stretches": {"type": "array", "items": {"type": "object"}},
            "next": {"type": ["string", "null"], "description": "the cursor of the next page"},
        },
    },
    "Done": {
        "type": "object",
        "properties": {"progress": {"type": "string", "description": "ask /api/v1/progress/{name} for it"}},
    },
    "Progress": {
        "type": "object",
        "required": ["what", "state", "doing", "done", "total", "left_s", "results", "error", "answer"],
        "properties": {
            "what": {"type": "string"},
            "state": {"type": "string", "enum": ["working", "done", "failed"]},
            "doing": {"type": "string"},
            "done": {"type": "integer"},
            "total": {"type": "integer"},
            "left_s": {"type": ["number", "null"], "description": "seconds"},
            "results": {"type": "object", "additionalProperties": {"type": "integer"}},
            "error": {"type": "string"},
            "answer": {"type": "object"},
        },
    },
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "one sentence for a person"},
            "exit_code": {"type": "integer", "description": "what a verb of the command line ends with"},
        },
    },
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1. `x-role` of an operation is the least role that may call it; without one, anybody may."""
    paths: dict[str, Any] = {}
    for question in QUESTIONS.values():
        paths.setdefault(question.path, {})[question.method.lower()] = _operation(question, arrow=True)
    for deed in DEEDS.values():
        paths.setdefault(deed.path, {})[deed.method.lower()] = _operation(deed, arrow=False)
    for action in ACTIONS.values():
        paths.setdefault(action.path, {})["post"] = _action(action)
    return {
        "openapi": "3.1.0",
        "info": {"title": "cdc", "version": __version__, "description": "A flight recorder for Salesforce."},
        "security": [{"bearer": []}],
        "paths": paths | _others(),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": _SCHEMAS,
        },
    }


def _others() -> dict[str, Any]:
    """What is in none of the tables."""
    health = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    told = {"200": _json("it is", health), "503": _json("it is not", health)}
    stream = {"200": {"description": "a stream", "content": {"text/event-stream": {}}}}
    names = [one.name.lower() for one in Role]
    role = {"type": "object", "required": ["role"], "properties": {"role": {"type": "string", "enum": names}}}
    text = {
        "200": {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    since = {"name": "since", "in": "query", "schema": {"type": "string", "enum": ["now", "all"]}}
    entity = [Parameter("entity", "API name, like Account", where="body", required=True)]
    started = {"type": "object", "required": ["job_id"], "properties": {"job_id": {"type": "string"}}}
    return {
        "/healthz": {"get": _other("healthz", "Whether the process works", told, role=None)},
        "/readyz": {"get": _other("readyz", "Whether it may take traffic", told, role=None)},
        "/metrics": {"get": _other("metrics", "Every figure, for Prometheus", text)},
        "/api/v1/me": {"get": _other("me", "What the token may do", {"200": _json("its role", role)})},
        "/api/v1/openapi.json": {
            "get": _other("openapi", "This document", {"200": _json("this", {"type": "object"})})
        },
        "/api/v1/progress/{name}": {
            "get": _other(
                "progress",
                "How far a long action is",
                {"200": _json("its state", _ref("Progress")), "400": _PROBLEM, "404": _PROBLEM},
                parameters=[name],
            )
        },
        "/api/v1/alerts/stream": {
            "get": _other("alerts_stream", "New versions of alerts as they come", stream, parameters=[since])
        },
        "/api/v1/baselines": {
            "post": _other(
                "baselines",
                "Ask for a full read of an entity",
                {"202": _json("requested", started), **_problems("400", "409", "503", *_OF_BODIES)},
                role=Role.OPERATOR,
                requestBody=_json_body(entity),
            )
        },
    }


def _other(
    name: str, text: str, responses: dict[str, Any], *, role: Role | None = Role.VIEWER, **more: Any
) -> dict[str, Any]:
    if role is None:
        return {"operationId": name, "summary": text, "security": [], "responses": responses, **more}
    return {**_named(name, text, role), "responses": {**responses, **_problems("401", "403")}, **more}


def _named(name: str, text: str, role: Role) -> dict[str, Any]:
    needed = role.name.lower()
    return {"operationId": name, "summary": f"{text} (role {needed})", "x-role": needed}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _problems(*statuses: str) -> dict[str, Any]:
    return dict.fromkeys(statuses, _PROBLEM)


def _action(action: Action) -> dict[str, Any]:
    body = [p for p in action.parameters if p.where == "body"]
    done = _json("what was done, or the name to ask for its progress", _ref("Done"))
    return {
        **_named(action.name, action.text, action.role),
        "parameters": [_parameter(p) for p in action.parameters if p.where == "path"],
        "requestBody": _json_body(body),
        "responses": {"200": done, **_problems(*_OF_QUESTIONS, *_OF_BODIES)},
    }


def _json_body(parameters: Sequence[Parameter]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {p.name: {**_KINDS[p.kind], "description": p.text} for p in parameters},
        "required": [p.name for p in parameters if p.required],
        "additionalProperties": False,
    }
    required = any(p.required for p in parameters)
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _operation(question: Question, *, arrow: bool) -> dict[str, Any]:
    answer = _json("the answer", _ref("Answer"))
    if arrow:
        answer["content"][ARROW] = {"schema": {"type": "string", "format": "binary"}}
    operation: dict[str, Any] = {
        **_named(question.name, question.text, question.role),
        "parameters": [_parameter(p) for p in question.parameters if p.where != "body"],
        "responses": {"200": answer, **_problems(*_OF_QUESTIONS)},
    }
    if question.name in TAGGED:
        answer["headers"] = {
            "ETag": {"schema": {"type": "string"}, "description": "send it as If-None-Match"}
        }
        operation["responses"]["304"] = {"description": "nothing is new since the answer of that tag"}
    if question.method == "POST":
        operation["requestBody"] = _json_body([p for p in question.parameters if p.where == "body"])
        operation["responses"] |= _problems(*_OF_BODIES)
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path" or parameter.required,
        "description": parameter.text,
        "schema": _KINDS[parameter.kind],
    }
