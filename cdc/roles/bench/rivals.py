"""The usual ways, on the same events in the same run: a plain Python subscriber and a plain Arrow loop.

Both are written as their libraries' guides show it: an event is decoded with fastavro into a dictionary, and goes on as
JSON to a topic, or with ten thousand others as an Arrow table into DuckDB. Neither numbers, splits or keeps a position.
"""

from __future__ import annotations

import io
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any, Final

import duckdb
import fastavro
import grpc.aio
import pyarrow as pa
from confluent_kafka import Producer

from cdc.roles.bench.events import CHANNEL, Events, schema_json
from cdc.roles.bench.measure import Figure, Stopwatch, measured
from schemas.eventbus.v1 import pubsub_pb2 as pb
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

EVENTS_MAX: Final = 40_000
"""They are slow, and their rate does not change with the number."""

TABLE_ROWS: Final = 10_000


async def subscriber(address: str, count: int, servers: str) -> Figure:
    """Pub/Sub to Kafka, an event at a time; without a broker to nowhere."""
    wanted = min(count, EVENTS_MAX)
    schema = fastavro.parse_schema(json.loads(schema_json()))
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5}) if servers else None
    topic, figure = f"bench.rival.{uuid.uuid4().hex[:8]}", Figure("plain Python subscriber")
    async with grpc.aio.insecure_channel(address) as channel:
        call = stubs.PubSubStub(channel).Subscribe()  # type: ignore[no-untyped-call]
        watch = Stopwatch()
        await call.write(pb.FetchRequest(topic_name=CHANNEL, num_requested=100))
        while figure.changes < wanted:
            response = await call.read()
            for one in response.events:
                event = fastavro.schemaless_reader(io.BytesIO(one.event.payload), schema, None)
                text = json.dumps(event, default=str).encode()
                if producer is not None:
                    producer.produce(topic, text, event["ChangeEventHeader"]["recordIds"][0])
                    producer.poll(0)
                figure.changes += 1
            await call.write(pb.FetchRequest(num_requested=len(response.events)))
        if producer is not None:
            producer.flush(60)
        figure.wall_s, figure.cpu_s = watch.read()
        call.cancel()
    return figure


def arrow_loop(events: Events) -> Figure:
    """Avro bodies to a DuckDB table with a column a field, ten thousand at a time."""
    payloads = events.payloads[:EVENTS_MAX]
    schema = fastavro.parse_schema(json.loads(schema_json()))
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        connection: Any = duckdb.connect(str(Path(folder) / "rival.duckdb"))
        with measured("plain Arrow loop", len(payloads)) as figure:
            for begin in range(0, len(payloads), TABLE_ROWS):
                rows = [
                    fastavro.schemaless_reader(io.BytesIO(payload), schema, None)
                    for payload in payloads[begin : begin + TABLE_ROWS]
                ]
                table = pa.Table.from_pylist(rows)
                connection.register("new_rows", table)
                connection.execute(
                    "INSERT INTO events FROM new_rows" if begin else "CREATE TABLE events AS FROM new_rows"
                )
                connection.unregister("new_rows")
        connection.close()
    return figure
