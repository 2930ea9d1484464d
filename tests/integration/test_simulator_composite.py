"""Several requests in one: references, batches, graphs, trees; and that all or none leaves no trace."""

from __future__ import annotations

from typing import Any

from connectors.simulator.model import Change, Op
from tests.integration.simulator_client import Client, simulated

V = "/services/data/v66.0"


async def post(client: Client, path: str, body: Any, status: int = 200) -> Any:
    answered, _, answer = await client.send("POST", f"{V}/{path}", json=body)
    assert answered == status, answer
    return answer


def node(method: str, path: str, name: str, body: Any = None) -> dict[str, Any]:
    made = {"method": method, "url": f"{V}/{path}", "referenceId": name}
    return made if body is None else {**made, "body": body}


async def test_a_later_request_refers_to_an_earlier_answer_and_all_are_one_call() -> None:
    async with simulated() as client:
        used = client.org.usage.api_usage
        requests = [
            node("POST", "sobjects/Account", "a", {"Name": "Parent"}),
            node("POST", "sobjects/Contact", "c", {"LastName": "Kid", "AccountId": "@{a.id}"}),
            node("GET", "query?q=SELECT+Id,AccountId+FROM+Contact+WHERE+Id='@{c.id}'", "q"),
            node("PATCH", "sobjects/Account/@{q.records[0].AccountId}", "p", {"Phone": "7"}),
        ]
        answer = await post(client, "composite", {"compositeRequest": requests})
        inner = answer["compositeResponse"]
        assert [one["httpStatusCode"] for one in inner] == [201, 201, 200, 204]
        account = inner[0]["body"]["id"]
        assert inner[0]["httpHeaders"]["Location"] == f"{V}/sobjects/Account/{account}"
        assert client.org.row("Account", account)["Phone"] == "7"
        calls = [int(text.split("=")[1].split("/")[0]) for text in (used, client.org.usage.api_usage)]
        assert calls[1] == calls[0] + 1


async def test_all_or_none_takes_back_records_events_and_truth() -> None:
    async with simulated() as client:
        org = client.org
        [account] = org.entities["Account"].records.live_ids()[:1]
        before = org.row("Account", account)
        published = len(org.truth)
        requests = [
            node("PATCH", f"sobjects/Account/{account}", "p", {"Phone": "7", "Rating": "Hot"}),
            node("POST", "sobjects/Contact", "c", {"LastName": "Kid", "AccountId": account}),
            node("DELETE", f"sobjects/Account/{account}", "d"),
            node("POST", "sobjects/Lead", "l", {"LastName": "No company"}),
            node("GET", "sobjects/Account/describe", "g"),
        ]
        answer = await post(client, "composite", {"allOrNone": True, "compositeRequest": requests})
        codes = [one["body"][0]["errorCode"] for one in answer["compositeResponse"]]
        assert codes == ["PROCESSING_HALTED"] * 3 + ["REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
        assert org.row("Account", account) == before
        assert len(org.truth) == published
        assert org.query("SELECT Id FROM Contact WHERE LastName = 'Kid'", include_deleted=True).total == 0
        org.commit([Change("Account", Op.UPDATE, account, {"Phone": "8"})], user_id=org.administrator_id)
        assert len(org.truth) == published + 1


async def test_what_is_taken_back_has_sent_no_mail() -> None:
    async with simulated() as client:
        await client.control("automation", {"standard": True})
        case = node("POST", "sobjects/Case", "c", {"Subject": "x"})
        bad = node("POST", "sobjects/Lead", "l", {"LastName": "No company"})
        await post(client, "composite", {"allOrNone": True, "compositeRequest": [case, bad]})
        assert (await client.get("/simulator/effects"))["mails"] == []
        await post(client, "composite", {"allOrNone": True, "compositeRequest": [case]})
        kinds = {mail["what"] for mail in (await client.get("/simulator/effects"))["mails"]}
        assert kinds == {"assignment", "auto_response"}


async def test_a_reference_to_nothing_fails_that_request_alone() -> None:
    async with simulated() as client:
        requests = [
            node("GET", "sobjects/Account/001000000000001AAA", "a"),
            node("GET", "sobjects/Contact/@{a.id}", "c"),
            node("GET", "limits", "l"),
        ]
        answer = await post(client, "composite", {"compositeRequest": requests})
        assert [one["httpStatusCode"] for one in answer["compositeResponse"]] == [404, 400, 200]


async def test_too_many_requests_or_queries_are_refused_as_a_whole() -> None:
    async with simulated() as client:
        many = [node("GET", "limits", f"n{n}") for n in range(26)]
        await post(client, "composite", {"compositeRequest": many}, 400)
        queries = [node("GET", "query?q=SELECT+Id+FROM+Case", f"n{n}") for n in range(6)]
        await post(client, "composite", {"compositeRequest": queries}, 400)
        inside = node("POST", "composite/batch", "b", {})
        answer = await post(client, "composite", {"compositeRequest": [inside]})
        assert answer["compositeResponse"][0]["httpStatusCode"] == 400


async def test_a_batch_goes_on_after_an_error_unless_told_to_halt() -> None:
    async with simulated() as client:
        requests = [
            {"method": "GET", "url": "v66.0/limits"},
            {"method": "GET", "url": "v66.0/sobjects/Nothing/describe"},
            {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "Batch"}},
        ]
        answer = await post(client, "composite/batch", {"batchRequests": requests})
        assert (answer["hasErrors"], [one["statusCode"] for one in answer["results"]]) == (
            True,
            [200, 404, 201],
        )
        halting = {"batchRequests": requests, "haltOnError": True}
        answer = await post(client, "composite/batch", halting)
        assert [one["statusCode"] for one in answer["results"]] == [200, 404, 412]


async def test_each_graph_is_all_or_none_by_itself() -> None:
    async with simulated() as client:
        good = [node("POST", "sobjects/Account", "a", {"Name": "Graph"})]
        bad = [*good, node("POST", "sobjects/Lead", "l", {"LastName": "No company"})]
        graphs = [{"graphId": "1", "compositeRequest": good}, {"graphId": "2", "compositeRequest": bad}]
        answer = await post(client, "composite/graph", {"graphs": graphs})
        assert [one["isSuccessful"] for one in answer["graphs"]] == [True, False]
        assert client.org.query("SELECT Id FROM Account WHERE Name = 'Graph'").total == 1


def leaf(reference: str, **fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "X", "referenceId": reference}, **fields}


async def test_a_tree_is_saved_with_its_children_or_not_at_all() -> None:
    async with simulated() as client:
        contacts = {"records": [leaf("c1", LastName="One"), leaf("c2", LastName="Two")]}
        opportunities = {
            "records": [leaf("o1", Name="Deal", StageName="Prospecting", CloseDate="2026-12-01")]
        }
        tree = leaf("a1", Name="Tree", Contacts=contacts, Opportunities=opportunities)
        answer = await post(client, "composite/tree/Account", {"records": [tree]}, 201)
        assert {one["referenceId"] for one in answer["results"]} == {"a1", "c1", "c2", "o1"}
        account = next(one["id"] for one in answer["results"] if one["referenceId"] == "a1")
        found = client.org.query(f"SELECT Id FROM Contact WHERE AccountId = '{account}'")
        assert found.total == 2
        published = len(client.org.truth)
        broken = leaf("a1", Name="Tree", Contacts={"records": [leaf("c1", Phone="1")]})
        answer = await post(client, "composite/tree/Account", {"records": [broken]}, 400)
        assert answer["results"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
        assert len(client.org.truth) == published
        assert client.org.query("SELECT Id FROM Account WHERE Name = 'Tree'").total == 1
