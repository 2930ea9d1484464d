"""Avro's variable-length integers, and skipping over strings (Avro 1.12 specification, "Binary Encoding")."""

from __future__ import annotations

from cdc.errors import Undecodable

LONG_BYTES_MAX = 10


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The integer at an offset, and the offset behind it. Undecodable when the bytes end or it is too long."""
    number = shift = 0
    for place in range(at, at + LONG_BYTES_MAX):
        if place >= len(data):
            raise Undecodable("the bytes end inside a number")
        byte = data[place]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), place + 1
        shift += 7
    raise Undecodable(f"a number is longer than {LONG_BYTES_MAX} bytes")


def write_long(number: int) -> bytes:
    """An integer of 64 bits, zigzag and in groups of seven bits."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def string_end(data: bytes, at: int) -> tuple[int, int]:
    """Where the text of the string at an offset begins and where it ends."""
    length, begin = read_long(data, at)
    if length < 0 or begin + length > len(data):
        raise Undecodable("the bytes end inside a text")
    return begin, begin + length
