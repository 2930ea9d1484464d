"""Records of our own schemas as bytes: Avro single-object encoding, the same in every room.

C3 01, the 8-byte little-endian CRC-64-AVRO fingerprint of the schema, then the body
(Avro 1.12 specification, "Single object encoding").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

import schemas

MARKER = b"\xc3\x01"
HEADER_BYTES = 10


def encode(name: str, record: Mapping[str, Any]) -> bytes:
    """A record of `schemas/<name>.avsc` (`job`, `positions`, …), framed.

    ValueError says what does not fit the schema; fields with a default may be left out. KeyError: no such schema.
    """
    schema, header = _schema(name)
    buffer = BytesIO()
    buffer.write(header)
    try:
        fastavro.schemaless_writer(buffer, schema, record)
    except (TypeError, KeyError, AttributeError, OverflowError) as e:
        raise ValueError(f"not a {name} record: {e}") from e
    return buffer.getvalue()


def decode(name: str, value: bytes) -> dict[str, Any]:
    """The record in framed bytes. ValueError when they are not of `schemas/<name>.avsc`, cut short or too long."""
    schema, header = _schema(name)
    if value[:HEADER_BYTES] != header:
        raise ValueError(
            f"not a framed {name} record: it begins with {value[:HEADER_BYTES].hex() or 'nothing'}"
        )
    buffer = BytesIO(value)
    buffer.seek(HEADER_BYTES)
    try:
        record = fastavro.schemaless_reader(buffer, schema, None)
    except (EOFError, IndexError, UnicodeDecodeError, OverflowError, StopIteration) as e:
        raise ValueError(f"the {name} record cannot be read: {str(e) or 'it is cut short'}") from e
    if not isinstance(record, dict) or buffer.tell() != len(value):
        raise ValueError(f"the {name} record has bytes after its end")
    return record


def header(name: str) -> bytes:
    """The ten bytes in front of every record of `schemas/<name>.avsc`."""
    return _schema(name)[1]


@cache
def _schema(name: str) -> tuple[Any, bytes]:
    raw = json.loads(schemas.text(name))
    print_le_hex = fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return fastavro.parse_schema(raw), MARKER + bytes.fromhex(print_le_hex)
