"""Where a replay goes: the interface of targets, and the place each keeps.

A target writes messages in order and remembers the place of the last one with them, so that a replay that was killed
goes on behind it and neither loses nor repeats a message. `begin` gives that place; START where nothing is there yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from cdc.errors import BadArgument
from cdc.replay.envelope import Message
from cdc.replay.stream import Place

FORMS = "use kafka:TOPIC, parquet:DIR, ndjson:FILE or -"


class Target(Protocol):
    """Errors: BadArgument, DiskFull, LogUnavailable."""

    has_tombstones: bool
    moments: Mapping[str, Any]
    """Between what is replayed, once begun: of a replay that goes on, as it was resolved when it began."""

    def begin(self) -> Place: ...

    def write(self, messages: Sequence[Message], behind: Place) -> None:
        """All of them, or none; `behind` is the place to go on from."""
        ...

    def end(self) -> None:
        """The replay is whole."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two runs the same replay: what is asked for, not when."""

    parts: Mapping[str, Any]

    @property
    def id(self) -> str:
        text = json.dumps(self.parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def place_text(place: Place) -> str:
    return json.dumps(astuple(place), separators=(",", ":"))


def place_of(text: str) -> Place:
    """Errors: BadArgument for what is no place."""
    try:
        ordinal, rank, entity, record_id = json.loads(text)
        return Place(int(ordinal), int(rank), str(entity), str(record_id))
    except (ValueError, TypeError) as error:
        raise BadArgument("this is no place of a replay", where=text[:60]) from error


def split_target(text: str) -> tuple[str, str]:
    """`kafka:TOPIC` as its kind and its name. Errors: BadArgument."""
    if text == "-":
        return "-", ""
    kind, colon, name = text.partition(":")
    if colon and name and kind in ("kafka", "parquet", "ndjson"):
        return kind, name
    raise BadArgument("this is no target of a replay", where=text[:60], do=FORMS)


def is_target(text: str) -> bool:
    """Whether it can only be meant as a target, and not as a time."""
    return text == "-" or text.partition(":")[0] in ("kafka", "parquet", "ndjson")
