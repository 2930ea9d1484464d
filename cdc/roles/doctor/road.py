"""The log: a broker that takes transactions and keeps them long enough, or a file that can be written."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from cdc.log.kafka_options import admin_config, producer_config
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.roles.build import kafka_options
from cdc.roles.doctor.finding import FAIL, PASS, WARN, Finding
from cdc.settings import Settings
from cdc.settings_values import duration_s

TIMEOUT_S = 10.0
BUS_RETENTION_MS = 72 * 3_600_000
"""What is in our log has to outlast what Salesforce keeps, or a journal that was away cannot be fed."""


async def check(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    if settings.log.kind == "embedded":
        return _file(settings)
    found = await asyncio.to_thread(_kafka, settings)
    if settings.log.kafka.schema_registry_url:
        found += await _registry(settings)
    return found


def _file(settings: Settings) -> list[Finding]:
    path = Path(settings.log.path)
    folder = path.parent if str(path.parent) else Path()
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return [Finding("log", FAIL, f"{folder} is no folder this process may write to", "set log.path")]
    kept = duration_s(settings.log.retention) / 86_400
    return [Finding("log", PASS, f"embedded, {path}, kept for {kept:g} days")]


def _kafka(settings: Settings) -> list[Finding]:
    options = kafka_options(settings)
    where = options.bootstrap_servers
    admin = AdminClient(admin_config(options))
    try:
        listed = admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        what = f"no broker answers at {where}: {error.args[0].str()}"
        return [
            Finding(
                "kafka", FAIL, what, "start the broker, or set log.kafka.bootstrap_servers and properties"
            )
        ]
    found = [Finding("kafka", PASS, f"{len(listed.brokers)} brokers at {where}")]
    if settings.log.kafka.replication_factor > len(listed.brokers):
        found.append(
            Finding("replication", FAIL,
                    f"replication_factor {settings.log.kafka.replication_factor} and {len(listed.brokers)} brokers",
                    "set log.kafka.replication_factor")
        )  # fmt: skip
    prefix = settings.topic_prefix
    own = [name for name in listed.topics if name.startswith(f"{prefix}.")]
    found += _retention(admin, own, prefix)
    found += _partitions(listed, own, settings.log.kafka.partitions)
    found.append(_transactions(options))
    return found


def _retention(admin: AdminClient, topics: list[str], prefix: str) -> list[Finding]:
    if not topics:
        return [Finding("topics", PASS, f"none of {prefix} yet: they are made at the first start")]
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    short = []
    for resource, future in admin.describe_configs(asked, request_timeout=TIMEOUT_S).items():
        try:
            values: dict[str, Any] = future.result()
        except KafkaException as error:
            what = f"their settings may not be read: {error.args[0].str()}"
            return [Finding("topics", WARN, what, "allow DescribeConfigs on the topics")]
        kept = int(values["retention.ms"].value)
        if "compact" not in values["cleanup.policy"].value and 0 <= kept < BUS_RETENTION_MS:
            short.append(f"{resource.name} ({kept / 3_600_000:.0f} h)")
    if short:
        what = f"kept for less than the 72 hours of Salesforce: {', '.join(sorted(short)[:5])}"
        return [Finding("topics", FAIL, what, "set retention.ms of these topics to at least 4 days")]
    return [Finding("topics", PASS, f"{len(topics)} topics of {prefix}, kept for 72 hours or longer")]


def _partitions(listed: Any, topics: list[str], wanted: int) -> list[Finding]:
    other = {
        name: len(listed.topics[name].partitions)
        for name in topics
        if name.endswith("ChangeEvent") and len(listed.topics[name].partitions) != wanted
    }
    if not other:
        return []
    name, count = next(iter(other.items()))
    what = f"{name} has {count} partitions and the settings say {wanted}"
    return [Finding("partitions", FAIL, what, f"set log.kafka.partitions = {count}")]


def _transactions(options: Any) -> Finding:
    """Under a name of its own, so that a running recorder is not fenced."""
    name = f"{options.topic_prefix or 'sf-cdc'}.doctor.{uuid.uuid4().hex[:8]}"
    try:
        producer = Producer({**producer_config(options), "transactional.id": name})
        producer.init_transactions(TIMEOUT_S)
    except KafkaException as error:
        what = f"the broker takes no transactions from us: {error.args[0].str()}"
        return Finding("transactions", FAIL, what, "allow Write and Describe on TransactionalId")
    return Finding("transactions", PASS, "the broker takes transactions")


async def _registry(settings: Settings) -> list[Finding]:
    import aiohttp

    url = settings.log.kafka.schema_registry_url.rstrip("/") + "/subjects"
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
            if answer.status == 200:
                return [Finding("registry", PASS, f"answers at {settings.log.kafka.schema_registry_url}")]
            what = f"answers {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        what = f"does not answer: {type(error).__name__}"
    return [Finding("registry", FAIL, what, "set log.kafka.schema_registry_url, or start the registry")]
