"""The order of an append is checked before anything is written: ordinals go on without a hole or a double."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.errors import LogRefused
from cdc.log.topics import POSITIONS, VALUE_BYTES_MAX, is_name
from cdc.ports.log import CONTROL_TOPICS, LogRecord, Positions

REOPEN = "open the log again and go on from the positions it gives"


def placed(records: Sequence[LogRecord], next_ordinal: int, positions: Positions) -> list[LogRecord]:
    """The records with every control record at its place: the number of the last change before it.

    A control record may leave its ordinal 0. LogRefused names the first record that is out of order.
    """
    result = list(records)
    following = next_ordinal
    for index, record in enumerate(result):
        if record[0] not in CONTROL_TOPICS:
            if record[3] != following:
                raise LogRefused(
                    f"change {record.ordinal} was to be appended where {following} comes next",
                    where=f"{record.topic} {record.key}",
                    do=REOPEN,
                )
            following += 1
        else:
            result[index] = _control(record, following - 1)
    if positions.next_ordinal != following:
        raise LogRefused(
            f"the positions say that {positions.next_ordinal} comes next, the records that {following} does",
            where=f"positions of {positions.org}",
            do=REOPEN,
        )
    return result


def unplaced(records: Sequence[LogRecord]) -> list[LogRecord]:
    """Records from outside the transactions: control records, without a place of their own.

    LogRefused for what only the writer may write: numbered records and positions.
    """
    check_values(records)
    for record in records:
        if record.topic not in CONTROL_TOPICS or record.topic == POSITIONS:
            raise LogRefused(
                "only the org's writer appends to this topic", where=f"topic {record.topic}", do="use append"
            )
    return [record._replace(ordinal=0) if record.ordinal else record for record in records]


def check_values(records: Sequence[LogRecord]) -> None:
    """LogRefused when a topic's name or a value's size would never be taken."""
    for topic in {record.topic for record in records}:
        if not is_name(topic):
            raise LogRefused("a topic name may hold letters, digits, _ and - only", where=f"topic {topic!r}")
    if records and max(len(record[2]) for record in records) > VALUE_BYTES_MAX:
        record = max(records, key=lambda one: len(one.value))
        raise LogRefused(
            f"a record of {len(record.value)} bytes is larger than {VALUE_BYTES_MAX}",
            where=f"{record.topic} {record.key}, event {record.event_id}",
        )


def _control(record: LogRecord, place: int) -> LogRecord:
    if record.topic == POSITIONS:
        raise LogRefused("the log writes positions itself", where="topic positions", do="pass them to append")
    if record.ordinal == place:
        return record
    if record.ordinal:
        raise LogRefused(
            f"a control record for the place behind {record.ordinal} stands behind {place}",
            where=f"{record.topic} {record.key}",
            do="put it right behind the change it follows",
        )
    return record._replace(ordinal=place)
