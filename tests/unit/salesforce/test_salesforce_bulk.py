"""Bulk reads, collection writes and undelete against an org that answers as it is told, also wrongly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from cdc.errors import AuthExpired, BadArgument, CdcError, CursorExpired, NotFound, OrgUnavailable
from cdc.ports.clock import Clock
from cdc.ports.org import Page
from cdc.ports.orgwriter import RecordWrite, WriteKind, WriteOptions
from cdc.ports.types import Millis, RecordId
from connectors.salesforce.csvrows import csv_content, csv_rows
from connectors.salesforce.grants import TOKEN_PATH, AuthMethod, Credentials
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions
from connectors.salesforce.writing import SalesforceWriter
from tests.unit.salesforce.wire import Answer, Org, answer, running, token_body

BASE = "/services/data/v66.0"
JOB = f"{BASE}/jobs/query/750000000000001AAA"
RESULTS = f"{JOB}/results"
SOAP = "/services/Soap/u/66.0"
ID = RecordId("500000000000001AAA")
OTHER = RecordId("500000000000002AAA")


class Waits:
    """A clock whose sleeps are noted and not slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def opened(waits: Waits | None = None) -> AsyncIterator[tuple[Org, SalesforceOrg, SalesforceWriter]]:
    async with running(Org()) as server:
        server.script("POST", TOKEN_PATH, answer(200, token_body(server)))
        credentials = Credentials(
            AuthMethod.CLIENT_CREDENTIALS,
            login_url=server.url,
            client_id="client-id",
            client_secret=Secret("client_secret", value="secret"),
        )
        async with Session(credentials, SessionOptions(login_interval_s=0)) as session:
            org = SalesforceOrg(session, clock=Clock(sleep=(waits or Waits()).sleep))
            yield server, org, SalesforceWriter(org.rest)


def raw(content: str | bytes, status: int = 200, kind: str = "text/csv", **headers: str) -> Answer:
    async def give(_: web.Request) -> web.StreamResponse:
        body = content if isinstance(content, bytes) else content.encode()
        return web.Response(status=status, body=body, content_type=kind, headers=headers)

    return give


def job(state: str, **more: Any) -> Answer:
    return answer(200, {"id": "750000000000001AAA", "state": state, **more})


async def pages(org: SalesforceOrg, cursor: str = RESULTS, **how: Any) -> list[Page]:
    return [page async for page in org.bulk.bulk_pages(cursor, **how)]


def refusal(status: int, code: str, message: str = "no") -> Answer:
    return answer(status, [{"errorCode": code, "message": message}])


async def test_a_job_is_asked_after_with_growing_pauses() -> None:
    waits = Waits()
    async with opened(waits) as (server, org, _):
        server.script(
            "GET",
            JOB,
            job("UploadComplete"),
            *[job("InProgress")] * 12,
            job("JobComplete", numberRecordsProcessed=1),
        )
        server.script("GET", RESULTS, raw('"Id"\n"1"\n'))
        assert [dict(row) for page in await pages(org) for row in page.rows] == [{"Id": "1"}]
        assert waits.slept == sorted(waits.slept)
        assert (waits.slept[0], waits.slept[-1]) == (0.25, 15.0)


async def test_an_answer_without_locator_is_the_last_and_without_a_count_is_taken_as_it_is() -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=2))
        server.script("GET", RESULTS, raw('"Id","Name"\r\n"1","a ""b""\nc"\r\n"2",""\r\n'))
        [page] = await pages(org)
        assert [dict(row) for row in page.rows] == [
            {"Id": "1", "Name": 'a "b"\nc'},
            {"Id": "2", "Name": None},
        ]
        assert page.cursor is None


@pytest.mark.parametrize(
    "content",
    [
        raw('"Id"\n"1"\n', **{"Sforce-NumberOfRecords": "2"}),
        raw('"Id","Name"\n"1"\n'),
        raw('"Id"\n"1'),
        raw(b'"Id"\n"\xff"\n'),
        raw("<html>down</html>", kind="text/html"),
        raw('{"a": 1}', kind="application/json"),
        raw("", kind="text/csv", **{"Sforce-NumberOfRecords": "2"}),
    ],
)
async def test_a_page_that_cannot_be_whole_is_refused(content: Answer) -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=2))
        server.script("GET", RESULTS, content)
        with pytest.raises(OrgUnavailable):
            await pages(org)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (job("Failed", errorMessage="InternalServerError : retries exhausted"), CursorExpired),
        (job("Failed", errorMessage="INVALID_FIELD: No such column 'X'"), BadArgument),
        (job("Aborted"), CursorExpired),
        (job("Dreaming"), OrgUnavailable),
        (answer(200, []), OrgUnavailable),
        (refusal(404, "NOT_FOUND"), CursorExpired),
        (refusal(500, "UNKNOWN_EXCEPTION"), OrgUnavailable),
    ],
)
async def test_a_job_that_will_give_nothing_says_what_to_do(given: Answer, error: type[CdcError]) -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, given)
        with pytest.raises(error):
            await pages(org)


async def test_addresses_of_pages_lead_nowhere_but_to_the_orgs_own_results() -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=90))
        listed = {"resultPages": [{"resultUrl": "https://elsewhere.example.com/x"}], "done": True}
        server.script("GET", f"{JOB}/resultPages", answer(200, listed))
        with pytest.raises(OrgUnavailable, match="elsewhere"):
            await pages(org, rows_max=10, parallel=3)


async def test_the_next_list_of_pages_is_found_under_either_of_its_documented_names() -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=2))
        first = {"resultPages": [{"resultUrl": f"{RESULTS}?locator=A"}], "done": False,
                 "nextRecordUrl": f"{JOB}/resultPages?locator=B"}  # fmt: skip
        second = {"resultPages": [{"resultUrl": f"{RESULTS}?locator=B"}], "done": True}
        server.script("GET", f"{JOB}/resultPages", answer(200, first), answer(200, second))
        server.script("GET", RESULTS, raw('"Id"\n"1"\n'), raw('"Id"\n"2"\n'))
        assert [row["Id"] for page in await pages(org, rows_max=1, parallel=2) for row in page.rows] == [
            "1",
            "2",
        ]


async def test_an_older_org_without_side_by_side_pages_is_read_page_by_page() -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=2))
        server.script("GET", f"{JOB}/resultPages", refusal(404, "NOT_FOUND"))
        server.script(
            "GET",
            RESULTS,
            raw('"Id"\n"1"\n', **{"Sforce-Locator": "B"}),
            raw('"Id"\n"2"\n', **{"Sforce-Locator": "null"}),
        )
        found = await pages(org, rows_max=1, parallel=2)
        assert [row["Id"] for page in found for row in page.rows] == ["1", "2"]
        assert found[0].cursor == f"{RESULTS}?locator=B"


async def test_a_locator_is_sent_back_as_it_came_whatever_is_in_it() -> None:
    async with opened() as (server, org, _):
        server.script("GET", JOB, job("JobComplete", numberRecordsProcessed=2))
        server.script(
            "GET", RESULTS, raw('"Id"\n"1"\n', **{"Sforce-Locator": "a+b/c=&d"}), raw('"Id"\n"2"\n')
        )
        first, _ = await pages(org, rows_max=1)
        assert [asked.get("locator") for _, _, asked, _ in server.seen(RESULTS)] == [None, "a+b/c=&d"]
        assert [row["Id"] for page in await pages(org, first.cursor or "") for row in page.rows] == ["2"]
        assert server.seen(RESULTS)[-1][2]["locator"] == "a+b/c=&d"


@pytest.mark.parametrize(
    "cursor", ["", "/services/data/v66.0/limits", f"{RESULTS}?locator=../../x", f"http://x{RESULTS}"]
)
async def test_what_is_no_cursor_is_never_asked_for(cursor: str) -> None:
    async with opened() as (server, org, _):
        with pytest.raises(BadArgument):
            await pages(org, cursor)
        assert server.requests == []


async def test_writes_carry_the_documented_headers() -> None:
    async with opened() as (server, _, writer):
        path = f"{BASE}/composite/sobjects"
        server.script("PATCH", path, answer(200, [{"id": ID, "success": True, "errors": []}]))
        options = WriteOptions(client="sf-cdc-restore/7", all_or_none=True)
        await writer.write(WriteKind.UPDATE, [RecordWrite("Case", ID, {"Subject": None})], options)
        [(_, _, headers, body)] = server.seen(path)
        assert headers["Sforce-Call-Options"] == "client=sf-cdc-restore/7"
        assert headers["Sforce-Auto-Assign"] == "FALSE"
        assert headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"
        record = {"attributes": {"type": "Case"}, "id": ID, "Subject": None}
        assert json.loads(body) == {"allOrNone": True, "records": [record]}


@pytest.mark.parametrize(
    "body", [{}, [], [{"success": True}, {"success": True}], ["x"], [{"id": "short", "success": True}]]
)
async def test_an_answer_that_does_not_fit_its_records_is_no_result(body: Any) -> None:
    async with opened() as (server, _, writer):
        server.script("PATCH", f"{BASE}/composite/sobjects", answer(200, body))
        with pytest.raises(OrgUnavailable):
            await writer.write(WriteKind.UPDATE, [RecordWrite("Case", ID, {})])


async def test_every_error_of_a_record_is_handed_on_with_its_fields() -> None:
    async with opened() as (server, _, writer):
        errors = [
            {
                "statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "message": "Too late",
                "fields": ["CloseDate"],
            },
            {"statusCode": "STRING_TOO_LONG", "message": "Name", "fields": []},
        ]
        refused = {"success": False, "errors": errors}
        server.script("PATCH", f"{BASE}/composite/sobjects", answer(200, [refused]))
        [result] = (await writer.write(WriteKind.UPDATE, [RecordWrite("Case", ID, {})])).results
        assert [(error.code, error.fields) for error in result.errors] == [
            ("FIELD_CUSTOM_VALIDATION_EXCEPTION", ("CloseDate",)),
            ("STRING_TOO_LONG", ()),
        ]


def soap(inside: str, status: int = 200) -> Answer:
    text = (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns="urn:partner.soap.sforce.com"><soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>'
    )
    return raw(text, status, "text/xml")


def undeleted(*results: str) -> Answer:
    made = "".join(f"<result>{one}</result>" for one in results)
    return soap(f"<undeleteResponse>{made}</undeleteResponse>")


def fault(code: str) -> Answer:
    return soap(
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: no</faultstring></soapenv:Fault>",
        500,
    )


async def test_undelete_reads_results_and_errors_in_order() -> None:
    async with opened() as (server, _, writer):
        good = f"<id>{ID}</id><success>true</success>"
        bad = (
            f"<errors><fields>Name</fields><message>gone</message><statusCode>UNDELETE_FAILED</statusCode></errors>"
            f"<id>{OTHER}</id><success>false</success>"
        )
        server.script("POST", SOAP, undeleted(good, bad))
        written = await writer.undelete([ID, OTHER])
        assert [(one.record_id, one.success) for one in written.results] == [(ID, True), (OTHER, False)]
        assert written.results[1].errors[0].code == "UNDELETE_FAILED"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (fault("INVALID_SESSION_ID"), AuthExpired),
        (fault("REQUEST_LIMIT_EXCEEDED"), OrgUnavailable),
        (fault("SERVER_UNAVAILABLE"), OrgUnavailable),
        (fault("INVALID_OPERATION"), BadArgument),
        (raw("<html>", 200, "text/html"), OrgUnavailable),
        (raw('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 200, "text/xml"), OrgUnavailable),
        (undeleted(), OrgUnavailable),
        (raw("", 502, "text/html"), OrgUnavailable),
    ],
)
async def test_an_undelete_that_fails_as_a_whole_is_one_error(given: Answer, error: type[CdcError]) -> None:
    async with opened() as (server, _, writer):
        server.script("POST", SOAP, given)
        with pytest.raises(error):
            await writer.undelete([ID])


async def test_a_fault_of_the_session_renews_it_once() -> None:
    async with opened() as (server, _, writer):
        server.script("POST", TOKEN_PATH, answer(200, token_body(server, "token-2")))
        server.script(
            "POST", SOAP, fault("INVALID_SESSION_ID"), undeleted(f"<id>{ID}</id><success>true</success>")
        )
        assert (await writer.undelete([ID])).results[0].success
        bodies = [body for _, _, _, body in server.seen(SOAP)]
        assert ["token-2" in body for body in bodies] == [False, True]


async def test_a_row_error_is_taken_apart_into_code_words_and_fields() -> None:
    async with opened() as (server, _, writer):
        path = f"{BASE}/jobs/ingest/750000000000001AAA"
        rows = [
            f'"{ID}","REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name, Phone --","{ID}"',
            f'"","ENTITY_IS_DELETED:entity is deleted:--","{OTHER}"',
            '"","something else","x"',
        ]
        server.script("GET", path, job("JobComplete", numberRecordsProcessed=3, numberRecordsFailed=3))
        server.script("GET", f"{path}/successfulResults/", raw('"sf__Id","sf__Created","Id"\n'))
        server.script("GET", f"{path}/failedResults/", raw("\n".join(['"sf__Id","sf__Error","Id"', *rows])))
        results = [result async for result in writer.bulk_results("750000000000001AAA")]
        assert [(one.errors[0].code, one.errors[0].fields) for one in results] == [
            ("REQUIRED_FIELD_MISSING", ("Name", "Phone")),
            ("ENTITY_IS_DELETED", ()),
            ("UNKNOWN_EXCEPTION", ()),
        ]
        assert results[0].errors[0].message == "Required fields are missing: [Name]"
        assert [one.fields["Id"] for one in results] == [ID, OTHER, "x"]


async def test_deletions_and_counts_are_read_with_their_limits() -> None:
    async with opened() as (server, org, _):
        body = {
            "deletedRecords": [{"id": ID[:15], "deletedDate": "2026-11-23T10:02:00.000+0000"}],
            "earliestDateAvailable": "2026-10-24T10:02:00.000+0000",
            "latestDateCovered": "2026-11-23T10:03:00.000+0000",
        }
        server.script("GET", f"{BASE}/sobjects/Case/deleted", answer(200, body))
        found = await org.deleted("Case", Millis(1_795_428_000_000), Millis(1_795_428_120_000))
        assert found.deleted_at == {ID: 1_795_428_120_000}
        assert found.covered_to == 1_795_428_180_000
        [(_, _, asked, _)] = server.seen(f"{BASE}/sobjects/Case/deleted")
        assert asked["start"] == "2026-11-23T10:00:00.000+00:00"
        server.script(
            "GET", f"{BASE}/limits/recordCount", answer(200, {"sObjects": [{"name": "Case", "count": 7}]})
        )
        assert await org.record_counts(["Case", "Lead"]) == {"Case": 7}
        with pytest.raises(NotFound):
            await org.deleted("Lead", Millis(0), Millis(1))


def test_csv_goes_out_and_comes_back_as_it_was() -> None:
    rows = [{"Id": "1", "Name": 'a,"b"\r\nc', "Active": True}, {"Id": "2", "Name": None}, {"Id": "3"}]
    content = csv_content(("Id", "Name", "Active"), rows, null="#N/A")
    assert csv_rows(content, "test") == [
        {"Id": "1", "Name": 'a,"b"\r\nc', "Active": "true"},
        {"Id": "2", "Name": "#N/A", "Active": None},
        {"Id": "3", "Name": None, "Active": None},
    ]
    with pytest.raises(BadArgument, match="#N/A"):
        csv_content(("Name",), [{"Name": "#N/A"}], null="#N/A")
