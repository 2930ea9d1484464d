"""The simulated REST, Tooling and OAuth APIs answer as the real ones, on real sockets."""

from __future__ import annotations

import base64
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from tests.integration.simulator_client import Client, login, simulated, touch

AT = "/services/data/v66.0"
ACCOUNT = f"{AT}/sobjects/Account"
COLLECTIONS = f"{AT}/composite/sobjects"


async def query(client: Client, soql: str, path: str = "query", **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = await client.get(f"{AT}/{path}", params={"q": soql}, **more)
    return body


# Sessions


async def test_client_credentials_give_a_token_whose_identity_names_the_org() -> None:
    async with simulated() as client:
        answer = await login(client.session, client.simulator)
        assert answer["instance_url"] == client.url
        assert answer["id"].split("/")[-2] == client.org.org_id
        assert answer["token_type"] == "Bearer"
        assert answer["access_token"].startswith(client.org.org_id)
        about = await client.get("/services/oauth2/userinfo")
        assert about["organization_id"] == client.org.org_id
        assert (await client.get(answer["id"]))["user_id"] == about["user_id"]


async def test_the_client_may_identify_itself_by_basic_authentication() -> None:
    async with simulated() as client:
        app = client.simulator.wire.app
        given = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
        async with client.session.post(
            client.url + "/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {given}"},
        ) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "nobody"}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_id": "THE", "client_secret": "no"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "THE", "refresh_token": "no"}, "invalid_grant"),
        ({"grant_type": "password"}, "invalid_grant"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        (
            {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x.y.z"},
            "invalid_grant",
        ),
    ],
)
async def test_a_login_that_may_not_be_is_refused_by_name(form: dict[str, str], error: str) -> None:
    async with simulated(client_id="THE") as client:
        answer = await login(client.session, client.simulator, **form)
        assert (answer["status"], answer["error"]) == (400, error)


async def test_an_app_without_a_run_as_user_says_so() -> None:
    async with simulated() as client:
        client.simulator.wire.app.run_as = ""
        answer = await login(client.session, client.simulator)
        assert answer["error_description"] == "no client credentials user enabled"


async def test_a_refresh_token_gives_new_sessions_until_it_is_revoked() -> None:
    async with simulated() as client:
        given = (await client.control("refresh-token", {}))["refresh_token"]
        form = {
            "grant_type": "refresh_token",
            "client_id": client.simulator.wire.app.client_id,
            "refresh_token": given,
        }
        assert (await login(client.session, client.simulator, **form))["status"] == 200
        async with client.session.post(
            client.url + "/services/oauth2/revoke", data={"token": given}
        ) as answer:
            assert answer.status == 200
        refused = await login(client.session, client.simulator, **form)
        assert refused["error_description"] == "expired access/refresh token"


class Signer:
    """A key of a client that signs assertions."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.pem = (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    async def login(self, client: Client, **claims: Any) -> dict[str, Any]:
        good = {
            "iss": client.simulator.wire.app.client_id,
            "sub": client.simulator.ready["username"],
            "aud": "https://login.salesforce.com",
            "exp": int(time.time()) + 120,
        }
        assertion = jwt.encode({**good, **claims}, self.key, algorithm="RS256")
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return await login(client.session, client.simulator, grant_type=grant, assertion=assertion)


async def test_an_assertion_signed_by_a_registered_key_logs_its_user_in() -> None:
    signer = Signer()
    async with simulated(jwt_keys=(signer.pem,)) as client:
        answer = await signer.login(client)
        assert answer["id"].split("/")[-1] == client.org.integration_user_id


async def test_a_key_can_be_registered_while_it_runs() -> None:
    signer = Signer()
    async with simulated() as client:
        assert (await signer.login(client))["error"] == "invalid_grant"
        await client.control("jwt-key", {"pem": signer.pem})
        assert (await signer.login(client, aud=client.url))["status"] == 200


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "https://example.com"}, "Audience validation failed"),
        ({"sub": "nobody@example.com"}, "user hasn't approved this consumer"),
        ({"iss": "another"}, "client identifier invalid"),
        ({"exp": 1}, "expired authorization code"),
        ({"exp": 4_000_000_000}, "invalid assertion: exp is too far ahead"),
    ],
)
async def test_every_claim_of_an_assertion_is_checked(claims: dict[str, Any], said: str) -> None:
    signer = Signer()
    async with simulated(jwt_keys=(signer.pem,)) as client:
        assert (await signer.login(client, **claims))["error_description"] == said


async def test_a_revoked_token_is_an_invalid_session() -> None:
    async with simulated() as client:
        await client.control("faults", {"name": "token_revoked"})
        status, _, body = await client.send("GET", f"{AT}/limits")
        assert status == 401
        assert body == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        client.token = (await login(client.session, client.simulator))["access_token"]
        assert await client.get(f"{AT}/limits")


async def test_a_token_runs_out_when_it_lies_idle() -> None:
    async with simulated(times={"token_lifetime_s": 0.0}) as client:
        status, _, _ = await client.send("GET", f"{AT}/limits")
        assert status == 401


# What every answer has


async def test_every_answer_carries_the_orgs_own_skewed_date_and_the_calls_used() -> None:
    async with simulated(plan=Plan(users=8, records=60, knobs=Knobs(date_skew_max_ms=2_000))) as client:
        differences = set()
        for call in range(8):
            now = client.org.clock.now_ms() / 1000
            _, headers, _ = await client.send("GET", f"{AT}/limits")
            differences.add(round(parsedate_to_datetime(headers["Date"]).timestamp() - now))
            assert headers["Sforce-Limit-Info"] == f"api-usage={call + 1}/100000"
        assert all(abs(difference) <= 3 for difference in differences)
        assert len(differences) > 1


async def test_addresses_name_the_version_that_was_asked_and_objects_any_case() -> None:
    async with simulated() as client:
        old = await client.get("/services/data/v58.0/query", params={"q": "SELECT Id FROM Account LIMIT 1"})
        assert old["records"][0]["attributes"]["url"].startswith("/services/data/v58.0/sobjects/Account/")
        described = await client.get("/services/data/v58.0/sobjects/account/describe")
        assert described["name"] == "Account"
        assert described["urls"]["sobject"] == "/services/data/v58.0/sobjects/Account"
        status, _, created = await client.send("POST", f"{AT}/sobjects/ACCOUNT", json={"Name": "Any case"})
        assert status == 201
        assert client.org.entity("Account").records.get(created["id"]) is not None


@pytest.mark.parametrize(("version", "status", "code"), [("99.0", 404, "NOT_FOUND"), ("20.0", 410, "GONE")])
async def test_versions_to_come_and_retired_ones_are_refused(version: str, status: int, code: str) -> None:
    async with simulated() as client:
        found, _, body = await client.send("GET", f"/services/data/v{version}/limits")
        assert (found, body[0]["errorCode"]) == (status, code)


async def test_the_versions_need_no_session_and_count_as_no_call() -> None:
    async with simulated() as client, client.session.get(client.url + "/services/data/") as answer:
        assert "66.0" in [one["version"] for one in await answer.json()]
        assert "Sforce-Limit-Info" not in answer.headers


async def test_an_address_that_is_not_there_is_an_error_array() -> None:
    async with simulated() as client:
        status, _, body = await client.send("GET", f"{AT}/nonsense")
        assert (status, body[0]["errorCode"]) == (404, "NOT_FOUND")


async def test_calls_beyond_the_days_allowance_are_refused() -> None:
    async with simulated(plan=Plan(users=8, records=60, knobs=Knobs(api_calls_max=2))) as client:
        statuses = [(await client.send("GET", f"{AT}/sobjects"))[0] for _ in range(3)]
        assert statuses == [200, 200, 403]


async def test_an_unavailable_org_says_when_to_come_back() -> None:
    async with simulated() as client:
        client.org.faults.set("unavailable", retry_after=7, times=1)
        status, headers, body = await client.send("GET", f"{AT}/limits")
        assert (status, headers["Retry-After"], body[0]["errorCode"]) == (503, "7", "SERVER_UNAVAILABLE")
        assert await client.get(f"{AT}/limits")


# Queries


async def test_a_long_query_comes_in_pages_that_together_hold_every_row() -> None:
    async with simulated(plan=Plan(users=8, records=3_000)) as client:
        headers = {"Sforce-Query-Options": "batchSize=200"}
        page = await query(client, "SELECT Id FROM Contact ORDER BY Id", headers=headers)
        rows = list(page["records"])
        assert not page["done"]
        assert len(rows) == 200
        while not page["done"]:
            page = await client.get(page["nextRecordsUrl"])
            rows += page["records"]
        assert [row["Id"] for row in rows] == sorted(client.org.entities["Contact"].records.live_ids())
        assert page["totalSize"] == len(rows)


async def test_a_page_holds_two_thousand_rows_unless_asked_otherwise() -> None:
    async with simulated(plan=Plan(users=8, records=9_000)) as client:
        page = await query(client, "SELECT Id FROM Contact")
        assert len(page["records"]) == 2_000


@pytest.mark.parametrize(("snapshots", "seen"), [(True, "before"), (False, "after")])
async def test_a_later_page_shows_changes_made_meanwhile_unless_pages_are_snapshots(
    snapshots: bool, seen: str
) -> None:
    plan = Plan(users=8, records=1_500, knobs=Knobs(pages_are_snapshots=snapshots))
    async with simulated(plan=plan) as client:
        ids = sorted(client.org.entities["Contact"].records.live_ids())
        client.org.commit(
            [Change("Contact", Op.UPDATE, one, {"Title": "before"}) for one in ids],
            user_id=client.org.administrator_id,
        )
        headers = {"Sforce-Query-Options": "batchSize=200"}
        page = await query(client, "SELECT Id, Title FROM Contact ORDER BY Id", headers=headers)
        client.org.commit(
            [Change("Contact", Op.UPDATE, ids[-1], {"Title": "after"})], user_id=client.org.administrator_id
        )
        while not page["done"]:
            page = await client.get(page["nextRecordsUrl"])
        assert page["records"][-1] == {
            "attributes": page["records"][-1]["attributes"],
            "Id": ids[-1],
            "Title": seen,
        }


async def test_query_all_reads_the_recycle_bin_and_its_next_page_says_query() -> None:
    async with simulated(plan=Plan(users=8, records=1_500)) as client:
        record_id = client.org.entities["Case"].records.live_ids()[0]
        client.org.commit([Change("Case", Op.DELETE, record_id)], user_id=client.org.administrator_id)
        soql = f"SELECT Id, IsDeleted FROM Case WHERE Id = '{record_id}'"
        assert (await query(client, soql))["totalSize"] == 0
        [row] = (await query(client, soql, path="queryAll"))["records"]
        assert row["IsDeleted"] is True
        headers = {"Sforce-Query-Options": "batchSize=200"}
        page = await query(client, "SELECT Id FROM Contact", path="queryAll", headers=headers)
        assert page["nextRecordsUrl"].startswith(f"{AT}/query/0r8")
        assert await client.get(page["nextRecordsUrl"].replace("/query/", "/queryAll/"))


async def test_a_locator_that_is_unknown_idle_or_made_to_expire_is_refused() -> None:
    async with simulated(plan=Plan(users=8, records=1_500), times={"locator_idle_s": 0.0}) as client:
        headers = {"Sforce-Query-Options": "batchSize=200"}
        page = await query(client, "SELECT Id FROM Contact", headers=headers)
        for path in (page["nextRecordsUrl"], f"{AT}/query/0r8000000000000AAA-200"):
            status, _, body = await client.send("GET", path)
            assert (status, body[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    async with simulated(plan=Plan(users=8, records=1_500), faults=("locator_expired:times=1",)) as client:
        page = await query(client, "SELECT Id FROM Contact", headers=headers)
        status, _, body = await client.send("GET", page["nextRecordsUrl"])
        assert (status, body[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


async def test_a_query_that_cannot_be_understood_is_refused_by_its_code() -> None:
    async with simulated() as client:
        for soql, code in (
            ("", "MALFORMED_QUERY"),
            ("SELECT", "MALFORMED_QUERY"),
            ("SELECT Nonsense FROM Account", "INVALID_FIELD"),
            ("SELECT Id FROM Nonsense", "INVALID_TYPE"),
        ):
            status, _, body = await client.send("GET", f"{AT}/query", params={"q": soql})
            assert (status, body[0]["errorCode"]) == (400, code)


async def test_queries_of_one_entity_can_be_made_to_fail() -> None:
    async with simulated(faults=("query_error:entity=Account,code=QUERY_TIMEOUT,times=1",)) as client:
        assert (await query(client, "SELECT COUNT() FROM Contact"))["totalSize"] > 0
        status, _, body = await client.send("GET", f"{AT}/query", params={"q": "SELECT Id FROM Account"})
        assert (status, body[0]["errorCode"]) == (500, "QUERY_TIMEOUT")
        assert (await query(client, "SELECT Id FROM Account"))["records"]


# Rows


async def test_a_row_is_created_changed_read_and_deleted_and_every_write_is_an_event() -> None:
    async with simulated() as client:
        headers = {"Sforce-Call-Options": "client=Restorer; defaultNamespace=x"}
        status, _, made = await client.send("POST", ACCOUNT, json={"Name": "Nova"}, headers=headers)
        assert (status, made["success"]) == (201, True)
        row = f"{ACCOUNT}/{made['id']}"
        assert (await client.send("PATCH", row, json={"Phone": "1", "BillingCity": "Bonn"}))[0] == 204
        read = await client.get(row, params={"fields": "Name,Phone,BillingCity"})
        assert (read["Name"], read["Phone"], read["BillingCity"]) == ("Nova", "1", "Bonn")
        assert (await client.send("DELETE", row))[0] == 204
        assert (await client.send("GET", row))[0] == 404
        created, changed, deleted = client.org.truth.changes()
        assert [one.kind for one in (created, changed, deleted)] == ["CREATE", "UPDATE", "DELETE"]
        assert (created.origin, created.client) == ("com/salesforce/api/rest/66.0", "Restorer")
        assert changed.changed["BillingAddress.City"] == "Bonn"
        assert created.user_id == client.org.integration_user_id


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Nonsense": 1}, "INVALID_FIELD"),
        ({"LastModifiedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"AnnualRevenue": "much"}, "JSON_PARSER_ERROR"),
    ],
)
async def test_a_write_the_org_does_not_take_changes_nothing(body: dict[str, Any], code: str) -> None:
    async with simulated() as client:
        record_id = client.org.entities["Account"].records.live_ids()[0]
        status, _, answer = await client.send("PATCH", f"{ACCOUNT}/{record_id}", json=body)
        assert (status, answer[0]["errorCode"]) == (400, code)
        assert len(client.org.truth) == 0


async def test_a_record_without_what_is_required_is_not_created() -> None:
    async with simulated() as client:
        status, _, body = await client.send("POST", f"{AT}/sobjects/Contact", json={"FirstName": "Ada"})
        assert (status, body[0]["errorCode"], body[0]["fields"]) == (
            400,
            "REQUIRED_FIELD_MISSING",
            ["LastName"],
        )


async def test_deleted_and_updated_list_the_ids_of_a_stretch_of_time() -> None:
    async with simulated() as client:
        client.org.clock.advance(3_600_000)
        gone = client.org.entities["Case"].records.live_ids()[0]
        [changed] = touch(client, 1, entity="Case", field="Subject")
        client.org.commit([Change("Case", Op.DELETE, gone)], user_id=client.org.administrator_id)
        client.org.clock.advance(120_000)
        stretch = {"start": "2026-08-31T00:30:00+00:00", "end": "2026-08-31T23:00:00Z"}
        deleted = await client.get(f"{AT}/sobjects/Case/deleted/", params=stretch)
        assert [one["id"] for one in deleted["deletedRecords"]] == [gone]
        updated = await client.get(f"{AT}/sobjects/Case/updated/", params=stretch)
        assert updated["ids"] == [] if changed == gone else [changed]
        status, _, body = await client.send(
            "GET", f"{AT}/sobjects/Case/deleted/", params={"start": stretch["end"], "end": stretch["start"]}
        )
        assert (status, body[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


# Collections


async def test_a_collection_answers_in_order_and_takes_what_it_can() -> None:
    async with simulated() as client:
        records = [
            {"attributes": {"type": "Account"}, "Name": "One"},
            {"attributes": {"type": "Account"}, "Nonsense": 1},
            {"attributes": {"type": "Contact"}, "LastName": "Two"},
        ]
        status, _, results = await client.send("POST", COLLECTIONS, json={"records": records})
        assert status == 200
        assert [result["success"] for result in results] == [True, False, True]
        assert results[1]["errors"][0]["statusCode"] == "INVALID_FIELD"
        assert len({change.transaction_key for change in client.org.truth.changes()}) == 1


async def test_all_or_none_rolls_the_innocent_back() -> None:
    async with simulated() as client:
        good, other = client.org.entities["Account"].records.live_ids()[:2]
        records = [
            {"attributes": {"type": "Account"}, "id": good, "Phone": "1"},
            {"attributes": {"type": "Account"}, "id": other, "Nonsense": 1},
        ]
        _, _, results = await client.send("PATCH", COLLECTIONS, json={"allOrNone": True, "records": records})
        codes = [result["errors"][0]["statusCode"] for result in results]
        assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD"]
        assert len(client.org.truth) == 0


async def test_records_are_deleted_by_their_ids_alone() -> None:
    async with simulated() as client:
        ids = client.org.entities["Lead"].records.live_ids()[:2]
        _, _, results = await client.send("DELETE", COLLECTIONS, params={"ids": ",".join([*ids, "00Q0"])})
        assert [result["success"] for result in results] == [True, True, False]


async def test_records_are_read_by_id_with_null_for_what_is_not_there() -> None:
    async with simulated() as client:
        one, gone = client.org.entities["Lead"].records.live_ids()[:2]
        client.org.commit([Change("Lead", Op.DELETE, gone)], user_id=client.org.administrator_id)
        _, _, rows = await client.send(
            "POST", f"{COLLECTIONS}/Lead", json={"ids": [gone, one], "fields": ["Status"]}
        )
        assert rows[0] is None
        assert (rows[1]["Id"], "Status" in rows[1]) == (one, True)


async def test_a_collection_is_bounded() -> None:
    async with simulated() as client:
        one = {"attributes": {"type": "Account"}, "Name": "One"}
        other = {"attributes": {"type": "Contact"}, "LastName": "Two"}
        for records, code in (([one] * 201, "EXCEEDED_ID_LIMIT"), ([one, other] * 6, "INVALID_INPUT")):
            status, _, body = await client.send("POST", COLLECTIONS, json={"records": records})
            assert (status, body[0]["errorCode"]) == (400, code)


# Descriptions


async def test_the_org_describes_itself_and_its_entities() -> None:
    async with simulated() as client:
        names = [one["name"] for one in (await client.get(f"{AT}/sobjects"))["sobjects"]]
        assert {"Account", "Shipment__c"} <= set(names)
        described = await client.get(f"{ACCOUNT}/describe")
        assert "BillingCity" in [field["name"] for field in described["fields"]]
        assert (await client.get(ACCOUNT))["objectDescribe"]["keyPrefix"] == "001"
        status, _, _ = await client.send("GET", f"{AT}/sobjects/Nonsense/describe")
        assert status == 404


async def test_an_entity_the_user_may_not_see_is_not_there() -> None:
    async with simulated(faults=("no_permission:entity=Lead",)) as client:
        for path, params in (
            (f"{AT}/sobjects/Lead/describe", {}),
            (f"{AT}/query", {"q": "SELECT Id FROM Lead"}),
        ):
            status, _, body = await client.send("GET", path, params=params)
            assert (status, body[0]["errorCode"]) == (400, "INVALID_TYPE")


async def test_event_schemas_are_had_by_id_and_by_name_in_both_formats() -> None:
    async with simulated() as client:
        schema_id = client.org.current_schema("Account")
        strict = await client.get(f"{AT}/event/eventSchema/{schema_id}", params={"payloadFormat": "COMPACT"})
        assert strict.pop("uuid") == schema_id
        assert strict == json.loads(client.org.schema(schema_id) or "")
        expanded = await client.get(f"{AT}/sobjects/AccountChangeEvent/eventSchema")
        assert (expanded["uuid"], expanded["type"]) == (schema_id, "expanded-record")
        status, _, _ = await client.send(
            "GET", f"{AT}/event/eventSchema/{schema_id}", params={"payloadFormat": "ODD"}
        )
        assert status == 400


async def test_limits_and_counts_are_those_of_the_org() -> None:
    async with simulated() as client:
        limits = await client.get(f"{AT}/limits")
        assert limits["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}
        counts = await client.get(f"{AT}/limits/recordCount", params={"sObjects": "Account,Lead"})
        assert counts["sObjects"][0] == {
            "name": "Account",
            "count": len(client.org.entities["Account"].records),
        }


async def test_a_custom_channel_carries_the_entities_selected_on_it() -> None:
    async with simulated() as client:
        members = f"{AT}/tooling/sobjects/PlatformEventChannelMember"
        body = {
            "FullName": "Team_Case",
            "Metadata": {
                "eventChannel": "Team__chn",
                "selectedEntity": "CaseChangeEvent",
                "enrichedFields": [{"name": "Subject"}],
                "filterExpression": "Status != 'Closed'",
            },
        }
        status, _, made = await client.send("POST", members, json=body)
        assert (status, made["success"]) == (201, True)
        member = await client.get(f"{members}/{made['id']}")
        assert member["Metadata"]["filterExpression"] == "Status != 'Closed'"
        soql = "SELECT EventChannel, SelectedEntity FROM PlatformEventChannelMember WHERE EventChannel = 'Team__chn'"
        found = await client.get(f"{AT}/tooling/query/", params={"q": soql})
        assert found["records"][0]["SelectedEntity"] == "CaseChangeEvent"
        assert (await client.send("DELETE", f"{members}/{made['id']}"))[0] == 204
        found = await client.get(f"{AT}/tooling/query/", params={"q": soql})
        assert found["totalSize"] == 0


async def test_a_slow_org_answers_late() -> None:
    async with simulated(faults=("slow:ms=300",)) as client:
        with pytest.raises(TimeoutError):
            await client.send("GET", f"{AT}/limits", timeout=aiohttp.ClientTimeout(total=0.1))
        client.org.faults.clear()
        assert await client.get(f"{AT}/limits")
