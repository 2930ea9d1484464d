"""Queries and their pages: query, queryAll, locators (protocol section 5).

A page is read when it is asked for, so that a long query sees changes made meanwhile. A locator is
`0r8…`, 18 characters, and the offset of the page; one that nobody uses runs out.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from connectors.simulator.errors import OrgError
from connectors.simulator.ids import record_id
from connectors.simulator.queries import Rows
from connectors.simulator.soql import parse_query
from connectors.simulator.wire.answers import SESSION, json_answer, version_of
from connectors.simulator.wire.context import Wire

PAGE_ROWS = 2_000
PAGE_ROWS_MIN = 200
LOCATORS_MAX = 500  # open ones; the oldest go first
LOCATOR_PREFIX = "0r8"

_SERVER_ERRORS = frozenset({"SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT"})


@dataclass(slots=True)
class _Open:
    entity: str
    rows: Rows
    page_rows: int
    used_at_s: float


class Queries:
    """The open queries of one org, and the handlers that begin and go on with them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._count = 0

    def routes(self) -> list[web.RouteDef]:
        """Where queries live."""
        at = "/services/data/v{version}"
        return [
            web.get(f"{at}/query", self.query),
            web.get(f"{at}/query/", self.query),
            web.get(f"{at}/queryAll", self.query_all),
            web.get(f"{at}/queryAll/", self.query_all),
            web.get(f"{at}/query/{{locator}}", self.more),
            web.get(f"{at}/queryAll/{{locator}}", self.more),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """The first page of what is not deleted."""
        return self._begin(request, include_deleted=False)

    async def query_all(self, request: web.Request) -> web.Response:
        """The first page, Recycle Bin included."""
        return self._begin(request, include_deleted=True)

    async def more(self, request: web.Request) -> web.Response:
        """A later page."""
        locator, _, offset = request.match_info["locator"].rpartition("-")
        self._expire()
        found = self._open.get(locator)
        expired = self._wire.org.faults.take("locator_expired") is not None
        if expired or found is None or not offset.isdigit() or int(offset) > found.rows.total:
            self._open.pop(locator, None)
            raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
        self._fail(found.entity)
        found.used_at_s = time.monotonic()
        self._open.move_to_end(locator)
        return self._page(request, locator, found, int(offset))

    def _begin(self, request: web.Request, *, include_deleted: bool) -> web.Response:
        soql = request.query.get("q", "")
        if not soql.strip():
            raise OrgError("MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        entity = parse_query(soql).entity
        self._fail(entity)
        rows = self._wire.org.query(soql, include_deleted=include_deleted, as_user=request[SESSION].user_id)
        opened = _Open(entity, rows, page_rows(request), time.monotonic())
        self._count += 1
        locator = record_id(LOCATOR_PREFIX, self._wire.org.org_id[3:7], self._count)
        return self._page(request, locator, opened, 0)

    def _page(self, request: web.Request, locator: str, query: _Open, start: int) -> web.Response:
        rows, end = query.rows, start + query.page_rows
        answer: dict[str, Any] = {"totalSize": rows.total, "done": rows.counts or end >= rows.total}
        if not answer["done"]:
            self._open[locator] = query
            while len(self._open) > LOCATORS_MAX:
                self._open.popitem(last=False)
            at = f"/services/data/v{version_of(request)}/query/{locator}-{end}"
            answer["nextRecordsUrl"] = at
        answer["records"] = rows.page(start, query.page_rows)
        return json_answer(answer)

    def _fail(self, entity: str) -> None:
        """Act out the fault that queries fail under."""
        fault = self._wire.org.faults.take("query_error", entity=entity)
        if fault is not None:
            code = str(fault.parameters.get("code", "QUERY_TIMEOUT"))
            status = int(fault.parameters.get("status", 500 if code in _SERVER_ERRORS else 400))
            raise OrgError(code, "The query failed because a fault is on.", status=status)

    def _expire(self) -> None:
        oldest = time.monotonic() - self._wire.options.locator_idle_s
        for locator in [key for key, held in self._open.items() if held.used_at_s < oldest]:
            del self._open[locator]


def page_rows(request: web.Request) -> int:
    """Rows of a page, as `Sforce-Query-Options: batchSize=…` asks; the service takes 200 to 2,000."""
    asked = re.search(r"batchSize\s*=\s*(\d+)", request.headers.get("Sforce-Query-Options", ""))
    return min(PAGE_ROWS, max(PAGE_ROWS_MIN, int(asked[1]))) if asked else PAGE_ROWS
