"""What KafkaLog is told, and what it tells librdkafka."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc.log.topics import VALUE_BYTES_MAX

RETENTION_DEFAULT_MS = 14 * 24 * 3_600_000

MESSAGE_TIMEOUT_MS = 30_000  # below the transaction's, so that the client gives up before the broker does
TRANSACTION_TIMEOUT_MS = 60_000  # how long a killed writer may hold back readers, if nobody takes its place

LOGGER = logging.getLogger("cdc.log.kafka")


@dataclass(frozen=True, slots=True)
class KafkaLogOptions:
    """`properties` go to librdkafka as they are (SASL, TLS); what the promises rest on cannot be changed by them."""

    bootstrap_servers: str = "localhost:9092"
    topic_prefix: str = ""
    partitions: int = 6
    replication_factor: int = 1
    retention_ms: int = RETENTION_DEFAULT_MS
    properties: Mapping[str, str] = field(default_factory=dict)

    def prefix(self, org: str) -> str:
        """`topic_prefix`, or `salesforce.<org>`; also the transactional id, so: one capture per prefix."""
        return self.topic_prefix or f"salesforce.{org}"


def admin_config(options: KafkaLogOptions) -> dict[str, Any]:
    return {**options.properties, "bootstrap.servers": options.bootstrap_servers, "logger": LOGGER}


def producer_config(options: KafkaLogOptions) -> dict[str, Any]:
    """Of both producers. Idempotent: a message sent twice after a lost answer is stored once."""
    return {
        # A batch of 5,000 records of 0.5 KB leaves in a few requests; a commit does not wait for the linger.
        "linger.ms": 5,
        "batch.size": 1_000_000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 131_072,
        **admin_config(options),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # as Java clients do it
        "message.max.bytes": VALUE_BYTES_MAX + 64 * 1024,
        "message.timeout.ms": MESSAGE_TIMEOUT_MS,
        "delivery.report.only.error": True,
    }


def transactional_config(options: KafkaLogOptions, prefix: str, owner: str) -> dict[str, Any]:
    return {
        **producer_config(options),
        "client.id": f"cdc {owner}".strip(),
        "transactional.id": prefix,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    }


def consumer_config(options: KafkaLogOptions, prefix: str, *, short: bool) -> dict[str, Any]:
    """Partitions are assigned by hand and offsets live in the reader's own store; the group is only a name.

    A `short` reading ends at the end: there the broker is not to wait for more before it says so.
    """
    return {
        "fetch.wait.max.ms": 10 if short else 500,
        # Little of each partition at a time, so that none runs far ahead of the order.
        "fetch.message.max.bytes": 256 * 1024,
        "queued.max.messages.kbytes": 65_536,
        # A reader slower than the broker fills the client's queue; by default it then waits a second for each
        # partition before it asks again, and the ordinal that is next may be in any of them.
        "fetch.queue.backoff.ms": 20,
        **admin_config(options),
        "group.id": f"{prefix}.reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        # Retention may have passed a checkpoint by: what is left is read, and the ordinals show the hole.
        "auto.offset.reset": "earliest",
    }
