"""Record ids as they stand in events: ordinary ones, wildcards, and the one id of an overflow."""

from __future__ import annotations

import re

OVERFLOW_ID = "000000000000000AAA"
"""The record id of a GAP_OVERFLOW: it stands for records of the entity that are not named."""

WILDCARD_SUFFIX = "*"

_SUFFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[A-Z0-5]{3})?")
_WILDCARD = re.compile(r"[0-9A-Za-z]{3}\*")


def to_18(record_id: str) -> str:
    """The 18-character form of a 15-character id; an 18-character one is returned as it is.

    Each of the three characters added says which of five letters are capitals, so that the id survives
    a program that ignores case. ValueError for anything else.
    """
    if len(record_id) == 18 and _ID.fullmatch(record_id):
        return record_id
    if len(record_id) != 15 or not _ID.fullmatch(record_id):
        raise ValueError(f"{record_id!r} is not a record id of 15 or 18 characters")
    return record_id + "".join(_suffix(record_id[at : at + 5]) for at in (0, 5, 10))


def is_record_id(text: str) -> bool:
    """Whether the text names one record: 15 or 18 characters, neither a wildcard nor the overflow id."""
    return text != OVERFLOW_ID and _ID.fullmatch(text) is not None


def is_wildcard(text: str) -> bool:
    """Whether the text stands for every record with a key prefix, as `001*` does."""
    return _WILDCARD.fullmatch(text) is not None


def _suffix(five: str) -> str:
    return _SUFFIX_ALPHABET[sum(1 << i for i, c in enumerate(five) if "A" <= c <= "Z")]
