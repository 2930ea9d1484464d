"""The simulator's control API, its program, its TLS, and real captured payloads served by it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from cdc.errors import PortTaken, SettingsError
from connectors.simulator.command import running_simulator
from connectors.simulator.plan import Plan, PlannedScenario, plan_of, read_plan
from connectors.simulator.wire.control import is_loopback
from schemas.eventbus.v1 import pubsub_pb2 as pb
from tests.integration.simulator_client import ACCOUNTS, CHANGES, Client, login, simulated, touch, until

SMALL = Plan(users=8, records=60)


async def lines(client: Client, path: str) -> list[Any]:
    async with client.session.get(client.url + path) as answer:
        assert answer.status == 200, await answer.text()
        return [json.loads(line) for line in (await answer.text()).splitlines()]


async def test_a_commit_is_one_transaction_and_the_truth_tells_it() -> None:
    async with simulated() as client:
        one, two = client.org.entities["Account"].records.live_ids()[:2]
        answer = await client.control(
            "commit",
            {
                "user": "administrator",
                "origin": "com/salesforce/api/bulkapi/66.0",
                "client": "Loader",
                "changes": [
                    {"entity": "Account", "record_id": one, "values": {"Rating": "Hot"}},
                    {"entity": "Account", "record_id": two, "op": "DELETE"},
                    {"entity": "Lead", "op": "CREATE", "values": {"Name.LastName": "New", "Company": "Nova"}},
                ],
            },
        )
        changes = await lines(client, "/simulator/truth/changes?after=0")
        children = {change["record_id"] for change in changes} - set(answer["record_ids"][:3])
        assert {change["transaction_key"] for change in changes} == {answer["transaction_key"]}
        assert [change["op"] for change in changes if change["record_id"] not in children] == [
            "UPDATE", "DELETE", "CREATE",
        ]  # fmt: skip
        assert changes[0]["changed"]["Rating"] == "Hot"
        assert changes[0]["client"] == "Loader"
        assert (await lines(client, "/simulator/truth/changes?after=1&limit=1")) == [changes[1]]


async def test_the_state_is_told_after_any_change_and_at_any_time() -> None:
    async with simulated() as client:
        record_id = client.org.entities["Lead"].records.live_ids()[0]
        times = []
        for status in ("one", "two"):
            client.org.clock.advance(10_000)
            body = {"changes": [{"entity": "Lead", "record_id": record_id, "values": {"Rating": status}}]}
            times.append((await client.control("commit", body))["events"][0]["committed_at"])

        async def rating(where: str) -> str:
            rows = await lines(client, f"/simulator/truth/state?entity=Lead{where}")
            [row] = [row for row in rows if row["record_id"] == record_id]
            return str(row["fields"]["Rating"])

        assert await rating("") == "two"
        assert await rating("&at_index=1") == "one"
        assert await rating(f"&at_ms={times[1] - 1}") == "one"
        assert await rating(f"&at_ms={times[1]}&channel={CHANGES}") == "two"


async def test_pairs_are_what_a_subscriber_of_the_channel_gets() -> None:
    async with simulated() as client:
        await client.control("play", {"hours": 6})
        pairs = await lines(client, f"/simulator/truth/pairs?channel={CHANGES}")
        status = await client.get("/simulator/status")
        assert status["pairs_published"] == len(pairs) > 0
        events = await client.subscribe(CHANGES).events(len({event_id for event_id, _ in pairs}) % 101 or 1)
        assert {one.event.id for one in events} <= {event_id for event_id, _ in pairs}


async def test_played_days_leave_the_clock_where_they_end() -> None:
    async with simulated() as client:
        before = client.org.clock.now_ms()
        answer = await client.control("play", {"days": 1})
        assert answer["changed"] > 0
        assert client.org.clock.now_ms() - before >= 86_400_000


async def test_a_drip_runs_beside_the_answers_and_ends() -> None:
    async with simulated() as client:
        await client.control("drip", {"rate": 100, "seconds": 0.5})
        assert (await client.get("/simulator/status"))["dripping"]
        await until(lambda: len(client.org.truth) >= 10)
        status = await client.control("drip", {"rate": 100, "seconds": 0.2, "wait": True})
        assert status["changed"] >= 10


async def test_a_scenario_runs_live_or_at_once() -> None:
    async with simulated() as client:
        body = {"name": "runaway_flow", "records": 10, "chunk": 5, "interval_ms": 10}
        at_once = await client.control("scenario", {**body, "live": False})
        assert (at_once["records"], len(at_once["transaction_keys"])) == (10, 2)
        live = await client.control("scenario", {**body, "wait": True})
        assert live["ended_at"] >= live["started_at"]
        status, _, answer = await client.send("POST", "/simulator/scenario", json={"name": "nonsense"})
        assert (status, "known: " in answer["error"]) == (400, True)


async def test_faults_are_set_listed_and_cleared() -> None:
    async with simulated() as client:
        await client.control("faults", {"name": "slow", "ms": 1, "times": 3})
        [fault] = await client.get("/simulator/faults")
        assert fault == {"name": "slow", "parameters": {"ms": 1}, "left": 3}
        status, _, left = await client.send("DELETE", "/simulator/faults?name=slow")
        assert (status, left) == (200, [])
        status, _, answer = await client.send("POST", "/simulator/faults", json={"name": "nonsense"})
        assert status == 400
        assert "unknown fault" in answer["error"]


async def test_the_clock_is_read_moved_and_sped_up() -> None:
    async with simulated() as client:
        before = (await client.get("/simulator/clock"))["now_ms"]
        answer = await client.control("clock", {"advance_ms": 60_000, "speed": 0})
        assert answer["now_ms"] >= before + 60_000
        assert answer["speed"] == 0


async def test_a_schema_change_gives_later_events_another_schema_and_earlier_ones_keep_theirs() -> None:
    async with simulated() as client:
        touch(client, 1)
        before = client.org.current_schema("Account")
        answer = await client.control(
            "schema", {"entity": "Account", "add": ["Zone__c Text"], "remove": ["Fax"]}
        )
        touch(client, 1)
        old, new = await client.subscribe().events(2)
        assert (old.event.schema_id, new.event.schema_id) == (before, answer["schema_id"])
        for event in (old, new):
            request = pb.SchemaRequest(schema_id=event.event.schema_id)
            assert (await client.stub.GetSchema(request, metadata=client.metadata)).schema_json


async def test_a_given_payload_is_served_byte_for_byte_with_its_own_schema() -> None:
    schema = json.dumps({"type": "record", "name": "AccountChangeEvent", "fields": []})
    async with simulated() as client:
        body = {
            "topic": ACCOUNTS,
            "schema_json": schema,
            "schema_id": "captured-schema-000001",
            "payload_base64": "AAEC/w==",
            "event_id": "captured",
            "record_ids": ["001000000000001AAA"],
        }
        await client.control("raw", body)
        [event] = await client.subscribe().events(1)
        assert (event.event.id, event.event.payload) == ("captured", b"\x00\x01\x02\xff")
        request = pb.SchemaRequest(schema_id="captured-schema-000001")
        info = await client.stub.GetSchema(request, metadata=client.metadata)
        assert info.schema_json == schema
        assert (await lines(client, "/simulator/truth/pairs")) == [["captured", "001000000000001AAA"]]


async def test_what_control_does_not_understand_is_said_in_a_sentence() -> None:
    async with simulated() as client:
        for path, body in (
            ("commit", {}),
            ("commit", {"changes": [{"entity": "Account", "record_id": "001", "values": {"No": 1}}]}),
            ("play", {"days": -1}),
            ("drip", {}),
            ("schema", {"entity": "Account", "remove": ["Nonsense"]}),
            ("raw", {"topic": CHANGES, "schema_json": {}, "payload_base64": ""}),
            ("knobs", {"nonsense": 1}),
            ("jwt-key", {"pem": "nonsense"}),
        ):
            status, _, answer = await client.send("POST", f"/simulator/{path}", json=body)
            assert (status, bool(answer["error"])) == (400, True), path


async def test_knobs_are_changed_one_by_one() -> None:
    async with simulated() as client:
        answer = await client.control("knobs", {"gap_share": 1.0, "hidden_fields": ["Account.Fax"]})
        assert (answer["gap_share"], answer["commit_jitter_ms"]) == (1.0, 0)
        touch(client, 1)
        assert client.org.truth.changes()[-1].kind == "GAP_UPDATE"


async def test_platform_events_can_be_published_by_control() -> None:
    async with simulated() as client:
        body = {"name": "Order__e", "values": {"Order_Number__c": "A-1"}}
        made = await client.control("platform-event", body)
        [event] = await client.subscribe("/event/Order__e").events(1)
        assert (event.event.id, event.replay_id.hex()) == (made["event_id"], made["replay_id"])


def test_only_this_machine_is_answered() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("192.0.2.7")
    assert not is_loopback("")


# TLS


async def test_over_tls_both_servers_are_trusted_by_the_made_authority_and_by_nothing_else(
    tmp_path: Path,
) -> None:
    async with running_simulator(plan=SMALL, tls_dir=tmp_path / "tls") as simulator:
        ready = simulator.ready
        assert ready["http"].startswith("https://")
        context = ssl.create_default_context(cafile=ready["ca_file"])
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
            token = (await login(http, simulator))["access_token"]
        metadata = (
            ("accesstoken", token),
            ("instanceurl", ready["http"]),
            ("tenantid", ready["org_id"]),
        )
        roots = Path(ready["ca_file"]).read_bytes()
        credentials = grpc.ssl_channel_credentials(roots)
        async with grpc.aio.secure_channel(ready["pubsub"], credentials) as channel:
            topic = channel.unary_unary(
                "/eventbus.v1.PubSub/GetTopic",
                request_serializer=pb.TopicRequest.SerializeToString,
                response_deserializer=pb.TopicInfo.FromString,
            )
            info = await topic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=metadata)
            assert info.can_subscribe
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(ready["http"] + "/services/data/")


async def test_a_restart_with_the_same_directory_keeps_its_certificates(tmp_path: Path) -> None:
    async with running_simulator(plan=SMALL, tls_dir=tmp_path) as simulator:
        first = Path(simulator.ready["ca_file"]).read_bytes()
    async with running_simulator(plan=SMALL, tls_dir=tmp_path) as simulator:
        assert Path(simulator.ready["ca_file"]).read_bytes() == first
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ca.pem", "server.key", "server.pem"]


# Starting and stopping


@pytest.mark.parametrize("option", ["listen", "pubsub_listen"])
async def test_a_port_that_is_taken_is_named(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PortTaken, match=address):
            async with running_simulator(plan=SMALL, **{option: address}):
                pass


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "nonsense"},
        {"pubsub_listen": "0.0.0.0:0"},
        {"faults": ("nonsense",)},
        {"faults": ("slow:ms",)},
        {"jwt_keys": ("nonsense",)},
    ],
)
async def test_an_option_that_cannot_be_used_is_refused_before_anything_listens(
    options: dict[str, Any],
) -> None:
    with pytest.raises(SettingsError):
        async with running_simulator(plan=SMALL, **options):
            pass


def test_a_workload_file_says_what_the_org_is_and_lives_through(tmp_path: Path) -> None:
    file = tmp_path / "workload.toml"
    file.write_text(
        'users = 9\nrecords = 70\ndays = 1.5\ndrip = 2\nknobs = "cruel"\n'
        '[[scenarios]]\nname = "runaway_flow"\nafter_s = 3\nrecords = 5\n'
    )
    plan = read_plan(file)
    assert (plan.users, plan.records, plan.days, plan.drip) == (9, 70, 1.5, 2.0)
    assert plan.knobs.gap_share > 0
    assert plan.scenarios == (PlannedScenario("runaway_flow", 3.0, {"records": 5}),)
    assert plan_of({"knobs": {"gap_share": 0.5}}).knobs.gap_share == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "unknown = 1",
        'users = "many"',
        'knobs = "odd"',
        '[[scenarios]]\nname = "odd"',
        "days = -1",
    ],
)
def test_a_workload_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "workload.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"workload\.toml"):
        read_plan(file)


async def test_planned_scenarios_and_drips_begin_by_themselves() -> None:
    plan = Plan(users=8, records=60, drip=50, scenarios=(PlannedScenario("runaway_flow", 0, {"records": 4}),))
    async with running_simulator(plan=plan) as simulator:
        await until(lambda: len(simulator.org.truth) > 10)
        users = {change.user_id for change in simulator.org.truth.changes()}
        assert len(users) > 1


async def test_live_streams_do_not_keep_it_from_stopping() -> None:
    async with simulated() as client:
        stream = client.subscribe()
        await stream.read()
        async with asyncio.timeout(5):
            await client.simulator.stop()
        assert (await stream.failure()).status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def program(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "connectors.simulator", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_program_says_where_it_is_and_ends_on_sigterm(tmp_path: Path) -> None:
    workload = tmp_path / "workload.json"
    workload.write_text(json.dumps({"users": 8, "records": 60}))
    process = program(
        "--listen", "127.0.0.1:0", "--pubsub-listen", "127.0.0.1:0", "--workload", str(workload),
        "--seed", "3", "--ready-json",
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert {"http", "pubsub", "client_id", "client_secret", "org_id"} <= set(ready)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")
    finally:
        process.kill()


def test_the_program_says_in_one_sentence_that_a_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = program("--listen", address, "--pubsub-listen", "127.0.0.1:0")
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert address in said


async def test_a_plan_gives_an_org_its_automation_and_control_lists_what_is_known(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        'records = 60\n[[automation]]\nkind = "validation"\nname = "No"\nentity = "Lead"\n'
        'condition = "Rating = \'Cold\'"\nmessage = "never"\n'
    )
    async with simulated(plan=read_plan(file)) as client:
        assert [rule["name"] for rule in await client.get("/simulator/automation")] == ["No"]
        known = await client.get("/simulator/known")
        assert {"runaway_flow", "flow_while_editing", "deployment", "access_mistake", "cascade"} <= set(
            known["scenarios"]
        )
        assert "black_hole" in known["faults"]
    file.write_text('automation = "standard"\n')
    async with simulated(plan=read_plan(file)) as client:
        assert len(await client.get("/simulator/automation")) == 5
    file.write_text(
        '[[automation]]\nkind = "validation"\nname = "No"\nentity = "Nothing"\ncondition = ""\nmessage = ""\n'
    )
    with pytest.raises(SettingsError, match="Nothing"):
        async with simulated(plan=read_plan(file)):
            pass
