"""The simulated Pub/Sub API keeps the rules of the real one, on real sockets."""

from __future__ import annotations

import asyncio
import io
import json

import fastavro
import grpc
import grpc.aio
import pytest

from connectors.simulator.knobs import Knobs
from connectors.simulator.plan import Plan
from schemas.eventbus.v1 import pubsub_pb2 as pb
from tests.integration.simulator_client import (
    ACCOUNTS,
    CHANGES,
    Client,
    Stream,
    failing,
    simulated,
    touch,
    until,
)

ORDERS = "/event/Order__e"


async def test_a_stream_never_delivers_more_than_its_credit() -> None:
    async with simulated() as client:
        touch(client, 30)
        stream = client.subscribe(credit=7)
        first = await stream.events(7)
        assert len(first) == 7
        await stream.more(5)
        assert len(await stream.events(5)) == 5


async def test_credit_adds_up_and_is_capped_at_a_hundred() -> None:
    async with simulated() as client:
        stream = client.subscribe(credit=90)
        keepalive = await stream.read()
        assert keepalive.pending_num_requested == 90
        await stream.more(90)
        await until(lambda: client.simulator.wire.streams_open)
        assert (await stream.read()).pending_num_requested == 100


async def test_pending_says_what_is_still_owed_after_a_response() -> None:
    async with simulated() as client:
        touch(client, 12)
        response = await client.subscribe(credit=20).read()
        assert len(response.events) + response.pending_num_requested == 20
        assert response.rpc_id


async def test_a_quiet_stream_gets_empty_responses_with_a_position_that_can_be_resumed_from() -> None:
    async with simulated() as client:
        keepalive = await client.subscribe(replay_preset=pb.LATEST).read()
        assert not keepalive.events
        assert len(keepalive.latest_replay_id) == 10
        touched = touch(client, 3)
        resumed = client.subscribe(replay_preset=pb.CUSTOM, replay_id=keepalive.latest_replay_id)
        events = await resumed.events(3)
        assert len(events) == len(touched)


async def test_custom_starts_strictly_after_the_position() -> None:
    async with simulated() as client:
        touch(client, 10)
        events = await client.subscribe().events(10)
        again = client.subscribe(replay_preset=pb.CUSTOM, replay_id=events[3].replay_id)
        assert [one.event.id for one in await again.events(6)] == [one.event.id for one in events[4:]]


async def test_a_position_of_eight_bytes_is_taken_as_the_same() -> None:
    async with simulated() as client:
        touch(client, 4)
        events = await client.subscribe().events(4)
        again = client.subscribe(replay_preset=pb.CUSTOM, replay_id=events[0].replay_id[:8])
        assert [one.event.id for one in await again.events(3)] == [one.event.id for one in events[1:]]


async def test_latest_delivers_only_what_comes_later() -> None:
    async with simulated() as client:
        touch(client, 3)
        stream = client.subscribe(replay_preset=pb.LATEST)
        await stream.read()
        touch(client, 2)
        assert len(await stream.events(2)) == 2


async def test_a_stream_without_credit_is_closed_after_the_idle_time() -> None:
    async with simulated() as client:
        touch(client, 2)
        stream = client.subscribe(credit=2)
        await stream.events(2)
        assert await stream.read() is grpc.aio.EOF
        assert await stream.call.code() == grpc.StatusCode.OK


async def test_asking_in_time_keeps_the_stream_open() -> None:
    async with simulated() as client:
        touch(client, 1)
        stream = client.subscribe(credit=1)
        await stream.events(1)
        await stream.more(1)
        touch(client, 1)
        assert len(await stream.events(1)) == 1


async def test_a_stream_on_which_nothing_is_asked_is_closed() -> None:
    async with simulated() as client:
        silent = Stream(client.stub.Subscribe(metadata=client.metadata))
        assert await silent.read() is grpc.aio.EOF


async def test_another_topic_in_the_same_stream_is_refused() -> None:
    async with simulated() as client:
        stream = client.subscribe()
        await stream.more(5, topic=CHANGES)
        failure = await stream.failure()
        assert (failure.status, failure.code) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.topic.mismatch",
        )
        assert "rpcId: " in failure.text


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (
            {"num_requested": 0},
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.requested.events.invalid",
        ),
        (
            {"num_requested": -3},
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.requested.events.invalid",
        ),
        ({"topic_name": "/data/NoSuchChangeEvent"}, grpc.StatusCode.NOT_FOUND, "topic.not.found"),
        ({"topic_name": ""}, grpc.StatusCode.INVALID_ARGUMENT, "topic.validation.empty"),
        (
            {"replay_preset": pb.CUSTOM},
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.replayid.validation.failed",
        ),
        (
            {"replay_preset": pb.CUSTOM, "replay_id": b"nonsense"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.replayid.corrupted",
        ),
    ],
)
async def test_a_request_that_may_not_be_is_refused_by_its_code(
    request_: dict[str, object], status: grpc.StatusCode, code: str
) -> None:
    async with simulated() as client:
        stream = Stream(client.stub.Subscribe(metadata=client.metadata))
        await stream.ask(pb.FetchRequest(**{"topic_name": ACCOUNTS, "num_requested": 1, **request_}))
        failure = await stream.failure()
        assert (failure.status, failure.code) == (status, code)


async def test_a_position_older_than_the_retention_is_refused() -> None:
    async with simulated() as client:
        touch(client, 1)
        [event] = await client.subscribe().events(1)
        client.org.clock.advance(client.org.knobs.retention_ms + 60_000)
        stream = client.subscribe(replay_preset=pb.CUSTOM, replay_id=event.replay_id)
        assert (await stream.failure()).code == "subscription.fetch.replayid.corrupted"


@pytest.mark.parametrize("missing", ["accesstoken", "instanceurl", "tenantid"])
async def test_a_call_without_its_headers_is_unauthenticated(missing: str) -> None:
    async with simulated() as client:
        metadata = tuple(pair for pair in client.metadata if pair[0] != missing)
        failure = await failing(client.stub.GetTopic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=metadata))
        assert failure.status == grpc.StatusCode.UNAUTHENTICATED
        assert failure.code == "service.auth.headers.invalid"


async def test_a_token_that_is_not_known_is_an_auth_error() -> None:
    async with simulated() as client:
        metadata = (("accesstoken", "00D!other"), *client.metadata[1:])
        failure = await failing(client.stub.GetTopic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=metadata))
        assert (failure.status, failure.code) == (grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")


async def test_a_revoked_session_ends_its_live_streams() -> None:
    async with simulated() as client:
        stream = client.subscribe()
        await stream.read()
        url = client.url + "/services/oauth2/revoke"
        async with client.session.post(url, data={"token": client.token}) as answer:
            assert answer.status == 200
        assert (await stream.failure()).code == "service.auth.error"


async def test_a_token_that_runs_out_does_not_end_a_live_stream() -> None:
    async with simulated(times={"token_lifetime_s": 0.4}) as client:
        stream = client.subscribe()
        for _ in range(3):
            assert await stream.read() is not grpc.aio.EOF
        failure = await failing(
            client.stub.GetTopic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=client.metadata)
        )
        assert failure.code == "service.auth.error"
        touch(client, 1)
        assert len(await stream.events(1)) == 1


async def test_events_decode_with_the_schema_they_name_and_say_what_was_changed() -> None:
    async with simulated() as client:
        [record_id] = touch(client, 1)
        [event] = await client.subscribe().events(1)
        info = await client.stub.GetSchema(
            pb.SchemaRequest(schema_id=event.event.schema_id), metadata=client.metadata
        )
        schema = fastavro.parse_schema(json.loads(info.schema_json))
        body = fastavro.schemaless_reader(io.BytesIO(event.event.payload), schema, None)
        assert isinstance(body, dict)
        assert body["ChangeEventHeader"]["recordIds"] == [record_id]
        assert body["Phone"] == client.org.truth.changes()[-1].changed["Phone"]


async def test_a_topic_of_one_entity_names_its_schema_and_a_channel_of_many_does_not() -> None:
    async with simulated() as client:
        one = await client.stub.GetTopic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=client.metadata)
        many = await client.stub.GetTopic(pb.TopicRequest(topic_name=CHANGES), metadata=client.metadata)
        assert one.can_subscribe
        assert one.schema_id == client.org.current_schema("Account")
        assert many.can_subscribe
        assert many.schema_id == ""
        assert not one.can_publish


async def test_a_schema_id_never_given_is_refused() -> None:
    async with simulated() as client:
        failure = await failing(
            client.stub.GetSchema(
                pb.SchemaRequest(schema_id="AAAAAAAAAAAAAAAAAAAAAA"), metadata=client.metadata
            )
        )
        assert failure.code == "schema.validation.failed"


# Faults


async def test_a_reset_stream_ends_without_a_code_after_as_many_events_as_the_fault_says() -> None:
    async with simulated(faults=("stream_reset:after=4,times=1",)) as client:
        touch(client, 10)
        stream = client.subscribe()
        assert len(await stream.events(4)) == 4
        failure = await stream.failure()
        assert (failure.status, failure.code) == (grpc.StatusCode.UNAVAILABLE, "")
        assert "RST_STREAM" in failure.text
        assert len(await client.subscribe().events(10)) == 10


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("unavailable", "service.unavailable"),
        ("delivery_limit", "subscription.limit.exceeded"),
        ("token_revoked", "service.auth.error"),
    ],
)
async def test_a_fault_of_the_service_ends_live_streams_by_its_code(fault: str, code: str) -> None:
    async with simulated() as client:
        stream = client.subscribe()
        await stream.read()
        client.org.faults.set(fault)
        assert (await stream.failure()).code == code


async def test_an_org_that_has_had_all_its_events_gets_no_more() -> None:
    plan = Plan(users=8, records=60, knobs=Knobs(delivered_max=5))
    async with simulated(plan=plan) as client:
        touch(client, 9)
        stream = client.subscribe()
        assert len(await stream.events(5)) == 5
        failure = await stream.failure()
        assert failure.code == "subscription.limit.exceeded"
        assert "event delivery limit" in failure.text


async def test_a_stored_position_can_be_made_to_expire() -> None:
    async with simulated(faults=("replay_expired",)) as client:
        touch(client, 2)
        [event, _] = await client.subscribe().events(2)
        stream = client.subscribe(replay_preset=pb.CUSTOM, replay_id=event.replay_id)
        assert (await stream.failure()).code == "subscription.fetch.replayid.corrupted"


async def test_under_keepalive_only_events_wait_until_the_fault_is_cleared() -> None:
    async with simulated(faults=("keepalive_only",)) as client:
        touch(client, 3)
        stream = client.subscribe()
        assert not (await stream.read()).events
        client.org.faults.clear()
        assert len(await stream.events(3)) == 3


async def test_withheld_credit_delivers_fewer_events_between_two_keepalives() -> None:
    async with simulated(faults=("credit_withheld:max=2",)) as client:
        touch(client, 6)
        stream = client.subscribe()
        sizes = [len((await stream.read()).events) for _ in range(4)]
        assert sizes == [2, 0, 2, 0]


async def test_an_entity_the_user_may_not_see_is_refused_alone_and_left_out_of_a_channel_of_many() -> None:
    async with simulated(faults=("no_permission:entity=Account",)) as client:
        touch(client, 2)
        touch(client, 1, entity="Contact")
        topic = await client.stub.GetTopic(pb.TopicRequest(topic_name=ACCOUNTS), metadata=client.metadata)
        assert not topic.can_subscribe
        assert (await client.subscribe().failure()).code == "subscription.topic.cannot.subscribe"
        [event] = await client.subscribe(CHANGES).events(1)
        assert event.event.schema_id == client.org.current_schema("Contact")


async def test_an_unknown_schema_can_be_pretended() -> None:
    async with simulated(faults=("schema_unknown:times=1",)) as client:
        request = pb.SchemaRequest(schema_id=client.org.current_schema("Account"))
        assert (await failing(client.stub.GetSchema(request, metadata=client.metadata))).code == (
            "schema.validation.failed"
        )
        assert (await client.stub.GetSchema(request, metadata=client.metadata)).schema_json


# Publishing


def order(client: Client, number: str) -> bytes:
    schema = fastavro.parse_schema(json.loads(client.org.schema(client.org.current_schema("Order__e"))))
    out = io.BytesIO()
    fastavro.schemaless_writer(
        out, schema, {"CreatedDate": 1, "CreatedById": "005000000000001AAA", "Order_Number__c": number}
    )
    return out.getvalue()


async def test_a_published_event_reaches_its_subscribers_as_it_was_sent() -> None:
    async with simulated() as client:
        info = await client.stub.GetTopic(pb.TopicRequest(topic_name=ORDERS), metadata=client.metadata)
        assert info.can_publish
        event = pb.ProducerEvent(id="key-1", schema_id=info.schema_id, payload=order(client, "A-1"))
        answer = await client.stub.Publish(
            pb.PublishRequest(topic_name=ORDERS, events=[event]), metadata=client.metadata
        )
        [delivered] = await client.subscribe(ORDERS).events(1)
        assert delivered.event.payload == event.payload
        assert delivered.replay_id == answer.results[0].replay_id
        assert answer.results[0].correlation_key == "key-1"


async def test_one_bad_event_of_a_request_fails_alone() -> None:
    async with simulated() as client:
        schema_id = client.org.current_schema("Order__e")
        events = [
            pb.ProducerEvent(id="good", schema_id=schema_id, payload=order(client, "A-1")),
            pb.ProducerEvent(id="large", schema_id=schema_id, payload=bytes(1_000_001)),
            pb.ProducerEvent(id="other", schema_id="nonsense", payload=b"x"),
        ]
        answer = await client.stub.Publish(
            pb.PublishRequest(topic_name=ORDERS, events=events), metadata=client.metadata
        )
        assert [bool(result.error.msg) for result in answer.results] == [False, True, True]
        assert {result.error.code for result in answer.results[1:]} == {pb.PUBLISH}


async def test_a_publish_stream_answers_each_request_and_ends_when_none_comes() -> None:
    async with simulated(times={"publish_idle_s": 0.6}) as client:
        schema_id = client.org.current_schema("Order__e")
        event = pb.ProducerEvent(id="1", schema_id=schema_id, payload=order(client, "A-1"))
        stream = Stream(client.stub.PublishStream(metadata=client.metadata))
        for _ in range(2):
            await stream.ask(pb.PublishRequest(topic_name=ORDERS, events=[event]))
            assert len((await stream.read()).results) == 1
        assert (await stream.failure()).code == "publish.stream.sweeper.timeout"


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("", "publish.topic.validation.empty"),
        (ACCOUNTS, "topic.meta.permission"),
        ("/event/No__e", "topic.not.found"),
        (ORDERS, "publish.event.count.invalid"),
    ],
)
async def test_what_cannot_be_published_is_refused(topic: str, code: str) -> None:
    async with simulated() as client:
        call = client.stub.Publish(pb.PublishRequest(topic_name=topic), metadata=client.metadata)
        assert (await failing(call)).code == code


# Managed subscriptions


async def managed(client: Client, **metadata: str) -> str:
    status, _, body = await client.send(
        "POST",
        "/services/data/v66.0/tooling/sobjects/ManagedEventSubscription",
        json={
            "FullName": "Recorder",
            "Metadata": {"topicName": ACCOUNTS, "defaultReplay": "EARLIEST", "state": "RUN", **metadata},
        },
    )
    assert status == 201, body
    return str(body["id"])


async def test_a_managed_subscription_goes_on_after_the_committed_position() -> None:
    async with simulated() as client:
        await managed(client)
        touch(client, 6)
        first = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await first.ask(pb.ManagedFetchRequest(developer_name="Recorder", num_requested=6))
        events = await first.events(6)
        await first.ask(
            pb.ManagedFetchRequest(
                commit_replay_id_request=pb.CommitReplayRequest(
                    commit_request_id="one", replay_id=events[2].replay_id
                )
            )
        )
        answer = await first.read()
        assert answer.commit_response.commit_request_id == "one"
        assert not answer.commit_response.HasField("error")
        first.call.cancel()
        await until(lambda: not client.simulator.wire.streams_open)
        second = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await second.ask(pb.ManagedFetchRequest(developer_name="Recorder", num_requested=3))
        assert [one.event.id for one in await second.events(3)] == [one.event.id for one in events[3:]]


async def test_a_commit_that_may_not_be_is_an_answer_and_does_not_end_the_stream() -> None:
    async with simulated() as client:
        subscription_id = await managed(client)
        touch(client, 1)
        stream = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await stream.ask(pb.ManagedFetchRequest(subscription_id=subscription_id, num_requested=1))
        await stream.events(1)
        for replay_id in (b"", b"\xff" * 8 + b"\x00\x00"):
            commit = pb.CommitReplayRequest(commit_request_id="x", replay_id=replay_id)
            await stream.ask(pb.ManagedFetchRequest(commit_replay_id_request=commit))
            assert (await stream.read()).commit_response.error.code == pb.COMMIT
        await stream.ask(pb.ManagedFetchRequest(num_requested=1))
        touch(client, 1)
        assert len(await stream.events(1)) == 1


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "id.or.developer.name.empty"),
        (
            {"developer_name": "Recorder", "subscription_id": "18x000000000001AAA"},
            "id.or.developer.name.empty",
        ),
        ({"developer_name": "Nobody"}, "developer.name.not.found"),
        ({"subscription_id": "short"}, "subscription.id.invalid"),
        ({"subscription_id": "18x000000000099"}, "subscription.id.not.found"),
    ],
)
async def test_a_managed_request_that_names_nothing_good_is_refused(
    request_: dict[str, str], code: str
) -> None:
    async with simulated() as client:
        await managed(client)
        stream = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await stream.ask(pb.ManagedFetchRequest(num_requested=1, **request_))
        assert (await stream.failure()).code == f"managed.subscription.{code}"


async def test_a_managed_subscription_has_one_consumer_and_ends_when_it_is_stopped() -> None:
    async with simulated() as client:
        subscription_id = await managed(client)
        stream = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await stream.ask(pb.ManagedFetchRequest(developer_name="Recorder", num_requested=1))
        await stream.read()
        other = Stream(client.stub.ManagedSubscribe(metadata=client.metadata))
        await other.ask(pb.ManagedFetchRequest(developer_name="Recorder", num_requested=1))
        assert (await other.failure()).code == "managed.subscription.already.active"
        await client.send(
            "PATCH",
            f"/services/data/v66.0/tooling/sobjects/ManagedEventSubscription/{subscription_id}",
            json={"Metadata": {"state": "STOP"}},
        )
        assert (await stream.failure()).code == "managed.subscription.config.stopped"


async def test_two_subscribers_of_a_channel_get_the_same_events_in_the_same_order() -> None:
    async with simulated(plan=Plan(users=8, records=60, knobs=Knobs.cruel())) as client:
        client.simulator.workload.play(0.2)
        client.org.clock.advance(60_000)
        streams = [client.subscribe(CHANGES), client.subscribe(CHANGES)]
        one, two = await asyncio.gather(*(stream.events(20) for stream in streams))
        assert [e.event.id for e in one[:20]] == [e.event.id for e in two[:20]]
