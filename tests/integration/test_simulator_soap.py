"""SOAP as a client that writes its own envelopes speaks it."""

from __future__ import annotations

from xml.etree import ElementTree

from connectors.simulator.model import Change, Op
from tests.integration.simulator_client import Client, simulated

PARTNER = "urn:partner.soap.sforce.com"
AT = "/services/Soap/u/66.0"


async def call(client: Client, body: str, headers: str = "", token: str | None = None) -> ElementTree.Element:
    """The result elements' parent: the response, or the fault."""
    session = client.token if token is None else token
    envelope = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns="{PARTNER}"><s:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader>{headers}</s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )
    async with client.session.post(
        client.url + AT, data=envelope, headers={"SOAPAction": '""', "Content-Type": "text/xml"}
    ) as answer:
        root = ElementTree.fromstring(await answer.read())
        return root[-1][0]


def found(element: ElementTree.Element, name: str) -> list[str]:
    return [one.text or "" for one in element.iter() if one.tag.rpartition("}")[2] == name]


async def test_a_login_gives_a_session_that_rest_takes_too() -> None:
    async with simulated() as client:
        ready = client.simulator.ready
        login = (
            f"<login><username>{ready['username']}</username><password>{ready['password']}</password></login>"
        )
        answer = await call(client, login, token="")
        client.token = found(answer, "sessionId")[0]
        assert found(answer, "serverUrl")[0].startswith(f"{client.url}{AT}/")
        assert (await client.get("/services/data/v66.0/limits"))["DailyApiRequests"]
        wrong = await call(client, login.replace(ready["password"], "x"), token="")
        assert found(wrong, "faultcode") == ["sf:INVALID_LOGIN"]


async def test_a_client_that_logs_in_by_place_finds_each_thing_where_the_wsdl_puts_it() -> None:
    async with simulated() as client:
        ready = client.simulator.ready
        envelope = (
            "<soapenv:Envelope xmlns:soapenv='http://schemas.xmlsoap.org/soap/envelope/' "
            f"xmlns:urn='{PARTNER}'><soapenv:Body><urn:login><urn:username><![CDATA[{ready['username']}]]></urn:username>"
            f"<urn:password><![CDATA[{ready['password']}]]></urn:password></urn:login></soapenv:Body></soapenv:Envelope>"
        )
        headers = {"content-type": "text/xml", "SOAPAction": "Login"}
        async with client.session.post(
            client.url + "/services/Soap/u/57.0/", data=envelope, headers=headers
        ) as answer:
            result = ElementTree.fromstring(await answer.read())[0][0][0]
        assert (result[3].text or "").startswith(client.url)
        client.token = result[4].text or ""
        assert result[6][8].text == client.org.org_id
        assert await client.get("/services/data/v57.0/limits")


async def test_a_session_that_is_none_is_a_fault() -> None:
    async with simulated() as client:
        answer = await call(client, "<getUserInfo/>", token="nonsense")
        assert found(answer, "faultcode") == ["sf:INVALID_SESSION_ID"]
        unknown = await call(client, "<dance/>")
        assert found(unknown, "faultcode") == ["sf:INVALID_OPERATION"]


async def test_records_are_created_changed_queried_deleted_and_brought_back() -> None:
    async with simulated() as client:
        options = "<CallOptions><client>Envelope</client></CallOptions>"
        lead = "<sObjects xsi:type='Lead'><LastName>Lind</LastName><Company>A &amp; B</Company></sObjects>"
        made = await call(
            client,
            f"<create>{lead}<sObjects><type>Lead</type><LastName>x</LastName></sObjects></create>",
            options,
        )
        assert found(made, "success") == ["true", "false"]
        assert found(made, "statusCode") == ["REQUIRED_FIELD_MISSING"]
        [record_id] = [one for one in found(made, "id") if one]
        change = (
            f"<sObjects><type>Lead</type><Id>{record_id}</Id><fieldsToNull>Company</fieldsToNull></sObjects>"
        )
        assert found(await call(client, f"<update>{change}</update>"), "statusCode") == [
            "REQUIRED_FIELD_MISSING"
        ]
        query = (
            f"<query><queryString>SELECT Id, Company FROM Lead WHERE Id = '{record_id}'</queryString></query>"
        )
        answer = await call(client, query)
        assert (found(answer, "Company"), found(answer, "size")) == (["A & B"], ["1"])
        assert found(await call(client, f"<delete><ids>{record_id}</ids></delete>"), "success") == ["true"]
        assert found(await call(client, query), "size") == ["0"]
        back = f"<undelete><ids>{record_id}</ids><ids>{record_id}</ids></undelete>"
        assert found(await call(client, back), "success") == ["true", "false"]
        changes = client.org.truth.changes()
        assert [one.kind for one in changes] == ["CREATE", "DELETE", "UNDELETE"]
        assert (changes[0].client, changes[0].origin) == ("Envelope", "com/salesforce/api/soap/66.0")


async def test_a_merge_keeps_the_master_and_moves_the_children() -> None:
    async with simulated() as client:
        org = client.org
        made = org.commit([Change("Account", Op.CREATE, None, {"Name": n}) for n in ("Keep", "Lose")],
                          user_id=org.administrator_id).record_ids  # fmt: skip
        contact = org.commit(
            [Change("Contact", Op.CREATE, None, {"Name.LastName": "Kid", "AccountId": made[1]})],
            user_id=org.administrator_id,
        ).record_ids[0]
        body = (
            f"<merge><request><masterRecord><type>Account</type><Id>{made[0]}</Id><Phone>9</Phone></masterRecord>"
            f"<recordToMergeIds>{made[1]}</recordToMergeIds></request></merge>"
        )
        answer = await call(client, body)
        assert (found(answer, "success"), found(answer, "updatedRelatedIds")) == (["true"], [contact])
        assert org.row("Contact", contact)["AccountId"] == made[0]
        gone = org.query(f"SELECT MasterRecordId FROM Account WHERE Id = '{made[1]}'", include_deleted=True)
        assert gone.all()[0]["MasterRecordId"] == made[0]


async def test_later_pages_descriptions_and_deletions_are_answered() -> None:
    async with simulated() as client:
        described = await call(
            client, "<describeSObjects><sObjectType>Account</sObjectType></describeSObjects>"
        )
        assert "BillingCity" in found(described, "name")
        everything = await call(client, "<describeGlobal/>")
        assert set(client.org.entities) <= set(found(everything, "name"))
        [record_id] = client.org.entities["Lead"].records.live_ids()[:1]
        org = client.org
        org.commit([Change("Lead", Op.DELETE, record_id)], user_id=org.administrator_id)
        org.clock.advance(60_000)
        stretch = "<startDate>2026-08-30T00:00:00.000Z</startDate><endDate>2027-01-01T00:00:00.000Z</endDate>"
        deleted = await call(client, f"<getDeleted><sObjectType>Lead</sObjectType>{stretch}</getDeleted>")
        assert found(deleted, "id") == [record_id]
        emptied = await call(client, f"<emptyRecycleBin><ids>{record_id}</ids></emptyRecycleBin>")
        assert found(emptied, "success") == ["true"]
        again = await call(client, f"<undelete><ids>{record_id}</ids></undelete>")
        assert found(again, "statusCode") == ["UNDELETE_FAILED"]
