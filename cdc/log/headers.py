"""A record's headers on Kafka (contract.md, section 4): UTF-8 text, always in one order.

Three headers are the log's own. `control` numbers the control records of the transactions, over all topics.
On a positions record, `controls` says which number the last control record of each topic has, so that a reader
knows when it has all of them, and `append` names the append, so that a writer in doubt knows its own again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.ports.log import LogRecord

CONTROL: Final = "control"
CONTROLS: Final = "controls"
APPEND: Final = "append"

Headers = list[tuple[str, str]]


def of_control(record: LogRecord, number: int) -> Headers:
    """Headers of a control record; `number` 0 when it is written outside a transaction."""
    headers = [("ordinal", str(record.ordinal))]
    if number:
        headers.append((CONTROL, str(number)))
    if record.committed_at:
        headers.append(("committed_at", str(record.committed_at)))
    headers += [
        (name, text)
        for name, text in zip(_TEXT_FIELDS, record[5:10], strict=True)
        if text  # an empty header says no more than none
    ]
    return headers


def of_last_numbers(last: Mapping[str, int]) -> str:
    """`jobs=17,schemas=3`."""
    return ",".join(f"{topic}={number}" for topic, number in sorted(last.items()))


def last_numbers(text: str) -> dict[str, int]:
    """ValueError when the header is not of that form."""
    pairs = [item.split("=", 1) for item in text.split(",") if item]
    return {topic: int(number) for topic, number in pairs}


class RecordReader:
    """Messages of the consumer as log records; keeps the few texts that repeat."""

    def __init__(self) -> None:
        self._texts: dict[bytes, str] = {}

    def change(self, message: Any, topic: str) -> tuple[Any, ...]:
        """LogRecord's fields of a numbered record. Runs once per change: the usual header order is taken as it is."""
        headers = message.headers()
        part = ""
        if headers is not None and len(headers) == 7 and headers[6][0] == "part":
            part = str(headers[6][1], "utf-8")
            headers = headers[:6]
        if headers is None or len(headers) != 6:
            return self.any(message, topic)[0]
        (first, ordinal), (_, committed), (_, channel), (_, event), (_, replay), (last, schema) = headers
        if first != "ordinal" or last != "schema_id":
            return self.any(message, topic)[0]
        texts = self._texts
        return (
            topic,
            str(message.key() or b"", "utf-8"),
            message.value() or b"",
            int(ordinal),
            int(committed),
            texts.get(channel) or self._text(channel),
            str(event, "utf-8"),
            str(replay, "utf-8"),
            texts.get(schema) or self._text(schema),
            part,
            message.timestamp()[1],
        )

    def any(self, message: Any, topic: str) -> tuple[LogRecord, Mapping[str, str]]:
        """Any record, headers in any order or missing; and the log's own headers."""
        headers = {name: str(value or b"", "utf-8") for name, value in message.headers() or ()}
        record = LogRecord(
            topic=topic,
            key=str(message.key() or b"", "utf-8"),
            value=message.value() or b"",
            ordinal=int(headers.get("ordinal") or 0),
            committed_at=int(headers.get("committed_at") or 0),
            channel=headers.get("channel", ""),
            event_id=headers.get("event_id", ""),
            replay_id=headers.get("replay_id", ""),
            schema_id=headers.get("schema_id", ""),
            part=headers.get("part", ""),
            appended_at=message.timestamp()[1],
        )
        return record, headers

    def _text(self, raw: bytes) -> str:
        if len(self._texts) >= TEXTS_MAX:
            self._texts.clear()
        text = str(raw, "utf-8")
        self._texts[raw] = text
        return text


TEXTS_MAX = 4096  # channels and schema ids of one org: hundreds

_TEXT_FIELDS = ("channel", "event_id", "replay_id", "schema_id", "part")
