"""Containing what runs: automation is switched off through the Tooling API, and no longer acts."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.simulator.model import Change, Op
from tests.integration.simulator_client import Client, simulated

V = "/services/data/v66.0/tooling"


async def listed(client: Client, soql: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{V}/query", params={"q": soql})
    rows: list[dict[str, Any]] = answer["records"]
    return rows


async def test_a_flow_without_an_active_version_acts_no_more() -> None:
    async with simulated() as client:
        flow = {"add": "trigger", "name": "Runaway", "entity": "Account",
                "effects": [{"to": "self", "set": {"Rating": "Cold"}}]}  # fmt: skip
        await client.control("automation", flow)
        [row] = await listed(client, "SELECT Id, ActiveVersionId FROM FlowDefinition")
        path = f"{V}/sobjects/FlowDefinition/{row['Id']}"
        status, _, _ = await client.send("PATCH", path, json={"Metadata": {"activeVersionNumber": 0}})
        assert status == 204
        [row] = await listed(client, "SELECT Id, ActiveVersionId FROM FlowDefinition")
        assert row["ActiveVersionId"] is None
        org = client.org
        [account] = org.entities["Account"].records.live_ids()[:1]
        org.commit([Change("Account", Op.UPDATE, account, {"Rating": "Hot"})], user_id=org.administrator_id)
        assert org.row("Account", account)["Rating"] == "Hot"


async def test_a_validation_rule_can_be_switched_off_and_on_and_a_stranger_is_not_found() -> None:
    async with simulated() as client:
        await client.control("automation", {"standard": True})
        [row] = await listed(client, "SELECT Id FROM ValidationRule WHERE Active = true")
        path = f"{V}/sobjects/ValidationRule/{row['Id']}"
        assert (await client.send("PATCH", path, json={"Metadata": {"active": False}}))[0] == 204
        assert await listed(client, "SELECT Id FROM ValidationRule WHERE Active = true") == []
        assert (await client.send("PATCH", path, json={}))[0] == 400
        other = f"{V}/sobjects/ValidationRule/03d000000000000AAA"
        assert (await client.send("PATCH", other, json={"Metadata": {"active": True}}))[0] == 404


@pytest.mark.parametrize(
    "path", ["composite", "composite/batch", "composite/graph", "composite/tree/Account"]
)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff\xfe", b'{"records": 7, "graphs": 7}'])
async def test_bodies_that_are_no_request_are_refused(path: str, body: bytes) -> None:
    async with simulated() as client:
        status, _, answer = await client.send("POST", f"/services/data/v66.0/{path}", data=body)
        assert (status, answer[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
