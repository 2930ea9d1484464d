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
from connectors.simulator.rows import API_VERSION
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
        """The first page of what is not deleted; with `explain`, how it would be run."""
        if "explain" in request.query:
            return json_answer(self._explained(request.query["explain"], request[SESSION].user_id))
        return self._begin(request, include_deleted=False)

    async def query_all(self, request: web.Request) -> web.Response:
        """The first page, Recycle Bin and archive included."""
        return self._begin(request, include_deleted=True)

    async def more(self, request: web.Request) -> web.Response:
        """A later page."""
        return json_answer(self.continued(request.match_info["locator"], version=version_of(request)))

    def opened(
        self,
        soql: str,
        *,
        include_deleted: bool,
        user_id: str,
        rows_max: int = PAGE_ROWS,
        version: str = API_VERSION,
    ) -> dict[str, Any]:
        """Run a query; its first page. Raises OrgError."""
        if not soql.strip():
            raise OrgError("MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        entity = parse_query(soql).entity
        self._fail(entity)
        rows = self._wire.org.query(soql, include_deleted=include_deleted, as_user=user_id)
        self._count += 1
        locator = record_id(LOCATOR_PREFIX, self._wire.org.org_id[3:7], self._count)
        return self._page(locator, _Open(entity, rows, rows_max, time.monotonic()), 0, version)

    def continued(self, place: str, *, version: str = API_VERSION) -> dict[str, Any]:
        """A later page, by locator and offset. Raises INVALID_QUERY_LOCATOR."""
        locator, _, offset = place.rpartition("-")
        self._expire()
        found = self._open.get(locator)
        expired = self._wire.org.faults.take("locator_expired") is not None
        if expired or found is None or not offset.isdigit() or int(offset) > found.rows.total:
            self._open.pop(locator, None)
            raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
        self._fail(found.entity)
        found.used_at_s = time.monotonic()
        self._open.move_to_end(locator)
        return self._page(locator, found, int(offset), version)

    def _begin(self, request: web.Request, *, include_deleted: bool) -> web.Response:
        page = self.opened(
            request.query.get("q", ""),
            include_deleted=include_deleted,
            user_id=request[SESSION].user_id,
            rows_max=page_rows(request),
            version=version_of(request),
        )
        return json_answer(page)

    def _page(self, locator: str, query: _Open, start: int, version: str) -> dict[str, Any]:
        rows, end = query.rows, start + query.page_rows
        answer: dict[str, Any] = {"totalSize": rows.total, "done": rows.counts or end >= rows.total}
        if not answer["done"]:
            self._open[locator] = query
            while len(self._open) > LOCATORS_MAX:
                self._open.popitem(last=False)
            answer["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{end}"
        answer["records"] = rows.page(start, query.page_rows)
        return answer

    def _explained(self, soql: str, user_id: str) -> dict[str, Any]:
        """The plan of a query: a table scan, or the index of ids."""
        query = parse_query(soql)
        rows = self._wire.org.query(soql, as_user=user_id)
        size = len(self._wire.org.entity(query.entity).records)
        plan = {
            "cardinality": rows.total,
            "fields": ["Id"] if query.ids is not None else [],
            "leadingOperationType": "Index" if query.ids is not None else "TableScan",
            "notes": [],
            "relativeCost": round(rows.total / size, 3) if size else 0.0,
            "sobjectCardinality": size,
            "sobjectType": query.entity,
        }
        return {"plans": [plan], "sourceQuery": soql}

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
