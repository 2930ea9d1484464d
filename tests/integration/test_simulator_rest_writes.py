"""Writes over REST and uploads of the Bulk API as clients send them: external ids, dialects of CSV, preconditions."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from connectors.simulator.knobs import Knobs
from connectors.simulator.plan import Plan
from tests.integration.simulator_client import Client, simulated

V = "/services/data/v66.0"


async def uploaded(client: Client, content: bytes, **body: Any) -> dict[str, Any]:
    """A job that has run."""
    status, _, job = await client.send("POST", f"{V}/jobs/ingest", json={"operation": "insert", **body})
    assert status == 200, job
    path = f"{V}/jobs/ingest/{job['id']}"
    assert job["contentUrl"] == f"{path}/batches".removeprefix("/")
    status, _, _ = await client.send(
        "PUT", f"{path}/batches", data=content, headers={"Content-Type": "text/csv"}
    )
    assert status == 201
    status, _, _ = await client.send("PATCH", path, json={"state": "UploadComplete"})
    assert status == 200
    ended = {"JobComplete", "Failed"}
    while (seen := await client.get(path))["state"] not in ended:
        pass
    found: dict[str, Any] = seen
    return found


async def text(client: Client, path: str) -> str:
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.session.get(client.url + path, headers=headers) as answer:
        assert answer.content_type == "text/csv"
        return await answer.text()


@pytest.mark.parametrize(
    ("delimiter", "char"), [("SEMICOLON", ";"), ("TAB", "\t"), ("PIPE", "|"), ("CARET", "^")]
)
@pytest.mark.parametrize(("ending", "end"), [("LF", "\n"), ("CRLF", "\r\n")])
async def test_an_upload_may_come_in_any_dialect_and_is_answered_in_it(
    delimiter: str, char: str, ending: str, end: str
) -> None:
    async with simulated() as client:
        content = f'LastName{char}Company{end}"Lind{char}x"{char}Nova{end}{char}Nova{end}'.encode()
        job = await uploaded(client, content, object="Lead", columnDelimiter=delimiter, lineEnding=ending)
        assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
        path = f"{V}/jobs/ingest/{job['id']}"
        done = await text(client, f"{path}/successfulResults")
        head, row, rest = done.split(end)
        assert head == f'"sf__Id"{char}"sf__Created"{char}"LastName"{char}"Company"'
        assert row.endswith(f'"true"{char}"Lind{char}x"{char}"Nova"')
        assert rest == ""
        assert "REQUIRED_FIELD_MISSING" in await text(client, f"{path}/failedResults/")
        assert (await text(client, f"{path}/unprocessedrecords")).count(end) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"LastName,Company\r\nA,B\r\n", "LineEnding is invalid"),
        (b"LastName,Nope__c\nA,B\n", "Field name not found : Nope__c"),
        (b"LastName,Company\nA\n", "Row 1 has 1 columns"),
        (b"   \n", "empty"),
        (b"LastName\n\xff\n", "UTF-8"),
    ],
)
async def test_an_upload_that_cannot_be_read_fails_the_job_with_its_reason(content: bytes, said: str) -> None:
    async with simulated() as client:
        job = await uploaded(client, content, object="Lead")
        assert job["state"] == "Failed"
        assert said in job["errorMessage"]
        assert len(client.org.truth) == 0


async def test_a_job_goes_through_its_states_in_order_and_no_other_way() -> None:
    async with simulated() as client:
        _, _, job = await client.send(
            "POST", f"{V}/jobs/ingest", json={"operation": "insert", "object": "Lead"}
        )
        path = f"{V}/jobs/ingest/{job['id']}"
        assert (await client.send("PATCH", path, json={"state": "UploadComplete"}))[0] == 400
        assert (await client.send("DELETE", path))[0] == 400
        assert (await client.send("GET", f"{path}/successfulResults"))[0] == 400
        assert (await client.send("PUT", f"{path}/batches", data=b"LastName,Company\nA,B\n"))[0] == 201
        assert (await client.send("PUT", f"{path}/batches", data=b"LastName,Company\nA,B\n"))[0] == 400
        assert (await client.send("GET", path.replace("66.0", "65.0") + "/failedResults"))[0] == 409
        assert (await client.send("PATCH", path, json={"state": "Aborted"}))[2]["state"] == "Aborted"
        assert (await client.send("PATCH", path, json={"state": "UploadComplete"}))[0] == 400
        listed = await client.get(f"{V}/jobs/ingest")
        assert [one["id"] for one in listed["records"]] == [job["id"]]
        assert (await client.send("DELETE", path))[0] == 204
        assert (await client.send("GET", path))[0] == 404


async def test_allowances_of_jobs_and_calls_run_out_and_are_told() -> None:
    knobs = replace(Knobs.kind(), bulk_batches_max=1, api_calls_max=1_000)
    async with simulated(plan=Plan(users=8, records=60, knobs=knobs)) as client:
        first = await uploaded(client, b"LastName,Company\nA,B\n", object="Lead")
        second = await uploaded(client, b"LastName,Company\nA,B\n", object="Lead")
        assert (first["state"], second["state"]) == ("JobComplete", "Failed")
        assert "LIMIT_EXCEEDED" in second["errorMessage"]
        assert (await client.get(f"{V}/limits"))["DailyBulkApiBatches"] == {"Max": 1, "Remaining": 0}
        await client.control("knobs", {"api_calls_max": 1})
        status, _, said = await client.send("GET", f"{V}/limits")
        assert (status, said[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


async def test_a_record_is_found_changed_and_deleted_by_external_id() -> None:
    async with simulated() as client:
        path = f"{V}/sobjects/Account/Erp_Number__c/X-1"
        assert (await client.send("GET", path))[0] == 404
        status, _, made = await client.send("PATCH", path, json={"Name": "Nova"})
        assert (status, made["created"]) == (201, True)
        status, _, again = await client.send("PATCH", path, json={"Phone": "1"})
        assert (status, again["created"], again["id"]) == (200, False, made["id"])
        assert (await client.get(path))["Phone"] == "1"
        assert (await client.send("POST", f"{path}?_HttpMethod=PATCH", json={"Phone": "2"}))[0] == 200
        await client.send("POST", f"{V}/sobjects/Account", json={"Name": "Twin", "Erp_Number__c": "X-1"})
        status, _, said = await client.send("PATCH", path, json={"Phone": "3"})
        assert (status, said[0]["errorCode"]) == (300, "DUPLICATE_EXTERNAL_ID")
        assert (await client.send("PATCH", f"{V}/sobjects/Account/Phone/1", json={}))[0] == 400


async def test_a_record_changed_since_is_not_written() -> None:
    async with simulated() as client:
        [account] = client.org.entities["Account"].records.live_ids()[:1]
        path = f"{V}/sobjects/Account/{account}"
        await client.send("PATCH", path, json={"Phone": "1"})
        early = formatdate(client.org.clock.now_ms() / 1000 - 3_600, usegmt=True)
        late = formatdate(client.org.clock.now_ms() / 1000 + 3_600, usegmt=True)
        for since, expected in ((early, 412), (late, 204), ("nonsense", 204)):
            headers = {"If-Unmodified-Since": since}
            assert (await client.send("PATCH", path, json={"Phone": since}, headers=headers))[0] == expected


async def test_what_clients_look_at_first_is_there() -> None:
    async with simulated() as client:
        versions = await client.get("/services/data/")
        assert versions[-1]["version"] == "66.0"
        resources = await client.get(f"{V}/")
        assert {"sobjects", "query", "jobs", "composite", "search"} <= set(resources)
        identity = await client.get(resources["identity"].removeprefix(client.url))
        assert identity["user_id"] == client.org.integration_user_id
        assert (await client.get("/services/oauth2/userinfo"))["organization_id"] == client.org.org_id
        plan = await client.get(f"{V}/query", params={"explain": "SELECT Id FROM Account WHERE Id = '001'"})
        assert plan["plans"][0]["sobjectType"] == "Account"
        found = await client.get(f"{V}/parameterizedSearch", params={"q": "Nova", "sobject": "Account"})
        assert found == {"searchRecords": []}
        assert await client.get(f"{V}/recent") == []


async def test_users_and_other_records_do_not_mix_in_one_call() -> None:
    async with simulated() as client:
        user = client.org.users[0]["id"]
        [account] = client.org.entities["Account"].records.live_ids()[:1]
        records = [
            {"attributes": {"type": "Account"}, "id": account, "Phone": "1"},
            {"attributes": {"type": "User"}, "id": user, "Title": "x"},
            {"attributes": {"type": "Account"}, "Phone": "2"},
        ]
        _, _, results = await client.send("PATCH", f"{V}/composite/sobjects", json={"records": records})
        codes = [one["errors"][0]["statusCode"] if one["errors"] else "" for one in results]
        assert codes == ["", "MIXED_DML_OPERATION", "MISSING_ARGUMENT"]
