"""The detector's state as bytes: a mark, a version, and compressed JSON. Nothing in it is executed."""

from __future__ import annotations

import json
import zlib
from typing import Any

from cdc.errors import BadArgument

MARK = b"SFCDCDET"
VERSION = 1
UNPACKED_BYTES_MAX = 1 << 30


def pack(state: Any) -> bytes:
    """Plain values to bytes, equal for equal values."""
    text = json.dumps(state, separators=(",", ":"))
    return MARK + VERSION.to_bytes(2, "big") + zlib.compress(text.encode(), 1)


def unpack(state: bytes) -> Any:
    """The values again. BadArgument when the bytes are not a state, are cut short, or are of a newer version."""
    if state[: len(MARK)] != MARK:
        raise BadArgument(
            "This is not a state of the detector", do="name the file an earlier run wrote, or none"
        )
    version = int.from_bytes(state[len(MARK) : len(MARK) + 2], "big")
    if version != VERSION:
        raise BadArgument(
            f"The detector's state has format {version}, this program reads {VERSION}",
            do="use the program that wrote it, or begin without a state",
        )
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(state[len(MARK) + 2 :], UNPACKED_BYTES_MAX)
        if not unpacker.eof:
            raise ValueError("it is cut short")
        return json.loads(text)
    except (zlib.error, ValueError) as e:
        raise BadArgument(
            f"The detector's state cannot be read: {e}", do="begin without a state, or use an older copy"
        ) from e
