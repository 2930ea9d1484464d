"""Errors as RFC 9457 problem documents, in one place."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from cdc.errors import AnswerIncomplete, BadArgument, CdcError, DifferenceFound, NotFound
from cdc.logs import Event, logger

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, title: str, detail: str = "", **more: object) -> web.Response:
    """A problem document; `detail` is the one sentence a person reads."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or title, **more}
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/problem+json"
    )


TITLES = {400: "Bad Request", 404: "Not Found", 409: "Conflict", 503: "Service Unavailable"}


def status_of(error: Exception) -> int:
    """What an error is answered with."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, BadArgument):
        return 400
    if isinstance(error, AnswerIncomplete | DifferenceFound):
        return 409
    return 503 if isinstance(error, CdcError) else 500


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong in a handler becomes a problem document; nothing of the inside is shown."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem(error.status, error.reason, _sentence(error))
    except CdcError as error:
        status = status_of(error)
        return problem(status, TITLES[status], error.sentence(), exit_code=error.exit_code)
    except Exception as error:
        logger().error(Event.API_FAILED, path=request.path, error=type(error).__name__, exc_info=True)
        return problem(500, "Internal Server Error", "the question could not be answered; the log says why")


def _sentence(error: web.HTTPException) -> str:
    """The sentence of an HTTP error that aiohttp itself raised."""
    if error.status == 404:
        return "there is nothing at this address: see /api/v1/openapi.json"
    if error.status == 405:
        return "this address does not take this method: see /api/v1/openapi.json"
    if error.status == 413:
        return "the request is larger than 1 MB"
    if error.status == 415:
        return "the body has to be JSON and say so: Content-Type: application/json"
    return error.reason
