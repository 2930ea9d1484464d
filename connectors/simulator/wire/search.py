"""Search: SOSL in its common form, parameterised search, and what was looked at last.

    FIND {text} [IN … FIELDS] RETURNING Entity(fields [WHERE …] [LIMIT n]), … [LIMIT n]

Text matches where a word of a name, e-mail or phone begins with it, or `*` stands for the rest; the real index
finds more, and later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from connectors.simulator.entities import Record
from connectors.simulator.errors import OrgError
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.wire.answers import SESSION, WIRE, json_answer, json_object

ROWS_MAX = 2_000
SEARCHED = ("Name", "FirstName", "LastName", "Email", "Phone", "Subject", "CaseNumber", "Company")

_FIND = re.compile(
    r"\s*FIND\s*\{(?P<text>(?:\\.|[^}])*)\}\s*(?:IN\s+\w+\s+FIELDS\s*)?(?:RETURNING\s+(?P<what>.*?))?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(r"\s*(?P<entity>\w+)\s*(?:\((?P<inside>[^()]*(?:\([^()]*\)[^()]*)*)\))?\s*(?:,|$)")
_AT = "/services/data/v{version}"


def routes() -> list[web.RouteDef]:
    """Where search lives."""
    return [
        web.get(f"{_AT}/search", search),
        web.get(f"{_AT}/search/", search),
        web.get(f"{_AT}/parameterizedSearch", parameterized_asked),
        web.post(f"{_AT}/parameterizedSearch", parameterized_posted),
        web.get(f"{_AT}/recent", recent),
        web.get(f"{_AT}/recent/", recent),
    ]


async def search(request: web.Request) -> web.Response:
    """Records that a SOSL query finds."""
    match = _FIND.fullmatch(request.query.get("q", ""))
    if match is None:
        raise OrgError(
            "MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces."
        )
    most = int(match["limit"] or ROWS_MAX)
    wanted = _returned(match["what"] or "Account, Contact, Lead, Opportunity, Case")
    found: list[dict[str, Any]] = []
    for entity, inside in wanted:
        found += _found(request, match["text"], entity, inside)
    return json_answer({"searchRecords": found[:most]})


async def parameterized_asked(request: web.Request) -> web.Response:
    """Search by query parameters."""
    query = request.query
    entities = [
        {"name": name, "fields": [one for one in query.get(f"{name}.fields", "Id").split(",") if one]}
        for name in query.getall("sobject", [])
    ]
    return _parameterized(request, query.get("q", ""), entities, query.get("overallLimit", ""))


async def parameterized_posted(request: web.Request) -> web.Response:
    """Search by a JSON body."""
    body = await json_object(request)
    return _parameterized(
        request, str(body.get("q", "")), body.get("sobjects") or [], body.get("overallLimit", "")
    )


async def recent(request: web.Request) -> web.Response:
    """What the user looked at last: the API looks at nothing."""
    return json_answer([])


def _parameterized(request: web.Request, text: str, entities: Any, most: Any) -> web.Response:
    found: list[dict[str, Any]] = []
    entities = entities or [{"name": name} for name in ("Account", "Contact", "Lead")]
    if not isinstance(entities, list) or not all(isinstance(one, dict) and "name" in one for one in entities):
        raise OrgError("JSON_PARSER_ERROR", "sobjects must be a list of objects with a name")
    if not str(most or 0).isdigit():
        raise OrgError("JSON_PARSER_ERROR", f"overallLimit is not a number: {most!r}")
    for one in entities:
        fields = [str(name) for name in one.get("fields") or ["Id"]]
        where = f" WHERE {one['where']}" if one.get("where") else ""
        found += _found(request, text, str(one["name"]), f"{', '.join(fields)}{where}")
    return json_answer({"searchRecords": found[: int(most or ROWS_MAX)]})


def _returned(text: str) -> list[tuple[str, str]]:
    wanted = []
    at = 0
    while at < len(text):
        match = _RETURNING.match(text, at)
        if match is None or match.end() == at:
            raise OrgError("MALFORMED_SEARCH", f"unexpected token: {text[at : at + 20]!r}")
        wanted.append((match["entity"], (match["inside"] or "Id").strip()))
        at = match.end()
    return wanted


def _found(request: web.Request, text: str, entity: str, inside: str) -> list[dict[str, Any]]:
    org = request.app[WIRE].org
    ids = [record.id for record in _matching(org, text, entity)]
    if not ids:
        return []
    fields, where, rest = _parts(inside)
    condition = f"({where}) AND " if where else ""
    some = "', '".join(ids[:ROWS_MAX])
    soql = f"SELECT {fields} FROM {entity} WHERE {condition}Id IN ('{some}'){rest}"
    return org.query(soql, as_user=request[SESSION].user_id).all()


def _parts(inside: str) -> tuple[str, str, str]:
    """Fields, condition, and ordering of what stands in the parentheses."""
    match = re.fullmatch(
        r"(?P<fields>.*?)(?:\s+WHERE\s+(?P<where>.*?))?(?P<rest>(?:\s+ORDER\s+BY\s+.*?)?(?:\s+LIMIT\s+\d+)?)\s*",
        inside,
        re.IGNORECASE | re.DOTALL,
    )
    assert match is not None
    return match["fields"], match["where"] or "", match["rest"] or ""


def _matching(org: SimulatedOrg, text: str, entity: str) -> Sequence[Record]:
    made = org.entity(entity)
    wanted = re.sub(r"\\(.)", r"\1", text).strip().casefold().rstrip("*")
    if len(wanted) < 2:
        raise OrgError("MALFORMED_SEARCH", "search term must be longer than one character: " + text)
    paths = [made.path_of[name] for name in SEARCHED if name in made.path_of]

    def matches(record: Record) -> bool:
        for path in paths:
            value = record.values.get(path)
            if isinstance(value, str):
                folded = value.casefold()
                if folded.startswith(wanted) or f" {wanted}" in folded:
                    return True
        return False

    return [record for record in made.records if not record.deleted and matches(record)]
