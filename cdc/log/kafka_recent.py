"""What was recorded lately, by event and record: the memory that drops repeats after a restart."""

from __future__ import annotations

from typing import Any

from cdc.errors import LogRefused
from cdc.log.headers import RecordReader
from cdc.log.kafka_options import KafkaLogOptions
from cdc.log.kafka_partitions import KafkaPartitions, Partition
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.topics import is_numbered


def read_recent(options: KafkaLogOptions, topics: KafkaTopics, records_max: int) -> list[tuple[str, str]]:
    """(event id, record id) of about the newest changes over all partitions, oldest first.

    Each partition is read from as far back as its share, twice over, since keys do not spread evenly.
    """
    counts = {topic: count for topic, count in topics.partition_counts().items() if is_numbered(topic)}
    total = sum(counts.values())
    if not total:
        return []
    behind = max(1000, 2 * records_max // total)
    places = {
        (topics.full_name(topic), number): f"{topic}/{number}"
        for topic, count in counts.items()
        for number in range(count)
    }
    start = {places[place]: max(0, end - behind) for place, end in topics.ends(list(places)).items()}
    partitions = KafkaPartitions(options, topics, counts.__contains__, start, short=True)
    reader = RecordReader()
    found: list[tuple[int, str, str]] = []

    def take(message: Any, partition: Partition) -> None:
        record, _ = reader.any(message, partition.topic)
        if record.channel:
            found.append(
                (record.ordinal, record.event_id, "" if record.topic == "quarantine" else record.key)
            )

    try:
        partitions.discover(0.0)
        partitions.read_to_end(take)
    except ValueError as e:
        raise LogRefused(
            f"a record cannot be read: {e}",
            where=f"topics {topics.prefix}.*",
            do="nothing else may write to the topics of this prefix",
        ) from e
    finally:
        partitions.close()
    found.sort()
    return [(event_id, record_id) for _, event_id, record_id in found[-records_max:]]
