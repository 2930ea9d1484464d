"""What stands in front of an Avro body in the log, and how to get rid of it.

Without a registry Avro's single-object encoding: C3 01 and the 8-byte little-endian CRC-64-AVRO fingerprint
of the schema's Parsing Canonical Form (Avro 1.12 specification). With one the Confluent wire format: 00 and
the 4-byte big-endian id the registry gave. Which schema a body is of is said by the `schema_id` header: two
of Salesforce's schemas that differ in `doc` alone have one fingerprint.
"""

from __future__ import annotations

import json
from functools import lru_cache

from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from cdc.errors import Undecodable

SINGLE_OBJECT_MARK = b"\xc3\x01"
SINGLE_OBJECT_BYTES = 10
CONFLUENT_MARK = b"\x00"
CONFLUENT_BYTES = 5
PREFIXES_CACHED_MAX = 4096


@lru_cache(maxsize=PREFIXES_CACHED_MAX)
def frame_prefix(schema_json: str) -> bytes:
    """The ten bytes in front of a body of this schema. Undecodable when it is no schema."""
    try:
        canonical = to_parsing_canonical_form(json.loads(schema_json))
        return SINGLE_OBJECT_MARK + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
    except (ValueError, KeyError, TypeError, AttributeError, SchemaParseException, UnknownType) as e:
        raise Undecodable(f"the schema has no canonical form: {e}") from e


def confluent_prefix(registry_id: int) -> bytes:
    """The five bytes in front of a body whose schema the registry knows by this id."""
    return CONFLUENT_MARK + registry_id.to_bytes(4, "big")


def unframe(value: bytes) -> bytes:
    """The body alone. Undecodable when neither frame is in front of it."""
    if value[:2] == SINGLE_OBJECT_MARK and len(value) >= SINGLE_OBJECT_BYTES:
        return value[SINGLE_OBJECT_BYTES:]
    if value[:1] == CONFLUENT_MARK and len(value) >= CONFLUENT_BYTES:
        return value[CONFLUENT_BYTES:]
    raise Undecodable(
        f"the value has no frame: it begins with {value[:SINGLE_OBJECT_BYTES].hex() or 'nothing'}"
    )
