"""Identifiers, all drawn from the org's seed: record ids, transaction keys, event ids, schema ids."""

from __future__ import annotations

import base64
import hashlib
from random import Random

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

_COUNTER_DIGITS = 8


def with_suffix(id15: str) -> str:
    """The 18-character form: three letters more, each saying which of five characters are capitals."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, char in enumerate(id15[start : start + 5]) if char.isupper())
        suffix += _CHECK[bits]
    return id15 + suffix


def record_id(key_prefix: str, pod: str, counter: int) -> str:
    """An 18-character id: key prefix, four characters of the pod, the counter in base 62."""
    digits = ""
    while counter:
        counter, rest = divmod(counter, 62)
        digits = _BASE62[rest] + digits
    return with_suffix(f"{key_prefix}{pod}{digits.rjust(_COUNTER_DIGITS, '0')}")


def schema_id(schema_json: str) -> str:
    """22 characters of base64url: the same schema has the same id in every org of this kind."""
    return base64.urlsafe_b64encode(hashlib.md5(schema_json.encode(), usedforsecurity=False).digest())[
        :22
    ].decode()


def event_id(random: Random) -> str:
    """A UUID of version 4."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def transaction_key(random: Random) -> str:
    """36 characters shaped like a UUID, with the leading zeros seen on the wire."""
    digits = f"{random.getrandbits(112):028x}"
    return f"0000{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:]}"
