"""What is asked of an org by query: descriptions, rows, channel members, limits.

Deleted rows matter, so records are read by `queryAll … WHERE Id IN (…)`: the collection resource
(`composite/sobjects/X`) would take ids in its body but answers null for a row in the Recycle Bin, and a scan
and a re-read should give rows of one shape. A query too long for an address goes as a single subrequest of
`composite`, whose body has no such limit (Salesforce Help 000386264).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit

from cdc.change.ids import is_record_id, to_18
from cdc.change.values import datetime_text
from cdc.errors import BadArgument, NotFound, OrgUnavailable
from cdc.ports.clock import Clock
from cdc.ports.org import ChannelMember, Deletions, EntityDescription, Limits, Page, RowState
from cdc.ports.types import Millis, RecordId
from connectors.salesforce.budget import ApiUsage, CallBudget
from connectors.salesforce.bulk import SalesforceBulk
from connectors.salesforce.describe import channel_members, entity_description
from connectors.salesforce.metadata import SalesforceMetadata
from connectors.salesforce.rest import Answer, Rest, error_of
from connectors.salesforce.rows import RowReader, instant_ms
from connectors.salesforce.session import Session

URI_BYTES_MAX = 12_000  # the org takes 16,384 for address and headers together; a token can be long
IDS_PER_QUERY_MAX = 180  # 21 characters each: a WHERE clause of at most 4,000
READ_IDS_MAX = 200

_CURSOR = re.compile(r"/services/data/v\d+\.\d/(tooling/)?query(All)?/[A-Za-z0-9_-]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")


class SalesforceOrg:
    """An `Org` over REST; its `bulk` is an `OrgBulk`, its `metadata` an `OrgMetadata`, that share session and budget.
    Errors: those of the ports.

    `max_api_calls_per_day` bounds this process's own calls (0: 20 % of what the org allows); past it calls raise
    OrgUnavailable with `retry_after_s`. `client_name` is how the org's logs and change origins name us.
    """

    def __init__(
        self,
        session: Session,
        *,
        api_version: str = "66.0",
        max_api_calls_per_day: int = 0,
        client_name: str = "sf-cdc",
        on_call: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self._rest = Rest(
            session,
            client_name=client_name,
            budget=CallBudget(max_api_calls_per_day, monotonic_s=clock.monotonic_s),
            api_version=api_version,
            on_call=on_call,
            clock=clock,
        )
        self.bulk = SalesforceBulk(self._rest)
        self.metadata = SalesforceMetadata(self._rest)
        self._base = self._rest.base
        self._readers: dict[str, RowReader] = {}

    @property
    def rest(self) -> Rest:
        """What a writer shares with this org: session, budget, counts."""
        return self._rest

    @property
    def api_calls(self) -> int:
        """Requests sent by this object."""
        return self._rest.api_calls

    @property
    def api_usage(self) -> ApiUsage | None:
        """What the org last said of all its clients' calls in 24 hours."""
        return self._rest.api_usage

    async def describe(self, entity: str) -> EntityDescription:
        """Fields the user may read, with their paths in events. Errors: NotFound for one it may not see."""
        path = f"{self._base}/sobjects/{_checked(entity)}/describe"
        answer = await self._rest.call("GET", path, where=entity)
        return entity_description(answer.body or {}, answer.org_time)

    async def members(self) -> tuple[ChannelMember, ...]:
        """Entities selected for change capture, by channel. Errors: NotFound without View Setup permission."""
        soql = "SELECT Id, EventChannel, SelectedEntity, FilterExpression FROM PlatformEventChannelMember"
        try:
            rows = [row async for page in self.query(soql, tooling=True) for row in page.rows]
        except (NotFound, BadArgument) as error:
            raise NotFound(
                f"the org's channel members cannot be read: {error.what}",
                where="PlatformEventChannelMember",
                do="give the user View Setup and Configuration, or name the entities in salesforce.entities",
            ) from error
        return channel_members(rows, await self._enriched() if rows else {})

    async def _enriched(self) -> dict[str, tuple[str, ...]]:
        """Enriched fields by member id; orgs without enrichment do not know the table."""
        soql = "SELECT ChannelMemberId, Field FROM EnrichedField"
        fields: dict[str, tuple[str, ...]] = {}
        try:
            async for page in self.query(soql, tooling=True):
                for row in page.rows:
                    member = str(row.get("ChannelMemberId") or "")
                    fields[member] = (*fields.get(member, ()), str(row.get("Field") or ""))
        except (NotFound, BadArgument):
            return {}
        return fields

    async def query(
        self, soql: str, *, deleted: bool = False, cursor: str | None = None, tooling: bool = False
    ) -> AsyncIterator[Page]:
        """Pages of a query, as many rows each as the org likes (at most 2,000).

        `cursor` is a page's cursor: the query goes on behind that page, also in another process, for two days;
        then CursorExpired is raised and the query has to begin again. Pages are no snapshot.
        """
        where = f"query {_entity_of(soql)}"
        if cursor is None:
            page = await self._first_page(soql, deleted, tooling, where)
        else:
            page = await self._next_page(cursor, where)
        yield page
        while page.cursor is not None:
            at, page = page.cursor, await self._next_page(page.cursor, where)
            if page.cursor == at:
                raise OrgUnavailable("the org names a page as its own next one", where=where)
            yield page

    async def read(self, entity: str, ids: Sequence[RecordId], fields: Sequence[str]) -> Page:
        """Rows of up to 200 ids, those in the Recycle Bin too; what is gone altogether is not in the page."""
        if len(ids) > READ_IDS_MAX:
            raise BadArgument(f"{len(ids)} ids are too many", where=entity, do=f"read at most {READ_IDS_MAX}")
        wrong = [record_id for record_id in ids if not is_record_id(record_id)]
        if wrong:
            raise BadArgument(f"{wrong[0]} is no record id", where=entity, do="give 15 or 18 characters")
        select = ", ".join(_checked(name) for name in fields)
        rows: list[Mapping[str, Any]] = []
        org_time = Millis(0)
        for at in range(0, len(ids), IDS_PER_QUERY_MAX):
            some = "', '".join(ids[at : at + IDS_PER_QUERY_MAX])
            soql = f"SELECT {select} FROM {_checked(entity)} WHERE Id IN ('{some}')"
            async for page in self.query(soql, deleted=True):
                rows += page.rows
                org_time = page.org_time if page.org_time > org_time else org_time
        return Page(rows=rows, cursor=None, total=len(rows), org_time=org_time)

    def row_state(self, description: EntityDescription, row: Mapping[str, Any]) -> RowState:
        """A row of `query` or `read` in the journal's terms."""
        reader = self._readers.get(description.entity)
        if reader is None or reader.description is not description:
            reader = self._readers[description.entity] = RowReader(description)
        return reader.state(row)

    async def deleted(self, entity: str, start: Millis, end: Millis) -> Deletions:
        """Ids deleted from `start` to `end`, at most 30 days back; the org cuts both to whole minutes."""
        path = f"{self._base}/sobjects/{_checked(entity)}/deleted?start={_instant(start)}&end={_instant(end)}"
        where = f"{entity}/deleted"
        answer = await self._rest.call("GET", path, where=where)
        try:
            return Deletions(
                deleted_at={
                    RecordId(to_18(str(one["id"]))): instant_ms(one["deletedDate"])
                    for one in answer.body["deletedRecords"]
                },
                available_from=instant_ms(answer.body["earliestDateAvailable"]),
                covered_to=instant_ms(answer.body["latestDateCovered"]),
                org_time=answer.org_time,
            )
        except (KeyError, TypeError, ValueError):
            raise OrgUnavailable("the org's answer is no list of deletions", where=where) from None

    async def record_counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """About how many records there are, as the org last counted; entities it does not count are left out."""
        names = ",".join(_checked(entity) for entity in entities)
        answer = await self._rest.call(
            "GET", f"{self._base}/limits/recordCount?sObjects={names}", where="counts"
        )
        try:
            return {str(one["name"]): int(one["count"]) for one in answer.body["sObjects"]}
        except (KeyError, TypeError, ValueError):
            raise OrgUnavailable("the org's answer has no counts of records", where="counts") from None

    async def limits(self) -> Limits:
        """The org's allowances. Without permission to see them, the API's comes from the last answer's header."""
        answer = await self._rest.attempt("GET", f"{self._base}/limits", where="limits")
        refused = error_of(answer, "limits") if answer.status >= 300 else None
        if refused is not None and not (answer.status == 403 and isinstance(refused, BadArgument)):
            raise refused
        body = answer.body if refused is None and isinstance(answer.body, dict) else {}
        delivered = body.get("DailyDeliveredPlatformEvents") or {}
        calls = body.get("DailyApiRequests") or {}
        usage = self.api_usage
        if not calls and usage is not None:
            calls = {"Max": usage.allowed, "Remaining": max(0, usage.allowed - usage.used)}
        return Limits(
            delivered_max=delivered.get("Max"),
            delivered_remaining=delivered.get("Remaining"),
            api_max=calls.get("Max"),
            api_remaining=calls.get("Remaining"),
            org_time=answer.org_time,
        )

    async def _first_page(self, soql: str, deleted: bool, tooling: bool, where: str) -> Page:
        path = f"{self._base}/{'tooling/' if tooling else ''}{'queryAll' if deleted else 'query'}"
        encoded = quote_plus(soql)
        if len(path) + len(encoded) <= URI_BYTES_MAX:
            answer = await self._rest.call("GET", f"{path}?q={encoded}", where=where)
        else:
            answer = await self._in_composite(f"{path}?q={encoded}", where)
        return _page(answer, where)

    async def _in_composite(self, url: str, where: str) -> Answer:
        request = {"method": "GET", "url": url, "referenceId": "rows"}
        outer = await self._rest.call(
            "POST", f"{self._base}/composite", json_body={"compositeRequest": [request]}, where=where
        )
        try:
            inner = outer.body["compositeResponse"][0]
            answer = Answer(int(inner["httpStatusCode"]), inner["body"], outer.org_time)
        except (KeyError, IndexError, TypeError):
            raise OrgUnavailable("the org's composite answer has no parts", where=where) from None
        if answer.status >= 300:
            raise error_of(answer, where)
        return answer

    async def _next_page(self, cursor: str, where: str) -> Page:
        if not _CURSOR.fullmatch(cursor):
            raise BadArgument("this is no cursor of a query", where=where, do="begin the query without one")
        return _page(await self._rest.call("GET", cursor, where=where), where)


def _page(answer: Answer, where: str) -> Page:
    try:
        rows = answer.body["records"]
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError("rows are objects")
        done = answer.body["done"]
        # Of a whole address only what is behind the host counts: nothing is sent to another one.
        cursor = None if done else urlsplit(str(answer.body["nextRecordsUrl"])).path
        return Page(rows=rows, cursor=cursor, total=int(answer.body["totalSize"]), org_time=answer.org_time)
    except (KeyError, TypeError, ValueError):
        raise OrgUnavailable("the org's answer is no page of a query", where=where) from None


def _instant(at: Millis) -> str:
    return quote_plus(datetime_text(at).replace("Z", "+00:00"))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadArgument(f"{name!r} is no name of an entity or field", do="check its spelling")
    return name


def _entity_of(soql: str) -> str:
    match = re.search(r"\bFROM\s+(\w+)", soql, re.IGNORECASE)
    return match[1] if match else soql[:60]
