"""The Pub/Sub API and nothing behind it: prepared answers, sent against credit, in a process of its own.

    python -m cdc.roles.bench.server EVENTS_FILE [--round-trip-ms N] [--rate N] [--total N] [--sent FILE]

The file holds the events (pickled by the bench that starts it); they are sent again and again up to `--total`, at most
`--rate` a second, each request for more taken up after `--round-trip-ms`. `--sent` gets, for each answer, how many
events were sent with it and the clock (CLOCK_MONOTONIC, one for all processes). The first line on stdout is the address.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import struct
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from cdc.roles.bench.events import SCHEMA_ID, Events, schema_json
from schemas.eventbus.v1 import pubsub_pb2 as pb

EVENTS_PER_RESPONSE = 50  # half of the credit, so that the next request travels while events do
SERVICE = "eventbus.v1.PubSub"
SENT: Final = struct.Struct("<qd")
"""One line of `--sent`: events sent so far, seconds of the monotonic clock."""


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


async def serve(prepared: list[bytes], given: argparse.Namespace) -> None:
    """Serve until the process ends."""
    total = given.total // EVENTS_PER_RESPONSE or len(prepared)
    log = Path(given.sent).open("ab", buffering=0) if given.sent else None  # noqa: ASYNC230, SIM115

    async def subscribe(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[bytes]:
        owed, sent, asked = 0, 0, asyncio.Event()

        def add(number: int) -> None:
            nonlocal owed
            owed = min(100, owed + number)
            asked.set()

        async def take() -> None:
            async for request in requests:
                if given.round_trip_ms:
                    loop = asyncio.get_running_loop()
                    loop.call_later(given.round_trip_ms / 1000, add, request.num_requested)
                else:
                    add(request.num_requested)

        taking, began_s = asyncio.create_task(take()), time.monotonic()
        try:
            while sent < total:
                while owed < EVENTS_PER_RESPONSE:
                    asked.clear()
                    await asked.wait()
                owed -= EVENTS_PER_RESPONSE
                sent += 1
                if given.rate:
                    early_s = sent * EVENTS_PER_RESPONSE / given.rate - (time.monotonic() - began_s)
                    if early_s > 0:
                        await asyncio.sleep(early_s)
                if log is not None:
                    log.write(SENT.pack(sent * EVENTS_PER_RESPONSE, time.monotonic()))
                yield prepared[(sent - 1) % len(prepared)]
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("events")
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--total", type=int, default=0)
    parser.add_argument("--sent", default="")
    return parser.parse_args()


if __name__ == "__main__":
    told = _arguments()
    asyncio.run(serve(responses(pickle.loads(Path(told.events).read_bytes())), told))  # noqa: S301  written by our parent
