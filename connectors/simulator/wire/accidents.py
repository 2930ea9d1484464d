"""What goes wrong between a client and the org: no answer, half an answer, an answer of somebody else.

Each fault here concerns REST, Bulk, SOAP and OAuth alike; `path=` and `method=` narrow it, `after=N` lets N calls
pass first. They act outside everything else, where a proxy or the network would.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from connectors.simulator.faults import Fault
from connectors.simulator.wire.answers import WIRE, Handler

SILENT_FOR_S = 600.0

PAGE = (
    "<!DOCTYPE html><html><head><title>Down for Maintenance</title></head>"
    "<body><h1>We are down for maintenance.</h1></body></html>"
)


@web.middleware
async def accidental(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost of all: acts out what a fault says, or lets the call through."""
    if not request.path.startswith("/services/"):
        return await handler(request)
    if fault := _taken(request, "black_hole"):
        await asyncio.sleep(float(fault.parameters.get("ms", SILENT_FOR_S * 1000)) / 1000)
        return _cut_off(request, web.Response())
    if fault := _taken(request, "html"):
        status = int(fault.parameters.get("status", 200))
        return web.Response(text=PAGE, status=status, content_type="text/html", charset="utf-8")
    if _taken(request, "request_lost"):
        return _cut_off(request, web.Response())
    response = await handler(request)
    if _taken(request, "answer_lost"):
        return _cut_off(request, response)
    if fault := _taken(request, "answer_cut"):
        return await _half(request, response, float(fault.parameters.get("keep", 0.5)))
    return response


def _taken(request: web.Request, name: str) -> Fault | None:
    faults = request.app[WIRE].org.faults
    return faults.take_call(name, path=request.path, method=request.method)


def _cut_off(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The connection breaks: the client never sees the answer."""
    if request.transport is not None:
        request.transport.abort()
    return response


async def _half(request: web.Request, response: web.StreamResponse, keep: float) -> web.StreamResponse:
    """The connection breaks in the middle of the answer, whose length was said before."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _cut_off(request, response)
    half = web.StreamResponse(status=response.status, headers=response.headers)
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: int(len(body) * keep)])
    return _cut_off(request, half)
