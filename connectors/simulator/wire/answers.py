"""What every HTTP answer of the org has in common: session, errors as arrays, its own Date, the calls used.

The Date header is the org's skewed clock, taken after the handler has read what it answers with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.rows import API_VERSION, ASKED_VERSION
from connectors.simulator.wire.context import Wire
from connectors.simulator.wire.sessions import Session

WIRE = web.AppKey("wire", Wire)
SESSION: web.RequestKey[Session] = web.RequestKey("session", Session)

INNER: web.RequestKey[Any] = web.RequestKey("inner", object)
"""The body of a request inside another one."""

BODY_BYTES_MAX = 150 * 1024 * 1024  # an upload of a bulk job
DATA = "/services/data"
UNAVAILABLE_RETRY_S = 5
VERSION_LEAST = 31  # older ones were retired

_NOT_COUNTED = frozenset({DATA, f"{DATA}/"})
"""Neither needs a session nor counts as a call (protocol section 5)."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(body: Any, *, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, dumps=_dumps)


def error_answer(error: OrgError) -> web.Response:
    """The array that an error is."""
    answer = json_answer([error_body(error)], status=error.status)
    answer.headers.update(error.headers)
    return answer


def error_body(error: OrgError) -> dict[str, Any]:
    """One error of such an array."""
    body: dict[str, Any] = {**error.more, "message": error.message, "errorCode": error.code}
    if error.fields:
        body["fields"] = list(error.fields)
    return body


async def json_body(request: web.Request) -> Any:
    """The JSON a request carries. Raises OrgError JSON_PARSER_ERROR."""
    if INNER in request:
        return request[INNER]
    try:
        return json.loads(await request.read())
    except (ValueError, UnicodeDecodeError):
        raise OrgError("JSON_PARSER_ERROR", "The HTTP entity body is not valid JSON.") from None


async def json_object(request: web.Request) -> dict[str, Any]:
    """The JSON object a request carries. Raises OrgError JSON_PARSER_ERROR."""
    body = await json_body(request)
    if not isinstance(body, dict):
        raise OrgError("JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object.")
    return body


def client_of(request: web.Request) -> str:
    """What `Sforce-Call-Options: client=…` names; "" without it."""
    for option in request.headers.get("Sforce-Call-Options", "").replace(";", ",").split(","):
        key, _, value = option.strip().partition("=")
        if key == "client":
            return value.strip()
    return ""


def version_of(request: web.Request) -> str:
    """The API version of the path: `66.0`."""
    return request.match_info["version"]


def origin_of(request: web.Request) -> str:
    """changeOrigin of what this request writes."""
    return f"com/salesforce/api/rest/{version_of(request)}"


@web.middleware
async def stamped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: slowness, and the Date of the answer."""
    wire = request.app[WIRE]
    if request.path.startswith("/simulator/"):
        return await handler(request)
    slowness = wire.slowness_s(request.path)
    if slowness:
        await asyncio.sleep(slowness)
    response = await handler(request)
    response.headers["Date"] = formatdate(wire.org.clock.http_now_ms() // 1000, usegmt=True)
    return response


@web.middleware
async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what the org refuses into answers."""
    try:
        return await handler(request)
    except OrgError as error:
        return error_answer(error)
    except web.HTTPNotFound:
        return error_answer(OrgError("NOT_FOUND", "The requested resource does not exist", status=404))
    except web.HTTPMethodNotAllowed as error:
        return error_answer(
            OrgError("METHOD_NOT_ALLOWED", f"HTTP Method '{error.method}' not allowed.", status=405)
        )
    except web.HTTPRequestEntityTooLarge:
        return error_answer(OrgError("REQUEST_TOO_LARGE", "The request body is too large.", status=413))


@web.middleware
async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Sessions, the service being away, and counting, for everything under /services/data/."""
    if not request.path.startswith(DATA):
        return await handler(request)
    wire = request.app[WIRE]
    fault = wire.org.faults.take("unavailable")
    if fault is not None:
        away = OrgError("SERVER_UNAVAILABLE", "The server is temporarily unavailable.", status=503)
        response = error_answer(away)
        response.headers["Retry-After"] = str(fault.parameters.get("retry_after", UNAVAILABLE_RETRY_S))
        return response
    if request.path in _NOT_COUNTED:
        return await handler(request)
    _address(request, wire)
    request[SESSION] = session_of(request)
    wire.count_call(request.path)
    try:
        answer = await handler(request)
    except OrgError as error:
        answer = error_answer(error)
    answer.headers["Sforce-Limit-Info"] = wire.org.usage.api_usage
    return answer


def _address(request: web.Request, wire: Wire) -> None:
    """The API version and the entity a path names. Raises NOT_FOUND for a version to come, GONE for a retired one."""
    info = request.match_info
    version = info.get("version", "")
    if version:
        number = version.partition(".")[0]
        if (
            not number.isdigit()
            or version != f"{number}.0"
            or int(number) > int(API_VERSION.partition(".")[0])
        ):
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        if int(number) < VERSION_LEAST:
            raise OrgError("GONE", f"API version {version} is retired", status=410)
        ASKED_VERSION.set(version)
    if "entity" in info:
        info["entity"] = wire.org.name_of(info["entity"])


def session_of(request: web.Request) -> Session:
    """The caller's session. Raises INVALID_SESSION_ID."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    session = (
        request.app[WIRE].session(token, request.path) if scheme.lower() in ("bearer", "oauth") else None
    )
    if session is None:
        raise OrgError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
    return session


def _dumps(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
