"""The truth by HTTP: what was committed, and what every record said after any of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from connectors.simulator.org import SimulatedOrg
from connectors.simulator.truth import DELETED, TrueChange
from connectors.simulator.wire.answers import WIRE

LINES_AT_ONCE = 2_000  # between two turns of the event loop

_FIELDS = tuple(field.name for field in dataclasses.fields(TrueChange))

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(local: Callable[[Handler], Handler]) -> list[web.RouteDef]:
    """Where the truth is told."""
    return [
        web.get("/simulator/truth/changes", local(changes)),
        web.get("/simulator/truth/state", local(state)),
        web.get("/simulator/truth/pairs", local(pairs)),
        web.get("/simulator/truth/setup", local(setup)),
    ]


async def changes(request: web.Request) -> web.StreamResponse:
    """NDJSON: a line for each change of one record after index `after`, at most `limit`, in commit order."""
    org = request.app[WIRE].org
    start = int(request.query.get("after", "0"))
    end = len(org.truth)
    if "limit" in request.query:
        end = min(end, start + int(request.query["limit"]))
    blocks = (
        map(_line, org.truth.changes(at, min(LINES_AT_ONCE, end - at)))
        for at in range(start, end, LINES_AT_ONCE)
    )
    return await _lines(request, blocks, {})


async def _lines(
    request: web.Request, blocks: Iterable[Iterable[Any]], headers: dict[str, str]
) -> web.StreamResponse:
    """NDJSON, a block of lines between two turns of the event loop."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", **headers})
    await response.prepare(request)
    for block in blocks:
        text = "".join(json.dumps(line) + "\n" for line in block)
        await response.write(text.encode())
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _blocks(lines: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(lines), LINES_AT_ONCE):
        yield lines[at : at + LINES_AT_ONCE]


def _line(change: TrueChange) -> dict[str, Any]:
    line = {name: getattr(change, name) for name in _FIELDS}
    line["changed"] = dict(change.changed)
    return line


async def state(request: web.Request) -> web.StreamResponse:
    """NDJSON: every record of `entity` as it was after change `at_index`, or at `at_ms`; now without either.

    `without` (transaction keys, with commas) leaves these out, or with `without_fields` (Entity.Field) only what they
    set there. `at_ms` goes by the running maximum of commit times over `channel`, or over the entity alone. The header
    At-Index says which index that is.
    """
    org = request.app[WIRE].org
    query = request.query
    entity = query["entity"]
    if "at_index" in query:
        at_index = int(query["at_index"])
    elif "at_ms" in query:
        entities = carried(org, query["channel"]) if "channel" in query else [entity]
        at_index = org.truth.index_at(int(query["at_ms"]), entities)
    else:
        at_index = len(org.truth)
    rows = [
        {
            "record_id": record_id,
            "status": record.status,
            "is_deleted": record.status == DELETED,
            "fields": dict(record.fields),
        }
        for record_id, record in org.truth.state(
            entity,
            at_index,
            without=_listed(query, "without"),
            without_fields=_listed(query, "without_fields"),
        ).items()
    ]
    return await _lines(request, _blocks(rows), {"At-Index": str(at_index)})


def _listed(query: Mapping[str, str], name: str) -> list[str]:
    return [one for one in query.get(name, "").split(",") if one]


async def pairs(request: web.Request) -> web.StreamResponse:
    """NDJSON: [event id, record id] of everything published, of all entities or those of `channel`."""
    org = request.app[WIRE].org
    channel = request.query.get("channel")
    found = org.truth.pairs(carried(org, channel) if channel else None)
    return await _lines(request, _blocks(sorted(found)), {})


def carried(org: SimulatedOrg, channel: str) -> Iterable[str]:
    """The entities a channel carries. Raises BusError for one that is not there."""
    return tuple(org.bus.channels.topic(channel).members)


async def setup(request: web.Request) -> web.StreamResponse:
    """Kind -> id -> row of the set-up at org time `at` (epoch ms; without it, now)."""
    org = request.app[WIRE].org
    at = int(request.query.get("at", org.clock.now_ms()))
    return web.json_response(org.setup.state(at))
