"""The raw parts, with the same bytes: what a stage could reach at best if it did nothing of its own."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import grpc.aio
import pyarrow as pa
import pyruhvro
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from cdc.ports.columns import ColumnBatch
from cdc.ports.log import LogRecord
from cdc.roles.bench.events import CHANNEL, Events, schema_json
from cdc.roles.bench.measure import Figure, measured
from schemas.eventbus.v1 import pubsub_pb2 as pb
from schemas.eventbus.v1 import pubsub_pb2_grpc as stubs

TRANSACTION_RECORDS = 10_000
DECODE_ROWS = 10_000


async def grpc_receive(address: str, count: int) -> Figure:
    """Responses read and parsed, credit given back; nothing else."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = stubs.PubSubStub(channel).Subscribe()  # type: ignore[no-untyped-call]
        with measured("gRPC receive", count) as figure:
            await call.write(pb.FetchRequest(topic_name=CHANNEL, num_requested=100))
            got = 0
            while got < count:
                response = await call.read()
                got += len(response.events)
                await call.write(pb.FetchRequest(num_requested=len(response.events)))
        call.cancel()
    return figure


def kafka_produce(servers: str, records: Sequence[LogRecord]) -> Figure:
    """The same keys, values and headers, made ready beforehand, in transactions."""
    topic = f"bench.limit.{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 6, 1)])[topic].result(30)
    ready = [
        (
            r.value,
            r.key,
            [("ordinal", str(r.ordinal)), ("committed_at", str(r.committed_at)), ("channel", r.channel),
             ("event_id", r.event_id), ("replay_id", r.replay_id), ("schema_id", r.schema_id)],
        )
        for r in records
    ]  # fmt: skip
    settings = {"linger.ms": 5, "batch.size": 1_000_000, "compression.type": "lz4", "acks": "all"}
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic, **settings})
    producer.init_transactions(30)
    with measured("Kafka produce, transactions", len(ready)) as figure:
        for begin in range(0, len(ready), TRANSACTION_RECORDS):
            producer.begin_transaction()
            for value, key, headers in ready[begin : begin + TRANSACTION_RECORDS]:
                producer.produce(topic, value, key, headers=headers)
            producer.commit_transaction(60)
    return figure


def kafka_consume(servers: str, topic: str, count: int) -> Figure:
    """The changes capture wrote, read back in lists."""
    settings = {
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex, **settings})
    consumer.subscribe([topic])
    first = consumer.consume(1, 30)
    with measured("Kafka consume", count) as figure:
        got = len(first)
        while got < count:
            messages = consumer.consume(10_000, 0.1)
            got += sum(
                1 for m in messages if m.error() is None or m.error().code() == KafkaError._PARTITION_EOF
            )
    consumer.close()
    return figure


def arrow_decode(events: Events) -> Figure:
    """Whole bodies to Arrow by pyruhvro."""
    schema = schema_json()
    with measured("Avro to Arrow", len(events.payloads)) as figure:
        for begin in range(0, len(events.payloads), DECODE_ROWS):
            pyruhvro.deserialize_array(events.payloads[begin : begin + DECODE_ROWS], schema)
    return figure


def duckdb_insert(batches: Sequence[ColumnBatch], changes: int) -> Figure:
    """The columns of changes and fields into two plain tables of a file, a transaction for each batch."""
    with tempfile.TemporaryDirectory(prefix="cdc-bench-") as folder:
        connection: Any = duckdb.connect(str(Path(folder) / "limit.duckdb"), config={"threads": 2})
        connection.execute("SET checkpoint_threshold = '64MB'")
        for name, table in (("changes", batches[0].changes), ("fields", batches[0].fields)):
            connection.register("shape", table.slice(0, 0))
            connection.execute(f"CREATE TABLE {name} AS FROM shape")
        with measured("DuckDB insert", changes) as figure:
            for batch in batches:
                connection.execute("BEGIN")
                _insert(connection, "changes", batch.changes)
                _insert(connection, "fields", batch.fields)
                connection.execute("COMMIT")
        connection.close()
    return figure


def _insert(connection: Any, name: str, table: pa.Table) -> None:
    connection.register("rows", table)
    connection.execute(f"INSERT INTO {name} FROM rows")
    connection.unregister("rows")
