"""The HTTP API: every question at an address of its own, alerts as they come, health and metrics.

Deny by default: each route names the role it needs; `/healthz` and `/readyz` need none and tell nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from aiohttp import web

from cdc import __version__
from cdc.change.masking import Masked
from cdc.errors import BadArgument, CdcError
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake
from cdc.metrics import Metrics
from cdc.recover.recovery import Recovery
from cdc.serve import console
from cdc.serve.actions import ACTIONS, Action
from cdc.serve.asking import Asking, Lane
from cdc.serve.audit import Audit, call_of
from cdc.serve.auth import Role, Tokens
from cdc.serve.etags import TAGGED, Tags, is_held
from cdc.serve.given import body_beside, is_foreign, json_object, parameters
from cdc.serve.keeping import DEEDS
from cdc.serve.openapi import document
from cdc.serve.problems import problem, problems
from cdc.serve.questions import ARROW, QUESTIONS, Question
from cdc.serve.stream import AlertStream
from cdc.troubles import Trouble, Troubles, shown

BODY_BYTES_MAX = 1_000_000


@dataclass(slots=True)
class Door:
    """What the API stands before. `ready` says why it may not take traffic, or nothing."""

    reader: Callable[[], AbstractContextManager[Any]]
    tokens: Tokens
    metrics: Metrics
    ready: Callable[[], str] = lambda: ""
    request_baseline: Callable[[str], Awaitable[str]] | None = None
    journal: DuckJournal | Lake | None = None
    recovery: Recovery | None = None
    masked: Masked = field(default_factory=Masked)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    troubles: Callable[[], Sequence[Troubles]] = lambda: ()
    ended: Trouble | None = None
    tags: Tags = field(default_factory=Tags)
    audit: Audit | None = None
    asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self.asking = Asking(self.reader)
        if self.recovery is not None and self.audit is None:
            self.audit = Audit(self.recovery.ledger)

    def noted(self, error: BaseException) -> None:
        """An error that became a problem document."""
        for troubles in self.troubles()[:1]:
            troubles.note(error)


def make_app(door: Door) -> web.Application:
    """The application; `Runner` below serves it."""
    app = web.Application(
        middlewares=[problems, _noting(door), _guard(door.tokens, door.audit)], client_max_size=BODY_BYTES_MAX
    )
    app.router.add_get("/healthz", _healthz(door))
    app.router.add_get("/readyz", _readyz(door))
    app.router.add_get("/metrics", _metrics(door))
    app.router.add_get("/api/v1/openapi.json", _openapi)
    app.router.add_get("/api/v1/me", _me)
    app.router.add_get("/api/v1/alerts/stream", _alert_stream(door))
    for question in QUESTIONS.values():
        app.router.add_route(question.method, question.path, _ask(door, question))
    for deed in DEEDS.values():
        app.router.add_route(deed.method, deed.path, _do(door, deed))
    app.router.add_post("/api/v1/baselines", _baseline(door))
    for action in ACTIONS.values():
        app.router.add_post(action.path, _act(door, action))
    app.router.add_get("/api/v1/progress/{name}", _progress(door))
    app.router.add_routes(console.routes())
    return app


ROLE = web.RequestKey("role", Role)
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
AUDITED = {deed.path: deed.name for deed in DEEDS.values()} | {a.path: a.name for a in ACTIONS.values()}
ROLES = {asked.path: asked.role for asked in (*QUESTIONS.values(), *DEEDS.values())} | {
    **{action.path: action.role for action in ACTIONS.values()},
    "/api/v1/progress/{name}": Role.VIEWER,
    "/api/v1/baselines": Role.OPERATOR,
    "/api/v1/alerts/stream": Role.VIEWER,
    "/api/v1/me": Role.VIEWER,
    "/api/v1/openapi.json": Role.VIEWER,
    "/metrics": Role.VIEWER,
}


def _noting(door: Door) -> Any:
    """Errors on their way to a problem document are counted by their class."""

    @web.middleware
    async def noting(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except CdcError as error:
            door.noted(error)
            raise

    return noting


def _guard(tokens: Tokens, audit: Audit | None) -> Any:
    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if request.path in OPEN_PATHS or (resource and resource.canonical in console.OPEN_RESOURCES):
            return await handler(request)
        role = tokens.role(request.headers.get("Authorization"))
        if role is None:
            answer = problem(
                401, "Unauthorized", "send a token of this journal as Authorization: Bearer TOKEN"
            )
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        request[ROLE] = role
        needed = ROLES.get(resource.canonical if resource else "", Role.VIEWER)
        if is_foreign(request):
            return problem(403, "Forbidden", "the page of another site may do nothing here")
        if role < needed:
            if (what := AUDITED.get(resource.canonical if resource else "")) and audit:
                call = call_of(what, role, request.headers.get("Authorization"), request.match_info)
                call.status = 403
                await audit.refused(call)
            return problem(403, "Forbidden", f"this needs the role {needed.name.lower()}")
        response = await handler(request)
        if not response.prepared:
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Cache-Control"] = "no-store"
        return response

    return guard


def _ask(door: Door, question: Question) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        given = await parameters(request, question)
        tag = _tag(door, request, question)
        if tag and is_held(request, tag):
            return web.Response(status=304, headers={"ETag": tag})
        masked = door.masked if request[ROLE] < Role.OPERATOR else Masked()
        _refuse_guesses(masked, given, request.path)

        def answer(reader: Any) -> tuple[bytes, bool]:
            told = question.answer(reader, given)
            if question.name == "status":
                told = shown(told, [one for each in door.troubles() for one in each.listed()], door.ended)
            elif masked:
                told = masked.answer(told, given.get("entity"))
            elif door.masked:
                return _as_bytes(told), door.masked.answer(told, given.get("entity")) != told
            return _as_bytes(told), False

        lane: Lane = (
            "query" if question.name == "query" else "glance" if question.name in TAGGED else "question"
        )
        if ARROW in request.headers.get("Accept", "") and not masked:
            await _reading(door, request, question, given)
            table = await door.asking.ask(
                lambda reader: _arrow_stream(question.table(reader, given)), "query"
            )
            return web.Response(body=table, content_type=ARROW)
        body, is_secret = await door.asking.ask(answer, lane)
        if question.name == "query" or is_secret:
            await _reading(door, request, question, given)
        return web.Response(
            body=body,
            content_type="application/json",
            charset="utf-8",
            headers={"ETag": tag} if tag else None,
        )

    return handler


def _tag(door: Door, request: web.Request, question: Question) -> str:
    if question.name not in TAGGED or door.journal is None:
        return ""
    more: list[Any] = [request[ROLE] < Role.OPERATOR]
    if question.name == "status":
        more += [repr(one) for each in door.troubles() for one in each.listed()]
    return door.tags.tag(request, door.journal.checkpoint, more)


async def _reading(door: Door, request: web.Request, question: Question, given: Mapping[str, Any]) -> None:
    """Where fields are masked for viewers, that somebody saw them is kept."""
    if door.masked and door.audit is not None and request[ROLE] >= Role.OPERATOR:
        call = call_of(f"read {question.name}", request[ROLE], request.headers.get("Authorization"), given)
        call.status = 200
        await door.audit.reading(call)


def _refuse_guesses(masked: Masked, given: Mapping[str, Any], path: str) -> None:
    """A condition on a masked field would tell its value by what it leaves out."""
    name = masked.named_in(given.get("entity"), str(given.get("where") or "")) if masked else None
    if name is not None:
        raise BadArgument(
            f"{name} is masked for this role and cannot be asked about",
            where=path,
            do="leave it out, or ask with the token of an operator",
        )


def _as_bytes(told: Mapping[str, Any]) -> bytes:
    """In the thread that asked: what a large answer takes to be written down holds nobody else up."""
    return json.dumps(told).encode()


def _arrow_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _do(door: Door, deed: Question) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        given = await parameters(request, deed)
        if door.journal is None:
            return problem(409, "Conflict", "this process has no journal")
        async with _audited(door, request, deed.name, given):
            try:
                return web.json_response(await asyncio.to_thread(deed.answer, door.journal, given))
            finally:
                door.tags.deeds += 1

    return handler


def _act(door: Door, action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        given = action.checked({**request.match_info, **await body_beside(request)})
        if door.recovery is None:
            return problem(409, "Conflict", "this process cannot restore: it has no journal of its own")
        async with _audited(door, request, action.name, given):
            role = f"role {request[ROLE].name.lower()}"  # what somebody says of himself is kept beside it
            given["by"] = f"{given['by']}, {role}" if given.get("by") else role
            return web.json_response(await action.call(door.recovery, given))

    return handler


@contextlib.asynccontextmanager
async def _audited(
    door: Door, request: web.Request, what: str, given: Mapping[str, Any]
) -> AsyncIterator[None]:
    if door.audit is None:
        yield
        return
    call = call_of(what, request[ROLE], request.headers.get("Authorization"), given)
    async with door.audit.of(call):
        yield


def _progress(door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        if door.recovery is None:
            return problem(404, "Not Found", "nothing long runs in this process")
        work = door.recovery.progress(request.match_info["name"])
        if door.masked and request[ROLE] < Role.OPERATOR:
            work["answer"] = {
                name: [door.masked.row(one, None) for one in part]
                if isinstance(part, list) and all(isinstance(one, dict) for one in part)
                else part
                for name, part in work["answer"].items()
            }
        return web.json_response(work)

    return handler


def _healthz(door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        def look() -> None:
            with door.reader() as reader:
                reader.execute("SELECT 1").fetchone()

        try:
            await asyncio.to_thread(look)
        except Exception:
            return web.json_response({"status": "failed"}, status=503)
        return web.json_response({"status": "ok", "version": __version__})

    return handler


def _readyz(door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        why = door.ready()
        return web.json_response({"status": why or "ready"}, status=503 if why else 200)

    return handler


def _metrics(door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=door.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    return handler


async def _openapi(_: web.Request) -> web.Response:
    return web.json_response(document())


async def _me(request: web.Request) -> web.Response:
    return web.json_response({"role": request[ROLE].name.lower()})


def _baseline(door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        entity = (await json_object(request)).get("entity")
        if not isinstance(entity, str) or not entity.isidentifier():
            raise BadArgument(
                "entity is not an API name", where=request.path, do='send {"entity": "Account"}'
            )
        if door.request_baseline is None:
            return problem(409, "Conflict", "this process cannot request a baseline")
        return web.json_response({"job_id": await door.request_baseline(entity)}, status=202)

    return handler


def _alert_stream(door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    stream = AlertStream(door.asking, door.stopping)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream.serve(request, door.masked if request[ROLE] < Role.OPERATOR else Masked())

    return handler
