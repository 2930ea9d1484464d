"""What a request gives: its path, its query and its JSON body, read with suspicion.

A body has to say that it is JSON, which no form of a foreign page can without asking first; and a browser says
where a request comes from.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from cdc.errors import BadArgument
from cdc.serve.questions import Question

FOREIGN = frozenset({"cross-site", "same-site"})
"""What a browser calls (`Sec-Fetch-Site`) a page that is not of this very address."""

SEE = "see /api/v1/openapi.json"


def is_foreign(request: web.Request) -> bool:
    """Whether another site's page wants something done."""
    return request.method not in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Site") in FOREIGN


async def json_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; no body is an empty one. Errors: BadArgument; 413 and 415 of HTTP."""
    body = await request.read()
    if not body:
        return {}
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        given = json.loads(body)
        json.dumps(given, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise BadArgument("the body is not JSON", where=request.path, do="send a JSON object") from error
    if not isinstance(given, dict):
        raise BadArgument("the body is not a JSON object", where=request.path)
    return given


async def parameters(request: web.Request, question: Question) -> dict[str, Any]:
    """Parameters of a question, each from its place. Errors: BadArgument naming the parameter."""
    given: dict[str, Any] = dict(request.match_info)
    elsewhere = {p.name for p in question.parameters if p.where != "query"}
    for key in request.query:
        if key in elsewhere:
            raise BadArgument(f"{key!r:.60} is no parameter of the query", where=request.path, do=SEE)
        values = request.query.getall(key)
        given[key] = values if len(values) > 1 else values[0]
    if question.method == "POST":
        given |= await body_beside(request)
    return question.checked(given)


async def body_beside(request: web.Request) -> dict[str, Any]:
    """The body, which may not say otherwise what the address says. Errors: BadArgument."""
    body = await json_object(request)
    for name in body:
        if name in request.match_info:
            raise BadArgument(f"{name!r:.60} stands in the address", where=request.path, do=SEE)
    return body
