"""Whatever is sent to the simulated org, it refuses in its own words and never fails by itself."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.integration.simulator_client import simulated

V = "/services/data/v66.0"
REQUESTS = 500

VALUES: list[Any] = [
    None, "", 0, -1, 1e308, 2**70, "x" * 300, True, [], {}, ["a"], "2026-13-45", "'; DROP", "\x00\x01", "😀",
    "001000000000000AAA", {"records": []}, [{"attributes": {"type": "Account"}}], {"attributes": {"type": "Nope"}},
]  # fmt: skip
KEYS = (
    "records", "compositeRequest", "batchRequests", "graphs", "allOrNone", "operation", "object", "query", "state",
    "Metadata", "q", "sobjects", "fields", "ids", "Name", "Phone", "AnnualRevenue", "Renewal_Date__c", "OwnerId",
    "Parent", "externalIdFieldName", "url", "method", "referenceId", "body", "contentType", "Id",
)  # fmt: skip
PATHS = (
    "composite", "composite/batch", "composite/graph", "composite/tree/Account", "composite/sobjects",
    "composite/sobjects/Account", "composite/sobjects/Account/Erp_Number__c", "sobjects/Account",
    "sobjects/Account/001000000000000AAA", "sobjects/Account/Erp_Number__c/E1", "sobjects/Nope", "jobs/ingest",
    "jobs/query", "jobs/ingest/750000000000001", "tooling/sobjects/ValidationRule/x", "tooling/query", "search",
    "tooling/sobjects/PlatformEventChannelMember", "parameterizedSearch", "query", "limits/recordCount",
    "sobjects/Account/deleted", "jobs/query/750Sm0000000001IAA/results",
)  # fmt: skip
TEXTS = (
    "", "x", "SELECT Id FROM Account", "SELECT", "SELECT Id FROM Account WHERE Name = '", "FIND {x}", "-5", "null",
    "SELECT COUNT(Id) FROM Account GROUP BY", "FIND {ab} RETURNING Account(Id", "2026-01-01T00:00:00Z",
)  # fmt: skip
PARAMETERS = ("q", "start", "end", "ids", "fields", "sObjects", "maxRecords", "locator", "explain")
CALLS = (
    "login", "getUserInfo", "query", "queryMore", "retrieve", "create", "update", "upsert", "delete", "undelete",
    "merge", "emptyRecycleBin", "getDeleted", "getUpdated", "describeSObject", "dance",
)  # fmt: skip
INSIDES = (
    "", "<ids>x</ids>", "<sObjects><type>Account</type></sObjects>", "<request/>", "<sObjectType>No</sObjectType>",
    "<request><masterRecord/></request>", "<queryString>SELECT</queryString>", "<queryLocator>x-y</queryLocator>",
)  # fmt: skip


def nested(random: Random, depth: int = 0) -> Any:
    chance = random.random()
    if depth < 3 and chance < 0.35:
        return {random.choice(KEYS): nested(random, depth + 1) for _ in range(random.randint(0, 4))}
    if depth < 3 and chance < 0.5:
        return [nested(random, depth + 1) for _ in range(random.randint(0, 3))]
    return random.choice(VALUES)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_request_makes_the_org_fail(seed: int) -> None:
    random = Random(seed)
    async with simulated() as client:
        for _ in range(REQUESTS):
            method = random.choice(("GET", "POST", "PATCH", "DELETE", "PUT"))
            query = {name: random.choice(TEXTS) for name in random.sample(PARAMETERS, 2)}
            body = {} if method == "GET" else {"json": nested(random)}
            path = f"{client.url}{V}/{random.choice(PATHS)}"
            headers = {"Authorization": f"Bearer {client.token}"}
            async with client.session.request(method, path, params=query, headers=headers, **body) as answer:
                assert answer.status < 500, (method, path, query, body, await answer.text())


async def test_no_envelope_makes_soap_fail() -> None:
    async with simulated() as client:
        session = f"<SessionHeader><sessionId>{client.token}</sessionId></SessionHeader>"
        envelopes = ["", "<", "<a/>", "<E><Body/></E>", '<!DOCTYPE x [<!ENTITY a "b">]><E/>']
        envelopes += [
            f'<E xmlns="urn:x"><Header>{session}</Header><Body><{call}>{inside}</{call}></Body></E>'
            for call in CALLS
            for inside in INSIDES
        ]
        for envelope in envelopes:
            async with client.session.post(f"{client.url}/services/Soap/u/66.0", data=envelope) as answer:
                assert "Envelope" in await answer.text(), envelope
