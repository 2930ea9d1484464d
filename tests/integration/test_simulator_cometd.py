"""The simulator's Streaming API as a plain client meets it: handshake to disconnect, events, refusals, faults."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from connectors.simulator.knobs import Knobs
from connectors.simulator.model import Change, Op
from connectors.simulator.plan import Plan
from connectors.simulator.wire.cometd_errors import REFUSALS
from tests.integration.bayeux import Bayeux, jar, listening
from tests.integration.simulator_client import ACCOUNTS, CHANGES, simulated, touch


async def test_events_after_a_subscription_come_in_order_with_their_replay_ids() -> None:
    async with listening() as client:
        assert (await client.subscribe(ACCOUNTS))["successful"]
        touched = touch(client.client, 5)
        events = await client.events(5)
        assert [e["data"]["payload"]["ChangeEventHeader"]["recordIds"] for e in events] == [
            [record_id] for record_id in touched
        ]
        numbers = [e["data"]["event"]["replayId"] for e in events]
        assert numbers == sorted(set(numbers))
        assert {e["channel"] for e in events} == {ACCOUNTS}


async def test_a_replay_id_is_resumed_strictly_behind_and_minus_two_gives_all_that_is_kept() -> None:
    async with listening() as client:
        await client.subscribe(ACCOUNTS)
        touch(client.client, 6)
        numbers = [e["data"]["event"]["replayId"] for e in await client.events(6)]
        await client.send("/meta/unsubscribe", subscription=ACCOUNTS)
        await client.subscribe(ACCOUNTS, numbers[2])
        assert [e["data"]["event"]["replayId"] for e in await client.events(3)] == numbers[3:]
        await client.subscribe(ACCOUNTS, -2)
        assert [e["data"]["event"]["replayId"] for e in await client.events(6)] == numbers


async def test_an_event_names_what_changed_says_null_where_it_was_cleared_and_leaves_out_the_rest() -> None:
    async with listening() as client:
        await client.subscribe(CHANGES)
        org = client.client.org
        account = org.entities["Account"].records.live_ids()[0]
        values = {"BillingAddress.City": "Leeds", "Phone": None, "AnnualRevenue": 12.5}
        org.commit([Change("Account", Op.UPDATE, account, values)], user_id=org.administrator_id)
        [event] = await client.events(1)
        payload = event["data"]["payload"]
        header = payload["ChangeEventHeader"]
        assert set(header["changedFields"]) >= {"BillingAddress.City", "Phone", "AnnualRevenue"}
        assert "nulledFields" not in header
        assert "diffFields" not in header
        assert payload["BillingAddress"] == {"City": "Leeds"}
        assert payload["Phone"] is None
        assert payload["AnnualRevenue"] == 12.5
        assert payload["LastModifiedDate"].endswith("Z")
        assert "Industry" not in payload
        assert event["data"]["schema"] == org.current_schema("Account")
        assert event["data"]["event"].keys() >= {"replayId", "EventUuid", "EventApiName"}


async def test_a_long_text_that_changed_a_little_comes_as_a_diff() -> None:
    async with listening(plan=Plan(users=8, records=60, knobs=Knobs(long_text_diffs=True))) as client:
        org = client.client.org
        account = org.entities["Account"].records.live_ids()[0]
        text = "\n".join(f"line {n} of a long description" for n in range(60))
        for value in (text, text + "\nand one more"):
            org.commit(
                [Change("Account", Op.UPDATE, account, {"Description": value})], user_id=org.administrator_id
            )
        await client.subscribe(ACCOUNTS, -2)
        _, second = await client.events(2)
        assert second["data"]["payload"]["Description"].keys() == {"diff"}


async def test_a_hidden_field_is_named_and_its_value_left_out() -> None:
    async with listening(plan=Plan(users=8, records=60, knobs=Knobs(hidden_fields=("Account.Phone",)))) as c:
        await c.subscribe(ACCOUNTS)
        touch(c.client, 1)
        [event] = await c.events(1)
        assert "Phone" in event["data"]["payload"]["ChangeEventHeader"]["changedFields"]
        assert "Phone" not in event["data"]["payload"]


async def test_an_old_version_does_not_name_events() -> None:
    async with listening("50.0") as client:
        await client.subscribe(ACCOUNTS)
        touch(client.client, 1)
        [event] = await client.events(1)
        assert event["data"]["event"].keys() == {"replayId"}


async def test_platform_events_come_with_all_their_fields() -> None:
    async with listening() as client:
        await client.subscribe("/event/Order__e")
        client.client.org.publish_platform_event("Order__e", {"Order_Number__c": "A-1"})
        [event] = await client.events(1)
        assert event["data"]["payload"]["Order_Number__c"] == "A-1"
        assert event["data"]["payload"]["Amount__c"] is None
        assert event["data"]["payload"]["CreatedDate"].endswith("Z")


async def test_a_connect_is_held_until_something_happens_and_the_first_is_not() -> None:
    async with listening(times={"cometd_hold_s": 8.0}) as client:
        await client.subscribe(ACCOUNTS)
        [first] = await client.connect()
        assert first["successful"]
        held = asyncio.ensure_future(client.connect())
        done, _ = await asyncio.wait({held}, timeout=0.3)
        assert not done
        touch(client.client, 1)
        event, reply = await held
        assert event["channel"] == ACCOUNTS
        assert reply["successful"]


async def test_a_batch_of_messages_is_answered_in_its_order() -> None:
    async with listening() as client:
        touch(client.client, 1)
        common = {"clientId": client.client_id}
        replay = {"ext": {"replay": {ACCOUNTS: -2}}}
        _, replies = await client.post(
            {"channel": "/meta/connect", "connectionType": "long-polling", "id": "1", **common},
            {"channel": "/meta/subscribe", "subscription": ACCOUNTS, "id": "2", **common, **replay},
        )
        assert [r["channel"] for r in replies] == [ACCOUNTS, "/meta/connect", "/meta/subscribe"]


async def test_a_client_that_stays_away_is_unknown_and_so_is_one_that_disconnected() -> None:
    async with listening(times={"cometd_away_s": 0.1}) as client:
        await asyncio.sleep(0.2)
        [reply] = await client.connect()
        assert (reply["error"], reply["advice"]["reconnect"]) == ("403::Unknown client", "handshake")
        await client.handshake()
        assert (await client.send("/meta/disconnect"))["successful"]
        [reply] = await client.connect()
        assert reply["error"] == "403::Unknown client"


async def test_cookies_have_to_be_kept() -> None:
    async with listening() as client:
        client.http.cookie_jar.clear()
        assert (await client.subscribe(ACCOUNTS))["error"].startswith("400::No cookie")


@pytest.mark.parametrize(
    ("channel", "replay", "error"),
    [
        ("/data/NoSuchEvent", -1, "400::The channel /data/NoSuchEvent you requested"),
        ("data/ChangeEvents", -1, "400::The channel name data/ChangeEvents must begin"),
        ("", -1, "400::Channel name not specified"),
        ("/meta/connect", -1, "403::Restricted channel"),
        (ACCOUNTS, 12, "400::The replayId {12} you provided was invalid."),
        (ACCOUNTS, 1 << 62, "400::The replayId {4611686018427387904} you provided was invalid."),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused_in_the_documented_words(
    channel: str, replay: int, error: str
) -> None:
    async with listening() as client:
        reply = await client.subscribe(channel, replay)
        assert not reply["successful"]
        assert reply["error"].startswith(error)


async def test_a_channel_of_one_entity_needs_permission_to_see_it() -> None:
    async with listening() as client:
        client.client.org.faults.set("no_permission", entity="Account")
        assert (await client.subscribe(ACCOUNTS))["error"].startswith("403::User not allowed")


async def test_authentication_is_asked_for_checked_and_ended() -> None:
    async with listening() as client:
        await client.subscribe(ACCOUNTS)
        good, client.token = client.token, ""
        status, [reply] = await client.post({"channel": "/meta/connect", "clientId": client.client_id})
        assert (status, reply["error"]) == (401, "401::Request requires authentication")
        client.token = "wrong"
        reply = await client.handshake()
        assert reply["error"] == "403::Handshake denied"
        assert reply["ext"]["sfdc"]["failureReason"] == "401::Authentication invalid"
        client.token = good
        await client.handshake()
        await client.connect()
        held = asyncio.ensure_future(client.connect())
        await asyncio.sleep(0.05)
        client.client.org.faults.set("token_revoked", times=1)
        [reply] = await held
        assert (reply["error"], reply["advice"]["reconnect"]) == ("401::Authentication invalid", "none")


async def test_limits_of_clients_deliveries_and_sizes() -> None:
    async with listening(times={"cometd_clients_max": 1}) as client:
        reply = await Bayeux(client.client, client.http, "66.0").handshake()
        assert reply["ext"]["sfdc"]["failureReason"].startswith("403::Organization concurrent user limit")
        status, [reply] = await client.post({"channel": "/meta/connect", "padding": "x" * 40_000})
        assert (status, reply["error"]) == (413, "413::Maximum Request Size Exceeded")
        await client.subscribe(ACCOUNTS)
        client.client.org.knobs = Knobs(delivered_max=0)
        [reply] = await client.connect()
        assert reply["error"] == "403::Organization total events daily limit exceeded"


async def test_the_version_is_part_of_the_address() -> None:
    async with simulated() as client, jar() as http:
        for version, word in (("", "mandatory"), ("36.0", "not supported")):
            reply = await Bayeux(client, http, version).handshake()
            assert word in reply["error"], reply


@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_every_documented_refusal_can_be_had_by_name(name: str) -> None:
    async with listening() as client:
        client.client.org.faults.set("cometd_error", error=name, on="subscribe", times=1)
        reply = await client.subscribe(ACCOUNTS)
        assert reply["error"].startswith(REFUSALS[name].text[:20].partition("{")[0])
        assert reply["successful"] is False


async def test_faults_by_name_a_page_of_html_silence_and_a_broken_connection() -> None:
    async with listening() as client:
        await client.client.control("faults", {"name": "cometd_html", "on": "connect", "times": 1})
        with pytest.raises(aiohttp.ContentTypeError):
            await client.connect()
        await client.subscribe(ACCOUNTS)
        await client.client.control("faults", {"name": "cometd_silent"})
        touch(client.client, 1)
        assert [m["channel"] for m in await client.connect()] == ["/meta/connect"]
        client.client.org.faults.clear("cometd_silent")
        await client.client.control("faults", {"name": "cometd_cut", "times": 1})
        with pytest.raises(aiohttp.ClientError):
            await client.connect()
        assert [m["channel"] for m in await client.connect()] == ["/meta/connect"]  # what was sent is gone


async def test_the_schema_of_an_event_is_to_be_had_compact_and_expanded() -> None:
    async with simulated() as client:
        schema_id = client.org.current_schema("Account")
        at = "/services/data/v66.0"
        compact = await client.get(f"{at}/event/eventSchema/{schema_id}?payloadFormat=COMPACT")
        assert (compact["uuid"], compact["type"], compact["name"]) == (
            schema_id,
            "record",
            "AccountChangeEvent",
        )
        expanded = await client.get(f"{at}/sobjects/AccountChangeEvent/eventSchema")
        assert (expanded["uuid"], expanded["type"]) == (schema_id, "expanded-record")
        status, _, _ = await client.send("GET", f"{at}/event/eventSchema/{schema_id}?payloadFormat=ODD")
        assert status == 400
