"""Several requests in one: composite (with references), batch, graph, and trees of records.

Each inner request is answered by the handler it would have by itself, and the whole counts as one call. All or none
holds back what is committed until the end, and takes it back if one of them fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from yarl import URL

from connectors.simulator.errors import OrgError
from connectors.simulator.saving import Saved
from connectors.simulator.wire.answers import INNER, WIRE, error_answer, json_answer, json_object
from connectors.simulator.wire.tree import TreeWriter

REQUESTS_MAX = 25
QUERIES_MAX = 5
GRAPHS_MAX = 75
NODES_MAX = 500

_REFERENCE = re.compile(r"@\{([^}]+)\}")
_STEP = re.compile(r"[^.\[\]]+")
_AT = "/services/data/v{version}/composite"


@dataclass(frozen=True, slots=True)
class Inner:
    """The answer of one request inside another."""

    status: int
    headers: Mapping[str, str]
    body: Any


def routes() -> list[web.RouteDef]:
    """Where these live."""
    return [
        web.post(_AT, composite),
        web.post(f"{_AT}/", composite),
        web.post(f"{_AT}/batch", batch),
        web.post(f"{_AT}/batch/", batch),
        web.post(f"{_AT}/graph", graph),
        web.post(f"{_AT}/graph/", graph),
        web.post(f"{_AT}/tree/{{entity}}", tree),
        web.post(f"{_AT}/tree/{{entity}}/", tree),
    ]


async def composite(request: web.Request) -> web.Response:
    """Up to 25 requests in order; a later one may refer to the answer of an earlier one."""
    body = await _outer(request)
    wanted = _listed(body, "compositeRequest", REQUESTS_MAX)
    queries = sum(
        1 for one in wanted if re.search(r"/(query|queryAll|composite/sobjects)", str(one.get("url")))
    )
    if queries > QUERIES_MAX:
        raise OrgError("LIMIT_EXCEEDED", f"No more than {QUERIES_MAX} query or collection requests")
    answers = await _in_order(request, wanted, all_or_none=bool(body.get("allOrNone")))
    return json_answer({"compositeResponse": answers})


async def graph(request: web.Request) -> web.Response:
    """Graphs of composite requests, each all or none by itself."""
    graphs = _listed(await _outer(request), "graphs", GRAPHS_MAX)
    answers = []
    for one in graphs:
        wanted = _listed(one, "compositeRequest", NODES_MAX)
        inner = await _in_order(request, wanted, all_or_none=True)
        good = all(answer["httpStatusCode"] < 300 for answer in inner)
        answers.append(
            {
                "graphId": str(one.get("graphId", "")),
                "graphResponse": {"compositeResponse": inner},
                "isSuccessful": good,
            }
        )
    return json_answer({"graphs": answers})


async def batch(request: web.Request) -> web.Response:
    """Up to 25 requests that know nothing of each other."""
    body = await _outer(request)
    halted, failed = bool(body.get("haltOnError")), False
    results: list[dict[str, Any]] = []
    for one in _listed(body, "batchRequests", REQUESTS_MAX):
        if failed and halted:
            error = OrgError("BATCH_PROCESSING_HALTED", "Batch processing halted per request")
            results.append({"statusCode": 412, "result": _errors(error)})
            continue
        url = str(one.get("url", ""))
        url = url if url.startswith("/services/data/") else f"/services/data/{url.removeprefix('/')}"
        answer = await _answered(request, str(one.get("method", "GET")), url, one.get("richInput"), {})
        failed = failed or answer.status >= 300
        results.append({"statusCode": answer.status, "result": answer.body})
    return json_answer({"hasErrors": failed, "results": results})


async def tree(request: web.Request) -> web.Response:
    """Records with their children, all of them or none."""
    records = _listed(await json_object(request), "records", NODES_MAX)
    writer = TreeWriter(request, request.match_info["entity"])
    saved = writer.save(records)
    failures = [(name, one.error) for name, one in saved.items() if one.error is not None]
    if failures:
        results = [
            {
                "referenceId": name,
                "errors": [
                    {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
                ],
            }
            for name, error in failures
        ]
        return json_answer({"hasErrors": True, "results": results}, status=400)
    results = [_made(name, one) for name, one in saved.items()]
    return json_answer({"hasErrors": False, "results": results}, status=201)


async def _outer(request: web.Request) -> dict[str, Any]:
    """The body around the others, read in a way that leaves the request fit to be cloned."""
    try:
        body = json.loads(await request.content.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise OrgError("JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object.")
    return body


def _made(name: str, saved: Saved) -> dict[str, Any]:
    return {"referenceId": name, "id": saved.record_id}


async def _in_order(
    request: web.Request, wanted: list[dict[str, Any]], *, all_or_none: bool
) -> list[dict[str, Any]]:
    """The answers of a composite request. All or none: after a failure every other one says so."""
    if not all_or_none:
        return await _each(request, wanted, all_or_none=False)
    with request.app[WIRE].org.held_back() as undo:
        answers = await _each(request, wanted, all_or_none=True)
        failed = [answer["httpStatusCode"] >= 300 for answer in answers]
        if any(failed):
            undo.take_back()
            halted = OrgError(
                "PROCESSING_HALTED",
                "The transaction was rolled back since another operation in the same transaction failed.",
            )
            for answer, bad in zip(answers, failed, strict=True):
                if not bad:
                    answer.update(body=_errors(halted), httpStatusCode=400, httpHeaders={})
    return answers


async def _each(
    request: web.Request, wanted: list[dict[str, Any]], *, all_or_none: bool
) -> list[dict[str, Any]]:
    known: dict[str, Inner] = {}
    answers: list[dict[str, Any]] = []
    failed = False
    for one in wanted:
        reference = str(one.get("referenceId", ""))
        if failed and all_or_none:
            halted = OrgError("PROCESSING_HALTED", "The transaction was rolled back.")
            answer = Inner(400, {}, _errors(halted))
        else:
            answer = await _referring(request, one, known)
        failed = failed or answer.status >= 300
        known[reference] = answer
        answers.append(
            {
                "body": answer.body,
                "httpHeaders": dict(answer.headers),
                "httpStatusCode": answer.status,
                "referenceId": reference,
            }
        )
    return answers


async def _referring(request: web.Request, one: Mapping[str, Any], known: Mapping[str, Inner]) -> Inner:
    try:
        url = str(_resolved(str(one.get("url", "")), known))
        body = _resolved(one.get("body"), known)
    except OrgError as error:
        return Inner(error.status, {}, _errors(error))
    return await _answered(request, str(one.get("method", "GET")), url, body, one.get("httpHeaders") or {})


async def _answered(
    request: web.Request, method: str, url: str, body: Any, headers: Mapping[str, str]
) -> Inner:
    """One inner request, by the handler that its address has."""
    inner = request.clone(
        method=method.upper(),
        rel_url=URL(url.replace(" ", "+")),
        headers={**request.headers, **{str(key): str(value) for key, value in headers.items()}},
    )
    inner[INNER] = body
    try:
        if not url.startswith("/services/data/v") or "/composite/batch" in url or url.endswith("/composite"):
            raise OrgError("BAD_REQUEST", f"{url!r} cannot be requested inside another request")
        match = await request.app.router.resolve(inner)
        match.add_app(request.app)
        inner._match_info = match  # what the server does with a request from outside
        response = await match.handler(inner)
    except OrgError as error:
        response = error_answer(error)
    except web.HTTPException as error:
        response = error_answer(
            OrgError("NOT_FOUND", "The requested resource does not exist", status=error.status)
        )
    assert isinstance(response, web.Response)
    found = response.body
    made = json.loads(found) if isinstance(found, bytes) and found else None
    location = (
        {"Location": f"{url}/{made['id']}"} if response.status == 201 and isinstance(made, dict) else {}
    )
    return Inner(response.status, location, made)


def _resolved(value: Any, known: Mapping[str, Inner]) -> Any:
    """A value with every `@{reference.path}` in place. Raises OrgError for one that names nothing."""
    if isinstance(value, Mapping):
        return {key: _resolved(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, known) for one in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None:
        return _followed(whole[1], known)
    return _REFERENCE.sub(lambda match: str(_followed(match[1], known)), value)


def _followed(path: str, known: Mapping[str, Inner]) -> Any:
    name, *steps = _STEP.findall(path)
    found: Any = known[name].body if name in known else None
    for step in steps:
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, Mapping):
            found = next((one for key, one in found.items() if key.lower() == step.lower()), None)
        else:
            found = None
    if found is None:
        raise OrgError("PROCESSING_HALTED", f"Invalid reference specified. No value for {path} found")
    return found


def _listed(body: Mapping[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    found = body.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise OrgError("JSON_PARSER_ERROR", f"{name} must be a list of objects")
    if len(found) > most:
        raise OrgError("LIMIT_EXCEEDED", f"{name} has more than {most} entries")
    return found


def _errors(error: OrgError) -> list[dict[str, Any]]:
    return [{"errorCode": error.code, "message": error.message}]
