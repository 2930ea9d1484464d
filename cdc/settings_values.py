"""What the value of a setting may be: durations, addresses, networks. Each error says what is allowed."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from cdc.change.metadata import SOURCE_TYPES
from cdc.change.setup_kinds import KIND_OF

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str) -> float:
    """`90s`, `5m`, `14d` in seconds. Errors: ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    if not match:
        raise ValueError("is not a duration; write a number and a unit, like 90s, 5m, 12h or 14d")
    return float(match[1]) * _UNITS[match[2]]


def is_duration(text: str) -> str:
    duration_s(text)
    return text


def is_loopback(host: str) -> bool:
    """True for `localhost` and addresses of the loopback range; no name is looked up."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_https(text: str) -> str:
    if not text:
        return text
    parts = urlsplit(text)
    if parts.scheme == "https" and parts.hostname:
        return text.rstrip("/")
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return text.rstrip("/")
    raise ValueError("must be an https:// address; http:// only for a loopback address")


def is_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, like 127.0.0.1:8484")
    return text


def are_networks(items: list[str]) -> list[str]:
    for item in items:
        try:
            ip_network(item)
        except ValueError as error:
            raise ValueError(f"{item!r} is not a network like 10.1.0.0/16") from error
    return items


def are_fields(items: list[str]) -> list[str]:
    for item in items:
        if not re.fullmatch(r"\w+(\.\w+)+", item):
            raise ValueError(f"{item!r} is not Entity.Field, like Contact.Email")
    return items


def are_source_types(names: list[str]) -> list[str]:
    """Types of metadata whose files can be read."""
    unknown = [name for name in names if name not in SOURCE_TYPES]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is no type of metadata known here; known: {', '.join(SOURCE_TYPES)}"
        )
    return names


def are_intervals(given: dict[str, str]) -> dict[str, str]:
    """A duration for each kind of set-up named."""
    for kind, text in given.items():
        if kind not in KIND_OF:
            raise ValueError(f"{kind!r} is no kind of set-up; known: {', '.join(KIND_OF)}")
        duration_s(text)
    return given


Duration = Annotated[str, AfterValidator(is_duration)]
HttpsUrl = Annotated[str, AfterValidator(is_https)]
Address = Annotated[str, AfterValidator(is_address)]
Texts = list[str]
Intervals = Annotated[dict[str, str], AfterValidator(are_intervals)]
FieldNames = Annotated[list[str], AfterValidator(are_fields)]
