"""The API's own description, made from the table of questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdc import __version__
from cdc.serve.actions import ACTIONS, Action
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


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for question in (*QUESTIONS.values(), *DEEDS.values()):
        paths.setdefault(question.path, {})[question.method.lower()] = _operation(question)
    for action in ACTIONS.values():
        paths.setdefault(action.path, {})["post"] = _action(action)
    paths["/api/v1/progress/{name}"] = {
        "get": {
            "operationId": "progress",
            "summary": "How far a long action is (role viewer)",
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {"200": {"description": "its state"}, "401": _PROBLEM, "404": _PROBLEM},
        }
    }
    paths["/api/v1/alerts/stream"] = {
        "get": {
            "operationId": "alerts_stream",
            "summary": "New versions of alerts as server-sent events",
            "parameters": [
                {"name": "since", "in": "query", "schema": {"type": "string", "enum": ["now", "all"]}}
            ],
            "responses": {
                "200": {"description": "a stream", "content": {"text/event-stream": {}}},
                "401": _PROBLEM,
            },
        }
    }
    paths["/api/v1/baselines"] = {
        "post": {
            "operationId": "baselines",
            "summary": "Ask for a full read of an entity (role operator)",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {"entity": {"type": "string"}},
                            "required": ["entity"],
                        }
                    }
                },
            },
            "responses": {
                "202": {"description": "requested"},
                "400": _PROBLEM,
                "401": _PROBLEM,
                "403": _PROBLEM,
                "409": _PROBLEM,
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "cdc", "version": __version__, "description": "A flight recorder for Salesforce."},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Answer": {
                    "type": "object",
                    "required": ["columns", "rows", "complete", "reasons", "notes"],
                    "properties": {
                        "columns": {"type": "array", "items": {"type": "string"}},
                        "rows": {"type": "array", "items": {"type": "array", "items": {}}},
                        "complete": {"type": "boolean"},
                        "reasons": {"type": "array", "items": {"type": "string"}},
                        "notes": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "Problem": {
                    "type": "object",
                    "required": ["title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                },
            },
        },
    }


def _action(action: Action) -> dict[str, Any]:
    body = [p for p in action.parameters if p.where == "body"]
    return {
        "operationId": action.name,
        "summary": f"{action.text} (role {action.role.name.lower()})",
        "parameters": [_parameter(p) for p in action.parameters if p.where == "path"],
        "requestBody": {
            "required": any(p.required for p in body),
            "content": {"application/json": {"schema": _body(body)}},
        },
        "responses": {
            "200": {"description": "what was done, or the name to ask for its progress"},
            **dict.fromkeys(("400", "401", "403", "404", "409", "503"), _PROBLEM),
        },
    }


def _body(parameters: Sequence[Parameter]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {p.name: _KINDS[p.kind] for p in parameters},
        "required": [p.name for p in parameters if p.required],
        "additionalProperties": False,
    }


def _operation(question: Question) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": question.name,
        "summary": f"{question.text} (role {question.role.name.lower()})",
        "parameters": [_parameter(p) for p in question.parameters if p.where != "body"],
        "responses": {
            "200": {
                "description": "the answer",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}},
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **dict.fromkeys(("400", "401", "403", "404", "503"), _PROBLEM),
        },
    }
    body = [p for p in question.parameters if p.where == "body"]
    if body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _body(body)}},
        }
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path" or parameter.required,
        "description": parameter.text,
        "schema": _KINDS[parameter.kind],
    }
