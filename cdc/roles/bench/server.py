"""The Pub/Sub API and nothing behind it: prepared answers, sent against credit, in a process of its own.

    python -m cdc.roles.bench.server EVENTS_FILE

The file holds the events (pickled by the bench that starts it). The first line on stdout is the address.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from cdc.roles.bench.events import SCHEMA_ID, Events, schema_json
from schemas.eventbus.v1 import pubsub_pb2 as pb

EVENTS_PER_RESPONSE = 50  # half of the credit, so that the next request travels while events do
SERVICE = "eventbus.v1.PubSub"


def responses(events: Events) -> list[bytes]:
    """The events as answers, serialised once."""
    out = []
    count = len(events.payloads)
    for begin in range(0, count, EVENTS_PER_RESPONSE):
        end = min(count, begin + EVENTS_PER_RESPONSE)
        consumer = [
            pb.ConsumerEvent(
                event=pb.ProducerEvent(
                    id=events.event_ids[n], schema_id=SCHEMA_ID, payload=events.payloads[n]
                ),
                replay_id=events.replay_ids[n],
            )
            for n in range(begin, end)
        ]
        answer = pb.FetchResponse(events=consumer, latest_replay_id=events.replay_ids[end - 1])
        out.append(answer.SerializeToString())
    return out


async def serve(prepared: list[bytes]) -> None:
    """Serve until the process ends."""

    async def subscribe(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[bytes]:
        owed, sent, asked = 0, 0, asyncio.Event()

        async def take() -> None:
            nonlocal owed
            async for request in requests:
                owed = min(100, owed + request.num_requested)
                asked.set()

        taking = asyncio.create_task(take())
        try:
            while sent < len(prepared):
                while owed < EVENTS_PER_RESPONSE:
                    asked.clear()
                    await asked.wait()
                owed -= EVENTS_PER_RESPONSE
                yield prepared[sent]
                sent += 1
            await asyncio.Event().wait()
        finally:
            taking.cancel()

    async def schema(request: Any, context: Any) -> Any:
        return pb.SchemaInfo(schema_id=request.schema_id, schema_json=schema_json())

    async def topic(request: Any, context: Any) -> Any:
        return pb.TopicInfo(topic_name=request.topic_name, can_subscribe=True, schema_id=SCHEMA_ID)

    handlers: dict[str, Any] = {
        "Subscribe": grpc.stream_stream_rpc_method_handler(subscribe, pb.FetchRequest.FromString, None),
        "GetSchema": grpc.unary_unary_rpc_method_handler(
            schema, pb.SchemaRequest.FromString, pb.SchemaInfo.SerializeToString
        ),
        "GetTopic": grpc.unary_unary_rpc_method_handler(
            topic, pb.TopicRequest.FromString, pb.TopicInfo.SerializeToString
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(responses(pickle.loads(Path(sys.argv[1]).read_bytes()))))  # noqa: S301  written by our parent
