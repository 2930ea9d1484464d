"""The org by REST: pages and cursors, records by id, session, allowances, and what refusals mean."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from cdc.errors import (
    AuthExpired,
    AuthRefused,
    BadArgument,
    CdcError,
    CursorExpired,
    NotFound,
    OrgUnavailable,
)
from cdc.ports.clock import Clock
from cdc.ports.org import Org as OrgPort
from cdc.ports.org import Page
from cdc.ports.types import RecordId
from connectors.salesforce.budget import ApiUsage
from connectors.salesforce.grants import TOKEN_PATH, AuthMethod, Credentials
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from tests.unit.salesforce.wire import Org, answer, running, said, token_body

BASE = "/services/data/v66.0"
ORG_TIME = 1_795_428_120_000


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Account"}, "Id": record(n)} for n in range(first, last + 1)]


def record(number: int) -> RecordId:
    return RecordId(f"001{number:012d}AAA")


def page(
    records: list[dict[str, Any]], cursor: str | None = None, total: int | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {"totalSize": total or len(records), "done": cursor is None, "records": records}
    return body | ({"nextRecordsUrl": cursor} if cursor else {})


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[Org, SalesforceOrg]]:
    async with running(Org()) as server:
        server.script("POST", TOKEN_PATH, answer(200, token_body(server)))
        credentials = Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=server.url,
            client_id="client-id",
            client_secret=Secret("client_secret", value="secret"),
        )
        async with Session(credentials, SessionOptions(login_interval_s=0)) as session:
            yield server, SalesforceOrg(session, **options)


async def all_pages(pages: AsyncIterator[Page]) -> list[Page]:
    return [one async for one in pages]


def soql_of(server: Org, path: str) -> list[str]:
    return [query["q"] for _, _, query, _ in server.seen(path)]


def is_the_port(org: SalesforceOrg) -> OrgPort:
    return org


async def test_a_query_gives_its_pages_each_with_the_orgs_time() -> None:
    async with opened() as (server, org):
        cursor = f"{BASE}/query/0r8000000000001AAA-2"
        server.script("GET", f"{BASE}/query", answer(200, page(rows(1, 2), cursor, 3)))
        server.script("GET", cursor, answer(200, page(rows(3, 3), total=3), at=1_795_428_121.0))
        pages = await all_pages(is_the_port(org).query("SELECT Id FROM Account WHERE Name = 'A & B+C'"))
    assert [[r["Id"] for r in p.rows] for p in pages] == [[record(1), record(2)], [record(3)]]
    assert [p.org_time for p in pages] == [ORG_TIME, ORG_TIME + 1000]
    assert [(p.cursor, p.total) for p in pages] == [(cursor, 3), (None, 3)]
    assert soql_of(server, f"{BASE}/query") == ["SELECT Id FROM Account WHERE Name = 'A & B+C'"]


async def test_a_query_is_resumed_behind_a_page_by_its_cursor() -> None:
    async with opened() as (server, org):
        cursor = f"{BASE}/query/0r8000000000001AAA-2000"
        server.script("GET", cursor, answer(200, page(rows(2001, 2002))))
        pages = await all_pages(org.query("SELECT Id FROM Account", deleted=True, cursor=cursor))
    assert [r["Id"] for r in pages[0].rows] == [record(2001), record(2002)]
    assert server.seen(f"{BASE}/queryAll") == []


async def test_a_cursor_the_org_has_forgotten_says_that_the_query_begins_again() -> None:
    async with opened() as (server, org):
        cursor = f"{BASE}/query/0r8000000000001AAA-2000"
        gone = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
        server.script("GET", cursor, answer(400, gone))
        with pytest.raises(CursorExpired):
            await all_pages(org.query("SELECT Id FROM Account", cursor=cursor))


@pytest.mark.parametrize("cursor", ["https://evil.example/x", "/services/oauth2/revoke", "../../x", ""])
async def test_only_a_cursor_of_a_query_is_followed(cursor: str) -> None:
    async with opened() as (server, org):
        with pytest.raises(BadArgument):
            await all_pages(org.query("SELECT Id FROM Account", cursor=cursor))
    assert server.requests == []


async def test_the_recycle_bin_and_the_tooling_tables_have_paths_of_their_own() -> None:
    async with opened() as (server, org):
        server.script("GET", f"{BASE}/queryAll", answer(200, page([])))
        server.script("GET", f"{BASE}/tooling/query", answer(200, page([])))
        await all_pages(org.query("SELECT Id FROM Account", deleted=True))
        await all_pages(org.query("SELECT Id FROM EntityDefinition", tooling=True))
    assert len(server.seen(f"{BASE}/queryAll")) == len(server.seen(f"{BASE}/tooling/query")) == 1


async def test_a_query_too_long_for_an_address_goes_in_a_body() -> None:
    async def composite(request: web.Request) -> web.StreamResponse:
        (part,) = (await request.json())["compositeRequest"]
        asked = parse_qs(urlsplit(part["url"]).query)["q"][0]
        row = {"Id": record(1), "Length": len(asked)}
        return said(200, {"compositeResponse": [{"httpStatusCode": 200, "body": page([row])}]})

    soql = f"SELECT {', '.join(f'Field_{n}__c' for n in range(2000))} FROM Account"
    async with opened() as (server, org):
        server.script("POST", f"{BASE}/composite", composite)
        (only,) = await all_pages(org.query(soql))
    assert only.rows[0]["Length"] == len(soql)
    assert only.org_time == ORG_TIME


async def test_records_are_read_by_id_with_those_in_the_recycle_bin() -> None:
    async def give(request: web.Request) -> web.StreamResponse:
        wanted = re.findall(r"'(\w+)'", request.query["q"])
        return said(200, page([{"Id": i, "IsDeleted": i == record(2)} for i in wanted if i != record(3)]))

    async with opened() as (server, org):
        server.script("GET", f"{BASE}/queryAll", give)
        ids = [record(n) for n in range(1, 201)]
        read = await org.read("Account", ids, ["Id", "IsDeleted"])
    assert [r["Id"] for r in read.rows] == [i for i in ids if i != record(3)]
    assert read.rows[1]["IsDeleted"] is True
    assert (read.cursor, read.total, read.org_time) == (None, 199, ORG_TIME)
    for soql in soql_of(server, f"{BASE}/queryAll"):
        assert len(soql.partition(" WHERE ")[2]) <= 4000


@pytest.mark.parametrize(
    ("entity", "record_id", "field"),
    [
        ("Account", "001' OR Name != '", "Id"),
        ("Account; DELETE", record(1), "Id"),
        ("Account", record(1), "Id FROM User --"),
    ],
)
async def test_nothing_but_names_and_ids_gets_into_a_query(entity: str, record_id: str, field: str) -> None:
    async with opened() as (server, org):
        with pytest.raises(BadArgument):
            await org.read(entity, [RecordId(record_id)], [field])
    assert server.requests == []


async def test_an_expired_session_is_renewed_once_and_the_call_repeated() -> None:
    async with opened() as (server, org):
        expired = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        server.answers["POST", TOKEN_PATH] = [
            answer(200, token_body(server)),
            answer(200, token_body(server, "token-2")),
        ]
        server.script("GET", f"{BASE}/query", answer(401, expired), answer(200, page(rows(1, 1))))
        assert len((await all_pages(org.query("SELECT Id FROM Account")))[0].rows) == 1
        server.answers["GET", f"{BASE}/query"] = [answer(401, expired)]
        with pytest.raises(AuthExpired):
            await all_pages(org.query("SELECT Id FROM Account"))
    sent = [headers["Authorization"] for _, _, headers, _ in server.seen(f"{BASE}/query")]
    assert sent[:2] == ["Bearer token-1", "Bearer token-2"]
    assert len(sent) == 4


REFUSALS: list[tuple[int, str, type[CdcError]]] = [
    (400, "MALFORMED_QUERY", BadArgument),
    (400, "INVALID_FIELD", BadArgument),
    (400, "INVALID_TYPE", NotFound),
    (404, "NOT_FOUND", NotFound),
    (400, "QUERY_TIMEOUT", OrgUnavailable),
    (403, "API_DISABLED_FOR_ORG", AuthRefused),
    (403, "INSUFFICIENT_ACCESS", BadArgument),
    (403, "REQUEST_LIMIT_EXCEEDED", OrgUnavailable),
    (500, "UNKNOWN_EXCEPTION", OrgUnavailable),
    (503, "SERVER_UNAVAILABLE", OrgUnavailable),
]


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS)
async def test_a_refusal_has_a_class_and_the_orgs_own_words(
    status: int, code: str, kind: type[CdcError]
) -> None:
    async with opened() as (server, org):
        body = [{"errorCode": code, "message": "its own words"}]
        server.script("GET", f"{BASE}/query", answer(status, body))
        with pytest.raises(kind, match="its own words") as raised:
            await all_pages(org.query("SELECT Id FROM Account"))
    assert type(raised.value) is kind
    assert "Account" in raised.value.sentence()


async def test_a_used_up_allowance_says_when_to_come_back() -> None:
    async with opened() as (server, org):
        body = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
        server.script("GET", f"{BASE}/query", answer(403, body))
        with pytest.raises(OrgUnavailable) as raised:
            await all_pages(org.query("SELECT Id FROM Account"))
    assert raised.value.retry_after_s == 900


@pytest.mark.parametrize("body", ["<html>maintenance</html>", "null", "[]", '{"records": []}'])
async def test_an_answer_that_is_no_page_is_unavailable_not_a_crash(body: str) -> None:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with opened() as (server, org):
        server.script("GET", f"{BASE}/query", give)
        with pytest.raises(OrgUnavailable):
            await all_pages(org.query("SELECT Id FROM Account"))


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with running(Org()) as elsewhere, opened() as (server, org):
        server.script("GET", f"{BASE}/query", answer(302, {}, Location=elsewhere.url))
        with pytest.raises(OrgUnavailable, match="elsewhere"):
            await all_pages(org.query("SELECT Id FROM Account"))
        assert elsewhere.requests == []


async def test_an_answer_without_the_orgs_time_is_not_used() -> None:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(text=json.dumps(page(rows(1, 1))), headers={"Date": "never"})

    async with opened() as (server, org):
        server.script("GET", f"{BASE}/query", give)
        with pytest.raises(OrgUnavailable, match="Date"):
            await all_pages(org.query("SELECT Id FROM Account"))


async def test_calls_are_counted_and_named_and_the_orgs_own_count_is_read() -> None:
    told: list[int] = []
    async with opened(client_name="acme-recorder", on_call=lambda: told.append(1)) as (server, org):
        info = {"Sforce-Limit-Info": "api-usage=45/5000; per-app-api-usage=7/250(appName=x)"}
        server.script("GET", f"{BASE}/query", answer(200, page([]), **info))
        for _ in range(3):
            await all_pages(org.query("SELECT Id FROM Account"))
    assert org.api_calls == len(told) == 3
    assert org.api_usage == ApiUsage(45, 5000)
    assert server.seen(f"{BASE}/query")[0][2]["Sforce-Call-Options"] == "client=acme-recorder"


async def test_a_share_of_the_orgs_allowance_is_not_passed_and_frees_itself_after_a_day() -> None:
    now = [0.0]
    clock = Clock(monotonic_s=lambda: now[0])
    async with opened(clock=clock) as (server, org):
        server.script(
            "GET", f"{BASE}/query", answer(200, page([]), **{"Sforce-Limit-Info": "api-usage=1/10"})
        )
        for _ in range(2):
            await all_pages(org.query("SELECT Id FROM Account"))
        with pytest.raises(OrgUnavailable, match="max_api_calls_per_day") as raised:
            await all_pages(org.query("SELECT Id FROM Account"))
        assert raised.value.retry_after_s == 24 * 3600
        now[0] = 24 * 3600.0
        await all_pages(org.query("SELECT Id FROM Account"))


async def test_a_description_of_an_unknown_entity_is_not_found() -> None:
    async with opened() as (_, org):
        with pytest.raises(NotFound, match="Nothing__c"):
            await org.describe("Nothing__c")


async def test_a_row_and_its_description_give_the_record_in_the_journals_terms() -> None:
    described = {
        "name": "Account",
        "keyPrefix": "001",
        "fields": [
            {"name": "Id", "type": "id"},
            {"name": "BillingAddress", "type": "address"},
            {"name": "BillingCity", "type": "string", "compoundFieldName": "BillingAddress"},
            {"name": "AnnualRevenue", "type": "currency"},
        ],
    }
    async with opened() as (server, org):
        server.script("GET", f"{BASE}/sobjects/Account/describe", answer(200, described))
        description = await org.describe("Account")
    state = org.row_state(description, {"Id": record(1), "BillingCity": "Oslo", "AnnualRevenue": 1e6})
    assert state.values == {"BillingAddress.City": "Oslo", "AnnualRevenue": "1000000"}
    assert description.org_time == ORG_TIME


async def test_channel_members_come_with_their_enriched_fields() -> None:
    async def tooling(request: web.Request) -> web.StreamResponse:
        if "EnrichedField" in request.query["q"]:
            return said(200, page([{"ChannelMemberId": "0v81", "Field": "Industry"}]))
        row = {"Id": "0v81", "EventChannel": "ChangeEvents", "SelectedEntity": "AccountChangeEvent"}
        return said(200, page([row]))

    async with opened() as (server, org):
        server.script("GET", f"{BASE}/tooling/query", tooling)
        (member,) = await org.members()
    assert (member.channel, member.entity, member.enriched) == (
        "/data/ChangeEvents",
        "Account",
        ("Industry",),
    )


async def test_members_that_may_not_be_seen_name_the_permission_and_the_setting() -> None:
    async with opened() as (server, org):
        body = [{"errorCode": "INVALID_TYPE", "message": "sObject type is not supported"}]
        server.script("GET", f"{BASE}/tooling/query", answer(400, body))
        with pytest.raises(NotFound, match=r"View Setup.*salesforce\.entities"):
            await org.members()


async def test_limits_are_the_orgs_and_what_it_does_not_say_is_none() -> None:
    async with opened() as (server, org):
        body = {
            "DailyDeliveredPlatformEvents": {"Max": 50000, "Remaining": 49000},
            "DailyApiRequests": {"Max": 15000, "Remaining": 14998},
        }
        refused = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no"}]
        server.script(
            "GET",
            f"{BASE}/limits",
            answer(200, body),
            answer(403, refused, **{"Sforce-Limit-Info": "api-usage=5/15000"}),
        )
        limits, without = await org.limits(), await org.limits()
    assert (limits.delivered_max, limits.delivered_remaining) == (50000, 49000)
    assert (limits.api_max, limits.api_remaining) == (15000, 14998)
    assert (without.delivered_max, without.api_max, without.api_remaining) == (None, 15000, 14995)
